"""The memory log: an append-only Merkle tree over salted commitments of every memory ever committed. Pure.

The shape is that of RFC 9162 §2.1; the hash is keccak256 with the prefixes 0x00 for a leaf, 0x01 for a node, and 0x02
for the memory root, which binds tree root and size (u64, big-endian). ``MemoryRegistry.memoryRootFrom`` computes the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from eth_hash.backends.pysha3 import keccak256 as keccak  # seven times as fast as eth_hash's default

from .errors import Tampered

HASH_BYTES = 32
SALT_BYTES = 16


def commitment(vault_id: bytes, salt: bytes, record: bytes) -> bytes:
    """The log's entry for one memory: keccak256(vault id (32) ‖ salt (16) ‖ record). The salt hides guessable texts."""
    return keccak(vault_id + salt + record)


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(b"\x01" + left + right)


@dataclass(frozen=True)
class Frontier:
    """All that appending needs: the size and the roots of the perfect subtrees on the right edge, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or self.size.bit_count() != len(self.peaks) or any(len(p) != HASH_BYTES for p in self.peaks):
            raise Tampered(
                "The memory log's frontier is malformed.", "Do not use it; the writer of the head is faulty."
            )

    def extended(self, entries: Iterable[bytes]) -> Frontier:
        """The frontier after appending ``entries`` (32 bytes each), in order."""
        size, peaks = self.size, list(self.peaks)
        for entry in entries:
            node, rest = keccak(b"\x00" + entry), size
            while rest & 1:
                node, rest = _node(peaks.pop(), node), rest >> 1
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks))

    @property
    def memory_root(self) -> bytes:
        """keccak256(0x02 ‖ tree root ‖ size): what the chain stores."""
        root = keccak(b"")
        for index, peak in enumerate(reversed(self.peaks)):
            root = _node(peak, root) if index else peak
        return keccak(b"\x02" + root + self.size.to_bytes(8, "big"))


@dataclass
class MemoryLog:
    """The whole tree, for proofs: every level of it, in memory."""

    _levels: list[list[bytes]] = field(default_factory=lambda: [[]])

    @classmethod
    def of(cls, entries: Sequence[bytes]) -> MemoryLog:
        """The log of ``entries`` (32 bytes each)."""
        levels = [[keccak(b"\x00" + entry) for entry in entries]]
        while len(levels[-1]) > 1:
            below = levels[-1]
            level = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            levels.append(level + below[-1:] if len(below) % 2 else level)
        return cls(levels)

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self._levels[0])

    @property
    def memory_root(self) -> bytes:
        """The same as the frontier's."""
        root = self._levels[-1][0] if self.size else keccak(b"")
        return keccak(b"\x02" + root + self.size.to_bytes(8, "big"))

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof of entry ``index``: sibling hashes from the leaf up (RFC 9162 §2.1.3.1)."""
        if not 0 <= index < self.size:
            raise IndexError("no such entry in the memory log")
        proof = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                proof.append(level[sibling])
            index >>= 1
        return proof
