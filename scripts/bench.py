"""What storing a batch costs against the same memories in a plain file: ``make bench``. See also bench_crypto.py.

Times are medians; only the ratios mean something on another machine.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from memsync_client.heads import FIRST, HeadRef, PackRef, seal_head
from memsync_client.interchange import jsonl
from memsync_client.keyring import OwnerKeys
from memsync_client.memories import Memory
from memsync_client.packs import entries, seal_pack, split
from memsync_client.sealing import Place, sha256
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.file import FileStorage

PLACE = Place(31_337, os.urandom(20), os.urandom(32))
SAMPLE = Path(__file__).with_name("sample.jsonl")
MEMORIES = 419


def main() -> None:
    """Prints the table. The first argument may name another JSON Lines file than the sample."""
    storing(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)


def storing(data: Path) -> None:
    """Seal, sign and store a batch in a folder, read back, against the same memories as JSON Lines with an fsync."""
    with data.open("rb") as stream:
        drafts = jsonl.read(stream, data.name).drafts
    memories = [drafts[i % len(drafts)].memory(os.urandom(16)) for i in range(MEMORIES)]
    with tempfile.TemporaryDirectory() as folder:
        number = count()
        plain = median(lambda: write_plain(Path(folder) / f"plain-{next(number)}", memories), 15)
        blobs = Path(folder) / "blobs"
        blobs.mkdir()
        keys = OwnerKeys.new(1)
        sealed = median(lambda: commit(Blobs(FileStorage(blobs)), keys, memories), 15)
    print(f"Store {MEMORIES} memories of {data.name}, each on the disk when it returns")
    print(f"  JSON Lines, one fsync                               {plain * 1e3:>8.1f} ms")
    print(f"  sealed, signed, in the log, stored and read back    {sealed * 1e3:>8.1f} ms   {sealed / plain:>6.1f}x")


def write_plain(path: Path, memories: list[Memory]) -> None:
    """The baseline."""
    with path.open("w", encoding="utf-8") as file:
        for memory in memories:
            created = memory.created.isoformat() if memory.created else None
            file.write(json.dumps({"id": memory.id.hex(), "content": memory.content, "created": created}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def commit(blobs: Blobs, keys: OwnerKeys, memories: list[Memory]) -> None:
    """All that a sync does between the outbox and the transaction."""
    batch = entries(memories)
    log = FIRST.log.extended(entry.commitment(PLACE) for entry in batch)
    sealed = [seal_pack(PLACE, 1, keys.secret, part) for part in split(batch)]
    packs = tuple(PackRef(sha256(blob), 1, MEMORIES) for blob in sealed)
    head = FIRST.next(HeadRef(bytes(32), 1), None, 2, packs, log)
    blobs.store([*sealed, seal_head(PLACE, 1, keys.secret, keys.writer_key, head)])


def median(work: Callable[[], object], rounds: int) -> float:
    """The median time of ``work`` in seconds, after one run that does not count."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
