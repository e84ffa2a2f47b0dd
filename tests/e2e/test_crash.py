"""kill -9 in a sync, a grant or a revocation: at random moments, and just before each thing that they do to the world.

Afterwards the same is done again, and all is as a model says.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from memsync_client.cards import Card, Invitation
from memsync_client.client import Client
from memsync_client.errors import AccessEnded, InvalidRequest, Tampered, UnknownReader
from memsync_client.home import Home
from memsync_client.interchange import Draft
from memsync_client.memories import Source
from memsync_client.packs import Entry, open_pack
from memsync_client.reader import Reader, new_reader
from memsync_client.vault import _FEW_ENTRIES, Vault
from tests.e2e.machines import PASSPHRASE, again, new_owner, new_vault, texts
from tests.killing import killed, killed_at
from tests.nodes import Chain

SEED = 20261121
ROUNDS = 4  # of three kills each


@dataclass
class Model:
    """What must be there: a list of memories, and who reads."""

    memories: list[str] = field(default_factory=list)
    readers: set[str] = field(default_factory=set)


@dataclass
class World:
    """A vault whose owner is killed, and two readers with their cards."""

    owner: Client
    cards: dict[str, Card]
    readers: dict[str, Reader]
    model: Model = field(default_factory=Model)

    def vault(self) -> Vault:
        """As a process that has just begun has it: nothing but the disk is left of the one before."""
        return again(self.owner).vault()

    def sync(self) -> None:
        self.vault().sync()

    def grant(self, name: str, days: int) -> Invitation:
        return self.vault().grant(self.cards[name], timedelta(days=days), private=name == "private").invitation

    def revoke(self, name: str) -> None:
        self.vault().revoke(name)


@pytest.fixture
def world(chain: Chain, tmp_path: Path) -> World:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    new_vault(owner, "novel", tmp_path / "blobs")
    tools = Home(tmp_path / "tools")
    cards = {name: new_reader(tools, name, PASSPHRASE) for name in ("public", "private")}
    made = World(owner, cards, {name: Reader(tools, name, PASSPHRASE) for name in cards})
    for name in cards:
        join(made, name, 90)
    return made


def join(world: World, name: str, days: int) -> None:
    """Grant and join."""
    world.readers[name].join(world.grant(name, days))
    world.model.readers.add(name)


def check(world: World) -> None:
    vault, expected = world.vault(), sorted(world.model.memories)
    assert vault.waiting() == 0
    assert texts(vault) == expected  # nothing lost, nothing doubled
    report = vault.verify()
    assert (report.whole, report.memories) == (True, len(expected))
    assert {line.name for line in vault.grants() if line.living} == world.model.readers
    for name, reader in world.readers.items():
        if name in world.model.readers:
            assert texts(reader) == expected
        else:
            with pytest.raises(AccessEnded):
                reader.memories()
    assert not list(world.owner.home.folder.rglob("journal"))


def sync_again(world: World) -> None:
    world.sync()
    check(world)


def grant_again(world: World, name: str) -> None:
    join(world, name, 91)  # a grant that landed is prolonged
    check(world)


def revoke_again(world: World, name: str) -> None:
    with suppress(UnknownReader):  # the one that was killed had done it
        world.revoke(name)
    world.model.readers.discard(name)
    check(world)


def test_kill__before_each_effect_of_a_sync__nothing_is_lost_or_doubled(world: World) -> None:
    for point in count(1):
        world.model.memories.append(f"point {point}")
        world.vault().remember(world.model.memories[-1])
        unfinished = killed_at(world.sync, point)
        sync_again(world)
        if not unfinished:
            break
    assert point > 8  # two blobs in two places, journal, transaction, receipt, outbox, journal, what was seen


@pytest.mark.parametrize("name", ["public", "private"])
def test_kill__before_every_third_effect_of_a_revocation_and_a_grant__all_is_as_said(world: World, name: str) -> None:
    world.model.memories.append("before")
    world.vault().remember("before")
    sync_again(world)
    for point in count(1 + (name == "private"), 3):
        revoking = killed_at(partial(world.revoke, name), point)
        revoke_again(world, name)
        granting = killed_at(partial(world.grant, name, 90), point)
        grant_again(world, name)
        if not (revoking or granting):
            break
    assert point > 8


def test_kill__before_each_effect_of_a_large_import__done_again_it_is_there_once_and_in_order(world: World) -> None:
    """What each killed one leaves waits, too; with so many entries that they are not held in memory. The first memory
    changes on the way, in the last entry."""
    drafts = [Draft(f"{number:05} " * 9_990, None, Source("lantern", None, str(number))) for number in range(40)]
    drafts.append(Draft("changed", None, drafts[0].source))
    begun = world.vault()
    before, version = texts(begun), begun.record().version
    point = next(point for point in count(1) if not killed_at(lambda: begun.import_drafts(drafts), point))
    assert point > 3  # an effect an entry
    left = begun.waiting() - len(drafts)
    assert left > 0
    told = [f"told afterwards, {number}" for number in range(_FEW_ENTRIES)]
    for text in told:
        begun.remember(text)
    done = begun.sync()
    assert (done.committed, done.already, done.version) == (len(drafts) + len(told), left, version + 1)
    expected = ["changed", *(draft.content for draft in drafts[1:40]), *told]
    assert [memory.content for memory in begun.memories()][len(before) :] == expected
    assert begun.verify().whole
    begun.import_drafts(drafts[1:40])
    again = begun.sync()
    assert (again.committed, again.already) == (0, 39)


def test_kill__before_each_effect_of_a_new_vault__there_is_one_of_the_name(world: World, tmp_path: Path) -> None:
    for point in count(1):
        name, blobs = f"vault {point}", tmp_path / f"blobs {point}"
        blobs.mkdir()
        unfinished = killed_at(lambda: again(world.owner).new_vault(name, f"{blobs.as_uri()}/"), point)  # noqa: B023
        if name not in world.owner.home.labels():
            made = again(world.owner).new_vault(name, f"{blobs.as_uri()}/")
            assert [holder.name for holder in made.holders] == [world.owner.session.config.device]
        else:
            with pytest.raises(InvalidRequest, match="already"):
                again(world.owner).new_vault(name, f"{blobs.as_uri()}/")
        vault = again(world.owner).vault(name)
        vault.remember(name)
        assert vault.sync().version == 2
        if not unfinished:
            break
    assert point > 5  # two blobs in two places, transaction, receipt, label
    assert len(world.owner.session.registry.vaults(world.owner.session.config.owner)) == point + 1


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The folder that the world's blobs are in."""
    return tmp_path / "blobs"


def test_kill__before_every_third_effect_of_a_sync__no_blob_stays_that_nothing_names(world: World, host: Path) -> None:
    world.sync()
    for point in count(2, 3):
        world.model.memories.append(f"point {point}")
        world.vault().remember(world.model.memories[-1])
        before = {path.name for path in host.iterdir()}
        unfinished = killed_at(world.sync, point)
        sync_again(world)
        view = world.vault()._view(world.vault().record())
        new = {path.name for path in host.iterdir()} - before
        named = {blob_hash.hex() for blob_hash in (*view.named, view.record.content_hash)}
        assert new <= named
        if not unfinished:
            break
    assert point > 8


def test_kill__before_each_effect_of_a_grant__no_keyring_stays_that_the_chain_does_not_name(
    world: World, host: Path
) -> None:
    """It has an envelope for a reader that was never granted."""
    world.sync()
    for point in count(2, 2):
        before = {path.name for path in host.iterdir()}
        unfinished = killed_at(partial(world.grant, "public", 90 + point), point)
        world.vault().remember(f"point {point}")
        world.sync()
        view, registry = world.vault()._view(world.vault().record()), world.owner.session.registry
        keyrings = registry.keyrings(view.record.vault_id)
        named = {blob_hash.hex() for blob_hash in (*view.named, view.record.content_hash, *keyrings)}
        assert {path.name for path in host.iterdir()} - before <= named, point
        assert world.vault().verify().whole
        if not unfinished:
            break
    assert point > 4


def test_forget__what_a_killed_sync_may_have_stored__is_gone_from_the_host_too(world: World, host: Path) -> None:
    """It waits here, and a pack with it is on the host, which every reader could open."""
    world.sync()
    for point in count(2, 3):
        world.vault().remember(f"point {point}")
        before = {path.name for path in host.iterdir()}
        (waiting,) = world.vault().memories()
        unfinished = killed_at(world.sync, point)
        world.vault().forget([waiting.id])
        world.sync()
        assert texts(world.vault()) == []
        view = world.vault()._view(world.vault().record())
        keys = view.keyring.keys
        for path in host.iterdir():
            with suppress(Tampered):  # no pack
                found = open_pack(view.place, keys.epoch, keys.secret, path.read_bytes())
                assert not any(isinstance(item, Entry) for item in found), (point, path.name in before)
        if not unfinished:
            break
    assert point > 8


def test_forget__killed_before_it_landed__the_edit_that_waits_stays(world: World) -> None:
    vault = world.vault()
    memory = vault.remember("before")
    world.sync()
    vault.edit(memory.id.hex(), "after")
    for point in count(1):
        unfinished = killed_at(lambda: world.vault().forget([memory.id]), point)
        found = texts(world.vault())
        assert found in (["after"], [])
        if not unfinished or not found:
            break
    world.sync()
    assert (texts(world.vault()), world.vault().waiting()) == ([], 0)


def test_kill__at_random_moments__nothing_is_lost_or_doubled(world: World) -> None:
    draw = random.Random(SEED)
    world.sync()
    begun = time.monotonic()
    world.vault().remember("to learn how long a sync takes")
    world.sync()
    usual = time.monotonic() - begun
    world.model.memories.append("to learn how long a sync takes")

    at_work = 0
    for turn in range(ROUNDS):
        name = ("public", "private")[turn % 2]
        for part in range(2):
            world.model.memories.append(f"turn {turn}.{part}")
            world.vault().remember(world.model.memories[-1])
        at_work += killed(world.sync, draw.uniform(0, 1.2 * usual))
        sync_again(world)

        at_work += killed(partial(world.revoke, name), draw.uniform(0, 2 * usual))
        revoke_again(world, name)

        at_work += killed(partial(world.grant, name, 90), draw.uniform(0, 1.2 * usual))
        grant_again(world, name)
    assert at_work >= ROUNDS
