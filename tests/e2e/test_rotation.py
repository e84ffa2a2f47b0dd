"""New keys: links kept, or a clean cut; readers from now on; keys that grow too old; devices that were away."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from memsync_client.access import NewKeys
from memsync_client.client import Client, restore
from memsync_client.errors import AccessEnded, InsufficientFunds, InvalidRequest, VersionTaken
from memsync_client.home import Home
from memsync_client.keeping import Level
from memsync_client.outbox import Outbox
from memsync_client.reader import Reader, card_of, new_reader
from memsync_client.session import Session
from memsync_client.vault import Vault
from tests.e2e.archives import Archive
from tests.e2e.machines import PASSPHRASE, Machine, again, grant, new_owner, new_vault, texts
from tests.nodes import Chain, running_chain


@pytest.fixture(scope="module")
def desktop_of(owner: Client, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The same key and wallet in another home."""
    new_vault(owner, "any", tmp_path_factory.mktemp("any") / "blobs")
    home, config = Home(tmp_path_factory.mktemp("devices") / "desktop"), owner.session.config
    restore(home, PASSPHRASE, owner.home.device_key, config.owner, rpc=config.rpc, wallet=owner.home.wallet)
    return Client(home, PASSPHRASE)


@pytest.fixture
def both(vault: Vault, desktop_of: Client) -> tuple[Vault, Vault]:
    """One vault as each of two devices has it, with one memory."""
    desktop_of.adopt()
    return vault, again(desktop_of).vault(vault.label)


def granted_from_now(vault: Vault, folder: Path, name: str, *, private: bool = False) -> Reader:
    home = Home(folder)
    result = vault.grant(new_reader(home, name, PASSPHRASE), private=private, from_now=True)
    reader = Reader(home, name, lambda: PASSPHRASE)
    reader.join(result.invitation)
    return reader


def tell(vault: Vault, *words: str) -> None:
    for text in words:
        vault.remember(text)
        vault.sync()


def interrupt(monkeypatch: pytest.MonkeyPatch, target: type, name: str, act: Callable[[], object]) -> None:
    """``act`` ends where it would call that method."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(target, name, killed)
        with pytest.raises(KeyboardInterrupt):
            act()


def names_on_host(vault: Vault) -> set[str]:
    return {path.name for path in Path(vault.record().base_uri.removeprefix("file://")).iterdir()}


def living(vault: Vault) -> set[str]:
    record = vault.record()
    named = vault._view(record).named
    return {record.keyring_hash.hex(), record.content_hash.hex(), *(blob_hash.hex() for blob_hash in named)}


# Lazy -----------------------------------------------------------------------------------------------------------------


def test_rotate__lazy__one_transaction_and_all_goes_on(vault: Vault, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    before, on_host = vault.record(), names_on_host(vault)
    old = vault._view(before).keyring.owner_keys
    done = vault.rotate()
    record = vault.record()
    assert (record.version, record.epoch, record.locked) == (before.version + 1, before.epoch + 1, False)
    assert (len(done.landed), done.left, done.pending) == (1, (), ())
    tell(vault, "second")
    assert texts(vault) == texts(reader) == ["first", "second"]
    assert names_on_host(vault) > on_host  # nothing is deleted
    assert Archive(vault.place).take(tmp_path / "blobs").texts([old]) == {"first"}
    assert vault.verify().whole


def test_rotate__every_90_days__each_sync_does_it_once_the_keys_are_that_old(tmp_path: Path) -> None:
    """On a chain of its own, whose clock runs ahead."""
    with running_chain() as chain:
        vault = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
        tell(vault, "first")
        reader = new_reader(Home(tmp_path / "tool"), "claude", PASSPHRASE)
        vault.rotate(every=timedelta(days=90))
        vault.grant(reader, timedelta(days=400), private=True)
        assert vault.record().epoch == 2
        chain.pass_time(89 * 86_400)
        vault.revoke("claude")  # the age counts from any rise of the epoch
        assert vault.record().epoch == 3
        chain.pass_time(89 * 86_400)
        tell(vault, "not yet")
        assert vault.record().epoch == 3
        chain.pass_time(2 * 86_400)
        version = vault.record().version
        tell(vault, "in the same commit")
        assert (vault.record().epoch, vault.record().version) == (4, version + 1)
        assert vault.sync().landed is None
        chain.pass_time(90 * 86_400)
        done = vault.sync()
        assert (done.committed, vault.record().epoch) == (0, 5)
        assert done.keys == NewKeys(5, (), (), aged=True)
        assert done.landed
        vault.rotate(every=timedelta(0))
        chain.pass_time(900 * 86_400)
        assert vault.sync().landed is None
        assert texts(vault) == ["first", "in the same commit", "not yet"]


@pytest.mark.parametrize("every", [timedelta(hours=1), timedelta(days=40_000)])
def test_rotate__every_hour_or_century__is_refused(vault: Vault, every: timedelta) -> None:
    version = vault.record().version
    with pytest.raises(InvalidRequest, match="rotated"):
        vault.rotate(every=every)
    assert vault.record().version == version


# A clean cut ----------------------------------------------------------------------------------------------------------


def test_rotate__clean__all_is_there_and_nothing_else_is_left(vault: Vault, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    tell(vault, *(f"memory {number}" for number in range(17)))
    vault.rotate()
    tell(vault, "last")
    archive = Archive(vault.place).take(tmp_path / "blobs")
    root, version = vault.record().memory_root, vault.record().version
    done = vault.rotate(clean=True)
    record = vault.record()
    assert (record.version, record.epoch, record.memory_root) == (version + 1, 3, root)
    assert (len(done.landed), done.left) == (1, ())
    assert names_on_host(vault) == living(vault)
    assert {path.name for path in (vault._folder / "blobs").iterdir()} <= living(vault)
    everything = sorted(["first", "last", *(f"memory {number}" for number in range(17))])
    assert texts(vault) == texts(reader) == everything
    for report in (vault.verify(), reader.verify()):
        assert (report.whole, report.heads, report.packs, report.memories) == (True, 1, 1, 19)
    view = vault._view(record)
    assert view.keyring.links == {}
    assert archive.texts([view.keyring.owner_keys]) == set()
    tell(vault, "after the cut")
    vault.rotate()
    assert texts(reader) == sorted([*everything, "after the cut"])
    assert vault.verify().whole


def test_rotate__clean_of_a_large_vault__several_packs_in_one_transaction(vault: Vault) -> None:
    big = ["x" * 60_000 + str(number) for number in range(40)]
    for text in big:
        vault.remember(text)
    vault.sync()
    steps: list[tuple[int, int]] = []
    done = vault.rotate(clean=True, progress=lambda *step: steps.append(step))
    (landed,) = done.landed
    view = vault._view(vault.record())
    assert len(view.packs) == 3
    assert landed.stored_bytes > 2_400_000
    assert steps[-1] == (4, 4)
    assert texts(vault) == sorted(["first", *big])
    assert vault.verify().whole


def test_rotate__clean_without_a_coin__is_refused_before_anything_is_stored(vault: Vault, chain: Chain) -> None:
    address, on_host = vault._session.wallet.address, names_on_host(vault)
    funds = chain.node.request("eth_getBalance", address, "latest")
    chain.node.request("anvil_setBalance", address, "0x0")
    try:
        with pytest.raises(InsufficientFunds):
            vault.rotate(clean=True)
        with pytest.raises(InsufficientFunds):
            vault.forget([vault.memories()[0].id])
    finally:
        chain.node.request("anvil_setBalance", address, funds)
    assert names_on_host(vault) == on_host
    assert texts(vault) == ["first"]


def test_cut__device_that_was_away__goes_on_and_its_waiting_memories_land(both: tuple[Vault, Vault]) -> None:
    one, other = both
    assert texts(other) == ["first"]
    other.remember("waited meanwhile")
    tell(one, "second")
    one.rotate()
    one.rotate(clean=True)
    tell(one, "third")
    assert texts(other) == ["first", "second", "third", "waited meanwhile"]
    other.sync()
    other.rotate(clean=True)
    assert texts(one) == texts(other) == ["first", "second", "third", "waited meanwhile"]
    assert one.verify().whole
    assert {path.name for path in (other._folder / "blobs").iterdir()} <= living(one)


def test_cut__reader_that_was_away__goes_on(vault: Vault, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    assert texts(reader) == ["first"]
    vault.rotate(clean=True)
    vault.rotate(clean=True)
    tell(vault, "second")
    assert texts(reader) == ["first", "second"]
    assert reader.verify().whole


def test_cut__while_another_device_commits__both_land(both: tuple[Vault, Vault]) -> None:
    for turn in range(3):
        start = Barrier(2)
        one, other = both

        def cut(start: Barrier = start, one: Vault = one) -> Any:
            start.wait()
            return one.rotate(clean=True)

        def commit(start: Barrier = start, other: Vault = other, text: str = f"turn {turn}") -> Any:
            other.remember(text)
            start.wait()
            return other.sync()

        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(cut), pool.submit(commit)]
            assert [future.result() for future in done]
    assert texts(one) == texts(other) == ["first", "turn 0", "turn 1", "turn 2"]
    assert one.verify().whole
    one.rotate(clean=True)
    assert names_on_host(one) == living(one)  # what a lost race had stored is gone, too


def test_cut__node_says_that_it_did_not_land__nothing_is_lost(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Session.land

    def landed_and_denied(self: Session, *args: Any) -> Any:
        monkeypatch.setattr(Session, "land", real)
        real(self, *args)
        raise VersionTaken("another was first")

    tell(vault, "second")
    monkeypatch.setattr(Session, "land", landed_and_denied)
    vault.rotate(clean=True)
    assert vault.verify().whole
    (memory,) = [memory for memory in vault.memories() if memory.content == "first"]
    monkeypatch.setattr(Session, "land", landed_and_denied)
    before = vault.record().content_hash.hex()
    vault.forget([memory.id])
    assert texts(vault) == ["second"]
    assert vault.verify().whole
    assert names_on_host(vault) == living(vault) | {before}


def test_settle__own_commit_landed_and_another_device_cut_since__is_not_committed_again(
    both: tuple[Vault, Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the cut no head tells; the memory log does."""
    one, other = both

    one.remember("landed before the cut")
    interrupt(monkeypatch, Outbox, "remove", one.sync)
    assert one.waiting() == 1
    other.rotate()
    other.rotate(clean=True)
    done = one.sync()
    assert (done.committed, done.held, one.waiting()) == (0, 0, 0)
    report = one.verify()
    assert (report.whole, report.memories) == (True, 2)

    memory = one.remember("landed, and forgotten elsewhere")
    interrupt(monkeypatch, Outbox, "remove", one.sync)
    other.forget([memory.id], Level.SEALED_AWAY)
    done = one.sync()
    assert (done.committed, done.held, one.waiting()) == (0, 0, 0)
    assert texts(one) == ["first", "landed before the cut"]


# From now on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [False, True])
def test_grant__from_now__opens_what_is_sealed_afterwards_and_nothing_before(
    vault: Vault, tmp_path: Path, private: bool
) -> None:
    all_of_it = grant(vault, tmp_path / "friend", "friend", private=not private).reader
    block, version = vault.record().block.number, vault.record().version
    reader = granted_from_now(vault, tmp_path / "tool", "claude", private=private)
    record = vault.record()
    assert record.block.number == block + 1  # one transaction
    assert (record.version, record.epoch, record.locked) == (version + (1 if private else 2), 2, False)
    assert texts(reader) == []
    old = Archive(vault.place).take(tmp_path / "blobs")
    assert old.opened_by(reader._key) == set()
    told = [f"memory {number}" for number in range(18)]
    for number, text in enumerate(told):  # over a base, too
        tell(vault, text)
        assert texts(reader) == sorted(told[: number + 1])
    vault.rotate()
    tell(vault, "under later keys")
    assert texts(reader) == sorted([*told, "under later keys"])
    assert texts(all_of_it) == texts(vault) == sorted(["first", *told, "under later keys"])
    assert (reader.verify().whole, reader.verify().memories) == (False, 19)
    assert Archive(vault.place).take(tmp_path / "blobs").opened_by(reader._key) == {*told, "under later keys"}
    assert [line.since for line in vault.grants() if line.name == "claude"] == [2]


def test_grant__from_now_again__prolongs_and_shows_no_more(vault: Vault, tmp_path: Path) -> None:
    reader = granted_from_now(vault, tmp_path / "tool", "claude")
    tell(vault, "second")
    card = card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)
    vault.grant(card, timedelta(days=200), from_now=True)
    assert vault.record().epoch == 2
    assert texts(reader) == ["second"]
    vault.grant(card, timedelta(days=300))
    assert texts(reader) == ["first", "second"]  # ALL, as the command says
    with pytest.raises(InvalidRequest, match="may read everything already"):
        vault.grant(card, timedelta(days=400), from_now=True)


@pytest.mark.parametrize("private", [False, True])
def test_cut__reader_from_now_on__gets_nothing_of_before_with_it(vault: Vault, tmp_path: Path, private: bool) -> None:
    """A cut seals all under new keys, so that this reader must not have them: it joins one epoch later."""
    reader = granted_from_now(vault, tmp_path / "tool", "claude", private=private)
    friend = grant(vault, tmp_path / "friend", "friend", private=private).reader
    tell(vault, "second")
    assert texts(reader) == ["second"]
    done = vault.rotate(clean=True)
    assert len(done.landed) == 2
    assert vault.record().epoch == 4
    assert texts(reader) == []
    tell(vault, "third")
    assert texts(reader) == ["third"]
    assert texts(friend) == texts(vault) == ["first", "second", "third"]
    assert Archive(vault.place).take(tmp_path / "blobs").opened_by(reader._key) == {"third"}
    assert {line.name: line.living for line in vault.grants()} == {"claude": True, "friend": True}


def test_cut__killed_before_the_late_reader_is_let_in__next_sync_does_it(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = granted_from_now(vault, tmp_path / "tool", "claude")
    interrupt(monkeypatch, Vault, "_let_in", lambda: vault.rotate(clean=True))
    with pytest.raises(AccessEnded):
        reader.memories()
    tell(vault, "second")
    assert texts(reader) == ["second"]
    assert texts(vault) == ["first", "second"]


def test_forget__level_1__shows_a_reader_from_now_on_no_more(vault: Vault, tmp_path: Path) -> None:
    """A pack made anew stays under the keys of its own epoch."""
    for text in ("second", "third"):
        vault.remember(text)
    vault.sync()
    reader = granted_from_now(vault, tmp_path / "tool", "claude")
    (memory,) = [memory for memory in vault.memories() if memory.content == "second"]
    vault.forget([memory.id])
    assert texts(vault) == ["first", "third"]
    assert texts(reader) == []
    assert Archive(vault.place).take(tmp_path / "blobs").opened_by(reader._key) == set()


# The command ----------------------------------------------------------------------------------------------------------


def test_command__rotate__says_what_it_has_done(owner: Client, vault: Vault, tmp_path: Path) -> None:
    machine = Machine(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        done = machine.quick("--home", str(owner.home.folder), "rotate", "--vault", vault.label, *words)
        assert done.code == code, done.out + done.err
        return done.out

    assert "Would make the keys of epoch 2" in run("--dry-run")
    assert "deleted where possible" in run("--dry-run", "--clean")
    assert vault.record().epoch == 1
    assert "has the keys of epoch 2. 1 transaction" in run()
    said = run("--every", "90d")
    assert "Each sync rotates once the keys are 90 days old." in said
    run("--every", "90", code=2)
    run("--every", "3h", code=17)
    data = json.loads(run("--clean", "--yes", "--json"))["data"]
    assert (data["clean"], data["epoch"], data["every"], data["not_deleted"]) == (True, 4, None, [])
    assert len(data["transactions"]) == 1
    assert json.loads(run("--every", "never", "--json"))["data"]["every"] == 0
    assert vault.roster().rotate_every is None
