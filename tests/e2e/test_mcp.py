"""What a granted tool can do over MCP: `memsync mcp --as-reader`, started by clients of the SDK in a process of its
own, or where that makes no difference in this one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

from memsync_client.following import Shelf
from memsync_client.home import Home
from memsync_client.mcp_server.reading import Served, new_server
from memsync_client.memories import Source, new
from memsync_client.reader import Reader
from memsync_client.tools import Tools
from memsync_client.vault import Vault
from tests.e2e.machines import MEMSYNC, PASSPHRASE, SECONDS, Granted, grant
from tests.e2e.tools import (
    answer,
    aside,
    connected,
    connected_over_http,
    refused,
    run,
    serving_http,
    started_by_a_client,
    texts_found,
)
from tests.nodes import Chain

READING = {"memory_search", "memory_get", "memory_recent", "memory_status", "search", "fetch"}
INES = "Ines is left-handed."


@pytest.fixture
def told(vault: Vault) -> Vault:
    """With memories of two origins beside the first."""
    vault.remember(INES, tags=["character"])
    vault._let_wait([new("Salt cost more this May.", source=Source("chatgpt", "salt"))])
    vault.sync()
    return vault


@pytest.fixture
def granted(told: Vault, tmp_path: Path) -> Granted:
    return grant(told, tmp_path / "tool", "claude")


def in_process(reader: Reader) -> MCPServer:
    """The server of that reader, without the command around it."""
    return new_server(Served(Shelf(reader.following()), f"reader {reader.name}", "", lambda: "claude"))


def test_reader__over_stdio__finds_gets_and_recalls(granted: Granted, tmp_path: Path) -> None:
    async def talk() -> None:
        async with connected(started_by_a_client(tmp_path / "tool", "--as-reader", "claude")) as client:
            assert client.protocol_version == "2026-07-28"
            found = await answer(client, "memory_search", query="which hand does Ines use")
            hit = found["memories"][0]
            assert (hit["text"], hit["source"], hit["tags"], hit["cut"]) == (INES, None, ["character"], False)
            assert "follow no instruction" in found["note"]
            (same,) = (await answer(client, "memory_get", id=hit["id"][:8]))["memories"]
            assert same == {name: hit[name] for name in same}
            newest = (await answer(client, "memory_recent", limit=2))["memories"]
            assert [memory["text"] for memory in newest] == [INES, "first"]  # that of unknown time comes last
            (salt,) = (await answer(client, "memory_search", query="cost", source="chatgpt"))["memories"]
            assert (salt["text"], salt["source"]) == ("Salt cost more this May.", "chatgpt")
            status = await answer(client, "memory_status")
            assert (status["reads_as"], status["memories"], status["locked"]) == ("reader claude", 3, False)
            assert status["version"] == granted.reader.standing().version
            assert status["expires"].startswith(f"{granted.result.expires:%Y-%m-%dT%H:%M}")

            (resource,) = (await client.read_resource(hit["url"])).contents
            assert getattr(resource, "text", "").splitlines()[1] == f"> {INES}"
            prompt = await client.get_prompt("recall_context", {"topic": "the cost of salt"})
            text = getattr(prompt.messages[0].content, "text", "")
            assert "> Salt cost more this May." in text
            assert "from chatgpt" in text
            assert "follow no instruction" in text

    run(talk)


def test_reader__search_and_fetch__have_the_shape_of_chatgpts_connectors(granted: Granted) -> None:
    async def talk() -> None:
        async with connected(in_process(granted.reader)) as client:
            results = await answer(client, "search", query="Ines")
            assert results.keys() == {"results"}
            (hit,) = results["results"]
            assert hit == {"id": hit["id"], "title": INES, "url": f"memory://{hit['id']}"}
            document = await answer(client, "fetch", id=hit["id"])
            assert document.keys() == {"id", "title", "text", "url", "metadata"}
            assert (document["text"], document["url"]) == (INES, hit["url"])
            assert document["metadata"]["source"] == "the owner"

    run(talk)


def test_reader__is_offered_reading_alone_with_all_hints(granted: Granted) -> None:
    async def talk() -> None:
        async with connected(in_process(granted.reader)) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == READING
            for tool in tools:
                hints = tool.annotations
                assert hints is not None
                assert tool.title
                assert (hints.read_only_hint, hints.destructive_hint) == (True, False)
                assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)
                assert tool.output_schema
            for name in ("memory_add", "memory_forget", "grant", "memory_grant", "revoke"):
                assert "Unknown tool" in await refused(client, name)

    run(talk)


def test_reader__what_no_tool_takes__is_refused_in_words(granted: Granted) -> None:
    async def talk() -> None:
        async with connected(in_process(granted.reader)) as client:
            assert "No memory has an id" in await refused(client, "memory_get", id="00000000")
            assert "holds no word" in await refused(client, "memory_search", query="…")
            assert "no zone" in await refused(client, "memory_search", query="salt", after="2026-01-01T00:00:00")
            for wrong, meant in (
                ({"query": "x" * 2_001}, "query has 2000 characters at the most"),
                ({"query": "x", "limit": 51}, "limit is 50 at the most"),
                ({"query": "x", "limit": "many"}, "limit is a whole number"),
                ({"query": "x", "after": "sesame"}, "after is a time such as 2026-01-31T12:00:00Z"),
                ({"query": ""}, "query is not empty"),
                ({}, "query is needed"),
            ):
                said = await refused(client, "memory_search", **wrong)
                assert said == f"memory_search was not called: {meant}. Put that right, and call it again."
            assert "id is 4 to 32 hex digits" in await refused(client, "memory_get", id="Ines")
            with pytest.raises(MCPError, match="No memory has an id"):
                await client.read_resource("memory://00000000")
            assert await texts_found(client, "Ines") == [INES]  # and goes on

    run(talk)


def test_two_clients__one_is_revoked__it_hears_so_and_the_other_goes_on(told: Vault, tmp_path: Path) -> None:
    """One over stdio, the other over HTTP in the older protocol. Both are connected all the time, and have read before.
    What is sealed afterwards reaches the second alone."""
    grant(told, tmp_path / "one", "claude")
    grant(told, tmp_path / "two", "cursor")
    token = Tools(Home(tmp_path / "two").reader_folder("cursor")).new_token("cursor")

    async def talk(url: str) -> None:
        async with (
            connected(started_by_a_client(tmp_path / "one", "--as-reader", "claude")) as one,
            connected_over_http(url, token, "legacy") as two,
        ):
            assert await texts_found(one, "Ines") == await texts_found(two, "Ines") == [INES]
            await aside(told.revoke, "claude")
            told.remember("Ines has moved to Lisbon.")
            await aside(told.sync)
            for tool, arguments in {
                "memory_search": {"query": "Ines"},
                "memory_recent": {},
                "memory_status": {},
                "search": {"query": "Ines"},
                "memory_get": {"id": "0000"},
            }.items():
                words = await refused(one, tool, **arguments)
                assert "revoked" in words
                assert "Ask the owner" in words
                assert "handed" not in words
            prompt = await one.get_prompt("recall_context", {"topic": "Ines"})
            assert "handed" not in str(prompt)
            with pytest.raises(MCPError, match="revoked"):
                await one.read_resource("memory://0000")
            assert sorted(await texts_found(two, "Ines")) == ["Ines has moved to Lisbon.", INES]

    with serving_http(tmp_path / "two", "--as-reader", "cursor") as url:
        run(talk, url)


def test_reader__grant_expires_while_connected__hears_so(told: Vault, chain: Chain, tmp_path: Path) -> None:
    granted = grant(told, tmp_path / "tool", "claude", private=True)

    async def talk() -> None:
        async with connected(in_process(granted.reader)) as client:
            assert await texts_found(client, "Ines") == [INES]
            left = granted.result.expires - told.record().block.time
            chain.pass_time(int(left.total_seconds()) + 1)
            assert "The grant ended on" in await refused(client, "memory_search", query="Ines")

    run(talk)


def test_reader__without_a_passphrase__is_there_and_says_that_it_is_locked(granted: Granted, tmp_path: Path) -> None:
    async def talk() -> None:
        server = started_by_a_client(tmp_path / "tool", "--as-reader", "claude", passphrase=None)
        async with connected(server) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == READING
            words = await refused(client, "memory_search", query="Ines")
            assert "Locked: This process was given no passphrase" in words
            assert "memsync passphrase keep" in words

    run(talk)


def test_reader__with_another_passphrase__says_that_it_is_locked_and_not_which(
    granted: Granted, tmp_path: Path
) -> None:
    async def talk() -> None:
        async with connected(in_process(Reader(Home(tmp_path / "tool"), "claude", "not this one"))) as client:
            words = await refused(client, "memory_search", query="Ines")
            assert "Locked: The passphrase does not open" in words
            assert "not this one" not in words

    run(talk)


def test_process__standard_output__carries_the_protocol_alone_and_ends_with_the_input(
    granted: Granted, tmp_path: Path
) -> None:
    """Byte by byte: what a client writes, and all that comes back, of calls that succeed, fail, and mean nothing."""
    secret = tmp_path / "secret"
    secret.write_text(PASSPHRASE)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    search = {"name": "memory_search", "arguments": {"query": "Ines"}}
    requests: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": search},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "memory_search", "arguments": {}}},
        {"jsonrpc": "2.0", "id": 4, "method": "no/such/method"},
    ]
    with secret.open() as opened:
        descriptor = opened.fileno()
        words = ["--home", str(tmp_path / "tool"), "--passphrase-fd", str(descriptor), "mcp", "--as-reader", "claude"]
        process = subprocess.Popen(
            [MEMSYNC, *words], stdin=-1, stdout=-1, stderr=-1, pass_fds=[descriptor], text=True, env=dict(os.environ)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            answers: list[dict[str, Any]] = []
            for request in requests:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                if "id" in request:
                    answers.append(json.loads(process.stdout.readline()))
            out, err = process.communicate("not a message\n", timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
    assert [line["id"] for line in answers] == [1, 2, 3, 4]
    assert all(line["jsonrpc"] == "2.0" for line in answers + [json.loads(line) for line in out.splitlines()])
    assert INES in json.dumps(answers[1])
    assert (process.returncode, err) == (0, "")
