"""Between the two processes on the owner's device: one speaks MCP and has no key, the other opens the vault and speaks
to no tool. A frame is its length (u32, big-endian) and canonical CBOR."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from .. import canonical, errors
from ..errors import MemSyncError
from ..following import State
from ..memories import Memory, from_record, to_record
from ..proposals import Answer, Taken
from ..records import Block

_LENGTH_BYTES = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def send(connection: socket.socket, value: dict[str, Any]) -> None:
    """Sends one frame."""
    body = canonical.encode(value)
    connection.sendall(len(body).to_bytes(_LENGTH_BYTES, "big") + body)


def receive(connection: socket.socket, limit: int = 2**32) -> dict[str, Any] | None:
    """The next frame; None where the other process has ended, or begins one of more than ``limit`` bytes."""
    with suppress(OSError):
        if length := _exactly(connection, _LENGTH_BYTES):
            size = int.from_bytes(length, "big")
            body = _exactly(connection, size) if size <= limit else b""
            value: dict[str, Any] | None = canonical.decode(body, "frame") if body else None
            return value
    return None


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


class Packed:
    """States for the other process: of the memories only those that it does not have yet, and the order of all."""

    def __init__(self) -> None:
        self._sent: set[bytes] = set()
        self._last: tuple[Memory, ...] | None = None

    def pack(self, state: State) -> dict[str, Any]:
        """A state as a frame's value."""
        changed = state.memories is not self._last
        fresh = [memory for memory in state.memories if memory.revision not in self._sent] if changed else []
        if changed:
            self._sent, self._last = {memory.revision for memory in state.memories}, state.memories
        return {
            "version": state.version,
            "locked": state.locked,
            "block": [state.block.number, state.block.hash, _seconds(state.block.time)],
            "expires": _seconds(state.expires),
            "records": [to_record(memory) for memory in fresh],
            "order": [memory.revision for memory in state.memories] if changed else None,
        }


class OwnersVault:
    """The vault as the process without keys sees it. Used from any thread. It ends with the process at the other
    end, which takes no tool's name from here: ``token`` gives that of whichever is calling, where there are several."""

    def __init__(self, connection: socket.socket, token: Callable[[], str] = lambda: "") -> None:
        self._connection = connection
        self._token = token
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._known: dict[bytes, Memory] = {}
        self._memories: tuple[Memory, ...] = ()
        threading.Thread(target=self._listen, daemon=True).start()

    def look(self) -> State:
        """The present state of the vault."""
        with self._lock:
            value = self._ask({"ask": "look"})
            known = self._known | {memory.revision: memory for memory in map(from_record, value["records"])}
            if value["order"] is not None:
                self._memories = tuple(known[revision] for revision in value["order"])
                self._known = {memory.revision: memory for memory in self._memories}
            number, block_hash, time = value["block"]
            expires = value["expires"]
            return State(
                value["version"],
                value["locked"],
                Block(number, block_hash, _time(time)),
                None if expires is None else _time(expires),
                self._memories,
            )

    def add(self, _: str, text: str, tags: Sequence[str]) -> Answer:
        """Proposes to add a memory."""
        return self._propose({"ask": "add", "text": text, "tags": list(tags)})

    def forget(self, _: str, memory_id: str) -> Answer:
        """Proposes to forget one."""
        return self._propose({"ask": "forget", "id": memory_id})

    def ready(self, url: str) -> None:
        """Says where this process can be reached."""
        with self._lock:
            self._ask({"ask": "ready", "url": url})

    def _propose(self, question: dict[str, Any]) -> Answer:
        with self._lock:
            value = self._ask(question | {"token": self._token()})
        return Answer(value["id"], Taken(value["taken"]))

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        send(self._connection, question)
        value = self._answers.get()
        if "error" in value:
            name, cause, next_step = value["error"]
            kind = getattr(errors, name, MemSyncError)
            raise kind(cause, next_step)
        return value

    def _listen(self) -> None:
        while (value := receive(self._connection)) is not None:
            self._answers.put(value)
        os._exit(0)  # whoever waits here for an answer would wait for ever


def error_of(error: Exception) -> dict[str, Any]:
    """An error as a frame's value: one that nobody foresaw by its kind alone."""
    if isinstance(error, MemSyncError):
        return {"error": [type(error).__name__, error.cause, error.next_step]}
    said = f"Internal error ({type(error).__name__})."
    return {"error": ["MemSyncError", said, "The same with `memsync list` may say more."]}


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // timedelta(seconds=1)


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
