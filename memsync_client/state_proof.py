"""Proofs of state (EIP-1186): that values stand in a contract's storage under the state root of one block. Pure.

A proof ties what a node says to one block hash, and says nothing of whether that block is the chain's: for that, the
hash is compared with what other nodes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp
from eth_abi.abi import encode
from eth_utils import keccak

# Of a block, in the order in which they are hashed: (name in JSON-RPC, bytes; 0: a number).
_HEADER = (
    *(("parentHash", 32), ("sha3Uncles", 32), ("miner", 20), ("stateRoot", 32), ("transactionsRoot", 32)),
    *(("receiptsRoot", 32), ("logsBloom", 256), ("difficulty", 0), ("number", 0), ("gasLimit", 0), ("gasUsed", 0)),
    *(("timestamp", 0), ("extraData", None), ("mixHash", 32), ("nonce", 8)),
)
# What later forks have added behind them, each only where the one before it is there too.
_ADDED = (
    *(("baseFeePerGas", 0), ("withdrawalsRoot", 32), ("blobGasUsed", 0), ("excessBlobGas", 0)),
    *(("parentBeaconBlockRoot", 32), ("requestsHash", 32)),
)
_ZERO = rlp.encode(0)  # a trie has no leaf for it; anvil's has
_MAX_NODES = 80  # of one proof: a key has 64 nibbles


class NotProven(Exception):
    """The proof or block is malformed, or shows another value; says which."""


def header_hash(block: Mapping[str, Any]) -> bytes:
    """The hash of a block as JSON-RPC gives it, computed from its fields. Raises NotProven for one of another form.

    A chain whose blocks have fields of their own gives another hash than the block's: the caller compares.
    """
    fields = [_field(block, name, size) for name, size in _HEADER]
    for name, size in _ADDED:
        if block.get(name) is None:
            break
        fields.append(_field(block, name, size))
    return keccak(rlp.encode(fields))


def storage_of(vault_id: bytes, record: Any) -> dict[int, int]:
    """The values in the contract's storage, by slot, that say the same as ``record`` (contracts/README.md)."""
    owner, version, epoch, tenure, head_lag, epoch_lag, content_hash, memory_root, keyring_hash, base_uri = record
    first = int.from_bytes(keccak(encode(["bytes32", "uint256"], [vault_id, 0])), "big")
    head = int(owner, 16)
    for value, shift in ((version, 160), (epoch, 192), (tenure, 224), (head_lag, 240), (epoch_lag, 248)):
        head |= value << shift
    words = [head, *(int.from_bytes(value, "big") for value in (content_hash, memory_root, keyring_hash))]
    if len(base_uri) < 32:  # in place, with twice its length in the last byte
        words.append(int.from_bytes(base_uri.ljust(32, b"\0"), "big") | 2 * len(base_uri))
        return {(first + number) % 2**256: word for number, word in enumerate(words)}
    words.append(2 * len(base_uri) + 1)
    slots = {(first + number) % 2**256: word for number, word in enumerate(words)}
    text = int.from_bytes(keccak(((first + 4) % 2**256).to_bytes(32, "big")), "big")
    for number in range(0, len(base_uri), 32):
        part = base_uri[number : number + 32].ljust(32, b"\0")
        slots[(text + number // 32) % 2**256] = int.from_bytes(part, "big")
    return slots


def check(
    block: Mapping[str, Any],
    proof: Mapping[str, Any],
    address: bytes,
    code_hash: bytes,
    expected: Mapping[int, int],
) -> None:
    """Raises NotProven unless ``proof`` (what eth_getProof gave) shows, under the state root of ``block``, a contract
    with this code at ``address`` (20 bytes) whose storage has the ``expected`` values by slot, as numbers."""
    account = _prove(_bytes(block.get("stateRoot"), 32), keccak(address), proof.get("accountProof"), "the account")
    try:
        parts = rlp.decode(account)
        storage_root, shown_code = bytes(parts[2]), bytes(parts[3])
    except Exception:  # rlp raises several kinds, and so does indexing what is no list
        raise NotProven("the account in it can't be read") from None
    if shown_code != code_hash:
        raise NotProven("it has another contract at the registry's address")
    entries = proof.get("storageProof")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise NotProven("it has no proofs of storage")
    by_slot = {_number(entry.get("key")): entry.get("proof") for entry in entries}
    for slot, value in expected.items():
        found = _prove(storage_root, keccak(slot.to_bytes(32, "big")), by_slot.get(slot), "a storage slot")
        if (found or _ZERO) != rlp.encode(value):
            raise NotProven("the record is another one under the block's state root")


def _prove(root: bytes, key: bytes, nodes: object, what: str) -> bytes:
    """The value at ``key`` of the trie under ``root``, empty where the proof shows that there is none."""
    from trie import HexaryTrie  # only who asks a chain needs it

    if not isinstance(nodes, list) or len(nodes) > _MAX_NODES:
        raise NotProven(f"it has no proof of {what}")
    database = {}
    for node in nodes:
        raw = _bytes(node)
        database[keccak(raw)] = raw
    try:
        return bytes(HexaryTrie(database, root)[key])
    except Exception:  # a node that is missing, or one of the many ways in which one can be malformed
        raise NotProven(f"the proof of {what} does not verify") from None


def _field(block: Mapping[str, Any], name: str, size: int | None) -> bytes | int:
    value = block.get(name)
    return _number(value) if size == 0 else _bytes(value, size)


def _bytes(value: object, size: int | None = None) -> bytes:
    try:
        if not isinstance(value, str) or value[:2] != "0x":
            raise ValueError
        raw = bytes.fromhex(value[2:])
    except ValueError:
        raise NotProven("it has a value that is no hex") from None
    if size is not None and len(raw) != size:
        raise NotProven("it has a value of a wrong length")
    return raw


def _number(value: object) -> int:
    try:
        if not isinstance(value, str) or value[:2] != "0x" or len(value) > 66:
            raise ValueError
        return int(value[2:] or "0", 16)
    except ValueError:
        raise NotProven("it has a value that is no number") from None
