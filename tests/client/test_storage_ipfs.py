"""What a bad IPFS node can do: delay, and nothing else. A good one is asked by ``make test-hosts``."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from memsync_client.errors import BlobMissing, MemSyncError, StorageUnavailable, Tampered
from memsync_client.sealing import MAX_BLOB, sha256
from memsync_client.storage import open_storage, web
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.ipfs import IpfsStorage, cid_of
from memsync_client.storage.uris import IPFS, whole
from tests.client.bad_hosts import BLOB, HASH, HOSTILE, endless, patience, silent
from tests.client.web_servers import reply, serving
from tests.nodes import free_port

_ODD: list[Any] = [{"Key": cid_of(bytes(32)), "Size": 5}, {}, [], "text", b"", b"{", {"Key": [1]}]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PAUSES", (0.01, 0.02))


def saying(value: Any, status: int = 200) -> Any:
    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        reply(handler, value if isinstance(value, bytes) else json.dumps(value).encode(), status)

    return answer


def test_cid_of__known_block__as_every_node_names_it() -> None:
    assert cid_of(sha256(b"hello")) == "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"


@pytest.mark.parametrize("uri", ["ipfs:", "ipfs://", IPFS])
def test_whole__short_for_ipfs__is_the_base_uri(uri: str) -> None:
    assert whole(uri) == "ipfs://f01551220"


@pytest.mark.parametrize("uri", ["ipfs://f01701220", "ipfs://bafkrei", "ipfs://f01551220/x", "ipfs://"])
def test_open__base_uri_of_other_blocks__unavailable(uri: str) -> None:
    with pytest.raises(StorageUnavailable, match="names no raw blocks"):
        open_storage(uri)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *HOSTILE,
        (saying({"Message": "block was not found locally (offline)"}, 500), BlobMissing),
        (saying({"Message": ["odd"]}, 500), StorageUnavailable),
        (saying(b"[" * 50_000, 500), StorageUnavailable),
    ],
)
def test_fetch__from_a_bad_node__error_of_ours(answer: Any, error: type[MemSyncError]) -> None:
    with serving(answer) as url, pytest.raises(error) as caught:
        Blobs(IpfsStorage(endpoint=url, seconds=patience(answer, 0.4))).fetch(HASH, "pack")
    assert caught.value.next_step


@pytest.mark.parametrize(
    "answer",
    [
        *(saying(value) for value in _ODD),
        *(saying({"Message": "no"}, status) for status in (400, 403, 404, 500)),
        endless,
        silent,
    ],
)
def test_put__on_a_bad_node__error_of_ours(answer: Any) -> None:
    with serving(answer) as url, pytest.raises((StorageUnavailable, Tampered)):
        IpfsStorage(endpoint=url, seconds=patience(answer, 0.4)).put([BLOB])


def test_put__no_node__says_where_it_was_looked_for() -> None:
    with pytest.raises(StorageUnavailable, match="can't be reached") as caught:
        IpfsStorage(endpoint=f"http://user:word@127.0.0.1:{free_port()}").put([BLOB])
    assert "127.0.0.1" in caught.value.cause
    assert "word" not in caught.value.cause


def test_delete__node_that_keeps_it_pinned__is_left() -> None:
    with serving(saying({"Message": "denied"}, 403)) as url:
        assert IpfsStorage(endpoint=url).delete([HASH]) == [HASH]
    with serving(saying({"Message": "x is not pinned"}, 500)) as url:
        assert IpfsStorage(endpoint=url).delete([HASH]) == []


def test_get__larger_than_the_limit__tampered() -> None:
    with serving(saying(bytes(100))) as url:
        assert IpfsStorage(endpoint=url).get(HASH, 100) == bytes(100)
        with pytest.raises(Tampered):
            IpfsStorage(endpoint=url).get(HASH, 99)
    assert MAX_BLOB <= 2**20  # what a block may have
