"""Hosts of blobs: each moves opaque bytes by their SHA-256 and knows no keys. One file a host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Protocol

from ..errors import StorageUnavailable
from .evm import EvmStorage, Log
from .file import FileStorage, folder_of

# What this version can fetch from; a reader's card names them.
SCHEMES = ("evm", "file", "https", "ipfs", *(("s3",) if find_spec("boto3") else ()))


class Storage(Protocol):
    """What every host can do. Hashes are the 32 bytes of SHA-256; a blob's name is their lower-case hex. ``name`` is
    what to call it before a person: no user and no password. ``limit`` is the size of the largest blob that it takes,
    in bytes; one that is ``read_only`` takes none, and only shows what others were given."""

    name: str
    limit: int
    read_only: bool

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """Stores blobs durably and returns their hashes. Storing one again is no error."""

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """The bytes stored under a hash, **not** compared with it. Raises BlobMissing; Tampered above ``limit``
        bytes."""

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Deletes blobs where the host allows it, durably; a missing one is no error. Returns those that it still
        has. Raises where none can be reached."""


def open_storage(
    base_uri: str,
    *,
    endpoint: str | None = None,
    mine: bool = False,
    signed: bool = False,
    log: Callable[[], Log] | None = None,
) -> Storage:
    """The host of a base URI. ``endpoint`` is where its service answers, if that is to be said; ``mine`` says that the
    person has named it, so that it may lie in a private network; ``signed`` lets the person's credentials go along
    where a host wants some; ``log`` connects to the blobs on the vault's chain.

    Raises StorageUnavailable for a scheme that this version can't reach, and for a URI that is no text.
    """
    if "\ufffd" in base_uri:  # what bytes on chain that are not UTF-8 were read as
        raise StorageUnavailable(
            "The vault's base URI on chain is not text, so nobody can say where its blobs are.",
            "Who owns the vault names another one; a reader may join with --blobs FOLDER.",
        )
    scheme = base_uri.partition(":")[0].lower()
    if scheme == "file":
        return FileStorage(folder_of(base_uri))
    if scheme == "evm" and log:
        return EvmStorage(base_uri, log)
    # `requests` and `boto3` take their time to import, and most commands need neither.
    if scheme == "https":
        from .https import HttpsStorage

        return HttpsStorage(base_uri, mine=mine)
    if scheme == "ipfs":
        from .ipfs import IpfsStorage

        return IpfsStorage(base_uri, endpoint)
    if scheme == "s3":
        from .s3 import S3Storage

        return S3Storage(base_uri, endpoint, signed=mine or signed)
    raise StorageUnavailable(
        f"This version can't reach blobs on {scheme!r}.",
        f"It knows {', '.join(f'{known}:' for known in SCHEMES)}. A reader may join with --blobs FOLDER.",
    )


__all__ = ["SCHEMES", "FileStorage", "Log", "Storage", "folder_of", "open_storage"]
