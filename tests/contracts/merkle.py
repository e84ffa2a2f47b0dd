"""The memory log as RFC 9162 defines it, by recursion and over keccak256: what the contract's loop is compared with."""

from collections.abc import Sequence

from eth_utils import keccak


def _split(size: int) -> int:
    """The largest power of two below size (RFC 9162, 2.1.1)."""
    return 1 << (size - 1).bit_length() - 1


def tree_root(entries: Sequence[bytes]) -> bytes:
    """MTH of one entry or more (2.1.1)."""
    if len(entries) == 1:
        return keccak(b"\x00" + entries[0])
    k = _split(len(entries))
    return keccak(b"\x01" + tree_root(entries[:k]) + tree_root(entries[k:]))


def inclusion_proof(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of the entry at index (2.1.3.1)."""
    if len(entries) == 1:
        return []
    k = _split(len(entries))
    if index < k:
        return [*inclusion_proof(index, entries[:k]), tree_root(entries[k:])]
    return [*inclusion_proof(index - k, entries[k:]), tree_root(entries[:k])]


def proof_length(index: int, size: int) -> int:
    """The length of PATH, without the tree."""
    if size == 1:
        return 0
    k = _split(size)
    return 1 + (proof_length(index, k) if index < k else proof_length(index - k, size - k))


def root_from_proof(entry: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that PATH amounts to, downwards from the root's own split, without the tree."""
    if size == 1:
        return keccak(b"\x00" + entry)
    k = _split(size)
    if index < k:
        return keccak(b"\x01" + root_from_proof(entry, index, k, proof[:-1]) + proof[-1])
    return keccak(b"\x01" + proof[-1] + root_from_proof(entry, index - k, size - k, proof[:-1]))


def memory_root(entries: Sequence[bytes]) -> bytes:
    """What a vault stores: the root bound to the size."""
    return keccak(b"\x02" + tree_root(entries) + len(entries).to_bytes(8, "big"))
