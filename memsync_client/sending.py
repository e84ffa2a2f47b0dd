"""Transactions that arrive: one at a time of a home, kept with its hashes before it is sent, sent again where it was
dropped, replaced where it is stuck, and done with when it is final.

What is kept (``home.sending``) outlives the process: the next one goes on with it before it sends anything else.
Whichever of the hashes lands counts. A reorganisation that takes a transaction out of its block puts it back to where
it was: it is waited for, and sent again. All times but time-outs are the chain's, never this computer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .errors import (
    FeeTooHigh,
    InsufficientFunds,
    InvalidRequest,
    MemSyncError,
    NodeUnreachable,
    NonceTaken,
    TransactionPending,
    TransactionRefused,
)
from .home import SealedFile
from .records import Block, Receipt
from .sealing import HoldsSecret
from .transactions import UNKNOWN_HASH, Call, ContractClient, Pauses, Prepared, Signed, gwei, usual_price
from .wallet import Account, Wallet

_PREPARED = {
    "sender": str,
    "data": bytes,
    "nonce": int,
    "gas": int,
    "gas_limit": int,
    "max_fee": int,
    "priority_fee": int,
}
_KEPT = {**_PREPARED, "hashes": list, "raw": bytes, "block": int, "time": int}
_MOST_REPLACEMENTS = 6  # a run
_MOST_FAILURES = 3  # of the node in a row, once something was sent
_ROUNDS_UNTIL_TAKEN = 3  # without a receipt, when the account's next number is past a transaction's

Announce = Callable[[list[bytes]], None]


@dataclass(frozen=True)
class Patience:
    """When a transaction counts as stuck: ``blocks`` have come since it was sent, and ``seconds`` of the chain's time.
    After ``timeout`` seconds in which nothing changes it is left to the next run."""

    blocks: int = 3
    seconds: int = 15
    timeout: float = 120


@dataclass(frozen=True)
class _Sent:
    """A transaction on its way: its newest form, the hashes of all its forms, and the block and time after which the
    newest was sent."""

    prepared: Prepared
    hashes: tuple[bytes, ...]
    raw: bytes
    block: int
    time: int

    @property
    def known(self) -> tuple[bytes, ...]:
        """The hashes, newest first, without those that an account elsewhere has not named."""
        return tuple(tx_hash for tx_hash in reversed(self.hashes) if tx_hash != UNKNOWN_HASH)


@dataclass
class _Journey:
    """What this process has seen of a transaction: how often it has replaced it, why it does not any more, how often
    another one seemed to have its number, and how often in a row the node has failed."""

    announce: Announce
    replaced: int = 0
    stays: MemSyncError | None = None
    taken: int = 0
    failures: int = 0


class Sender(HoldsSecret):
    """Sends the transactions of a home, whose lock is held all along. ``wallet`` gives the one that pays.

    ``max_fee`` is the most to pay a gas, in wei; where the chain asks more, ``ask`` is asked to go beyond it.
    ``within`` sees each transaction before it is signed, may give it less gas, or raise.
    """

    def __init__(
        self,
        registry: ContractClient,
        wallet: Callable[[], Wallet | Account],
        file: SealedFile,
        *,
        confirmations: int,
        max_fee: int,
        ask: Callable[[str], bool] = lambda _: False,
        say: Callable[[str], None] = lambda _: None,
        patience: Patience | None = None,
        within: Callable[[Prepared], Prepared] = lambda prepared: prepared,
    ) -> None:
        self._registry, self._wallet, self._file = registry, wallet, file
        self._within = within
        self._confirmations, self._max_fee = confirmations, max_fee
        self._ask, self._say = ask, say
        self.patience = patience or Patience()
        self._in_the_way: Prepared | None = None  # in the pool, and no longer of use: the next one takes its number

    def prepare(self, call: Call, sender: str) -> Prepared:
        """Goes on with what an earlier process has left, then simulates and prices a call.

        Raises FeeTooHigh, TransactionPending, and what ``Registry.prepare`` raises. Nothing is signed for this call.
        """
        return self.prepare_data(self._registry.encode(call), sender)

    def prepare_data(self, data: bytes, sender: str) -> Prepared:
        """The same of a call that is encoded already."""
        self.resume()
        return self._prepare(data, sender)

    def _prepare(self, data: bytes, sender: str) -> Prepared:
        before = self._in_the_way
        price = partial(self._price, before=before)
        nonce = before.nonce if before else None
        return self._within(self._registry.prepare_data(data, sender, nonce=nonce, price=price))

    def land(self, prepared: Prepared, announce: Announce = lambda _: None) -> Receipt:
        """Sends, and waits until it is final. ``announce`` is told all hashes under which it may land before each time
        that something new is sent.

        Raises TransactionRefused (VersionTaken …) if the contract refused it after all, TransactionPending if it is
        still on its way, InsufficientFunds, or NodeUnreachable.
        """
        for last in (False, False, False, True):
            journey = _Journey(announce)
            try:
                return self._follow(self._begin(prepared, journey), journey)
            except NonceTaken:
                if last:
                    raise
                self._in_the_way = None
                prepared = self._prepare(prepared.data, prepared.sender)
        raise AssertionError("unreachable")

    def resume(self) -> Receipt | None:
        """Goes on with a transaction that an earlier process has left. Afterwards it is final (its receipt is
        returned), or can't land any more, or stands in the way of nothing. Raises TransactionPending or
        NodeUnreachable."""
        value = self._file.read(_KEPT)
        if value is None:
            return None
        sent = _read(value)
        if self._worth_it(sent):
            self._say("going on with a transaction that was left on its way")
            with suppress(TransactionRefused):  # whoever wanted it looks at the chain
                return self._follow(sent, _Journey(lambda _: None))
        else:
            self._file.remove()
        return None

    def _worth_it(self, sent: _Sent) -> bool:
        """Whether it is in a block, or can still do what it is for."""
        registry, prepared = self._registry, sent.prepared
        if any(registry.included(tx_hash) for tx_hash in sent.known):
            return True
        waits = any(registry.transaction_known(tx_hash) for tx_hash in sent.known)
        next_one = registry.nonce(prepared.sender)
        if next_one > prepared.nonce or (not waits and (next_one < prepared.nonce or not sent.raw)):
            return False
        try:
            registry.simulate(prepared.data, prepared.sender)
        except TransactionRefused:
            if waits and prepared.sender == self._wallet().address:
                self._in_the_way = prepared
            return False
        return True

    # On its way -------------------------------------------------------------------------------------------------------

    def _begin(self, prepared: Prepared, journey: _Journey) -> _Sent:
        try:
            sent = self._send(prepared, None, journey)
        except NodeUnreachable:
            value = self._file.read(_KEPT)
            if value is None or not value["raw"]:
                raise
            sent = _read(value)  # it may have arrived all the same, and is sent again if not
        except (TransactionRefused, InsufficientFunds, InvalidRequest):
            self._file.remove()
            raise
        self._in_the_way = None
        return sent

    def _send(self, prepared: Prepared, before: _Sent | None, journey: _Journey) -> _Sent:
        """Sends a transaction for the first time, or (``before``) in another form."""
        newest = self._registry.latest()
        hashes = before.hashes if before else ()
        sent = _Sent(prepared, hashes, b"", newest.number, _seconds(newest))

        def keep(signed: Signed) -> None:
            nonlocal sent
            sent = replace(sent, hashes=(*hashes, signed.tx_hash), raw=signed.raw)
            journey.announce(list(sent.hashes))  # first: what is kept here is sent, whoever has been told
            self._keep(sent)

        self._registry.submit(prepared, self._wallet(), keep)
        return sent

    def _keep(self, sent: _Sent) -> None:
        value = {name: getattr(sent.prepared, name) for name in _PREPARED}
        self._file.write(value | {"hashes": list(sent.hashes), "raw": sent.raw, "block": sent.block, "time": sent.time})

    def _follow(self, sent: _Sent, journey: _Journey) -> Receipt:
        """Until one of its forms is final, whatever takes it out of a block meanwhile."""
        pauses, deadline = Pauses(), time.monotonic() + self.patience.timeout
        before: tuple[object, ...] = ()
        while True:
            found: tuple[Receipt, bool] | None = None
            newest = 0
            try:
                block = self._registry.latest()
                found = next(filter(None, map(self._registry.included, sent.known)), None)
                if found and block.number - found[0].block.number >= self._confirmations:
                    return self._arrived(*found)
                newest = block.number if found else 0
                sent = sent if found else self._urge(sent, block, journey)
                journey.failures = 0
            except NodeUnreachable:
                journey.failures += 1
                if journey.failures == _MOST_FAILURES:
                    raise
            now = (found and found[0].block.hash, newest, sent.hashes)
            if now != before:  # a new block counts once it is in one
                deadline = time.monotonic() + self.patience.timeout
                if found and self._confirmations and found[0].block.hash not in before:
                    self._say(f"in block {found[0].block.number:,}, final with {self._confirmations} more on top of it")
                before = now
            if time.monotonic() + pauses.next > deadline:
                raise _pending(sent, journey, self._confirmations if found else None)
            pauses.wait()

    def _arrived(self, receipt: Receipt, succeeded: bool) -> Receipt:
        why = None if succeeded else self._registry.why_reverted(receipt)
        if succeeded:
            self._registry.confirm(receipt, self.patience.timeout)
        self._file.remove()
        if why:
            raise why
        return receipt

    def _urge(self, sent: _Sent, newest: Block, journey: _Journey) -> _Sent:
        """Does what helps a transaction that is in no block. Raises NonceTaken if it never will be."""
        registry, prepared = self._registry, sent.prepared
        if registry.nonce(prepared.sender) > prepared.nonce:
            journey.taken += 1  # its receipt may only be late
            if journey.taken == _ROUNDS_UNTIL_TAKEN:
                self._file.remove()
                raise NonceTaken(f"Another transaction of the account took number {prepared.nonce}.", "Try again.")
            return sent
        journey.taken = 0
        waits = any(registry.transaction_known(tx_hash) for tx_hash in sent.known)
        if waits:
            passed_by = newest.number - sent.block >= self.patience.blocks
            stuck = passed_by and _seconds(newest) - sent.time >= self.patience.seconds
        else:
            stuck = not sent.raw or registry.fees()[0] > prepared.max_fee  # nodes take nothing that offers too little
        if stuck:
            return self._replace(sent, journey)
        if not waits:
            with suppress(TransactionRefused, InsufficientFunds):  # it may be taken later
                registry.send(Signed(sent.raw, sent.hashes[-1], prepared.nonce))
        return sent

    def _replace(self, sent: _Sent, journey: _Journey) -> _Sent:
        """Sends it in another form, that offers more; as it was, where that can't be."""
        if journey.stays or journey.replaced == _MOST_REPLACEMENTS:
            return sent
        if self._wallet().address != sent.prepared.sender:
            return sent
        try:
            max_fee, priority_fee = self._price(*self._registry.fees(), before=sent.prepared)
            dearer = replace(sent.prepared, max_fee=max_fee, priority_fee=priority_fee)
            self._registry.check_funds(dearer)
            self._say(f"no block takes it at {gwei(sent.prepared.max_fee)} gwei; offering up to {gwei(max_fee)}")
            journey.replaced += 1
            return self._send(dearer, sent, journey)
        except NodeUnreachable:  # it may have arrived all the same
            value = self._file.read(_KEPT)
            return _read(value) if value else sent
        except NonceTaken:  # just now in a block: its receipt comes
            return sent
        except (FeeTooHigh, TransactionRefused, InsufficientFunds, InvalidRequest) as error:
            self._keep(sent)
            journey.stays = error
            self._say(error.cause)
            return sent

    # Fees -------------------------------------------------------------------------------------------------------------

    def _price(self, base_fee: int, tip: int, before: Prepared | None = None) -> tuple[int, int]:
        """What to offer, at least an eighth more than ``before`` (nodes replace nothing for less). Raises FeeTooHigh
        where that is above the limit, and nobody says yes."""
        max_fee, priority_fee = usual_price(base_fee, tip)
        least = base_fee + tip
        if before:
            priority_fee = max(tip, _raised(before.priority_fee))
            max_fee = max(2 * base_fee + priority_fee, _raised(before.max_fee))
            least = max(base_fee + priority_fee, _raised(before.max_fee))
        if least > self._max_fee:
            self._go_beyond(least, max_fee)
        max_fee = min(max_fee, self._max_fee)
        return max_fee, min(priority_fee, max_fee)

    def _go_beyond(self, least: int, max_fee: int) -> None:
        told = f"A gas costs {gwei(least)} gwei now, more than this home's limit of {gwei(self._max_fee)}"
        if not self._ask(f"{told}. Pay up to {gwei(max_fee)}?"):
            step = f"Wait until it costs less, or raise the limit: memsync config --max-fee {-(-max_fee // 10**9)}"
            raise FeeTooHigh(f"{told}.", step)
        self._max_fee = max_fee


def _raised(fee: int) -> int:
    return fee + fee // 8 + 1


def _seconds(block: Block) -> int:
    return int(block.time.timestamp())


def _read(value: dict[str, Any]) -> _Sent:
    prepared = Prepared(**{name: value[name] for name in _PREPARED})
    return _Sent(prepared, tuple(value["hashes"]), value["raw"], value["block"], value["time"])


def _pending(sent: _Sent, journey: _Journey, confirmations: int | None) -> TransactionPending:
    tx_hash = f"0x{sent.known[0].hex()}" if sent.known else "that the account elsewhere was asked to sign"
    what = "is in no block yet" if confirmations is None else f"has not {confirmations} blocks on top of it yet"
    why = f" {journey.stays.cause}" if journey.stays else ""
    step = journey.stays.next_step if journey.stays else "It is kept: run sync later."
    return TransactionPending(f"Transaction {tx_hash} {what}.{why}", step)
