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

from .errors import NonceTaken, TransactionRefused
from .heads import PackRef, seal_head
from .home import SealedFile, write_seen
from .keyring import EpochKeys, OwnerKeys, Roster, seal_keyring
from .outbox import Outbox
from .packs import Entry, seal_pack, split
from .reading import Seen, View, ancestor
from .records import Receipt
from .sealing import Place, sha256
from .session import Session
from .storage.blobs import Blobs

if TYPE_CHECKING:
    from .transactions import Call, Prepared

NO_HASH = bytes(32)
JOURNAL = {"version": int, "blobs": list, "outbox": list, "tx": bytes}  # the head first among the blobs


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
    sealed: dict[bytes, list[tuple[PackRef, bytes]]] = field(default_factory=dict, repr=False)

    def packs(self, place: Place, keys: EpochKeys) -> list[tuple[PackRef, bytes]]:
        """The packs sealed under ``keys``, made once a secret: a lost race may have been for another one of the
        epoch."""
        if keys.secret not in self.sealed:
            self.sealed[keys.secret] = []
            for part in split(self.entries):
                blob = seal_pack(place, keys.epoch, keys.secret, part)
                self.sealed[keys.secret].append((PackRef(sha256(blob), keys.epoch, len(part)), blob))
        return self.sealed[keys.secret]

    def stale(self, keys: EpochKeys) -> list[bytes]:
        """Drops packs sealed under other keys than ``keys``, and returns their hashes."""
        others = [self.sealed.pop(old) for old in list(self.sealed) if old != keys.secret]
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

        Raises VersionTaken if another writer was first; the journal then stands, for ``settle`` to find out whether
        that writer was an earlier attempt of ours.
        """
        self._session.unlock()
        registry = self._session.registry
        keys = ring.keys if ring else view.keyring.owner_keys
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
        call = registry.commit(
            self._place.vault_id, view.record.version, keys.epoch, sha256(head_blob), log.memory_root, keyring_hash
        )
        prepared = registry.prepare(call, self._session.wallet.address)  # a refusal comes before anything is stored
        self._blobs.store(blobs)
        self._session.say(f"stored and read back {sum(map(len, blobs)):,} bytes")
        hashes = [sha256(head_blob), *(sha256(blob) for blob in blobs if blob is not head_blob)]

        def announce(tx_hash: bytes) -> None:
            journal = {"version": version, "blobs": hashes, "outbox": batch.outbox, "tx": tx_hash}
            self._journal.write(journal)

        receipt = self.transact(call, prepared, announce)
        self._outbox.remove(batch.outbox)
        self._journal.remove()
        write_seen(self._seen, Seen(version, version, sha256(head_blob), receipt.block.number, keys))
        self._blobs.discard(batch.stale(keys))  # sealed for those who may no longer read, and named by no head
        return Landed(version, receipt, sum(map(len, blobs)))

    def transact(self, call: Call, prepared: Prepared, announce: Callable[[bytes], None] = lambda _: None) -> Receipt:
        """Signs, announces the transaction's hash, sends, and waits; with another nonce where the wallet is in use
        elsewhere."""
        registry, wallet = self._session.registry, self._session.wallet
        for last in (False, False, False, True):
            signed = registry.sign(prepared, wallet)
            announce(signed.tx_hash)
            try:
                registry.send(signed)
                break
            except NonceTaken:
                if last:
                    raise
                prepared = registry.prepare(call, wallet.address)
        return self._session.wait(signed.tx_hash)

    def settle(self, view: View, look: Callable[[], View]) -> View:
        """``view``, or what ``look`` gives later, after dealing with a commit that an earlier process left unfinished.

        If it landed, its outbox entries are done with. If not, it is forgotten and made again: the version that it
        names lets only one of the two land. Nothing of it is deleted on the word of one node.
        """
        value = self._journal.read(JOURNAL)
        if value is None:
            return view
        if view.record.version < value["version"] and self._session.registry.transaction_known(value["tx"]):
            with suppress(TransactionRefused):
                self._session.wait(value["tx"])
            view = look()
        if ancestor(view, self._blobs.fetch, value["version"]) == value["blobs"][0]:
            self._outbox.remove(value["outbox"])
            self._session.say("an earlier commit had landed")
        self._journal.remove()
        return view
