"""Blobs as files of one folder, named by the lower-case hex of their SHA-256. For practice chains and local copies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import BlobMissing, StorageUnavailable, Tampered
from ..files import clear_temporaries, storage_error, sync_folder, write_atomic
from ..sealing import MAX_BLOB, sha256


def folder_of(base_uri: str) -> Path:
    """The folder of a ``file:///…/`` base URI."""
    try:
        parts = urlsplit(base_uri)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        parts, path = urlsplit(""), ""
    more = parts.netloc or parts.query or parts.fragment or "\0" in path
    if parts.scheme != "file" or more or not path.startswith("/") or not path.endswith("/"):
        raise StorageUnavailable(f"{base_uri!r} is not a folder's URI.", "It looks like file:///home/ines/blobs/ .")
    return Path(path)


class FileStorage:
    """A folder of blobs. It must exist: a folder that is gone is an error, never made anew in silence.

    ``durable`` is False for copies of what a host has: nobody waits until those are on the disk.
    """

    limit = MAX_BLOB
    read_only = False

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.name = str(folder)
        self._durable = durable

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """Each blob is on the disk, whole, before its name stands in the folder."""
        self._must_exist()
        hashes = []
        for blob in blobs:
            hashes.append(sha256(blob))
            write_atomic(self._path(hashes[-1]), blob, mode=0o644, sync=False, flush=self._durable)
        if self._durable:
            sync_folder(self.folder)
        return hashes

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """See Storage.get."""
        try:
            with open(self._path(blob_hash), "rb", opener=_no_device) as file:
                data = file.read(limit + 1) or b""  # None of a pipe that has nothing yet
        except FileNotFoundError:
            self._must_exist()
            raise BlobMissing(
                f"Blob {blob_hash.hex()} is not in {self.folder}.",
                "Bring it back: memsync repair. A reader may join again with --blobs FOLDER.",
            ) from None
        except OSError as error:
            raise storage_error(error, self._path(blob_hash)) from None
        if len(data) > limit:
            raise Tampered(
                f"Blob {blob_hash.hex()} is larger than {limit:,} bytes.", "Fetch it again from another copy."
            )
        return data

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """See Storage.delete. Once it returns, a crash brings no name back. What killed writers have left goes too."""
        self._must_exist()
        doomed, left = list(hashes), []
        clear_temporaries(self.folder, {blob_hash.hex() for blob_hash in doomed})
        for blob_hash in doomed:
            try:
                self._path(blob_hash).unlink(missing_ok=True)
            except OSError:
                left.append(blob_hash)
        sync_folder(self.folder)
        return left

    def _path(self, blob_hash: bytes) -> Path:
        return self.folder / blob_hash.hex()

    def _must_exist(self) -> None:
        if not self.folder.is_dir():
            raise StorageUnavailable(
                f"The blob folder {self.folder} is gone.",
                "Bring it back (a disk not mounted?). A reader may join again with --blobs FOLDER.",
            )


def _no_device(path: str, flags: int) -> int:
    """Opens without blocking on a pipe that someone left under a blob's name, and follows no link."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
