"""Machines of the owner with keys of their own: added by comparing words, syncing by themselves, and left out again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from memsync_client.cards import DeviceCard
from memsync_client.client import Client
from memsync_client.devices import (
    add_device,
    devices,
    join,
    known_card,
    new_device,
    plan_removal,
    remove_device,
    sheet_for,
)
from memsync_client.errors import (
    AccessEnded,
    ForeignKeyring,
    InvalidKit,
    InvalidRequest,
    NotInitialised,
    TransactionRefused,
    UnknownDevice,
    VaultLocked,
)
from memsync_client.holding import added_by
from memsync_client.home import Home
from memsync_client.keyring import Holder, Role
from memsync_client.keys import Anchor, HolderKey
from memsync_client.recovery import set_kit
from memsync_client.vault import Vault
from tests.client.material import holder
from tests.e2e.machines import PASSPHRASE, again, grant, keystore, new_machine, new_owner, new_vault, texts
from tests.nodes import Chain


@pytest.fixture
def desk(chain: Chain, tmp_path: Path) -> Client:
    """An owner with a vault that has one memory."""
    client = new_owner(tmp_path / "desk", chain.rpc_url)
    vault = new_vault(client, "novel", tmp_path / "blobs")
    vault.remember("first")
    vault.sync()
    return client


def begun(folder: Path, rpc: str, name: str, *, commit: bool = True) -> tuple[Home, DeviceCard]:
    home = Home(folder)
    if commit:
        folder.mkdir()
        keystore(home.wallet)  # as `new_device` would make it, but quick to open
    return home, new_device(home, PASSPHRASE, name, rpc=rpc, commit=commit)


def added(by: Client, folder: Path, name: str, *, commit: bool = True, lasting: timedelta | None = None) -> Client:
    """A device that has joined."""
    home, card = begun(folder, by.session.config.rpc, name, commit=commit)
    sheet = add_device(by, card, lasting or timedelta(days=730))
    join(home, PASSPHRASE, sheet)
    return Client(home, PASSPHRASE)


def names(vault: Vault) -> list[str]:
    return [holder.name for holder in vault.roster().holders]


def rights(vault: Vault) -> list[tuple[str, int]]:
    return [(grant.grantee, grant.rights) for grant in vault.public_grants()]


# Adding ---------------------------------------------------------------------------------------------------------------


def test_device__with_an_account__reads_and_syncs_by_itself(desk: Client, tmp_path: Path) -> None:
    vault = desk.vault()
    laptop = added(desk, tmp_path / "laptop", "laptop")
    account = laptop.session.wallet.address
    assert account != desk.session.config.owner == laptop.session.config.owner
    assert (vault.record().epoch, rights(vault)) == (1, [(account, 6)])
    there = laptop.vault()
    there.remember("from the laptop")
    assert there.sync().committed == 1
    vault.remember("from the desk")
    vault.sync()
    assert texts(there) == texts(vault) == ["first", "from the desk", "from the laptop"]
    assert laptop.take_in() == ([], {})
    actors = [event.actor for event in vault._session.registry.commits(vault.place.vault_id)]
    assert actors == [desk.session.config.owner] * 2 + [account, desk.session.config.owner]
    assert vault.grants() == []  # a device is no reader


def test_device__with_an_account__brings_keyrings_and_takes_no_verb_of_the_owner(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    there, owner = laptop.vault(), desk.session.config.owner
    reader = grant(desk.vault(), tmp_path / "tool", "claude")
    private = grant(there, tmp_path / "private", "private", private=True)
    assert texts(private.reader) == ["first"]
    for only_the_owner in (
        lambda: grant(there, tmp_path / "other", "other"),
        lambda: there.revoke("claude"),
        lambda: laptop.new_vault("mine", (tmp_path / "blobs").as_uri() + "/"),
        lambda: add_device(laptop, begun(tmp_path / "third", laptop.session.config.rpc, "third")[1]),
    ):
        with pytest.raises(InvalidRequest, match=f"Only the owner {owner} may do this") as refused:
            only_the_owner()
        assert "the machine that has the owner's wallet" in refused.value.next_step
    desk.vault().revoke("claude")
    there.sync()
    with pytest.raises(AccessEnded):
        reader.reader.memories()
    assert texts(there) == ["first"]


def test_device__without_an_account__reads_and_lets_wait(desk: Client, tmp_path: Path) -> None:
    tablet = added(desk, tmp_path / "tablet", "tablet", commit=False)
    assert texts(tablet.vault()) == ["first"]
    tablet.vault().remember("from the sofa")
    with pytest.raises(NotInitialised, match="can read and not commit"):
        tablet.vault().sync()
    assert rights(desk.vault()) == []


def test_device__can_add_another__that_has_no_account(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    tablet = added(laptop, tmp_path / "tablet", "tablet", commit=False)
    assert texts(tablet.vault()) == ["first"]
    assert [(line.name, line.added_by, line.this, line.commits) for line in devices(tablet)] == [
        (desk.session.config.device, desk.session.config.device, False, ()),
        ("laptop", desk.session.config.device, False, ("novel",)),
        ("tablet", "laptop", True, ()),
    ]


def test_add__again__changes_nothing_but_what_is_missing(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    card = known_card(desk, "laptop")
    assert card is not None
    version = desk.vault().record().version
    add_device(desk, card)
    assert desk.vault().record().version == version
    late = new_vault(desk, "late", tmp_path / "late")
    assert "laptop" in names(late)
    assert rights(late) == []
    add_device(desk, card)
    assert rights(late) == [(laptop.session.wallet.address, 6)]
    (found,) = laptop.adopt()
    found.remember("late too")
    assert found.sync().committed == 1


def test_add__longer_before_it_ends__prolongs_the_right(desk: Client, tmp_path: Path) -> None:
    added(desk, tmp_path / "laptop", "laptop", lasting=timedelta(days=2))
    card = known_card(desk, "laptop")
    assert card is not None
    (before,) = desk.vault().public_grants()
    add_device(desk, card, timedelta(days=90))
    (after,) = desk.vault().public_grants()
    assert after.expires - before.expires > timedelta(days=80)


def test_add__expired_right__device_stays_and_commits_no_more(chain: Chain, desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop", lasting=timedelta(days=1))
    chain.pass_time(2 * 86_400)
    laptop.vault().remember("too late")
    with pytest.raises(TransactionRefused, match="may not write to the vault"):
        laptop.vault().sync()
    desk.vault().leave_out([])
    reader = grant(desk.vault(), tmp_path / "tool", "claude")
    desk.vault().revoke(reader.result.reader)
    assert desk.vault().record().epoch == 2
    assert names(desk.vault()) == [desk.session.config.device, "laptop"]
    assert [line.commits for line in devices(desk)] == [(), ()]


def test_add__name_or_key_that_is_taken__is_refused(desk: Client, tmp_path: Path) -> None:
    rpc = desk.session.config.rpc
    added(desk, tmp_path / "laptop", "laptop", commit=False)
    _, same_name = begun(tmp_path / "other", rpc, "laptop", commit=False)
    with pytest.raises(InvalidRequest, match="device 'laptop' with this name already"):
        add_device(desk, same_name)
    reader = grant(desk.vault(), tmp_path / "tool", "claude")
    with pytest.raises(InvalidRequest, match="reader 'claude' with this key already"):
        add_device(desk, replace(same_name, name="mine", key=reader.reader._key.xwing.public))
    with pytest.raises(InvalidRequest, match="of chain 1,"):
        add_device(desk, replace(same_name, chain_id=1))


def test_add__to_a_locked_vault__asks_for_a_sync(desk: Client, tmp_path: Path) -> None:
    vault = desk.vault()
    session = desk.session
    session.land(session.prepare(session.registry.rotate(vault.place.vault_id)))
    _, card = begun(tmp_path / "laptop", desk.session.config.rpc, "laptop", commit=False)
    with pytest.raises(VaultLocked, match="to be renewed first"):
        add_device(desk, card)


def test_new_device__again__is_the_same_card_and_another_name_is_refused(desk: Client, tmp_path: Path) -> None:
    rpc = desk.session.config.rpc
    home, card = begun(tmp_path / "laptop", rpc, "laptop")
    assert new_device(home, PASSPHRASE, "laptop", rpc=rpc) == card
    with pytest.raises(InvalidRequest, match="A device 'laptop' on chain 31337 was begun here"):
        new_device(home, PASSPHRASE, "desktop", rpc=rpc)
    with pytest.raises(InvalidRequest, match="looks like an account's address"):
        new_device(Home(tmp_path / "x"), PASSPHRASE, "0x7099…79C8".replace("…", "7970"), rpc=rpc)


# Joining --------------------------------------------------------------------------------------------------------------


def test_join__sheet_of_another__or_without_being_added__is_refused(desk: Client, tmp_path: Path) -> None:
    home, card = begun(tmp_path / "laptop", desk.session.config.rpc, "laptop", commit=False)
    with pytest.raises(AccessEnded):
        join(home, PASSPHRASE, sheet_for(desk, card.key.id))
    assert not home.initialised
    with pytest.raises(InvalidKit, match="made for another device"):
        join(home, PASSPHRASE, sheet_for(desk, bytes(32)))
    with pytest.raises(NotInitialised, match="No device was begun"):
        join(Home(tmp_path / "empty"), PASSPHRASE, sheet_for(desk, card.key.id))
    sheet = add_device(desk, card)
    with pytest.raises(InvalidKit, match="is of chain 5"):
        join(home, PASSPHRASE, replace(sheet, chain_id=5))
    assert [vault.label for vault in join(home, PASSPHRASE, sheet)] == ["novel"]


def test_join__vault_that_does_not_follow_from_the_sheet__is_refused(desk: Client, tmp_path: Path) -> None:
    home, card = begun(tmp_path / "laptop", desk.session.config.rpc, "laptop", commit=False)
    sheet = add_device(desk, card)
    ((vault_id, anchor),) = sheet.anchors.items()
    with pytest.raises(ForeignKeyring, match="does not follow from the sheet"):
        join(home, PASSPHRASE, replace(sheet, anchors={vault_id: Anchor(anchor.epoch, bytes(32), anchor.check)}))
    assert not home.initialised
    assert home.labels() == {}


# Removing -------------------------------------------------------------------------------------------------------------


def test_remove__takes_the_right_back_and_the_keys(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    vault = desk.vault()
    remove_device(desk, plan_removal(desk, "laptop"))
    assert (names(vault), rights(vault), vault.record().locked) == ([desk.session.config.device], [], False)
    vault.remember("not for the laptop")
    vault.sync()
    with pytest.raises(AccessEnded):
        again(laptop).vault().memories()
    registry, record = laptop.session.registry, vault.record()
    rubbish = registry.commit(record.vault_id, record.version, record.epoch, b"\1" * 32, record.memory_root)
    with pytest.raises(TransactionRefused, match="may not write"):
        registry.prepare(rubbish, laptop.session.wallet.address)
    with pytest.raises(UnknownDevice, match="No device is named 'laptop'"):
        plan_removal(desk, "laptop")


def test_remove__of_one_without_an_account__needs_no_owner(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    tablet = added(desk, tmp_path / "tablet", "tablet", commit=False)
    remove_device(laptop, plan_removal(laptop, "tablet"))
    assert names(desk.vault()) == [desk.session.config.device, "laptop"]
    with pytest.raises(AccessEnded):
        tablet.vault().memories()
    desk.vault().remember("goes on")
    assert desk.vault().sync().committed == 1


def test_remove__drops_what_it_had_added(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    tablet = added(laptop, tmp_path / "tablet", "tablet", commit=False)
    private = grant(laptop.vault(), tmp_path / "tool", "private", private=True)
    plan = plan_removal(desk, "laptop")
    assert {holder.name for holder in plan.added["novel"]} == {"tablet", "private"}
    remove_device(desk, plan)
    assert names(desk.vault()) == [desk.session.config.device]
    for gone in (tablet.vault(), private.reader):
        with pytest.raises(AccessEnded):
            gone.memories()


def test_added_by__follows_the_chain_in_any_order_and_spares_myself() -> None:
    keys = {name: holder(name).xwing.public for name in ("desk", "laptop", "tablet", "phone", "claude")}

    def line(name: str, by: str, role: Role = Role.DEVICE) -> Holder:
        return Holder(keys[name], role, name, 1, None, None, keys[by].id)

    lines = [
        line("claude", "phone", Role.READER),
        line("phone", "tablet"),
        line("tablet", "laptop"),
        line("laptop", "laptop"),
        line("desk", "laptop"),
    ]
    laptop = lines[3]
    assert {gone.name for gone in added_by(lines, laptop, keys["desk"].id)} == {"tablet", "phone", "claude"}
    assert {gone.name for gone in added_by(lines, laptop, keys["phone"].id)} == {"tablet", "desk"}
    assert added_by(lines, lines[0], keys["desk"].id) == []


def test_remove__keeping_what_it_had_added__they_go_on(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    tablet = added(laptop, tmp_path / "tablet", "tablet", commit=False)
    remove_device(desk, plan_removal(desk, "laptop"), keep_added=True)
    assert names(desk.vault()) == [desk.session.config.device, "tablet"]
    assert texts(tablet.vault()) == ["first"]
    tablet_line = devices(desk)[1]
    assert tablet_line.added_by is None


def test_remove__the_last_one_or_the_last_that_is_left__is_refused(desk: Client, tmp_path: Path) -> None:
    name = desk.session.config.device
    with pytest.raises(InvalidRequest, match="last device, and there is no recovery kit"):
        remove_device(desk, plan_removal(desk, name))
    laptop = added(desk, tmp_path / "laptop", "laptop")
    plan = plan_removal(desk, name)
    assert (plan.this, plan.last) == (True, False)
    with pytest.raises(InvalidRequest, match="Nobody would be left"):
        remove_device(desk, plan)
    remove_device(desk, plan, keep_added=True)
    assert texts(laptop.vault()) == ["first"]
    with pytest.raises(AccessEnded):
        desk.vault().memories()


def test_remove__the_maker_of_the_kit__the_kit_goes_too(desk: Client, tmp_path: Path) -> None:
    laptop = added(desk, tmp_path / "laptop", "laptop")
    set_kit(laptop, HolderKey(os.urandom(32)).xwing.public)
    plan = plan_removal(desk, "laptop")
    assert [holder.role for holder in plan.added["novel"]] == [Role.KIT]
    remove_device(desk, plan)
    assert names(desk.vault()) == [desk.session.config.device]


class Killed(BaseException):
    """Where a process dies."""


def test_remove__killed_after_the_revocation__the_next_sync_leaves_it_out(
    desk: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain says that the right was taken back: no keyring that follows has the device, whoever brings it."""
    laptop = added(desk, tmp_path / "laptop", "laptop")
    plan = plan_removal(desk, "laptop")

    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(Vault, "change_holders", die)
    with pytest.raises(Killed):
        remove_device(desk, plan)
    monkeypatch.undo()
    assert desk.vault().record().locked
    after = again(desk).vault()
    after.sync()
    assert names(after) == [desk.session.config.device]
    with pytest.raises(AccessEnded):
        again(laptop).vault().memories()


def test_remove__killed_between_two_vaults__can_be_run_again(desk: Client, tmp_path: Path) -> None:
    new_vault(desk, "other", tmp_path / "other")
    added(desk, tmp_path / "laptop", "laptop")

    def die(vault: Vault, receipts: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        remove_device(desk, plan_removal(desk, "laptop"), done=die)
    assert sorted("laptop" in names(vault) for vault in desk.vaults()) == [False, True]
    remove_device(desk, plan_removal(desk, "laptop"))
    assert ["laptop" in names(vault) for vault in desk.vaults()] == [False, False]
    assert [vault.record().epoch for vault in desk.vaults()] == [2, 2]


# The command ----------------------------------------------------------------------------------------------------------


def test_commands__a_second_machine_from_card_to_removal(chain: Chain, tmp_path: Path) -> None:
    desk, laptop = new_machine(tmp_path / "desk"), new_machine(tmp_path / "laptop", "another pass")
    wallet = ("--wallet", str(keystore(tmp_path / "wallet.json")))
    assert desk.quick("init", "--rpc", chain.rpc_url, "--no-kit", "--name", "desk", *wallet).code == 0
    desk.quick("vault", "new", "novel")
    desk.quick("remember", "Ines is left-handed.")
    desk.quick("sync")

    shown = laptop.quick("device", "new", "--name", "laptop", "--rpc", chain.rpc_url, "--commit")
    card = tmp_path / "card.txt"
    card.write_text(shown.out)
    dry = desk.quick("device", "add", str(card), "--dry-run", "--json").answer["data"]
    assert f"  {dry['phrase']}\n" in shown.out
    assert 50_000 < dry["gas"] < 200_000
    assert "for 730 days, for about " in desk.quick("device", "add", str(card), "--dry-run").out
    refused = desk.quick("device", "add", str(card), "--json").answer["error"]
    assert "Are they the same?" in refused["cause"]
    added = desk.quick("device", "add", str(card), "--yes")
    assert added.code == 0, added.err
    sheet = tmp_path / "sheet.txt"
    sheet.write_text(added.out)
    joined = laptop.quick("device", "join", str(sheet), "--yes", "--json").answer["data"]
    assert (joined["vaults"], joined["commits"]) == (["novel"], True)
    assert joined["phrase"] in added.out
    again = desk.quick("device", "add", "laptop", "--dry-run", "--json").answer["data"]
    assert (again["gas"], again["fee"]) == (0, 0)  # it has all of that already
    longer = desk.quick("device", "add", "laptop", "--for", "5000d", "--dry-run", "--json").answer["data"]
    assert 30_000 < longer["gas"] < dry["gas"]

    laptop.quick("remember", "Written on the train.")
    assert laptop.quick("sync", "--json").answer["data"][0]["committed"] == 1
    assert "Written on the train." in desk.quick("list").out
    only_owner = laptop.quick("revoke", dry["address"], "--json")
    assert only_owner.code == InvalidRequest.exit_code
    assert "Only the owner" in json.loads(only_owner.out)["error"]["cause"]

    lines = desk.quick("device", "list", "--json").answer["data"]
    assert [(line["device"], line["this"], line["commits"]) for line in lines] == [
        ("desk", True, []),
        ("laptop", False, ["novel"]),
    ]
    plan = desk.quick("device", "remove", "laptop", "--dry-run", "--json").answer["data"]
    assert (plan["vaults"], plan["added"], plan["dry_run"]) == (["novel"], [], True)
    assert [(line["name"], line["role"]) for line in plan["remaining"]] == [("desk", "device")]
    assert "left out of novel, for about " in desk.quick("device", "remove", "laptop", "--dry-run").out
    asked = desk.quick("device", "remove", "laptop", "--json").answer["error"]
    assert "desk (device) would still hold keys" in asked["cause"]
    gone = desk.quick("device", "remove", "laptop", "--yes", "--json").answer["data"]
    assert 0.9 < gone["gas"] / plan["gas"] < 1.1
    assert laptop.quick("list").code == AccessEnded.exit_code
    itself = desk.quick("device", "remove", "desk", "--json").answer["error"]
    assert "(this machine)" in itself["cause"]
    last = desk.quick("device", "remove", "desk", "--yes", "--json").answer["error"]
    assert "last device" in last["cause"]
    assert desk.quick("device", "remove", "nobody", "--json").answer["error"]["name"] == "UnknownDevice"
