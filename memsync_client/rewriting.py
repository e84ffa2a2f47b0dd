"""Packs made anew over the same memory log: what a forget takes out, and what a clean cut seals under new keys. Pure.

Packs come as (reference, blob) one after the other, so that a large vault is never in memory twice. All of them are
compared with the memory log before the last one comes: what a faulty writer left out is not sealed anew as the whole.
What this device has a note of it has compared before, and then the bodies of packs are carried over as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import reduce

from .errors import AccessEnded, MemSyncError, Tampered
from .heads import PackRef
from .keyring import ENVELOPE_BYTES, MAX_SLOTS, SLOTS, EpochKeys, roster_bytes
from .memory_log import Frontier
from .packs import PackNote, encode_body, gathered, join_bodies, room_in, seal_body, split, without
from .reading import NO_NOTES, Fetch, Notes, Pack, Progress, View, check_log, open_head_of, pack_of
from .sealing import MAX_BLOB, Place, derive, sha256, unseal


def thinned(
    view: View,
    forgotten: Collection[bytes],
    fetch: Fetch,
    progress: Progress | None = None,
    notes: Notes = NO_NOTES,
) -> Iterator[tuple[PackRef, bytes | None]]:
    """All packs of a view in order. One that holds a memory of ``forgotten`` (ids) is sealed anew without it, under the
    keys of its own epoch, so that nobody can open more than before; the others come as they are, without a blob."""
    for pack, note in noted_packs(view, fetch, progress, notes):
        keys = view.keyring.keys_of(pack.ref.epoch)
        if keys and note.has_any(forgotten):
            items = without(pack.items, forgotten, view.place)
            note = PackNote.of(items, note.stretch.start, view.place)
            yield sealed_together(view.place, keys, [(encode_body(items), note)], notes)
        else:
            yield pack.ref, None


def resealed(
    view: View,
    forgotten: Collection[bytes],
    keys: EpochKeys,
    fetch: Fetch,
    progress: Progress | None = None,
    notes: Notes = NO_NOTES,
    limit: int = MAX_BLOB,
) -> Iterator[tuple[PackRef, bytes]]:
    """The same log in new packs under ``keys``, without the memories of ``forgotten``: each new pack, a blob of
    ``limit`` bytes at most, holds as many of the old ones as fit into it."""
    parts = ((part, part[1].size) for part in _bodies(view, forgotten, fetch, progress, notes, limit))
    for batch in gathered(parts, limit):
        yield sealed_together(view.place, keys, batch, notes)


def _bodies(
    view: View, forgotten: Collection[bytes], fetch: Fetch, progress: Progress | None, notes: Notes, limit: int
) -> Iterator[tuple[bytes | memoryview, PackNote]]:
    for pack, note in noted_packs(view, fetch, progress, notes):
        if note.has_any(forgotten) or note.size > room_in(limit):
            start = note.stretch.start
            for items in split(without(pack.items, forgotten, view.place), limit):
                yield encode_body(items), PackNote.of(items, start, view.place)
                start += len(items)
        else:
            yield pack.body(), note


def sealed_together(
    place: Place, keys: EpochKeys, bodies: Sequence[tuple[bytes | memoryview, PackNote]], notes: Notes
) -> tuple[PackRef, bytes]:
    """A pack under ``keys`` that holds what the adjacent packs of ``bodies`` (each with its note) do, and its blob."""
    note = reduce(PackNote.followed_by, (note for _, note in bodies))
    body = join_bodies([(body, note.stretch.size) for body, note in bodies])
    blob = seal_body(place, keys.epoch, keys.secret, *body)
    ref = PackRef(sha256(blob), keys.epoch, note.stretch.size)
    notes.put(ref, note)
    return ref, blob


def epochs_holding(view: View, ids: Collection[bytes], fetch: Fetch, notes: Notes = NO_NOTES) -> set[int]:
    """The epochs of the packs that hold a memory of ``ids``."""
    return {pack.ref.epoch for pack, note in noted_packs(view, fetch, None, notes) if note.has_any(ids)}


def noted_packs(view: View, fetch: Fetch, progress: Progress | None, notes: Notes) -> Iterator[tuple[Pack, PackNote]]:
    """The packs of a view with their notes, in order. Raises AccessEnded where this holder can't open all, and at the
    end Tampered where they are not those of the log."""
    log = Frontier()
    for done, ref in enumerate(view.packs):
        pack = pack_of(view, ref, fetch)
        if pack is None or (view.head.base and view.base is None):
            raise AccessEnded(
                "This device does not open the older part of the vault, so it can't take anything out of it.",
                "Use a device that has read the vault from its beginning.",
            )
        note = pack.note(log.size, notes)
        log = log.followed_by(note.stretch)
        yield pack, note
        if progress:
            progress(done + 1, len(view.packs))
    check_log(view, log)


def named_before(view: View, fetch: Fetch) -> set[bytes]:
    """The hashes of all heads, packs and lists that the chain of heads names, as far back as this key opens it and the
    host has it."""
    ref, head = view.head_ref, view.head
    found = {ref.hash}
    with suppress(MemSyncError):  # what is gone already needs no deletion
        while True:
            found |= {*(pack.hash for pack in head.packs), *head.forgotten, *([head.base.hash] if head.base else [])}
            if head.parent is None or not view.keyring.keys_of(head.parent.epoch):
                break
            ref = head.parent
            found.add(ref.hash)
            head = open_head_of(view.place, view.keyring, ref, fetch)
    return found


def earlier_keyrings(view: View, hashes: Iterable[bytes], fetch: Fetch) -> dict[bytes, int]:
    """Those of ``hashes`` that are keyrings of this vault, with their epochs, as far as this key opens these. A node
    names them, and nothing is deleted on the word of a node."""
    found = {}
    for blob_hash in hashes:
        with suppress(MemSyncError):  # one that is gone
            blob = fetch(blob_hash, "earlier keyring")
            for keys in (view.keyring.keys, *view.keyring.links.values()):
                if _is_keyring(view.place, keys, blob):
                    found[blob_hash] = keys.epoch
    return found


def _is_keyring(place: Place, keys: EpochKeys, blob: bytes) -> bool:
    """Whether ``blob`` has a trailer under the epoch secret, which may be no holder's own keyring."""
    key, context = derive(keys.secret, "epoch/trailer"), place.context("trailer", keys.epoch)
    for slots in range(SLOTS, MAX_SLOTS + 1, SLOTS):
        begin, end = slots * ENVELOPE_BYTES, len(blob) - roster_bytes(slots)
        if begin >= end:
            break
        with suppress(Tampered):
            unseal(key, context, blob[begin:end], "keyring's trailer")
            return True
    return False
