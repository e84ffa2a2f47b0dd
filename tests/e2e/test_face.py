"""How the command looks on a terminal and in a pipe: colours, bars, prices before and after, and a yes where there is
no way back."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from memsync_client.client import Client
from memsync_client.home import Home
from memsync_client.keyring import Role
from memsync_client.reader import new_reader
from memsync_client.vault import Vault
from tests.e2e.machines import MEMSYNC, PASSPHRASE, SECONDS, Machine, again, grant, texts


def shown(
    machine: Machine, *words: str, into: IO[str] | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """All that a command shows on a terminal, its answer in the file ``into`` where there is one."""
    ours, theirs = pty.openpty()
    reading, writing = os.pipe()
    os.write(writing, machine.passphrase.encode() + b"\n")
    os.close(writing)
    process = subprocess.Popen(
        [MEMSYNC, "--passphrase-fd", str(reading), *words],
        env=machine.environment | {"TERM": "xterm"} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=into or theirs,
        stderr=theirs,
        pass_fds=[reading],
    )
    os.close(theirs)
    os.close(reading)
    seen, deadline = b"", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.5)[0]:
                continue
            try:
                more = os.read(ours, 65_536)
            except OSError:  # the end of a terminal, on Linux
                break
            if not more:
                break
            seen += more
        assert process.wait(SECONDS) == 0, seen.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen.decode()


def test_terminal__has_colours_and_bars_and_none_when_asked(desk: Client, novel: Vault, machine: Machine) -> None:
    for number in range(40):
        novel.remember(f"{number} " + "long enough for several packs " * 2_000)
    machine.data("sync")
    shows = shown(machine, "list", "--limit", "1")
    assert "reading" in shows
    assert "100%" in shows
    status = shown(machine)
    assert "\x1b[32mNext:\x1b[0m" in status
    for words, environment in ((("--no-color",), {}), ((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"})):
        plain = shown(machine, *words, environment=environment)
        assert "Next: " in plain
        assert "\x1b" not in plain


def test_pipe__has_neither(novel: Vault, machine: Machine) -> None:
    for number in range(40):
        novel.remember(f"{number} " + "long enough for several packs " * 2_000)
    done = machine.quick("sync")
    assert done.code == 0
    for said in (done.out, done.err, machine.quick().out):
        assert "\x1b" not in said
        assert "%" not in said


def test_invitation__into_a_file__the_terminal_shows_what_is_said_of_it(
    novel: Vault, machine: Machine, tmp_path: Path
) -> None:
    card = str(new_reader(Home(tmp_path / "tool"), "claude", PASSPHRASE))
    with open(tmp_path / "invitation.txt", "w") as file:
        shows = shown(machine, "grant", card, into=file)
    given = (tmp_path / "invitation.txt").read_text()
    assert "claude can read ALL" in shows
    assert "memsync-invitation1:" in given
    assert "memsync-invitation1:" not in shows
    assert "memsync-invitation1:" in shown(machine, "grant", card, "--for", "91d")
    assert machine.quick("grant", card, "--for", "92d").err == ""


def test_numbers__of_a_thousand__have_a_comma(novel: Vault, machine: Machine, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(f'{{"id": "{n}", "content": "Line {n}."}}\n' for n in range(1_000)))
    for _ in range(2):
        machine.data("import", str(lines))
    assert "2,000 waiting" in machine.quick("vault", "list").out
    said = machine.quick("sync").out
    assert ": 1,000 sealed" in said
    assert " 1,000 were in the vault already." in said


def test_dry_runs__tell_the_gas_that_it_then_takes(
    desk: Client, novel: Vault, machine: Machine, tmp_path: Path
) -> None:
    novel.remember("first")
    (before,) = machine.data("sync", "--dry-run", passphrase=None)
    assert (before["waiting"], before["dry_run"], novel.record().version) == (1, True, 1)
    (after,) = machine.data("sync")
    assert after["gas"] * 0.9 < before["gas"] < after["gas"] * 1.1  # zero bytes cost less
    assert after["fee"] > 0
    assert before["fee"] > 0
    assert machine.data("sync", "--dry-run")[0]["gas"] is None  # nothing to commit

    grant(novel, tmp_path / "tool", "claude")
    assert machine.refusal("revoke", "nobody", "--dry-run")["name"] == "UnknownReader"
    dry = machine.data("revoke", "claude", "--dry-run")
    assert (dry["readers"], len(novel.grants())) == (["claude"], 1)
    taken = machine.data("revoke", "claude")
    assert taken["gas"] * 0.9 < dry["gas"] < taken["gas"] * 1.1

    dry = machine.data("rotate", "--dry-run")
    turned = machine.data("rotate")["transactions"][0]
    assert turned["gas"] * 0.9 < dry["gas"] < turned["gas"] * 1.1


def test_no_way_back__asks__and_yes_answers(desk: Client, novel: Vault, machine: Machine, tmp_path: Path) -> None:
    memory = novel.remember("first")
    novel.sync()
    for words in (
        ("revoke", "--all"),
        ("rotate", "--clean"),
        ("forget", memory.id.hex()),
        ("vault", "close", "novel"),
        ("vault", "move", "novel", (tmp_path / "blobs").as_uri() + "/"),
        ("device", "remove", desk.session.config.device),
        ("device", "rekey"),
    ):
        refused = machine.refusal(*words)
        assert refused["cause"].startswith("This needs a yes"), words
        if words[:2] in (("rotate", "--clean"), ("forget", memory.id.hex()), ("device", "rekey")):
            assert "gas, free here?" in refused["cause"]
        assert "--dry-run" in refused["next_step"]
    key = desk.session.device_public.id
    dry = machine.data("device", "rekey", "--dry-run")
    assert (dry["old_key"], dry["vaults"], 40_000 < dry["gas"] < 100_000) == (key.hex(), ["novel"], True)
    assert (novel.record().version, again(desk).session.device_public.id) == (2, key)
    done = machine.data("device", "rekey", "--yes")
    assert done["transactions"][0]["gas"] * 0.9 < dry["gas"] < done["transactions"][0]["gas"] * 1.1
    assert (done["key"] != key.hex(), again(desk).session.device_public.id.hex()) == (True, done["key"])


def test_revoke_all__leaves_readers_out_and_keeps_the_owner(novel: Vault, machine: Machine, tmp_path: Path) -> None:
    novel.remember("first")
    novel.sync()
    grant(novel, tmp_path / "tool", "claude")
    grant(novel, tmp_path / "private", "private", private=True)
    assert machine.quick("revoke").code == 2
    dry = machine.data("revoke", "--all", "--dry-run")
    assert sorted(dry["readers"]) == ["claude", "private"]
    done = machine.data("revoke", "--all", "--yes")
    assert (done["reader"], len(done["transactions"])) == (None, 2)
    assert [holder.role for holder in novel.roster().holders] == [Role.DEVICE]
    assert (novel.record().tenure, novel.record().locked) == (2, False)
    assert texts(novel) == ["first"]
