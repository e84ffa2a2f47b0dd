"""Tools over HTTP on this computer: each is known by its own token, and without one nobody comes in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from mcp.shared.exceptions import MCPError

from memsync_client.cli.app import App, root
from memsync_client.client import Client
from memsync_client.errors import InvalidRequest
from memsync_client.mcp_server.http import MAX_BODY, listen
from memsync_client.tools import Tools
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, SECONDS
from tests.e2e.tools import answer, aside, connected_over_http, run, serving_http, texts_found

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@pytest.fixture
def url(lone: Client, tmp_path: Path) -> Iterator[str]:
    """A vault of the owner's, served. Nobody has a token before the test gives one."""
    vault = lone.new_vault("novel").vault
    vault.remember("Ines is left-handed.")
    vault.sync()
    Tools(lone.home.folder).new_token("nobody")
    with serving_http(lone.home.folder) as served:
        yield served


def asks(url: str, token: str | None, **headers: str) -> requests.Response:
    """The first request of a client."""
    given = {"Accept": "application/json, text/event-stream"} | headers
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    return requests.post(url, json=INITIALIZE, headers=given, timeout=SECONDS)


def test_http__two_tools_with_tokens__are_told_apart_and_a_removed_token_ends_at_once(lone: Client, url: str) -> None:
    tools = Tools(lone.home.folder)
    claude, cursor = tools.new_token("claude"), tools.new_token("cursor")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mcp", url)

    async def talk() -> None:
        async with connected_over_http(url, claude) as one, connected_over_http(url, cursor, "legacy") as two:
            assert (one.protocol_version, two.protocol_version) == ("2026-07-28", "2025-11-25")
            assert await texts_found(one, "handed") == await texts_found(two, "handed") == ["Ines is left-handed."]
            assert (await answer(one, "memory_add", text="From one."))["status"] == "waits"
            assert (await answer(two, "memory_add", text="From two."))["status"] == "waits"
            tools.remove_token("cursor")
            assert asks(url, cursor).status_code == 401
            assert await texts_found(one, "handed") == ["Ines is left-handed."]
            with pytest.raises(MCPError):
                await texts_found(two, "handed")
            await aside(Client(lone.home, PASSPHRASE).vault("novel").rekey)  # while it is served
            assert await texts_found(one, "handed") == ["Ines is left-handed."]
            assert (await answer(one, "memory_add", text="Under the new key."))["status"] == "waits"

    run(talk)
    proposed = Client(lone.home, PASSPHRASE).vault("novel").proposals()
    assert [(proposal.tool, proposal.add.content) for proposal in proposed if proposal.add] == [
        ("claude", "From one."),
        ("cursor", "From two."),
        ("claude", "Under the new key."),
    ]

    # Without a token, with a wrong one, from a web page, by another name, too long: nobody comes in or is told a word.
    for token in (None, "", "x", claude[:-1], f"{claude}x", cursor, Tools(lone.home.folder).all()["claude"].token):
        refused = asks(url, token)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Ines" not in refused.text
        assert claude not in refused.text
    assert asks(url, claude).status_code == 200
    assert asks(url, claude, Origin="https://evil.example").status_code == 403
    assert asks(url, claude, Host="evil.example").status_code == 421
    long = {"Authorization": f"Bearer {claude}", "Content-Type": "application/json"}
    assert requests.post(url, data=b" " * (MAX_BODY + 1), headers=long, timeout=SECONDS).status_code == 413


def test_http__nobody_has_a_token__does_not_start(owner: Client, vault: Vault) -> None:
    words = ["--home", str(owner.home.folder), "mcp", "--http", "--port", "0", "--vault", vault.label]
    done = CliRunner().invoke(root, words, obj=App(owner.home), standalone_mode=False)
    assert isinstance(done.exception, InvalidRequest)
    assert done.exception.next_step == "memsync mcp token new NAME"


def test_listen__port_that_is_taken__is_refused_and_it_is_loopback_alone() -> None:
    with listen(0) as taken:
        host, port = taken.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(InvalidRequest, match=f"Port {port} of 127.0.0.1 is taken"):
            listen(port)


def test_token__in_a_terminal__is_shown_once_listed_by_name_and_removed(owner: Client) -> None:
    def memsync(*words: str) -> list:
        call = ["--home", str(owner.home.folder), "--json", "mcp", "token", *words]
        done = CliRunner().invoke(root, call, obj=App(owner.home), standalone_mode=False)
        assert done.exception is None
        found = json.loads(done.output)["data"]
        return found if isinstance(found, list) else [found]

    (made,) = memsync("new", "phone")
    assert Tools(owner.home.folder).tool_of(made["token"]) == "phone"
    assert memsync("list") == [{"tool": "phone"}]
    assert memsync("remove", "phone") == [{"tool": "phone"}]
    assert memsync("list") == []
