"""Packs: sealed batches of memories. A pack binds vault and epoch, no version, so that it survives a lost race. Pure.

The body is the canonical CBOR of a list of [salt (16 bytes), record], in log order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import canonical
from .errors import Tampered
from .memories import Memory, from_record, to_record
from .memory_log import SALT_BYTES, commitment
from .sealing import MAX_BLOB, Place, derive, max_body, seal, unseal

_ENTRY_OVERHEAD = 1 + 1 + SALT_BYTES + 5  # CBOR heads of the pair, the salt and the record


@dataclass(frozen=True)
class Entry:
    """One memory in a pack, with the salt of its commitment in the memory log."""

    memory: Memory
    salt: bytes
    record: bytes

    def commitment(self, place: Place) -> bytes:
        """The log's entry for this memory, 32 bytes."""
        return commitment(place.vault_id, self.salt, self.record)


def entries(memories: Iterable[Memory]) -> list[Entry]:
    """Entries with fresh random salts."""
    return [Entry(memory, os.urandom(SALT_BYTES), to_record(memory)) for memory in memories]


def split(items: Iterable[Entry], blob_limit: int = MAX_BLOB) -> Iterator[list[Entry]]:
    """Batches of entries, in order, each of which fits into one blob."""
    room = max_body(blob_limit) - 5  # the CBOR head of the list
    batch: list[Entry] = []
    size = 0
    for item in items:
        need = len(item.record) + _ENTRY_OVERHEAD
        if batch and size + need > room:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += need
    if batch:
        yield batch


def seal_pack(place: Place, epoch: int, epoch_secret: bytes, batch: list[Entry]) -> bytes:
    """The pack's blob: Cobblestone-256 under the pack key of the epoch."""
    body = canonical.encode([[entry.salt, entry.record] for entry in batch])
    return seal(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), body)


def open_pack(place: Place, epoch: int, epoch_secret: bytes, blob: bytes) -> list[Entry]:
    """The entries of a pack. Raises Tampered unless seal, form and every record are right."""
    body = unseal(derive(epoch_secret, "epoch/pack"), place.context("pack", epoch), blob, "pack")
    value = canonical.decode(body, "pack")
    if type(value) is not list:
        raise Tampered("A pack holds no list.", "Do not use it; its writer is faulty.")
    batch = []
    for pair in value:
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not bytes or type(pair[1]) is not bytes:
            raise Tampered("An entry of a pack is malformed.", "Do not use it; its writer is faulty.")
        salt, record = pair
        if len(salt) != SALT_BYTES:
            raise Tampered("A salt of a pack has a wrong length.", "Do not use it; its writer is faulty.")
        batch.append(Entry(from_record(record), salt, record))
    return batch
