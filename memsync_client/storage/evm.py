"""Blobs on the chain itself, in the log of the contract BlobLog: no host is needed, and nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..errors import InvalidRequest, Tampered
from ..sealing import sha256
from .uris import EVM

LIMIT = 98_304  # bytes: nodes take no transaction of more than 128 KiB


class Log(Protocol):
    """The contract, as the chain's modules know it."""

    def block_of(self, blob_hash: bytes) -> int:
        """The block that has the blob, 0 if none has."""

    def find(self, blob_hash: bytes) -> bytes:
        """The blob. Raises BlobMissing."""

    def store(self, blobs: Sequence[bytes]) -> None:
        """Stores what is not there yet."""


class EvmStorage:
    """``log`` connects to the contract when it is first needed."""

    name = EVM
    limit = LIMIT
    read_only = False

    def __init__(self, base_uri: str, log: Callable[[], Log]) -> None:
        if base_uri != EVM:
            raise InvalidRequest(f"{base_uri!r} names no host: blobs on the vault's chain are at {EVM}", "Correct it.")
        self._log = log

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """See Storage.put."""
        given = list(blobs)
        if too_large := [blob for blob in given if len(blob) > LIMIT]:
            raise InvalidRequest(
                f"{len(too_large)} blobs are larger than the {LIMIT:,} bytes that a chain takes: packs from before, or"
                " a keyring of more than 32 holders.",
                "Packs are sealed anew, smaller, by memsync rotate --clean while evm: is one of the hosts.",
            )
        self._log().store(given)
        return [sha256(blob) for blob in given]

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """See Storage.get."""
        data = self._log().find(blob_hash)
        if len(data) > limit:
            raise Tampered(f"Blob {blob_hash.hex()} is larger than {limit:,} bytes.", "Use another copy.")
        return data

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """See Storage.delete: all that was ever stored stays."""
        log = self._log()
        return [blob_hash for blob_hash in hashes if log.block_of(blob_hash)]
