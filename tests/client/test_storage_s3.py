"""Blobs in a bucket: of a real S3 server in a process of its own, and of servers that are no good."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from memsync_client.errors import BlobMissing, MemSyncError, StorageReadOnly, StorageUnavailable, Tampered
from memsync_client.home import Home
from memsync_client.hosts import Host, Hosts
from memsync_client.sealing import MAX_BLOB, sha256
from memsync_client.storage import open_storage
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.s3 import S3Storage
from tests.client.bad_hosts import BLOB, HASH, HOSTILE, patience
from tests.client.web_servers import reply, serving
from tests.object_stores import object_store, use_credentials

BUCKET = "s3://ines-blobs/memsync/"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with object_store() as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch)


@pytest.fixture
def bucket(server: str) -> Iterator[Any]:
    """The bucket, as another S3 tool sees it."""
    found = boto3.resource("s3", endpoint_url=server, region_name="us-east-1").Bucket("ines-blobs")
    found.create()
    yield found
    found.objects.all().delete()
    found.delete()


def test_put__blobs_are_objects_below_the_prefix(server: str, bucket: Any) -> None:
    host = S3Storage(BUCKET, server)
    blobs = [BLOB, bytes(2_065), os.urandom(300_000), bytes(MAX_BLOB)]
    assert host.put(blobs) == [sha256(blob) for blob in blobs]
    assert {found.key for found in bucket.objects.all()} == {f"memsync/{sha256(blob).hex()}" for blob in blobs}
    assert [host.get(sha256(blob), MAX_BLOB) for blob in blobs] == blobs
    assert host.put([]) == []
    assert host.put(blobs[:1]) == [HASH]


def test_get__not_there_or_too_large(server: str, bucket: Any) -> None:
    host = S3Storage(BUCKET, server)
    with pytest.raises(BlobMissing, match=HASH.hex()):
        host.get(HASH, MAX_BLOB)
    bucket.put_object(Key=f"memsync/{HASH.hex()}", Body=bytes(3_000_000))
    with pytest.raises(Tampered, match="larger than 1,000,000 bytes"):
        host.get(HASH, MAX_BLOB)


def test_delete__many_and_a_missing_one_is_no_error(server: str, bucket: Any) -> None:
    host = S3Storage(BUCKET, server)
    hashes = host.put([bytes([number]) * 10 for number in range(20)])
    assert host.delete([*hashes[1:], bytes(32)]) == []
    assert {found.key for found in bucket.objects.all()} == {f"memsync/{hashes[0].hex()}"}


def test_put__no_such_bucket__unavailable(server: str) -> None:
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        S3Storage("s3://nobodys/", server).put([BLOB])


def test_open__as_the_list_of_hosts_or_the_environment_says(
    server: str, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = Hosts(Home(tmp_path))
    hosts.add(Host(BUCKET, server))
    hosts.blobs(BUCKET, bytes(32)).store([BLOB])
    assert [found.key for found in bucket.objects.all()] == [f"memsync/{HASH.hex()}"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    assert open_storage(BUCKET, signed=True).get(HASH, MAX_BLOB) == BLOB


def test_open__bucket_that_a_chain_names__readers_credentials_stay_here(tmp_path: Path) -> None:
    sent: list[str | None] = []

    def answer(handler: Any, _: bytes) -> None:
        sent.append(handler.headers.get("Authorization"))
        reply(handler, BLOB)

    with serving(answer) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", url)
        for owner in (False, True):
            assert Hosts(Home(tmp_path), owner=owner).blobs(BUCKET, None).fetch(HASH, "pack") == BLOB
    assert sent[0] is None
    assert sent[1]


def test_put__without_credentials__says_what_to_do(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageUnavailable, match="no credentials") as caught:
        S3Storage(BUCKET, server).put([BLOB])
    assert "AWS_ACCESS_KEY_ID" in caught.value.next_step


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3:///x/",
        "s3://B/",
        "s3://bucket/x",
        "s3://user:word@bucket/",
        "s3://bucket/?x/",
        "s3://a_b/",
        "s3:b/",
    ],
)
def test_open__uri_that_names_no_bucket__unavailable(uri: str) -> None:
    with pytest.raises(StorageUnavailable, match="names no bucket"):
        open_storage(uri)


# Hostile servers ------------------------------------------------------------------------------------------------------


def saying(status: int, code: str) -> Any:
    body = f"<Error><Code>{code}</Code><Message>text of a stranger</Message></Error>".encode()
    return lambda handler, _: reply(handler, body, status, Content_Type="application/xml")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *HOSTILE,
        (saying(500, "InternalError"), StorageUnavailable),
        (saying(403, "AccessDenied"), StorageUnavailable),
        (saying(400, "\x1b[31mred"), StorageUnavailable),
        (lambda handler, _: reply(handler, b"<", 500), StorageUnavailable),
    ],
)
def test_fetch__from_a_hostile_server__error_of_ours(answer: Any, error: type[MemSyncError]) -> None:
    with serving(answer) as url, pytest.raises(error) as caught:
        Blobs(S3Storage(BUCKET, url, seconds=patience(answer, 1.5))).fetch(HASH, "pack")
    assert caught.value.next_step
    assert "stranger" not in caught.value.cause
    assert caught.value.cause.isprintable()


def test_put__refused__read_only() -> None:
    with serving(saying(403, "AccessDenied")) as url, pytest.raises(StorageReadOnly):
        S3Storage(BUCKET, url).put([BLOB])
