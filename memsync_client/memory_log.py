"""The memory log: an append-only Merkle tree over salted commitments of every memory ever committed. Pure.

The shape is that of RFC 9162 §2.1; the hash is keccak256 with the prefixes 0x00 for a leaf, 0x01 for a node, and 0x02
for the memory root, which binds tree root and size (u64, big-endian). ``MemoryRegistry.memoryRootFrom`` computes the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
class Stretch:
    """Entries of the log in a row: the index of the first, how many, and the roots of the largest perfect subtrees that
    together hold them, from the left."""

    start: int
    size: int
    roots: tuple[bytes, ...]

    def __post_init__(self) -> None:
        sound = self.start >= 0 and self.size >= 0 and all(len(root) == HASH_BYTES for root in self.roots)
        if not sound or len(self.roots) != len(list(_heights(self.start, self.start + self.size))):
            raise Tampered("A stretch of the memory log is malformed.", "Do not use it.")

    @classmethod
    def of(cls, start: int, entries: Sequence[bytes]) -> Stretch:
        """That of ``entries`` (32 bytes each)."""
        leaves, roots, done = [keccak(b"\x00" + entry) for entry in entries], [], 0
        for height in _heights(start, start + len(entries)):
            level = leaves[done : done + (1 << height)]
            done += len(level)
            while len(level) > 1:
                pairs = iter(level)
                level = [keccak(b"\x01" + left + right) for left, right in zip(pairs, pairs, strict=True)]
            roots += level
        return cls(start, len(entries), tuple(roots))

    def followed_by(self, other: Stretch) -> Stretch:
        """Both as one; ``other`` begins where this one ends."""
        end, roots = self.start + self.size, list(self.roots)
        if other.start != end:
            raise ValueError("the stretches are not adjacent")
        for height, root in zip(_heights(end, end + other.size), other.roots, strict=True):
            node, left, width = root, end, 1 << height
            while left & width and left - width >= self.start:  # its sibling is the last root
                node, left, width = _node(roots.pop(), node), left - width, 2 * width
            roots.append(node)
            end += 1 << height
        return Stretch(self.start, self.size + other.size, tuple(roots))


def _heights(start: int, end: int) -> Iterator[int]:
    """The heights of the largest perfect subtrees that hold the entries from ``start`` to before ``end``."""
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height
        start += 1 << height


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
        return self.followed_by(Stretch.of(self.size, list(entries)))

    def followed_by(self, stretch: Stretch) -> Frontier:
        """The frontier after appending what begins where it ends."""
        whole = Stretch(0, self.size, self.peaks).followed_by(stretch)
        return Frontier(whole.size, whole.roots)

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
