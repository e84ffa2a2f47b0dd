"""A hostile writer's machine: its owner is told, revokes it, and goes on from the last good version; and nobody else
can pass over a commit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memsync_client.errors import (
    AccessEnded,
    BlobMissing,
    ForeignKeyring,
    InvalidRequest,
    Rollback,
    Tampered,
)
from memsync_client.heads import FIRST, Head, PackRef, seal_head
from memsync_client.home import Home
from memsync_client.keyring import OwnerKeys, seal_keyring
from memsync_client.memories import new
from memsync_client.memory_log import Frontier
from memsync_client.packs import entries, seal_pack
from memsync_client.reader import Reader
from memsync_client.roster import roster_of
from memsync_client.sealing import sha256
from tests.client.bad_nodes import lying
from tests.e2e.machines import PASSPHRASE, Machine, again, grant, new_machine, new_owner, new_vault, texts
from tests.e2e.taken_over import World, device
from tests.e2e.test_independent_reader import granted
from tests.e2e.test_independent_reader import read as read_elsewhere
from tests.nodes import Chain, transact

REFUSED = (AccessEnded, BlobMissing, ForeignKeyring, Rollback, Tampered)


@pytest.fixture
def world(chain: Chain, tmp_path: Path) -> World:
    desk = new_owner(tmp_path / "desk", chain.rpc_url)
    vault = new_vault(desk, "novel", tmp_path / "blobs")
    vault.remember("first")
    vault.sync()
    phone, laptop = (device(desk, tmp_path / name, name) for name in ("phone", "laptop"))
    laptop.vault().remember("properly, from the laptop")
    laptop.vault().sync()
    tool = granted(vault, tmp_path / "tool", "claude")
    reader = tool.reader
    hostile = laptop.vault()
    made = World(chain, tmp_path, desk, phone, laptop, reader, tool, hostile._view(hostile.record()))
    assert texts(made.vault) == texts(made.on_phone) == texts(reader) == BEFORE
    return made


BEFORE = ["first", "properly, from the laptop"]


def follows(world: World, *more: str) -> None:
    """Every honest party reads the same, writes on, and finds all of it whole; the laptop is out."""
    expected = sorted([*BEFORE, *more])
    assert texts(world.vault) == expected
    assert texts(world.on_phone) == texts(world.reader) == expected
    world.on_phone.remember("and on, from the phone")
    world.on_phone.sync()
    assert texts(world.vault) == texts(world.reader) == sorted([*expected, "and on, from the phone"])
    for verified in (world.vault.verify(), world.on_phone.verify(), world.reader.verify()):
        assert verified.whole
        assert verified.memories == len(expected) + 1
    assert [holder.name for holder in world.vault.roster().holders if holder.name == "laptop"] == []
    assert world.account not in [found.grantee for found in world.vault.public_grants()]
    with pytest.raises(AccessEnded):
        world.hostile.memories()


# Rubbish heads --------------------------------------------------------------------------------------------------------


def missing(world: World) -> None:
    world.commit(os.urandom(32), os.urandom(32))


def noise(world: World) -> None:
    blob = os.urandom(2_120)
    world.store(blob)
    world.commit(sha256(blob), os.urandom(32))


def signed(world: World, head: Head, *, by: OwnerKeys | None = None, root: bytes | None = None) -> None:
    """A head as the laptop's keys seal it."""
    keys = world.at.keyring.owner_keys
    blob = seal_head(world.hostile.place, keys.epoch, keys.secret, (by or keys).writer_key, head)
    world.store(blob)
    world.commit(sha256(blob), root or head.log.memory_root)


def following(world: World, *packs: PackRef, log: Frontier | None = None) -> Head:
    at = world.at
    return at.head.next(at.head_ref, at.base, world.vault.record().version + 1, packs, log or at.head.log)


def badly_signed(world: World) -> None:
    signed(world, following(world), by=OwnerKeys.new(1))


def of_another_version(world: World) -> None:
    signed(world, replace(following(world), version=2))


def of_another_log(world: World) -> None:
    signed(world, following(world), root=FIRST.log.memory_root)


def without_its_packs(world: World) -> None:
    signed(world, replace(following(world), base=None, age=0, packs=()))


def emptied(world: World) -> None:
    signed(world, replace(following(world), base=None, age=0, packs=(), log=FIRST.log))


def with_a_pack_that_is_not_there(world: World) -> None:
    (entry,) = entries([new("not stored", created=None, tags=())])
    log = world.at.head.log.extended([entry.commitment(world.hostile.place)])
    signed(world, following(world, PackRef(os.urandom(32), 1, 1), log=log))


def with_a_keyring_that_is_noise(world: World) -> None:
    ring, head = os.urandom(40_000), os.urandom(2_120)
    world.store(ring, head)
    world.commit(sha256(head), os.urandom(32), ring)


RUBBISH = [
    *(missing, noise, badly_signed, of_another_version, of_another_log, without_its_packs, emptied),
    *(with_a_pack_that_is_not_there, with_a_keyring_that_is_noise),
]


def test_rubbish_heads__of_every_kind__refused_by_all_and_passed_over(world: World) -> None:
    private = grant(world.vault, world.folder / "private", "private", private=True).reader
    with pytest.raises(InvalidRequest, match="opens and is whole"):
        world.vault.go_on()
    good, world.at = world.vault.record().head_version, world.hostile._view(world.hostile.record())
    for number, commit in enumerate(RUBBISH, start=1):
        commit(world)
        for read in (world.vault.memories, world.reader.memories):
            with pytest.raises(REFUSED):
                read()
        plan = world.vault.detour()
        assert (plan.version, plan.memories, len(plan.skipped)) == (good, 2, number), commit.__name__
        last = plan.skipped[-1]
        assert (last.version, last.actor, last.name) == (world.vault.record().version, world.account, "laptop")
    with pytest.raises(InvalidRequest, match="Only the owner"):
        world.on_phone.go_on()
    revoke(world)
    plan = world.vault.detour()
    assert (len(plan.skipped), plan.revoked, plan.unsure) == (len(RUBBISH), (), ("private",))
    assert [holder.name for holder in plan.holders] == [world.desk.session.config.device, "phone", "claude", "private"]
    with pytest.raises(InvalidRequest, match="may private readers such as 'private' stay"):
        world.vault.go_on()
    world.vault.go_on(keep_private=True)
    assert texts(private) == BEFORE
    follows(world)
    lines, error = read_elsewhere(world.reader_files, world.folder / "blobs")  # in another language, by FORMAT.md alone
    assert (error, sorted(line["content"] for line in lines)) == ("", texts(world.reader))


def revoke(world: World) -> None:
    """From any wallet screen."""
    registry = world.chain.registry()
    transact(registry, world.desk.session.wallet, registry.revoke(world.vault.place.vault_id, world.account))


def test_go_on__over_what_was_committed_on_a_bad_head__it_waits_again(world: World) -> None:
    """Packs are not read to commit, so others may have built on a head whose packs are missing."""
    with_a_pack_that_is_not_there(world)
    world.vault.remember("built on it")
    world.vault.sync()
    world.on_phone.remember("and on")
    world.on_phone.sync()
    with pytest.raises(BlobMissing):
        world.vault.memories()
    plan = world.vault.detour()
    assert [item.name for item in plan.skipped] == ["laptop", None, "phone"]
    assert [found.grantee for found in plan.revoked] == [world.account]
    world.vault.go_on()
    assert world.vault.waiting() == 1
    assert world.vault.sync().committed == 1
    assert world.on_phone.sync().committed >= 1
    follows(world, "built on it", "and on")


def test_go_on__from_a_version_that_is_named__what_came_after_is_passed_over_for_good(world: World) -> None:
    first = next(c.version for c in world.chain.registry().commits(world.vault.place.vault_id) if c.version > 1)
    assert world.vault.detour(first).memories == 1
    with pytest.raises(InvalidRequest, match="No commit made version 99"):
        world.vault.detour(99)
    world.vault.go_on(from_version=first)
    assert (world.vault.waiting(), texts(world.vault), texts(world.reader)) == (0, ["first"], ["first"])


# Keyrings that leave the owner out ------------------------------------------------------------------------------------


def ring_without(world: World, *names: str, rotating: bool) -> tuple[OwnerKeys, bytes]:
    """A keyring that the laptop's keys vouch for."""
    view = world.at
    keys = OwnerKeys.new(view.record.epoch + 1) if rotating else view.keyring.owner_keys
    roster = roster_of(view.keyring)
    kept = replace(roster, holders=tuple(holder for holder in roster.holders if holder.name not in names))
    ring = seal_keyring(world.hostile.place, keys, kept, view.keyring)
    world.store(ring)
    return keys, ring


def take_over(world: World, *names: str, rotating: bool) -> None:
    """The laptop commits a memory, and a keyring without some."""
    keys, ring = ring_without(world, *names, rotating=rotating)
    batch = entries([new("with the hostile keyring", created=None, tags=())])
    pack = seal_pack(world.hostile.place, keys.epoch, keys.secret, batch)
    log = world.at.head.log.extended([entry.commitment(world.hostile.place) for entry in batch])
    head = following(world, PackRef(sha256(pack), keys.epoch, 1), log=log)
    blob = seal_head(world.hostile.place, keys.epoch, keys.secret, keys.writer_key, head)
    world.store(pack, blob)
    world.commit(sha256(blob), log.memory_root, ring, keys.epoch)


def test_keyring__of_the_same_epoch_without_the_owner__its_head_stays(world: World) -> None:
    take_over(world, world.desk.session.config.device, "phone", "claude", rotating=False)
    with pytest.raises(AccessEnded, match="has been left out") as told:
        world.vault.sync()
    assert f"was committed by account {world.account}" in told.value.cause
    assert "go-on" in told.value.next_step
    plan = world.vault.detour()
    assert (plan.left_out_by, plan.skipped, plan.memories) == (world.account, (), 3)
    world.vault.go_on()
    follows(world, "with the hostile keyring")


def test_keyring__of_the_next_epoch_without_anybody_else__goes_on_from_before(world: World) -> None:
    good = world.vault.record().keyring_hash
    take_over(world, world.desk.session.config.device, "phone", "claude", rotating=True)
    (world.folder / "blobs" / good.hex()).unlink()  # the device has a copy of its own
    with pytest.raises(AccessEnded):
        world.vault.sync()
    plan = world.vault.detour()
    assert (plan.left_out_by, len(plan.skipped), plan.memories) == (world.account, 1, 2)
    assert "keys of epoch 2, which this device does not have" in plan.skipped[0].why
    world.vault.go_on()
    assert world.vault.record().epoch == 3
    follows(world)


def test_keyring__without_the_owner_that_others_have_followed__they_follow_the_owner_and_lose_nothing(
    world: World,
) -> None:
    """Phone and reader have taken the laptop's keys for good, and the phone has committed under them."""
    take_over(world, world.desk.session.config.device, rotating=True)
    world.on_phone.remember("from the phone, under the hostile keys")
    world.on_phone.sync()
    assert len(texts(world.reader)) == 4
    with pytest.raises(AccessEnded):
        world.vault.memories()
    world.vault.go_on()
    assert texts(world.vault) == texts(world.reader) == BEFORE
    assert texts(world.on_phone) == BEFORE
    assert world.on_phone.sync().committed == 1  # what it has copies of
    follows(world, "from the phone, under the hostile keys")


def commit_foreign(world: World) -> None:
    """The laptop brings a keyring with everybody in it, and the kit, that nobody's keys vouch for."""
    record, place = world.vault.record(), world.hostile.place
    keys, roster = OwnerKeys.new(record.epoch + 1), roster_of(world.at.keyring)
    ring, head = seal_keyring(place, keys, roster), following(world)
    blob = seal_head(place, keys.epoch, keys.secret, keys.writer_key, replace(head, version=record.version + 1))
    world.store(ring, blob)
    world.commit(sha256(blob), head.log.memory_root, ring, keys.epoch)


@pytest.mark.parametrize("first", [True, False])
def test_restore__newest_keyring_is_hostile__goes_on_with_kit_sheet_and_wallet_alone(
    world: World, tmp_path: Path, first: bool
) -> None:
    """One that leaves the kit out, or one of the laptop's own that opens: before the restore, or after it."""
    desk, new = Machine(tmp_path, forked=True), new_machine(tmp_path / "new")
    new.forked = True
    option, kit = ("--kit-passphrase-fd", "0"), tmp_path / "kit.key"
    home = ("--home", str(world.desk.home.folder))
    made = desk.quick(*home, "kit", "make", "--file", str(kit), *option, "--json", stdin="of the kit\n").answer["data"]
    (tmp_path / "sheet.txt").write_text(made["sheet"])
    world.at = world.hostile._view(world.hostile.record())
    if first:
        commit_foreign(world)
    else:
        take_over(world, world.desk.session.config.device, "phone", "claude", "recovery kit", rotating=True)

    words = ["restore", "--kit-file", str(kit), "--sheet", str(tmp_path / "sheet.txt"), *option]
    words += ["--wallet", str(world.desk.home.wallet)]
    dry = new.quick(*words, "--dry-run", stdin="of the kit\n")
    assert "another account than the owner's brought a keyring" in dry.out, dry.err
    assert not new.folder.exists()
    begun = new.quick(*words, stdin="of the kit\n")
    assert "Next: memsync vault go-on novel --dry-run" in begun.out, begun.err
    if not first:
        commit_foreign(world)
    refused = new.refusal("list")
    assert refused["name"] == "ForeignKeyring"
    assert "memsync vault go-on novel" in refused["next_step"]
    assert new.refusal("restore", "--kit", "--no-kit")["name"] == "ForeignKeyring"
    gone = new.data("vault", "go-on", "--yes")
    assert (gone["left_out_by"], gone["revoked"]) == (world.account, [world.account])
    back = new.data("restore", "--kit", "--no-kit", "--keep-devices", "--keep-readers")
    assert (back["finished"], back["vaults"][0]["memories"]) == (True, 2)
    assert sorted(memory["content"] for memory in new.data("list")) == BEFORE
    world.on_phone.sync()
    follows(world)


def test_restore__of_a_device_key_file_after_hostile_keyrings__goes_on_with_the_owners_wallet_alone(
    world: World, tmp_path: Path
) -> None:
    """The laptop brings one of its own that opens, and then one that leaves the desk out. A key file has no sheet: it
    goes on from what the owner's own account vouches for."""
    commit_foreign(world)
    take_over(world, world.desk.session.config.device, "phone", "claude", rotating=True)
    new = new_machine(tmp_path / "new")
    new.forked = True
    words = ["restore", str(world.desk.home.device_key), "--owner", world.desk.session.config.owner]
    words += ["--rpc", world.chain.rpc_url]
    refused = new.refusal(*words)
    assert refused["name"] == "AccessEnded"
    assert "With the owner's wallet this key goes on from before it: --wallet WALLET." in refused["next_step"]
    assert new.refusal("list")["name"] == "NotInitialised"

    words += ["--wallet", str(world.desk.home.wallet)]
    brought = world.chain.registry().keyring_history(world.vault.place.vault_id)
    owners = [blob for blob, _, actor in brought if actor == world.desk.session.config.owner][-1]
    blob = world.folder / "blobs" / owners.hex()
    kept = blob.read_bytes()
    blob.unlink()  # nothing vouches for what opens then
    assert new.refusal(*words)["name"] == "AccessEnded"
    world.store(kept)
    (line,) = new.data(*words)
    assert (line["name"], line["memories"]) == ("novel", None)
    assert "was never added, or has been left out" in line["trouble"]
    gone = new.data("vault", "go-on", "--yes")
    assert (gone["left_out_by"], gone["revoked"]) == (world.account, [world.account])
    assert sorted(memory["content"] for memory in new.data("list")) == BEFORE
    world.on_phone.sync()
    follows(world)


# Nobody else can pass over a commit -----------------------------------------------------------------------------------


def skipping_head(world: World) -> None:
    """The laptop passes over the phone's commit, with a head that says so, signed as it should be."""
    world.on_phone.remember("to be passed over")
    world.on_phone.sync()
    assert "to be passed over" in texts(world.vault)
    assert "to be passed over" in texts(world.reader)
    skipped = world.vault.record()
    head = following(world)
    keys, ring = ring_without(world, rotating=False)
    blob = seal_head(
        world.hostile.place, keys.epoch, keys.secret, keys.writer_key, replace(head, skips=(skipped.content_hash,))
    )
    world.store(blob)
    world.commit(sha256(blob), head.log.memory_root, ring)


def test_skip__by_another_account_than_the_owners__is_followed_by_nobody(world: World) -> None:
    skipping_head(world)
    for read in (world.vault.memories, world.on_phone.sync, world.reader.memories, world.vault.verify):
        with pytest.raises(Tampered, match="nothing shows that the vault's owner sent it"):
            read()
    world.vault.go_on()
    follows(world, "to be passed over")


def test_skip__node_that_hides_who_sent_it__is_refused(world: World) -> None:
    """The reader has seen the laptop's head, which it could open; the node says that the owner's word for passing over
    it came from the laptop."""
    take_over(world, world.desk.session.config.device, rotating=True)
    assert len(texts(world.reader)) == 3
    world.vault.go_on()
    owner, other = (
        bytes(12).hex() + account[2:].lower() for account in (world.desk.session.config.owner, world.account)
    )

    def blamed(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getLogs":
            for log in response["result"]:
                log["topics"] = [topic.replace(owner, other) for topic in log["topics"]]
        return response

    def hidden(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        return response | {"result": []} if method == "eth_getLogs" else response

    for lie in (blamed, hidden):
        with lying(world.chain.rpc_url, lie) as url, pytest.raises((ForeignKeyring, Tampered)):
            Reader(Home(world.folder / "tool"), "claude", PASSPHRASE, rpc=url).memories()
    assert texts(world.reader) == BEFORE


# The command ----------------------------------------------------------------------------------------------------------


def test_command__dry_run_then_a_yes__and_once_more_in_the_life_of_a_vault(world: World, tmp_path: Path) -> None:
    missing(world)
    version = world.vault.record().version
    for ask in (world.vault.sync, world.vault.memories, world.on_phone.sync):
        with pytest.raises(BlobMissing) as told:
            ask()
        assert f"Version {version}, the last one, was committed by account {world.account}." in told.value.cause
        assert "memsync vault go-on novel --dry-run" in told.value.next_step
    machine = Machine(tmp_path, forked=True)
    command = ("--home", str(world.desk.home.folder), "vault", "go-on")
    shown = machine.quick(*command, "--dry-run")
    assert shown.code == 0
    assert f"Passed over: version {version} by laptop ({world.account})." in shown.out
    assert f"Revoked: {world.account}." in shown.out
    assert f"Would go on from version {version - 2}, for about " in shown.out
    assert "Nothing written." in shown.out
    asked = machine.quick(*command, "--json").answer["error"]
    assert asked["name"] == "InvalidRequest"
    assert "needs a yes" in asked["cause"]
    assert world.vault.record().version == version
    done = machine.quick(*command, "--yes", "--json").answer["data"]
    assert (done["skipped"][0]["version"], done["revoked"]) == (version, [world.account])
    assert done["made"] == version + 2
    world.laptop = device(again(world.desk), world.folder / "laptop 2", "laptop 2")
    noise(world)
    assert [item.name for item in world.vault.detour().skipped] == ["laptop 2"]
    world.vault.go_on()
    follows(world)
