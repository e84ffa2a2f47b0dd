"""Forgetting at levels 2 and 3: what somebody who archived every blob and every key still opens, and with what."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from memsync_client.client import Client, restore
from memsync_client.devices import (
    DEFAULT_RIGHT,
    add_device,
    devices,
    join,
    known_card,
    new_device,
    plan_removal,
    remove_device,
)
from memsync_client.errors import InvalidRequest
from memsync_client.home import Home
from memsync_client.keeping import Level
from memsync_client.keyring import Holder, Role
from memsync_client.keys import HolderKey
from memsync_client.reader import Reader
from memsync_client.vault import Vault
from tests.client.material import secret
from tests.e2e.archives import Archive, blobs_of, copies_of, key_of, told
from tests.e2e.machines import PASSPHRASE, again, grant, new_vault, texts
from tests.nodes import Chain


def other_device(client: Client, folder: Path) -> Client:
    """The same key and wallet in another home, as a person gets it who restores."""
    home, config = Home(folder), client.session.config
    restore(home, PASSPHRASE, client.home.device_key, config.owner, rpc=config.rpc, wallet=client.home.wallet)
    return Client(home, PASSPHRASE)


class Everything:
    """A vault with a past: two devices, a kit, a reader who stays, one who was revoked, and private ones; and all blobs
    and keys of it, archived."""

    def __init__(self, owner: Client, tmp_path: Path) -> None:
        self.owner, self.folder = owner, tmp_path
        self.vault = new_vault(owner, "novel", tmp_path / "blobs")
        self.archive = Archive(self.vault.place)
        self.kit, self.tablet = HolderKey(secret("kit")), HolderKey(secret("tablet"))
        mine = owner.session.device_public.id
        for key, role, name in ((self.kit, Role.KIT, "kit"), (self.tablet, Role.DEVICE, "tablet")):
            self._add(Holder(key.xwing.public, role, name, 1, None, None, mine))
        (self.gone,) = told(self.vault, "to be forgotten")
        self.readers: dict[str, Reader] = {}
        for name in ("stays", "leaves"):
            self.readers[name] = grant(self.vault, tmp_path / name, name, private=name == "stays").reader
        self.keep()
        self.vault.revoke("leaves")
        told(self.vault, "to be kept")
        self.keep()
        self.device = key_of(owner.home.device_key)
        shutil.copy(owner.home.device_key, tmp_path / "archived device.key")
        self.reader_keys = {name: reader._key for name, reader in self.readers.items()}

    def _add(self, holder: Holder) -> None:
        self.vault.change_holders(lambda roster: replace(roster, holders=(*roster.holders, holder)))

    def keep(self) -> None:
        self.archive.take(self.folder / "blobs")

    def all_old_keys(self) -> Iterable[tuple[str, HolderKey]]:
        yield from (("device", self.device), ("tablet", self.tablet), ("kit", self.kit), *self.reader_keys.items())


@pytest.fixture
def everything(lone: Client, tmp_path: Path) -> Everything:
    return Everything(lone, tmp_path)


def test_level_2__all_that_is_reachable_from_the_new_state_opens_nothing_of_before(everything: Everything) -> None:
    vault, archive = everything.vault, everything.archive
    done = vault.forget([everything.gone], Level.SEALED_AWAY)
    record = vault.record()
    assert (texts(vault), texts(everything.readers["stays"])) == (["to be kept"], ["to be kept"])
    assert blobs_of(vault) == {record.keyring_hash.hex(), record.content_hash.hex(), *_names(vault)}
    assert copies_of(vault) <= blobs_of(vault)
    assert (done.left, done.pending, done.cut_before) == ((), (), False)
    names = {vault._session.config.device, "tablet", "kit", "stays", "leaves"}
    assert {holder.name for holder in done.openers} == names
    assert vault.verify().whole

    new = Archive(vault.place).take(everything.folder / "blobs")
    holders = [key for _, key in everything.all_old_keys()]
    reachable = new.keys(holders)
    assert new.texts(reachable) == {"to be kept"}
    assert archive.texts(reachable) == set()
    assert archive.heads(reachable) == 0
    for name, key in everything.all_old_keys():  # what the command says: old keys open the copies
        seen = archive.opened_by(key)
        assert seen == ({"to be forgotten"} if name == "leaves" else {"to be forgotten", "to be kept"}), name
    secrets = archive.keys(holders)
    assert {keys.epoch for keys in secrets} == {1, 2}
    assert archive.texts(secrets) == {"to be forgotten", "to be kept"}
    assert new.texts(secrets) == set()
    assert archive.opened_by(HolderKey(secret("stranger"))) == set()


def _names(vault: Vault) -> set[str]:
    return {blob_hash.hex() for blob_hash in vault._view(vault.record()).named}


def test_level_3__nothing_that_the_owner_still_has_opens_the_archive(everything: Everything) -> None:
    owner, vault, archive = everything.owner, everything.vault, everything.archive
    second = new_vault(owner, "second", everything.folder / "second blobs")
    told(second, "elsewhere")
    vault.remember("waits, sealed to the old key")
    done = vault.forget([everything.gone], Level.KEYS_REMADE)
    assert {holder.name for holder in done.pending} == {"tablet", "kit"}
    assert {holder.name for holder in done.openers} == {"tablet", "kit", "stays", "leaves"}
    assert (len(done.landed), len(done.receipts)) == (1, 1)  # the vault itself, and the other one

    fresh = Client(owner.home, PASSPHRASE)
    mine = key_of(owner.home.device_key)
    assert mine.xwing.public != everything.device.xwing.public
    assert not owner.home.next_key.exists()
    assert not owner.home.ready_key.exists()
    for device in (owner, fresh):
        assert texts(device.vault("novel")) == ["to be kept", "waits, sealed to the old key"]
        assert texts(device.vault("second")) == ["elsewhere"]
    fresh.vault("novel").sync()
    assert texts(everything.readers["stays"]) == ["to be kept", "waits, sealed to the old key"]

    everything.keep()  # now the archive has the new state too
    old = Archive(vault.place, set(archive.blobs) - Archive(vault.place).take(everything.folder / "blobs").blobs)
    assert old.opened_by(mine) == set()
    reachable = archive.keys([mine])
    assert archive.texts(reachable) == {"to be kept", "waits, sealed to the old key"}
    assert old.texts(reachable) == set()
    for name, key in everything.all_old_keys():  # said honestly: whoever has kept these has all of it
        seen = old.opened_by(key)
        assert seen == ({"to be forgotten"} if name == "leaves" else {"to be forgotten", "to be kept"}), name
    archived = key_of(everything.folder / "archived device.key")
    assert "to be forgotten" in old.opened_by(archived)


def test_level_3__pending__ends_with_a_new_key_or_without_the_device(
    lone: Client, chain: Chain, tmp_path: Path
) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    (gone,) = told(vault, "to be forgotten")
    told(vault, "kept")
    others: dict[str, Client] = {}
    for name in ("laptop", "phone"):
        home = Home(tmp_path / name)
        card = new_device(home, PASSPHRASE, name, rpc=chain.rpc_url, commit=True)
        join(home, PASSPHRASE, add_device(lone, card, DEFAULT_RIGHT))
        others[name] = Client(home, PASSPHRASE)
    laptop = others["laptop"]
    laptop.vault().remember("waits on the laptop")
    shutil.copy(laptop.home.device_key, tmp_path / "archived laptop.key")
    archive = Archive(vault.place).take(tmp_path / "blobs")

    done = vault.forget([gone], Level.KEYS_REMADE)
    assert [holder.name for holder in done.pending] == ["laptop", "phone"]
    assert {line.name: line.pending for line in devices(lone)} == {
        lone.session.config.device: (),
        "laptop": ("novel",),
        "phone": ("novel",),
    }
    assert texts(laptop.vault()) == ["kept", "waits on the laptop"]
    assert len(laptop.vault().rekey()) == 1
    (left,) = [holder.name for holder in vault.roster().holders if holder.pending]
    assert left == "phone"
    remove_device(lone, plan_removal(lone, "phone"))
    assert not any(holder.pending for holder in vault.roster().holders)

    fresh = Client(laptop.home, PASSPHRASE)
    fresh.vault().sync()
    assert texts(vault) == texts(fresh.vault()) == ["kept", "waits on the laptop"]
    for key in (key_of(lone.home.device_key), key_of(laptop.home.device_key)):
        assert archive.opened_by(key) == set()
    assert "to be forgotten" in archive.opened_by(key_of(tmp_path / "archived laptop.key"))
    vault.rotate()  # the device's own account is its own still, with another key, and can be given more time
    renewed = known_card(lone, "laptop")
    assert renewed
    add_device(lone, renewed, 2 * DEFAULT_RIGHT)
    fresh.vault().remember("after it all")
    fresh.vault().sync()
    assert texts(vault) == ["after it all", "kept", "waits on the laptop"]


def test_rekey__vault_that_this_home_has_not_taken_in__is_refused(lone: Client, tmp_path: Path) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    other = other_device(lone, tmp_path / "other")
    new_vault(lone, "second", tmp_path / "second")
    with pytest.raises(InvalidRequest, match="has not taken in") as refused:
        other.vault().rekey()
    assert "memsync sync" in refused.value.next_step
    assert texts(again(other).vault("novel")) == texts(vault) == []
