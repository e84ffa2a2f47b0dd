"""Transactions to a contract: simulated and priced before anything is signed, hash known before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils import is_address, to_checksum_address
from hexbytes import HexBytes
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)

from .errors import (
    InsufficientFunds,
    InvalidRequest,
    MemSyncError,
    NodeUnreachable,
    NonceTaken,
    TransactionPending,
    TransactionRefused,
)
from .records import Block, Receipt
from .refusals import refused
from .rpc import Node, RequestRefused, refusal
from .wallet import Account, Wallet

MAX_GAS = 2**24  # what a transaction may use on a chain (EIP-7825)
UNKNOWN_HASH = bytes(32)  # of a transaction that an account elsewhere has been asked to sign
_SIGNER_SECONDS = 300  # a person may have to confirm
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two looks for a receipt


@dataclass(frozen=True)
class Call:
    """A call of a contract's function, not yet a transaction."""

    function: str
    arguments: tuple[Any, ...]


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
    """A transaction ready to be sent, and the hash (32 bytes) under which it will be found."""

    raw: bytes
    tx_hash: bytes
    nonce: int


class ContractClient:
    """One contract on one chain, and writing to it."""

    def __init__(self, node: Node, chain_id: int, address: str, abi: list[dict[str, Any]]) -> None:
        self.node = node
        self.chain_id = chain_id
        self.address = checked_address(address)
        self._abi = abi
        self._eth = node.web3.eth
        self._contract = node.web3.eth.contract(address=self.address, abi=abi)
        self._alone: dict[str, Any] = {}  # by function

    @property
    def rpc_url(self) -> str:
        """As it was given; it may carry an API key."""
        return self.node.url

    def latest(self) -> Block:
        """The chain's newest block. Raises NodeUnreachable."""
        with self.node.asking():
            return to_block(self._eth.get_block("latest"))

    def balance(self, address: str) -> int:
        """What an account has, in wei. Raises NodeUnreachable."""
        with self.node.asking():
            return to_number(self._eth.get_balance(checked_address(address)))

    def encode(self, call: Call) -> bytes:
        """A call's data. Raises InvalidRequest if the arguments are not of the function's types."""
        try:
            return bytes(HexBytes(self._with_only(call.function).encode_abi(call.function, args=call.arguments)))
        except Exception as error:  # web3 raises several kinds over a wrong type
            said = f"{call.function} can't be called with these values ({type(error).__name__})."
            raise InvalidRequest(said, "Check their types and lengths.") from error

    def _with_only(self, function: str) -> Any:
        """The contract with one function: web3 hashes every name it knows of a contract, several times a call."""
        if function not in self._alone:
            abi: Any = [entry for entry in self._abi if (entry["type"], entry.get("name")) == ("function", function)]
            self._alone[function] = self._eth.contract(address=self.address, abi=abi)
        return self._alone[function]

    def prepare(self, call: Call, sender: str, *, nonce: int | None = None) -> Prepared:
        """Simulate and price a call, so that a refusal comes before anything is signed.

        ``nonce`` replaces a waiting transaction of that nonce; the default follows all that wait. Raises
        TransactionRefused with the contract's reason (VersionTaken if another writer was first), InsufficientFunds,
        NodeUnreachable, or InvalidRequest.
        """
        account = checked_address(sender)
        data = self.encode(call)
        transaction: Any = {"from": account, "to": self.address, "data": data}
        try:
            with self.node.asking():
                self._eth.call(transaction, "latest")  # some nodes give a reason here only
                gas = to_number(self._eth.estimate_gas(transaction, "latest"))
                base_fee = to_number(self._eth.get_block("latest").get("baseFeePerGas"))
                priority_fee = to_number(self._eth.max_priority_fee)
                funds = to_number(self._eth.get_balance(account))
                if nonce is None:
                    nonce = to_number(self._eth.get_transaction_count(account, "pending"))
        except ContractLogicError as error:
            raise refused(self._abi, error.data) from None
        if gas > MAX_GAS:
            raise TransactionRefused(f"The transaction needs {gas:,} gas, more than {MAX_GAS:,}.", "Do less at once.")
        # A fifth more, since others may write before it is its turn; twice the base fee outlasts six full blocks.
        prepared = Prepared(
            account, data, nonce, gas, min(gas + gas // 5, MAX_GAS), 2 * base_fee + priority_fee, priority_fee
        )
        if funds < prepared.max_cost:
            raise self._too_little(account, prepared.max_cost - funds)
        return prepared

    def submit(self, prepared: Prepared, wallet: Wallet | Account, announce: Callable[[bytes], None]) -> bytes:
        """Sign and send; the hash (32 bytes) goes to ``announce`` before sending, and is returned.

        An account elsewhere names the hash only afterwards, so it is announced twice: as ``UNKNOWN_HASH``, then as it
        is. Whether such a transaction landed has to be seen by what it did. Raises what ``sign`` and ``send`` raise.
        """
        if isinstance(wallet, Wallet):
            signed = self.sign(prepared, wallet)
            announce(signed.tx_hash)
            self.send(signed)
            return signed.tx_hash
        announce(UNKNOWN_HASH)
        tx_hash = self._send_by(prepared, wallet)
        announce(tx_hash)
        return tx_hash

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
            raise self._why_not_taken(node, prepared.nonce, said) from None
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
        if status == 0:
            raise self._why_reverted(tx_hash, block)
        return Receipt(tx_hash, gas_used, block, fee)

    def wait(self, tx_hash: bytes, timeout: float = 120, confirmations: int = 0) -> Receipt:
        """Wait until a transaction is in a block and ``confirmations`` blocks are on top of it.

        Raises TransactionPending if that isn't so after ``timeout`` seconds, and what ``receipt`` raises.
        """
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while True:
            receipt = self.receipt(tx_hash)
            if receipt and (not confirmations or self.latest().number - receipt.block.number >= confirmations):
                return receipt
            if time.monotonic() + pause > deadline:
                seen = "has too few blocks on top of it" if receipt else "is in no block"
                raise TransactionPending(f"Transaction 0x{tx_hash.hex()} {seen} yet.", "Run sync later.")
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _not_taken(self, signed: Signed, said: str) -> bytes:
        """The hash if the node has the transaction all the same; else raises why it does not take it."""
        reason = said.lower()
        if "already known" in reason or "already imported" in reason or "known transaction" in reason:
            return signed.tx_hash
        why = self._why_not_taken(self.node, signed.nonce, said)
        if isinstance(why, NonceTaken) and self.transaction_known(signed.tx_hash):
            return signed.tx_hash
        raise why

    def _why_not_taken(self, node: Node, nonce: int, said: str) -> MemSyncError:
        reason = said.lower()
        if ("nonce" in reason and "low" in reason) or "replacement transaction" in reason:
            return NonceTaken(f"Another transaction of the account took number {nonce}.", "Try again.")
        if "insufficient funds" in reason:
            return self._too_little("The account", None)
        return TransactionRefused(f"{node.name} does not take the transaction: {said}", "Try again later.")

    def _too_little(self, account: str, missing: int | None) -> InsufficientFunds:
        gap = f"{account} lacks {missing / 10**18:.9f} coins" if missing else f"{account} has too little"
        return InsufficientFunds(f"{gap} to pay for the transaction on chain {self.chain_id}.", "Send it some.")

    def _transaction(self, tx_hash: bytes) -> Any:
        with self.node.asking():
            try:
                found = self._eth.get_transaction(HexBytes(tx_hash))
            except (TransactionNotFound, TransactionIndexingInProgress):
                return None
            if found["hash"] != tx_hash:
                raise ValueError("another transaction")
            return found

    def _why_reverted(self, tx_hash: bytes, block: Block) -> TransactionRefused:
        """Call again what reverted; the state after its block shows the reason best (another writer was first)."""
        sent = self._transaction(tx_hash)
        for number in (block.number, block.number - 1) if sent else ():
            try:
                with self.node.asking():
                    self._eth.call({"from": sent["from"], "to": sent["to"], "data": sent["input"]}, number)
            except ContractLogicError as error:
                return refused(self._abi, error.data)
            except NodeUnreachable:
                break  # it no longer has that state
        return TransactionRefused("The transaction reverted, most likely for want of gas.", "Run sync, then try again.")


def checked_address(address: str) -> ChecksumAddress:
    """An address with its checksum (EIP-55). Raises InvalidRequest, for a wrong checksum too."""
    if not is_address(address):
        raise InvalidRequest("That is no account's address (0x and 40 hex digits).", "Check it for typing errors.")
    return to_checksum_address(address)


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
