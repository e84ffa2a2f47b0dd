"""Committing: from planned blobs to a landed transaction, with a journal so that a killed process finishes or repeats
it.

Order: blobs noted as orphans, stored and read back, then the journal with the transaction's hash, then sending. Whether
a commit landed is decided by finding its hash in the chain of heads, or behind a clean cut its first entry in the
memory log.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .errors import AccessEnded, BlobMissing, Tampered
from .forgotten import seal_forgotten
from .heads import Head, PackRef, seal_head
from .home import SealedFile, write_seen
from .keyring import EpochKeys, OwnerKeys, Roster, seal_keyring
from .memories import Memory, to_record
from .merging import merged, replaced_before
from .outbox import Outbox
from .pack_notes import PackNotes
from .packs import Entry, PackNote, entries, open_pack, seal_pack, split
from .reading import Progress, Seen, View, ancestor, anchors_before, read_forgotten, read_items
from .records import Receipt
from .sealing import MAX_BLOB, HoldsSecret, Place, sha256
from .session import Session
from .storage.blobs import Blobs

if TYPE_CHECKING:
    from .transactions import Call, Prepared

NO_HASH = bytes(32)
# ``own`` are the blobs that no other commit can use, the head first; ``entry`` is what the commit adds first to the
# memory log, empty if that is nothing; ``txs`` the hashes of the transactions that may bring it.
JOURNAL = {"version": int, "own": list, "blobs": list, "outbox": list, "txs": list, "entry": bytes}
# What to delete from the host once ``head`` is final: ``blobs``. What it did not delete before: ``left``. What no head
# names that is known to have landed: ``orphans``, noted before they are stored, and kept until another head has.
_DOOMED = {"head": bytes, "blobs": list, "left": list, "orphans": list}
_NONE_DOOMED: dict[str, Any] = {"head": b"", "blobs": [], "left": [], "orphans": []}


@dataclass(frozen=True)
class NewKeyring:
    """A keyring that a commit is to bring: its keys (of the current epoch, or of the next), its roster, and whether it
    links what its holders could open until now."""

    keys: OwnerKeys
    roster: Roster
    keep_history: bool = True


@dataclass(frozen=True)
class Rewrite:
    """A base that a commit is to bring in place of all before it: packs that hold the same log, the ids of all that is
    forgotten (None: the same as before), and the blobs to delete once it is final. ``stored`` are the bytes of its
    packs that are new, and on the host already; ``fresh`` are packs that are still to be stored."""

    packs: tuple[PackRef, ...]
    forgotten: frozenset[bytes] | None
    doomed: frozenset[bytes]
    stored: int
    fresh: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class NewPack:
    """A pack on its way, and what this device notes of it if the memory log is as long as it was then."""

    ref: PackRef
    blob: bytes = field(repr=False)
    note: PackNote = field(repr=False)


@dataclass(frozen=True)
class Batch(HoldsSecret):
    """Memories on their way, sealed under the epoch secret ``secret``. Packs bind no version, so that they are kept
    when a race is lost, unless the keys are others then.

    There are ``count`` memories, of which so many are ``new`` and not edits; ``first`` is the first one's entry in the
    memory log, ``digest`` tells whether it is the same that waits. ``outbox`` are the entries that are done with once
    it has landed.
    """

    packs: list[NewPack]
    outbox: list[str] = field(default_factory=list)
    count: int = 0
    new: int = 0
    first: bytes = b""
    digest: bytes = field(default=b"", repr=False)
    secret: bytes = field(default=b"", repr=False)

    @classmethod
    def of(
        cls,
        place: Place,
        keys: EpochKeys,
        memories: Iterable[Memory],
        outbox: list[str],
        *,
        start: int = 0,
        limit: int = MAX_BLOB,
    ) -> Batch:
        """Seals ``memories`` as they come, in blobs of ``limit`` bytes at most, and holds none of their texts.
        ``start`` is the size of the memory log; ``outbox`` counts when all have come."""
        seen, packs = hashlib.sha256(), list[NewPack]()
        count = new = 0
        first = b""
        for part in split((entry for memory in memories for entry in entries((memory,))), limit):
            blob = seal_pack(place, keys.epoch, keys.secret, part)
            note = PackNote.of(part, start + count, place)
            packs.append(NewPack(PackRef(sha256(blob), keys.epoch, len(part)), blob, note))
            for entry in part:
                if isinstance(entry, Entry):
                    seen.update(entry.record)
                    new += entry.memory.revision == entry.memory.id
            first = first or part[0].commitment(place)
            count += len(part)
        return cls(packs, outbox, count, new, first, seen.digest(), keys.secret)

    def is_of(self, keys: EpochKeys, memories: Iterable[Memory]) -> bool:
        """Whether it is these memories under these keys."""
        if self.secret != keys.secret:
            return False
        seen = hashlib.sha256()
        for memory in memories:
            seen.update(to_record(memory))
        return self.digest == seen.digest()

    def note_of(self, pack: NewPack, start: int, place: Place) -> PackNote:
        """What to note of one of its packs, whose first entry gets the index ``start`` of the memory log."""
        if pack.note.stretch.start == start:
            return pack.note
        return PackNote.of(open_pack(place, pack.ref.epoch, self.secret, pack.blob), start, place)


@dataclass(frozen=True)
class Landed:
    """A commit on chain: the version it made, what it cost, and the bytes stored for it. ``left`` are the hashes of
    blobs that were to be deleted with it and that the host still has."""

    version: int
    receipt: Receipt
    stored_bytes: int
    left: tuple[bytes, ...] = ()


class Committer:
    """Writes one vault. ``sealed`` gives a sealed file of the vault's folder by its name."""

    def __init__(
        self,
        session: Session,
        place: Place,
        blobs: Blobs,
        outbox: Outbox,
        sealed: Callable[[str], SealedFile],
        notes: PackNotes,
    ) -> None:
        self._session = session
        self._place = place
        self._blobs = blobs
        self._outbox = outbox
        self._notes = notes
        self._journal, self._seen, self._doomed = sealed("journal"), sealed("seen"), sealed("doomed")

    @property
    def in_doubt(self) -> bool:
        """Whether something was stored for a commit that is not known to have landed: what it was to bring may be on
        the host, and land yet."""
        doomed = self._doomed.read(_DOOMED)
        return doomed is not None and bool(doomed["orphans"])

    def store(self, packs: Iterable[tuple[PackRef, bytes | None]]) -> int:
        """Stores those packs that were made anew for a commit to come, and returns their bytes."""
        made = [blob for _, blob in packs if blob]
        self._store(made)
        return sum(map(len, made))

    def land_with(self, keyring: bytes, prepared: Prepared) -> Receipt:
        """Stores a keyring, and lands the call that names it beside a commit's. If it does not, the keyring is deleted
        with what a next commit sweeps."""
        self._store([keyring])
        receipt = self._session.land(prepared)
        doomed = self._doomed.read(_DOOMED) or _NONE_DOOMED
        self._keep_doomed(doomed | {"orphans": [each for each in doomed["orphans"] if each != sha256(keyring)]})
        return receipt

    def _store(self, blobs: Sequence[bytes], progress: Progress | None = None) -> None:
        if blobs:
            self._note_orphans(map(sha256, blobs))
            self._blobs.store(blobs, progress)

    def _note_orphans(self, hashes: Iterable[bytes]) -> None:
        before = self._doomed.read(_DOOMED) or _NONE_DOOMED
        self._doomed.write(before | {"orphans": list(dict.fromkeys([*before["orphans"], *hashes]))})

    def commit(
        self,
        view: View,
        batch: Batch,
        ring: NewKeyring | None,
        rewrite: Rewrite | None = None,
        then: Sequence[Call] = (),
        skips: tuple[bytes, ...] = (),
        progress: Progress | None = None,
    ) -> Landed:
        """One new head over ``view`` with the memories of ``batch``, and a new keyring where one is given. The calls of
        ``then`` follow it in the same transaction; ``skips`` are the heads on chain that ``view`` passes over.

        Raises VersionTaken if another writer was first; the journal then stands, for ``settle`` to find out whether
        that writer was an earlier attempt of ours.
        """
        self._session.unlock()
        registry = self._session.registry
        keys = ring.keys if ring else view.keyring.owner_keys
        log = view.head.log
        for pack in batch.packs:
            note = batch.note_of(pack, log.size, self._place)
            log = log.followed_by(note.stretch)
            self._notes.put(pack.ref, note)
        version = view.record.version + 1
        refs = tuple(pack.ref for pack in batch.packs)
        if rewrite is None and view.head.base_is_due:
            rewrite = self._merged(view, keys.epoch, {ref.hash for ref in refs})
        if rewrite:
            head = Head(version, view.head_ref, None, 0, rewrite.packs + refs, len(refs), log, view.head.forgotten)
        else:
            head = view.head.next(view.head_ref, view.base, version, refs, log)
        lists = self._forgotten(view, keys, rewrite)
        if lists is not None:
            head = replace(head, forgotten=tuple(map(sha256, lists)))
        head = replace(head, skips=skips)
        head_blob = seal_head(self._place, keys.epoch, keys.secret, keys.writer_key, head)
        head_hash = sha256(head_blob)
        own = [head_blob, *(lists or [])]
        keyring_hash = NO_HASH
        if ring:
            own.append(seal_keyring(self._place, ring.keys, ring.roster, view.keyring, keep_history=ring.keep_history))
            keyring_hash = sha256(own[-1])
        blobs = [*(rewrite.fresh if rewrite else ()), *(pack.blob for pack in batch.packs), *own]
        self._session.say(
            f"sealed {batch.count:,} in {len(refs):,} {'pack' if len(refs) == 1 else 'packs'}"
            if refs
            else "sealed what the vault has now; no new memory"
        )
        call = registry.commit(
            self._place.vault_id, view.record.version, keys.epoch, head_hash, log.memory_root, keyring_hash
        )
        if then:
            call = registry.multicall([call, *then])
        prepared = self._session.prepare(call)  # a refusal comes before anything is stored
        self._store(blobs, progress)
        self._session.say(f"stored and read back {sum(map(len, blobs)):,} bytes")
        journal: dict[str, Any] = {
            "version": version,
            "own": list(map(sha256, own)),
            "blobs": [ref.hash for ref in (*refs, *(rewrite.packs if rewrite else ()))],
            "outbox": batch.outbox,
            "entry": batch.first,
        }
        if rewrite:
            self._doom(head_hash, rewrite.doomed.difference(journal["own"], journal["blobs"]))

        def announce(hashes: list[bytes]) -> None:
            self._journal.write(journal | {"txs": hashes})

        receipt = self._session.land(prepared, announce)
        self._outbox.remove(batch.outbox)
        before = anchors_before(view.keyring, keys.epoch)
        seen = Seen(version + len(then), version, head_hash, receipt.block.number, keys, log, before)
        living = {*journal["own"], *journal["blobs"], *head.forgotten}
        if not ring:
            living.add(view.record.keyring_hash)
        if head.base:
            living |= {head.base.hash, *view.named, *(pack.hash for pack in head.packs)}
        left = self._sweep(view, head_hash, living, again=rewrite is not None)
        self._journal.remove()
        write_seen(self._seen, seen)
        if rewrite:
            self._blobs.keep_only(living)
            self._notes.keep_only(living)
        stored = sum(map(len, blobs)) + (rewrite.stored if rewrite else 0)
        return Landed(seen.version, receipt, stored, left)

    def check(self, view: View, ring: NewKeyring | None) -> None:
        """Raises what a commit with ``ring`` would be refused for, before much is stored for it. Nothing is signed."""
        self._session.unlock()
        record, any_hash = view.record, os.urandom(32)
        epoch = ring.keys.epoch if ring else record.epoch
        call = self._session.registry.commit(
            self._place.vault_id, record.version, epoch, any_hash, record.memory_root, any_hash if ring else None
        )
        self._session.prepare(call)

    def _forgotten(self, view: View, keys: OwnerKeys, rewrite: Rewrite | None) -> list[bytes] | None:
        """The blobs that name the forgotten memories, None where those of the head before serve on."""
        if rewrite and rewrite.forgotten is not None:
            return seal_forgotten(self._place, keys, rewrite.forgotten)
        if keys.epoch == view.record.head_epoch:
            return None
        return seal_forgotten(self._place, keys, read_forgotten(view, self._blobs.fetch))

    def _merged(self, view: View, epoch: int, new: set[bytes]) -> Rewrite | None:
        """The base of ``epoch`` that is due, with small packs merged; None where it is to name all packs as they are:
        this key does not open all of them, or they are not what the log commits to, or one is gone.

        What the base before this one has replaced is deleted with it.
        """
        if view.record.base_uri.startswith("evm:"):  # each byte stored there is paid for, and stays
            return None
        try:
            packs = list(merged(view, epoch, self._blobs.fetch, self._notes, self._blobs.limit))
        except (AccessEnded, BlobMissing, Tampered):
            return None
        refs = tuple(ref for ref, _ in packs)
        made = [blob for _, blob in packs if blob]
        if made:
            self._session.say(f"{len(view.packs):,} packs are now {len(refs):,}")
        doomed = replaced_before(view, self._blobs.fetch) - {ref.hash for ref in refs} - new
        return Rewrite(refs, None, doomed, 0, tuple(made))

    def _doom(self, head: bytes, blobs: frozenset[bytes]) -> None:
        """Notes what is to be deleted once ``head`` is final: behind a cut nobody could find it again."""
        before = self._doomed.read(_DOOMED) or {"left": [], "orphans": []}
        self._doomed.write(before | {"head": head, "blobs": sorted(blobs)})

    def _sweep(self, view: View, head: bytes, living: Collection[bytes], *, again: bool) -> tuple[bytes, ...]:
        """Deletes what was to go with ``head``, which is final, and orphans of before, but nothing of ``living``; with
        ``again`` what the host did not delete before, too. Returns what it still has.

        A commit that counted as lost may have landed after all, from some node's pool: what ``view`` names is no
        orphan.
        """
        doomed = self._doomed.read(_DOOMED)
        if doomed is None:
            return ()
        due = [orphan for orphan in doomed["orphans"] if orphan not in _named(view)]
        due += doomed["blobs"] if doomed["head"] == head else []
        due = [blob_hash for blob_hash in due if blob_hash not in living]
        left = self._blobs.delete(due + doomed["left"]) if again else self._blobs.delete(due) + doomed["left"]
        self._keep_doomed(_NONE_DOOMED | {"left": left})
        return tuple(left)

    def _keep_doomed(self, doomed: dict[str, Any]) -> None:
        if doomed["blobs"] or doomed["left"] or doomed["orphans"]:
            self._doomed.write(doomed)
        else:
            self._doomed.remove()

    def settle(self, view: View, look: Callable[[], View]) -> View:
        """``view``, or what ``look`` gives later, after dealing with a commit that an earlier process left unfinished.

        If it landed, its outbox entries are done with. If not, it is forgotten and made again: the version that it
        names lets only one of the two land. What it stored is deleted when another has landed.
        """
        if self._session.resume():
            view = look()
        value = self._journal.read(JOURNAL)
        if value is None:
            return view
        doomed, head = self._doomed.read(_DOOMED), value["own"][0]
        if self._landed(view, value["version"], head, value["entry"]):
            self._session.wait(self._transaction(value["txs"], head))  # nothing is done with before it is final
            self._outbox.remove(value["outbox"])
            if doomed:
                self._sweep(view, head, {*value["own"], *value["blobs"], *_named(view)}, again=True)
            self._session.say("an earlier commit had landed")
        self._journal.remove()
        return view

    def _transaction(self, hashes: list[bytes], head: bytes) -> bytes:
        """The hash of the transaction that brought ``head``; an account elsewhere may not have named it in time."""
        registry = self._session.registry
        for tx_hash in hashes:
            if registry.included(tx_hash):
                return tx_hash
        commits = registry.commits(self._place.vault_id)
        return next((commit.tx_hash for commit in reversed(commits) if commit.content_hash == head), hashes[0])

    def _landed(self, view: View, version: int, head: bytes, entry: bytes) -> bool:
        found = ancestor(view, self._blobs.fetch, version)
        if found or not entry or view.record.head_version < version:
            return found == head
        items = read_items(view, self._blobs.fetch, notes=self._notes)
        return any(item.commitment(self._place) == entry for item in items)


def _named(view: View) -> set[bytes]:
    return {view.record.content_hash, view.record.keyring_hash, *view.named}
