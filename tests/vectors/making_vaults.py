"""Vectors of whole vaults: what stands on chain, all blobs, and what each holder reads; and what a faulty or hostile
writer could commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memsync_client.heads import Head, HeadRef, PackRef, seal_head
from memsync_client.keyring import Keyring
from memsync_client.memories import Memory
from memsync_client.memory_log import Frontier
from memsync_client.packs import Entry, Forgotten, Item, entries, seal_pack
from memsync_client.sealing import sha256
from tests.client.material import PLACE, device, memory, reader, roster, secret
from tests.vectors.making_keyrings import ring
from tests.vectors.running import load, view_of_vault
from tests.vectors.writing import at, keys_of, known, put

HOLDERS = roster(device(), reader("claude"), reader("from today", since=3))


class Writer:
    """The owner of one vault: what a commit would store, and what would stand on chain then."""

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self.ring: Keyring | None = None
        self.epoch = self.version = 0
        self.keyring_hash = bytes(32)

    def new_epoch(self, epoch: int, **cut: bool) -> None:
        """The keyring takes the place of the one before, which nobody needs any more."""
        self.blobs = [blob for blob in self.blobs if sha256(blob) != self.keyring_hash]
        blob, self.ring = ring(epoch, HOLDERS, self.ring, **cut)
        self.epoch, self.keyring_hash = epoch, self.store(blob)

    def store(self, blob: bytes) -> bytes:
        self.blobs.append(blob)
        return sha256(blob)

    def pack(self, items: Sequence[Item], count: int | None = None) -> PackRef:
        blob = seal_pack(PLACE, self.epoch, keys_of(self.epoch).secret, items)
        return PackRef(self.store(blob), self.epoch, len(items) if count is None else count)

    def publish(self, head: Head) -> HeadRef:
        keys = keys_of(self.epoch)
        return HeadRef(self.store(seal_head(PLACE, self.epoch, keys.secret, keys.writer_key, head)), self.epoch)

    def record(self, ref: HeadRef, head: Head) -> dict[str, Any]:
        return {
            "head_version": head.version,
            "head_epoch": ref.epoch,
            "content_hash": ref.hash.hex(),
            "memory_root": head.log.memory_root.hex(),
            "keyring_hash": self.keyring_hash.hex(),
        }


def grown(log: Frontier, items: Sequence[Item]) -> Frontier:
    return log.extended(item.commitment(PLACE) for item in items)


def make() -> None:
    _linked()
    _cut()
    _skipping()


def _linked() -> None:
    """Three epochs. A base in the first, commits after it in each; an edit, a conflict, a forgotten memory."""
    writer = Writer()
    writer.new_epoch(1)
    old = entries([memory(1), memory(2), memory(3)])
    log = grown(Frontier(), old)
    gone: list[Item] = [old[0], Forgotten(old[1].commitment(PLACE)), old[2]]
    base_pack = writer.pack(gone)
    base = Head(2, HeadRef(secret("first head"), 1), None, 0, (base_pack,), 0, log)
    base_ref = writer.publish(base)

    writer.new_epoch(2)
    edited = _revision(old[0], "Chapter 1 ends on the quay.", "edit")
    second = entries([edited, memory(4)])
    log = grown(log, second)
    packs: tuple[PackRef, ...] = (writer.pack(second),)
    head = Head(3, base_ref, base_ref, 1, packs, 1, log)
    ref = writer.publish(head)

    writer.new_epoch(3)
    third = entries(
        [_revision(old[2], "Chapter 3 is cut.", "one"), _revision(old[2], "Chapter 3 stays.", "other"), memory(5)]
    )
    older, packs = packs, (*packs, writer.pack(third))
    head = Head(5, ref, base_ref, 2, packs, 1, grown(log, third))
    ref = writer.publish(head)
    record = writer.record(ref, head)

    wrong = _faulty(writer, head, third, older)
    late = "vault-linked"
    vault: dict[str, Any] = {
        "kind": "vault",
        "place": at(),
        "record": record,
        "blobs": [blob.hex() for blob in writer.blobs],
    }
    put(late, "three epochs, to a device", **vault, secret=secret("holder laptop"))
    put("vault-linked-reader", "to a reader who may look back", like=late, secret=secret("holder claude"))
    put("vault-linked-from-today", "to a reader from epoch 3 on", like=late, secret=secret("holder from today"))
    put("vault-linked-stranger", "to one who is no holder", "AccessEnded", like=late, secret=secret("stranger"))
    put("vault-linked-known", "to one who knows epoch 1", like=late, known=known(keys_of(1)))
    foreign = known(keys_of(1, " of another"))
    put("vault-invented", "to one who knows another epoch 1", "ForeignKeyring", like=late, known=foreign)
    put(
        "vault-other-version",
        "the chain has another version",
        "Tampered",
        like=late,
        record=record | {"head_version": 6},
    )
    other_root = grown(log, third[:1]).memory_root.hex()
    put(
        "vault-other-root",
        "the chain has another memory root",
        "Tampered",
        like=late,
        record=record | {"memory_root": other_root},
    )
    put(
        "vault-swapped",
        "the chain names head and keyring the wrong way round",
        "AccessEnded",
        like=late,
        record=_swapped(record),
    )
    older_epoch = record | {"head_epoch": 2}
    put("vault-other-epoch", "the chain has another epoch", "AccessEnded", like=late, record=older_epoch)
    for name, (about, faulty) in wrong.items():
        put(f"vault-{name}", about, "Tampered", like=late, record=faulty)


def _revision(entry: Entry, content: str, name: str) -> Memory:
    first = entry.memory
    return Memory(first.id, content, revision=secret(name)[:16], supersedes=(first.revision,))


def _swapped(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"content_hash": record["keyring_hash"], "keyring_hash": record["content_hash"]}


def _faulty(
    writer: Writer, head: Head, third: list[Entry], older: tuple[PackRef, ...]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Heads that a faulty or hostile device signs: by name, what is wrong, and what would stand on chain."""

    def committed(**change: Any) -> dict[str, Any]:
        other = Head(**{**vars(head), **change})
        return writer.record(writer.publish(other), other)

    last = head.packs[-1]
    exchanged = writer.pack([third[1], third[0], third[2]])
    miscounted = writer.pack(third, count=4)
    assert head.base is not None
    return {
        "base-is-none": ("the base builds on another one", committed(base=head.parent)),
        "pack-missing": ("a pack is left out", committed(packs=older)),
        "pack-order": ("a pack with its entries in another order", committed(packs=(*older, exchanged))),
        "pack-count": ("a pack with another number of entries", committed(packs=(*older, miscounted))),
        "pack-of-later-epoch": (
            "a pack of an epoch that has not begun",
            committed(packs=(*older, PackRef(last.hash, 4, last.count))),
        ),
        "pack-of-other-epoch": (
            "a pack that is said to be of another epoch",
            committed(packs=(*older, PackRef(last.hash, 2, last.count))),
        ),
        "base-of-later-epoch": ("a base of an epoch that has not begun", committed(base=HeadRef(head.base.hash, 9))),
        "pack-is-a-head": ("a pack that is a head", committed(packs=(*older, PackRef(head.base.hash, 1, 3)))),
    }


def _skipping() -> None:
    """In the vault of three epochs: the owner has gone on from its base, over its two later heads."""
    vault = load("vault-linked")
    view = view_of_vault(vault)
    assert view.head.base
    assert view.head.parent
    assert view.base
    keys = keys_of(3)
    skips = view.head.parent.hash, view.record.content_hash
    head = Head(7, view.head.base, view.head.base, 1, (), 0, view.base.log, skips=skips)
    blob = seal_head(PLACE, 3, keys.secret, keys.writer_key, head)
    record = vault["record"] | {
        "head_version": 7,
        "content_hash": sha256(blob).hex(),
        "memory_root": head.log.memory_root.hex(),
        "owner": "0b" * 20,
    }
    more: dict[str, Any] = {"like": "vault-linked", "record": record, "more": [blob.hex()]}
    put("vault-gone-on", "the head passes over two others, and the owner sent it", **more, sender="0b" * 20)
    put("vault-gone-on-by-another", "the same, sent by another account", "Tampered", **more, sender="0c" * 20)


def _cut() -> None:
    """A clean cut: everything sealed anew under epoch 2, in a base, without a link."""
    writer = Writer()
    writer.new_epoch(1)
    items = entries([memory(1), memory(2), memory(3)])
    writer.new_epoch(2, keep_history=False)
    packs = writer.pack(items[:2]), writer.pack(items[2:])
    head = Head(4, HeadRef(secret("head before the cut"), 1), None, 0, packs, 0, grown(Frontier(), items))
    ref = writer.publish(head)
    record = writer.record(ref, head)
    vault: dict[str, Any] = {
        "kind": "vault",
        "place": at(),
        "record": record,
        "blobs": [blob.hex() for blob in writer.blobs],
    }
    put("vault-cut", "after a clean cut, to a device", **vault, secret=secret("holder laptop"))
    put(
        "vault-cut-reader",
        "after a clean cut, to a reader from before",
        like="vault-cut",
        secret=secret("holder claude"),
    )
