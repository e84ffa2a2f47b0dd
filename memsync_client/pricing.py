"""What a step will cost, before it is done: the node simulates it and names its price. Nothing is signed, and no
passphrase is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from .addresses import checksummed
from .cards import Card, DeviceCard
from .errors import InvalidRequest
from .holding import lasts, with_device
from .keeping import Level
from .keyring import Holder, Roster
from .roster import KEYS, READ, WRITE, account_of
from .session import Session
from .vault import Vault

if TYPE_CHECKING:
    from .transactions import Call

_LEAST = Decimal("0.01")
_MONEY = re.compile(r"([A-Za-z]{3}) ?([0-9]{1,12}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True)
class Price:
    """The gas that a step takes by the node's estimate, and what that costs now, in wei."""

    gas: int
    fee: int

    def __add__(self, other: Price) -> Price:
        return Price(self.gas + other.gas, self.fee + other.fee)


@dataclass(frozen=True)
class Money:
    """What one coin of the chain is worth, as the person has said: a currency's three letters and an amount."""

    currency: str
    a_coin: Decimal

    @classmethod
    def parse(cls, text: str) -> Money:
        """From text such as ``EUR 3100``. Raises InvalidRequest."""
        found = _MONEY.fullmatch(text.strip())
        if not found:
            raise InvalidRequest(f"{text!r} is no price of a coin.", 'As in "EUR 3100" or "USD 0.52".')
        return cls(found[1].upper(), Decimal(found[2]))

    def __str__(self) -> str:
        return f"{self.currency} {self.a_coin}"

    def of(self, wei: int) -> str:
        """An amount of coins in money: ``EUR 0.13``, and less than a hundredth as such."""
        amount = self.a_coin * wei / 10**18
        return f"{self.currency} {amount:,.2f}" if amount >= _LEAST or not amount else f"< {self.currency} {_LEAST}"


def of_call(session: Session, call: Call) -> Price | None:
    """What a call from this home's account takes; None where it has none. Raises what the contract would refuse, and
    InsufficientFunds."""
    if session.account is None:
        return None
    prepared = session.registry.prepare(call, session.account, free=session.relay is not None)
    return Price(prepared.gas, prepared.gas * prepared.usual_fee)


def of_commit(vault: Vault, *, keyring: bool = False, rotates: bool = False) -> Price | None:
    """What a commit takes: for any number of memories the same. ``rotates`` brings the keys of the next epoch; a locked
    vault gets those of the present one with any commit."""
    record, registry = vault.record(), vault.session.registry
    epoch = record.epoch + (rotates and not record.locked)
    ring = os.urandom(32) if keyring or rotates or record.locked else None
    call = registry.commit(record.vault_id, record.version, epoch, os.urandom(32), os.urandom(32), ring)
    return of_call(vault.session, call)


def of_grant(vault: Vault, card: Card, lasting: timedelta, *, private: bool, from_now: bool) -> Price | None:
    """What lending the vault takes."""
    if private:
        return of_commit(vault, keyring=True, rotates=from_now)
    record, registry = vault.record(), vault.session.registry
    account, until = checksummed(card.address), record.block.time + lasting
    ring = None if from_now else os.urandom(32)
    price = of_call(
        vault.session, registry.grant(record.vault_id, record.version, account, READ, until, card.key.id[:20], ring)
    )
    rest = of_commit(vault, rotates=True) if from_now else None
    return price + rest if price and rest else price


def of_revocation(vault: Vault, address: str | None) -> Price | None:
    """What taking back takes: the revocation of an ``address``, if it is a public reader's, and the commit that brings
    the new keys."""
    commit = of_commit(vault, rotates=True)
    if address is None or commit is None:
        return commit
    revoked = of_call(vault.session, vault.session.registry.revoke(vault.place.vault_id, address))
    return revoked + commit if revoked else commit


def of_going_on(vault: Vault, revoked: Iterable[str]) -> Price | None:
    """What going on from an earlier version takes: the revocation of each address, and a commit with new keys."""
    registry, session = vault.session.registry, vault.session
    calls = (registry.revoke(vault.place.vault_id, address) for address in revoked)
    return summed([*(of_call(session, call) for call in calls), of_commit(vault, rotates=True)])


def of_rekeying(vaults: Iterable[Vault]) -> Price | None:
    """What a new key of this device takes: a commit with a keyring in each of these vaults."""
    return summed(of_commit(vault, keyring=True) for vault in vaults)


def of_forgetting(vault: Vault, level: Level, others: Iterable[Vault]) -> Price | None:
    """What forgetting takes: a commit, and at the last level this device's new key in all ``others``, too."""
    commit = of_commit(vault, rotates=level is not Level.GONE)
    return summed([commit, of_rekeying(others)]) if level is Level.KEYS_REMADE else commit


def of_device(vault: Vault, roster: Roster, card: DeviceCard, lasting: timedelta) -> Price | None:
    """What adding a device takes: nothing where the vault has it already. Raises what adding it would."""
    new = with_device(roster, card, bytes(32)) != roster
    if card.address is None:
        return of_commit(vault, keyring=True) if new else Price(0, 0)
    record, session, account = vault.record(), vault.session, checksummed(card.address)
    until = session.now() + lasting
    standing = next((grant for grant in vault.public_grants() if grant.grantee == account), None)
    if not new and lasts(standing, until, lasting):
        return Price(0, 0)
    key_id = standing.key_id if standing and standing.living else card.key.id[:20]
    ring = os.urandom(32) if new else None
    return of_call(
        session, session.registry.grant(record.vault_id, record.version, account, WRITE | KEYS, until, key_id, ring)
    )


def of_leaving_out(vault: Vault, roster: Roster, staying: Collection[Holder]) -> Price | None:
    """What leaving out all others takes: the revocation of each account that goes, and a commit with new keys."""
    gone = {account_of(holder) for holder in roster.holders if holder not in staying}
    return of_going_on(vault, [grant.grantee for grant in vault.public_grants() if grant.grantee in gone])


def summed(prices: Iterable[Price | None]) -> Price | None:
    """Several together; None where nobody here could pay."""
    total = Price(0, 0)
    for price in prices:
        if price is None:
            return None
        total += price
    return total
