"""One vault that is hostile or broken must not stop what concerns all of them, nor spread to the others."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from memsync_client import keyfile
from memsync_client.client import Client
from memsync_client.devices import add_device, devices, join, known_card, new_device, plan_removal, sheet_for
from memsync_client.errors import (
    AccessEnded,
    ForeignKeyring,
    InvalidKit,
    InvalidRequest,
    StorageUnavailable,
    UnknownDevice,
)
from memsync_client.home import Home
from memsync_client.keyring import Holder, Role, Roster
from memsync_client.keys import HolderKey, PublicKey
from memsync_client.recovery import kit_key, kit_sheet, look, set_kit
from memsync_client.storage import open_storage
from memsync_client.transactions import Call
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, Machine, again, new_owner, new_vault, texts
from tests.e2e.test_misuse import bring, wallet_of
from tests.nodes import Chain, transact


@pytest.fixture
def owner(chain: Chain, tmp_path: Path) -> Client:
    """With two vaults, each with one memory."""
    client = new_owner(tmp_path / "owner", chain.rpc_url)
    for name in ("first", "second"):
        vault = new_vault(client, name, tmp_path / name)
        vault.remember(f"kept in {name}")
        vault.sync()
    return client


def a_key() -> PublicKey:
    return HolderKey(os.urandom(32)).xwing.public


def plant(vault: Vault, name: str, by: PublicKey, role: Role = Role.DEVICE) -> PublicKey:
    """What a device that holds the vault's keys can write into the roster, whoever has added it."""
    key = a_key()
    line = Holder(key, role, name, 1, None, None, by.id)

    def change(roster: Roster) -> Roster:
        return replace(roster, holders=(*roster.holders, line))

    vault.change_holders(change)
    return key


def names(vault: Vault) -> set[str]:
    return {holder.name for holder in vault.roster().holders}


def test_foreign_keyring__in_one_vault__is_named_and_the_others_go_on(
    owner: Client, chain: Chain, tmp_path: Path
) -> None:
    kit = HolderKey(os.urandom(32))
    set_kit(owner, kit.xwing.public)
    bring(owner.vault("first"), chain, tmp_path / "first", rotating=False)
    said: list[str] = []
    client = again(owner)
    client.session.say = said.append
    made = client.new_vault("third", (tmp_path / "second").as_uri() + "/")
    assert [holder.role for holder in made.holders] == [Role.DEVICE, Role.KIT]
    assert {label: type(error) for label, error in client.shut.items()} == {"first": ForeignKeyring}
    assert any(line.startswith("first can't be opened, and is passed over") for line in said)
    assert [line.reads for line in devices(client)] == [("second", "third")]
    assert known_card(client, "laptop") is None
    assert kit_key(client) == kit.xwing.public
    assert set(sheet_for(client, bytes(32)).anchors) == {
        client.vault(name).place.vault_id for name in ("second", "third")
    }
    assert set(kit_sheet(client).anchors) == set(sheet_for(client, bytes(32)).anchors)

    home = Home(tmp_path / "laptop")
    card = new_device(home, PASSPHRASE, "laptop", rpc=chain.rpc_url)
    assert [vault.label for vault in join(home, PASSPHRASE, add_device(client, card))] == ["second", "third"]
    assert list(plan_removal(client, "laptop").added) == ["second", "third"]


def test_foreign_keyring__in_the_only_vault__is_raised_and_a_new_one_can_be_made(chain: Chain, tmp_path: Path) -> None:
    client = new_owner(tmp_path / "owner", chain.rpc_url)
    kit = a_key()
    set_kit(client, kit)
    bring(new_vault(client, "only", tmp_path / "only"), chain, tmp_path / "only", rotating=False)
    with pytest.raises(ForeignKeyring):
        devices(client)
    made = client.new_vault("new", (tmp_path / "only").as_uri() + "/")
    assert [holder.key for holder in made.holders] == [client.session.device_public, kit]


@pytest.mark.parametrize("role", [Role.DEVICE, Role.KIT])
def test_planted_line__in_one_vault__does_not_spread_to_new_ones(owner: Client, tmp_path: Path, role: Role) -> None:
    planted = plant(owner.vault("first"), "planted", owner.session.device_public, role)
    made = owner.new_vault("third", (tmp_path / "first").as_uri() + "/")
    assert [holder.key for holder in made.holders] == [owner.session.device_public]
    assert [holder.key for holder in made.left_out] == [planted]
    assert names(made.vault) == {owner.session.config.device}


def test_line_of_this_device__in_another_role__is_a_device_in_new_vaults(owner: Client, tmp_path: Path) -> None:
    mine = owner.session.device_public
    owner.vault("first").change_holders(
        lambda roster: replace(roster, holders=(*(replace(h, role=Role.KIT) for h in roster.holders if h.key == mine),))
    )
    made = owner.new_vault("third", (tmp_path / "first").as_uri() + "/")
    assert [(holder.key, holder.role) for holder in made.holders] == [(mine, Role.DEVICE)]


def test_kit_that_was_replaced_elsewhere__never_gets_into_a_new_vault(owner: Client, tmp_path: Path) -> None:
    """This home has noted the old one; another device has made the new one, and was removed together with it."""
    old, new = a_key(), a_key()
    set_kit(owner, old)
    note = owner.home.kit()
    set_kit(owner, new)
    owner.home.write_kit(note)
    for vault in owner.vaults():
        vault.leave_out([new.id])
    made = owner.new_vault("third", (tmp_path / "first").as_uri() + "/")
    assert [holder.role for holder in made.holders] == [Role.DEVICE]


def test_kits_of_two_vaults__that_differ__no_sheet_says_that_one_opens_all(owner: Client) -> None:
    for name in ("first", "second"):
        owner.vault(name).set_kit(a_key())
    with pytest.raises(InvalidKit, match="Not all vaults have the same"):
        kit_sheet(owner)


# Removing what was planted --------------------------------------------------------------------------------------------


def test_remove__planted_under_another_id__is_shown_before_and_can_be_removed_too(
    owner: Client, chain: Chain, tmp_path: Path
) -> None:
    laptop = Home(tmp_path / "laptop")
    add_device(owner, new_device(laptop, PASSPHRASE, "laptop", rpc=chain.rpc_url))
    planted = plant(owner.vault("first"), "desk", owner.session.device_public)
    machine = Machine(tmp_path)
    command = ("--home", str(owner.home.folder), "device", "remove")
    dry = machine.quick(*command, "laptop", "--dry-run", "--json").answer["data"]
    me = owner.session.config.device
    assert [(line["name"], line["key_id"], line["vaults"]) for line in dry["remaining"]] == [
        (me, owner.session.device_public.id.hex(), ["first", "second"]),
        ("desk", planted.id.hex(), ["first"]),
    ]
    before = [vault.record().version for vault in owner.vaults()]
    asked = machine.quick(*command, "laptop", "--json")
    assert asked.code == InvalidRequest.exit_code
    assert "desk (device) would still hold keys" in json.loads(asked.out)["error"]["cause"]
    assert [vault.record().version for vault in owner.vaults()] == before
    assert machine.quick(*command, "laptop", "--yes").code == 0
    assert names(owner.vault("first")) == {me, "desk"}
    assert machine.quick(*command, planted.id.hex()[:16], "--yes").code == 0
    assert names(owner.vault("first")) == {me}


def test_two_devices_of_one_name__are_told_apart_by_their_keys(owner: Client) -> None:
    mine = owner.session.device_public
    one, two = (plant(owner.vault(name), "laptop", mine) for name in ("first", "second"))
    with pytest.raises(UnknownDevice, match="More than one device is named 'laptop'"):
        known_card(owner, "laptop")
    with pytest.raises(UnknownDevice, match=f"laptop \\({one.id.hex()[:16]}\\)"):
        plan_removal(owner, "laptop")
    assert plan_removal(owner, two.id.hex()[:8]).key_id == two.id
    with pytest.raises(UnknownDevice):
        plan_removal(owner, two.id.hex()[:4])


def test_removed_device__is_told_so__and_not_to_ask_for_a_grant(owner: Client, chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "laptop")
    sheet = add_device(owner, new_device(home, PASSPHRASE, "laptop", rpc=chain.rpc_url))
    join(home, PASSPHRASE, sheet)
    laptop = Client(home, PASSPHRASE)
    for vault in owner.vaults():
        vault.leave_out([laptop.session.device_public.id])
    with pytest.raises(AccessEnded, match="has been left out") as told:
        laptop.vault("first").memories()
    assert "memsync device add" in told.value.next_step
    with pytest.raises(AccessEnded, match="has been left out"):
        look(laptop.session.device, replace(sheet, anchors={}))


def test_rekey__that_one_vault_stops__is_said_and_the_others_sync(owner: Client, chain: Chain, tmp_path: Path) -> None:
    bring(owner.vault("first"), chain, tmp_path / "first", rotating=False)
    with pytest.raises(ForeignKeyring, match=r"^first: "):
        owner.vault("second").rekey()
    assert owner.home.next_key.exists()
    said: list[str] = []
    client = again(owner)
    client.session.say = said.append
    client.vault("second").remember("goes on")
    assert client.vault("second").sync().committed == 1
    assert any("old key of this device is still to be destroyed: first: " in line for line in said)
    assert texts(client.vault("second")) == ["goes on", "kept in second"]


def test_rekey__what_killed_processes_have_left__holds_no_old_key(owner: Client) -> None:
    home = owner.home
    old = keyfile.unlock(home.device_key, PASSPHRASE)
    left = home.folder / "passphrase.unfinished"
    left.mkdir()
    for copy in (left / "device.key", home.folder / ".device.key.0badcafe.tmp"):
        copy.write_bytes(home.device_key.read_bytes())
    owner.vault("first").rekey()
    assert keyfile.public_key(home.device_key) != old.xwing.public
    public = old.xwing.public.raw.hex().encode()
    assert [path for path in home.folder.rglob("*") if path.is_file() and public in path.read_bytes()] == []


# A base URI that is no text -------------------------------------------------------------------------------------------


def test_base_uri__not_utf_8__of_a_vault_that_was_taken_over__hides_no_other(
    owner: Client, chain: Chain, tmp_path: Path
) -> None:
    registry, stranger = chain.registry(), chain.wallet()
    call = registry.create(1, b"\1" * 32, bytes(32), b"\2" * 32, "zz")
    prepared = registry.prepare(call, stranger.address)
    assert prepared.data.count(b"zz") == 1
    raw = replace(prepared, data=prepared.data.replace(b"zz", b"\xff\xfe"), gas_limit=prepared.gas_limit * 2)
    registry.wait(registry.submit(raw, stranger, lambda _: None), timeout=60)
    hostile = registry.vault_id_of(stranger.address, 1)
    transact(registry, stranger, Call("offer", (hostile, 1, owner.session.config.owner, 2**40 - 1)))
    transact(registry, wallet_of(owner.vault("first")), Call("accept", (hostile,)))

    mine = [vault.place.vault_id for vault in owner.vaults()]
    assert set(registry.vaults(owner.session.config.owner)) == {*mine, hostile}
    assert registry.record(hostile).base_uri == "\ufffd\ufffd"
    with pytest.raises(StorageUnavailable, match="base URI on chain is not text"):
        open_storage(registry.record(hostile).base_uri)
    said: list[str] = []
    client = again(owner)
    client.session.say = said.append
    assert client.adopt() == []
    assert ["is not text" in line for line in said] == [True]
    home = Home(tmp_path / "laptop")
    sheet = add_device(client, new_device(home, PASSPHRASE, "laptop", rpc=chain.rpc_url))
    assert {vault.label for vault in join(home, PASSPHRASE, sheet)} == {"first", "second"}
    with pytest.raises(InvalidRequest, match=f"Whether vault 0x{hostile.hex()} on chain needs"):
        client.vault("first").rekey()  # told which one it is
