"""Small packs merged when a base is written, so that a vault is read in few fetches however many commits made it. Pure.

Packs that stand beside each other in the log and are of one epoch become one, sealed under the keys of that epoch: who
could open all of it before can now, and nobody else. The packs of a base are, from the oldest to the newest:

- those that no later pack will be merged with, each as full as its neighbours allow: any two in a row of one epoch
  would not fit into one blob;
- at the end, of the newest epoch, those that together fit into one blob. Each is larger than all after it together, so
  that they are few, and a memory is sealed anew only as often as its pack doubles.

What a base replaces stays on the host until the next base: whoever opens the vault from a head of before, or has lost
some commits, still finds all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from .errors import MemSyncError
from .heads import PackRef
from .packs import room_in
from .reading import NO_NOTES, Fetch, Notes, View, open_head_of
from .rewriting import noted_packs, sealed_together
from .sealing import MAX_BLOB


def merged(
    view: View, newest: int, fetch: Fetch, notes: Notes = NO_NOTES, limit: int = MAX_BLOB
) -> Iterator[tuple[PackRef, bytes | None]]:
    """All packs of a view in order, as a base of the epoch ``newest`` is to name them: those that are merged come
    sealed anew, the others as they are, without a blob.

    Raises AccessEnded where this holder can't open all, and Tampered where the packs are not those of the log.
    """
    packs = list(noted_packs(view, fetch, None, notes))
    sizes = [(pack.ref.epoch, note.size) for pack, note in packs]
    for first, end in groups(sizes, newest, room_in(limit)):
        if end - first == 1:
            yield packs[first][0].ref, None
            continue
        epoch = packs[first][0].ref.epoch
        keys = view.keyring.keys_of(epoch)
        if keys is None:
            raise ValueError(f"the packs of epoch {epoch} were opened without its keys")
        yield sealed_together(view.place, keys, [(pack.body(), note) for pack, note in packs[first:end]], notes)


def groups(packs: Sequence[tuple[int, int]], newest: int, room: int) -> list[tuple[int, int]]:
    """Which packs, given as (epoch, bytes of the body), become one: the places of the first and behind the last of
    each group, in order. ``newest`` is the epoch that more packs may come of, ``room`` what fits into a blob."""
    open_from, total = len(packs), 0
    while open_from and packs[open_from - 1][0] == newest and total + packs[open_from - 1][1] <= room:
        open_from -= 1
        total += packs[open_from][1]
    found: list[tuple[int, int]] = []
    gathered = 0
    for place, (epoch, size) in enumerate(packs[:open_from]):
        if found and packs[found[-1][0]][0] == epoch and gathered + size <= room:
            found[-1] = (found[-1][0], place + 1)
            gathered += size
        else:
            found.append((place, place + 1))
            gathered = size
    first = after = 0  # from where on all become one: the oldest that is not larger than all after it
    for place in range(len(packs) - 1, open_from - 1, -1):
        if packs[place][1] <= after or not after:
            first = place
        after += packs[place][1]
    found += [(place, place + 1) for place in range(open_from, first)]
    return [*found, (first, len(packs))] if open_from < len(packs) else found


def replaced_before(view: View, fetch: Fetch) -> frozenset[bytes]:
    """The hashes of the packs that the last base has replaced, as far as this key can tell."""
    base = view.base or view.head
    with suppress(MemSyncError):  # a head that is gone, or of before a cut: then so are its packs
        if base.parent and view.keyring.keys_of(base.parent.epoch):
            before = open_head_of(view.place, view.keyring, base.parent, fetch)
            packs = before.packs
            if before.base and view.keyring.keys_of(before.base.epoch):
                packs = open_head_of(view.place, view.keyring, before.base, fetch).packs + packs
            return frozenset(pack.hash for pack in packs) - {pack.hash for pack in view.packs}
    return frozenset()
