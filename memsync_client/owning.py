"""Handing a vault on, recovering its ownership, and closing it.

The chain knows who owns a vault's record, and nothing of keys: whoever becomes its owner opens it only with a key that
is in its keyring. So an offer may bring one, for the time of the offer; and a new owner's first commit, where it can
be made, brings keys of a new epoch for nobody but the new owner's own devices and kit.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .addresses import checksummed
from .cards import DeviceCard
from .client import Client
from .connecting import links
from .errors import AccessEnded, BlobMissing, InvalidRequest, MemSyncError, StorageUnavailable, Tampered
from .files import storage_error
from .keyring import Holder, Role, Roster
from .records import Receipt
from .roster import is_guest
from .vault import Vault

if TYPE_CHECKING:
    from .transactions import Call

DEFAULT_OFFER = timedelta(days=14)


@dataclass(frozen=True)
class Owned:
    """A vault that this wallet has come to own. ``vault`` is None where no key here opens it, which ``shut`` explains;
    the others are the transactions, of which the last brought the keys of the new owner alone."""

    receipts: tuple[Receipt, ...]
    vault: Vault | None
    shut: MemSyncError | None


def send(client: Client, call: Call) -> Receipt:
    """Sends a call from this home's wallet, and waits until it is final."""
    session = client.session
    with session.lock():
        return session.land(session.prepare(call))


# The owner's --------------------------------------------------------------------------------------------------------


def own_card(client: Client) -> DeviceCard:
    """This device's card, with the wallet's address, to be offered a vault with. Needs no passphrase."""
    config, account = client.session.config, client.session.account
    address = bytes.fromhex(account[2:]) if account else None
    return DeviceCard(config.device, client.session.device_public, config.chain_id, address)


def let_in(vault: Vault, card: DeviceCard, until: datetime) -> Receipt | None:
    """Gives the device of ``card`` the vault's keys until then: it opens all of the vault, and can go on from there if
    its account becomes the owner. None where it has them so long already."""
    mine = vault.session.device_public.id

    def change(roster: Roster) -> Roster:
        heir = Holder(card.key, Role.DEVICE, card.name, 1, until.replace(microsecond=0), None, mine)
        others = []
        for holder in roster.holders:
            if holder.key == card.key and (holder.role is not Role.DEVICE or holder.expires is None):
                raise InvalidRequest(f"{holder.name!r} has keys of this vault already.", "Offer it to the address.")
            if holder.key != card.key and holder.name == card.name:
                raise InvalidRequest(
                    f"There is a {holder.role.name.lower()} {holder.name!r} already.", "Ask for a card of another name."
                )
            if holder.key != card.key:
                others.append(holder)
            elif holder.expires and holder.expires >= heir.expires:  # type: ignore[operator]
                return roster
        return replace(roster, holders=(*others, heir))

    return vault.change_holders(change)


def offer(vault: Vault, new_owner: str, until: datetime) -> Call:
    """The vault's offer to an account."""
    return vault.session.registry.offer(vault.place.vault_id, vault.record().version, new_owner, until)


def close(vault: Vault, successor: bytes | None = None) -> Call:
    """The end of the vault. What waits for a sync would never be committed: raises InvalidRequest then."""
    if vault.waiting():
        raise InvalidRequest(
            f"{vault.waiting()} memories wait here for a sync, and a closed vault takes none.",
            "Run `memsync sync` first, or forget them.",
        )
    return vault.session.registry.close(vault.place.vault_id, vault.record().version, successor)


def check_let_go(client: Client, vault: Vault) -> None:
    """Raises InvalidRequest for a vault that is the owner's still, or that a program here is connected to. The chain is
    asked anew: it may have taken back what it showed before."""
    if vault.owned():
        raise InvalidRequest(
            f'"{vault.label}" is yours, and open.',
            "What can be let go of is closed (memsync vault close), or another's by now.",
        )
    for link in links(client):
        if link.vault_id == vault.place.vault_id:
            raise InvalidRequest(
                f'{link.program} is connected to "{vault.label}" here.',
                f"First: memsync disconnect {link.program} --vault {shlex.quote(vault.label)}",
            )


def let_go(client: Client, vault: Vault) -> None:
    """Takes a vault that is closed, or another's by now, out of this home, with what waits here for it: nothing here
    opens it from then on. Its blobs stay on their hosts. Killed in between, it can be done again."""
    home, vault_id = client.home, vault.place.vault_id
    with client.session.lock():
        check_let_go(client, vault)
        try:
            shutil.rmtree(home.vault_folder(vault_id))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(error, home.vault_folder(vault_id)) from None
        home.label(vault.label, None)


# The new owner's ------------------------------------------------------------------------------------------------------


def half_taken(client: Client, vault_id: bytes) -> bool:
    """Whether this account has become a vault's owner already, and the former owner's devices still have its keys: it
    was accepted or recovered, and no more. Raises what opening it raises, but for want of a key."""
    session = client.session
    record = session.registry.record(vault_id)
    if record.owner != session.config.owner:
        return False
    try:
        vault = client.adopt_one(vault_id)
        return is_guest(vault.roster(), session.device_public) or vault.handed_over(record) is not None
    except AccessEnded:
        return False


def take_over(client: Client, call: Call | None, vault_id: bytes) -> Owned:
    """Becomes the owner of a vault, by ``call`` (None: it is already), and where a key here opens it lets nobody else
    in: neither the devices and the kit of the former owner, nor any reader."""
    session = client.session
    session.unlock()
    holders, _ = client.own_holders()
    receipts = [send(client, call)] if call else []
    try:
        vault = client.adopt_one(vault_id)
    except (AccessEnded, BlobMissing, StorageUnavailable, Tampered) as error:
        return Owned(tuple(receipts), None, error)
    try:
        renewed = vault.change_holders(
            lambda roster: replace(roster, holders=holders), new_epoch=True, keep_private=False, new_owner=True
        )
    except MemSyncError as error:
        error.cause = f"The vault is yours; your own keys alone are not in it yet. {error.cause}"
        error.args = (error.cause,)
        error.next_step = f"{error.next_step} Then finish it: memsync vault accept {vault_id.hex()}".strip()
        raise
    return Owned((*receipts, *([renewed] if renewed else ())), vault, None)


def account_in(card: DeviceCard) -> str:
    """The account of a card. Raises InvalidRequest where it has none."""
    if card.address is None:
        raise InvalidRequest("The card names no account, so nobody could accept.", "Ask for: memsync device card")
    return checksummed(card.address)
