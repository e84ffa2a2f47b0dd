"""Programs with a model, as far as a test can have them: clients of the MCP SDK that start `memsync mcp` themselves."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult, TextContent

from tests.e2e.machines import MEMSYNC, PASSPHRASE, SECONDS

_T = TypeVar("_T")
Mode = Literal["auto", "legacy"]

# A client can pass on no file descriptor, so a shell opens it. The passphrase is in no argument and no environment.
_OPENING = 'exec "$0" "$@" 3<"$PASSPHRASE_FILE"'


def started_by_a_client(home: Path, *words: str, passphrase: str | None = PASSPHRASE) -> StdioServerParameters:
    """How a client starts `memsync mcp` on ``home``; None: without a passphrase."""
    command = [str(MEMSYNC), "--home", str(home)]
    if passphrase is None:
        return StdioServerParameters(command=command[0], args=[*command[1:], "mcp", *words])
    file = home.with_name(f"{home.name}.passphrase")
    file.write_text(passphrase)
    command += ["--passphrase-fd", "3", "mcp", *words]
    return StdioServerParameters(command="/bin/sh", args=["-c", _OPENING, *command], env={"PASSPHRASE_FILE": str(file)})


def connected(server: Any, mode: Mode = "auto") -> Client:
    """A client of that server, in one of the two eras of the protocol: 2026-07-28, or 2025-11-25 before it."""
    return Client(server, mode=mode, read_timeout_seconds=SECONDS)


def run(body: Callable[..., Awaitable[_T]], *arguments: Any) -> _T:
    """Runs a coroutine to its end, in bounded time."""

    async def bounded() -> _T:
        with anyio.fail_after(2 * SECONDS):
            return await body(*arguments)

    try:
        return anyio.run(bounded)
    except BaseExceptionGroup as group:  # what a client's task groups make of a failed assertion
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    """The structured answer of a tool that must succeed; its text says the same in JSON."""
    done = await client.call_tool(tool, arguments)
    assert not done.is_error, said(done)
    assert json.loads(said(done)) == done.structured_content
    return done.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that must refuse."""
    done = await client.call_tool(tool, arguments)
    assert done.is_error, said(done)
    return said(done)


async def aside(call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
    """Something that takes its time, done beside the clients."""
    return await anyio.to_thread.run_sync(partial(call, *arguments, **named))


def said(done: CallToolResult) -> str:
    """The one text of an answer."""
    (content,) = done.content
    assert isinstance(content, TextContent)
    return content.text


async def texts_found(client: Client, query: str) -> list[str]:
    """What a search finds."""
    return [memory["text"] for memory in (await answer(client, "memory_search", query=query))["memories"]]


@contextmanager
def serving_http(home: Path, *words: str) -> Iterator[str]:
    """`memsync mcp --http` on a port of its own, in a process that is ended by an interrupt; its URL."""
    file = home.with_name(f"{home.name}.passphrase")
    file.write_text(PASSPHRASE)
    with file.open() as opened:
        command = [str(MEMSYNC), "--home", str(home), "--json", "--passphrase-fd", str(opened.fileno())]
        process = subprocess.Popen(
            [*command, "mcp", "--http", "--port", "0", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[opened.fileno()],
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        yield str(json.loads(line)["data"]["url"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


@asynccontextmanager
async def connected_over_http(url: str, token: str, mode: Mode = "auto") -> AsyncIterator[Client]:
    """A client that sends that token."""
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http,
        connected(streamable_http_client(url, http_client=http), mode) as client,
    ):
        yield client


# The processes that a client has started -----------------------------------------------------------------------------


def ended(*pids: int) -> None:
    """Waits until these processes have ended."""
    deadline = time.monotonic() + SECONDS
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process has not ended"
        time.sleep(0.05)


def process_of(home: Path) -> int:
    """The process of `memsync --home HOME … mcp`."""
    (found,) = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and {"--home", str(home), "mcp"} <= set(words_of(entry))
    ]
    return found


def processes(home: Path) -> tuple[int, int]:
    """The two halves that serve ``home``: the one that opens, and the one that hears tools."""
    first = process_of(home)
    (second,) = map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())
    return first, second


def words_of(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:  # it has ended meanwhile
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def found_in(pid: int, needles: dict[str, bytes]) -> set[str]:
    """What of ``needles`` stands in the memory of a process."""
    found = set()
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)  # noqa: SIM115
    except PermissionError:
        pytest.skip("the memory of a process that leaves no core can be read by an administrator alone")
    with memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):  # of the kernel
                continue
            found |= {name for name, needle in needles.items() if needle in data}
    return found
