"""The main job by the real command: four computers that share a node and a blob folder, each command a process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from memsync_client.cli.app import root
from tests.e2e.machines import Machine, new_machine, running_node
from tests.nodes import free_port

SCRIPTS = Path(__file__).parents[2] / "scripts"
SAMPLE = SCRIPTS / "sample.jsonl"
PLAINTEXT_OF_SALT_22 = "Correction: the works closed in 1963, not 1961."

# Commands that have tests of their own: test_kit_commands.py, test_own_devices.py, test_forget.py, test_exchange.py,
# test_standing.py, client/test_completion.py, test_ownership.py.
ELSEWHERE = {
    "export",
    "log",
    "completion",
    *("vault offer", "vault cancel-offer", "vault accept", "vault close", "vault let-go", "device card"),
    *("vault recovery set", "vault recovery start", "vault recovery veto", "vault recovery finish"),
    *("config", "relay", "rpc", "vault go-on"),
    *("kit make", "kit check", "kit sheet", "device new", "device add", "device join", "device list", "device remove"),
    *("forget", "rotate", "device rekey"),
    *("connect", "disconnect"),
    *("inbox list", "inbox approve", "inbox reject", "inbox trust"),
    *("mcp token new", "mcp token list", "mcp token remove"),
    *("host add", "host list", "host remove", "host forget", "repair", "vault move"),
    *("passphrase keep", "passphrase forget", "passphrase status", "passphrase change"),
}


def questions() -> list[tuple[str, set[str]]]:
    """Each question with the texts of the memories that answer it."""
    said = {item["id"]: item["content"] for item in map(json.loads, SAMPLE.read_text().splitlines())}
    asked = [json.loads(line) for line in (SCRIPTS / "sample_questions.jsonl").read_text().splitlines()]
    return [(item["question"], {said[name] for name in item["evidence"]}) for item in asked]


def leaves(group: click.Group, prefix: str = "") -> set[str]:
    """All commands, as the envelope names them."""
    found = set()
    for name, command in group.commands.items():
        found |= leaves(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {prefix + name}
    return found


def contents(answer: list[dict[str, Any]]) -> list[str]:
    return [memory["content"] for memory in answer]


def test_first_light(tmp_path: Path) -> None:
    owner, tool, stranger, restored = (
        new_machine(tmp_path / name, f"pass of {name}") for name in ("owner", "tool", "stranger", "restored")
    )
    with running_node(owner, free_port()) as node:
        status(owner, initialised=False)
        start(owner, node["rpc"])
        lend(owner, tool, stranger)
        for machine in (owner, tool, stranger, restored):
            machine.forked = True  # most of what comes are the same commands
        take_back(owner, tool)
        bring_back(owner, restored, node["rpc"])
    seen = owner.commands | tool.commands | stranger.commands | restored.commands
    assert seen | ELSEWHERE == leaves(root) | {"status"}


def status(machine: Machine, **expected: object) -> dict[str, Any]:
    """Bare `memsync`, whose envelope says "status"."""
    answer = machine.run("--json", passphrase=None).answer
    machine.commands.add(answer["command"])
    assert answer["command"] == "status"
    data: dict[str, Any] = answer["data"]
    assert {key: data[key] for key in expected} == expected
    return data


def start(owner: Machine, rpc: str) -> None:
    """A home, a vault, and the sample in one transaction."""
    made = owner.data("init", "--rpc", rpc, "--no-kit")
    assert (made["home"], made["chain_id"]) == (str(owner.folder), 31337)
    vault = owner.data("vault", "new", "white-water")
    assert vault["gas"] > 0

    dry = owner.data("import", str(SAMPLE), "--dry-run", passphrase=None)
    assert (dry["memories"], dry["waiting"], dry["dry_run"]) == (55, 0, True)
    assert owner.data("import", str(SAMPLE), passphrase=None)["waiting"] == 55
    assert owner.data("remember", "Ines is left-handed.", "--tag", "character", passphrase=None)["waiting"] == 56
    assert owner.data("vault", "list", passphrase=None) == [
        {"name": "white-water", "vault": vault["vault"], "waiting": 56, "over": None}
    ]
    before = status(owner)["vaults"][0]

    (synced,) = owner.data("sync")
    assert (synced["committed"], synced["already"], synced["version"]) == (56, 0, 2)
    after = status(owner)["vaults"][0]
    assert (before["waiting"], after["waiting"]) == (56, 0)
    assert (after["version"], after["block"]) == (before["version"] + 1, before["block"] + 1)  # one transaction

    owner.data("import", str(SAMPLE))
    (again,) = owner.data("sync")
    assert (again["committed"], again["already"], again["version"]) == (0, 55, 2)
    assert "tx" not in again
    shown = owner.data("vault", "show", passphrase=None)
    assert (shown["version"], shown["epoch"], shown["locked"]) == (2, 1, False)


def lend(owner: Machine, tool: Machine, stranger: Machine) -> None:
    """A granted reader finds the answers; a stranger with the same invitation and a key of its own does not."""
    card = tool.data("reader", "new", "claude")["card"]
    assert tool.data("reader", "card") == {"card": card}
    assert tool.run("reader", "card").out == card + "\n"
    stranger.data("reader", "new", "mallory")

    assert owner.data("grant", card, "--dry-run", passphrase=None)["dry_run"] is True
    granted = owner.data("grant", card, "--for", "12w")
    (line,) = owner.data("grants")
    assert (line["reader"], line["private"], line["living"]) == ("claude", False, True)
    assert line["expires"] == granted["expires"]

    joined = tool.data("reader", "join", granted["invitation"])
    assert (joined["reader"], joined["expires"]) == ("claude", granted["expires"])
    shown, printed = tool.home / "card.txt", tool.home / "invitation.txt"  # as the README has it: whole outputs
    shown.write_text(tool.run("reader", "card").out)
    printed.write_text(owner.run("grant", str(shown), "--for", "13w").out)
    assert "Give the reader this invitation" in printed.read_text()
    assert tool.data("reader", "join", str(printed))["expires"] > granted["expires"]
    for question, evidence in questions():
        assert evidence & set(contents(tool.data("recall", question))), question
        tool.forked = True  # a process of its own for each would show no more
    assert len(tool.data("list")) == 56

    refused = stranger.refusal("reader", "join", granted["invitation"])
    assert (refused["name"], refused["exit_code"]) == ("AccessEnded", 53)
    assert "opens nothing" in refused["cause"]
    assert stranger.refusal("recall", "salt")["name"] == "NotInitialised"


def take_back(owner: Machine, tool: Machine) -> None:
    """After a revocation the owner goes on, and the reader gets nothing more."""
    assert len(owner.data("revoke", "claude")["transactions"]) == 2
    refused = tool.run("recall", "salt")
    assert refused.code == 53
    assert "'claude' was revoked or has expired" in refused.err
    assert "What was read before stays readable" in refused.err
    assert refused.out == ""

    (found,) = owner.data("recall", "closed plaque wrong", "--limit", "1")
    assert found["content"].startswith(PLAINTEXT_OF_SALT_22)
    owner.data("edit", found["id"][:12], "The works closed in March 1963; the plaque is wrong.")
    owner.data("remember", "The heron is on the cover.")
    (synced,) = owner.data("sync")
    assert synced["committed"] == 2
    assert tool.refusal("recall", "heron on the cover")["exit_code"] == 53
    assert tool.refusal("list")["exit_code"] == 53
    assert owner.data("grants") == []
    report = owner.data("verify")
    assert (report["memories"], report["whole"], report["epoch"]) == (58, True, 2)
    assert report["proven"] in range(58)
    assert " 58 entries, " in owner.run("verify").out


def bring_back(owner: Machine, restored: Machine, rpc: str) -> None:
    """A new machine with a copy of the device key file has the same memories, and no word of them in plain text."""
    key = restored.home / "copied.key"
    shutil.copy(owner.folder / "device.key", key)
    wallet = status(owner)["owner"]
    words = ("restore", str(key), "--owner", wallet, "--rpc", rpc)
    (found,) = restored.data(*words, passphrase=owner.passphrase)
    assert (found["name"], found["memories"]) == ("white-water", 57)
    assert restored.data("list", passphrase=owner.passphrase) == owner.data("list")

    for machine in (owner, restored):
        for path in filter(Path.is_file, machine.folder.rglob("*")):
            content = path.read_bytes()
            assert b"heron" not in content, path
            assert b"Veyrmouth" not in content, path


def test_help__bare__names_every_command(tmp_path: Path) -> None:
    done = new_machine(tmp_path / "home").run("--help", passphrase=None)
    assert (done.code, done.err) == (0, "")
    listed = [line.split()[0] for line in done.out.partition("Begin:")[2].splitlines() if line.startswith("  ")]
    assert sorted(set(listed) - {"Begin", "memsync"}) == sorted(root.commands)
