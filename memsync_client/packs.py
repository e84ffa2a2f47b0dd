"""Packs: sealed batches of memories. A pack binds vault and epoch, no version, so that it survives a lost race. Pure.

The body is the canonical CBOR of a list in log order: [salt (16 bytes), record] for a memory, and for one that was
forgotten its commitment alone (32 bytes), so that the memory log stays whole without its text and salt.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeVar

from . import canonical
from .errors import Tampered
from .memories import ID_BYTES, Memory, from_record, to_record
from .memory_log import HASH_BYTES, SALT_BYTES, Stretch, commitment
from .sealing import MAX_BLOB, Blob, Place, derive, max_body, seal, unseal_view

_ENTRY_OVERHEAD = 1 + 1 + SALT_BYTES + 5  # CBOR heads of the pair, the salt and the record
_FORGOTTEN_BYTES = 2 + HASH_BYTES
_LIST_HEAD = 5
_FEW = 50  # ids that are sooner looked for one by one

T = TypeVar("T")


class Entry(NamedTuple):
    """One memory in a pack, with the salt of its commitment in the memory log."""

    memory: Memory
    salt: bytes
    record: bytes

    def commitment(self, place: Place) -> bytes:
        """The log's entry for this memory, 32 bytes."""
        return commitment(place.vault_id, self.salt, self.record)


@dataclass(frozen=True)
class Forgotten:
    """What is left of a forgotten memory: its commitment (32 bytes)."""

    value: bytes

    def commitment(self, _: Place) -> bytes:
        """The log's entry, as it was."""
        return self.value


Item = Entry | Forgotten


@dataclass(frozen=True)
class PackNote:
    """What a device that has read a pack, or made it, notes of it, so that it need not do so again: what stretch of the
    memory log its entries make, how many bytes its body has at the most, and the ids of its memories (16 bytes each,
    one after the other)."""

    stretch: Stretch
    size: int
    ids: bytes

    @classmethod
    def of(cls, items: Sequence[Item], start: int, place: Place) -> PackNote:
        """The note of a pack that holds ``items``, the first of them at index ``start`` of the log."""
        stretch = Stretch.of(start, [item.commitment(place) for item in items])
        ids = dict.fromkeys(item.memory.id for item in items if isinstance(item, Entry))
        return cls(stretch, sum(map(_bytes_of, items)), b"".join(ids))

    def followed_by(self, other: PackNote) -> PackNote:
        """The note of a pack that holds what the two do."""
        return PackNote(self.stretch.followed_by(other.stretch), self.size + other.size, self.ids + other.ids)

    def has_any(self, ids: Collection[bytes]) -> bool:
        """Whether a memory of ``ids`` is in the pack."""
        if len(ids) <= _FEW:
            return any(map(self._has, ids))
        return not frozenset(ids).isdisjoint(chain.from_iterable(struct.iter_unpack(f"{ID_BYTES}s", self.ids)))

    def _has(self, memory_id: bytes) -> bool:
        at = self.ids.find(memory_id)
        while at % ID_BYTES and at >= 0:  # across two others
            at = self.ids.find(memory_id, at + 1)
        return at >= 0


def without(items: Iterable[Item], forgotten: Collection[bytes], place: Place) -> list[Item]:
    """``items`` with nothing but the commitments left of memories whose ids (16 bytes) are among ``forgotten``."""
    return [
        Forgotten(item.commitment(place)) if isinstance(item, Entry) and item.memory.id in forgotten else item
        for item in items
    ]


def entries(memories: Iterable[Memory]) -> list[Entry]:
    """Entries with fresh random salts."""
    return [Entry(memory, os.urandom(SALT_BYTES), to_record(memory)) for memory in memories]


def split(items: Iterable[Item], blob_limit: int = MAX_BLOB) -> Iterator[list[Item]]:
    """Batches of items, in order, each of which fits into one blob."""
    return gathered(((item, _bytes_of(item)) for item in items), blob_limit)


def gathered(parts: Iterable[tuple[T, int]], blob_limit: int = MAX_BLOB) -> Iterator[list[T]]:
    """The parts (each with how many bytes of a pack's body it takes at the most) in batches, in order, each of which
    fits into one blob."""
    room = room_in(blob_limit)
    batch: list[T] = []
    size = 0
    for part, need in parts:
        if batch and size + need > room:
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += need
    if batch:
        yield batch


def room_in(blob_limit: int) -> int:
    """How many bytes the items of a pack may take so that its blob has ``blob_limit`` bytes at the most."""
    return max_body(blob_limit) - _LIST_HEAD


def _bytes_of(item: Item) -> int:
    return _FORGOTTEN_BYTES if isinstance(item, Forgotten) else len(item.record) + _ENTRY_OVERHEAD


def seal_pack(place: Place, epoch: int, epoch_secret: bytes, batch: Sequence[Item]) -> Blob:
    """The pack's blob: Cobblestone-256 under the pack key of the epoch."""
    return seal_body(place, epoch, epoch_secret, encode_body(batch))


def seal_body(place: Place, epoch: int, epoch_secret: bytes, *body: bytes | memoryview) -> Blob:
    """The blob of a pack whose body is encoded already, in parts that follow one another."""
    return Blob(seal(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), *body))


def open_pack(place: Place, epoch: int, epoch_secret: bytes, blob: bytes) -> list[Item]:
    """What a pack holds. Raises Tampered unless seal, form and every record are right."""
    return decode_body(open_body(place, epoch, epoch_secret, blob))


def open_body(place: Place, epoch: int, epoch_secret: bytes, blob: bytes) -> memoryview:
    """The body of a pack, which nobody has looked into yet. Raises Tampered unless the seal is right."""
    return unseal_view(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), blob, "pack")


def encode_body(batch: Sequence[Item]) -> bytes:
    """The body of a pack of these items."""
    return canonical.encode([item.value if isinstance(item, Forgotten) else [item.salt, item.record] for item in batch])


def decode_body(body: bytes | memoryview) -> list[Item]:
    """The items of a pack's body. Raises Tampered unless form and every record are right."""
    value = canonical.decode(bytes(body), "pack")
    if type(value) is not list:
        raise Tampered("A pack holds no list.", "Do not use it; its writer is faulty.")
    return [_item(item) for item in value]


def join_bodies(bodies: Sequence[tuple[bytes | memoryview, int]]) -> list[bytes | memoryview]:
    """The body, in parts that follow one another, of a pack that holds what the packs of ``bodies`` do (each with the
    number of its items), of which this device has a note: nothing in them is looked at."""
    heads = [canonical.list_head(count) for _, count in bodies]
    if any(body[: len(head)] != head for (body, _), head in zip(bodies, heads, strict=True)):
        raise Tampered("A pack holds another number of memories than was noted.", "Run this again on a whole home.")
    items = [memoryview(body)[len(head) :] for (body, _), head in zip(bodies, heads, strict=True)]
    return [canonical.list_head(sum(count for _, count in bodies)), *items]


def _item(item: object) -> Item:
    if type(item) is bytes and len(item) == HASH_BYTES:
        return Forgotten(item)
    if type(item) is not list or len(item) != 2 or type(item[0]) is not bytes or type(item[1]) is not bytes:
        raise Tampered("An entry of a pack is malformed.", "Do not use it; its writer is faulty.")
    if len(item[0]) != SALT_BYTES:
        raise Tampered("A salt of a pack has a wrong length.", "Do not use it; its writer is faulty.")
    return Entry(from_record(item[1]), item[0], item[1])
