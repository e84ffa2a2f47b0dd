"""The MCP Inspector's command line, another implementation in another language, asks `memsync mcp` all that it can be
asked: over stdio, and over HTTP with a token. Each call is a client of its own that connects anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memsync_client.client import Client
from memsync_client.tools import Tools
from memsync_client.vault import Vault
from tests.e2e.machines import SECONDS, grant
from tests.e2e.tools import serving_http, started_by_a_client

NODE = Path(sys.executable).with_name("node")
INSPECTOR = Path(sys.prefix) / "inspector/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
_MILLISECONDS = str(SECONDS * 1_000)  # to connect, on a busy machine
INES = "Ines is left-handed."
READING = {"memory_search", "memory_get", "memory_recent", "memory_status", "search", "fetch"}


@pytest.fixture
def vault(lone: Client) -> Vault:
    made = lone.new_vault("novel").vault
    made.remember(INES)
    made.sync()
    return made


class Inspected:
    """A server as the Inspector sees it."""

    def __init__(self, target: list[str], folder: Path) -> None:
        self._target, self._folder = target, folder

    def ask(self, method: str, *words: str, code: int = 0) -> dict[str, Any]:
        """The result that it prints for one request."""
        done = subprocess.run(
            [NODE, INSPECTOR, "--cli", *self._target, "--connect-timeout", _MILLISECONDS, "--method", method, *words],
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            cwd=self._folder,
            env={"HOME": str(self._folder), "PATH": f"{NODE.parent}:/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def call(self, tool: str, code: int = 0, **arguments: str) -> dict[str, Any]:
        """What a tool answers."""
        pairs = [word for name, value in arguments.items() for word in ("--tool-arg", f"{name}={value}")]
        return self.ask("tools/call", "--tool-name", tool, *pairs, code=code)


@pytest.fixture
def reader(vault: Vault, tmp_path: Path) -> Inspected:
    """Over stdio, as a granted reader."""
    if not INSPECTOR.is_file():
        pytest.fail("there is no MCP Inspector here: make setup-inspector")
    grant(vault, tmp_path / "tool", "claude")
    server = started_by_a_client(tmp_path / "tool", "--as-reader", "claude")
    environment = [word for name, value in (server.env or {}).items() for word in ("-e", f"{name}={value}")]
    return Inspected([*environment, server.command, *server.args], tmp_path)


@pytest.fixture
def owners(lone: Client, vault: Vault, tmp_path: Path) -> Iterator[Inspected]:
    """Over HTTP, on a device of the owner's."""
    token = Tools(lone.home.folder).new_token("inspector")
    with serving_http(lone.home.folder) as url:
        yield Inspected([url, "--header", f"Authorization: Bearer {token}"], tmp_path)


def test_inspector__over_stdio__lists_searches_reads_and_hears_of_a_revocation(reader: Inspected, vault: Vault) -> None:
    tools = {tool["name"]: tool for tool in reader.ask("tools/list", "--strict")["tools"]}
    assert tools.keys() == READING
    for tool in tools.values():
        hints = tool["annotations"]
        assert [hints[f"{name}Hint"] for name in ("readOnly", "destructive", "idempotent", "openWorld")] == [
            True,
            False,
            True,
            False,
        ]
        assert tool["title"]
    found = reader.call("memory_search", query="which hand does Ines use")
    assert not found.get("isError")
    (hit,) = found["structuredContent"]["memories"]
    assert (hit["text"], json.loads(found["content"][0]["text"])) == (INES, found["structuredContent"])
    (result,) = reader.call("search", query="handed")["structuredContent"]["results"]
    assert reader.call("fetch", id=result["id"])["structuredContent"]["text"] == INES
    (resource,) = reader.ask("resources/read", "--uri", hit["url"])["contents"]
    assert f"> {INES}" in resource["text"]
    assert reader.ask("resources/templates/list")["resourceTemplates"][0]["uriTemplate"] == "memory://{id}"
    prompt = reader.ask("prompts/get", "--prompt-name", "recall_context", "--prompt-args", "topic=handed")
    assert INES in json.dumps(prompt)

    vault.revoke("claude")
    refused = reader.call("memory_search", query="handed", code=5)
    assert refused["isError"]
    assert "revoked" in refused["content"][0]["text"]


def test_inspector__over_http_with_its_token__proposes_under_its_name(owners: Inspected, vault: Vault) -> None:
    assert {tool["name"] for tool in owners.ask("tools/list", "--strict")["tools"]} == READING | {
        "memory_add",
        "memory_forget",
    }
    added = owners.call("memory_add", text="Ines plays the cello.")["structuredContent"]
    assert added["status"] == "waits"
    assert owners.call("memory_add", text="ines plays the cello")["structuredContent"]["status"] == "known"
    (proposal,) = vault.proposals()
    assert (proposal.tool, proposal.id.hex()) == ("inspector", added["id"])
