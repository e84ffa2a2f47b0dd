"""How a vault grows: committing into a large one, restoring it, and a year of small commits: ``make bench``.

Commits and restores run against an anvil of their own, with the public calls of the library. The year of 7,300 commits
goes through the same commit path with a stand-in for the chain, since mining them all would take a quarter of an hour:
only what it counts (fetches, bytes) is printed. Times are of this computer; what counts is the ratio to the baseline
of the same run.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import click
from web3.types import RPCResponse

from memsync_client.client import Client, init, restore
from memsync_client.committing import Batch, Committer
from memsync_client.files import make_dir
from memsync_client.heads import FIRST, HeadRef, PackRef, seal_head
from memsync_client.home import Home, SealedFile
from memsync_client.interchange import Draft
from memsync_client.keyring import Holder, OwnerKeys, Role, Roster, new_import_key, seal_keyring
from memsync_client.keys import HolderKey
from memsync_client.memories import Memory, Source
from memsync_client.outbox import Outbox
from memsync_client.pack_notes import PackNotes
from memsync_client.packs import entries, seal_pack, split
from memsync_client.practice import deploy_contracts, start_node
from memsync_client.reading import open_view, read_entries
from memsync_client.records import Block, Receipt, VaultRecord
from memsync_client.rpc import Node, _Provider
from memsync_client.sealing import Place, sha256
from memsync_client.search import Index
from memsync_client.session import Session
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault

PASSPHRASE = "a bench has no secrets"  # noqa: S105 - of a home that is gone when the bench ends
SMALL, LARGE, ADDED = 100, 100_000, 10
ROUNDS = 32  # two bases
YEAR = 7_300
BATCHES = (1, 10, 100, 1_000)
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = (
    "Number {number}: in the chapter by the ferry Ines tells her brother that she has sold the boat, and why; he says"
    " nothing, looks at the tide and counts the lamps of the other shore, {rest} of them, before he asks whether the"
    " letters from Veyrmouth were in it. She keeps {more} of them under the stairs."
)


def memory_text(number: int) -> str:
    """About 300 bytes, each another text."""
    return TEXT.format(number=number, rest=number % 97, more=number % 13)


@click.command()
@click.option("--restore-of", type=click.Path(path_type=Path), hidden=True, help="One restore, in its own process.")
@click.option("--memories", default=LARGE, show_default=True, help="How many the large vault has.")
@click.option("--commits", default=YEAR, show_default=True, help="How many commits a year has.")
def cli(restore_of: Path | None, memories: int, commits: int) -> None:
    """Print what commits and restores cost as a vault grows."""
    if restore_of:
        click.echo(json.dumps(restoring(restore_of, memories)))
        return
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        with anvil() as rpc:
            growing(folder, rpc, memories)
        year(folder / "year", commits)
    stored()


# A large vault --------------------------------------------------------------------------------------------------------


def growing(folder: Path, rpc: str, memories: int) -> None:
    """Commits into a small and a large vault in turn, then a restore of the large one."""
    home = Home(folder / "home")
    init(home, PASSPHRASE, kit=None, rpc=rpc)
    client = Client(home, PASSPHRASE)
    vaults = {}
    for size in (SMALL, memories):
        (folder / f"blobs{size}").mkdir()
        vaults[size] = client.new_vault(f"of {size}", (folder / f"blobs{size}").as_uri() + "/").vault
        started = time.perf_counter()
        vaults[size].import_drafts([draft(number) for number in range(size)])
        vaults[size].sync()
        click.echo(f"A vault of {size:,} memories: imported and committed in {time.perf_counter() - started:.1f} s")
    for how, put in (("remembered", remember), ("imported", imported)):
        commits(vaults, memories, how, put)
    answer = subprocess.run(
        [sys.executable, __file__, "--restore-of", str(folder), "--memories", str(memories + 2 * ROUNDS * ADDED)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    tell_restore(json.loads(answer.stdout))


def draft(number: int) -> Draft:
    """As an import finds it."""
    return Draft(
        memory_text(number),
        STARTED + timedelta(minutes=number, microseconds=number % 1_000),
        Source("chatgpt", f"conversation {number // 20}", f"message {number}"),
    )


def remember(vault: Vault, number: int) -> None:
    """Ten memories as a person tells them."""
    for place in range(ADDED):
        vault.remember(memory_text(number + place))


def imported(vault: Vault, number: int) -> None:
    """Ten memories out of an export."""
    vault.import_drafts([draft(number + place) for place in range(ADDED)])


def commits(vaults: dict[int, Vault], large: int, how: str, put: Callable[[Vault, int], None]) -> None:
    """Ten memories into each vault in turn."""
    found: dict[int, list[tuple[float, float, int, int]]] = {size: [] for size in vaults}
    numbers = iter(range(10**7 if how == "remembered" else 10**8, 10**9, ADDED))
    with counted_calls() as calls:
        for _ in range(ROUNDS):
            number = next(numbers)
            for size, vault in vaults.items():
                put(vault, number)
                calls.clear()
                wall, cpu = time.perf_counter(), time.process_time()
                landed = vault.sync().landed
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                found[size].append((wall, cpu, landed.stored_bytes if landed else 0, len(calls)))
    click.echo(f"\nCommitting {ADDED} {how} memories          into {SMALL:,}      into {large:,}")
    for place, (what, scale) in enumerate((("ms", 1e3), ("ms of this process", 1e3), ("bytes", 1), ("RPC calls", 1))):
        for name, taken in (("median", statistics.median), ("mean, merges too", statistics.fmean)):
            one, other = (taken([row[place] for row in found[size]]) * scale for size in (SMALL, large))
            click.echo(f"  {what + ', ' + name:<38}{one:>12,.1f} {other:>14,.1f} {other / one:>7.2f}x")


@contextmanager
def counted_calls() -> Iterator[list[bytes]]:
    """What a node is asked."""
    calls: list[bytes] = []
    real = _Provider._exchange

    def counting(provider: _Provider, request: bytes) -> RPCResponse:
        calls.append(request)
        return real(provider, request)

    _Provider._exchange = counting  # type: ignore[assignment, method-assign]
    try:
        yield calls
    finally:
        _Provider._exchange = real  # type: ignore[method-assign]


def restoring(folder: Path, count: int) -> dict[str, float]:
    """In a process of its own: a new machine with the device key, an RPC node, and the blobs. First the baseline, while
    the process holds nothing yet."""
    lines, lines_cpu = in_json(folder / "json", count)
    old = Home(folder / "home")
    home, config = Home(folder / "restored"), old.config()
    vaults = restore(home, PASSPHRASE, old.device_key, config.owner, rpc=config.rpc, wallet=old.wallet)
    vault = max(vaults, key=lambda vault: int(vault.label.removeprefix("of ")))
    record = vault.record()
    fetched = [0]
    real = FileStorage.get

    def counting(storage: FileStorage, blob_hash: bytes, limit: int) -> bytes:
        data = real(storage, blob_hash, limit)
        fetched[0] += storage.folder.name.startswith("blobs") and storage.folder.parent == folder
        return data

    FileStorage.get = counting  # type: ignore[assignment, method-assign]
    wall, cpu = time.perf_counter(), time.process_time()
    memories = vault.memories()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    FileStorage.get = real  # type: ignore[method-assign]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    index = Index(memories)
    indexed = time.perf_counter() - started
    with_index = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index.recall("the lamps of the other shore")
    packs = len(vault._view(record).packs)
    once_more = time.process_time()
    vault.memories()
    once_more = time.process_time() - once_more
    return {
        "memories": len(memories),
        "wall": wall,
        "cpu": cpu,
        "index": indexed,
        "peak": peak / 1024,
        "peak with index": with_index / 1024,
        "packs": packs,
        "fetches": fetched[0],
        "json": lines,
        "json cpu": lines_cpu,
        "again": once_more,
    }


def in_line(draft: Draft) -> str:
    """All fields of a memory as JSON."""
    memory, source = draft.memory(os.urandom(16)), draft.source
    return json.dumps(
        {
            "id": memory.id.hex(),
            "revision": memory.revision.hex(),
            "supersedes": [],
            "content": memory.content,
            "created": memory.created and memory.created.isoformat(),
            "type": memory.type,
            "tags": list(memory.tags),
            "source": source and [source.platform, source.conversation, source.foreign_id],
        }
    )


def in_json(folder: Path, memories: int) -> tuple[float, float]:
    """The baseline: the same memories as JSON Lines in files of about a megabyte; read, SHA-256, each line parsed."""
    folder.mkdir()
    step = 2_000
    for first in range(0, memories, step):
        lines = [in_line(draft(number)) for number in range(first, min(first + step, memories))]
        (folder / f"{first:08}").write_text("\n".join(lines) + "\n")
    best, best_cpu = float("inf"), float("inf")
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        found = []
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            hashlib.sha256(data).digest()
            found += [json.loads(line) for line in data.splitlines()]
        best = min(best, time.perf_counter() - wall)
        best_cpu = min(best_cpu, time.process_time() - cpu)
        if len(found) != memories:
            raise click.ClickException("the baseline has lost a memory")
    return best, best_cpu


def tell_restore(told: dict[str, float]) -> None:
    """What one restore has shown."""
    click.echo(f"\nRestoring {told['memories']:,.0f} memories from file:, on a machine that has nothing of them")
    click.echo(f"  JSON Lines: read, hashed, parsed       {told['json'] * 1e3:>10,.0f} ms")
    click.echo(
        f"  fetched, opened, checked with the log  {told['wall'] * 1e3:>10,.0f} ms {told['wall'] / told['json']:>6.2f}x"
        f"   (of process time: {told['cpu'] / told['json cpu']:.2f}x)"
    )
    click.echo(f"  the same once more, from own copies    {told['again'] * 1e3:>10,.0f} ms of process time")
    click.echo(f"  the search index, beside that          {told['index'] * 1e3:>10,.0f} ms")
    click.echo(f"  fetches, of them packs                 {told['fetches']:>10,.0f}    {told['packs']:,.0f}")
    more = f"{told['peak with index']:,.0f} MB with the index"
    click.echo(f"  memory of the process at the most      {told['peak']:>10,.0f} MB, {more}")


# A year -------------------------------------------------------------------------------------------------------------


class Chain:
    """A stand-in that takes every commit in order: what is counted here does not depend on the chain."""

    def __init__(self, record: VaultRecord) -> None:
        self.record = record

    def commit(
        self, vault_id: bytes, version: int, epoch: int, head: bytes, root: bytes, keyring: bytes | None = None
    ) -> VaultRecord:
        """The record after a commit."""
        following = version + 1
        return replace(
            self.record, version=following, head_version=following, epoch=epoch, content_hash=head, memory_root=root
        )

    def land(self, prepared: VaultRecord, announce: Callable[[list[bytes]], None]) -> Receipt:
        """The commit stands."""
        announce([b"\x01" * 32])
        self.record = prepared
        return Receipt(b"\x01" * 32, 0, prepared.block)


def year(folder: Path, commits: int) -> None:
    """Commits of ten memories each, 20 a day, and what a restore then has to fetch."""
    make_dir(folder / "host")
    holder, keys, place = HolderKey(os.urandom(32)), OwnerKeys.new(1), Place(31_337, os.urandom(20), os.urandom(32))
    mine = holder.xwing.public
    lines = (Holder(mine, Role.DEVICE, "bench", 1, None, None, mine.id),)
    ring = seal_keyring(place, keys, Roster("bench", new_import_key(), lines, STARTED))
    blobs = Blobs(FileStorage(folder / "host", durable=False), folder / "copies")
    head = seal_head(place, 1, keys.secret, keys.writer_key, FIRST)
    blobs.store([ring, head])
    at = Block(1, bytes(32), STARTED)
    root = FIRST.log.memory_root
    chain = Chain(VaultRecord(place.vault_id, "", 1, 1, 1, 1, 1, sha256(head), root, sha256(ring), "file:", at))
    session = SimpleNamespace(
        registry=chain, prepare=lambda call: call, land=chain.land, unlock=lambda: None, say=lambda _: None
    )

    def sealed(name: str) -> SealedFile:
        return SealedFile(folder / name, holder, place)

    committer = Committer(
        cast(Session, session), place, blobs, Outbox(folder / "outbox", place), sealed, PackNotes(folder, holder, place)
    )
    written = most = 0
    bar = click.progressbar(range(commits), label=f"{commits:,} commits", file=sys.stderr)
    with without_fsync(), bar as numbers:
        for number in numbers:
            view = open_view(place, chain.record, blobs.fetch, holder.xwing)
            most = max(most, len(view.packs))
            new = [Memory(os.urandom(16), memory_text(ADDED * number + one), STARTED) for one in range(ADDED)]
            batch = Batch.of(place, view.keyring.owner_keys, new, [], start=view.head.log.size)
            written += committer.commit(view, batch, None).stored_bytes
    fetches = 0

    def counting(blob_hash: bytes, what: str) -> bytes:
        nonlocal fetches
        fetches += 1
        return blobs.fetch_from_host(blob_hash, what)

    view = open_view(place, chain.record, counting, holder.xwing)
    found = len(read_entries(view, counting))
    living = sum(len(blobs.fetch(ref.hash, "pack")) for ref in view.packs)
    on_host = sum(path.stat().st_size for path in (folder / "host").iterdir())
    click.echo(f"\nA year: {commits:,} commits of {ADDED} memories (a stand-in for the chain, nothing timed)")
    click.echo(f"  fetches of a restore of {found:,} memories {fetches:>14,}    at the most {most + 3:,} in the year")
    click.echo(f"  bytes of living packs a memory          {living / found:>12,.0f}")
    click.echo(f"  bytes written a memory, merges too      {written / found:>12,.0f} {written / living:>10.1f}x")
    click.echo(f"  bytes on the host a memory, heads too   {on_host / found:>12,.0f} {on_host / living:>10.1f}x")


@contextmanager
def without_fsync() -> Iterator[None]:
    """Nothing here is to outlive the bench."""
    real = os.fsync
    os.fsync = lambda fd: None
    try:
        yield
    finally:
        os.fsync = real


def stored() -> None:
    """Bytes that one commit stores, a memory."""
    place, keys = Place(31_337, os.urandom(20), os.urandom(32)), OwnerKeys.new(1)
    click.echo("\nBytes stored a memory of about 300 bytes       pack         head       in all")
    for count in BATCHES:
        batch = entries(Memory(os.urandom(16), memory_text(number), STARTED) for number in range(count))
        parts = list(split(batch))
        blobs = [seal_pack(place, 1, keys.secret, part) for part in parts]
        refs = tuple(PackRef(sha256(blob), 1, len(part)) for blob, part in zip(blobs, parts, strict=True))
        log = FIRST.log.extended(entry.commitment(place) for entry in batch)
        head = FIRST.next(HeadRef(bytes(32), 1), None, 2, refs, log)
        size, more = sum(map(len, blobs)), len(seal_head(place, 1, keys.secret, keys.writer_key, head))
        each = f"{size / count:>12,.0f} {more / count:>12,.0f} {(size + more) / count:>12,.0f}"
        click.echo(f"  in a batch of {count:<24,}{each}")


@contextmanager
def anvil() -> Iterator[str]:
    """The URL of an anvil on a free port, with the registry on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with start_node(port):
        url = f"http://127.0.0.1:{port}"
        deploy_contracts(Node(url))
        yield url


if __name__ == "__main__":
    cli()
