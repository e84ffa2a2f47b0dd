"""The main job, end to end, as people would do it: every step is the command ``memsync`` in a process of its own.

Owner, reader, stranger, a second machine and a restored one each have a home of their own and share nothing but the
practice chain and the folder of blobs. The last line says what was shown; any step that does not go as it must ends
the demo with exit code 1.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).with_name("sample.jsonl")
VAULT = "the salt book"
ACCESS_ENDED, TAMPERED, KIT_VOID = 53, 50, 18
_NODE_SECONDS = 60
_MEMSYNC = str(Path(sys.executable).with_name("memsync"))


class DemoError(Exception):
    """A step did not go as it must."""


class Person:
    """Someone, or some tool, with a computer of its own: a HOME, a passphrase, and the command."""

    def __init__(self, folder: Path, name: str) -> None:
        self.home = folder / name
        self.home.mkdir()
        self.passphrase = f"{name}: salt and coal and paper"
        keep = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SYSTEMROOT")
        self.environment = {key: os.environ[key] for key in keep if key in os.environ} | {"HOME": str(self.home)}

    def memsync(self, *arguments: str, fails_with: int = 0, shares: tuple[str, ...] = ()) -> Any:
        """What ``memsync --json …`` answers: its data, or its error where one is expected. ``shares`` are lists of
        words of a recovery kit, given on a file descriptor of their own."""
        code, answer = self.run(*arguments, shares=shares)
        if code != fails_with:
            raise DemoError(f"memsync {arguments[0]} ended with exit code {code}: {answer}")
        return answer

    def run(self, *arguments: str, shares: tuple[str, ...] = ()) -> tuple[int, Any]:
        """Exit code and answer of a command, whichever they are."""
        secrets = [_to_read(self.passphrase), *([_to_read(*shares)] if shares else [])]
        if shares:
            arguments = (*arguments, "--shares-fd", str(secrets[1]))
        try:
            done = subprocess.run(
                [_MEMSYNC, "--json", "--passphrase-fd", str(secrets[0]), *arguments],
                env=self.environment,
                pass_fds=secrets,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            for descriptor in secrets:
                os.close(descriptor)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise DemoError(f"memsync {arguments[0]} ended with exit code {done.returncode}: {done.stderr}") from None
        return done.returncode, answer["data"] if answer["ok"] else answer["error"]


def _to_read(*lines: str) -> int:
    """A file descriptor that gives those lines."""
    read_end, write_end = os.pipe()
    os.write(write_end, "".join(f"{line}\n" for line in lines).encode())
    os.close(write_end)
    return read_end


def main() -> int:
    """Runs the demo on the sample, or on the JSON Lines file that the first argument names."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    if not data.is_file():
        print(f"demo failed: there is no file {data}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="memsync-demo-"))
    try:
        owner = Person(folder, "owner")
        with practice_chain(owner) as rpc:
            print(life(folder, owner, rpc, data))
    except (DemoError, subprocess.TimeoutExpired, OSError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    return 0


def life(folder: Path, owner: Person, rpc: str, data: Path) -> str:
    """Everything from the first vault to the restored machine. Returns the last line."""
    reader, stranger, laptop, machine = (
        Person(folder, name) for name in ("reader", "stranger", "laptop", "new-machine")
    )

    step("The owner makes a wallet, a device key, a recovery kit and a vault")
    wallet = owner.memsync("init", "--rpc", rpc, "--kit", "--name", "desk")
    made = owner.memsync("vault", "new", VAULT)
    tell(f'wallet {wallet["owner"]}; vault "{VAULT}" for {made["gas"]:,} gas, its name sealed too')

    step(f"… takes in {data.name}, and commits all of it at once")
    imported = owner.memsync("import", str(data))
    synced = owner.memsync("sync")[0]
    memories = owner.memsync("list")
    must(synced["committed"] == len(memories) > 0, "not everything that was imported was committed")
    tell(f"{imported['memories']} memories from {imported['conversations']} conversations")
    tell(f"{synced['stored_bytes']:,} bytes of ciphertext stored; one transaction, {synced['gas']:,} gas")

    step("A tool on another computer shows its card; the owner lends it the vault for 30 days")
    card = reader.memsync("reader", "new", "assistant")["card"]
    granted = owner.memsync("grant", card, "--for", "30d")
    reader.memsync("reader", "join", granted["invitation"])
    must(reader.memsync("list") == memories, "the reader does not read what the owner wrote")
    tell(f"granted for {granted['gas']:,} gas; the tool reads all {len(memories)} memories")
    ask(reader, data)

    step("A stranger has the invitation too, and a card of its own, but no grant")
    stranger.memsync("reader", "new", "stranger")
    tell(refused(stranger.memsync("reader", "join", granted["invitation"], fails_with=ACCESS_ENDED)))

    step("The owner revokes the tool, remembers something new, and syncs again")
    revoked = owner.memsync("revoke", "assistant")
    owner.memsync("remember", "The tool that helped with the first part is not to see the second.")
    owner.memsync("sync")
    tell(f"{revoked['gas']:,} gas for both transactions: the revocation, and new keys without the tool")
    tell(refused(reader.memsync("list", fails_with=ACCESS_ENDED)))
    trust_nothing_on_chain(reader)
    tell(refused(reader.memsync("list", fails_with=ACCESS_ENDED)) + " (its own check of the chain left out)")

    step("Someone flips one byte in a blob, each in turn")
    tell(tamper_with_each(owner))
    report = owner.memsync("verify")
    tell(f"put back, all is verified at block {report['block']}, with a proof that the contract confirmed")

    step("A second machine of the owner shows its card; it gets the keys, and may commit by itself")
    shown = laptop.memsync("device", "new", "--name", "laptop", "--rpc", rpc, "--commit")
    added = owner.memsync("device", "add", shown["card"], "--yes")
    must(added["phrase"] == shown["phrase"], "the two machines show different words")
    laptop.memsync("device", "join", added["sheet"], "--yes")
    laptop.memsync("remember", "Written on the train, and committed from there.")
    laptop.memsync("sync")
    everything = owner.memsync("list")
    must(everything == laptop.memsync("list"), "the two machines do not read the same")
    tell(f'compared: "{shown["phrase"]}"; added for {added["gas"]:,} gas; it syncs with an account of its own')

    step("Both are lost; a new one has two of the kit's three lists of words, its sheet, and the wallet")
    sheet, shares = owner.memsync("kit", "sheet")["sheet"], wallet["kit"]["shares"]
    copied = machine.home / "wallet.json"
    copied.write_bytes((Path(wallet["home"]) / "wallet.json").read_bytes())
    machine.passphrase = owner.passphrase
    back = machine.memsync("restore", "--kit", "--sheet", sheet, "--wallet", str(copied), shares=(shares[0], shares[2]))
    must(machine.memsync("list") == everything, "the restored machine does not read the same")
    tell(f"all {back['vaults'][0]['memories']} memories are back, under new keys")
    tell(refused(laptop.memsync("list", fails_with=ACCESS_ENDED)))
    machine.memsync("kit", "check", shares=tuple(back["kit"]["shares"][:2]))
    tell("the new kit opens them; " + refused(machine.memsync("kit", "check", fails_with=KIT_VOID, shares=shares[:2])))
    return (
        f"demo passed: {len(memories)} memories in one commit of {synced['gas']} gas, reader ok, stranger refused, "
        "revoked reader refused, tamper refused, restore ok"
    )


def ask(reader: Person, data: Path) -> None:
    """The first question of the file beside the data (NAME_questions or NAME.questions), else the first memory's
    words."""
    question = reader.memsync("list", "--limit", "1")[0]["content"]
    for name in (f"{data.stem}_questions.jsonl", data.name.replace(".memories.", ".questions.")):
        beside = data.with_name(name)
        if beside != data and beside.is_file():
            question = json.loads(beside.read_text(encoding="utf-8").splitlines()[0])["question"]
    answer = reader.memsync("recall", question, "--limit", "1")
    must(bool(answer), "recall found nothing")
    tell(f'asked "{question}", it finds: {answer[0]["content"]}')


def trust_nothing_on_chain(reader: Person) -> None:
    """Makes the tool a dishonest one, that does not ask the chain whether it is still granted: the keys must refuse
    too."""
    for joined in reader.home.rglob("joined.json"):
        joined.write_text(joined.read_text().replace('"public": true', '"public": false'))


def tamper_with_each(owner: Person) -> str:
    """Changes each blob in the folder; `verify` must refuse it and name it."""
    shown = owner.memsync("vault", "show")
    blobs = sorted(Path(shown["base_uri"].removeprefix("file://")).iterdir())
    last = ""
    for path in blobs:
        with one_byte_flipped(path):
            error = owner.memsync("verify", fails_with=TAMPERED)
        must(path.name in error["cause"], f"blob {path.name} was changed and is not named: {error}")
        last = refused(error)
    must(len(blobs) >= 5, f"there are only {len(blobs)} blobs")
    return f"{len(blobs)} blobs, each refused by name; {last}"


@contextmanager
def one_byte_flipped(path: Path) -> Iterator[None]:
    """Changes one byte in the middle of a file, and puts it back."""
    before = path.read_bytes()
    middle = len(before) // 2
    path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def practice_chain(owner: Person) -> Iterator[str]:
    """`memsync node` in the owner's home, on a free port; ended with the demo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    step("A practice chain on this computer")
    command = [_MEMSYNC, "node", "--port", str(port)]
    node = subprocess.Popen(command, env=owner.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = node.stdout
        if lines is None:
            raise DemoError("the practice chain says nothing")
        deadline = time.monotonic() + _NODE_SECONDS
        said = lines.readline()
        while said and not said.startswith("Practice chain at") and time.monotonic() < deadline:
            said += lines.readline()
        must(said.startswith("Practice chain at"), f"the practice chain did not start: {said.strip()}")
        tell(said.strip())
        yield f"http://127.0.0.1:{port}"
    finally:
        node.terminate()
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def refused(error: dict[str, Any]) -> str:
    """An error as the person sees it."""
    return f"refused: {error['cause']} {error['next_step']}"


def must(condition: bool, otherwise: str) -> None:
    """Ends the demo unless ``condition`` holds."""
    if not condition:
        raise DemoError(otherwise)


def step(text: str) -> None:
    """A heading."""
    print(f"\n{text}", flush=True)


def tell(text: str) -> None:
    """What happened."""
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
