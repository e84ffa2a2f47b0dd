"""Having another account pay: this one signs, a relayer sends, and the chain alone says whether it landed.

A relayer is trusted with nothing. It can delay, and no more: what is signed is good for a short time, and names a
number that its effect raises, so that another relayer, or this wallet itself, can be tried at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from .errors import InvalidRequest, NodeUnreachable, RelayRefused, TransactionPending, TransactionRefused
from .home import SealedFile
from .records import Block, Receipt
from .registry import Registry
from .rpc import Node, RequestRefused
from .sealing import HoldsSecret
from .sending import Announce, Patience
from .transactions import UNKNOWN_HASH, Call, Pauses, Prepared
from .twins import twins_of
from .wallet import Account, Wallet

GOOD_FOR = timedelta(minutes=20)
METHOD = "memsync_relay"
_KEPT = {"vault": bytes, "data": bytes, "signature": bytes, "sender": str, "block": int, "deadline": int}
_AGAIN = 30.0  # seconds, until the relayer is asked again
_RELAY_SECONDS = 30
_MOST_FAILURES = 3  # of the node in a row


@dataclass(frozen=True)
class _Signed:
    """What was handed over: the vault that it changes, the call's data, a signature in it by which it is known, who
    signed, the block after which that was, and until when it is good (Unix time)."""

    vault: bytes
    data: bytes
    signature: bytes
    sender: str
    block: int
    deadline: int


class Relayed(HoldsSecret):
    """Sends as ``Sender`` does, at another's cost. ``relay`` None: it only looks after what was handed over before."""

    def __init__(
        self,
        registry: Registry,
        wallet: Callable[[], Wallet | Account],
        file: SealedFile,
        relay: str | None,
        *,
        confirmations: int,
        say: Callable[[str], None] = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        self._registry, self._wallet, self._file = registry, wallet, file
        self._relay = Node(relay, timeout=_RELAY_SECONDS) if relay else None
        self._confirmations, self._say = confirmations, say
        self.patience = patience or Patience()

    def prepare(self, call: Call, sender: str) -> Prepared:
        """Simulates a call, after what was handed over before has come to its end. Nothing is signed. Raises what
        ``Registry.prepare`` raises, but for want of funds."""
        self.resume()
        return replace(self._registry.prepare(call, sender, free=True), call=call)

    def land(self, prepared: Prepared, announce: Announce = lambda _: None) -> Receipt:
        """Signs, hands over, and waits until it is final. Raises RelayRefused, TransactionPending, TransactionRefused
        (VersionTaken …) if something else was faster, NodeUnreachable, or InvalidRequest where it has no twin."""
        registry, call = self._registry, prepared.call
        if call is None:
            raise InvalidRequest("Only calls of the registry can be relayed.", "Send it without --relay.")
        deadline = int((registry.next_time() + GOOD_FOR).timestamp())
        wallet = self._wallet()
        calls, signature = [], b""
        for twin in twins_of(registry, call, prepared.sender, deadline):
            signature = registry.sign_typed_data(twin.typed_data(registry), wallet)
            calls.append(twin.call(signature))
        data = registry.encode(calls[0] if len(calls) == 1 else registry.multicall(calls))
        registry.simulate(data, prepared.sender)  # or the relayer would be blamed for it
        first = call.parts[0] if call.parts else call
        of = registry.vault_id_of(prepared.sender, first.arguments[0]) if first.function == "create" else None
        block = max(registry.latest().number - self._confirmations, 0)
        signed = _Signed(of or first.arguments[0], data, signature, prepared.sender, block, deadline)
        announce([UNKNOWN_HASH])
        self._file.write(vars(signed))
        return self._follow(signed, announce)

    def resume(self) -> Receipt | None:
        """Looks after what an earlier process has handed over. What has landed is waited for until it is final, and its
        receipt returned; what has not is handed over again, and without a relayer forgotten."""
        value = self._file.read(_KEPT)
        if value is None:
            return None
        signed = _Signed(**value)
        if self._relay is None and self._found(signed) is None:
            self._file.remove()
            return None
        with suppress(TransactionRefused, RelayRefused):  # whoever wanted it looks at the chain
            return self._follow(signed, lambda _: None)
        return None

    def _follow(self, signed: _Signed, announce: Announce) -> Receipt:
        pauses, end = Pauses(), time.monotonic() + self.patience.timeout
        asked, failures = float("-inf"), 0
        before: object = None
        told = False
        while True:
            state: object = None
            try:
                block = self._registry.latest()
                found = self._found(signed)
                if found:
                    if not told:
                        announce([found.tx_hash])
                        told = True
                    if block.number - found.block.number >= self._confirmations:
                        self._registry.confirm(found, self.patience.timeout)
                        self._file.remove()
                        return found
                    state = (found.block.hash, block.number)
                else:
                    self._check(signed, block)
                    if time.monotonic() - asked > _AGAIN:
                        self._hand_over(signed)
                        asked = time.monotonic()
                failures = 0
            except NodeUnreachable:
                failures += 1
                if failures == _MOST_FAILURES:
                    raise
            if state != before:
                end, before = time.monotonic() + self.patience.timeout, state
            if time.monotonic() + pauses.next > end:
                raise TransactionPending(
                    f"What was signed for {self._name} is {'not final' if state else 'in no block'} yet.",
                    "Run sync later, with another relayer (--relay URL), or without one.",
                )
            pauses.wait()

    @property
    def _name(self) -> str:
        return f"the relayer {self._relay.name}" if self._relay else "a relayer"

    def _found(self, signed: _Signed) -> Receipt | None:
        """The receipt of whichever transaction brought it: anyone may have sent it."""
        tx_hash = self._registry.changed_with(signed.vault, signed.signature, signed.block)
        return self._registry.receipt(tx_hash) if tx_hash else None

    def _check(self, signed: _Signed, block: Block) -> None:
        """Raises TransactionRefused where it can't land any more, and RelayRefused where its time has passed."""
        if block.time.timestamp() > signed.deadline:
            self._file.remove()
            raise RelayRefused(
                f"What was signed for {self._name} was not sent in time, and is void.",
                "Try again, with another relayer (--relay URL) or without one.",
            )
        try:
            self._registry.simulate(signed.data, signed.sender)
        except TransactionRefused:
            if self._found(signed):  # just now
                return
            self._file.remove()
            raise

    def _hand_over(self, signed: _Signed) -> None:
        if self._relay is None:
            return
        request = {"chainId": self._registry.chain_id, "to": self._registry.address, "data": f"0x{signed.data.hex()}"}
        try:
            self._relay.request(METHOD, request)
        except RequestRefused as error:
            self._file.remove()
            raise RelayRefused(
                f"The relayer does not take it: {error.cause}", "Try another one (--relay URL), or none."
            ) from None
        except NodeUnreachable as error:
            self._file.remove()
            raise RelayRefused(f"The relayer: {error.cause}", "Try another one (--relay URL), or none.") from None
        self._say(f"handed to {self._name}, which pays")
