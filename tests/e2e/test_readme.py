"""The README is true: its commands run, in their order, and its figures are those that tests compare.

Lines of sh blocks that begin with ``memsync`` are typed on the owner's machine, or after a line ``# on the …`` on that
one. What a line writes to a file is there on every machine afterwards, as if it had been carried over. Python blocks:
see test_library.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from memsync_client import memories
from memsync_client.client import Client
from memsync_client.home import Home
from memsync_client.vault import Vault
from tests.client.exports import chatgpt_zip
from tests.e2e.machines import PASSPHRASE, Done, Machine, end, keystore, new_machine
from tests.nodes import Chain

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GAS = json.loads((ROOT / "tests" / "contracts" / "gas.json").read_text())["MemoryRegistry"]
HERE = "the first machine"
# They ask before what can't be undone, and nobody sits in front of a test.
ASKING = (
    "connect",
    "device add",
    "device join",
    "device rekey",
    "forget",
    "inbox approve",
    "rotate --clean",
    "vault new",
    "vault recovery",
)


@dataclass(frozen=True)
class Line:
    """A command as the README has it: on which machine, its words, and the file that its output goes to."""

    place: str
    words: list[str]
    into: str | None

    def __str__(self) -> str:
        return f"memsync {shlex.join(self.words)}"


def lines(text: str) -> Iterator[Line]:
    """Every command line of the sh blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        place = HERE
        for line in block.splitlines():
            if line.startswith("# on "):
                place = line.removeprefix("# on ")
                continue
            command, _, into = line.partition(" > ")
            words = shlex.split(command, comments=True)
            assert words[:1] == ["memsync"], f"the README has another command: {line}"
            yield Line(place, words[1:], into or None)


@dataclass
class Life:
    """What the README's reader does: one machine after another, and what each line needs that no text can know."""

    chain: Chain
    folder: Path
    machines: dict[str, Machine] = field(default_factory=dict)
    shares: list[str] = field(default_factory=list)
    carried: dict[str, str] = field(default_factory=dict)
    relay: str = ""
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def owner(self) -> Machine:
        return self.machines[HERE]

    @property
    def novel(self) -> Vault:
        return Client(Home(self.owner.folder), PASSPHRASE).vault("novel")

    def machine(self, place: str) -> Machine:
        if place not in self.machines:
            self.machines[place] = new_machine(self.folder / place.replace(" ", "-"))
            for name, text in self.carried.items():
                (self.machines[place].home / name).write_text(text)
        return self.machines[place]

    def carry(self, name: str, text: str) -> None:
        """Puts a file on every machine, and on those to come."""
        self.carried[name] = text
        for machine in self.machines.values():
            (machine.home / name).write_text(text)

    def type(self, line: Line) -> None:
        """Runs one line; whatever it asks is answered with yes, and what it reads is there."""
        machine = self.machine(line.place)
        words = [self.known(word) for word in line.words]
        match line.words:
            case ["node"]:
                return  # the chain that runs already, and test_first_light runs this
            case ["init", *_]:
                keystore(machine.home / "keystore.json")
                words = [word for word in words if word != "--rpc" and not word.startswith("https:")]
                words += ["--wallet", "keystore.json"] if "--wallet" not in words else []
                urls = [self.chain.rpc_url, self.chain.rpc_url.replace("127.0.0.1", "localhost")]
                words += [part for url in urls[: max(1, line.words.count("--rpc"))] for part in ("--rpc", url)]
                made = json.loads(self.run(machine, [*words, "--json"]).out)["data"]
                if machine is self.owner:
                    self.shares = made["kit"]["shares"]
                    self.carry("wallet.json", (machine.folder / "wallet.json").read_text())
                return
            case ["config", "--confirmations", *_]:
                words[2] = "0"  # here a block comes with a transaction only
            case ["host", "add", *_]:
                (self.folder / "usb" / "blobs").mkdir(parents=True)
            case ["import", *_]:
                chatgpt_zip(machine.home / "chatgpt.zip")
            case ["connect", *_]:
                (machine.home / ".claude.json").write_text("{}")  # it was started once
            case ["device", "new", *_]:
                words += ["--rpc", self.chain.rpc_url]
            case ["kit", "check"]:
                self.run(machine, words, shares=self.shares[:2])
                return
            case ["restore", *_]:
                self.run(machine, [*words, "--rpc", self.chain.rpc_url], shares=self.shares[:2])
                return
            case ["relay", "--only", *_]:
                self.serve(machine, ["relay", "--only", Home(self.owner.folder).config().owner, "--port", "0"])
                return
            case ["mcp", "--http"]:
                self.serve(machine, [*words, "--port", "0"])
                return
            case ["inbox"]:
                said = memories.new("Ines tunes to 442.", created=datetime(2026, 3, 1, tzinfo=UTC))
                self.novel.propose("claude", datetime(2026, 3, 1, tzinfo=UTC), add=said)
        if any(" ".join(line.words[:count]) in ASKING for count in (1, 2)):
            words.append("--yes")
        done = self.run(machine, words)
        if line.into:
            self.carry(line.into, done.out)

    def known(self, word: str) -> str:
        """What stands in the place of an id, an address or a path that only an example can have."""
        if word == "4f1c":
            return next(memory.id.hex() for memory in self.novel.memories() if "left-handed" in memory.content)
        if word == "3f9a":
            return self.novel.proposals()[0].id.hex()
        if word == "7b20":
            return next(memory.id.hex() for memory in self.novel.memories() if "442" in memory.content)
        if word == "http://127.0.0.1:8550":
            return self.relay
        return str(self.folder / word.removeprefix("/media/")) if word.startswith("/media/usb") else word

    def run(self, machine: Machine, words: list[str], shares: list[str] | None = None) -> Done:
        with ExitStack() as stack:
            if shares:
                given = stack.enter_context(TemporaryFile("w+"))
                given.write("".join(f"{share}\n" for share in shares))
                given.seek(0)
                words = [*words, "--shares-fd", str(given.fileno())]
            done = machine.quick(*words)
        assert done.code == 0, f"memsync {shlex.join(words)}\n{done.out}{done.err}"
        return done

    def serve(self, machine: Machine, words: list[str]) -> None:
        """Starts what serves until it is ended, and waits until it does."""
        process = machine.start("--passphrase-fd", "0", *words, "--json", stdin=subprocess.PIPE)
        self.stack.callback(end, process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{machine.passphrase}\n")
        process.stdin.close()
        ready = process.stdout.readline()
        assert ready, process.stderr and process.stderr.read()
        if words[0] == "relay":
            self.relay = json.loads(ready)["data"]["url"]


def test_readme__every_command__runs(chain: Chain, tmp_path: Path) -> None:
    life = Life(chain, tmp_path)
    with life.stack:
        for line in lines(README):
            life.type(line)


def test_readme__figures_of_gas__are_those_that_are_measured() -> None:
    table = re.search(r"^\| \| MemSync \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert table
    ours = [int(row.split("|")[2].replace(",", "")) for row in table[0].splitlines()[2:] if row]
    assert ours == [
        *(GAS[name] for name in ("commit_1", "commit_10000", "commit_10000", "grant", "revoke")),
        *(GAS[f"rotate_then_commit_{readers}"] for readers in ("1_reader", "50_readers")),
    ]
    assert f"A vault costs {GAS['create']:,} gas once." in README


def test_readme__picture__is_one_drawing_in_light_and_dark() -> None:
    names = re.findall(r'"(memsync_client/pictures/[^"]+\.svg)"', README)
    drawings = [(ROOT / name).read_text() for name in names]
    assert sorted(name.split(".")[-2] for name in names) == ["dark", "light"]
    assert drawings[0] != drawings[1]
    assert len({re.sub(r"#[0-9a-f]{6}", "#colour", drawing) for drawing in drawings}) == 1
