"""A vault as a device of its owner opens it: what stands on chain, what was seen last, and how to commit over it."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .committing import JOURNAL, Batch, Committer, Landed, NewKeyring, Rewrite
from .errors import (
    AccessEnded,
    BlobMissing,
    ForeignKeyring,
    HomeBusy,
    InvalidRequest,
    MemSyncError,
    StorageFull,
    StorageReadOnly,
    Tampered,
    TransactionPending,
    UnknownVault,
    VersionTaken,
)
from .glance import CLOSED, Glance, note_owner, over, read_glance, whose, write_glance
from .home import ANCHOR, SealedFile, read_anchor, read_seen, write_seen
from .inbox import Inbox
from .keyring import EpochKeys, Roster, open_keyring
from .keys import Anchor
from .outbox import Outbox
from .pack_notes import PackNotes
from .packs import Entry, open_pack
from .reading import Fetch, Progress, View, by_newest, open_view, read_entries
from .records import CommitEvent, PublicGrant, VaultRecord
from .roster import is_guest
from .sealing import Place
from .session import PRACTICE_CHAIN, Session
from .storage.blobs import Blobs

if TYPE_CHECKING:
    from .transactions import Call

_FINISHING = {"Accepted": "accept", "RecoveryFinished": "recovery finish"}
_ATTEMPTS = 12  # to be the one whose commit lands
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before another attempt at the most: it is drawn from none to that
_FINAL_SECONDS = 60  # for each block on top of another device's write
_T = TypeVar("_T")


def left_out() -> AccessEnded:
    """What to raise where a key of the owner's, and not a reader's, is in no envelope."""
    return AccessEnded(
        "This device or kit opens nothing of the vault's current epoch: it was never added, or has been left out.",
        "What it read before stays readable where it was kept. On a machine that has the keys: memsync device add, or"
        " memsync kit make.",
    )


class OpenedVault:
    """What reading, writing and lending a vault have in common. Nothing is opened before it is needed."""

    def __init__(self, session: Session, label: str, vault_id: bytes) -> None:
        self.label = label
        self.place = session.place(vault_id)
        self._session = session
        self._folder = session.home.vault_folder(vault_id)
        self._outbox = Outbox(self._folder / "outbox", self.place)
        self._inbox = Inbox(self._folder / "inbox", self.place)
        self._version = 0  # that the chain named last

    @property
    def session(self) -> Session:
        """What it is worked on with."""
        return self._session

    def record(self) -> VaultRecord:
        """What stands on chain. Needs no passphrase."""
        self._session.refresh()
        record = self._session.registry.record(self.place.vault_id)
        self._version = record.version
        note_owner(self._folder, record.owner, record.owner == self._session.config.owner)
        return record

    def owned(self) -> bool:
        """Whether the vault is this home's owner's still: neither closed nor handed on."""
        return self.record().owner == self._session.config.owner

    @property
    def closed(self) -> bool:
        """Whether the vault was closed when the chain was last asked for it. Needs neither node nor passphrase."""
        return whose(self._folder) == CLOSED

    @property
    def over(self) -> str | None:
        """In words, why the vault is not this home's owner's any more: closed, or another's; None while it is. As
        ``closed``."""
        return over(whose(self._folder))

    def public_grants(self) -> list[PublicGrant]:
        """The grants that stand on chain. Needs no passphrase."""
        return self._session.registry.grants(self.place.vault_id)

    def _on_newest(self, attempt: Callable[[View], _T]) -> _T:
        """Does ``attempt`` on the newest state, and again where another writer was first."""
        most = _FIRST_PAUSE
        for left in reversed(range(_ATTEMPTS)):
            try:
                return attempt(self._settled_view())
            except VersionTaken:
                if not left:
                    raise
                self._session.say("another writer was first; building on its commit")
            except BlobMissing:
                if not left or not self._moved_on():
                    raise
            time.sleep(random.uniform(0, most))  # noqa: S311 - jitter, not a secret
            most = min(2 * most, _LONGEST_PAUSE)
        raise AssertionError("unreachable")

    def _reading(self, read: Callable[[VaultRecord], _T]) -> _T:
        return by_newest(self.record, read)

    def _moved_on(self) -> bool:
        """Whether the vault has another version now than when its record was last asked for."""
        return self._version != self.record().version

    def _settled_view(self) -> View:
        """The current view, after dealing with a commit that an earlier process left unfinished."""
        record = self.record()
        view = self._committer(record).settle(self._view(record), lambda: self._view(self.record()))
        view = self._final(view)
        if not view.passed_over:
            return view
        self._session.say("the owner has gone on from an earlier version")
        self._rescue()
        return self._view(self.record())

    def _rescue(self) -> None:
        """Accepts the chain's present state, and puts what it has lost back into the outbox, from this device's copies.

        The outbox has it before anything else is changed, so that this can be interrupted and done again.
        """
        record, key = self.record(), self._session.device.xwing
        view = open_view(self.place, record, self._blobs(record).fetch, key, commits=self._commits)
        self._take_back(view)
        write_seen(self._seen, view.seen(record.block.number))

    @property
    def _returned(self) -> frozenset[bytes]:
        """The ids of what waits here for the second time: the vault may have it all the same, by this device or another
        one, so a sync looks."""
        value = self._sealed("returned").read({"ids": list})
        return frozenset(value["ids"] if value else ())

    def _take_back(self, view: View) -> None:
        """Puts the memories of which this device has copies and that ``view`` lacks back into the outbox."""
        blobs, key, seen = self._blobs(view.record), self._session.device.xwing, read_seen(self._seen)
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
            ids = self._returned | {memory.id for memory in lost}
            self._sealed("returned").write({"ids": sorted(ids)})
            self._outbox.add(self._session.device_public, lost)
            self._session.say(f"{len(lost)} memories that the chain has lost wait again")

    def _commit(
        self,
        view: View,
        batch: Batch,
        ring: NewKeyring | None,
        rewrite: Rewrite | None = None,
        then: Sequence[Call] = (),
        skips: tuple[bytes, ...] = (),
        progress: Progress | None = None,
        new_owner: bool = False,
    ) -> Landed:
        if not new_owner:
            self._check_handed_over(view, ring, going_on=bool(skips))
        landed = self._committer(view.record).commit(view, batch, ring, rewrite, then, skips, progress)
        if ring:
            self._sealed("bump").remove()
        before, roster = self.glance, ring.roster if ring else view.keyring.roster
        if roster:
            counted = before.memories if before and before.head == view.record.head_version and not rewrite else None
            if counted is not None:
                counted += batch.new
            head, block = view.record.version + 1, landed.receipt.block.number
            write_glance(self._folder, landed.version, block, head, roster, counted)
        return landed

    def _check_handed_over(self, view: View, ring: NewKeyring | None, going_on: bool) -> None:
        """Raises InvalidRequest where this account has become the owner, and would commit for the former owner's
        devices and kit. Who is ``going_on`` from an earlier version was shown whose keys these are."""
        mine, record, roster = self._session.device_public, view.record, view.keyring.roster
        event = None if going_on else self.handed_over(record)
        guest = roster is not None and is_guest(roster, mine) and record.owner == self._session.config.owner
        if guest and (ring is None or all(holder.key != mine or holder.expires for holder in ring.roster.holders)):
            event = event or "Accepted"
        if event:
            raise InvalidRequest(
                "The vault is yours, and the keys in it are the former owner's still.",
                f"Finish taking it over: memsync vault {_FINISHING[event]} {self.place.vault_id.hex()}",
            )

    def handed_over(self, record: VaultRecord) -> str | None:
        """The event by which this account has become the owner, while no commit has brought the keys of its own: the
        vault is locked until then, so that only of a locked one the log is asked."""
        if not record.locked or record.owner != self._session.config.owner:
            return None
        return self._session.registry.handed_over(record.vault_id, record.head_version)

    @property
    def glance(self) -> Glance | None:
        """What this device knew of the vault when it last opened it. Needs neither node nor passphrase."""
        return read_glance(self._folder)

    def _look(self, view: View, version: int, block: int, roster: Roster | None = None) -> None:
        """Keeps what the vault is at ``version``, with the head of ``view``."""
        before, roster = self.glance, roster or view.keyring.roster
        head = view.record.head_version
        if roster:
            counted = before.memories if before and before.head == head else None
            write_glance(self._folder, version, block, head, roster, counted)

    @property
    def _seen(self) -> SealedFile:
        return self._sealed("seen")

    @property
    def _anchor(self) -> Anchor | None:
        """What the sheet that this home began with has said of the vault."""
        return read_anchor(self._sealed(ANCHOR))

    def _sealed(self, name: str) -> SealedFile:
        return SealedFile(self._folder / name, self._session.device, self.place)

    @property
    def _notes(self) -> PackNotes:
        return PackNotes(self._folder, self._session.device, self.place)

    def _blobs(self, record: VaultRecord) -> Blobs:
        session = self._session
        return session.hosts.blobs(record.base_uri, record.vault_id, copies=True, first=session.config.blobs)

    def _view(self, record: VaultRecord, fetch: Fetch | None = None) -> View:
        fetch = fetch or self._blobs(record).fetch
        view = self._open(record, fetch)
        home = self._session.home
        if home.held:
            self._keep(view)
        else:
            with suppress(HomeBusy, StorageReadOnly, StorageFull), home.lock(wait=0):  # reading goes on without
                self._keep(view)
        return view

    def _open(self, record: VaultRecord, fetch: Fetch) -> View:
        seen = read_seen(self._seen)
        anchor = None if seen else self._anchor
        *others, last = self._session.openers
        try:
            for key in others:
                with suppress(AccessEnded):
                    return open_view(self.place, record, fetch, key, seen, anchor, self._commits)
            try:
                return open_view(self.place, record, fetch, last, seen, anchor, self._commits)
            except AccessEnded:
                raise left_out() from None
        except (AccessEnded, BlobMissing, ForeignKeyring, Tampered) as error:
            self._say_who(error, record)
            raise

    def _commits(self, from_block: int = 0) -> list[CommitEvent]:
        return self._session.registry.commits_agreed(self.place.vault_id, from_block)

    def _say_who(self, error: MemSyncError, record: VaultRecord) -> None:
        """Adds to why a vault does not open whose commit that was, and what its owner can do."""
        commits: list[CommitEvent] = []
        with suppress(MemSyncError):  # the node may not say
            commits = self._session.registry.commits(self.place.vault_id)
        left_out = isinstance(error, AccessEnded)
        brought = [commit for commit in commits if commit.keyring_hash is not None or not left_out]
        if not brought or (
            left_out and (brought[-1].keyring_hash != record.keyring_hash or brought[-1].by_owner(record))
        ):
            return
        last = brought[-1]
        who = "the owner's own account" if last.by_owner(record) else f"account {last.actor}"
        error.cause += f" Version {last.version}, the last one, was committed by {who}."
        error.args = (error.cause,)
        error.next_step += (
            " If nobody brings it back, the owner can revoke who did this and go on from the last good version:"
            f" memsync vault go-on {shlex.quote(self.label)} --dry-run"
        )

    def _keep(self, view: View) -> None:
        """Keeps what was verified as the state to measure others against, if it is final, and drops copies of blobs
        that it no longer names. Only under the home's lock, and never back to an earlier state."""
        if view.passed_over:
            return  # not before ``_rescue`` has put back what was committed since
        record, seen = view.record, read_seen(self._seen)
        now = view.seen(record.block.number)
        if seen and now.version < seen.version:
            return
        self._look(view, record.version, record.block.number)
        if seen and replace(now, block=seen.block) == seen:
            return
        if self._is_final(record):
            write_seen(self._seen, now)
            journal = self._sealed("journal").read(JOURNAL)
            pending = journal["own"] + journal["blobs"] if journal else []
            living = [record.content_hash, record.keyring_hash, *view.named, *pending]
            self._blobs(record).keep_only(living)
            self._notes.keep_only(living)

    def _final(self, view: View) -> View:
        """The view once no reorganisation within the configured depth takes back what it shows: what builds on a head
        that the chain no longer has would be a fork of the vault. Raises TransactionPending."""
        depth = self._session.config.confirmations
        if not depth or self._is_final(view.record):
            return view
        from .transactions import Pauses

        self._session.say("another device has just committed; waiting until that is final")
        pauses, end = Pauses(), time.monotonic() + _FINAL_SECONDS * (depth + 1)
        while not self._is_final(view.record):
            if time.monotonic() > end:
                said = f"The vault's last write has not {depth} blocks on top of it yet."
                raise TransactionPending(said, "Run it again later.")
            pauses.wait()
            view = self._view(self.record())
        return view

    def _is_final(self, record: VaultRecord) -> bool:
        depth, registry = self._session.config.confirmations, self._session.registry
        if registry.chain_id == PRACTICE_CHAIN:
            from . import practice  # it needs web3, which what only waits in the outbox does without

            if not practice.is_saved(registry.node, record.block.number):
                return False
        if not depth:
            return True
        with suppress(UnknownVault):
            before = registry.record(self.place.vault_id, max(record.block.number - depth, 0))
            return before.version == record.version
        return False

    def _committer(self, record: VaultRecord) -> Committer:
        return Committer(self._session, self.place, self._blobs(record), self._outbox, self._sealed, self._notes)


def _entries_in(place: Place, blobs: list[bytes], keys: list[EpochKeys]) -> Iterator[Entry]:
    """The entries of those blobs that are packs of one of the epochs."""
    for blob in blobs:
        for epoch_keys in keys:
            with suppress(Tampered):
                items = open_pack(place, epoch_keys.epoch, epoch_keys.secret, blob)
                yield from (item for item in items if isinstance(item, Entry))
                break
