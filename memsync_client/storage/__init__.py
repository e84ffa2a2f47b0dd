"""Hosts of blobs: each moves opaque bytes by their SHA-256 and knows no keys. One file a host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..errors import StorageUnavailable
from .file import FileStorage, folder_of

SCHEMES = ("file",)  # what this version can fetch from; a reader's card names them


class Storage(Protocol):
    """What every host can do. Hashes are the 32 bytes of SHA-256; a blob's name is their lower-case hex."""

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """Stores blobs durably and returns their hashes. Storing one again is no error."""

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """The bytes stored under a hash, **not** compared with it. Raises BlobMissing; Tampered above ``limit``
        bytes."""

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Deletes blobs where the host allows it, durably; a missing one is no error. Returns those that it still
        has. Raises where none can be reached."""


def open_storage(base_uri: str) -> Storage:
    """The host of a base URI. Raises StorageUnavailable for a scheme that this version can't reach, and for one that
    is no text."""
    if "\ufffd" in base_uri:  # what bytes on chain that are not UTF-8 were read as
        raise StorageUnavailable(
            "The vault's base URI on chain is not text, so nobody can say where its blobs are.",
            "Who owns the vault names another one; a reader may join with --blobs FOLDER.",
        )
    if base_uri.startswith("file:"):
        return FileStorage(folder_of(base_uri))
    scheme = base_uri.partition(":")[0]
    raise StorageUnavailable(
        f"This version can't reach blobs on {scheme!r}.",
        "It reads folders only (file:). A reader may join with --blobs FOLDER.",
    )


__all__ = ["SCHEMES", "FileStorage", "Storage", "folder_of", "open_storage"]
