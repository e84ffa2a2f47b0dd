"""A vault of many commits: few packs, whatever dies in between, whoever reads meanwhile. A base every 4 heads here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memsync_client import heads
from memsync_client.client import Client, restore
from memsync_client.committing import Committer
from memsync_client.errors import BlobMissing, VersionTaken
from memsync_client.home import Home
from memsync_client.reading import read_entries
from memsync_client.session import Session
from memsync_client.vault import Vault
from tests.e2e.archives import Archive
from tests.e2e.machines import PASSPHRASE, again, grant, texts
from tests.e2e.test_rotation import granted_from_now, interrupt, living, names_on_host


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "BASE_EVERY", 4)


def tell(vault: Vault, numbers: range) -> list[str]:
    """A commit of one memory each."""
    for number in numbers:
        vault.remember(f"memory {number}")
        vault.sync()
    return [f"memory {number}" for number in numbers]


def packs(vault: Vault) -> list[str]:
    return [ref.hash.hex() for ref in vault._view(vault.record()).packs]


def copies(vault: Vault) -> set[str]:
    return {path.name for path in (vault._folder / "blobs").iterdir()}


def notes(vault: Vault) -> set[str]:
    return {path.name for path in (vault._folder / "packs").iterdir()}


def test_sync__many_commits__few_packs_and_nothing_on_the_host_that_nobody_needs(vault: Vault) -> None:
    everything = sorted(["first", *tell(vault, range(22))])
    assert (vault.record().version, len(packs(vault))) == (24, 2 + 1 + 3)
    assert texts(vault) == everything
    of_heads, of_rings = 24, 1
    replaced = 8  # by the last base, until the next
    assert len(names_on_host(vault)) <= of_heads + of_rings + len(packs(vault)) + replaced
    assert copies(vault) <= names_on_host(vault)
    heads_since_base = 3
    assert len(copies(vault) - living(vault)) <= heads_since_base
    assert notes(vault) == set(packs(vault))
    report = vault.verify()
    assert (report.memories, report.heads, report.whole) == (23, 24, True)


def test_sync__killed_after_it_has_stored_what_it_merged__the_next_one_leaves_no_orphan(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(vault, range(2))
    before, replaced = names_on_host(vault), packs(vault)
    vault.remember("memory 2")
    interrupt(monkeypatch, Session, "land", vault.sync)
    orphans = names_on_host(vault) - before
    assert len(orphans) == 3  # the merged pack, the new one, and the head
    assert vault.sync().committed == 1
    assert texts(vault) == ["first", "memory 0", "memory 1", "memory 2"]
    assert not orphans & names_on_host(vault)
    assert living(vault) < names_on_host(vault)
    tell(vault, range(3, 6))
    vault.remember("memory 6")
    interrupt(monkeypatch, Committer, "_sweep", vault.sync)
    assert set(replaced) <= names_on_host(vault)
    assert vault.sync().landed is None
    assert not set(replaced) & names_on_host(vault)
    assert len(texts(vault)) == 8


def test_sync__another_writer_was_first_with_the_base__its_packs_stand_and_mine_are_deleted(
    vault: Vault, owner: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(vault, range(2))
    config = owner.session.config
    home = Home(tmp_path / "desktop")
    restore(home, PASSPHRASE, owner.home.device_key, config.owner, rpc=config.rpc, wallet=owner.home.wallet)
    desktop = Client(home, PASSPHRASE)
    desktop.adopt()
    other = again(desktop).vault(vault.label)
    mine: set[str] = set()
    real = Session.land

    def late(session: Session, prepared: Any, *more: Any) -> Any:
        made = names_on_host(vault) - before
        if made and not mine and session is vault._session:
            mine.update(made)
            other.remember("the other's")
            other.sync()
        return real(session, prepared, *more)

    before = names_on_host(vault)
    with monkeypatch.context() as patched:
        patched.setattr(Session, "land", late)
        vault.remember("memory 2")
        assert vault.sync().committed == 1
    assert len(mine) == 3  # the merged pack, the new one, and the head
    assert not mine & names_on_host(vault) - living(vault)
    assert len(mine & living(vault)) == 1  # the new one serves on
    assert texts(vault) == texts(other) == ["first", "memory 0", "memory 1", "memory 2", "the other's"]
    assert len(packs(vault)) == 3


def test_read__from_a_head_of_before__until_the_next_base_and_then_the_reader_looks_again(
    vault: Vault, tmp_path: Path
) -> None:
    reader = grant(vault, tmp_path / "friend", "friend").reader
    tell(vault, range(1))
    record = vault.record()
    view, fetch = vault._view(record), vault._blobs(record).fetch_from_host
    tell(vault, range(1, 5))
    assert len(read_entries(view, fetch)) == 2
    told = tell(vault, range(5, 9))
    with pytest.raises(BlobMissing):
        read_entries(view, fetch)
    stale = iter([record])
    real = reader._record
    reader._record = lambda: next(stale, None) or real()  # type: ignore[method-assign]
    assert set(told) < set(texts(reader))


def test_sync__readers_from_now_on__open_their_epoch_and_no_more_after_any_merge(vault: Vault, tmp_path: Path) -> None:
    tell(vault, range(3))
    vault.rotate()
    late = granted_from_now(vault, tmp_path / "late", "late")
    later = tell(vault, range(3, 14))
    assert texts(late) == sorted(later)
    assert len(texts(vault)) == 15
    epochs = [ref.epoch for ref in vault._view(vault.record()).packs]
    assert epochs == sorted(epochs)
    assert epochs.count(1) == 1


def test_forget__what_a_merge_has_replaced_and_the_host_still_has__goes_too(vault: Vault, owner: Client) -> None:
    tell(vault, range(7))
    blobs = Path(vault.record().base_uri.removeprefix("file://"))
    (found,) = vault.chosen([vault.recall("memory 1")[0].memory.id.hex()])
    assert found.content in Archive(vault.place).take(blobs).opened_by(owner.session.device)
    vault.forget([found.id])
    assert len(texts(vault)) == 7
    assert found.content not in Archive(vault.place).take(blobs).opened_by(owner.session.device)


def test_sync__host_lost_a_pack__commits_go_on_and_nothing_is_merged(vault: Vault) -> None:
    tell(vault, range(1))
    gone = packs(vault)[0]
    for folder in (Path(vault.record().base_uri.removeprefix("file://")), vault._folder / "blobs"):
        (folder / gone).unlink()
    tell(vault, range(1, 4))
    assert packs(vault)[0] == gone
    assert len(packs(vault)) == 5


def test_commit__race_lost_at_a_base__is_a_version_taken_for_the_next_attempt(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(vault, range(2))
    refusals = [VersionTaken("another writer was first", "again")]
    real = Session.prepare

    def once(session: Session, call: Any, *more: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return real(session, call, *more)

    monkeypatch.setattr(Session, "prepare", once)
    vault.remember("memory 2")
    vault.sync()
    assert len(packs(vault)) == 2
    assert living(vault) <= names_on_host(vault)
    heads_and_ring = 5 + 1
    assert len(names_on_host(vault)) == heads_and_ring + len(packs(vault)) + 3
