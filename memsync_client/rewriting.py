"""Packs made anew over the same memory log: what a forget takes out, and what a clean cut seals under new keys. Pure.

Packs come as (reference, blob) one after the other, so that a large vault is never in memory twice. All that is read is
compared with the memory log before the last one comes: what a faulty writer left out is not sealed anew as the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from .errors import AccessEnded, MemSyncError, Tampered
from .heads import PackRef
from .keyring import ENVELOPE_BYTES, MAX_SLOTS, SLOTS, EpochKeys, Keyring, roster_bytes
from .memory_log import Frontier
from .packs import Entry, Forgotten, Item, ItemT, Unread, seal_pack, split, without
from .reading import Fetch, Progress, View, check_log, open_head_of, open_pack_of, open_unread_of
from .sealing import Place, derive, sha256, unseal


def thinned(
    view: View, forgotten: Collection[bytes], fetch: Fetch, progress: Progress | None = None
) -> Iterator[tuple[PackRef, bytes | None]]:
    """All packs of a view in order. One that holds a memory of ``forgotten`` (ids) is sealed anew without it, under the
    keys of its own epoch, so that nobody can open more than before; the others come as they are, without a blob."""
    for ref, items in _packs(view, open_pack_of, fetch, progress):
        keys = view.keyring.keys_of(ref.epoch)
        if keys and _holds(items, forgotten):
            blob = seal_pack(view.place, ref.epoch, keys.secret, without(items, forgotten, view.place))
            yield PackRef(sha256(blob), ref.epoch, ref.count), blob
        else:
            yield ref, None


def resealed(
    view: View, forgotten: Collection[bytes], keys: EpochKeys, fetch: Fetch, progress: Progress | None = None
) -> Iterator[tuple[PackRef, bytes]]:
    """The same log in new packs, as few as hold it, under ``keys``, and without the memories of ``forgotten``."""
    items: Iterable[Entry | Unread | Forgotten]
    if forgotten:
        packs = _packs(view, open_pack_of, fetch, progress)
        items = (item for _, pack in packs for item in without(pack, forgotten, view.place))
    else:
        items = (item for _, pack in _packs(view, open_unread_of, fetch, progress) for item in pack)
    for batch in split(items):
        blob = seal_pack(view.place, keys.epoch, keys.secret, batch)
        yield PackRef(sha256(blob), keys.epoch, len(batch)), blob


def epochs_holding(view: View, ids: Collection[bytes], fetch: Fetch) -> set[int]:
    """The epochs of the packs that hold a memory of ``ids``."""
    return {ref.epoch for ref, items in _packs(view, open_pack_of, fetch) if _holds(items, ids)}


def _holds(items: Iterable[Item], ids: Collection[bytes]) -> bool:
    return any(isinstance(item, Entry) and item.memory.id in ids for item in items)


def _packs(
    view: View,
    opened: Callable[[Place, Keyring, PackRef, Fetch], list[ItemT] | None],
    fetch: Fetch,
    progress: Progress | None = None,
) -> Iterator[tuple[PackRef, list[ItemT]]]:
    log = Frontier()
    for done, ref in enumerate(view.packs):
        items = opened(view.place, view.keyring, ref, fetch)
        if items is None or (view.head.base and view.base is None):
            raise AccessEnded(
                "This device does not open the older part of the vault, so it can't take anything out of it.",
                "Use a device that has read the vault from its beginning.",
            )
        log = log.extended(item.commitment(view.place) for item in items)
        yield ref, items
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
