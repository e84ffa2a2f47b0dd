"""Blobs of one vault: its host, and this device's own copies. Nothing leaves here whose SHA-256 is not the one asked
for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import MemSyncError, Tampered
from ..files import make_dir
from ..sealing import MAX_BLOB, sha256
from . import Storage
from .file import FileStorage

_NAME = re.compile("[0-9a-f]{64}")


class Blobs:
    """``host`` is where the vault's blobs are for everyone; ``copies`` a local folder, or None to keep none.
    ``first`` is a host to read from before that one."""

    def __init__(self, host: Storage, copies: Path | None = None, first: Storage | None = None) -> None:
        self.host = host
        self._first = first
        self._copies = FileStorage(copies, durable=False) if copies else None

    def fetch(self, blob_hash: bytes, what: str) -> bytes:
        """The bytes with that hash, from the local copy or a host. Raises Tampered or BlobMissing naming the blob."""
        for storage in (self._copies, self._first):
            if storage:
                with suppress(MemSyncError):  # gone, unreadable or changed: the host has it
                    data = storage.get(blob_hash, MAX_BLOB)
                    if sha256(data) == blob_hash:
                        return data
        data = self.fetch_from_host(blob_hash, what)
        if self._copies:
            with suppress(MemSyncError):  # reading goes on without a copy, on a full disk too
                make_dir(self._copies.folder)
                self._copies.put([data])
        return data

    def fetch_from_host(self, blob_hash: bytes, what: str) -> bytes:
        """The same, past the local copy."""
        data = (self._first or self.host).get(blob_hash, MAX_BLOB)
        if sha256(data) != blob_hash:
            raise Tampered(
                f"Blob {blob_hash.hex()} ({what}) is not what the chain vouches for: its bytes were changed.",
                "Bring it back from a copy. A reader may join again with --blobs FOLDER.",
            )
        return data

    def store(self, blobs: Sequence[bytes]) -> None:
        """Puts blobs into the copies and on the host, and reads them back from the host."""
        if self._copies:
            make_dir(self._copies.folder)
            self._copies.put(blobs)
        for blob_hash in self.host.put(blobs):
            if sha256(self.host.get(blob_hash, MAX_BLOB)) != blob_hash:
                raise Tampered(
                    f"Blob {blob_hash.hex()} does not come back from its host as it was stored.", "Try again."
                )

    def discard(self, hashes: Iterable[bytes]) -> None:
        """Deletes from the host what the chain will never name, where the host allows it. Local copies stay."""
        with suppress(MemSyncError):  # an orphan is only waste
            self.host.delete(hashes)

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Deletes blobs that were named and no longer are, copies first. Returns those that are still there: the host
        did not delete them, or the folder that is read before it (a copy of the person's own) has them."""
        doomed = list(hashes)
        left: set[bytes] = set()
        for storage in (self._copies if self._copies and self._copies.folder.is_dir() else None, self.host):
            if storage and doomed:
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
