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
from .committing import JOURNAL, Batch, Committer, Landed, NewKeyring
from .errors import (
    AccessEnded,
    HomeBusy,
    InvalidRequest,
    MemSyncError,
    Rollback,
    StorageFull,
    StorageReadOnly,
    Tampered,
    TransactionRefused,
    UnknownMemory,
    UnknownReader,
    UnknownVault,
    VaultLocked,
    VersionTaken,
)
from .home import SealedFile, read_seen, write_seen
from .import_ids import identified
from .interchange import Draft
from .keyring import EpochKeys, Holder, OwnerKeys, Role, open_keyring, seal_keyring
from .memories import Memory
from .outbox import Outbox, Waiting
from .packs import Entry, entries, open_pack
from .reading import Fetch, Progress, View, open_view, read_entries
from .records import PublicGrant, Receipt, VaultRecord
from .roster import READ, account_of, expired, find_reader, roster_of, stands, staying, with_reader
from .sealing import Place, sha256
from .search import Hit, Index
from .session import PRACTICE_CHAIN, Session
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
        invitation = Invitation(self.place, self._session.rpc_hint, (record.base_uri,), keys.anchor)
        if private:
            receipt = self._commit(view, Batch([]), NewKeyring(keys, wider)).receipt
            return GrantResult(card.name, expires, invitation, receipt)
        self._session.unlock()
        self._session.unlock()
        registry, ring = self._session.registry, seal_keyring(self.place, keys, wider, view.keyring)
        account = to_checksum_address(card.address)
        call = registry.grant(
            self.place.vault_id, record.version, account, READ, expires, card.key.id[:20], sha256(ring)
        )
        prepared = registry.prepare(call, self._session.wallet.address)  # a refusal comes before anything is stored
        self._blobs(record).store([ring])
        receipt = self._committer(record).transact(call, prepared)
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

        What was sealed until now the reader can still open wherever a copy survives. The revocation on chain needs no
        blob where an address is named, and waits for nothing.
        """
        with self._session.home.lock():
            record, holder = self.record(), None
            granted = next((g for g in self.public_grants() if g.grantee.lower() == name.lower()), None)
            if granted is None:
                try:
                    holder, granted = find_reader(roster_of(self._view(record).keyring), self.public_grants(), name)
                except UnknownReader:
                    self._settled_view()  # it may be gone by what an earlier process did not finish
                    raise
            receipts = [self._revoke_on_chain(record, granted)] if granted else []

            def renew(view: View) -> list[Receipt]:
                holders = roster_of(view.keyring).holders
                gone = holder is None or all(other.key != holder.key for other in holders)
                if not view.record.locked and gone:
                    return []  # another device was faster
                ring = self._next_keyring(view, None, leave_out=holder)
                return [self._commit(view, Batch([]), ring).receipt]

            try:
                return receipts + self._on_newest(renew)
            except MemSyncError as error:
                if receipts:
                    error.cause = f"The revocation stands on chain; the new keys are not there yet. {error.cause}"
                    error.args = (error.cause,)
                raise

    def _revoke_on_chain(self, record: VaultRecord, granted: PublicGrant) -> Receipt:
        """Ends a grant, and notes that this rise of the epoch is ours, unless the vault is locked by another's."""
        ours, registry = self._bumps_are_ours(record), self._session.registry
        call = registry.revoke(self.place.vault_id, granted.grantee)
        prepared = registry.prepare(call, self._session.wallet.address)

        def announce(tx_hash: bytes) -> None:
            if ours:
                self._sealed("bump").write({"epoch": record.epoch + 1, "tx": tx_hash})

        receipt = self._committer(record).transact(call, prepared, announce)
        self._session.say("revoked on chain; the vault is locked until its new keyring stands")
        return receipt

    def _bumps_are_ours(self, record: VaultRecord) -> bool:
        """Whether no epoch has risen since the last commit but by a revocation that this device sent and that
        landed."""
        bump = self._sealed("bump").read({"epoch": int, "tx": bytes})
        if not record.locked or bump is None or bump["epoch"] != record.epoch:
            return not record.locked
        try:
            return self._session.registry.receipt(bump["tx"]) is not None
        except TransactionRefused:
            return False

    def _due_keyring(self, view: View, keep_private: bool | None) -> NewKeyring | None:
        due = view.record.locked or any(expired(holder, view.record) for holder in roster_of(view.keyring).holders)
        return self._next_keyring(view, keep_private) if due else None

    def _next_keyring(self, view: View, keep_private: bool | None, leave_out: Holder | None = None) -> NewKeyring:
        """Keys of a new epoch for those who stay: private readers only after a bump that this device made, or by a
        yes."""
        record = view.record
        if keep_private is None and self._bumps_are_ours(record):
            keep_private = True
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
        first = self._session.config.blobs
        return Blobs(open_storage(record.base_uri), self._folder / "blobs", open_storage(first) if first else None)

    def _view(self, record: VaultRecord, fetch: Fetch | None = None) -> View:
        fetch = fetch or self._blobs(record).fetch
        view = open_view(self.place, record, fetch, self._session.device.xwing, read_seen(self._seen))
        home = self._session.home
        if home.held:
            self._keep(view)
        else:
            with suppress(HomeBusy, StorageReadOnly, StorageFull), home.lock():  # reading goes on without
                self._keep(view)
        return view

    def _keep(self, view: View) -> None:
        """Keeps what was verified as the state to measure others against, if it is final, and drops copies of blobs
        that it no longer names. Only under the home's lock, and never back to an earlier state."""
        record, seen = view.record, read_seen(self._seen)
        now = view.seen(record.block.number)
        if seen and (now.version < seen.version or replace(now, block=seen.block) == seen):
            return
        if self._is_final(record):
            write_seen(self._seen, now)
            journal = self._sealed("journal").read(JOURNAL)
            pending = journal["blobs"] if journal else []
            self._blobs(record).keep_only([record.content_hash, record.keyring_hash, *view.named, *pending])

    def _is_final(self, record: VaultRecord) -> bool:
        depth = self._session.config.confirmations
        if not depth:
            return True
        with suppress(UnknownVault):
            before = self._session.registry.record(self.place.vault_id, max(record.block.number - depth, 0))
            return before.version == record.version
        return False

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
