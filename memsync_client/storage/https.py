"""Blobs below an HTTPS address, read only: a web server, a gateway, or the public side of an object store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ..bounded import each
from ..errors import BlobMissing, MemSyncError, StorageReadOnly, StorageUnavailable
from ..sealing import MAX_BLOB, sha256
from .web import SECONDS, Web


class HttpsStorage:
    """``base_uri`` and the hash in hex are the address of a blob. ``mine`` says that the person has named it, so that
    it may lie in a private network."""

    limit = MAX_BLOB
    read_only = True

    def __init__(self, base_uri: str, *, mine: bool = False, seconds: float = SECONDS) -> None:
        self._base = base_uri
        self._web = Web(base_uri, mine=mine, seconds=seconds)
        self.name = self._web.name

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """See Storage.put: it takes none."""
        raise StorageReadOnly(
            f"{self.name} is read only.",
            "Add the host that it shows, a folder or a bucket: memsync host add URI",
        )

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """See Storage.get."""
        answer = self._web.ask("GET", self._base + blob_hash.hex(), limit=limit)
        if answer.status == 200:
            return answer.body
        if answer.status in (404, 410):
            raise BlobMissing(f"Blob {blob_hash.hex()} is not at {self.name}.", "Bring it back: memsync repair")
        raise StorageUnavailable(f"{self.name} answers with HTTP status {answer.status}.", "Check its address.")

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """See Storage.delete: those that it still shows."""
        doomed = list(hashes)
        return [blob_hash for blob_hash, left in zip(doomed, each(self._has, doomed), strict=True) if left]

    def _has(self, blob_hash: bytes) -> bool:
        with suppress(BlobMissing):
            try:
                return sha256(self.get(blob_hash, MAX_BLOB)) == blob_hash
            except MemSyncError as error:
                if isinstance(error, BlobMissing):
                    raise
                return True  # nobody knows
        return False
