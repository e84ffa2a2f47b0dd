"""In from other tools and out again, by the real command."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from memsync_client.errors import InvalidRequest
from tests.client.exports import chatgpt_zip, claude_zip
from tests.e2e.machines import Machine, new_machine, running_node
from tests.nodes import free_port


def test_exports_of_two_assistants__come_in_with_one_sync_and_go_out_again(tmp_path: Path) -> None:
    owner = new_machine(tmp_path / "owner")
    owner.forked = True  # each command in a process of its own: test_first_light
    chatgpt, claude = chatgpt_zip(tmp_path / "chatgpt.zip"), claude_zip(tmp_path / "claude.zip")
    with running_node(owner, free_port()) as node:
        owner.data("init", "--rpc", node["rpc"], "--no-kit")
        owner.data("vault", "new", "novel")
        dry = owner.data("import", str(chatgpt), "--dry-run", passphrase=None)
        assert (dry["format"], dry["kinds"], dry["waiting"]) == ("chatgpt", {"message": 6, "instruction": 1}, 0)
        assert dry["left_out"]["conversations not to be remembered"] == 1
        assert owner.data("import", str(chatgpt), passphrase=None)["waiting"] == 7
        assert owner.data("import", str(claude), passphrase=None)["waiting"] == 18
        pasted = owner.quick("import", "-", passphrase=None, stdin="[2024-05-01] - Ines likes licorice.\n")
        assert "paste: 1 memory" in pasted.out
        (synced,) = owner.data("sync")
        assert (synced["committed"], synced["version"]) == (19, 2)

        found = [
            owner.data("recall", words, "--limit", "1")[0] for words in ("fires let out", "bleak draft", "licorice")
        ]
        assert [memory["source"]["platform"] for memory in found] == ["chatgpt", "claude", "paste"]
        assert "SECRET" not in json.dumps(owner.data("list"))
        shown = owner.quick("list").out
        assert "In March 1963.      chatgpt\n" in shown
        assert "Ines likes licorice.      paste\n" in shown

        for path in (chatgpt, claude):
            assert "leaves out what is there already" in owner.quick("import", str(path)).out
        (again,) = owner.data("sync")
        assert (again["committed"], again["already"]) == (0, 18)
        leaves(owner, tmp_path)


def leaves(owner: Machine, tmp_path: Path) -> None:
    """Every format is written for its owner alone, never over something else, and adds nothing where it came from."""
    for format in ("jsonl", "omi", "pam", "markdown"):
        path = tmp_path / f"out-{format}"
        assert owner.data("export", "--format", format, "-o", str(path))["memories"] == 19
        for file in path.rglob("*") if path.is_dir() else [path]:
            assert stat.S_IMODE(os.stat(file).st_mode) == (0o700 if file.is_dir() else 0o600)
        # It is refused before it asks for a passphrase.
        refused = owner.refusal("export", "--format", format, "-o", str(path), passphrase=None)
        assert refused["name"] == InvalidRequest.__name__
        assert refused["cause"].startswith(str(path))
        owner.data("export", "--format", format, "-o", str(path), "--force")
        assert owner.data("import", str(path), passphrase=None)["memories"] == 19
    (again,) = owner.data("sync")
    assert (again["committed"], again["already"]) == (0, 4 * 19)
    shown = owner.quick("export", "--format", "paste")
    assert "[2024-05-01] - Ines likes licorice.\n" in shown.out
    assert "plaintext" in shown.err
    with pytest.raises(AssertionError):
        owner.data("export", "--format", "paste")
