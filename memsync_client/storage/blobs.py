"""Blobs of one vault: its hosts, and this device's own copies. Nothing leaves here whose SHA-256 is not the one asked
for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path

from ..bounded import each
from ..errors import BlobMissing, MemSyncError, StorageReadOnly, Tampered
from ..files import make_dir
from ..sealing import MAX_BLOB, sha256
from . import Storage
from .ahead import Ahead, Fetch
from .evm import EvmStorage
from .file import FileStorage
from .owed import Owed

_NAME = re.compile("[0-9a-f]{64}")
_SLICE = 32  # blobs that a host is given at once, so that there is progress to tell
Progress = Callable[[int, int], None]  # (done, of how many)


class Blobs:
    """``host`` is where the vault's blobs are for everyone, ``mirrors`` are others of the owner's that have them too;
    ``copies`` a local folder, or None to keep none. ``first`` is a host to read from before all others, ``hints`` are
    some to read from after them.

    ``owed`` keeps what a mirror could not take; ``say`` is told of a host that lacks what another has.
    """

    def __init__(
        self,
        host: Storage,
        copies: Path | None = None,
        first: Storage | None = None,
        mirrors: Sequence[Storage] = (),
        hints: Sequence[Storage] = (),
        *,
        owed: Owed | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.host = host
        self.mirrors = tuple(mirrors)
        self._hints = tuple(hints)
        self._first = first
        self._copies = FileStorage(copies, durable=False) if copies else None
        self._owed = owed
        self._say = say
        self._lock = threading.Lock()  # mirrors are written side by side, and each notes how that went

    @property
    def hosts(self) -> tuple[Storage, ...]:
        """All that have the vault's blobs, the one on chain first."""
        return (self.host, *self.mirrors)

    @property
    def limit(self) -> int:
        """The size of the largest blob that all hosts take, in bytes."""
        return min(host.limit for host in self.hosts)

    # Reading ----------------------------------------------------------------------------------------------------------

    def fetch(self, blob_hash: bytes, what: str) -> bytes:
        """The bytes with that hash, from the local copy or a host. Raises Tampered or BlobMissing naming the blob."""
        if self._copies:
            with suppress(MemSyncError):  # gone, unreadable or changed: a host has it
                return _right(self._copies, blob_hash)
        data = self._from_hosts(blob_hash, what)
        if self._copies:
            with suppress(MemSyncError):  # reading goes on without a copy, on a full disk too
                make_dir(self._copies.folder)
                self._copies.put([data])
        return data

    def _from_hosts(self, blob_hash: bytes, what: str) -> bytes:
        """From the first host whose bytes are right; what the first of all says where none are."""
        trouble: list[MemSyncError] = []
        for storage in (*([self._first] if self._first else []), *self.hosts, *self._hints):
            try:
                data = _right(storage, blob_hash, what)
            except MemSyncError as error:
                trouble.append(error)
                continue
            if storage not in (self._first, self.host):
                self._say(f"{trouble[0].cause} {storage.name} has it. Next: memsync repair")
            return data
        raise trouble[0]

    def ahead(self, hashes: Sequence[bytes], fetch: Fetch | None = None) -> Fetch:
        """``fetch``, by default this one's, to be asked for ``hashes`` in their order. Where a network lies between,
        some are fetched at once."""
        fetch = fetch or self.fetch
        near = all(isinstance(host, FileStorage) for host in (self._first or self.host, *self.mirrors))
        return fetch if near else Ahead(fetch, hashes)

    def fetch_from_host(self, blob_hash: bytes, what: str) -> bytes:
        """The same as ``fetch``, past the local copy and from the host alone that everyone has. The error says who else
        has the blob."""
        try:
            return _right(self._first or self.host, blob_hash, what)
        except MemSyncError as error:
            holders = [storage.name for storage in self.mirrors if has(storage, blob_hash)]
            if self._copies and has(self._copies, blob_hash):
                holders.append("this device")
            if holders:
                error.next_step = f"{' and '.join(holders)} has it. Bring it back: memsync repair"
            raise

    # Writing ----------------------------------------------------------------------------------------------------------

    def store(self, blobs: Sequence[bytes], progress: Progress | None = None) -> None:
        """Puts blobs into the copies and on every host, side by side, and reads them back from each. What a mirror does
        not take is said and kept in mind; raises what the host on chain says.

        A host on chain that is read only shows what a mirror was given.
        """
        step = counting(progress, len(blobs) * sum(not host.read_only for host in self.hosts))
        mirrors = [mirror for mirror in self.mirrors if not mirror.read_only]  # the others show what a host has
        ended = threading.Event()
        with ThreadPoolExecutor(1 + len(mirrors)) as pool:
            beside = [pool.submit(self._keep_copies, blobs)]
            beside += [
                pool.submit(self._store_on, mirror, blobs, step, ended)
                for mirror in mirrors
                if not _pays_from_wallet(mirror)
            ]
            try:
                if not self.host.read_only:
                    deliver(self.host, blobs, step)
                for mirror in filter(_pays_from_wallet, mirrors):
                    self._store_on(mirror, blobs, step, ended)
                for work in beside:
                    work.result()
            except BaseException:
                ended.set()  # whoever interrupts this waits for what is just being sent, and no more
                raise
        if self.host.read_only:
            self._see(blobs)

    def _keep_copies(self, blobs: Sequence[bytes]) -> None:
        if self._copies:
            make_dir(self._copies.folder)
            self._copies.put(blobs)

    def _store_on(
        self, mirror: Storage, blobs: Sequence[bytes], step: Callable[[int], None], ended: threading.Event
    ) -> None:
        """Puts blobs on a mirror, and what it is owed, until ``ended``."""
        owed = self._owed.of(mirror.name) if self._owed is not None else set()
        new = {sha256(blob) for blob in blobs}
        with_copies = [data for blob_hash in owed - new if (data := self._copy(blob_hash)) is not None]
        try:
            deliver(mirror, takewhile(lambda _: not ended.is_set(), [*blobs, *with_copies]), step)
        except MemSyncError as error:
            count = len(blobs) + len(with_copies)
            with self._lock:
                self._say(f"{mirror.name} has not taken {count} blobs: {error.cause} The next sync tries again.")
                if self._owed is not None:
                    self._owed.add(mirror.name, new)
        else:
            if self._owed is not None and owed and not ended.is_set():
                with self._lock:
                    self._owed.remove(mirror.name, owed & (new | set(map(sha256, with_copies))))

    def catch_up(self) -> None:
        """Brings to the mirrors what they could not take before, as far as this device has copies of it."""
        for mirror in self.mirrors if self._owed else ():
            self._store_on(mirror, [], lambda _: None, threading.Event())

    def _see(self, blobs: Sequence[bytes]) -> None:
        """Reads back from a host that only shows."""
        try:
            for blob in blobs:
                _right(self.host, sha256(blob))
        except BlobMissing as error:
            raise StorageReadOnly(
                f"{self.host.name} takes no blobs, and does not show what other hosts were given. {error.cause}",
                "Add the folder or bucket that it shows: memsync host add URI",
            ) from None

    def anywhere(self, blob_hash: bytes) -> bytes | None:
        """The right bytes from whoever has them, the local copy first; None if nobody does."""
        for storage in (self._copies, self._first, *self.hosts, *self._hints):
            if storage:
                with suppress(MemSyncError):
                    return _right(storage, blob_hash)
        return None

    def owes(self, name: str, hashes: Iterable[bytes]) -> None:
        """Keeps in mind that a mirror lacks these and no others."""
        if self._owed is not None and self._owed.of(name) != set(hashes):
            self._owed.remove(name, self._owed.of(name))
            self._owed.add(name, set(hashes))

    # Deleting ---------------------------------------------------------------------------------------------------------

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Deletes blobs that were named and no longer are, copies first. Returns those that are still there: a host
        did not delete them, or the folder that is read before it (a copy of the person's own) has them."""
        doomed = list(hashes)
        left: set[bytes] = set()
        copies = [self._copies] if self._copies and self._copies.folder.is_dir() else []
        hosts = sorted(self.hosts, key=lambda host: host.read_only)  # what only shows others comes last
        for storage in (*copies, *hosts):
            if doomed:
                try:
                    left.update(storage.delete(doomed))
                except MemSyncError:
                    left.update(doomed)
        if self._first:
            for blob_hash in doomed:
                with suppress(MemSyncError):
                    self._first.get(blob_hash, MAX_BLOB)
                    left.add(blob_hash)
        return [blob_hash for blob_hash in doomed if blob_hash in left]

    # Local copies -----------------------------------------------------------------------------------------------------

    def _copy(self, blob_hash: bytes) -> bytes | None:
        with suppress(MemSyncError):
            return _right(self._copies, blob_hash) if self._copies else None
        return None

    def copies(self) -> Iterator[bytes]:
        """The local copies, whatever they are of."""
        for path in self._copy_paths():
            with suppress(OSError):
                yield path.read_bytes()

    def keep_only(self, living: Iterable[bytes]) -> None:
        """Drops local copies of blobs that the vault no longer names."""
        names = {blob_hash.hex() for blob_hash in living}
        for path in self._copy_paths():
            if path.name not in names:
                with suppress(OSError):  # a copy too many is only waste
                    path.unlink()

    def _copy_paths(self) -> list[Path]:
        if not self._copies or not self._copies.folder.is_dir():
            return []
        return [path for path in self._copies.folder.iterdir() if _NAME.fullmatch(path.name)]


def counting(progress: Progress | None, total: int) -> Callable[[int], None]:
    """What is told of each few that are done, and tells ``progress`` of all of them."""
    done, lock = 0, threading.Lock()

    def step(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            if progress:
                progress(done, total)

    return step


def deliver(host: Storage, blobs: Iterable[bytes], step: Callable[[int], None] = lambda _: None) -> None:
    """Puts blobs on a host and reads each back; ``step`` is told how many more are there."""
    waiting = iter(blobs)
    while some := list(islice(waiting, _SLICE)):
        stored = host.put(some)
        for blob_hash, blob, data in zip(stored, some, _read(host, stored), strict=True):
            if data != blob:
                raise Tampered(
                    f"Blob {blob_hash.hex()} does not come back from {host.name} as it was stored.", "Try again."
                )
        step(len(some))


def _pays_from_wallet(host: Storage) -> bool:
    """Whether storing there asks whoever sits before this computer: one at a time."""
    return isinstance(host, EvmStorage)


def _read(host: Storage, hashes: Sequence[bytes]) -> Iterator[bytes]:
    if isinstance(host, FileStorage):  # nothing to wait for
        return (host.get(blob_hash, MAX_BLOB) for blob_hash in hashes)
    return each(lambda blob_hash: host.get(blob_hash, MAX_BLOB), hashes)


def _right(storage: Storage, blob_hash: bytes, what: str = "copy") -> bytes:
    data = storage.get(blob_hash, MAX_BLOB)
    if sha256(data) != blob_hash:
        raise Tampered(
            f"Blob {blob_hash.hex()} ({what}) is not what the chain vouches for: {storage.name} has changed its bytes.",
            "Bring it back: memsync repair. A reader may join again with --blobs FOLDER.",
        )
    return data


def has(storage: Storage, blob_hash: bytes) -> bool:
    """Whether a host has a blob, and its right bytes."""
    with suppress(MemSyncError):
        return sha256(storage.get(blob_hash, MAX_BLOB)) == blob_hash
    return False
