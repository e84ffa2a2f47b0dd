"""Completion in real shells: words come from the home alone, and a broken home only gives none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memsync_client.cli.app import root
from memsync_client.glance import write_glance
from memsync_client.home import Config, Home
from memsync_client.keyring import Holder, Role, Roster
from tests.client.material import holder

BIN = Path(sys.executable).parent
NOWHERE = "http://127.0.0.1:1"  # a node that nobody could ask

BASH = """
eval "$(memsync completion bash)"
COMP_WORDS=({words}) COMP_CWORD={last}
_memsync_completion memsync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# Outside of its line editor zsh has no completion to run: the script's own function is given what it would get.
ZSH = """
compdef() {{ : }}
eval "$(memsync completion zsh)"
_describe() {{ local name=$3; print -rl -- ${{"${{(@P)name}}"%%:*}} }}
compadd() {{ local name=${{@[-1]}}; print -rl -- "${{(@P)name}}" }}
words=({words}) CURRENT={after}
_memsync_completion
"""
FISH = """
memsync completion fish | source
complete -C '{line}'
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two vaults, one lent to two tools, and a reader of its own."""
    made = Home(tmp_path / "home")
    made.write_config(Config(31_337, NOWHERE, "0x" + "11" * 20, "0x" + "22" * 20, device="desk"))
    for number, label in enumerate(("novel", "notes"), 1):
        made.label(label, bytes([number]) * 32)
    until = datetime.now(UTC) + timedelta(days=9)
    holders = tuple(
        Holder(holder(name).xwing.public, Role.READER, name, 1, until, bytes([number]) * 20, bytes(32))
        for number, name in enumerate(("claude", "cursor"), 1)
    )
    private = replace(holders[0], name="clandestine", address=None)
    laptop = replace(holders[0], name="laptop", role=Role.DEVICE, expires=None, address=b"\x07" * 20)
    roster = Roster("novel", bytes(32), (*holders, private, laptop), until)
    write_glance(made.vault_folder(b"\x01" * 32), 3, 9, 2, roster, 5)
    made.reader_folder("my-tool").mkdir(parents=True)
    return made


def completed(shell: str, line: str, home: Path) -> list[str]:
    """What a Tab at the end of ``line`` offers."""
    words = line.split(" ")
    if shell == "bash":
        script = BASH.format(words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    elif shell == "zsh":
        script = ZSH.format(words=" ".join(f"'{word}'" for word in words), after=len(words))
    else:
        script = FISH.format(line=line)
    flags = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}[shell]
    done = subprocess.run(
        [shell, *flags, script],
        env={"HOME": str(home), "MEMSYNC_HOME": str(home), "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin"},
        cwd=home.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return [found.partition("\t")[0] for found in done.stdout.splitlines() if found]


LINES: list[tuple[str, set[str]]] = [
    ("memsync re", {name for name in root.commands if name.startswith("re")}),
    ("memsync log ", {"notes", "novel"}),
    ("memsync revoke c", {"claude", "cursor"}),
    ("memsync revoke --vault notes ", set()),
    ("memsync recall x --as ", {"my-tool"}),
    ("memsync device remove ", {"desk", "laptop"}),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_tab__in_bash__offers_what_the_home_knows(line: str, offered: set[str], home: Home) -> None:
    assert set(completed("bash", line, home.folder)) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_tab__in_other_shells__offers_the_same(shell: str, home: Home) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    for line, offered in LINES[:3]:
        assert set(completed(shell, line, home.folder)) == offered


def test_tab__damaged_home__offers_nothing_and_says_nothing(home: Home) -> None:
    (home.folder / "vaults.json").write_text("{")
    assert completed("bash", "memsync log ", home.folder) == []
    assert completed("bash", "memsync log ", home.folder.parent / "nowhere") == []
