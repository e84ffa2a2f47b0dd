"""The recovery kit from end to end: everything comes back with it, and with it alone, and then it is void."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from memsync_client.cards import Sheet
from memsync_client.client import Client
from memsync_client.devices import sheet_for
from memsync_client.errors import (
    AccessEnded,
    ForeignKeyring,
    InvalidKit,
    InvalidRequest,
    NotInitialised,
    StorageUnavailable,
    UnknownVault,
    WrongPassphrase,
)
from memsync_client.home import Home
from memsync_client.keyring import Role
from memsync_client.keys import Anchor, HolderKey
from memsync_client.recovery import (
    check_kit,
    give_wallet,
    kit_sheet,
    look,
    renew,
    restore_with_kit,
    set_kit,
    sheet_of,
)
from memsync_client.vault import Vault
from tests.e2e.machines import (
    PASSPHRASE,
    again,
    grant,
    new_owner,
    new_vault,
    texts,
)
from tests.nodes import Chain


def a_kit() -> HolderKey:
    return HolderKey(os.urandom(32))


class Lost:
    """An owner with a kit, a vault and a reader, as they were when the computer was lost."""

    def __init__(self, folder: Path, chain: Chain, vaults: int = 1) -> None:
        self.folder, self.rpc = folder, chain.rpc_url
        self.client = new_owner(folder / "owner", chain.rpc_url)
        self.kit = a_kit()
        set_kit(self.client, self.kit.xwing.public)
        self.vaults = [new_vault(self.client, f"vault {n}", folder / f"blobs {n}") for n in range(vaults)]
        for vault in self.vaults:
            vault.remember(f"kept in {vault.label}")
            vault.sync()
        self.sheet = kit_sheet(self.client)
        self.wallet = self.client.home.wallet

    def restored(self, *, wallet: bool = True, name: str = "new", sheet: Sheet | None = None) -> Client:
        home = Home(self.folder / name)
        given = self.wallet if wallet else None
        vault, *_ = restore_with_kit(home, PASSPHRASE, self.kit, sheet or self.sheet, wallet=given, name="phoenix")
        return like(Client(home, PASSPHRASE), vault)


def like(client: Client, vault: Vault) -> Client:
    """A client of the vault's home that need not stretch the passphrase again."""
    client.session.__dict__.update(device=vault._session.device, _kit=vault._session._kit)
    return client


def roles(vault: Vault) -> list[tuple[Role, str]]:
    return [(holder.role, holder.name) for holder in vault.roster().holders]


# Making ---------------------------------------------------------------------------------------------------------------


def test_set_kit__before_and_after_vaults__every_vault_has_it(chain: Chain, tmp_path: Path) -> None:
    owner, kit = new_owner(tmp_path / "owner", chain.rpc_url), a_kit()
    early = new_vault(owner, "early", tmp_path / "early")
    assert [line.opens for line in check_kit(owner, kit)] == [False]
    set_kit(owner, kit.xwing.public)
    assert early.record().epoch == 1  # who joins takes nothing from anyone: no new epoch
    new_vault(owner, "late", tmp_path / "late")
    assert [(line.vault, line.opens) for line in check_kit(owner, kit)] == [("early", True), ("late", True)]
    version = early.record().version
    set_kit(owner, kit.xwing.public)
    assert early.record().version == version


def test_set_kit__in_place_of_another__the_old_one_opens_nothing_new(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (vault,) = lost.vaults
    newer = a_kit()
    set_kit(lost.client, newer.xwing.public)
    assert vault.record().epoch == 2
    assert [line.opens for line in check_kit(lost.client, lost.kit)] == [False]
    assert [line.opens for line in check_kit(lost.client, newer)] == [True]
    assert roles(vault).count((Role.KIT, "recovery kit")) == 1
    with pytest.raises(AccessEnded):
        look(lost.kit, lost.sheet)
    with pytest.raises(InvalidKit, match="another kit"):
        look(newer, lost.sheet)
    assert set(look(newer, kit_sheet(lost.client)).opened) == {vault.place.vault_id}


def test_new_vault__on_a_home_without_a_note__takes_the_kit_of_the_rosters(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    lost.client.home.write_kit(None)
    other = new_vault(lost.client, "other", tmp_path / "other")
    assert (Role.KIT, "recovery kit") in roles(other)


def test_kit_sheet__without_a_kit__says_how_to_make_one(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(InvalidKit, match="no recovery kit"):
        kit_sheet(new_owner(tmp_path / "owner", chain.rpc_url))


# Restoring ------------------------------------------------------------------------------------------------------------


def test_restore__with_the_wallet__new_keys_kit_and_epoch_and_the_old_ones_void(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    reader = grant(before, tmp_path / "tool", "claude")
    newer, client = a_kit(), lost.restored()
    renew(client, newer.xwing.public)
    (vault,) = client.vaults()
    assert texts(vault) == ["kept in vault 0"]
    assert roles(vault) == [(Role.DEVICE, "phoenix"), (Role.KIT, "recovery kit")]
    assert client.session.device_public != lost.client.session.device_public
    assert vault.public_grants() == []
    vault.remember("after the fire")
    vault.sync()
    for opens_nothing in (lambda: texts(again(lost.client).vault()), lambda: look(lost.kit, lost.sheet)):
        with pytest.raises(AccessEnded):
            opens_nothing()
    with pytest.raises(AccessEnded):
        reader.reader.memories()
    assert [line.opens for line in check_kit(client, newer)] == [True]
    assert not client.home.kit_key.exists()
    with pytest.raises(InvalidRequest, match="No restore with a kit is open"):
        renew(client, None)


def test_restore__without_the_wallet__reads_and_is_finished_with_it(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    client = lost.restored(wallet=False)
    (vault,) = client.vaults()
    assert texts(vault) == ["kept in vault 0"]
    vault.remember("waits for the wallet")
    for needs_it in (vault.sync, lambda: renew(client, None)):
        with pytest.raises(NotInitialised, match="can read and not commit"):
            needs_it()
    assert lost.vaults[0].record().epoch == 1
    give_wallet(client.home, PASSPHRASE, lost.wallet)
    client = Client(client.home, PASSPHRASE)
    renew(client, None)
    client.vault().sync()
    assert texts(client.vault()) == ["kept in vault 0", "waits for the wallet"]
    assert roles(client.vault()) == [(Role.DEVICE, "phoenix")]
    assert client.home.kit() is None


def test_restore__with_the_wallet_of_another__is_refused(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    lost.wallet = new_owner(tmp_path / "other", chain.rpc_url).home.wallet
    with pytest.raises(InvalidRequest, match="is not 0x"):
        lost.restored()
    assert not (tmp_path / "new").exists()
    client = lost.restored(wallet=False)
    with pytest.raises(InvalidRequest, match="is not 0x"):
        give_wallet(client.home, PASSPHRASE, lost.wallet)
    assert not client.home.wallet.exists()


def test_renew__keeping_devices_and_readers__they_go_on(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    public, private = (
        grant(before, tmp_path / name, name, private=name == "private") for name in ("public", "private")
    )
    client = lost.restored()
    renew(client, None, keep_devices=True, keep_readers=True)
    assert len(roles(client.vault())) == 4
    for source in (again(lost.client).vault(), public.reader, private.reader):
        assert texts(source) == ["kept in vault 0"]
    with pytest.raises(AccessEnded):
        look(lost.kit, lost.sheet)


def test_renew__of_a_vault_that_was_locked_elsewhere__drops_private_readers(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    private = grant(before, tmp_path / "private", "private", private=True)
    session = before._session
    session.land(session.prepare(session.registry.rotate(before.place.vault_id)))
    client = lost.restored()
    renew(client, None)
    assert roles(client.vault()) == [(Role.DEVICE, "phoenix")]
    assert not client.vault().record().locked
    with pytest.raises(AccessEnded):
        private.reader.memories()


class Killed(BaseException):
    """Where a process dies: nothing that tidies up after errors sees it."""


@pytest.mark.parametrize("another_kit", [True, False])
def test_renew__killed_between_two_vaults__can_be_run_again(chain: Chain, tmp_path: Path, another_kit: bool) -> None:
    lost = Lost(tmp_path, chain, vaults=2)
    client, newer = lost.restored(), a_kit()

    def die(vault: Vault, receipts: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        renew(client, newer.xwing.public, done=die)
    assert sorted(line.opens for line in check_kit(client, lost.kit)) == [False, True]
    half = Client(client.home, PASSPHRASE)
    assert [texts(vault) for vault in half.vaults()] == [["kept in vault 0"], ["kept in vault 1"]]
    newest = a_kit() if another_kit else newer
    renew(half, newest.xwing.public)
    assert [line.opens for line in check_kit(half, newest)] == [True, True]
    assert [line.opens for line in check_kit(half, lost.kit)] == [False, False]
    assert [vault.record().epoch for vault in half.vaults()] == ([3, 2] if another_kit else [2, 2])
    assert not half.home.kit_key.exists()


def test_renew__vault_that_broke_after_the_restore__others_are_done_and_it_later(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain, vaults=2)
    client, newer, newest = lost.restored(), a_kit(), a_kit()
    blobs, away = tmp_path / "blobs 0", tmp_path / "away"
    blobs.rename(away)
    shutil.rmtree(client.vault("vault 0")._folder / "blobs", ignore_errors=True)
    left = renew(client, newer.xwing.public)
    assert [(label, type(error)) for label, error in left.items()] == [("vault 0", StorageUnavailable)]
    assert client.home.kit_key.exists()
    assert [holder.key for holder in client.vault("vault 1").roster().holders if holder.role is Role.KIT] == [
        newer.xwing.public
    ]
    away.rename(blobs)
    again = Client(client.home, PASSPHRASE)
    assert renew(again, newest.xwing.public) == {}
    assert [line.opens for line in check_kit(again, newest)] == [True, True]
    assert [line.opens for line in check_kit(again, lost.kit)] == [False, False]
    assert not again.home.kit_key.exists()


def test_restore__killed_before_its_end__can_be_run_again(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    home = lost.restored().home
    home.abandon()  # what a process leaves that is killed before it has written where the chain is
    with pytest.raises(WrongPassphrase):
        restore_with_kit(home, "another", lost.kit, lost.sheet)
    restore_with_kit(home, PASSPHRASE, lost.kit, lost.sheet, wallet=lost.wallet)
    client = Client(home, PASSPHRASE)
    renew(client, None)
    assert texts(client.vault()) == ["kept in vault 0"]


# A node that lies, a sheet that is not mine ---------------------------------------------------------------------------


def test_look__vault_that_does_not_follow_from_the_sheet__is_refused(chain: Chain, tmp_path: Path) -> None:
    """What the node shows as the owner's vault has a keyring for this kit, and another history than the sheet's."""
    lost = Lost(tmp_path, chain)
    ((vault_id, anchor),) = lost.sheet.anchors.items()
    for invented in (
        Anchor(anchor.epoch, anchor.writer_public, bytes(32)),
        Anchor(anchor.epoch, bytes(32), anchor.check),
    ):
        sheet = replace(lost.sheet, anchors={vault_id: invented})
        with pytest.raises(ForeignKeyring, match="does not follow from the sheet"):
            look(lost.kit, sheet)
        with pytest.raises(ForeignKeyring):
            lost.restored(sheet=sheet)
        assert not (tmp_path / "new").exists()
    later = replace(lost.sheet, anchors={vault_id: Anchor(2, anchor.writer_public, anchor.check)})
    with pytest.raises(Exception, match="already seen epoch 2"):
        look(lost.kit, later)


def test_look__names_vaults_that_the_node_hides_and_those_that_the_sheet_lacks(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    hidden = bytes.fromhex("77" * 32)
    (anchor,) = lost.sheet.anchors.values()
    late = new_vault(lost.client, "late", tmp_path / "late")
    found = look(lost.kit, replace(lost.sheet, anchors={**lost.sheet.anchors, hidden: anchor}))
    assert [roster.name for roster in found.opened.values()] == ["vault 0", "late"]
    assert (found.missing, found.unlisted) == ((hidden,), (late.place.vault_id,))


def test_look__without_a_sheet__owner_and_node_are_enough(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    owner = lost.client.session.config.owner
    found = look(lost.kit, sheet_of(owner.lower(), chain.rpc_url, None, lost.kit))
    assert (found.owner, found.missing, found.unlisted) == (owner, (), ())
    with pytest.raises(UnknownVault, match="owns no vault"):
        look(lost.kit, sheet_of("0x" + "11" * 20, chain.rpc_url, None, lost.kit))


def test_sheet__follows_every_later_epoch(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (vault,) = lost.vaults
    for turn in range(3):
        reader = grant(vault, tmp_path / f"reader {turn}", f"reader {turn}")
        vault.revoke(reader.result.reader)
    assert vault.record().epoch == 4
    assert set(look(lost.kit, lost.sheet).opened) == {vault.place.vault_id}


def test_sheet_for__is_the_same_object_for_kits_and_devices(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    sheet = sheet_for(lost.client, lost.kit.xwing.public.id)
    assert replace(kit_sheet(lost.client), made=sheet.made) == sheet
