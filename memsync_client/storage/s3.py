"""Blobs in a bucket of an object store that speaks S3. Its library is an extra: ``pip install memsync-client[s3]``.

Credentials, region and endpoint come from where every S3 tool has them (environment, ``~/.aws``), or the endpoint from
the home's list of hosts; never from the chain.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..bounded import AT_ONCE, each, within
from ..errors import BlobMissing, MemSyncError, StorageFull, StorageReadOnly, StorageUnavailable, Tampered
from ..sealing import MAX_BLOB, sha256

SECONDS = 60.0  # for one request, its repetitions included
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MISSING = ("NoSuchKey", "404", "NotFound")
_DENIED = ("AccessDenied", "403", "Forbidden", "AllAccessDisabled", "MethodNotAllowed")
_FULL = ("507", "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "ServiceQuotaExceeded")
_MOST_DELETED = 1_000  # in one request
_CREDENTIALS = (
    "Give the credentials as for every S3 tool (AWS_ACCESS_KEY_ID …); a reader: memsync host add, with this URI."
)
_T = TypeVar("_T")


class S3Storage:
    """``signed`` lets the person's credentials go along: not to whatever bucket a chain names."""

    limit = MAX_BLOB
    read_only = False

    def __init__(
        self, base_uri: str, endpoint: str | None = None, *, signed: bool = True, seconds: float = SECONDS
    ) -> None:
        parts = urlsplit(base_uri)
        self._bucket, self._prefix = parts.netloc, parts.path.removeprefix("/")
        if not _BUCKET.fullmatch(self._bucket) or parts.query or parts.fragment or not base_uri.endswith("/"):
            raise StorageUnavailable(f"{base_uri!r} names no bucket.", "It looks like s3://bucket/prefix/ .")
        self.name = base_uri
        self._seconds = seconds
        try:
            import boto3
            import botocore
            from botocore.config import Config
        except ImportError:
            raise StorageUnavailable(
                f"{base_uri} needs a library that is not installed.", "Install it: pip install memsync-client[s3]"
            ) from None
        self._errors: Any = botocore.exceptions
        session = boto3.session.Session()
        more = {} if signed else {"signature_version": botocore.UNSIGNED}
        self._client = self._asking(
            lambda: session.client(
                "s3",
                endpoint_url=endpoint,
                region_name=session.region_name or "us-east-1",
                config=Config(
                    connect_timeout=10,
                    read_timeout=seconds,
                    retries={"mode": "standard", "total_max_attempts": 3},  # with jitter
                    max_pool_connections=2 * AT_ONCE,
                    **more,
                ),
            )
        )

    def put(self, blobs: Iterable[bytes]) -> list[bytes]:
        """See Storage.put."""
        return list(each(self._put, blobs))

    def _put(self, blob: bytes) -> bytes:
        blob_hash = sha256(blob)
        self._asking(lambda: self._client.put_object(Bucket=self._bucket, Key=self._key(blob_hash), Body=blob))
        return blob_hash

    def get(self, blob_hash: bytes, limit: int) -> bytes:
        """See Storage.get."""
        try:
            data = self._asking(lambda: self._read(blob_hash, limit))
        except BlobMissing:
            raise BlobMissing(
                f"Blob {blob_hash.hex()} is not in {self.name}.", "Bring it back: memsync repair"
            ) from None
        if len(data) > limit:
            raise Tampered(f"Blob {blob_hash.hex()} is larger than {limit:,} bytes.", "Use another copy.")
        return data

    def _read(self, blob_hash: bytes, limit: int) -> bytes:
        deadline = time.monotonic() + self._seconds
        found = self._client.get_object(Bucket=self._bucket, Key=self._key(blob_hash))
        data = bytearray()
        with found["Body"] as body:
            while len(data) <= limit and (part := body.read(min(2**16, limit + 1 - len(data)))):
                data += part
                if time.monotonic() > deadline:
                    raise TimeoutError  # nobody waits for it any more
        if len(data) < min(found.get("ContentLength", 0), limit):
            raise StorageUnavailable(f"{self.name} breaks off in a blob.", "Try again.")
        return bytes(data)

    def delete(self, hashes: Iterable[bytes]) -> list[bytes]:
        """See Storage.delete. A bucket that keeps versions keeps these too: that is the owner's to set."""
        waiting = iter(hashes)
        left: list[bytes] = []
        while some := list(islice(waiting, _MOST_DELETED)):
            names = {self._key(blob_hash): blob_hash for blob_hash in some}
            doomed = {"Objects": [{"Key": key} for key in names], "Quiet": True}
            answer = self._asking(partial(self._client.delete_objects, Bucket=self._bucket, Delete=doomed))
            left += [names[error["Key"]] for error in answer.get("Errors", []) if error.get("Key") in names]
        return left

    def _key(self, blob_hash: bytes) -> str:
        return self._prefix + blob_hash.hex()

    def _asking(self, work: Callable[[], _T]) -> _T:
        """What ``work`` gives; every error of the library as one of ours."""
        try:
            return within(self._seconds, work)
        except TimeoutError:
            raise StorageUnavailable(f"{self.name} does not answer within {self._seconds:g} s.", "Try again.") from None
        except MemSyncError:
            raise
        except self._errors.ClientError as error:
            raise self._refused(error) from None
        except (self._errors.NoCredentialsError, self._errors.PartialCredentialsError):
            raise StorageUnavailable(f"There are no credentials for {self.name}.", _CREDENTIALS) from None
        except Exception as error:  # botocore, its HTTP and its parsers raise many kinds
            raise StorageUnavailable(
                f"{self.name} can't be reached ({type(error).__name__}).", "Check endpoint, region and network."
            ) from None

    def _refused(self, error: Any) -> MemSyncError:
        code = str(error.response.get("Error", {}).get("Code", ""))[:40]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            return BlobMissing(f"{self.name} lacks a blob.", "Bring it back: memsync repair")
        if code in _FULL or status == 507:
            return StorageFull(f"{self.name} has no room left.", "Make room, or name another host.")
        if code in _DENIED:
            kind = StorageReadOnly if error.operation_name in ("PutObject", "DeleteObjects") else StorageUnavailable
            return kind(f"{self.name} does not let us in.", _CREDENTIALS)
        known = "".join(character for character in code if character.isalnum())
        return StorageUnavailable(f"{self.name} refuses a request ({known or status}).", "Check bucket and endpoint.")
