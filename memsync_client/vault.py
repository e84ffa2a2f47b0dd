"""A vault on a device of its owner: the order of things. What is remembered waits in the outbox; ``sync`` commits
it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from eth_utils import to_checksum_address

from . import memories
from .cards import Card, Invitation
from .committing import Batch, Committer, Landed, NewKeyring
from .errors import InvalidRequest, Tampered, UnknownMemory, VaultLocked, VersionTaken
from .home import SealedFile, read_seen, write_seen
from .import_ids import identified
from .interchange import Draft
from .keyring import EpochKeys, Holder, OwnerKeys, Role, seal_keyring
from .memories import Memory
from .outbox import Outbox, Waiting
from .packs import Entry, entries, open_pack
from .reading import Fetch, Progress, View, open_view, read_entries
from .records import PublicGrant, Receipt, VaultRecord
from .roster import READ, account_of, expired, find_reader, roster_of, stands, staying, with_reader
from .sealing import Place, sha256
from .search import Hit, Index
from .session import Session
from .storage import open_storage
from .storage.blobs import Blobs
from .verifying import Report, verify

DEFAULT_GRANT = timedelta(days=90)
_PAUSES = (0.1, 0.3, 0.9, 2.7)  # seconds before another attempt, each varied by half
_T = TypeVar("_T")


@dataclass(frozen=True)
class SyncResult:
    """``committed`` memories landed with this sync; ``already`` waited and were in the vault before. ``landed`` is None
    where no transaction was needed."""

    committed: int
    already: int
    version: int
    landed: Landed | None


@dataclass(frozen=True)
class GrantResult:
    """A grant on chain (or in the keyring alone, if private), with the invitation for the reader."""

    reader: str
    expires: datetime
    invitation: Invitation
    receipt: Receipt


@dataclass(frozen=True)
class ReaderLine:
    """One reader: its name in the roster, address (None if private), first readable epoch, expiry, and whether it can
    read now."""

    name: str
    address: str | None
    since: int
    expires: datetime
    living: bool


class Vault:
    """One vault. ``remember`` and ``import_drafts`` need neither node nor passphrase; the rest opens what it needs."""

    def __init__(self, session: Session, label: str, vault_id: bytes) -> None:
        self.label = label
        self.place = session.place(vault_id)
        self._session = session
        self._folder = session.home.vault_folder(vault_id)
        self._outbox = Outbox(self._folder / "outbox", self.place)

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

    def sync(self, *, keep_private: bool = False, accept_rollback: bool = False) -> SyncResult:
        """Commits what waits in one transaction, and takes in what other devices committed.

        It brings a new keyring where one is due: the vault is locked after a revocation, or a reader's date has passed.
        ``keep_private`` says yes to keeping private readers after a revocation that was not made here.
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

            return self._on_newest(attempt)

    def _on_newest(self, attempt: Callable[[View], _T]) -> _T:
        """Does ``attempt`` on the newest state, and again where another writer was first."""
        for pause in (*_PAUSES, None):
            try:
                return attempt(self._settled_view())
            except VersionTaken:
                if pause is None:
                    raise
                self._session.say("another writer was first; building on its commit")
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

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
        """Accepts the chain's present state, and puts what it has lost back into the outbox, from this device's
        copies."""
        seen, folder = read_seen(self._seen), self._folder / "blobs"
        copies = [path.read_bytes() for path in folder.iterdir()] if folder.is_dir() else []
        self._seen.remove()
        view = self._view(self.record())
        known = {entry.memory.revision for entry in read_entries(view, self._blobs(view.record).fetch)}
        keys = [view.keyring.keys, *view.keyring.links.values(), *([seen.keys] if seen else [])]
        lost = [entry.memory for entry in _entries_in(self.place, copies, keys) if entry.memory.revision not in known]
        if lost:
            self._outbox.add(self._session.device_public, lost)
            self._session.say(f"{len(lost)} memories that the chain has lost wait again")

    def _settled_view(self) -> View:
        """The current view, after dealing with a commit that an earlier process left unfinished."""
        record = self.record()
        return self._committer(record).settle(self._view(record), lambda: self._view(self.record()))

    def _commit(self, view: View, batch: Batch, ring: NewKeyring | None) -> Landed:
        landed = self._committer(view.record).commit(view, batch, ring)
        if ring:
            self._sealed("bump").remove()
        return landed

    def _fresh(self, view: View, waiting: list[Waiting], committed: list[Entry]) -> list[Memory]:
        """What of ``waiting`` is not committed yet, with the final ids of imports."""
        roster = roster_of(view.keyring)
        tips = memories.tips(entry.memory for entry in committed)
        known = {entry.memory.revision for entry in committed}
        fresh: list[Memory] = []
        for entry in waiting:
            for memory in entry.memories:
                item = identified(memory, roster.import_key, tips) if entry.imported else memory
                if item is not None and item.revision not in known:
                    known.add(item.revision)
                    fresh.append(item)
                    tips[item.id] = [item]
        return fresh

    # Readers ----------------------------------------------------------------------------------------------------------

    def grant(self, card: Card, lasting: timedelta = DEFAULT_GRANT, *, private: bool = False) -> GrantResult:
        """Lends the vault to the reader of ``card``: a new keyring with an envelope for it, in one transaction.

        It opens everything back to the last clean cut. A public grant stands on chain under the card's address; a
        private one is an envelope and nothing else. Granting the same card again can only prolong it.
        """
        with self._session.home.lock():
            return self._on_newest(lambda view: self._grant(view, card, lasting, private))

    def _grant(self, view: View, card: Card, lasting: timedelta, private: bool) -> GrantResult:
        record, roster, keys = view.record, roster_of(view.keyring), view.keyring.owner_keys
        if record.locked or any(expired(holder, record) for holder in roster.holders):
            raise VaultLocked("The vault's keys are to be renewed first.", "Run `memsync sync`, then grant again.")
        if record.base_uri.partition(":")[0] not in card.schemes:
            raise InvalidRequest(
                f"The reader {card.name!r} can't fetch blobs from {record.base_uri}.",
                "It reads " + ", ".join(card.schemes) + ".",
            )
        expires = (record.block.time + lasting).replace(microsecond=0)
        address = None if private else card.address
        holder = Holder(card.key, Role.READER, card.name, 1, expires, address, self._session.device_public.id)
        wider = with_reader(roster, holder)
        invitation = Invitation(self.place, self._session.config.rpc, (record.base_uri,))
        if private:
            receipt = self._commit(view, Batch([]), NewKeyring(keys, wider)).receipt
            return GrantResult(card.name, expires, invitation, receipt)
        self._session.unlock()
        blobs, ring = self._blobs(record), seal_keyring(self.place, keys, wider, view.keyring)
        blobs.store([ring])
        account = to_checksum_address(card.address)
        call = self._session.registry.grant(
            self.place.vault_id, record.version, account, READ, expires, card.key.id[:20], sha256(ring)
        )
        try:
            receipt = self._committer(record).transact(call)
        except VersionTaken:
            blobs.discard([sha256(ring)])
            raise
        return GrantResult(card.name, expires, invitation, receipt)

    def grants(self) -> list[ReaderLine]:
        """Every reader in the roster, and every public grant that the roster does not know (named by its address)."""
        view, public = self._view(self.record()), self.public_grants()
        readers = [holder for holder in roster_of(view.keyring).holders if holder.role is Role.READER]
        lines = []
        for holder in readers:
            living = not expired(holder, view.record) and stands(holder, public)
            lines.append(
                ReaderLine(
                    holder.name, account_of(holder), holder.since, holder.expires or view.record.block.time, living
                )
            )
        known = {line.address for line in lines}
        strangers = [grant for grant in public if grant.grantee not in known]
        return lines + [ReaderLine(g.grantee, g.grantee, 0, g.expires, g.living) for g in strangers]

    def revoke(self, name: str) -> list[Receipt]:
        """Takes back a grant (a reader's name or address): the epoch rises, and a new keyring leaves the reader out.

        What was sealed until now the reader can still open wherever a copy survives.
        """
        with self._session.home.lock():
            view = self._settled_view()
            holder, granted = find_reader(roster_of(view.keyring), self.public_grants(), name)
            receipts = []
            if granted:
                self._announce_bump(view)
                call = self._session.registry.revoke(self.place.vault_id, granted.grantee)
                receipts.append(self._committer(view.record).transact(call))
                self._session.say("revoked on chain; the vault is locked until its new keyring stands")

            def renew(view: View) -> list[Receipt]:
                if not view.record.locked and holder not in roster_of(view.keyring).holders:
                    return []  # another device was faster
                ring = self._next_keyring(view, keep_private=False, leave_out=holder)
                return [self._commit(view, Batch([]), ring).receipt]

            return receipts + self._on_newest(renew)

    def _announce_bump(self, view: View) -> None:
        """Notes that the next rise of the epoch is ours, unless the vault is locked by another's."""
        if self._bumps_are_ours(view.record):
            self._sealed("bump").write({"epoch": view.record.epoch + 1})

    def _bumps_are_ours(self, record: VaultRecord) -> bool:
        bump = self._sealed("bump").read({"epoch": int})
        return not record.locked or (bump is not None and bump["epoch"] == record.epoch)

    def _due_keyring(self, view: View, keep_private: bool) -> NewKeyring | None:
        due = view.record.locked or any(expired(holder, view.record) for holder in roster_of(view.keyring).holders)
        return self._next_keyring(view, keep_private) if due else None

    def _next_keyring(self, view: View, keep_private: bool, leave_out: Holder | None = None) -> NewKeyring:
        """Keys of a new epoch for those who stay: private readers only after a bump that this device made, or by a
        yes."""
        record = view.record
        keep_private = keep_private or self._bumps_are_ours(record)
        who = staying(
            roster_of(view.keyring), record, self.public_grants(), keep_private=keep_private, leave_out=leave_out
        )
        return NewKeyring(OwnerKeys.new(record.epoch if record.locked else record.epoch + 1), who)

    # Checking ---------------------------------------------------------------------------------------------------------

    def verify(self, progress: Progress | None = None) -> Report:
        """Fetches every blob from the host and checks all of it, with one proof on chain."""
        record = self.record()
        host = self._blobs(record).fetch_from_host
        return verify(self._session.registry, record, self._view(record, host), host, progress)

    def record(self) -> VaultRecord:
        """What stands on chain. Needs no passphrase."""
        return self._session.registry.record(self.place.vault_id)

    def public_grants(self) -> list[PublicGrant]:
        """The grants that stand on chain. Needs no passphrase."""
        return self._session.registry.grants(self.place.vault_id)

    # Inside -----------------------------------------------------------------------------------------------------------

    @property
    def _seen(self) -> SealedFile:
        return self._sealed("seen")

    def _sealed(self, name: str) -> SealedFile:
        return SealedFile(self._folder / name, self._session.device, self.place)

    def _blobs(self, record: VaultRecord) -> Blobs:
        return Blobs(open_storage(self._session.config.blobs or record.base_uri), self._folder / "blobs")

    def _view(self, record: VaultRecord, fetch: Fetch | None = None) -> View:
        blobs, seen = self._blobs(record), read_seen(self._seen)
        view = open_view(self.place, record, fetch or blobs.fetch, self._session.device.xwing, seen)
        now = view.seen(record.block.number)
        if seen is None or replace(now, block=seen.block) != seen:
            write_seen(self._seen, now)
            blobs.keep_only([record.content_hash, record.keyring_hash, *view.named])
        return view

    def _committer(self, record: VaultRecord) -> Committer:
        journal, blobs = self._sealed("journal"), self._blobs(record)
        return Committer(self._session, self.place, blobs, self._outbox, journal, self._seen)


def _entries_in(place: Place, blobs: list[bytes], keys: list[EpochKeys]) -> Iterator[Entry]:
    """The entries of those blobs that are packs of one of the epochs."""
    for blob in blobs:
        for epoch_keys in keys:
            with suppress(Tampered):
                yield from open_pack(place, epoch_keys.epoch, epoch_keys.secret, blob)
                break


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
