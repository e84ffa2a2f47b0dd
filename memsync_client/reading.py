"""Reading a vault: from its record on chain to its memories. Verification only: blobs come through ``fetch``, no I/O
here.

Everything is checked before it is used: hash (by the fetcher), seal, signature, form, version, memory root, and that
the packs are all that the memory log commits to.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeVar

from .errors import BlobMissing, ForeignKeyring, Rollback, Tampered
from .forgotten import open_forgotten
from .heads import Head, HeadRef, PackRef, open_head
from .keyring import EpochKeys, Keyring, follows, open_keyring
from .keys import Anchor, PrivateKey
from .memory_log import Frontier
from .packs import Entry, Item, PackNote, decode_body, open_body
from .records import CommitEvent, VaultRecord
from .sealing import HoldsSecret, Place

Fetch = Callable[[bytes, str], bytes]  # (SHA-256, what it is) -> bytes with that hash
Commits = Callable[[int], Sequence[CommitEvent]]  # the vault's commits from a block on, as the chain's log has them
_HOW_TO_GO_ON = (
    "The node is behind or lies: use another one with --rpc. If the chain itself has lost blocks: "
    "`memsync sync --accept-rollback` commits again what it lost."
)
_READS = 3  # of a vault out of which others take blobs meanwhile
_T = TypeVar("_T")
Progress = Callable[[int, int], None]  # (done, of how many)


@dataclass(frozen=True)
class Seen:
    """The last final state that this holder has verified: what an older answer of a node is measured against.

    ``before`` are the anchors of the epochs before: should the owner pass over the last ones, a keyring follows from
    these.
    """

    version: int
    head_version: int
    content_hash: bytes
    block: int
    keys: EpochKeys
    log: Frontier
    before: tuple[Anchor, ...] = ()


@dataclass(frozen=True)
class View:
    """A vault as one record shows it to one holder: opened keyring, head, and the base that the head builds on.

    ``passed_over`` says that the owner has gone on from a head before the one that this holder has seen last.
    """

    place: Place
    record: VaultRecord
    keyring: Keyring
    head: Head
    base: Head | None
    passed_over: bool = False

    @property
    def head_ref(self) -> HeadRef:
        """What the next head names as its parent."""
        return HeadRef(self.record.content_hash, self.record.head_epoch)

    @property
    def packs(self) -> tuple[PackRef, ...]:
        """All living packs in log order (for a reader from a later epoch: those since the base, at least)."""
        return (self.base.packs if self.base else ()) + self.head.packs

    @property
    def named(self) -> list[bytes]:
        """Hashes of all that the vault needs beside head and keyring: base, packs, and what names the forgotten."""
        base = [self.head.base.hash] if self.head.base else []
        return [*(pack.hash for pack in self.packs), *base, *self.head.forgotten]

    def seen(self, block: int) -> Seen:
        """What a later answer of a node is measured against."""
        record, keys = self.record, self.keyring.keys
        known = EpochKeys(keys.epoch, keys.secret, keys.writer_public)
        before = anchors_before(self.keyring, keys.epoch)
        return Seen(record.version, record.head_version, record.content_hash, block, known, self.head.log, before)


def by_newest(record: Callable[[], VaultRecord], read: Callable[[VaultRecord], _T]) -> _T:
    """What ``read`` finds by the present record, and by a newer one where there is one by now: another device may have
    deleted what it was about to read, or another process of this home have seen more than it was told."""
    for left in reversed(range(_READS)):
        found = record()
        try:
            return read(found)
        except (BlobMissing, Rollback):
            if not left or record().version == found.version:
                raise
    raise AssertionError("unreachable")


def open_view(
    place: Place,
    record: VaultRecord,
    fetch: Fetch,
    key: PrivateKey,
    seen: Seen | None = None,
    anchor: Anchor | None = None,
    commits: Commits | None = None,
) -> View:
    """Opens keyring, head and base. Raises Rollback, ForeignKeyring, AccessEnded or Tampered (naming the blob).

    ``commits`` is asked where a head passes over others: without it, none may.
    """
    if seen:
        check_not_older(record, seen)
    keyring = _named(
        record.keyring_hash, lambda: open_keyring(place, record.head_epoch, fetch(record.keyring_hash, "keyring"), key)
    )
    if anchor:
        follows(keyring, anchor)
    foreign: ForeignKeyring | None = None
    if seen:
        try:
            follows(keyring, seen.keys.anchor)
        except ForeignKeyring as error:
            if not (commits and _gone_on(record, seen, commits)):
                raise
            foreign = error
    try:
        view = view_of(place, record, keyring, fetch)
    except (Tampered, BlobMissing) as error:
        raise foreign or error from None
    if seen and seen.content_hash == record.content_hash and not foreign:
        return view
    if view.head.skips and not _is_owners(view, commits(seen.block if seen else 0) if commits else ()):
        raise Tampered(
            f"Head {record.content_hash.hex()} passes over others, and nothing shows that the vault's owner sent it.",
            "Only the owner's own account may do so: its sender, or the node, is hostile. See `memsync grants`.",
        )
    if not seen:
        return view
    trouble = foreign or _not_descending(view, fetch, seen)
    if trouble and not (commits and _passed_over(view, fetch, seen, _gone_on(record, seen, commits))):
        raise trouble
    if not trouble and view.head.log.size < seen.log.size:
        raise Tampered(
            f"The memory log of head {record.content_hash.hex()} is shorter than the one that was seen here.",
            "Its writer is faulty or hostile: see `memsync grants`.",
        )
    return replace(view, passed_over=trouble is not None)


def anchors_before(keyring: Keyring, epoch: int) -> tuple[Anchor, ...]:
    """What a later keyring is compared with, of each epoch before one that had a keyring."""
    steps = (step for step in keyring.succession if step.epoch < epoch)
    return tuple(Anchor(step.epoch, step.writer_public, step.check) for step in steps)


def view_of(place: Place, record: VaultRecord, keyring: Keyring, fetch: Fetch) -> View:
    """Head and base of a record, opened with a keyring of the same epoch or of a later one. Raises Tampered."""
    head = open_head_of(place, keyring, HeadRef(record.content_hash, record.head_epoch), fetch)
    if head.version != record.head_version or head.log.memory_root != record.memory_root:
        raise Tampered(
            f"Head {record.content_hash.hex()} is not the one of version {record.head_version} on chain.",
            "Its writer is faulty or hostile: see `memsync grants`.",
        )
    base = None
    if head.base and _keys_of(keyring, head.base):
        base = open_head_of(place, keyring, head.base, fetch)
        if base.base is not None:
            raise Tampered(f"Blob {head.base.hash.hex()} is named as a base and is none.", "Its writer is faulty.")
    return View(place, record, keyring, head, base)


def _is_owners(view: View, commits: Sequence[CommitEvent]) -> bool:
    """Whether the owner's own account has sent the present head."""
    return any(c.content_hash == view.record.content_hash and c.by_owner(view.record) for c in commits)


def _gone_on(record: VaultRecord, seen: Seen, commits: Commits) -> list[CommitEvent]:
    """The commits since by which the owner may have gone on: that brings a keyring."""
    later = (commit for commit in commits(seen.block) if commit.version > seen.head_version)
    return [commit for commit in later if commit.keyring_hash is not None and commit.by_owner(record)]


def _passed_over(view: View, fetch: Fetch, seen: Seen, commits: Sequence[CommitEvent]) -> bool:
    """Whether a head in this chain of heads, sent by the owner's own account, passes over the one that was seen; and
    this keyring follows from the keys of then, or of an epoch before that the new line began with."""
    known = {anchor.epoch: anchor for anchor in (*seen.before, seen.keys.anchor)}
    for commit in commits:
        if not view.keyring.keys_of(commit.epoch):
            continue
        ref = HeadRef(commit.content_hash, commit.epoch)
        with suppress(BlobMissing, Tampered):
            head = open_head_of(view.place, view.keyring, ref, fetch)
            if seen.content_hash in head.skips and head.parent and head.version == commit.version:
                anchor = known.get(head.parent.epoch)
                descends = ancestor(view, fetch, head.version) == ref.hash
                return descends and anchor in anchors_before(view.keyring, view.keyring.keys.epoch)
    return False


def ancestor(view: View, fetch: Fetch, version: int) -> bytes | None:
    """The hash of the head of ``version`` in this chain of heads; None if there is none, or this key can't look so far
    back. Bases shorten the way: a head in sixteen is fetched, and at the most thirty more."""
    head, ref = view.head, view.head_ref
    while head.version > version:
        for older in (head.base, head.parent):
            if older and view.keyring.keys_of(older.epoch):
                candidate = open_head_of(view.place, view.keyring, older, fetch)
                if candidate.version >= version:
                    head, ref = candidate, older
                    break
        else:
            return None
    return ref.hash if head.version == version else None


def open_head_of(place: Place, keyring: Keyring, ref: HeadRef, fetch: Fetch) -> Head:
    """The head that ``ref`` names. Raises Tampered naming the blob; AccessEnded can't happen where the epoch is
    linked."""
    keys = keyring.keys_of(ref.epoch)
    if keys is None:
        raise Tampered(
            f"Head {ref.hash.hex()} is of epoch {ref.epoch}, which this key does not open.", "Start from a later one."
        )
    return _named(
        ref.hash, lambda: open_head(place, ref.epoch, keys.secret, keys.writer_public, fetch(ref.hash, "head"))
    )


class Notes(Protocol):
    """What a device has noted of packs. One that is lost is made again by reading the pack."""

    def get(self, ref: PackRef) -> PackNote | None:
        """The note of a pack, None if there is none."""

    def put(self, ref: PackRef, note: PackNote) -> None:
        """Keeps it."""


class _NoNotes:
    def get(self, ref: PackRef) -> PackNote | None:
        return None

    def put(self, ref: PackRef, note: PackNote) -> None:
        pass


NO_NOTES: Notes = _NoNotes()


class Pack(HoldsSecret):
    """A pack that a view names. It is read when that is needed first."""

    def __init__(self, place: Place, ref: PackRef, keys: EpochKeys, fetch: Fetch) -> None:
        self.ref = ref
        self._place = place
        self._keys = keys
        self._fetch = fetch
        self._note: PackNote | None = None

    def body(self) -> memoryview:
        """Fetches and opens it, and does not look into it. Raises Tampered naming the blob."""
        ref, keys = self.ref, self._keys
        return _named(ref.hash, lambda: open_body(self._place, ref.epoch, keys.secret, self._fetch(ref.hash, "pack")))

    @cached_property
    def items(self) -> list[Item]:
        """What it holds. Raises Tampered naming the blob."""
        items = _named(self.ref.hash, lambda: decode_body(self.body()))
        self._must_have(len(items))
        return items

    def note(self, start: int, notes: Notes) -> PackNote:
        """The note of it as the part of the memory log that begins at index ``start``; read for that where there is
        none."""
        found = self._note or notes.get(self.ref)
        if found is None or found.stretch.start != start:
            found = PackNote.of(self.items, start, self._place)
            notes.put(self.ref, found)
        self._must_have(found.stretch.size)
        self._note = found
        return found

    def _must_have(self, count: int) -> None:
        if count != self.ref.count:
            raise Tampered(
                f"Pack {self.ref.hash.hex()} holds {count} memories, its head says {self.ref.count}.",
                "Its writer is faulty.",
            )


Kept = dict[PackRef, Pack]  # packs that were read before


def pack_of(view: View, ref: PackRef, fetch: Fetch) -> Pack | None:
    """A pack that ``view`` names; None where its epoch lies before this holder's first."""
    keys = _keys_of(view.keyring, ref)
    return Pack(view.place, ref, keys, fetch) if keys else None


def read_items(
    view: View,
    fetch: Fetch,
    progress: Progress | None = None,
    *,
    kept: Kept | None = None,
    notes: Notes = NO_NOTES,
    of: Collection[bytes] | None = None,
) -> list[Item]:
    """All that the packs of a view hold, in log order, compared with the memory log where this holder can open all of
    it.

    What is in ``kept`` and opens to this keyring is neither fetched nor opened again; afterwards it has the packs of
    this view, and no others. ``notes`` spare hashing what was read by an earlier process. With ``of`` (ids) they also
    spare reading: only what is in the same packs as memories of these is returned.
    """
    with _no_collecting():
        return _read_items(view, fetch, progress, kept, notes, of)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Lets the garbage collector wait. What is read stays, and it would go over all of that again and again: a third of
    the time that reading a large vault takes."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _read_items(
    view: View,
    fetch: Fetch,
    progress: Progress | None,
    kept: Kept | None,
    notes: Notes,
    of: Collection[bytes] | None,
) -> list[Item]:
    items: list[Item] = []
    read: Kept = {}
    log = Frontier() if view.head.base is None or view.base is not None else None
    for done, ref in enumerate(view.packs):
        pack = pack_of(view, ref, fetch)
        if pack:
            read[ref] = pack = (kept or {}).get(ref, pack)
        note = pack.note(log.size, notes) if log and pack else None
        log = log.followed_by(note.stretch) if log and note else None
        if pack and (of is None or note is None or note.has_any(of)):
            items += pack.items
        if progress:
            progress(done + 1, len(view.packs))
    if kept is not None:
        kept.clear()
        kept.update(read)
    if log is not None:
        check_log(view, log)
    return items


def check_log(view: View, log: Frontier) -> None:
    """Raises Tampered unless ``log``, of all that the packs of a view hold, is the one that its head names."""
    if log != view.head.log:
        raise Tampered(
            f"The packs that head {view.record.content_hash.hex()} names are not what its memory log commits to.",
            "Its writer is faulty or hostile: see `memsync grants`.",
        )


def read_entries(
    view: View,
    fetch: Fetch,
    progress: Progress | None = None,
    *,
    kept: Kept | None = None,
    notes: Notes = NO_NOTES,
    of: Collection[bytes] | None = None,
) -> list[Entry]:
    """The entries that still have a memory, in log order; read and checked as ``read_items`` does."""
    items = read_items(view, fetch, progress, kept=kept, notes=notes, of=of)
    return [item for item in items if isinstance(item, Entry)]


def read_forgotten(view: View, fetch: Fetch) -> frozenset[bytes]:
    """The ids of the forgotten memories. For the owner's devices and kit; raises AccessEnded for a reader."""
    hashes = view.head.forgotten
    keys = view.keyring.owner_keys if hashes else None
    blobs = (fetch(blob_hash, "list of what is forgotten") for blob_hash in hashes)
    return open_forgotten(view.place, keys, blobs) if keys else frozenset()


def check_not_older(record: VaultRecord, seen: Seen) -> None:
    """Raises Rollback if ``record`` is older than what was seen, or another at the same version."""
    older = record.version < seen.version or record.head_version < seen.head_version
    other = record.head_version == seen.head_version and record.content_hash != seen.content_hash
    if older or other:
        raise Rollback(
            f"The node shows version {record.version} of the vault; this device has seen version {seen.version}"
            f" at block {seen.block}{' with another head' if other and not older else ''}.",
            _HOW_TO_GO_ON,
        )


def _not_descending(view: View, fetch: Fetch, seen: Seen) -> Rollback | None:
    """The Rollback to raise if the head seen before is no ancestor of the present one: the chain forked and lost
    commits.

    Behind a cut no head can be opened; then the memory log has to be one that has grown from the log seen before.
    """
    if view.record.head_version == seen.head_version or seen.keys.epoch < view.keyring.since:
        return None  # the same head; or granted anew since, without a look back
    if view.keyring.keys_of(seen.keys.epoch):
        descends = ancestor(view, fetch, seen.head_version) == seen.content_hash
    else:
        items = read_items(view, fetch)
        partial = len(items) < view.head.log.size  # this holder may not open all: the succession has to do
        descends = partial or Frontier().extended(i.commitment(view.place) for i in items[: seen.log.size]) == seen.log
    if descends:
        return None
    return Rollback(
        f"The vault's history has changed: its head of version {seen.head_version} that was seen here is gone.",
        _HOW_TO_GO_ON,
    )


def _keys_of(keyring: Keyring, ref: HeadRef | PackRef) -> EpochKeys | None:
    """What opens ``ref``, None where its epoch lies before this holder's first. Raises Tampered for an epoch that has
    not begun: passed over too, such a blob would be hidden from everyone."""
    if ref.epoch > keyring.keys.epoch:
        raise Tampered(f"Blob {ref.hash.hex()} is named with an epoch that has not begun.", "Its writer is faulty.")
    keys = keyring.keys_of(ref.epoch)
    if keys is None and ref.epoch >= keyring.since:
        raise Tampered(
            f"The keyring has no link to epoch {ref.epoch} of blob {ref.hash.hex()}.", "Its writer is faulty."
        )
    return keys


def _named(blob_hash: bytes, read: Callable[[], _T]) -> _T:
    """Runs ``read``; a Tampered from it names the blob."""
    try:
        return read()
    except Tampered as error:
        if blob_hash.hex() in error.cause:
            raise
        raise Tampered(f"Blob {blob_hash.hex()}: {error.cause}", error.next_step) from None
