"""Transactions to a contract: simulated and priced before anything is signed, hash known before anything is sent.

One attempt each; ``sending`` makes them arrive.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hexbytes import HexBytes
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)

from .addresses import checked_address
from .errors import (
    InsufficientFunds,
    InvalidRequest,
    MemSyncError,
    NodeUnreachable,
    NonceTaken,
    TransactionPending,
    TransactionRefused,
)
from .interface import Function
from .records import Block, Receipt
from .refusals import refused
from .rpc import Node, RequestRefused, refusal
from .wallet import Account, Wallet

MAX_GAS = 2**24  # what a transaction may use on a chain (EIP-7825)
UNKNOWN_HASH = bytes(32)  # of a transaction that an account elsewhere has been asked to sign
_SIGNER_SECONDS = 300  # a person may have to confirm
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two looks for a receipt
_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class Call:
    """A call of a contract's function, not yet a transaction."""

    function: str
    arguments: tuple[Any, ...]
    parts: tuple[Call, ...] = ()  # of a bundle


@dataclass(frozen=True)
class Prepared:
    """A transaction that the node has simulated without a refusal. ``gas`` is its estimate, fees are in wei a gas."""

    sender: str
    data: bytes
    nonce: int
    gas: int
    gas_limit: int
    max_fee: int
    priority_fee: int
    call: Call | None = None  # where it is known

    @property
    def max_cost(self) -> int:
        """The most that it can cost, in wei."""
        return self.gas_limit * self.max_fee

    @property
    def usual_fee(self) -> int:
        """What a gas costs at the newest block's base fee, in wei: ``max_fee`` leaves room for twice that."""
        return (self.max_fee - self.priority_fee) // 2 + self.priority_fee


@dataclass(frozen=True)
class Signed:
    """A transaction ready to be sent, and the hash (32 bytes) under which it will be found. Of one that an account
    elsewhere signs ``raw`` is empty, and the hash unknown at first."""

    raw: bytes
    tx_hash: bytes
    nonce: int


Price = Callable[[int, int], tuple[int, int]]


def usual_price(base_fee: int, tip: int) -> tuple[int, int]:
    """The most to offer and what of it goes to the block's maker, from the newest block's base fee and the usual tip;
    all in wei a gas. Twice the base fee outlasts six full blocks."""
    return 2 * base_fee + tip, tip


class Pauses:
    """Waits a little longer each time, varied by a quarter, so that many who wait do not ask at once."""

    def __init__(self) -> None:
        self.next = _FIRST_PAUSE

    def wait(self) -> None:
        time.sleep(self.next * _JITTER.uniform(0.75, 1.25))
        self.next = min(1.5 * self.next, _LONGEST_PAUSE)


class ContractClient:
    """One contract on one chain, and writing to it."""

    def __init__(self, node: Node, chain_id: int, address: str, abi: list[dict[str, Any]]) -> None:
        self.node = node
        self.chain_id = chain_id
        self.address = checked_address(address)
        self._abi = abi
        self._eth = node.web3.eth
        self._functions: dict[str, Function] = {}

    @property
    def rpc_url(self) -> str:
        """As it was given; it may carry an API key."""
        return self.node.url

    def latest(self) -> Block:
        """The chain's newest block. Raises NodeUnreachable."""
        with self.node.asking():
            # Not by web3's name for it, which looks at each of thirty fields: nothing is asked as often.
            found = self.node.request("eth_getBlockByNumber", "latest", False)
            numbers = {name: int(found[name], 16) for name in ("number", "timestamp")}
            return to_block({"hash": bytes(HexBytes(found["hash"])), **numbers})

    def balance(self, address: str) -> int:
        """What an account has, in wei. Raises NodeUnreachable."""
        with self.node.asking():
            return to_number(self._eth.get_balance(checked_address(address)))

    def encode(self, call: Call) -> bytes:
        """A call's data. Raises InvalidRequest if the arguments are not of the function's types."""
        try:
            return self._function(call.function).encode(call.arguments)
        except Exception as error:  # several kinds are raised over a wrong type
            said = f"{call.function} can't be called with these values ({type(error).__name__})."
            raise InvalidRequest(said, "Check their types and lengths.") from error

    def ask(self, call: Call, block: int | None = None) -> Any:
        """What a view function returns as of one block, or the newest. Raises InvalidRequest as ``encode`` does,
        NodeUnreachable, and for a refusal web3's ContractLogicError."""
        transaction: Any = {"to": self.address, "data": self.encode(call)}
        with self.node.asking():
            answer = self._eth.call(transaction, "latest" if block is None else block)
            return self._function(call.function).decode(answer)

    def _function(self, name: str) -> Function:
        if name not in self._functions:
            (entry,) = (entry for entry in self._abi if (entry["type"], entry.get("name")) == ("function", name))
            self._functions[name] = Function(entry, self.node.web3.codec)
        return self._functions[name]

    def fees(self) -> tuple[int, int]:
        """The newest block's base fee and the usual tip, in wei a gas. Raises NodeUnreachable."""
        with self.node.asking():
            base_fee = to_number(self._eth.get_block("latest").get("baseFeePerGas"))
            return base_fee, to_number(self._eth.max_priority_fee)

    def nonce(self, account: str, block: str = "latest") -> int:
        """How many transactions of an account are in blocks, or with ``"pending"`` in the node's pool too. Raises
        NodeUnreachable."""
        with self.node.asking():
            return to_number(self._eth.get_transaction_count(checked_address(account), block))  # type: ignore[arg-type]

    def simulate(self, data: bytes, sender: str) -> int:
        """The gas that a call with this data would take now. Raises TransactionRefused with the contract's reason
        (VersionTaken if another writer was first), or NodeUnreachable."""
        transaction: Any = {"from": checked_address(sender), "to": self.address, "data": data}
        try:
            with self.node.asking():
                self._eth.call(transaction, "latest")  # some nodes give a reason here only
                gas = to_number(self._eth.estimate_gas(transaction, "latest"))
        except ContractLogicError as error:
            raise refused(self._abi, error.data) from None
        if gas > MAX_GAS:
            raise TransactionRefused(f"The transaction needs {gas:,} gas, more than {MAX_GAS:,}.", "Do less at once.")
        return gas

    def prepare(
        self, call: Call, sender: str, *, nonce: int | None = None, price: Price = usual_price, free: bool = False
    ) -> Prepared:
        """Simulate and price a call, so that a refusal comes before anything is signed.

        ``nonce`` replaces a waiting transaction of that nonce; the default follows all that wait. With ``free`` another
        account pays, and funds and fees don't matter. Raises TransactionRefused with the contract's reason
        (VersionTaken if another writer was first), InsufficientFunds, NodeUnreachable, or InvalidRequest.
        """
        return self.prepare_data(self.encode(call), sender, nonce=nonce, price=price, free=free)

    def prepare_data(
        self, data: bytes, sender: str, *, nonce: int | None = None, price: Price = usual_price, free: bool = False
    ) -> Prepared:
        """The same of a call that is encoded already."""
        account = checked_address(sender)
        gas = self.simulate(data, account)
        gas_limit = min(gas + gas // 5, MAX_GAS)  # others may write before it is its turn
        if free:
            return Prepared(account, data, 0, gas, gas_limit, 0, 0)
        max_fee, priority_fee = price(*self.fees())
        nonce = self.nonce(account, "pending") if nonce is None else nonce
        prepared = Prepared(account, data, nonce, gas, gas_limit, max_fee, priority_fee)
        self.check_funds(prepared)
        return prepared

    def check_funds(self, prepared: Prepared) -> None:
        """Raises InsufficientFunds, with what is missing, unless the account can pay for it."""
        funds = self.balance(prepared.sender)
        if funds >= prepared.max_cost:
            return
        missing = prepared.max_cost - funds
        raise InsufficientFunds(
            f"{prepared.sender} lacks {coins(missing)} coins on chain {self.chain_id}, which is"
            f" {-(-missing // prepared.max_fee):,} gas at up to {gwei(prepared.max_fee)} gwei: it has {coins(funds)},"
            f" and the transaction may cost {coins(prepared.max_cost)} ({prepared.gas_limit:,} gas).",
            "Send it some, or have a relayer pay: --relay URL",
        )

    def submit(self, prepared: Prepared, wallet: Wallet | Account, announce: Callable[[Signed], None]) -> bytes:
        """Sign and send; what is sent goes to ``announce`` before sending, and its hash (32 bytes) is returned.

        An account elsewhere names the hash only afterwards, so it is announced twice: as ``UNKNOWN_HASH``, then as it
        is. Whether such a transaction landed has to be seen by what it did. Raises what ``sign`` and ``send`` raise.
        """
        if isinstance(wallet, Wallet):
            signed = self.sign(prepared, wallet)
            announce(signed)
            self.send(signed)
            return signed.tx_hash
        announce(Signed(b"", UNKNOWN_HASH, prepared.nonce))
        tx_hash = self._send_by(prepared, wallet)
        announce(Signed(b"", tx_hash, prepared.nonce))
        return tx_hash

    def sign_typed_data(self, typed: dict[str, Any], wallet: Wallet | Account) -> bytes:
        """The wallet's signature of EIP-712 data. Raises TransactionRefused if an account elsewhere does not sign."""
        if isinstance(wallet, Wallet):
            return wallet.sign_typed_data(typed)
        node = self._signer(wallet)
        try:
            answer = node.request("eth_signTypedData_v4", wallet.address, json.dumps(typed))
        except RequestRefused as error:
            raise TransactionRefused(f"{node.name} signs no typed data: {error.cause}", "Use another wallet.") from None
        with node.asking():
            return bytes(HexBytes(answer))

    def next_time(self) -> datetime:
        """The time of the block that is being made, as far as the node says; never before the newest block's."""
        newest = self.latest().time
        try:
            with self.node.asking():
                return max(newest, to_time(to_number(self._eth.get_block("pending").get("timestamp"))))
        except RequestRefused:
            return newest

    def check_account(self, wallet: Account) -> None:
        """Raises InvalidRequest unless the node or signer says that it signs for this account, on this chain."""
        node = self._signer(wallet)
        with node.asking():
            known = [str(address).lower() for address in node.web3.eth.accounts]
            chain = to_number(node.web3.eth.chain_id)
        if wallet.address.lower() not in known:
            raise InvalidRequest(f"{node.name} does not sign for {wallet.address}.", "Unlock or add that account.")
        if chain != self.chain_id:
            raise InvalidRequest(f"{node.name} signs for chain {chain}, not {self.chain_id}.", "Switch its chain.")

    def _signer(self, wallet: Account) -> Node:
        return Node(wallet.url or self.node.url, timeout=_SIGNER_SECONDS)

    def _send_by(self, prepared: Prepared, wallet: Account) -> bytes:
        if wallet.address != prepared.sender:
            raise InvalidRequest(f"The transaction is {prepared.sender}'s, not {wallet.address}'s.", "Prepare it anew.")
        node = self._signer(wallet)
        fields = {
            "from": prepared.sender,
            "to": self.address,
            "data": f"0x{prepared.data.hex()}",
            "value": "0x0",
            "chainId": hex(self.chain_id),
            "nonce": hex(prepared.nonce),
            "gas": hex(prepared.gas_limit),
            "maxFeePerGas": hex(prepared.max_fee),
            "maxPriorityFeePerGas": hex(prepared.priority_fee),
        }
        try:
            answer = node.request("eth_sendTransaction", fields)
        except ContractLogicError as error:
            raise refused(self._abi, error.data) from None
        except RequestRefused as error:
            cause = error.__cause__
            said = refusal(cause) if isinstance(cause, Web3RPCError) else error.cause
            raise self._why_not_taken(node, prepared.nonce, prepared.sender, said) from None
        with node.asking():
            return _hash(bytes(HexBytes(answer)))

    def sign(self, prepared: Prepared, wallet: Wallet) -> Signed:
        """Sign for this chain (EIP-1559). Raises InvalidRequest for a wallet other than the sender's."""
        if wallet.address != prepared.sender:
            raise InvalidRequest(f"The transaction is {prepared.sender}'s, not {wallet.address}'s.", "Prepare it anew.")
        raw, tx_hash = wallet.sign_transaction(
            {
                "type": 2,
                "chainId": self.chain_id,
                "nonce": prepared.nonce,
                "to": self.address,
                "value": 0,
                "data": prepared.data,
                "gas": prepared.gas_limit,
                "maxFeePerGas": prepared.max_fee,
                "maxPriorityFeePerGas": prepared.priority_fee,
            }
        )
        return Signed(raw, tx_hash, prepared.nonce)

    def send(self, signed: Signed) -> None:
        """Send; sending again what the node has already is no error.

        Raises TransactionRefused (NonceTaken if another transaction of the account was first), InsufficientFunds, or
        NodeUnreachable (it may have arrived all the same: see ``transaction_known``).
        """
        try:
            with self.node.asking():
                try:
                    answer = bytes(self._eth.send_raw_transaction(HexBytes(signed.raw)))
                except Web3RPCError as error:
                    said = refusal(error)
                    answer = self._not_taken(signed, said)
        except ContractLogicError as error:
            raise refused(self._abi, error.data) from None
        if answer != signed.tx_hash:
            said = f"{self.node.name} took a transaction and names another one."
            raise NodeUnreachable(said, "Try another RPC node; it may have been sent.")

    def transaction_known(self, tx_hash: bytes) -> bool:
        """Whether the node knows a transaction, in a block or waiting. Raises NodeUnreachable."""
        return self._transaction(tx_hash) is not None

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a transaction, None if it is in no block (yet).

        Raises TransactionRefused with the contract's reason (VersionTaken ...) if it reverted, and NodeUnreachable.
        """
        found = self.included(tx_hash)
        if found and not found[1]:
            raise self.why_reverted(found[0])
        return found[0] if found else None

    def included(self, tx_hash: bytes) -> tuple[Receipt, bool] | None:
        """The receipt of a transaction and whether it took effect, None if it is in no block (yet). Raises
        NodeUnreachable."""
        with self.node.asking():
            try:
                found = self._eth.get_transaction_receipt(HexBytes(tx_hash))
                block = to_block(self._eth.get_block(HexBytes(_hash(found["blockHash"]))))
            except (TransactionNotFound, TransactionIndexingInProgress, BlockNotFound):
                return None
            status, gas_used = found["status"], to_number(found["gasUsed"])
            paid = found.get("effectiveGasPrice")
            fee = None if paid is None else gas_used * to_number(paid)
            if status not in (0, 1) or found["transactionHash"] != tx_hash or found["blockNumber"] != block.number:
                raise ValueError("another transaction's receipt")
        return Receipt(tx_hash, gas_used, block, fee), status == 1

    def wait(self, tx_hash: bytes, timeout: float = 120, confirmations: int = 0) -> Receipt:
        """Wait until a transaction is in a block and ``confirmations`` blocks are on top of it.

        Raises TransactionPending if neither it nor a new block comes within ``timeout`` seconds, and what ``receipt``
        raises.
        """
        deadline = time.monotonic() + timeout
        pauses, seen = Pauses(), (0, b"")
        while True:
            newest = self.latest().number if confirmations else 0
            receipt = self.receipt(tx_hash)
            if receipt and (not confirmations or newest - receipt.block.number >= confirmations):
                return receipt
            now = (newest, receipt.block.hash) if receipt else (0, b"")
            if now != seen:
                deadline, seen = time.monotonic() + timeout, now
            if time.monotonic() + pauses.next > deadline:
                what = "has too few blocks on top of it" if receipt else "is in no block"
                raise TransactionPending(f"Transaction 0x{tx_hash.hex()} {what} yet.", "Run sync later.")
            pauses.wait()

    def confirm(self, receipt: Receipt, timeout: float = 120) -> None:
        """Waits until another node says so too, where several are asked; here is one."""

    def _not_taken(self, signed: Signed, said: str) -> bytes:
        """The hash if the node has the transaction all the same; else raises why it does not take it."""
        reason = said.lower()
        if "already known" in reason or "already imported" in reason or "known transaction" in reason:
            return signed.tx_hash
        why = self._why_not_taken(self.node, signed.nonce, "The account", said)
        if isinstance(why, NonceTaken) and self.transaction_known(signed.tx_hash):
            return signed.tx_hash
        raise why

    def _why_not_taken(self, node: Node, nonce: int, account: str, said: str) -> MemSyncError:
        reason = said.lower()
        if ("nonce" in reason and "low" in reason) or "replacement transaction" in reason:
            return NonceTaken(f"Another transaction of the account took number {nonce}.", "Try again.")
        if "insufficient funds" in reason:
            cause = f"{account} has too little to pay for the transaction on chain {self.chain_id}."
            return InsufficientFunds(cause, "Send it some.")
        return TransactionRefused(f"{node.name} does not take the transaction: {said}", "Try again later.")

    def _transaction(self, tx_hash: bytes) -> Any:
        with self.node.asking():
            try:
                found = self._eth.get_transaction(HexBytes(tx_hash))
            except (TransactionNotFound, TransactionIndexingInProgress):
                return None
            if found["hash"] != tx_hash:
                raise ValueError("another transaction")
            return found

    def why_reverted(self, receipt: Receipt) -> TransactionRefused:
        """Call again what reverted; the state after its block shows the reason best (another writer was first)."""
        sent, block = self._transaction(receipt.tx_hash), receipt.block
        for number in (block.number, block.number - 1) if sent else ():
            try:
                with self.node.asking():
                    self._eth.call({"from": sent["from"], "to": sent["to"], "data": sent["input"]}, number)
            except ContractLogicError as error:
                return refused(self._abi, error.data)
            except NodeUnreachable:
                break  # it no longer has that state
        return TransactionRefused("The transaction reverted, most likely for want of gas.", "Run sync, then try again.")


def coins(wei: int) -> str:
    """An amount in the chain's coin, exactly."""
    return _plain(Decimal(wei).scaleb(-18))


def gwei(wei: int) -> str:
    """A price a gas in gwei, exactly."""
    return _plain(Decimal(wei).scaleb(-9))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_time(seconds: int) -> datetime:
    """Seconds since 1970 as UTC; what lies after the year 9999 as its end (a contract may hold such an expiry)."""
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)


def to_block(found: Any) -> Block:
    return Block(to_number(found["number"]), _hash(found["hash"]), to_time(to_number(found["timestamp"])))


def to_number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**256:
        raise ValueError("not a number")
    return value


def _hash(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueError("not a hash")
    return bytes(value)
