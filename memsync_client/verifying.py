"""Verification of a whole vault, as anyone with a key to it can do it: every blob, every signature, every link."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import BlobMissing, Tampered
from .heads import Head, HeadRef, PackRef
from .memory_log import Frontier, MemoryLog
from .packs import Entry
from .reading import Fetch, Progress, View, open_head_of, read_forgotten, read_items
from .records import VaultRecord

if TYPE_CHECKING:
    from .registry import Registry


@dataclass(frozen=True)
class Report:
    """What was verified, at which block. ``whole`` is False where this key opens the vault from a later epoch only;
    ``heads`` go back to the last clean cut, or to the first that this key opens; ``forgotten`` counts the entries of
    which the commitment alone is left. ``proven`` is the index of the log entry whose inclusion the contract
    confirmed, None for an empty log. ``state_proven`` says whether the node has proven the record against its block's
    state root."""

    block: int
    version: int
    epoch: int
    heads: int
    packs: int
    memories: int
    forgotten: int
    blobs: int
    bytes: int
    whole: bool
    proven: int | None
    state_proven: bool


def verify(
    registry: Registry, record: VaultRecord, view: View, fetch: Fetch, progress: Progress | None = None
) -> Report:
    """Walks all heads back to the first (or the last clean cut, or the first this key opens), reads all packs, and asks
    the contract for one proof.

    ``fetch`` must go to the host, not to local copies. Raises Tampered or BlobMissing naming the blob.
    """
    sizes: dict[bytes, int] = {record.keyring_hash: len(fetch(record.keyring_hash, "keyring"))}

    def counted(blob_hash: bytes, what: str) -> bytes:
        data = fetch(blob_hash, what)
        sizes[blob_hash] = len(data)
        return data

    heads = _walk(view, counted)
    _compare_with_events(registry, record, heads)
    for earlier in registry.keyrings(record.vault_id):
        with suppress(BlobMissing):  # nobody needs one that was replaced; but what the host has of it is whole
            counted(earlier, "earlier keyring")
    items = read_items(view, counted, progress)
    for blob_hash in view.head.forgotten:
        counted(blob_hash, "list of what is forgotten")
    if view.keyring.roster:
        read_forgotten(view, counted)
    commitments = [item.commitment(view.place) for item in items]
    memories = sum(isinstance(item, Entry) for item in items)
    whole = len(items) == view.head.log.size
    proven = None
    if whole:
        _compare_logs(heads, commitments)
        if commitments:
            proven = secrets.randbelow(len(commitments))
            log = MemoryLog.of(commitments)
            args = (commitments[proven], proven, log.size, log.proof(proven))
            if not registry.proves_memory(view.place.vault_id, *args, block=record.block.number):
                raise Tampered(
                    "The contract does not confirm a proof of the memory log.", "The node may lie: use another one."
                )
    return Report(
        block=record.block.number,
        version=record.version,
        epoch=record.epoch,
        heads=len(heads),
        packs=len(view.packs),
        memories=memories,
        forgotten=len(items) - memories,
        blobs=len(sizes),
        bytes=sum(sizes.values()),
        whole=whole,
        proven=proven,
        state_proven=record.proven,
    )


def _walk(view: View, fetch: Fetch) -> list[tuple[HeadRef, Head]]:
    """All heads from the newest to the first that this key opens: nobody's goes beyond a clean cut."""
    ref: HeadRef = view.head_ref
    head = open_head_of(view.place, view.keyring, ref, fetch)
    heads = [(ref, head)]
    while head.parent and view.keyring.keys_of(head.parent.epoch):
        ref = head.parent
        older = open_head_of(view.place, view.keyring, ref, fetch)
        if older.version >= head.version or older.log.size + sum(pack.count for pack in _new(head)) != head.log.size:
            raise Tampered(
                f"Head {ref.hash.hex()} does not fit the head after it.", "The writer of one of them is faulty."
            )
        heads.append((ref, older))
        head = older
    return heads


def _new(head: Head) -> tuple[PackRef, ...]:
    return head.packs[len(head.packs) - head.new :]


def _compare_with_events(registry: Registry, record: VaultRecord, heads: list[tuple[HeadRef, Head]]) -> None:
    """Every head that the chain's log knows is the one that we walked over, and the other way round."""
    events = {event.version: event for event in registry.commits(record.vault_id) if event.version <= record.version}
    oldest = heads[-1][1].version
    named = {skipped: head.version for _, head in heads for skipped in head.skips}
    for ref, head in heads:
        if head.skips and not (head.version in events and events[head.version].by_owner(record)):
            raise Tampered(
                f"Head {ref.hash.hex()} passes over others, and the vault's owner did not send it.",
                "Its writer is hostile: see `memsync grants`.",
            )
    if skipped := {
        version
        for version, event in events.items()
        if version >= oldest and not version < named.get(event.content_hash, 0)
    } - {head.version for _, head in heads}:
        raise Tampered(
            f"The chain's log has a commit of version {min(skipped)} that the chain of heads passes over.",
            "Its writer, or the writer of the head after it, is faulty or hostile: see `memsync grants`.",
        )
    for ref, head in heads:
        event = events.get(head.version)
        if event is None or (event.content_hash, event.memory_root) != (ref.hash, head.log.memory_root):
            raise Tampered(
                f"Head {ref.hash.hex()} of version {head.version} is not the one in the chain's log.",
                "The node may lie or have pruned its log: use another one.",
            )


def _compare_logs(heads: list[tuple[HeadRef, Head]], commitments: list[bytes]) -> None:
    """The log only ever grew: the frontier of each head is that of a prefix of the entries."""
    frontier = Frontier()
    for ref, head in reversed(heads):
        frontier = frontier.extended(commitments[frontier.size : head.log.size])
        if frontier != head.log:
            raise Tampered(
                f"The memory log of head {ref.hash.hex()} is not a prefix of the present one.", "Its writer is faulty."
            )
