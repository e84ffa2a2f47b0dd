"""Blobs as raw blocks of IPFS, by the RPC that Kubo speaks, and whoever pins for others in its manner.

A blob's name is a CIDv1 (raw, SHA-256): base URI ``ipfs://f01551220`` and the hash in hex. The address of the RPC is
this home's affair, and never the chain's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urljoin

from ..bounded import each
from ..errors import BlobMissing, MemSyncError, StorageUnavailable
from ..sealing import MAX_BLOB, sha256
from .uris import IPFS, without_user
from .web import SECONDS, Web

ENDPOINT = "http://127.0.0.1:5001"  # of a node on this computer, where nothing else is said
_PREFIX = bytes.fromhex(IPFS.removeprefix("ipfs://f"))
_MAX_WORDS = 65_536  # bytes of an answer that is not a block
_NOT_HERE = ("not found", "context deadline exceeded", "timed out", "could not find", "not available")


def cid_of(blob_hash: bytes) -> str:
    """The blob's CID in base32, the only form that every node takes."""
    return "b" + base64.b32encode(_PREFIX + blob_hash).decode().lower().rstrip("=")


class IpfsStorage:
    """A node at ``endpoint``, which may carry user and password."""

    limit = MAX_BLOB
    read_only = False

    def __init__(self, base_uri: str = IPFS, endpoint: str | None = None, *, seconds: float = SECONDS) -> None:
        if base_uri != IPFS:
            raise StorageUnavailable(f"{base_uri!r} names no raw blocks by SHA-256.", f"It has to be {IPFS} .")
        endpoint = endpoint or ENDPOINT
        self.name = f"{IPFS} by {without_user(endpoint)}"
        self._api = urljoin(endpoint.rstrip("/") + "/", "api/v0/")
        self._looking = max(1, int(seconds) // 2)  # seconds for the node to find a block in its network
        self._web = Web(endpoint, mine=True, seconds=seconds)

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """See Storage.put. Each is pinned, so that the node keeps it."""
        return list(each(self._put, blobs))

    def _put(self, blob: bytes) -> bytes:
        blob_hash = sha256(blob)
        params = {"format": "raw", "cid-codec": "raw", "mhtype": "sha2-256", "version": "1", "pin": "true"}
        answer = self._said(self._call("block/put", params, blob=blob))
        if answer.get("Key") not in (cid_of(blob_hash), IPFS.removeprefix("ipfs://") + blob_hash.hex()):
            raise StorageUnavailable(
                f"{self.name} stores blocks under other names.", "Use a node that speaks Kubo's RPC."
            )
        self._said(self._call("pin/add", {"arg": cid_of(blob_hash)}))
        return blob_hash

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """See Storage.get."""
        status, body = self._call("block/get", {"arg": cid_of(blob_hash), "timeout": f"{self._looking}s"}, limit=limit)
        if status == 200:
            return body
        said = _message(body)
        if status == 404 or any(sign in said for sign in _NOT_HERE):
            raise BlobMissing(
                f"Blob {blob_hash.hex()} is not to be found by {self.name}.", "Bring it back: memsync repair"
            )
        raise self._refused(status)

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """See Storage.delete: unpinned, and taken off this node. Others in the network may have copies."""
        return [blob_hash for blob_hash in each(self._delete, list(hashes)) if blob_hash]

    def _delete(self, blob_hash: bytes) -> bytes | None:
        """The hash if the node still has it pinned."""
        cid = {"arg": cid_of(blob_hash)}
        status, body = self._call("pin/rm", cid)
        if status != 200 and "not pinned" not in _message(body) and "not found" not in _message(body):
            return blob_hash
        with suppress(MemSyncError):  # a service may leave it to its next clean-up
            self._call("block/rm", cid | {"force": "true"})
        return None

    def _call(
        self, verb: str, params: dict[str, str], *, blob: bytes | None = None, limit: int = _MAX_WORDS
    ) -> tuple[int, bytes]:
        files = None if blob is None else {"data": ("blob", blob, "application/octet-stream")}
        answer = self._web.ask("POST", self._api + verb, limit=limit, params=params, files=files)
        return answer.status, answer.body

    def _said(self, answer: tuple[int, bytes]) -> dict[str, object]:
        status, body = answer
        if status != 200:
            raise self._refused(status)
        with suppress(ValueError, RecursionError):
            value = json.loads(body)
            if isinstance(value, dict):
                return value
        raise StorageUnavailable(f"{self.name} does not speak Kubo's RPC.", "Check its address.")

    def _refused(self, status: int) -> StorageUnavailable:
        return StorageUnavailable(f"{self.name} answers with HTTP status {status}.", "Check the node and its address.")


def _message(body: bytes) -> str:
    """What a node says is wrong, in lower case; empty if it says nothing."""
    with suppress(ValueError, RecursionError, AttributeError):
        return str(json.loads(body).get("Message", "")).lower()
    return ""
