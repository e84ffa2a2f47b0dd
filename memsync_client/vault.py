"""A vault on a device of its owner: the order of things. What is remembered waits in the outbox; ``sync`` commits
it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from . import memories
from .access import NewKeys
from .committing import Batch, Landed, NewKeyring
from .errors import (
    AccessEnded,
    InvalidRequest,
    MemSyncError,
    Rollback,
)
from .following import Following, Waits
from .glance import write_glance
from .going_on import GoingOnVault
from .import_ids import identified, imported_id
from .inbox import Proposal
from .interchange import Draft
from .keeping import Kept, Level, all_pending
from .keyring import Roster
from .keys import PublicKey
from .memories import Memory
from .outbox import ReadAnew, SealedFolder, Waiting
from .packs import Entry, gathered
from .reading import Fetch, Progress, View, by_newest, read_entries, read_forgotten
from .records import VaultRecord
from .rekeying import newest_key, with_key
from .roster import roster_of
from .sameness import fingerprint, form
from .search import EVERYTHING, Filter, Hit, Index
from .session import PRACTICE_CHAIN
from .verifying import Report, verify


@dataclass(frozen=True)
class SyncResult:
    """``committed`` memories landed with this sync; ``already`` waited and were in the vault before. ``landed`` is None
    where no transaction was needed. ``over`` says why a vault takes
    nothing any more, closed or another's by now: what waits for it waits on. ``keys``
    says why there are new keys, where the commit brought some.

    Forgetting wins: ``held`` edits of forgotten memories wait on for a yes, and ``blocked`` memories of an import were
    left out.
    """

    committed: int
    already: int
    version: int
    landed: Landed | None
    held: int = 0
    blocked: int = 0
    over: str | None = None
    keys: NewKeys | None = None


_FEW_ENTRIES = 16  # of the outbox, which fit into memory beside anything
_OTHER_FIELDS = 256  # bytes of a memory beside its text, mostly
_MOST_REJECTED = 1_000  # texts that the owner has said no to; of more the oldest may be proposed again


@dataclass(frozen=True)
class Approved:
    """How many memories wait in the outbox by a yes to them, how many were forgotten, and what that has done (None: it
    needed no commit)."""

    added: int
    forgotten: int
    kept: Kept | None


@dataclass
class _Sorted:
    """How what waits was sorted, beside what is fresh: ``held`` for a yes; ``blocked`` for good; ``already`` in the
    vault. ``names`` are the outbox entries that are done with when what is fresh is committed."""

    names: list[str] = field(default_factory=list)
    already: int = 0
    held: int = 0
    blocked: int = 0


class Vault(GoingOnVault):
    """One vault. ``remember`` and ``import_drafts`` need neither node nor passphrase; the rest opens what it needs."""

    # Memories ---------------------------------------------------------------------------------------------------------

    def remember(self, content: str, *, created: datetime | None = None, tags: Iterable[str] = ()) -> Memory:
        """Keeps one memory in the outbox, durably. Raises InvalidMemory."""
        memory = memories.new(content, created=created or _now(), tags=tags)
        self._let_wait([memory])
        return memory

    def edit(self, memory_id: str, content: str) -> Memory:
        """A new revision of the memory whose id begins with ``memory_id`` (hex). It settles a conflict, if there is
        one."""
        tips = self.tips()
        found = tips[memories.meant(tips, memory_id)]
        if len(found) == 1 and found[0].content == content:
            raise InvalidRequest("The memory says just that already.", "Nothing was changed.")
        memory = found[-1].edited(content, [tip.revision for tip in found])
        self._let_wait([memory])
        return memory

    def import_drafts(self, drafts: Sequence[Draft]) -> None:
        """Keeps an import in the outbox, all or none; killed in between, import it again. Ids are made at the sync, so
        that importing twice adds nothing."""
        self._let_wait((draft.memory(os.urandom(memories.ID_BYTES)) for draft in drafts), imported=True)

    def take(self, items: Sequence[Memory]) -> None:
        """Keeps memories that somebody else has made in the outbox, all or none."""
        self._let_wait(items)

    def _let_wait(self, items: Iterable[Memory], *, imported: bool = False) -> None:
        """Adds ``items`` to the outbox, in entries of about a megabyte: one is in memory several times over."""
        names: list[str] = []
        try:
            for part in gathered((item, len(item.content.encode()) + _OTHER_FIELDS) for item in items):
                names.append(self._put(self._outbox, partial(self._outbox.add, memories=part, imported=imported)))
        except BaseException:
            with suppress(MemSyncError):
                self._outbox.remove(names)
            raise

    def _put(self, folder: SealedFolder, add: Callable[[PublicKey], str]) -> str:
        """Adds an entry to ``folder``, sealed to this device's key: to the new one, if it is about to follow. Returns
        its name. Raises InvalidRequest for a vault that is over: it would wait for ever."""
        if self.over:
            step = "Use another vault, or make one: memsync vault new NAME"
            raise InvalidRequest(f'"{self.label}" is {self.over}, and takes nothing new.', step)
        while True:
            key = newest_key(self._session.home)
            name = add(key)
            if newest_key(self._session.home) == key:
                return name
            folder.remove([name])

    def _entries(self) -> list[Waiting]:
        self._session.refresh()
        return self._outbox.read(self._session.device)

    def waiting(self) -> int:
        """How many memories wait for the next sync."""
        return self._outbox.count()

    def tips(self, progress: Progress | None = None) -> dict[bytes, list[Memory]]:
        """The living revisions by memory id: what is committed, and what waits here. Two for one id are a conflict. Of
        a vault that is another's by now, and opens no more, what still waits here for it."""
        # Before the chain, so that what another process commits meanwhile is in one of the two.
        waiting = self._entries()

        def read(record: VaultRecord) -> dict[bytes, list[Memory]]:
            view = self._view(record)
            fetch = self._blobs(record).ahead(view.named)
            committed = read_entries(view, fetch, progress, notes=self._notes)
            self._count(view, committed)
            fresh = list(self._fresh(view, waiting, committed))
            return memories.tips([entry.memory for entry in committed] + fresh)

        try:
            return self._reading(read)
        except AccessEnded:
            if not (waiting and self.over):
                raise
            self._session.say(f'"{self.label}" is {self.over}: what waits here for it is all that opens')
            return memories.tips(memory for waits in waiting for memory in waits.memories)

    def _count(self, view: View, committed: list[Entry]) -> None:
        record, roster, count = view.record, view.keyring.roster, len({entry.memory.id for entry in committed})
        if roster:
            write_glance(self._folder, record.version, record.block.number, record.head_version, roster, count)

    def memories(self, progress: Progress | None = None) -> list[Memory]:
        """All living memories, conflicting tips included."""
        return [memory for tips in self.tips(progress).values() for memory in tips]

    def recall(self, query: str, limit: int = 10, only: Filter = EVERYTHING) -> list[Hit]:
        """The memories that answer a query best, by keywords. The index lives in RAM only."""
        return Index(self.memories()).recall(query, limit, only)

    def following(self) -> Following:
        """This vault to be looked at again and again, with what waits here. Nothing of it can commit."""

        def opened(record: VaultRecord) -> tuple[View, Fetch]:
            return self._view(record), self._blobs(record).fetch

        def waiting() -> Waits:
            entries = self._entries()
            return lambda view, committed: list(self._fresh(view, entries, committed))

        return Following(self.record, opened, waits=self._outbox.names, waiting=waiting)

    # Sync -------------------------------------------------------------------------------------------------------------

    def sync(
        self,
        *,
        keep_private: bool | None = None,
        keep_edits: bool | None = None,
        accept_rollback: bool = False,
        progress: Progress | None = None,
    ) -> SyncResult:
        """Commits what waits in one transaction, and takes in what other devices committed.

        It brings a new keyring where one is due: the vault is locked after a revocation, a reader's date has passed, or
        the keys are as old as the owner lets them become. ``keep_private`` says whether private readers stay after a
        revocation that was not made here, ``keep_edits`` whether edits of memories that were forgotten meanwhile are
        committed (True) or dropped (False); they wait on where it is not said. A practice chain that has lost blocks
        gets them again; on others that needs ``accept_rollback``.
        """
        if not self.over or self.owned():
            try:
                return self._sync(keep_private, keep_edits, accept_rollback, progress)
            except MemSyncError:
                if not self.over:  # found out on the way
                    raise
        return SyncResult(0, 0, self._version, None, over=self.over)

    def _sync(
        self, keep_private: bool | None, keep_edits: bool | None, accept_rollback: bool, progress: Progress | None
    ) -> SyncResult:
        if self._session.home.next_key.exists():
            try:
                self.rekey()  # an earlier process did not finish
            except MemSyncError as error:  # it may be another vault's; this one goes on with both keys
                self._session.say(f"the old key of this device is still to be destroyed: {error.cause}")
        with self._session.lock():
            self._session.check_clock()
            if accept_rollback:
                self._rescue()
            batch: Batch | None = None

            def attempt(view: View) -> SyncResult:
                nonlocal batch
                if self.over:
                    return SyncResult(0, 0, view.record.version, None, over=self.over)
                self._leave(view)
                if len(self._outbox.names()) > _FEW_ENTRIES:  # a keystore takes 256 MB, best before all of that does
                    with suppress(MemSyncError):  # whoever commits nothing needs no wallet
                        self._session.unlock()
                ring = self._due_keyring(view, keep_private)
                batch, found = self._batch(view, ring, batch, keep_edits)
                if not batch.packs and ring is None:
                    self._outbox.remove(batch.outbox)
                    self._catch_up()
                    return SyncResult(0, found.already, view.record.version, None, found.held, found.blocked)
                landed = self._commit(view, batch, ring, progress=progress)
                counts = (batch.count, found.already, landed.version, landed, found.held, found.blocked)
                return SyncResult(*counts, keys=self._new_keys(view, ring) if ring else None)

            try:
                return self._on_newest(attempt)
            except Rollback:
                if self._session.config.chain_id != PRACTICE_CHAIN:
                    raise
                self._rescue()
                return self._on_newest(attempt)

    def _batch(
        self, view: View, ring: NewKeyring | None, lost: Batch | None, keep_edits: bool | None
    ) -> tuple[Batch, _Sorted]:
        """What waits and is not in the vault yet, sealed under the keys of ``ring`` or the present ones, and how the
        rest was sorted. A batch that ``lost`` a race keeps its packs.

        Imports, revisions of forgotten memories and what waits for the second time are compared with what is committed,
        and after a commit that is not known to have landed all that waits is; of that only the packs are read that have
        a memory of the same id.
        """
        waiting, blobs = self._waiting(), self._blobs(view.record)
        fetch = blobs.fetch
        forgotten = read_forgotten(view, fetch) if waiting else frozenset()
        import_key, returned = roster_of(view.keyring).import_key, self._returned
        in_doubt = lost is not None or self._committer(view.record).in_doubt
        seen, ids, repeated, comes_back = set[bytes](), set[bytes](), set[bytes](), False
        for entry in waiting:
            for memory in entry.memories:
                memory_id = imported_id(memory, import_key) if entry.imported else memory.id
                (repeated if memory_id in seen else seen).add(memory_id)
                comes_back = comes_back or memory.id in returned
                if entry.imported or in_doubt or memory.id in forgotten or memory.id in returned:
                    ids.add(memory_id)
        if returned and not comes_back:
            self._sealed("returned").remove()
        del seen
        committed = read_entries(view, fetch, notes=self._notes, of=frozenset(ids)) if ids else []
        keys, found = ring.keys if ring else view.keyring.owner_keys, _Sorted()
        if lost:
            same = lost.is_of(keys, self._fresh(view, waiting, committed, found, keep_edits, repeated))
            if same and lost.outbox == found.names:
                return lost, found
            found = _Sorted()
        fresh = self._fresh(view, waiting, committed, found, keep_edits, repeated)
        return Batch.of(self.place, keys, fresh, found.names, start=view.head.log.size, limit=blobs.limit), found

    def _waiting(self) -> Collection[Waiting]:
        """The entries that wait now; where they are many, read anew each time that they are gone through."""
        names = self._outbox.names()
        if len(names) <= _FEW_ENTRIES:
            return self._entries()
        self._session.refresh()
        return ReadAnew(self._outbox, self._session.device, names)

    def _fresh(
        self,
        view: View,
        waiting: Collection[Waiting],
        committed: list[Entry],
        found: _Sorted | None = None,
        keep_edits: bool | None = None,
        repeated: Collection[bytes] | None = None,
    ) -> Iterator[Memory]:
        """What of ``waiting`` is not committed yet, with the final ids of imports; ``found`` is told of the rest.
        ``repeated`` are the ids that wait more than once: of others nothing that waits needs to be kept in mind."""
        if not waiting:
            return
        found, roster = found or _Sorted(), roster_of(view.keyring)
        forgotten = read_forgotten(view, self._blobs(view.record).fetch)
        history: dict[bytes, list[Memory]] = {}
        for entry in committed:
            history.setdefault(entry.memory.id, []).append(entry.memory)
        known = {entry.memory.revision for entry in committed}
        for waits in waiting:
            held_before = found.held
            for memory in waits.memories:
                item = identified(memory, roster.import_key, history) if waits.imported else memory
                if item is None or item.revision in known:
                    found.already += 1
                elif item.id in forgotten and waits.imported:
                    found.blocked += 1
                elif item.id in forgotten and item.id not in history and not keep_edits:
                    found.held += keep_edits is None
                else:
                    known.add(item.revision)
                    if repeated is None or item.id in repeated:
                        history.setdefault(item.id, []).append(item)
                    yield item
            if found.held == held_before:
                found.names.append(waits.path.name)

    # Forgetting -------------------------------------------------------------------------------------------------------

    def chosen(
        self,
        ids: Sequence[str] = (),
        *,
        source: str | None = None,
        conversation: str | None = None,
        everything: bool = False,
    ) -> list[Memory]:
        """The living memories that a forget would take: those whose ids begin with one of ``ids`` (hex), or those of a
        source, of a conversation, or both; or all. Raises UnknownMemory for an id that names none, or several."""
        tips = self.tips()
        if ids:
            found = [memories.meant(tips, memory_id) for memory_id in ids]
            return [memory for memory_id in dict.fromkeys(found) for memory in tips[memory_id]]
        if not (everything or source is not None or conversation is not None):
            raise InvalidRequest("Nothing was named to forget.", "Name ids, a source, a conversation, or all.")
        return [
            memory for each in tips.values() for memory in each if everything or _is_of(memory, source, conversation)
        ]

    def forget(self, ids: Iterable[bytes], level: Level = Level.GONE, progress: Progress | None = None) -> Kept:
        """Takes all revisions of the memories of ``ids`` (16 bytes each) out of the vault, for good, and keeps their
        ids so that no import brings them back. What waits here of them goes too.

        The memory log keeps their commitments alone. ``level`` says how far: see Level. Raises InvalidRequest where a
        level needs what this device lacks.
        """
        gone = frozenset(ids)
        with self._session.lock():
            if level is Level.KEYS_REMADE:
                self.check_rekey()
            change = self._remade if level is Level.KEYS_REMADE else _unchanged
            here_alone, dropped = self._waiting_of(gone)
            gone -= here_alone
            if level is Level.GONE and not gone:
                self._outbox.remove(dropped)
                return Kept(())
            done = self._forget(gone, level, change, dropped, progress)
            if level is not Level.KEYS_REMADE:
                return done
            own = self._session.device_public
            try:
                receipts = self._rekey()
            except MemSyncError as error:
                error.cause = f"Forgotten; but not every vault has this device's new key yet. {error.cause}"
                error.args = (error.cause,)
                raise
            openers = tuple(holder for holder in done.openers if holder.key != own)
            return replace(done, openers=openers, receipts=done.receipts + receipts)

    def _remade(self, roster: Roster) -> Roster:
        """The roster with this device's next key, and all others of the owner to follow."""
        old, new = self._session.device.xwing.public, self._session.begin_rekeying().xwing.public
        return all_pending(with_key(roster, old, new), new)

    def _waiting_of(self, ids: frozenset[bytes]) -> tuple[set[bytes], list[str]]:
        """What waits of ``ids``, with the ids that imports will have: the ids of memories that have never been anywhere
        else, and the names of the outbox entries that are done with once all is forgotten. The rest of such an entry
        waits in another one by then."""
        view = self._settled_view()
        import_key = roster_of(view.keyring).import_key
        here_alone: set[bytes] = set()
        dropped: list[str] = []
        for waits in self._entries():
            kept = []
            for memory in waits.memories:
                if (imported_id(memory, import_key) if waits.imported else memory.id) not in ids:
                    kept.append(memory)
                elif not waits.imported and memory.revision == memory.id:
                    here_alone.add(memory.id)
            if len(kept) < len(waits.memories):
                dropped.append(waits.path.name)
                if kept:
                    self._outbox.add(self._session.device_public, kept, imported=waits.imported)
        in_doubt = self._committer(view.record).in_doubt  # a part of them may be on the host, or land yet
        return set() if in_doubt else here_alone, dropped

    # What tools propose -----------------------------------------------------------------------------------------------

    def propose(self, tool: str, asked: datetime, *, add: Memory | None = None, forget: bytes | None = None) -> None:
        """Keeps a proposal of ``tool``, to add a memory or to forget the one of that id, until the owner has settled
        it. Needs no passphrase. Raises InvalidRequest where too many wait."""
        self._put(self._inbox, lambda key: self._inbox.propose(key, tool, asked, add, forget))

    def proposed(self) -> int:
        """How many proposals wait for the owner. Needs no passphrase."""
        return self._inbox.count()

    def proposals(self) -> list[Proposal]:
        """What waits for the owner's yes, oldest first."""
        return self._inbox.read(self._session.device)

    def approve(self, chosen: Sequence[Proposal]) -> Approved:
        """Puts what ``chosen`` adds into the outbox, the same text once, and forgets at level 1, in a commit, what it
        asks to forget and the vault still has."""
        adding = [proposal for proposal in chosen if proposal.add]
        texts: dict[str, Memory] = {}
        for memory in (proposal.add for proposal in adding if proposal.add):
            texts.setdefault(form(memory.content), memory)
        if texts:
            self._let_wait(list(texts.values()))
        self._inbox.remove(proposal.name for proposal in adding)
        forgetting = [proposal for proposal in chosen if proposal.forget]
        if not forgetting:
            return Approved(len(texts), 0, None)
        ids = {proposal.forget for proposal in forgetting if proposal.forget} & self.tips().keys()
        kept = self.forget(ids) if ids else None
        self._inbox.remove(proposal.name for proposal in forgetting)
        return Approved(len(texts), len(ids), kept)

    def reject(self, chosen: Sequence[Proposal]) -> None:
        """Drops proposals, and keeps in mind what they would have added."""
        with self._session.lock():
            before = self._turned_down()
            before += [fingerprint(proposal.add.content) for proposal in chosen if proposal.add]
            self._sealed("rejected").write({"texts": list(dict.fromkeys(before))[-_MOST_REJECTED:]})
            self._inbox.remove(proposal.name for proposal in chosen)

    def rejected(self, text: str) -> bool:
        """Whether the owner has said no to a text of that form before."""
        return fingerprint(text) in self._turned_down()

    def _turned_down(self) -> list[bytes]:
        kept = self._sealed("rejected").read({"texts": list})
        return [mark for mark in kept["texts"] if type(mark) is bytes] if kept else []

    # Checking ---------------------------------------------------------------------------------------------------------

    def verify(self, progress: Progress | None = None) -> Report:
        """Fetches every blob from the host and checks all of it, with one proof on chain."""

        def read(record: VaultRecord) -> Report:
            blobs = self._blobs(record)
            view = self._view(record, blobs.fetch_from_host)
            host = blobs.ahead(view.named, blobs.fetch_from_host)
            return verify(self._session.registry, record, view, host, progress)

        return by_newest(partial(self._session.registry.record, self.place.vault_id, prove=True), read)


def _is_of(memory: Memory, source: str | None, conversation: str | None) -> bool:
    origin = memory.source
    return origin is not None and source in (None, origin.platform) and conversation in (None, origin.conversation)


def _unchanged(roster: Roster) -> Roster:
    return roster


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
