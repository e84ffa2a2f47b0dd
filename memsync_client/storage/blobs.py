"""Blobs of one vault: its host, and this device's own copies. Nothing leaves here whose SHA-256 is not the one asked
for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import BlobMissing, MemSyncError, Tampered
from ..files import make_dir
from ..sealing import MAX_BLOB, sha256
from . import Storage
from .file import FileStorage


class Blobs:
    """``host`` is where the vault's blobs are for everyone; ``copies`` a local folder, or None to keep none."""

    def __init__(self, host: Storage, copies: Path | None = None) -> None:
        self.host = host
        self._copies = FileStorage(copies) if copies else None

    def fetch(self, blob_hash: bytes, what: str) -> bytes:
        """The bytes with that hash, from the local copy or the host. Raises Tampered or BlobMissing naming the blob."""
        if self._copies:
            try:
                data = self._copies.get(blob_hash, MAX_BLOB)
                if sha256(data) == blob_hash:
                    return data
            except MemSyncError:
                pass  # a copy that is gone or unreadable: the host has it
        data = self.fetch_from_host(blob_hash, what)
        if self._copies:
            try:
                make_dir(self._copies.folder)
                self._copies.put([data])
            except MemSyncError:
                pass  # reading goes on without a copy, on a full disk too
        return data

    def fetch_from_host(self, blob_hash: bytes, what: str) -> bytes:
        """The same, past the local copy."""
        data = self.host.get(blob_hash, MAX_BLOB)
        if sha256(data) != blob_hash:
            raise Tampered(
                f"Blob {blob_hash.hex()} ({what}) is not what the chain vouches for: its bytes were changed.",
                "Bring it back from a copy, or name a folder that has it with --blobs.",
            )
        return data

    def store(self, blobs: Sequence[bytes]) -> None:
        """Puts blobs into the copies and on the host, and reads them back from the host."""
        if self._copies:
            make_dir(self._copies.folder)
            self._copies.put(blobs)
        for blob_hash in self.host.put(blobs):
            self.fetch_from_host(blob_hash, "read back")

    def discard(self, hashes: Iterable[bytes]) -> None:
        """Deletes blobs that nothing on chain will ever name, where the host allows it."""
        for blob_hash in hashes:
            for storage in (self.host, self._copies):
                try:
                    if storage:
                        storage.delete(blob_hash)
                except (MemSyncError, BlobMissing):
                    pass  # an orphan is only waste

    def keep_only(self, living: Iterable[bytes]) -> None:
        """Drops local copies of blobs that the vault no longer names."""
        if not self._copies or not self._copies.folder.is_dir():
            return
        names = {blob_hash.hex() for blob_hash in living}
        for path in self._copies.folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
