"""What a host has lost comes back, and a vault moves to another host as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from memsync_client.client import Client
from memsync_client.errors import BlobMissing, InvalidRequest, StorageUnavailable
from memsync_client.home import Home
from memsync_client.hosts import Host
from memsync_client.keys import HolderKey
from memsync_client.recovery import kit_sheet, look, restore_with_kit, set_kit
from memsync_client.session import Session
from memsync_client.storage import FileStorage
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, Machine, again, grant, new_machine, new_owner, new_vault, texts
from tests.killing import killed_at
from tests.nodes import Chain


@pytest.fixture
def owner(chain: Chain, tmp_path: Path) -> Client:
    return new_owner(tmp_path / "owner", chain.rpc_url)


@pytest.fixture
def vault(owner: Client, tmp_path: Path) -> Vault:
    """In the folder ``first``, with three commits."""
    made = new_vault(owner, "novel", tmp_path / "first")
    for number in range(3):
        made.remember(f"memory {number}")
        made.sync()
    return made


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "second").mkdir()
    return tmp_path / "second"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def copies(owner: Client) -> Path:
    (folder,) = owner.home.folder.glob("vaults/*/blobs")
    return folder


# Repair ---------------------------------------------------------------------------------------------------------------


def test_repair__nothing_lost__says_so_and_writes_nothing(vault: Vault, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "first").iterdir()}
    done = vault.repair()
    assert (done.nowhere, [(host.brought, host.lacking) for host in done.hosts]) == ({}, [((), ())])
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "first").iterdir()} == before


def test_repair__living_blobs_lost_or_changed__come_back_from_this_devices_copies(
    vault: Vault, owner: Client, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    before, living = content(first), set(content(copies(owner)))
    for number, name in enumerate(sorted(living)):
        (first / name).unlink() if number % 2 else (first / name).write_bytes(b"other bytes")
    dry = vault.repair(dry_run=True)
    assert {name.hex() for name in dry.hosts[0].brought} == living
    assert content(first) != before
    done = vault.repair()
    assert {name.hex() for name in done.hosts[0].brought} == living
    assert done.hosts[0].lacking == ()
    assert content(first) == before
    assert again(owner).vault().verify().memories == 3


def test_repair__mirror_named_later__gets_all_and_brings_all_back(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    owner.session.hosts.add(Host(second.as_uri() + "/"))
    done = vault.repair()
    assert [len(host.brought) for host in done.hosts] == [0, done.blobs]
    for path in (tmp_path / "first").iterdir():
        path.unlink()
    shutil.rmtree(copies(owner))
    assert len(vault.repair().hosts[0].brought) == done.blobs
    assert content(second) == content(tmp_path / "first")
    assert again(owner).vault().verify().memories == 3


def test_repair__blob_that_nobody_has__is_named_and_the_rest_comes_back(
    vault: Vault, owner: Client, tmp_path: Path
) -> None:
    view = vault._view(vault.record())
    lost, kept = view.packs[0].hash, view.packs[1].hash
    for folder in (tmp_path / "first", copies(owner)):
        (folder / lost.hex()).unlink()
    (tmp_path / "first" / kept.hex()).unlink()
    done = vault.repair()
    assert done.nowhere == {lost: "pack"}
    assert (done.hosts[0].brought, done.hosts[0].lacking) == ((kept,), (lost,))


def test_repair__host_away__others_are_served_and_it_says_why(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    owner.session.hosts.add(Host(second.as_uri() + "/"))
    (tmp_path / "first").rename(tmp_path / "away")
    done = vault.repair()
    assert isinstance(done.hosts[0].trouble, StorageUnavailable)
    assert len(done.hosts[1].brought) >= 4


# Mirrors that others are told of --------------------------------------------------------------------------------------


def test_mirror__of_a_host_that_is_gone__serves_readers_and_a_restore(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    """A folder stays a secret of this home; the chain is for all."""
    for uri in ("evm:", second.as_uri() + "/"):
        owner.session.hosts.add(Host(uri))
    vault.repair()
    kit = HolderKey(bytes(range(32)))
    set_kit(owner, kit.xwing.public)
    tool = grant(vault, tmp_path / "tool", "claude")
    first = (tmp_path / "first").as_uri() + "/"
    sheet = kit_sheet(owner)
    assert tool.result.invitation.base_uris == (first, "evm:")
    assert sheet.base_uris == ("evm:", first)
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(second)
    assert len(texts(tool.reader)) == 3
    assert set(look(kit, sheet).opened) == {vault.place.vault_id}
    new = Home(tmp_path / "new")
    restore_with_kit(new, PASSPHRASE, kit, sheet, wallet=owner.home.wallet, name="new")
    assert texts(Client(new, PASSPHRASE).vault()) == texts(tool.reader)


# Move -----------------------------------------------------------------------------------------------------------------


def test_move__every_blob_as_it_was_and_all_read_from_there(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    tool = grant(vault, tmp_path / "tool", "claude").reader
    first = content(tmp_path / "first")
    plan = vault.plan_move(str(second))
    assert content(second) == {}
    steps: list[tuple[int, int]] = []
    done = vault.move(str(second), progress=lambda *step: steps.append(step))
    assert (done.blobs, done.size) == (plan.blobs, plan.size) == (steps[-1][1], sum(map(len, content(second).values())))
    assert steps[-1][0] == steps[-1][1]
    assert vault.record().base_uri == second.as_uri() + "/"
    assert content(second).items() <= first.items()
    assert content(tmp_path / "first") == first  # the old host keeps its own
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(copies(owner))
    moved = again(owner).vault()
    assert moved.verify().memories == 3
    assert texts(tool) == texts(moved)
    moved.remember("afterwards")
    moved.sync()
    assert len(texts(tool)) == 4


def test_move__delete_old__only_what_was_the_vaults_is_deleted(vault: Vault, tmp_path: Path, second: Path) -> None:
    (tmp_path / "first" / ("ab" * 32)).write_bytes(b"of another vault")
    assert vault.move(str(second), delete_old=True).left == ()
    assert set(content(tmp_path / "first")) == {"ab" * 32}
    assert vault.verify().memories == 3


def test_move__delete_old__to_another_name_of_the_same_host__refused_and_nothing_is_lost(
    vault: Vault, owner: Client, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(tmp_path / "first")
    alias = (tmp_path / "alias").as_uri() + "/"
    before, record = content(tmp_path / "first"), vault.record()
    with pytest.raises(InvalidRequest, match="gone from both"):
        vault.move(alias, delete_old=True)
    assert content(tmp_path / "first") == before
    assert vault.record().base_uri == record.base_uri
    assert vault.move(alias).receipt  # only named anew
    shutil.rmtree(copies(owner))
    assert again(owner).vault().verify().memories == 3


def test_move__to_the_chain__for_a_yes_and_back(vault: Vault, owner: Client, second: Path) -> None:
    with pytest.raises(InvalidRequest, match="can be deleted"):
        vault.move("evm:")
    plan = vault.plan_move("evm:")
    assert 40 * plan.size < plan.gas < 60 * plan.size
    vault.move("evm:", on_chain=True)
    shutil.rmtree(copies(owner))
    assert len(texts(again(owner).vault())) == 3
    vault.move(str(second))
    assert vault.verify().memories == 3


def test_move__pack_too_large_for_the_chain__refused_until_it_is_sealed_anew(vault: Vault, owner: Client) -> None:
    for number in range(3):
        vault.remember(f"{number} " + "long " * 9_000)
    vault.sync()
    for act in (partial(vault.plan_move, "evm:"), partial(vault.move, "evm:", on_chain=True)):
        with pytest.raises(InvalidRequest, match="98,304 bytes") as caught:
            act()
        assert caught.value.cause.endswith("and 1 is larger.")
        assert "`memsync host add evm:`, `memsync rotate --clean`" in caught.value.next_step
    owner.session.hosts.add(Host("evm:"))
    vault.rotate(clean=True)
    vault.move("evm:", on_chain=True)
    assert vault.verify().memories == 6


@pytest.mark.parametrize("there", ["file:///none/", "gopher://x/"])
def test_move__to_a_host_that_is_none__refused_and_nothing_changed(vault: Vault, tmp_path: Path, there: str) -> None:
    with pytest.raises(StorageUnavailable):
        vault.move(there)
    with pytest.raises(InvalidRequest, match="already"):
        vault.move(str(tmp_path / "first"))
    assert vault.record().base_uri == (tmp_path / "first").as_uri() + "/"


def test_move__blob_that_nobody_has__stays_where_it_is(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    lost = vault._view(vault.record()).packs[0].hash
    for folder in (tmp_path / "first", copies(owner)):
        (folder / lost.hex()).unlink()
    with pytest.raises(BlobMissing, match=lost.hex()):
        vault.move(str(second))
    assert vault.record().base_uri == (tmp_path / "first").as_uri() + "/"


def test_move__killed_before_each_effect__is_finished_by_the_next(
    vault: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    def begun() -> object:
        return Client(owner.home, PASSPHRASE).vault().move(str(second), delete_old=True)

    for point in range(1, 100):
        if not killed_at(begun, point):
            break
        assert len(texts(vault)) == 3
    assert 3 < point < 99
    assert vault.record().base_uri == second.as_uri() + "/"
    assert {path.stat().st_size for path in (tmp_path / "first").iterdir()} <= {64}  # put there to tell hosts apart
    assert vault.verify().memories == 3


# Move, and a process that dies before the old blobs are deleted -------------------------------------------------------


@pytest.fixture
def landed(vault: Vault, owner: Client, second: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault as another process finds it after one that died before it deleted the old blobs: its move to ``second``
    is on chain."""

    class Died(BaseException):
        pass

    def dies(storage: FileStorage, hashes: Iterable[bytes]) -> list[bytes]:
        if len(list(hashes)) == 1:  # what was put there to tell whether the two are one host
            return []
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "delete", dies)
        with pytest.raises(Died):
            vault.move(str(second), delete_old=True)
    for path in (owner.home.folder.parent / "first").iterdir():
        if path.stat().st_size == 64:
            path.unlink()
    assert vault.record().base_uri == second.as_uri() + "/"
    return again(owner).vault()


def test_move__died_before_the_deletion__the_next_one_goes_on(landed: Vault, tmp_path: Path, second: Path) -> None:
    before = content(tmp_path / "first")
    assert {name.hex() for name in landed.plan_move(str(second)).left} == set(before)
    assert content(tmp_path / "first") == before
    done = landed.move(str(second))
    assert (done.blobs, done.receipt, done.left) == (0, None, ())
    assert content(tmp_path / "first") == {}
    assert landed.verify().memories == 3
    with pytest.raises(InvalidRequest, match="already"):
        landed.move(str(second), delete_old=True)


def test_sync__a_move_died_before_the_deletion__goes_on_after_a_clean_cut_too(landed: Vault, tmp_path: Path) -> None:
    landed.rotate(clean=True)
    landed.sync()
    assert content(tmp_path / "first") == {}
    assert landed.verify().memories == 3


def test_sync__a_move_died_and_this_device_got_a_new_key__goes_on(landed: Vault, tmp_path: Path) -> None:
    landed.rekey()
    landed.sync()
    assert content(tmp_path / "first") == {}
    assert landed.verify().memories == 3


def test_sync__old_host_away_after_a_move__says_so_and_goes_on_when_it_is_back(landed: Vault, tmp_path: Path) -> None:
    (tmp_path / "first").rename(tmp_path / "away")
    said: list[str] = []
    landed.session.say = said.append
    landed.remember("meanwhile")
    assert landed.sync().committed == 1
    assert any("host of before" in text for text in said)
    (tmp_path / "away").rename(tmp_path / "first")
    landed.sync()
    assert content(tmp_path / "first") == {}


def test_sync__old_host_away_and_another_device_has_moved_on__goes_on_when_it_is_back(
    landed: Vault, owner: Client, tmp_path: Path
) -> None:
    (tmp_path / "first").rename(tmp_path / "away")
    landed.sync()
    kept = landed._folder / "leaving"
    note = kept.read_bytes()
    kept.unlink()
    (tmp_path / "third").mkdir()
    landed.move(str(tmp_path / "third"))  # as by a device that knows nothing of the first host
    kept.write_bytes(note)
    (tmp_path / "away").rename(tmp_path / "first")
    moved_on = again(owner).vault()
    moved_on.sync()
    assert content(tmp_path / "first") == {}
    assert moved_on.leaving() is None
    assert moved_on.verify().memories == 3


def test_move__deletion_of_the_move_before_is_not_done__refused_until_it_is_or_is_let_go_of(
    landed: Vault, tmp_path: Path
) -> None:
    (tmp_path / "third").mkdir()
    (tmp_path / "first").rename(tmp_path / "away")
    with pytest.raises(InvalidRequest, match="still has") as refused:
        landed.move(str(tmp_path / "third"))
    assert f"memsync host forget {(tmp_path / 'first').as_uri()}/" in refused.value.next_step
    assert content(tmp_path / "third") == {}
    (tmp_path / "away").rename(tmp_path / "first")
    landed.move(str(tmp_path / "third"))
    assert content(tmp_path / "first") == {}
    assert landed.verify().memories == 3


def test_let_host_go__of_an_old_host_that_is_gone__is_said_no_more_and_deletes_nothing(
    landed: Vault, tmp_path: Path
) -> None:
    old, before = (tmp_path / "first").as_uri() + "/", content(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "away")
    said: list[str] = []
    landed.session.say = said.append
    landed.sync()
    assert [text for text in said if text.endswith(f"If it is gone for good: memsync host forget {old}")]
    left = landed.leaving()
    assert left is not None
    assert (left.base_uri, {name.hex() for name in left.blobs}) == (old, set(before))
    assert landed.let_host_go(str(tmp_path / "second")) is None
    assert landed.let_host_go(str(tmp_path / "first")) == left
    said.clear()
    landed.sync()
    assert not any("host of before" in text for text in said)
    (tmp_path / "away").rename(tmp_path / "first")
    landed.sync()
    assert content(tmp_path / "first") == before
    assert landed.leaving() is None
    assert landed.verify().memories == 3


def test_sync__present_host_has_lost_a_blob__it_stays_on_the_old_one(
    landed: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    pack = landed._view(landed.record()).packs[0].hash.hex()
    (second / pack).write_bytes(b"other bytes")
    landed.sync()
    assert set(content(tmp_path / "first")) == {pack}
    with pytest.raises(InvalidRequest, match="still has 1 blobs") as refused:
        landed.move(str(tmp_path / "third"))
    assert "memsync repair" in refused.value.next_step
    landed.repair()
    landed.sync()
    assert content(tmp_path / "first") == {}
    assert landed.verify().memories == 3


def test_sync__present_host_is_the_old_one_by_another_name__nothing_is_deleted(
    landed: Vault, owner: Client, tmp_path: Path, second: Path
) -> None:
    before = content(tmp_path / "first")
    shutil.rmtree(second)
    second.symlink_to(tmp_path / "first")
    for _ in range(2):
        landed.sync()
        assert content(tmp_path / "first") == before
    shutil.rmtree(copies(owner))
    assert again(owner).vault().verify().memories == 3


def test_sync__after_a_move_that_was_not_sent__deletes_nothing(
    vault: Vault, owner: Client, tmp_path: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise InvalidRequest("The fee is too high.", "Later.")

    before = content(tmp_path / "first")
    with monkeypatch.context() as patched:
        patched.setattr(Session, "land", refused)
        with pytest.raises(InvalidRequest, match="fee"):
            vault.move(str(second), delete_old=True)
    there = again(owner).vault()
    there.sync()
    there.move(str(second))  # without --delete-old
    there.sync()
    assert content(tmp_path / "first") == before


# The commands ---------------------------------------------------------------------------------------------------------


def test_commands__repair_and_move__say_what_they_do(chain: Chain, tmp_path: Path, second: Path) -> None:
    machine: Machine = new_machine(tmp_path / "machine")
    machine.forked = True
    new_vault(new_owner(machine.folder, chain.rpc_url), "novel", tmp_path / "first")
    machine.data("remember", "Ines is left-handed.")
    machine.data("sync")
    for path in (tmp_path / "first").iterdir():
        path.unlink()
    (dry,) = machine.data("repair", "--dry-run")
    assert len(dry["hosts"][0]["brought"]) >= 3
    assert "got" in machine.quick("repair").out
    (done,) = machine.data("repair", "--vault", "novel")
    assert done["hosts"][0]["brought"] == []
    assert machine.data("vault", "move", "novel", str(second), "--dry-run")["blobs"] == done["blobs"] - len(
        done["nowhere"]
    )
    assert machine.refusal("vault", "move", "novel", str(second))["name"] == "InvalidRequest"  # it needs a yes
    moved = machine.data("vault", "move", "novel", str(second), "--delete-old", "--yes")
    assert moved["not_deleted"] == []
    assert list((tmp_path / "first").iterdir()) == []
    assert "Ines" in machine.quick("recall", "left hand").out

    second.rename(tmp_path / "away")
    back = machine.quick("vault", "move", "novel", str(tmp_path / "first"), "--delete-old", "--yes")
    old = second.as_uri() + "/"
    assert f"if it is gone for good: memsync host forget {old}" in back.out
    dry = machine.data("host", "forget", str(second), "--dry-run")
    assert (dry["host"], [line["name"] for line in dry["vaults"]]) == (old, ["novel"])
    assert len(dry["vaults"][0]["blobs"]) >= 3
    assert machine.refusal("host", "forget", str(second))["name"] == "InvalidRequest"  # it needs a yes
    assert f"memsync host forget {old}" in machine.quick("sync").err
    done = machine.data("host", "forget", str(second), "--yes")
    assert done == dry | {"dry_run": False}
    assert "host of before" not in machine.quick("sync").err
    refused = machine.refusal("host", "forget", str(second), "--yes")
    assert "No vault has anything left" in refused["next_step"]
