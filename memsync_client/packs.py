"""Packs: sealed batches of memories. A pack binds vault and epoch, no version, so that it survives a lost race. Pure.

The body is the canonical CBOR of a list in log order: [salt (16 bytes), record] for a memory, and for one that was
forgotten its commitment alone (32 bytes), so that the memory log stays whole without its text and salt.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from . import canonical
from .errors import Tampered
from .memories import Memory, from_record, to_record
from .memory_log import HASH_BYTES, SALT_BYTES, commitment
from .sealing import MAX_BLOB, Place, derive, max_body, seal, unseal

_ENTRY_OVERHEAD = 1 + 1 + SALT_BYTES + 5  # CBOR heads of the pair, the salt and the record
_FORGOTTEN_BYTES = 2 + HASH_BYTES


@dataclass(frozen=True)
class Entry:
    """One memory in a pack, with the salt of its commitment in the memory log."""

    memory: Memory
    salt: bytes
    record: bytes

    def commitment(self, place: Place) -> bytes:
        """The log's entry for this memory, 32 bytes."""
        return commitment(place.vault_id, self.salt, self.record)


class Unread(NamedTuple):
    """An entry whose record nobody looks into, on its way to another pack: reading it takes most of the time."""

    salt: bytes
    record: bytes

    def commitment(self, place: Place) -> bytes:
        """The log's entry for it, 32 bytes."""
        return commitment(place.vault_id, self.salt, self.record)


@dataclass(frozen=True)
class Forgotten:
    """What is left of a forgotten memory: its commitment (32 bytes)."""

    value: bytes

    def commitment(self, _: Place) -> bytes:
        """The log's entry, as it was."""
        return self.value


Item = Entry | Forgotten
ItemT = TypeVar("ItemT", bound=Entry | Unread | Forgotten)


def without(items: Iterable[Item], forgotten: Collection[bytes], place: Place) -> list[Item]:
    """``items`` with nothing but the commitments left of memories whose ids (16 bytes) are among ``forgotten``."""
    return [
        Forgotten(item.commitment(place)) if isinstance(item, Entry) and item.memory.id in forgotten else item
        for item in items
    ]


def entries(memories: Iterable[Memory]) -> list[Entry]:
    """Entries with fresh random salts."""
    return [Entry(memory, os.urandom(SALT_BYTES), to_record(memory)) for memory in memories]


def split(items: Iterable[ItemT], blob_limit: int = MAX_BLOB) -> Iterator[list[ItemT]]:
    """Batches of items, in order, each of which fits into one blob."""
    room = max_body(blob_limit) - 5  # the CBOR head of the list
    batch: list[ItemT] = []
    size = 0
    for item in items:
        need = _FORGOTTEN_BYTES if isinstance(item, Forgotten) else len(item.record) + _ENTRY_OVERHEAD
        if batch and size + need > room:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += need
    if batch:
        yield batch


def seal_pack(place: Place, epoch: int, epoch_secret: bytes, batch: Sequence[Entry | Unread | Forgotten]) -> bytes:
    """The pack's blob: Cobblestone-256 under the pack key of the epoch."""
    body = canonical.encode([item.value if isinstance(item, Forgotten) else [item.salt, item.record] for item in batch])
    return seal(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), body)


def open_pack(place: Place, epoch: int, epoch_secret: bytes, blob: bytes) -> list[Item]:
    """What a pack holds. Raises Tampered unless seal, form and every record are right."""
    return [
        Entry(from_record(item.record), item.salt, item.record) if isinstance(item, Unread) else item
        for item in open_unread(place, epoch, epoch_secret, blob)
    ]


def open_unread(place: Place, epoch: int, epoch_secret: bytes, blob: bytes) -> list[Unread | Forgotten]:
    """The same without a look at the records."""
    body = unseal(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), blob, "pack")
    value = canonical.decode(body, "pack")
    if type(value) is not list:
        raise Tampered("A pack holds no list.", "Do not use it; its writer is faulty.")
    return [_unread(item) for item in value]


def _unread(item: object) -> Unread | Forgotten:
    if type(item) is bytes and len(item) == HASH_BYTES:
        return Forgotten(item)
    if type(item) is not list or len(item) != 2 or type(item[0]) is not bytes or type(item[1]) is not bytes:
        raise Tampered("An entry of a pack is malformed.", "Do not use it; its writer is faulty.")
    if len(item[0]) != SALT_BYTES:
        raise Tampered("A salt of a pack has a wrong length.", "Do not use it; its writer is faulty.")
    return Unread(item[0], item[1])
