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


@contextmanager
def lying(rpc_url: str, change: Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """A proxy before a real node: ``change(method, params, response)`` makes what the client is told."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = json.loads(body)
        response = requests.post(rpc_url, body, headers={"Content-Type": "application/json"}, timeout=20)
        told = change(asked["method"], asked["params"], response.json())
        reply(handler, json.dumps(told).encode())

    with serving(answer) as url:
        yield url


def result_of(method: str, value: Any) -> Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]:
    """A lie: ``value`` is the result of every ``method``."""

    def change(asked: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": response["id"], "result": value} if asked == method else response

    return change
