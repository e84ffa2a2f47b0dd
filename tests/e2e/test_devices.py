"""Two devices of one owner, and the same things told twice."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from memsync_client.client import Client, restore
from memsync_client.errors import InvalidRequest, StorageUnavailable, UnknownVault
from memsync_client.home import Home
from memsync_client.interchange import jsonl
from memsync_client.vault import SyncResult, Vault
from tests.e2e.machines import PASSPHRASE, Machine, new_owner, new_vault, texts
from tests.nodes import Chain

SAMPLE = Path(__file__).parents[2] / "scripts" / "sample.jsonl"


@pytest.fixture(scope="module")
def laptop(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return new_owner(tmp_path_factory.mktemp("devices") / "laptop", chain.rpc_url)


@pytest.fixture(scope="module")
def desktop(laptop: Client, chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The same key and wallet in another home, as a person gets it who restores."""
    new_vault(laptop, "any", tmp_path_factory.mktemp("any") / "blobs")
    home, session = Home(tmp_path_factory.mktemp("devices") / "desktop"), laptop.session
    key, wallet = laptop.home.device_key, laptop.home.wallet
    restore(home, PASSPHRASE, key, session.config.owner, rpc=chain.rpc_url, wallet=wallet)
    return Client(home, PASSPHRASE)


@pytest.fixture
def both(laptop: Client, desktop: Client, tmp_path: Path) -> tuple[Vault, Vault]:
    """One vault as each of the two has it."""
    made = new_vault(laptop, tmp_path.name, tmp_path / "blobs")
    (found,) = desktop.adopt()
    assert (found.label, found.place) == (made.label, made.place)
    return made, found


def at_once(*vaults: Vault) -> list[SyncResult]:
    """All sync at the same moment."""
    start = Barrier(len(vaults))

    def sync(vault: Vault) -> SyncResult:
        start.wait()
        return vault.sync()

    with ThreadPoolExecutor(len(vaults)) as pool:
        return list(pool.map(sync, vaults))


def test_race__both_sync_at_once__both_land(both: tuple[Vault, Vault]) -> None:
    one, other = both
    expected: list[str] = []
    for turn in range(5):
        for name, vault in zip(("laptop", "desktop"), both, strict=True):
            vault.remember(f"{name} {turn}")
            expected.append(f"{name} {turn}")
        version = one.record().version
        results = at_once(one, other)
        assert sorted(result.version for result in results) == [version + 1, version + 2]
        assert [result.committed for result in results] == [1, 1]
        assert one.record().version == version + 2
        assert (one.waiting(), other.waiting()) == (0, 0)
    assert texts(one) == texts(other) == sorted(expected)
    events = one._session.registry.commits(one.place.vault_id)
    assert [event.version for event in events] == list(range(1, 12))
    assert one.verify().heads == other.verify().heads == 11


def test_race__same_import_on_both__lands_once(both: tuple[Vault, Vault]) -> None:
    one, other = both
    for vault in both:
        with SAMPLE.open("rb") as stream:
            vault.import_drafts(jsonl.read(stream, "sample").drafts)
    results = at_once(one, other)
    assert sorted((result.committed, result.already) for result in results) == [(0, 55), (55, 0)]
    assert len(texts(one)) == len(set(texts(one))) == 55
    assert texts(other) == texts(one)
    assert one.verify().memories == 55


def test_race__many_vaults_at_once__one_wallets_numbers_do_not_collide(
    laptop: Client, desktop: Client, tmp_path: Path
) -> None:
    """Different vaults never take a version from each other, but their transactions share the wallet's count."""
    vaults = [new_vault(laptop, f"{tmp_path.name} {n}", tmp_path / f"blobs {n}") for n in range(2)]
    found = {vault.label: vault for vault in desktop.adopt()}
    for turn in range(4):
        pair = (vaults[0], found[vaults[1].label])
        for vault in pair:
            vault.remember(f"turn {turn}")
        assert [result.committed for result in at_once(*pair)] == [1, 1]


def test_import__twice_and_on_two_devices__adds_nothing(both: tuple[Vault, Vault]) -> None:
    one, other = both
    with SAMPLE.open("rb") as stream:
        drafts = jsonl.read(stream, "sample").drafts
    one.import_drafts(drafts)
    one.import_drafts(drafts)
    assert one.waiting() == 110
    assert len(one.memories()) == 55
    first = one.sync()
    assert (first.committed, first.already) == (55, 55)
    for vault in (one, other):
        vault.import_drafts(drafts)
        again = vault.sync()
        assert (again.committed, again.already, again.landed) == (0, 55, None)
    assert {m.id for m in one.memories()} == {m.id for m in other.memories()}


def test_edit__on_two_devices__is_a_conflict_until_settled(both: tuple[Vault, Vault], laptop: Client) -> None:
    one, other = both
    memory = one.remember("Ines is left-handed.")
    one.sync()
    one.edit(memory.id.hex(), "Ines is ambidextrous.")
    other.edit(memory.id.hex(), "Ines is right-handed.")
    one.sync()
    other.sync()
    assert texts(one) == texts(other) == ["Ines is ambidextrous.", "Ines is right-handed."]

    command = Machine(laptop.home.folder)
    done = command.quick("--home", str(laptop.home.folder), "list", "--vault", one.label)
    assert done.code == 0, done.err
    short = memory.id.hex()[:8]
    assert f"Edits of {short} contradict each other: settle each with `memsync edit ID TEXT`." in done.out
    assert done.out.count(short) == 3
    listed = command.quick("--home", str(laptop.home.folder), "list", "--vault", one.label, "--json").answer["data"]
    assert [item["conflict"] for item in listed] == [True, True]
    asked = ("recall", "right-handed", "--vault", one.label, "--json")
    found = command.quick("--home", str(laptop.home.folder), *asked).answer["data"]
    assert [item["conflict"] for item in found] == [True]

    one.edit(memory.id.hex()[:8], "Ines is left-handed since the fall.")
    one.sync()
    assert texts(one) == texts(other) == ["Ines is left-handed since the fall."]
    assert other.verify().memories == 4


def test_edit__of_what_still_waits__is_one_memory(both: tuple[Vault, Vault]) -> None:
    one, other = both
    memory = one.remember("first words")
    one.edit(memory.id.hex(), "second words")
    assert texts(one) == ["second words"]
    one.sync()
    assert texts(other) == ["second words"]


def test_revoke__on_another_device__is_followed(both: tuple[Vault, Vault]) -> None:
    """The desktop goes on under keys that the laptop made, and the other way round."""
    one, other = both
    for turn, (rotating, following) in enumerate((both, both[::-1])):
        session = rotating._session
        session.land(session.prepare(session.registry.rotate(rotating.place.vault_id)))
        rotating.remember(f"sealed under new keys {turn}")
        rotating.sync()
        following.remember(f"and after them {turn}")
        following.sync()
        assert following.record().epoch == turn + 2
    assert texts(one) == texts(other)
    assert len(texts(one)) == 4


def test_restore__from_blobs_that_were_moved__reads_them_there(
    laptop: Client, both: tuple[Vault, Vault], chain: Chain, tmp_path: Path
) -> None:
    one, _ = both
    one.remember("moved")
    one.sync()
    everything = tmp_path / "copies of all"
    everything.mkdir()
    for vault in laptop.vaults():
        folder = Path(vault.record().base_uri.removeprefix("file://").replace("%20", " "))
        shutil.copytree(folder, everything, dirs_exist_ok=True)
    (tmp_path / "blobs").rename(tmp_path / "gone")
    home = Home(tmp_path / "new")
    owner = laptop.session.config.owner
    found = restore(home, PASSPHRASE, laptop.home.device_key, owner, rpc=chain.rpc_url, blobs=everything)
    (back,) = (vault for vault in found if vault.label == one.label)
    assert texts(back) == ["moved"]


def test_restore__blobs_out_of_reach__can_be_tried_again(chain: Chain, tmp_path: Path) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    new_vault(owner, "novel", tmp_path / "blobs").remember("never synced")
    (tmp_path / "blobs").rename(tmp_path / "moved")
    home, key, account = Home(tmp_path / "new"), owner.home.device_key, owner.session.config.owner
    with pytest.raises(StorageUnavailable, match="is gone"):
        restore(home, PASSPHRASE, key, account, rpc=chain.rpc_url)
    assert not home.initialised
    (back,) = restore(home, PASSPHRASE, key, account, rpc=chain.rpc_url, blobs=tmp_path / "moved")
    assert (back.label, texts(back)) == ("novel", [])


def test_restore__with_the_wallet_of_another__is_refused(laptop: Client, chain: Chain, tmp_path: Path) -> None:
    other = new_owner(tmp_path / "other", chain.rpc_url)
    home, account = Home(tmp_path / "new"), laptop.session.config.owner
    with pytest.raises(InvalidRequest, match="is not 0x"):
        restore(
            home,
            PASSPHRASE,
            laptop.home.device_key,
            account,
            rpc=chain.rpc_url,
            wallet=other.home.wallet,
        )
    assert not home.folder.exists()


def test_restore__wallet_without_vaults__leaves_the_home_empty(laptop: Client, chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    nobody = "0x" + "11" * 20
    with pytest.raises(UnknownVault, match="owns no vault"):
        restore(home, PASSPHRASE, laptop.home.device_key, nobody, rpc=chain.rpc_url)
    assert not home.folder.exists()
