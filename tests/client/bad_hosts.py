"""Hosts of blobs that are no good, whatever they speak, and what a client says of each."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler

from memsync_client.errors import MemSyncError, StorageUnavailable, Tampered
from memsync_client.sealing import MAX_BLOB, sha256
from tests.client.material import flipped
from tests.client.web_servers import Answer, reply

BLOB = b"one sealed object"
HASH = sha256(BLOB)


def endless(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def too_large(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, bytes(MAX_BLOB + 1))


def trickling(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _number in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def trickling_headers(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        handler.wfile.write(f"X-{number}: 1\r\n".encode())
        time.sleep(0.05)


def silent(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    time.sleep(5)


def patience(answer: Answer, seconds: float) -> float:
    """Short with a server that never ends; with one that does, the machine may be as busy as it likes."""
    return seconds if answer in (silent, trickling, trickling_headers) else 60


def truncated(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BLOB)))
    handler.end_headers()
    handler.wfile.write(BLOB[:-1])
    handler.close_connection = True


def other_bytes(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, flipped(BLOB, 3))


def forbidding(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"", 403)


HOSTILE: list[tuple[Answer, type[MemSyncError]]] = [
    (endless, Tampered),
    (too_large, Tampered),
    (trickling, StorageUnavailable),
    (silent, StorageUnavailable),
    (truncated, StorageUnavailable),
    (other_bytes, Tampered),
    (forbidding, StorageUnavailable),
]
