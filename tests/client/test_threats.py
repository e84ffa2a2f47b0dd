"""THREATS.md: every claim names a test that is there, and what it admits is so."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

import memsync_client
from memsync_client import keyfile
from memsync_client.errors import WrongPassphrase
from memsync_client.home import Config, Home
from memsync_client.memories import new
from memsync_client.outbox import Outbox
from tests.client.material import PLACE, holder

TESTS = Path(__file__).parents[1]
TEXT = (Path(memsync_client.__file__).parent / "THREATS.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_\w+)`")
SECTION = re.compile(r"^## ", re.MULTILINE)
PARTS = ["Learns", "Can", "We do", "Left"]
UNSHOWN = "*(not shown)*"


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def claims(text: str) -> list[str]:
    """Each point of a list, with the lines that belong to it."""
    return re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)


def test_threats__every_test_that_is_named__is_there() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > 80
    assert TEXT.count("::") == len(named)
    assert [f"{path}::{name}" for path, name in named if name not in functions_in(path)] == []


def test_threats__every_claim__names_a_test_or_says_that_none_shows_it() -> None:
    found = claims(TEXT)
    assert len(found) > 70
    assert [claim for claim in found if bool(NAMED.search(claim)) == (UNSHOWN in claim)] == []


def test_threats__of_each_attacker__are_said_in_four_parts() -> None:
    sections = SECTION.split(TEXT)[1:]
    attackers = [section for section in sections if not section.startswith("Forget")]
    assert len(attackers) == 14
    for section in attackers:
        parts = re.findall(r"^\*\*(\w[\w ]*)\*\*$", section, re.MULTILINE)
        assert parts == (["Learns", "We do", "Left"] if section.startswith("A package") else PARTS), section[:40]


def test_checker__claim_without_a_test__is_found() -> None:
    bare, shown = claims("- A claim\n  of two lines.\n\n- Another.\n  `client/test_x.py::test_y`\n")
    assert not NAMED.search(bare)
    assert NAMED.search(shown)


# What it admits -------------------------------------------------------------------------------------------------------


def test_left__labels_names_and_the_node_stand_in_a_home_in_plain_text(tmp_path: Path) -> None:
    home = Home(tmp_path)
    url = "https://node.example/v1/an-api-key"
    home.write_config(Config(1, url, "0x" + "11" * 20, "0x" + "22" * 20, device="Pelargonium laptop"))
    home.label("the novel", b"\x07" * 32)
    Outbox(home.vault_folder(b"\x07" * 32) / "outbox", PLACE).add(holder("laptop").xwing.public, [new("a"), new("b")])
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = b"\n".join(files.values())
    for plain in (url, "Pelargonium laptop", "the novel", "0x" + "22" * 20):
        assert plain.encode() in told
    assert [name for name in files if re.match(r"000000000001-2-", name)]  # two memories wait


def test_left__outbox_is_sealed_to_the_key_that_device_key_names_until_the_next_unlock(tmp_path: Path) -> None:
    path, thief = tmp_path / "device.key", holder("thief")
    keyfile.create(path, "a passphrase")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"public": thief.xwing.public.raw.hex()}))
    outbox = Outbox(tmp_path / "outbox", PLACE)
    outbox.add(keyfile.public_key(path), [new("for me alone")])
    assert outbox.read(thief)[0].memories[0].content == "for me alone"
    with pytest.raises(WrongPassphrase):
        keyfile.unlock(path, "a passphrase")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-proofs.lock"])
def test_locks__name_version_and_hashes_of_every_package(name: str) -> None:
    lines = (TESTS.parent / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert packages
    assert [line for line in packages if not re.match(r"[\w.\[\]-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line)] == []
