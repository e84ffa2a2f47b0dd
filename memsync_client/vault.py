"""A vault on a device of its owner: the order of things. What is remembered waits in the outbox; ``sync`` commits
it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from . import memories
from .access import LentVault
from .committing import Batch, Landed
from .errors import (
    AccessEnded,
    InvalidRequest,
    Rollback,
    Tampered,
    UnknownMemory,
)
from .home import read_seen, write_seen
from .import_ids import identified
from .interchange import Draft
from .keyring import EpochKeys, open_keyring
from .memories import Memory
from .outbox import Waiting
from .packs import Entry, entries, open_pack
from .reading import Progress, View, open_view, read_entries
from .roster import roster_of
from .sealing import Place
from .search import Hit, Index
from .session import PRACTICE_CHAIN
from .verifying import Report, verify


@dataclass(frozen=True)
class SyncResult:
    """``committed`` memories landed with this sync; ``already`` waited and were in the vault before. ``landed`` is None
    where no transaction was needed."""

    committed: int
    already: int
    version: int
    landed: Landed | None


class Vault(LentVault):
    """One vault. ``remember`` and ``import_drafts`` need neither node nor passphrase; the rest opens what it needs."""

    # Memories ---------------------------------------------------------------------------------------------------------

    def remember(self, content: str, *, created: datetime | None = None, tags: Iterable[str] = ()) -> Memory:
        """Keeps one memory in the outbox, durably. Raises InvalidMemory."""
        memory = memories.new(content, created=created or _now(), tags=tags)
        self._outbox.add(self._session.device_public, [memory])
        return memory

    def edit(self, memory_id: str, content: str) -> Memory:
        """A new revision of the memory whose id begins with ``memory_id`` (hex). It settles a conflict, if there is
        one."""
        found = [tips for key, tips in self.tips().items() if key.hex().startswith(memory_id.lower())]
        if len(found) != 1 or not memory_id:
            what = "No memory has" if not found else "More than one memory has"
            raise UnknownMemory(f"{what} an id that begins with {memory_id!r}.", "`memsync list` shows the ids.")
        if len(found[0]) == 1 and found[0][0].content == content:
            raise InvalidRequest("The memory says just that already.", "Nothing was changed.")
        memory = found[0][-1].edited(content, [tip.revision for tip in found[0]])
        self._outbox.add(self._session.device_public, [memory])
        return memory

    def import_drafts(self, drafts: Sequence[Draft]) -> None:
        """Keeps an import in the outbox, all or none. Ids are made at the sync, so that importing twice adds
        nothing."""
        items = [draft.memory(os.urandom(memories.ID_BYTES)) for draft in drafts]
        if items:
            self._outbox.add(self._session.device_public, items, imported=True)

    def waiting(self) -> int:
        """How many memories wait for the next sync."""
        return self._outbox.count()

    def tips(self, progress: Progress | None = None) -> dict[bytes, list[Memory]]:
        """The living revisions by memory id: what is committed, and what waits here. Two for one id are a conflict."""
        view = self._view(self.record())
        committed = read_entries(view, self._blobs(view.record).fetch, progress)
        fresh = self._fresh(view, self._outbox.read(self._session.device), committed)
        return memories.tips([entry.memory for entry in committed] + fresh)

    def memories(self, progress: Progress | None = None) -> list[Memory]:
        """All living memories, conflicting tips included."""
        return [memory for tips in self.tips(progress).values() for memory in tips]

    def recall(self, query: str, limit: int = 10) -> list[Hit]:
        """The memories that answer a query best, by keywords. The index lives in RAM only."""
        return Index(self.memories()).recall(query, limit)

    # Sync -------------------------------------------------------------------------------------------------------------

    def sync(self, *, keep_private: bool | None = None, accept_rollback: bool = False) -> SyncResult:
        """Commits what waits in one transaction, and takes in what other devices committed.

        It brings a new keyring where one is due: the vault is locked after a revocation, or a reader's date has passed.
        ``keep_private`` says whether private readers stay after a revocation that was not made here. A practice chain
        that has lost blocks gets them again; on others that needs ``accept_rollback``.
        """
        with self._session.home.lock():
            if accept_rollback:
                self._rescue()
            batch: Batch | None = None

            def attempt(view: View) -> SyncResult:
                nonlocal batch
                batch, already = self._batch(view, batch)
                ring = self._due_keyring(view, keep_private)
                if not batch.entries and ring is None:
                    self._outbox.remove(batch.outbox)
                    return SyncResult(0, already, view.record.version, None)
                landed = self._commit(view, batch, ring)
                return SyncResult(len(batch.entries), already, landed.version, landed)

            try:
                return self._on_newest(attempt)
            except Rollback:
                if self._session.config.chain_id != PRACTICE_CHAIN:
                    raise
                self._rescue()
                return self._on_newest(attempt)

    def _batch(self, view: View, lost: Batch | None) -> tuple[Batch, int]:
        """What waits and is not in the vault yet, and how much of what waits is. A batch that ``lost`` a race keeps
        its packs.

        Ids of imports are compared with what is committed, and after a lost race all ids are; anything else commits
        without reading the vault.
        """
        waiting = self._outbox.read(self._session.device)
        compare = lost is not None or any(entry.imported for entry in waiting)
        committed = read_entries(view, self._blobs(view.record).fetch) if compare else []
        fresh = self._fresh(view, waiting, committed)
        already = sum(len(entry.memories) for entry in waiting) - len(fresh)
        if lost and [entry.memory for entry in lost.entries] == fresh:
            return lost, already
        return Batch(entries(fresh), [entry.path.name for entry in waiting]), already

    def _rescue(self) -> None:
        """Accepts the chain's present state, and puts what it has lost back into the outbox, from this device's copies.

        The outbox has it before anything else is changed, so that this can be interrupted and done again.
        """
        record, seen = self.record(), read_seen(self._seen)
        blobs, key = self._blobs(record), self._session.device.xwing
        view = open_view(self.place, record, blobs.fetch, key)
        known = {entry.memory.revision for entry in read_entries(view, blobs.fetch)}
        keys = {keys.epoch: keys for keys in (view.keyring.keys, *view.keyring.links.values())}
        copies = list(blobs.copies())
        if seen:
            keys[seen.keys.epoch] = seen.keys
            for blob in copies:
                with suppress(AccessEnded, Tampered):
                    keys.update(open_keyring(self.place, seen.keys.epoch, blob, key).links)
        found = _entries_in(self.place, copies, list(keys.values()))
        lost = [entry.memory for entry in found if entry.memory.revision not in known]
        if lost:
            self._outbox.add(self._session.device_public, lost)
            self._session.say(f"{len(lost)} memories that the chain has lost wait again")
        write_seen(self._seen, view.seen(record.block.number))

    def _fresh(self, view: View, waiting: list[Waiting], committed: list[Entry]) -> list[Memory]:
        """What of ``waiting`` is not committed yet, with the final ids of imports."""
        roster = roster_of(view.keyring)
        history: dict[bytes, list[Memory]] = {}
        for entry in committed:
            history.setdefault(entry.memory.id, []).append(entry.memory)
        known = {entry.memory.revision for entry in committed}
        fresh: list[Memory] = []
        for waits in waiting:
            for memory in waits.memories:
                item = identified(memory, roster.import_key, history) if waits.imported else memory
                if item is not None and item.revision not in known:
                    known.add(item.revision)
                    fresh.append(item)
                    history.setdefault(item.id, []).append(item)
        return fresh

    # Checking ---------------------------------------------------------------------------------------------------------

    def verify(self, progress: Progress | None = None) -> Report:
        """Fetches every blob from the host and checks all of it, with one proof on chain."""
        record = self.record()
        host = self._blobs(record).fetch_from_host
        return verify(self._session.registry, record, self._view(record, host), host, progress)


def _entries_in(place: Place, blobs: list[bytes], keys: list[EpochKeys]) -> Iterator[Entry]:
    """The entries of those blobs that are packs of one of the epochs."""
    for blob in blobs:
        for epoch_keys in keys:
            with suppress(Tampered):
                yield from open_pack(place, epoch_keys.epoch, epoch_keys.secret, blob)
                break


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
