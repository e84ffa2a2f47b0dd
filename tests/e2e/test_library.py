"""The Python of the README runs, block after block in one namespace, in an empty folder. Its commands: test_readme."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from memsync_client.client import PRACTICE_RPC
from tests.nodes import Chain

README = Path(__file__).parents[2] / "README.md"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_readme__python__runs(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(README.read_text(encoding="utf-8"), "python")
    assert any(PRACTICE_RPC in block for block in found)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(found, 1):
        text = block.replace(PRACTICE_RPC, chain.rpc_url)
        exec(compile(text, f"README.md, Python block {number}", "exec"), namespace)  # noqa: S102
    said = capsys.readouterr()
    assert said.out.count("Ines is left-handed.") == 2  # the owner's recall and the tool's
    assert "was revoked" in said.out
    assert said.err == ""
