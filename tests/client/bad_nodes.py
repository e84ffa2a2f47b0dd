"""Servers on loopback that are no good RPC nodes, and a proxy that makes a real node lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """An HTTP server that answers each POST with ``answer(handler, body)``; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # when the client has had enough
                answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def real(rpc_url: str, body: bytes) -> dict[str, Any]:
    """What a real node says to a request."""
    response = requests.post(rpc_url, body, headers={"Content-Type": "application/json"}, timeout=60)
    answer: dict[str, Any] = response.json()
    return answer


@contextmanager
def breaking(rpc_url: str, method: str, broken: Answer) -> Iterator[str]:
    """A proxy before a real node, which answers each ``method`` as ``broken`` does, and all else truly."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if json.loads(body)["method"] == method:
            broken(handler, body)
        else:
            reply(handler, json.dumps(real(rpc_url, body)).encode())

    with serving(answer) as url:
        yield url


@contextmanager
def lying(rpc_url: str, change: Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """A proxy before a real node: ``change(method, params, response)`` makes what the client is told."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = json.loads(body)
        told = change(asked["method"], asked["params"], real(rpc_url, body))
        reply(handler, json.dumps(told).encode())

    with serving(answer) as url:
        yield url


def result_of(method: str, value: Any) -> Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]:
    """A lie: ``value`` is the result of every ``method``."""

    def change(asked: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": response["id"], "result": value} if asked == method else response

    return change
