"""Blobs by HTTPS from a host that may be hostile: it can delay, and nothing else; and none leads into a private
network."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from urllib3.connection import HTTPSConnection

from memsync_client.errors import BlobMissing, MemSyncError, StorageReadOnly, StorageUnavailable, Tampered
from memsync_client.sealing import MAX_BLOB
from memsync_client.storage import open_storage, uris, web
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.https import HttpsStorage
from tests.client.bad_hosts import BLOB, HASH, HOSTILE, patience, trickling_headers
from tests.client.web_servers import new_certificate, reply, serving


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that this process trusts."""
    path = tmp_path / "certificate.pem"
    path.write_bytes(new_certificate())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setattr(web, "_PAUSES", (0.01, 0.02))
    return path


def served(blobs: dict[str, bytes]) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        blob = blobs.get(handler.path)
        reply(handler, blob or b"", 404 if blob is None else 200)

    return answer


def test_get__blob_below_the_address(certificate: Path) -> None:
    with serving(served({f"/blobs/{HASH.hex()}": BLOB}), certificate) as url:
        host = HttpsStorage(f"{url}blobs/", mine=True)
        assert host.get(HASH, MAX_BLOB) == BLOB
        with pytest.raises(BlobMissing, match=bytes(32).hex()):
            host.get(bytes(32), MAX_BLOB)
        assert host.delete([HASH, bytes(32)]) == [HASH]  # it shows that one still
        with pytest.raises(StorageReadOnly, match="read only") as caught:
            host.put([BLOB])
        assert "memsync host add" in caught.value.next_step


def test_get__in_chunks__whole(certificate: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for byte in BLOB:
            handler.wfile.write(b"1\r\n%c\r\n" % byte)
        handler.wfile.write(b"0\r\n\r\n")

    with serving(answer, certificate) as url:
        assert HttpsStorage(url, mine=True).get(HASH, MAX_BLOB) == BLOB


# Hostile hosts --------------------------------------------------------------------------------------------------------


def packed(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")


def faulty(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"{", 500)


def no_http(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.wfile.write(b"SSH-2.0-none\r\n\r\n")


def in_a_circle(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"", 302, Location=handler.path)


def to_a_file(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"", 302, Location="file:///etc/hostname")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *HOSTILE,
        (trickling_headers, StorageUnavailable),
        (packed, Tampered),
        (faulty, StorageUnavailable),
        (no_http, StorageUnavailable),
        (in_a_circle, StorageUnavailable),
        (to_a_file, StorageUnavailable),
    ],
)
def test_fetch__from_a_hostile_host__error_of_ours_and_the_mirror_serves(
    answer: Any, error: type[MemSyncError], certificate: Path, tmp_path: Path
) -> None:
    mirror = open_storage(tmp_path.as_uri() + "/")
    mirror.put([BLOB])
    with serving(answer, certificate) as url:
        hostile = HttpsStorage(url, mine=True, seconds=patience(answer, 0.4))
        with pytest.raises(error) as caught:
            Blobs(hostile).fetch(HASH, "pack")
        assert caught.value.next_step
        said: list[str] = []
        assert Blobs(hostile, mirrors=[mirror], say=said.append).fetch(HASH, "pack") == BLOB
        assert len(said) == 1
        assert mirror.name in said[0]


def test_ask__host_busy_for_a_moment__asked_again(certificate: Path) -> None:
    answers = iter([503, 429, 200])

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        status = next(answers)
        reply(handler, BLOB if status == 200 else b"", status)

    with serving(answer, certificate) as url:
        assert HttpsStorage(url, mine=True).get(HASH, MAX_BLOB) == BLOB


def test_get__certificate_that_nobody_vouches_for__unavailable(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(new_certificate())
    with (
        serving(served({f"/{HASH.hex()}": BLOB}), path) as url,
        pytest.raises(StorageUnavailable, match="certificate"),
    ):
        HttpsStorage(url, mine=True).get(HASH, MAX_BLOB)


def test_get__answer_sets_a_cookie__it_is_not_sent_back(certificate: Path) -> None:
    """A host is not to follow a reader over time."""
    sent: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        sent.append(handler.headers.get("Cookie"))
        reply(handler, BLOB, Set_Cookie="who=you; Path=/")

    with serving(answer, certificate) as url:
        host = HttpsStorage(url, mine=True)
        assert [host.get(HASH, MAX_BLOB) for _ in range(2)] == [BLOB, BLOB]
    assert sent == [None, None]


# Private networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104 - to refuse it
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("2002:7f00:1::", "2002:c0a8:101::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("::127.0.0.1", "::a00:1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1"),
    ],
)
def test_is_public__address_of_a_private_network__no(address: str) -> None:
    assert not uris.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_is_public__address_of_the_internet__yes(address: str) -> None:
    assert uris.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "10.0.0.1", "nas", "nas.local", "169.254.169.254"),
        *("localhost.", "nas.local.", "nas.home.arpa", "127.1", "2130706433", "0x7f.1", "127.0.0.0x1", "127.0.0.1."),
    ],
)
def test_get__base_uri_of_the_chain_names_a_private_network__nothing_is_asked(
    host: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    for proxy in ("", "http://127.0.0.1:1"):  # a proxy would reach them too
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(StorageUnavailable, match="private network") as caught:
            open_storage(f"https://{host}/").get(HASH, MAX_BLOB)
        assert "memsync host add" in caught.value.next_step


@pytest.mark.parametrize("others", [[], ["93.184.215.14"]])
def test_get__name_that_leads_into_a_private_network__nothing_is_asked(
    others: list[str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may also lead elsewhere, or lead elsewhere at the first look-up and back at the second."""
    asked: list[str] = []
    with serving(served({f"/{HASH.hex()}": BLOB}), certificate) as url:
        port = int(url.rstrip("/").rpartition(":")[2])

        def look_up(*_: Any, **__: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in [*others, "127.0.0.1"]]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(HTTPSConnection, "_new_conn", lambda self: asked.append(self.host))
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(StorageUnavailable, match="private network"):
            open_storage(f"https://blobs.example.org:{port}/").get(HASH, MAX_BLOB)
    assert asked == []


def test_get__redirect__followed_to_public_addresses_only(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        if handler.path.startswith("/moved/"):
            reply(handler, b"", 302, Location=f"/{HASH.hex()}")
        elif handler.path.startswith("/elsewhere/"):
            reply(handler, b"", 302, Location="https://192.168.1.1/")
        elif handler.path.startswith("/plain/"):
            reply(handler, b"", 302, Location="http://example.org/")
        else:
            reply(handler, BLOB)

    for module in (web, uris):
        monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")  # as if it were
    with serving(answer, certificate) as url:
        assert open_storage(f"{url}moved/").get(HASH, MAX_BLOB) == BLOB
        with pytest.raises(StorageUnavailable, match="private network"):
            open_storage(f"{url}elsewhere/").get(HASH, MAX_BLOB)
        with pytest.raises(StorageUnavailable, match="nothing is fetched from"):
            open_storage(f"{url}plain/").get(HASH, MAX_BLOB)


def test_get__redirect_by_a_host_of_ones_own__into_no_other_private_one_and_not_without_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a host has not named those that it sends to."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    look_up, reached = socket.getaddrinfo, []

    def looked_up(host: Any, port: Any, *more: Any, **also: Any) -> Any:
        return look_up("127.0.0.1" if host == "rebound.example.org" else host, port, *more, **also)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)

    def other(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        reached.append(handler.path)
        reply(handler, BLOB)

    with serving(other, certificate) as there, serving(other) as plain:
        there_port, plain_port = (url.rstrip("/").rpartition(":")[2] for url in (there, plain))
        to = {
            "by-address": f"https://127.0.0.2:{there_port}/",
            "by-name": f"https://rebound.example.org:{there_port}/",
            "plain": f"http://127.0.0.2:{plain_port}/",
        }

        def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
            where = handler.path.split("/")[1]
            reply(handler, b"", 302, Location=to.get(where, there) + HASH.hex())

        with serving(answer, certificate) as url:
            for where in to:
                with pytest.raises(StorageUnavailable, match=r"private network|nothing is fetched from"):
                    HttpsStorage(f"{url}{where}/", mine=True).get(HASH, MAX_BLOB)
            assert reached == []
            assert HttpsStorage(f"{url}same-host/", mine=True).get(HASH, MAX_BLOB) == BLOB


def test_name__of_an_address_with_user_and_key__shows_neither() -> None:
    host = HttpsStorage("https://user:word@host.example/blobs/?key=secret#part", mine=True)
    assert host.name == "https://host.example/blobs/"
