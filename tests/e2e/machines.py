"""Computers of the parties, as far as a test can have them: a HOME of its own each, and real processes in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

from eth_account import Account

from memsync_client import keyfile
from memsync_client.access import GrantResult
from memsync_client.cli import main
from memsync_client.client import Client, init
from memsync_client.home import Home
from memsync_client.reader import Reader, new_reader
from memsync_client.vault import Vault

MEMSYNC = Path(sys.executable).with_name("memsync")
PASSPHRASE = "a quiet pass over Thistlemoor"
SALT = bytes(16)  # of the key files that this process makes: see the fixture stretched_once
SECONDS = 60  # that one command may take on a busy machine


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """What --json printed: one object in the documented envelope, and nothing beside it."""
        answer: dict[str, Any] = json.loads(self.out)
        if answer["ok"]:
            assert answer.keys() == {"ok", "command", "data"}
        else:
            assert answer.keys() == {"ok", "command", "error"}
            assert answer["error"].keys() == {"name", "exit_code", "cause", "next_step"}
            assert answer["error"]["exit_code"] == self.code
        return answer


@dataclass
class Machine:
    """A computer: nothing is shared with another but the node, and folders that a command names."""

    home: Path
    passphrase: str = PASSPHRASE
    commands: set[str] = field(default_factory=set)  # those that have answered in JSON
    forked: bool = False  # whether `data` and `refusal` are quick

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": f"{MEMSYNC.parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}

    @property
    def folder(self) -> Path:
        """Where the command keeps its things without being told."""
        return self.home / ".local" / "share" / "memsync"

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """A command that is still running."""
        return subprocess.Popen(
            [MEMSYNC, *words],
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            # A shell's background job ignores interrupts, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(
        self,
        *words: str,
        passphrase: str | None = "",
        stdin: str | bytes = b"",
        under: Sequence[str | Path] = (),
    ) -> Done:
        """Run a command to its end. ``passphrase``: this machine's, another, or None to name none."""
        secret = self.passphrase if passphrase == "" else passphrase
        command: list[str | Path] = [*under, MEMSYNC]
        descriptors: list[int] = []
        if secret is not None:
            reading, writing = os.pipe()
            os.write(writing, secret.encode() + b"\n")
            os.close(writing)
            descriptors = [reading]
            command += ["--passphrase-fd", str(reading)]
        try:
            ended = subprocess.run(
                [*command, *words],
                env=self.environment,
                input=stdin.encode() if isinstance(stdin, str) else stdin,
                capture_output=True,
                pass_fds=descriptors,
                timeout=SECONDS,
                cwd=self.home,
                check=False,
            )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def quick(self, *words: str, passphrase: str | None = "", stdin: str | bytes = b"") -> Done:
        """The same in a fork of this process, where all modules are loaded already: half a second less each."""
        secret = self.passphrase if passphrase == "" else passphrase
        with TemporaryFile() as given, TemporaryFile() as typed, TemporaryFile() as out, TemporaryFile() as err:
            typed.write(stdin.encode() if isinstance(stdin, str) else stdin)
            typed.seek(0)
            if secret is not None:
                keyfile._stretch(keyfile.ask(secret), SALT)  # here, where it is kept for the forks to come
                given.write(secret.encode() + b"\n")
                given.seek(0)
                words = ("--passphrase-fd", str(given.fileno()), *words)
            child = os.fork()
            if child == 0:
                _become(self, words, [file.fileno() for file in (typed, out, err)])
            code = os.waitstatus_to_exitcode(_ended(child, SECONDS))
            for file in (out, err):
                file.seek(0)
            return Done(code, out.read().decode(), err.read().decode())

    def data(self, *words: str, **options: Any) -> Any:
        """What a command that must succeed answers with --json."""
        done = (self.quick if self.forked else self.run)(*words, "--json", **options)
        assert done.code == 0, done.out + done.err
        answer = done.answer
        assert " ".join(words).startswith(answer["command"])
        self.commands.add(answer["command"])
        return answer["data"]

    def refusal(self, *words: str, **options: Any) -> dict[str, Any]:
        """The error that a command answers with --json."""
        done = (self.quick if self.forked else self.run)(*words, "--json", **options)
        assert done.code != 0, done.out
        error: dict[str, Any] = done.answer["error"]
        return error


def _become(machine: Machine, words: Sequence[str], streams: Sequence[int]) -> NoReturn:
    """Turn a fork of this process into the command."""
    code: object = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.clear()
        os.environ.update(machine.environment)
        os.chdir(machine.home)
        sys.argv = ["memsync", *words]
        try:
            main()
            code = 0
        except SystemExit as done:
            code = done.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 1)


def _ended(child: int, seconds: float) -> int:
    """The wait status of a child, which is killed if it takes longer."""
    deadline = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise TimeoutError(f"a command took more than {seconds} s")
        time.sleep(0.005)


def new_machine(folder: Path, passphrase: str = PASSPHRASE) -> Machine:
    folder.mkdir()
    return Machine(folder, passphrase)


# The same with the library, in this process --------------------------------------------------------------------------


def new_owner(folder: Path, rpc: str) -> Client:
    """An initialised home."""
    home = Home(folder)
    init(home, PASSPHRASE, kit=None, rpc=rpc, wallet=keystore(folder.with_name(f"{folder.name}.json")))
    return Client(home, PASSPHRASE)


def keystore(path: Path) -> Path:
    """A new account in a standard keystore file, whose passphrase is hardly stretched: that takes most of a test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(Account.encrypt(os.urandom(32), PASSPHRASE, iterations=2)))
    return path


def again(client: Client) -> Client:
    """The same home as another process would open it, but for the stretching of the passphrase."""
    other = Client(client.home, PASSPHRASE)
    other.session.__dict__.update(device=client.session.device, wallet=client.session.wallet)
    return other


def new_vault(client: Client, name: str, blobs: Path) -> Vault:
    """A vault whose blobs go to a folder of their own."""
    blobs.mkdir()
    return client.new_vault(name, blobs.as_uri() + "/").vault


@dataclass(frozen=True)
class Granted:
    """A reader that has joined, with what its grant was."""

    reader: Reader
    result: GrantResult


def grant(vault: Vault, folder: Path, name: str, *, private: bool = False) -> Granted:
    """Make a reader in a home of its own, grant it, and let it join."""
    home = Home(folder)
    card = new_reader(home, name, PASSPHRASE)
    result = vault.grant(card, private=private)
    reader = Reader(home, name, lambda: PASSPHRASE)
    reader.join(result.invitation)
    return Granted(reader, result)


def texts(source: Vault | Reader) -> list[str]:
    """What a vault says, sorted: twice the same text stays visible."""
    return sorted(memory.content for memory in source.memories())


def end(process: subprocess.Popen[str]) -> None:
    """Ends what was started, by its pid, and closes what it said."""
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


@contextmanager
def running_node(machine: Machine, port: int) -> Iterator[dict[str, Any]]:
    """`memsync node` in a process of its own, ended by its pid; what it answers when it is ready."""
    process = machine.start("node", "--port", str(port), "--json")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        machine.commands.add(json.loads(line)["command"])
        yield Done(0, line, "").answer["data"]
    finally:
        end(process)
    assert process.returncode == 0
