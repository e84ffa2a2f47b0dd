"""Committing: from planned blobs to a landed transaction, with a journal so that a killed process finishes or repeats
it.

Order: blobs stored and read back, then the journal with the transaction's hash, then sending. Whether a commit landed
is decided by finding its hash in the chain of heads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import NonceTaken, TransactionRefused, VersionTaken
from .heads import PackRef, seal_head
from .home import SealedFile, write_seen
from .keyring import EpochKeys, OwnerKeys, Roster, seal_keyring
from .outbox import Outbox
from .packs import Entry, seal_pack, split
from .reading import Seen, View, open_head_of
from .records import Receipt
from .sealing import Place, sha256
from .session import Session
from .storage.blobs import Blobs

if TYPE_CHECKING:
    from .transactions import Call

NO_HASH = bytes(32)
_JOURNAL = {"version": int, "head": bytes, "blobs": list, "outbox": list, "tx": bytes}


@dataclass(frozen=True)
class NewKeyring:
    """A keyring that a commit is to bring: its keys (of the current epoch, or of the next) and its roster."""

    keys: OwnerKeys
    roster: Roster


@dataclass
class Batch:
    """Memories on their way. Sealed packs bind no version, so that they are kept when a race is lost."""

    entries: list[Entry]
    outbox: list[str] = field(default_factory=list)
    sealed: dict[int, list[tuple[PackRef, bytes]]] = field(default_factory=dict)

    def packs(self, place: Place, keys: EpochKeys) -> list[tuple[PackRef, bytes]]:
        """The packs sealed under ``keys``, made once an epoch."""
        if keys.epoch not in self.sealed:
            self.sealed[keys.epoch] = []
            for part in split(self.entries):
                blob = seal_pack(place, keys.epoch, keys.secret, part)
                self.sealed[keys.epoch].append((PackRef(sha256(blob), keys.epoch, len(part)), blob))
        return self.sealed[keys.epoch]

    def stale(self, epoch: int) -> list[bytes]:
        """Drops packs sealed under other epochs than ``epoch``, and returns their hashes."""
        others = [self.sealed.pop(old) for old in list(self.sealed) if old != epoch]
        return [ref.hash for packs in others for ref, _ in packs]


@dataclass(frozen=True)
class Landed:
    """A commit on chain: the version it made, what it cost, and the bytes stored for it."""

    version: int
    receipt: Receipt
    stored_bytes: int


class Committer:
    """Writes one vault."""

    def __init__(
        self, session: Session, place: Place, blobs: Blobs, outbox: Outbox, journal: SealedFile, seen: SealedFile
    ) -> None:
        self._session = session
        self._place = place
        self._blobs = blobs
        self._outbox = outbox
        self._journal = journal
        self._seen = seen

    def commit(self, view: View, batch: Batch, ring: NewKeyring | None) -> Landed:
        """One new head over ``view`` with the memories of ``batch``, and a new keyring where one is given.

        Raises VersionTaken if another writer was first (nothing of ours stands on chain then).
        """
        self._session.unlock()
        keys = ring.keys if ring else view.keyring.owner_keys
        self._blobs.discard(batch.stale(keys.epoch))
        packs = batch.packs(self._place, keys)
        log = view.head.log.extended(entry.commitment(self._place) for entry in batch.entries)
        version = view.record.version + 1
        head = view.head.next(view.head_ref, view.base, version, tuple(ref for ref, _ in packs), log)
        head_blob = seal_head(self._place, keys.epoch, keys.secret, keys.writer_key, head)
        blobs = [blob for _, blob in packs] + [head_blob]
        keyring_hash = NO_HASH
        if ring:
            blobs.append(seal_keyring(self._place, ring.keys, ring.roster, view.keyring))
            keyring_hash = sha256(blobs[-1])
        self._session.say(
            f"sealed {len(batch.entries)} in {len(packs)} packs" if packs else "sealed a head without memories"
        )
        self._blobs.store(blobs)
        size = sum(map(len, blobs))
        self._session.say(f"stored and read back {size:,} bytes")

        call = self._session.registry.commit(
            self._place.vault_id, view.record.version, keys.epoch, sha256(head_blob), log.memory_root, keyring_hash
        )
        orphans = [sha256(blob) for blob in blobs[len(packs) :]]
        try:
            receipt = self.transact(call, version, orphans, batch.outbox)
        except VersionTaken:
            self._blobs.discard(orphans)
            self._journal.remove()
            raise
        self._outbox.remove(batch.outbox)
        self._journal.remove()
        write_seen(self._seen, Seen(version, version, sha256(head_blob), receipt.block.number, keys))
        return Landed(version, receipt, size)

    def transact(
        self, call: Call, version: int = 0, blobs: list[bytes] | None = None, outbox: list[str] | None = None
    ) -> Receipt:
        """Sends one call and waits for it. A commit gives the version and the blobs (its head first) for the
        journal."""
        registry, wallet = self._session.registry, self._session.wallet
        for last in (False, False, False, True):
            signed = registry.sign(registry.prepare(call, wallet.address), wallet)
            if blobs:
                tx = signed.tx_hash
                self._journal.write(
                    {"version": version, "head": blobs[0], "blobs": blobs, "outbox": outbox or [], "tx": tx}
                )
            try:
                registry.send(signed)
                break
            except NonceTaken:  # the wallet is in use elsewhere, for another vault perhaps
                if last:
                    raise
        return self._session.wait(signed.tx_hash)

    def settle(self, view: View, look: Callable[[], View]) -> View:
        """``view``, or what ``look`` gives later, after dealing with a commit that an earlier process left unfinished.

        If it landed, its outbox entries are done with. If its version went to another, its blobs are deleted. If
        neither, it is forgotten and made again: the version that it names lets only one of the two land.
        """
        value = self._journal.read(_JOURNAL)
        if value is None:
            return view
        if view.record.version < value["version"] and self._session.registry.transaction_known(value["tx"]):
            with suppress(TransactionRefused):
                self._session.wait(value["tx"])
            view = look()
        if view.record.version >= value["version"]:
            if self._in_chain(view, value["version"], value["head"]):
                self._outbox.remove(value["outbox"])
                self._session.say("an earlier commit had landed")
            else:
                self._blobs.discard(value["blobs"])
        self._journal.remove()
        return view

    def _in_chain(self, view: View, version: int, blob_hash: bytes) -> bool:
        head, ref = view.head, view.head_ref
        while head.version > version and head.parent:
            ref = head.parent
            head = open_head_of(self._place, view.keyring, ref, self._blobs.fetch)
        return ref.hash == blob_hash
