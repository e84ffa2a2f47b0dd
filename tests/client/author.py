"""An owner whose vault stands in memory: blobs as a host has them, and the record as the chain tells it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from memsync_client.errors import BlobMissing
from memsync_client.heads import FIRST, Head, HeadRef, PackRef, seal_head
from memsync_client.keyring import Keyring, OwnerKeys, Roster, open_keyring, seal_keyring
from memsync_client.memories import Memory
from memsync_client.memory_log import Frontier
from memsync_client.packs import Entry, entries, seal_pack
from memsync_client.reading import Seen, View, open_view, read_entries
from memsync_client.records import Block, VaultRecord
from memsync_client.rewriting import resealed
from memsync_client.sealing import sha256
from tests.client.material import PLACE, device, holder, roster

BLOCK = Block(7, bytes(32), datetime(2026, 11, 1, tzinfo=UTC))
OWN = roster(device())


@dataclass
class Host:
    """Blobs in memory, and what was fetched of them."""

    blobs: dict[bytes, bytes] = field(default_factory=dict)
    fetched: list[tuple[bytes, str]] = field(default_factory=list)

    def put(self, blob: bytes) -> bytes:
        self.blobs[sha256(blob)] = blob
        return sha256(blob)

    def fetch(self, blob_hash: bytes, what: str) -> bytes:
        self.fetched.append((blob_hash, what))
        if blob_hash not in self.blobs:
            raise BlobMissing(f"Blob {blob_hash.hex()} is not here.")
        return self.blobs[blob_hash]


class Author:
    """The owner of a vault that stands in memory: writes as the chain's record tells it afterwards."""

    def __init__(self, holders: Roster = OWN) -> None:
        self.host = Host()
        self.head, self.log = FIRST, Frontier()
        self.heads: dict[bytes, Head] = {}
        self.ring: Keyring | None = None
        self.new_epoch(1, holders)
        self.record = self.publish(FIRST)

    def new_epoch(self, epoch: int, holders: Roster, *, keep_history: bool = True) -> None:
        """The keyring of the next commit."""
        self.keys = OwnerKeys.new(epoch)
        blob = seal_keyring(PLACE, self.keys, holders, self.ring, keep_history=keep_history)
        self.ring = open_keyring(PLACE, epoch, blob, holder("laptop").xwing)
        self.keyring_hash = self.host.put(blob)

    def pack(self, batch: list[Entry]) -> PackRef:
        blob = seal_pack(PLACE, self.keys.epoch, self.keys.secret, batch)
        return PackRef(self.host.put(blob), self.keys.epoch, len(batch))

    def publish(self, head: Head, **wrong: Any) -> VaultRecord:
        """The record of a commit whose head is ``head``; nothing is remembered of it."""
        keys = self.keys
        ref = HeadRef(self.host.put(seal_head(PLACE, keys.epoch, keys.secret, keys.writer_key, head)), keys.epoch)
        self.heads[ref.hash] = head
        record = VaultRecord(
            vault_id=PLACE.vault_id,
            owner="0x" + "11" * 20,
            version=head.version,
            epoch=keys.epoch,
            tenure=1,
            head_version=head.version,
            head_epoch=keys.epoch,
            content_hash=ref.hash,
            memory_root=head.log.memory_root,
            keyring_hash=self.keyring_hash,
            base_uri="file:///nowhere/",
            block=BLOCK,
        )
        return replace(record, **wrong)

    def next_head(self, *batches: list[Memory]) -> Head:
        """The head that follows, one pack a batch."""
        own = HeadRef(self.record.content_hash, self.record.head_epoch)
        base = self.heads[self.head.base.hash] if self.head.base else None
        log, packs = self.head.log, []
        for batch in map(entries, batches):
            packs.append(self.pack(batch))
            log = log.extended(entry.commitment(PLACE) for entry in batch)
        return self.head.next(own, base, self.head.version + 1, tuple(packs), log)

    def commit(self, *batches: list[Memory]) -> VaultRecord:
        self.head = self.next_head(*batches)
        self.record = self.publish(self.head)
        return self.record

    def view(self, record: VaultRecord | None = None, name: str = "laptop", seen: Seen | None = None) -> View:
        return open_view(PLACE, record or self.record, self.host.fetch, holder(name).xwing, seen)

    def replaced(self, packs: tuple[PackRef, ...], forgotten: tuple[bytes, ...] = ()) -> VaultRecord:
        """A base with ``packs`` in place of all before it, over the same log."""
        own = HeadRef(self.record.content_hash, self.record.head_epoch)
        self.head = Head(self.head.version + 1, own, None, 0, packs, 0, self.head.log, forgotten)
        self.record = self.publish(self.head)
        return self.record

    def cut(self, holders: Roster = OWN, without: frozenset[bytes] = frozenset()) -> VaultRecord:
        """A clean cut: all that there is under the next epoch alone, and no blob of before left."""
        view = self.view()
        self.new_epoch(self.keys.epoch + 1, holders, keep_history=False)
        packs = list(resealed(view, without, self.keys, self.host.fetch))
        for _, blob in packs:
            self.host.put(blob)
        record = self.replaced(tuple(ref for ref, _ in packs))
        living = {record.keyring_hash, record.content_hash, *self.view().named}
        self.host.blobs = {blob_hash: self.host.blobs[blob_hash] for blob_hash in living}
        return record

    def read(self, record: VaultRecord | None = None, name: str = "laptop") -> list[Memory]:
        return [entry.memory for entry in read_entries(self.view(record, name), self.host.fetch)]
