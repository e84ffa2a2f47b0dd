"""The README is true: its Python runs, and its commands exist.

Python blocks run in order in one namespace, in an empty folder, with the address of a running practice chain in the
place of the usual one. Lines of sh blocks that begin with ``memsync`` (after a ``$ ``, or not) are parsed by the
command itself, up to the first shell operator.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from memsync_client.cli.app import App, root
from memsync_client.client import PRACTICE_RPC
from tests.nodes import Chain

README = Path(__file__).parents[2] / "README.md"
OPERATOR = re.compile(r"\d*[<>|&;]")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words after ``memsync`` of each command line in the sh blocks."""
    found = []
    for block in blocks(text, "(?:sh|console)"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["memsync"]:
                end = next((at for at, word in enumerate(words) if OPERATOR.match(word)), len(words))
                found.append(words[1:end])
    return found


def groups_and_leaves(command: click.Command) -> list[click.Command]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(leaf for other in below for leaf in groups_and_leaves(other))]


def parse(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Let the command read ``words``, and do nothing else. Raises click.ClickException."""
    for command in groups_and_leaves(root):
        patch.setattr(command, "callback", lambda **_: None)
    root.main(words, standalone_mode=False, obj=App())


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


def test_readme__commands__exist(monkeypatch: pytest.MonkeyPatch) -> None:
    found = commands(README.read_text(encoding="utf-8"))
    assert {"init", "remember", "sync", "grant", "revoke"} <= {words[0] for words in found if words}
    for words in found:
        try:
            parse(words, monkeypatch)
        except click.ClickException as error:
            pytest.fail(f"README: memsync {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize(
    "line", ["memsync unlearn x", "$ memsync sync --now", "memsync grant card.txt --for ever", "memsync vault drop"]
)
def test_checker__command_that_does_not_exist__is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (words,) = commands(f"Text.\n\n```sh\n# memsync nothing\n{line} > out.txt  # why\n```\n")
    with pytest.raises(click.ClickException):
        parse(words, monkeypatch)


@pytest.mark.parametrize(
    "line", ["memsync", "memsync node &", 'memsync recall "left hand" | head', "memsync grant card.txt \\\n  --for 12w"]
)
def test_checker__command_that_exists__passes(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (words,) = commands(f"```sh\n{line}\n```\n")
    parse(words, monkeypatch)
