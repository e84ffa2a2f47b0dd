"""The commands of the recovery kit, typed on a terminal and run by scripts."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memsync_client.errors import AccessEnded, InvalidKit
from memsync_client.home import Home
from memsync_client.keyring import Roster
from memsync_client.keys import PublicKey
from memsync_client.records import Receipt
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, Machine, keystore, new_machine
from tests.e2e.terminals import terminal
from tests.nodes import Chain


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = new_machine(tmp_path / "home")
    made.forked = True
    return made


def fd(machine: Machine, *words: str, lines: list[str], option: str = "--shares-fd") -> dict[str, object]:
    """A command that reads those lines from a file descriptor of their own."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    try:
        return dict(machine.quick(*words, option, str(reading), "--json").answer)
    finally:
        os.close(reading)


def status(machine: Machine) -> dict[str, Any]:
    """What bare `memsync` answers."""
    return dict(machine.quick("--json", passphrase=None).answer["data"])


def test_init__again_with_another_passphrase__says_whose_is_meant(chain: Chain, machine: Machine) -> None:
    words = ("init", "--rpc", chain.rpc_url, "--no-kit")
    machine.data(*words)
    (machine.folder / "config.json").unlink()  # as a killed one leaves it
    refused = machine.refusal(*words, passphrase="another")
    assert (refused["name"], "An earlier `init`" in refused["cause"]) == ("WrongPassphrase", True)
    assert "--home" in refused["next_step"]
    machine.data(*words)


def test_init__without_a_terminal_and_a_word_about_a_kit__names_both_ways(chain: Chain, machine: Machine) -> None:
    done = machine.quick("init", "--rpc", chain.rpc_url)
    assert done.code == 2
    assert "--kit " in done.err
    assert "--no-kit" in done.err
    assert "the memory is gone" in done.err
    assert not machine.folder.exists()
    assert machine.quick("init", "--rpc", chain.rpc_url, "--no-kit").code == 0
    assert machine.quick("kit", "sheet").code == InvalidKit.exit_code


def test_commands__kit_of_words_from_init_to_restore(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    quick = ("init", "--rpc", chain.rpc_url, "--wallet", str(keystore(tmp_path / "wallet.json")))
    made = machine.quick(*quick, "--kit", "--name", "desk", "--json").answer["data"]
    shares = made["kit"]["shares"]
    assert made["device"] == "desk"
    assert len(shares) == 3
    for path in filter(Path.is_file, machine.folder.rglob("*")):
        assert not any(word in path.read_text() for word in shares), path
    assert fd(machine, "kit", "check", lines=shares[:2])["ok"]  # before there is any vault
    machine.quick("vault", "new", "novel")
    machine.quick("remember", "Ines is left-handed.")
    assert machine.quick("sync").code == 0
    assert fd(machine, "kit", "check", lines=shares[1:])["data"] == [{"vault": "novel", "opens": True}]
    wrong = fd(machine, "kit", "check", lines=[shares[0], shares[1].replace(shares[1].split()[7], "acid")])
    assert wrong["error"]["name"] == "InvalidKit"  # type: ignore[index]
    sheet = machine.home / "sheet.txt"
    sheet.write_text(machine.quick("kit", "sheet").out)

    dry = machine.quick("kit", "make", "--dry-run", "--json").answer["data"]
    assert (dry["dry_run"], dry["replaces"]) == (True, ["novel"])
    refused = machine.quick("kit", "make", "--json").answer["error"]
    assert "would be void" in refused["cause"]
    assert "--yes" in refused["next_step"]

    new = new_machine(tmp_path / "new", machine.passphrase)
    words = ("restore", "--kit", "--sheet", str(sheet))
    plan = fd(new, *words, "--dry-run", "--keep-devices", lines=shares[1:])["data"]
    assert isinstance(plan, dict)
    assert plan["vaults"][0]["left_out"] == ["recovery kit (kit)"]
    assert [who.partition(", key ")[0] for who in plan["vaults"][0]["kept"]] == ["desk (device)"]
    assert not new.folder.exists()
    without = fd(new, *words, lines=shares[::2])["data"]
    assert isinstance(without, dict)
    assert (without["finished"], without["unlisted"], without["vaults"][0]["memories"]) == (False, [], 1)
    assert status(new)["restoring"] is True
    wallet = str(machine.folder / "wallet.json")
    done = new.quick("restore", "--kit", "--wallet", wallet, "--json").answer["data"]
    assert (done["finished"], len(done["kit"]["shares"])) == (True, 3)
    assert fd(new, "kit", "check", lines=done["kit"]["shares"][:2])["ok"]
    old = fd(new, "kit", "check", lines=shares[:2])["error"]
    assert isinstance(old, dict)
    assert "do not open novel" in old["cause"]
    assert machine.quick("list").code == AccessEnded.exit_code
    assert "Ines is left-handed." in new.quick("list").out


@pytest.fixture
def two(chain: Chain, machine: Machine, tmp_path: Path) -> list[str]:
    """Two vaults, each in a folder of its own, with a kit of these words."""
    wallet = str(keystore(tmp_path / "wallet.json"))
    made = machine.quick("init", "--rpc", chain.rpc_url, "--wallet", wallet, "--kit", "--json").answer["data"]
    for name in ("diary", "novel"):
        (tmp_path / name).mkdir()
        machine.data("vault", "new", name, "--base-uri", (tmp_path / name).as_uri() + "/")
    return list(made["kit"]["shares"])


def dying_between_vaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sets a kit in this process or a fork is killed when it comes to the vault ``novel``."""
    whole = Vault.set_kit

    def dies(vault: Vault, kit: PublicKey) -> list[Receipt]:
        if vault.label == "novel":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(vault, kit)

    monkeypatch.setattr(Vault, "set_kit", dies)


def test_kit_make__without_a_terminal_killed_between_vaults__has_shown_the_words(
    machine: Machine, two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        dying_between_vaults(patched)
        done = machine.quick("kit", "make", "--yes")
    assert done.code == -signal.SIGKILL
    lists = lists_in(done.out)
    error = fd(machine, "kit", "check", lines=lists[:2])["error"]
    assert isinstance(error, dict)
    assert "do not open novel:" in error["cause"]  # and they do open the other one
    assert status(machine)["kit_unseen"] is False


def test_kit_make__with_json_killed_between_vaults__status_and_check_say_so_until_there_is_another(
    machine: Machine, two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        dying_between_vaults(patched)
        done = machine.quick("kit", "make", "--yes", "--json")
    assert (done.code, done.out) == (-signal.SIGKILL, "")
    shown = status(machine)
    assert shown["kit_unseen"] is True
    assert shown["next"][0].startswith("memsync kit make ")
    assert "not known that anybody has its words" in machine.quick(passphrase=None).out
    error = fd(machine, "kit", "check", lines=two[:2])["error"]
    assert isinstance(error, dict)
    assert "nobody has them" in error["cause"]
    made = machine.data("kit", "make", "--yes")
    assert fd(machine, "kit", "check", lines=made["shares"][:2])["ok"]
    assert status(machine)["kit_unseen"] is False


def test_kit_make__with_json_refused_between_vaults__its_error_has_the_words(
    machine: Machine, two: list[str], tmp_path: Path
) -> None:
    (tmp_path / "novel").rename(tmp_path / "away")
    answer = json.loads(machine.quick("kit", "make", "--yes", "--json").out)
    assert answer["error"]["name"] == "StorageUnavailable"
    ((made,),) = (answer["error"]["done"],)
    assert status(machine)["kit_unseen"] is True
    (tmp_path / "away").rename(tmp_path / "novel")
    error = fd(machine, "kit", "check", lines=made["kit"]["shares"][1:])["error"]
    assert isinstance(error, dict)
    assert "do not open novel:" in error["cause"]


def test_restore__with_json_killed_between_vaults__the_next_one_makes_another_kit(
    machine: Machine, two: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.home / "sheet.txt").write_text(machine.quick("kit", "sheet").out)
    new = new_machine(tmp_path / "new")
    new.forked = True
    words = ("restore", "--kit", "--sheet", str(machine.home / "sheet.txt"))
    assert fd(new, *words, lines=two[:2])["ok"]
    words = ("restore", "--kit", "--wallet", str(machine.folder / "wallet.json"))
    whole = Vault.exchange

    def dies(vault: Vault, change: Callable[[Roster], Roster], **how: bool | None) -> list[Receipt]:
        if vault.label == "novel":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(vault, change, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "exchange", dies)
        assert new.quick(*words, "--json").out == ""
    assert Home(new.folder).kit().unseen  # type: ignore[union-attr]
    done = new.quick("restore", "--kit", "--json").answer["data"]
    assert fd(new, "kit", "check", lines=done["kit"]["shares"][:2])["ok"]
    assert status(new)["kit_unseen"] is False


def test_commands__kit_file(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    assert machine.quick("init", "--rpc", chain.rpc_url, "--no-kit", "--wallet", wallet).code == 0
    machine.quick("vault", "new", "novel")
    path = tmp_path / "usb.key"
    option = "--kit-passphrase-fd"
    made = fd(machine, "kit", "make", "--file", str(path), lines=["a pass of its own"], option=option)["data"]
    assert isinstance(made, dict)
    assert (made["file"], made["vaults"]) == (str(path), ["novel"])
    assert path.stat().st_mode & 0o777 == 0o600
    check = ("kit", "check", "--file", str(path))
    assert fd(machine, *check, lines=["a pass of its own"], option=option)["ok"]
    wrong = fd(machine, *check, lines=["another"], option=option)["error"]
    assert isinstance(wrong, dict)
    assert wrong["name"] == "WrongPassphrase"
    new = new_machine(tmp_path / "new")
    owner = machine.quick("--json", passphrase=None).answer["data"]["owner"]
    words = ["restore", "--kit-file", str(path), "--owner", owner, "--rpc", chain.rpc_url]
    words += ["--wallet", str(machine.folder / "wallet.json"), "--no-kit"]
    found = fd(new, *words, lines=["a pass of its own"], option=option)["data"]
    assert isinstance(found, dict)
    assert (found["finished"], found["kit"]) == (True, None)


def lists_in(shown: str) -> list[str]:
    """The lists of words on a screen, as a person copies them."""
    parts = re.split(r"List \d of 3\n", shown)[1:]
    return [" ".join(re.findall(r"\d+ ([a-z]+)", part)) for part in parts]


def test_terminal__kit_is_offered_shown_and_checked_by_hand(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    with terminal(machine, "init", "--rpc", chain.rpc_url, "--wallet", wallet) as until:
        until("device key", PASSPHRASE)
        until("confirm", PASSPHRASE)
        assert "the memory is gone" in until("any 2 restore)? [Y/n]", "")
        lists = lists_in(until("written them down? [y/N]", "y"))
        until("Next: memsync vault new NAME")
    assert [len(words.split()) for words in lists] == [33, 33, 33]
    machine.quick("vault", "new", "novel")
    with terminal(machine, "kit", "check") as until:
        until("List 1 of 2", lists[2].replace(" ", "  ", 1).replace(lists[2].split()[6], "notaword"))
        assert "Word 7 is not in the list" in until("List 1 of 2", lists[2])
        until("List 2 of 2", " ".join(word[:4] for word in lists[0].split()))
        until("Good: this kit opens 1 vault (novel).")
    with terminal(machine, "kit", "make") as until:
        until("Passphrase", PASSPHRASE)
        until("Go on? [y/N]", "n")
        assert "interrupted" not in until("not done; nothing is changed")
    with terminal(machine, "kit", "make", "--yes") as until:
        until("Passphrase", PASSPHRASE)
        until("written them down? [y/N]", "n")
        until("run it again with paper at hand")
    assert machine.data("vault", "show", "novel")["version"] == 1


def test_terminal__no_node__is_said_before_anything_is_asked(machine: Machine) -> None:
    with terminal(machine, "init", "--rpc", "http://127.0.0.1:1") as until:
        assert "passphrase" not in until("can't be reached").lower()


def test_terminal__declined__says_that_the_memory_is_gone_then(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    with terminal(machine, "init", "--rpc", chain.rpc_url, "--wallet", wallet) as until:
        until("device key", PASSPHRASE)
        until("confirm", PASSPHRASE)
        until("any 2 restore)? [Y/n]", "n")
        assert "No recovery kit: if this computer is lost, the memory is gone." in until("Next: memsync vault new")
    assert Home(machine.folder).kit() is None


def test_restore__usage(machine: Machine) -> None:
    for words in (("restore",), ("restore", "--kit", "x.key"), ("restore", "x.key"), ("restore", "--kit")):
        assert machine.quick(*words).code == 2, words
