"""A program in another language, written from FORMAT.md, reads a real vault from its blob folder, a node, an invitation
and a reader's key file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memsync_client.client import Client
from memsync_client.heads import BASE_EVERY
from memsync_client.home import Home
from memsync_client.memories import Memory, Source
from memsync_client.reader import Reader, new_reader
from memsync_client.vault import Vault
from tests import node
from tests.e2e.machines import PASSPHRASE, grant, new_vault


@dataclass(frozen=True)
class Tool:
    """A granted reader, and the files that another program needs to read in its place."""

    reader: Reader
    key_file: Path
    invitation: Path


def granted(vault: Vault, folder: Path, name: str, **how: Any) -> Tool:
    home = Home(folder)
    result = vault.grant(new_reader(home, name, PASSPHRASE), **how)
    reader = Reader(home, name, lambda: PASSPHRASE)
    reader.join(result.invitation)
    invitation = folder / "invitation.txt"
    invitation.write_text(f"{result.invitation}\n")
    return Tool(reader, home.reader_folder(name) / "reader.key", invitation)


def read(tool: Tool, blobs: Path) -> tuple[list[dict[str, Any]], str]:
    """What the other program prints of a vault: memories, and errors."""
    done = node.run("read.mjs", tool.key_file, tool.invitation, blobs, given=f"{PASSPHRASE}\n")
    assert (done.returncode == 0) == (done.stderr == "")
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def as_printed(memory: Memory) -> dict[str, Any]:
    source: Source | None = memory.source
    return {
        "id": memory.id.hex(),
        "content": memory.content,
        "created": memory.created and str(int(memory.created.timestamp()) * 1_000_000 + memory.created.microsecond),
        "type": memory.type,
        "tags": list(memory.tags),
        "source": source and [source.platform, source.conversation, source.foreign_id],
    }


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def test_read__vault_of_many_commits_and_three_epochs__all_that_each_reader_may(
    owner: Client, blobs: Path, tmp_path: Path
) -> None:
    vault = new_vault(owner, "many commits", blobs)
    for number in range(BASE_EVERY + 2):  # past the first base
        vault.remember(f"Chapter {number} ends on the bridge — «Kapitel» 第{number}章.", tags=["draft"])
        vault.sync()
    kept = granted(vault, tmp_path / "kept", "kept")
    grant(vault, tmp_path / "gone", "gone")
    vault.revoke("gone")
    vault.remember("Sealed in the second epoch.")
    vault.sync()
    first = next(memory for memory in vault.memories() if "Chapter 0" in memory.content)
    vault.edit(first.id.hex(), "Chapter 0 ends on the quay.")
    vault.sync()
    back = granted(vault, tmp_path / "back", "back")
    today = granted(vault, tmp_path / "today", "today", private=True, from_now=True)
    vault.remember("Sealed after the last grant.")
    vault.sync()

    texts = [memory.content for memory in vault.memories()]
    assert len(texts) == BASE_EVERY + 4
    for tool in (kept, back):
        expected = [as_printed(memory) for memory in tool.reader.memories()]
        assert [item["content"] for item in expected] == texts
        assert read(tool, blobs) == (expected, "")
    expected = [as_printed(memory) for memory in today.reader.memories()]
    assert 0 < len(expected) < len(texts)
    assert read(today, blobs) == (expected, "")


def test_read__by_a_reader_that_was_revoked__access_ended(vault: Vault, tmp_path: Path) -> None:
    tool = granted(vault, tmp_path / "tool", "tool")
    vault.revoke("tool")
    vault.sync()
    memories, error = read(tool, tmp_path / "blobs")
    assert memories == []
    assert error.startswith("AccessEnded: ")


def test_read__of_changed_blobs__tampered(vault: Vault, tmp_path: Path) -> None:
    tool, blobs = granted(vault, tmp_path / "tool", "tool"), tmp_path / "blobs"
    for blob in blobs.iterdir():
        whole = blob.read_bytes()
        blob.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert read(tool, blobs)[1].startswith("Tampered: ")
