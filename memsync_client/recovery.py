"""The recovery kit over all vaults: making one, checking it, and bringing everything back with it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import keyfile
from .addresses import checked_address, checksummed
from .cards import Sheet, check_name
from .client import (
    PRACTICE_FUNDS,
    Client,
    begin_with_all,
    check_empty,
    check_owners,
    confirmations,
    note_of,
)
from .devices import naming, sheet_for
from .errors import (
    AccessEnded,
    BlobMissing,
    ForeignKeyring,
    InvalidKit,
    InvalidRequest,
    MemSyncError,
    StorageUnavailable,
    Tampered,
    UnknownVault,
)
from .files import make_dir, sync_folder, write_atomic
from .first_look import open_before, open_first
from .holding import with_kit
from .home import Config, Home
from .hosts import Hosts
from .keyfile import Passphrase, ask
from .keyring import Holder, Role, Roster
from .keys import HolderKey, PublicKey, self_test
from .records import Receipt
from .roster import roster_of
from .sealing import Place
from .session import PRACTICE_CHAIN
from .vault import Vault

if TYPE_CHECKING:
    from .wallet import Account

_Done = Callable[[Vault, list[Receipt]], None]


@dataclass(frozen=True)
class KitLine:
    """Whether a kit opens a vault's present keyring."""

    vault: str
    opens: bool


@dataclass(frozen=True)
class Found:
    """What a kit finds before anything is written: the owner's address, the rosters of the vaults that it opens by
    vault id, why others can't be opened, the vaults of the sheet that the node does not show as the owner's, and those
    that the sheet does not have, made since or invented by the node. What is shut and ``hostile`` did open, until
    another account than the owner's brought a keyring: the owner can go on from before that."""

    owner: str
    opened: Mapping[bytes, Roster]
    shut: Mapping[bytes, MemSyncError]
    missing: tuple[bytes, ...]
    unlisted: tuple[bytes, ...]
    hostile: tuple[bytes, ...] = ()


# With the keys at hand ------------------------------------------------------------------------------------------------


def kit_key(client: Client) -> PublicKey | None:
    """The public key of the recovery kit: the one in the rosters, else the one that this home has noted. Raises
    InvalidKit where the rosters have several: none of them opens all."""
    kits = {holder.key for _, roster in client.opened() for holder in roster.holders if holder.role is Role.KIT}
    if len(kits) > 1:
        raise InvalidKit("Not all vaults have the same recovery kit.", "Make one for all: memsync kit make")
    note = client.home.kit()
    return next(iter(kits), PublicKey(bytes.fromhex(note.key)) if note else None)


def set_kit(
    client: Client, kit: PublicKey, done: _Done = lambda vault, receipts: None, *, unseen: bool = False
) -> None:
    """Makes ``kit`` the only recovery kit of every vault that opens here, and of those made here later; ``done`` is
    told after each. A kit before it opens nothing that is sealed from then on. Interrupted, it can be done again.

    Where the words of ``kit`` are given out only when this is done (``unseen``), ``Home.kit_seen`` says that they were:
    until then the home has noted that nobody has them.
    """
    client.session.unlock()
    client.home.write_kit(note_of(kit, unseen))
    for vault, _ in client.opened():
        with naming(vault):
            receipts = vault.set_kit(kit)
        done(vault, receipts)


def kit_sheet(client: Client) -> Sheet:
    """The sheet of the present kit. Raises InvalidKit where there is none."""
    key = kit_key(client)
    if key is None:
        raise InvalidKit("There is no recovery kit.", "Make one: memsync kit make")
    return sheet_for(client, key.id)


def check_kit(client: Client, kit: HolderKey) -> list[KitLine]:
    """Whether a kit opens the present keyring of each of the owner's vaults known here. Needs no passphrase, and
    commits nothing."""
    lines, session = [], client.session
    for vault in client.vaults():
        record = vault.record()
        if record.owner != session.config.owner:
            continue
        fetch = session.hosts.blobs(session.config.blobs or record.base_uri, record.vault_id).fetch
        try:
            open_first(vault.place, record, fetch, [kit.xwing])
            lines.append(KitLine(vault.label, True))
        except AccessEnded:
            lines.append(KitLine(vault.label, False))
    return lines


# With nothing but the kit ---------------------------------------------------------------------------------------------


def sheet_of(owner: str, rpc: str, registry: str | None, kit: HolderKey) -> Sheet:
    """The sheet of a person who has none: what they know by heart, without anchors. Raises what connecting raises."""
    from .registry import Registry

    node = Registry.connect(rpc, address=registry)
    where = (bytes.fromhex(node.address[2:]), bytes.fromhex(checked_address(owner)[2:]))
    return Sheet(kit.xwing.public.id, node.chain_id, *where, rpc, (), {}, datetime.now(UTC).replace(microsecond=0))


def look(
    kit: HolderKey, sheet: Sheet, *, rpc: str | None = None, blobs: Path | None = None, hosts: Hosts | None = None
) -> Found:
    """Opens the keyring of every vault with the kit, compared with the sheet's anchors. Writes nothing.

    Raises InvalidKit for a sheet of another kit, AccessEnded where the kit opens nothing (another one has replaced it),
    ForeignKeyring or Rollback where a vault is not the sheet's, and what the node and the host raise.
    """
    from .blob_log import BlobLog
    from .registry import Registry

    if sheet.holder != kit.xwing.public.id:
        raise InvalidKit("This sheet is of another kit.", "Use words and sheet that were made together.")
    owner = checksummed(sheet.owner)
    node = Registry.connect(rpc or sheet.rpc, chain_id=sheet.chain_id, address=checksummed(sheet.registry))
    shown = node.vaults(owner)
    reachable = (hosts or Hosts(None)).on(partial(BlobLog.beside, node))
    opened: dict[bytes, Roster] = {}
    shut: dict[bytes, MemSyncError] = {}
    hostile: list[bytes] = []
    for vault_id in shown:
        record = node.record(vault_id)
        place = Place(sheet.chain_id, sheet.registry, vault_id)
        host = blobs.resolve().as_uri() + "/" if blobs else record.base_uri
        fetch = reachable.blobs(host, vault_id, hints=sheet.base_uris).fetch
        try:
            opened[vault_id] = roster_of(open_first(place, record, fetch, [kit.xwing], sheet.anchors.get(vault_id)))
        except StorageUnavailable as error:  # the others go on
            shut[vault_id] = error
        except (AccessEnded, BlobMissing, ForeignKeyring, Tampered) as error:
            if open_before(node, record, fetch, [kit.xwing], sheet.anchors.get(vault_id)):
                hostile.append(vault_id)
            elif isinstance(error, ForeignKeyring):
                raise
            shut[vault_id] = error
    if shut and not opened and not hostile:
        raise next(iter(shut.values()))
    if not shown:
        raise UnknownVault(f"{owner} owns no vault on this chain.", "Check the address and the RPC node.")
    missing = tuple(vault_id for vault_id in sheet.anchors if vault_id not in shown)
    unlisted = tuple(vault_id for vault_id in opened if sheet.anchors and vault_id not in sheet.anchors)
    return Found(owner, opened, shut, missing, unlisted, tuple(hostile))


def restore_with_kit(
    home: Home,
    passphrase: Passphrase,
    kit: HolderKey,
    sheet: Sheet,
    *,
    rpc: str | None = None,
    wallet: Path | Account | None = None,
    blobs: Path | None = None,
    name: str | None = None,
) -> list[Vault]:
    """Brings everything back into an empty home: a new device key, and for as long as the vaults' keyrings do not have
    it, the kit, sealed under the same passphrase. From then on the home reads; ``renew`` does the rest. What ``look``
    names as hostile is taken in, and not among what is returned: ``Vault.go_on`` opens it again.

    ``passphrase`` is a new one (that of the keystore, where one is given). Raises what ``look`` raises.
    """
    self_test()
    check_empty(home)
    from . import practice
    from .registry import Registry

    device = check_name(name or platform.node() or "this device", InvalidRequest)
    found = look(kit, sheet, rpc=rpc, blobs=blobs, hosts=Hosts(home))
    registry, url = checksummed(sheet.registry), rpc or sheet.rpc
    node = Registry.connect(url, chain_id=sheet.chain_id, address=registry)
    passphrase = ask(passphrase)
    if not passphrase:
        raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    check_owners(node, found.owner, wallet, passphrase)
    make_dir(home.folder)
    home.kit_key.unlink(missing_ok=True)
    keyfile.create(home.kit_key, passphrase, kit)
    (keyfile.unlock if home.device_key.exists() else keyfile.create)(home.device_key, passphrase)
    signer = take_wallet(home, wallet)
    if node.chain_id == PRACTICE_CHAIN and wallet:
        practice.fund(url, found.owner, PRACTICE_FUNDS)
    folder = blobs.resolve().as_uri() + "/" if blobs else None
    config = Config(node.chain_id, url, registry, found.owner, confirmations(node.chain_id), folder, device, signer)
    Hosts(home).take_hints(sheet.base_uris)
    return begin_with_all(home, passphrase, config, sheet.anchors)


def take_wallet(home: Home, wallet: Path | Account | None) -> str | None:
    """Copies a keystore file into the home, or returns the text of an account elsewhere for its configuration."""
    if isinstance(wallet, Path):
        write_atomic(home.wallet, wallet.read_bytes())
        return None
    return str(wallet) if wallet else None


def give_wallet(home: Home, passphrase: Passphrase, wallet: Path | Account) -> None:
    """The owner's wallet for a home that was restored without. Raises InvalidRequest if it is another's."""
    from .registry import Registry

    config = home.config()
    node = Registry.connect(config.rpc, chain_id=config.chain_id, address=config.registry)
    check_owners(node, config.owner, wallet, ask(passphrase))
    home.write_config(replace(config, signer=take_wallet(home, wallet)))


def renew(
    client: Client,
    new_kit: PublicKey | None,
    *,
    keep_devices: bool = False,
    keep_readers: bool = False,
    done: _Done = lambda vault, receipts: None,
    unseen: bool = False,
) -> Mapping[str, MemSyncError]:
    """Ends a restore with a kit: keys of a new epoch in every vault, for this device and ``new_kit``; the old kit is
    void from then on. Other devices and the readers stay only by a yes: who has found the kit may have added them.

    A vault that can't be opened now is passed over: returns why, by its label. This home then keeps the old kit for it,
    and the restore is still to be ended. Killed in between, it can be done again. Needs the owner's wallet. ``unseen``
    is that of ``set_kit``. Raises InvalidRequest where nothing is to be done.
    """
    home, session = client.home, client.session
    if not home.kit_key.exists():
        raise InvalidRequest("No restore with a kit is open in this home.", "`memsync kit make` makes a new kit.")
    _ = session.owner_wallet
    session.unlock()
    mine, old = session.device_public, session.openers[-1].public

    def change(roster: Roster) -> Roster:
        kept = {Role.DEVICE} if keep_devices else set()
        kept |= {Role.READER} if keep_readers else set()
        others = [holder for holder in roster.holders if holder.key != mine and holder.role in kept]
        name = session.config.device
        while any(holder.name == name for holder in others):
            name += "+"  # two devices of one name could not be told apart
        myself = Holder(mine, Role.DEVICE, name, 1, None, None, mine.id)
        return with_kit(replace(roster, holders=(*others, myself)), new_kit, mine.id)

    home.write_kit(note_of(new_kit, unseen))
    for vault, roster in client.opened():
        holders = roster.holders
        ready = any(h.key == mine for h in holders) and all(h.key != old for h in holders)
        if ready and [h.key for h in holders if h.role is Role.KIT] == ([new_kit] if new_kit else []):
            continue  # an earlier attempt came so far
        with naming(vault):
            receipts = vault.exchange(change, keep_private=keep_readers, new_owner=True)
        done(vault, receipts)
    if not client.shut:
        home.kit_key.unlink()
        sync_folder(home.folder)
    return client.shut
