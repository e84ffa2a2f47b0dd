"""Nothing secret in what a command prints, in its arguments, environment and files, or in the text of any object."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType

import pytest

import memsync_client
from memsync_client import keyfile, recovery
from memsync_client.cli.app import App
from memsync_client.client import Client, init
from memsync_client.home import Home
from memsync_client.keyring import open_keyring
from memsync_client.keys import HolderKey
from memsync_client.kit import split
from memsync_client.reader import Reader, new_reader
from memsync_client.sealing import SECRET_BYTES, derive
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault
from tests.e2e.machines import MEMSYNC, PASSPHRASE, SECONDS, Machine, keystore
from tests.e2e.scanning import in_folder, scan
from tests.nodes import Chain

MEMORY = "Zephyrine keeps the bassoon under the causeway at Thurlestone."
OTHER = "a wrong pass, over Ravenglass"
NEW = "the next pass, by way of Kirkstone"


def secrets_of(client: Client, vault: Vault, blobs: Path) -> dict[str, bytes]:
    """All that the owner's device knows and nobody else may."""
    device, record = client.session.device, vault.record()
    blob = Blobs(FileStorage(blobs)).fetch(record.keyring_hash, "keyring")
    keyring = open_keyring(vault.place, record.head_epoch, blob, device.xwing)
    keys, epoch = keyring.owner_keys, record.head_epoch
    assert keyring.roster is not None
    return holder_secrets("device", device) | {
        "wallet key": bytes(client.session.wallet._account.key),  # type: ignore[union-attr]
        "import key": keyring.roster.import_key,
        f"epoch secret {epoch}": keys.secret,
        f"pack key {epoch}": derive(keys.secret, "epoch/pack"),
        f"owner secret {epoch}": keys.owner_secret,
        f"writer key {epoch}": keys.writer_key.private_bytes_raw(),
    }


def holder_secrets(whose: str, key: HolderKey) -> dict[str, bytes]:
    return {
        f"secret of {whose}": key.export(),
        f"X-Wing seed of {whose}": derive(key.export(), "holder/x-wing"),
        f"state key of {whose}": key.state_key,
        f"account key of {whose}": key.account_secret,
    }


# Objects --------------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """Instances of the package's classes that functions of the package had in hand, some of each class."""

    objects: dict[type, list[object]] = field(default_factory=dict)
    here: str = str(Path(memsync_client.__file__).parent)

    def __call__(self, frame: FrameType, event: str, value: object) -> None:
        if event == "return" and frame.f_code.co_filename.startswith(self.here):
            for item in (*frame.f_locals.values(), value):
                self.note(item)

    def note(self, item: object) -> None:
        kind = type(item)
        if str(kind.__module__).startswith("memsync_client") and not isinstance(item, type):
            kept = self.objects.setdefault(kind, [])
            if len(kept) < 8 and all(item is not other for other in kept):
                kept.append(item)


@dataclass(frozen=True)
class Life:
    seen: Seen
    secrets: dict[str, bytes]


@pytest.fixture(scope="module")
def life(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Every class that a vault's life has in hand: found by looking over the library's shoulder."""
    folder = tmp_path_factory.mktemp("life")
    seen = Seen()
    sys.setprofile(seen)
    try:
        secrets = live(folder, chain)
    finally:
        sys.setprofile(None)
    app = App(home=Home(folder))
    app._passphrase = PASSPHRASE
    seen.note(app)
    return Life(seen, secrets)


def live(folder: Path, chain: Chain) -> dict[str, bytes]:
    kit = HolderKey(os.urandom(SECRET_BYTES))
    split(kit)
    home, wallet, blobs = Home(folder / "owner"), keystore(folder / "wallet.json"), folder / "blobs"
    init(home, PASSPHRASE, kit=kit.xwing.public, rpc=chain.rpc_url, wallet=wallet)
    client = Client(home, PASSPHRASE)
    blobs.mkdir()
    vault = client.new_vault("novel", blobs.as_uri() + "/").vault
    vault.remember(MEMORY)
    vault.sync()
    secrets = holder_secrets("kit", kit) | secrets_of(client, vault, blobs) | {"passphrase": PASSPHRASE.encode()}
    tool = Home(folder / "tool")
    card = new_reader(tool, "claude", PASSPHRASE)
    reader = Reader(tool, "claude", PASSPHRASE)
    reader.join(vault.grant(card).invitation)
    assert reader.recall("bassoon")
    secrets |= holder_secrets("reader", reader._key)
    vault.revoke("claude")
    vault.rotate()
    secrets |= secrets_of(client, vault, blobs)
    restored = Home(folder / "restored")
    recovery.restore_with_kit(restored, PASSPHRASE, kit, recovery.kit_sheet(client), wallet=wallet)
    recovery.renew(Client(restored, PASSPHRASE), None)
    return secrets


def shapes(value: bytes) -> set[bytes]:
    """How a secret could stand in a text or in bytes: itself, hex, Python's notations, a number, base64."""
    texts = [value.hex(), repr(value)[2:-1], repr(bytearray(value))[12:-2], str(list(value))[1:-1]]
    texts.append(str(int.from_bytes(value, "big")))
    encoded = base64.b64encode(value).rstrip(b"=")
    return {value, encoded, encoded.translate(bytes.maketrans(b"+/", b"-_")), *(text.encode() for text in texts)}


def directly(item: object) -> list[object]:
    """What an object holds itself, in its attributes and in plain containers there."""
    slots = [name for kind in type(item).__mro__ for name in vars(kind).get("__slots__", ())]
    found = [getattr(item, name) for name in slots if hasattr(item, name)] + list(
        getattr(item, "__dict__", {}).values()
    )
    for value in found:
        if isinstance(value, dict):
            found += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            found += value
    return found


def test_objects__the_life_has_all_that_hold_a_secret(life: Life) -> None:
    secrets = {*life.secrets.values(), PASSPHRASE}
    holding = {
        kind.__name__
        for kind, items in life.seen.objects.items()
        for item in items
        if any(isinstance(value, bytes | str) and value in secrets for value in directly(item))
    }
    expected = {"App", "EpochKeys", "HolderKey", "OwnerKeys", "PrivateKey", "Reader", "Roster", "SealedFile", "Session"}
    assert holding >= expected, sorted(kind.__name__ for kind in life.seen.objects)
    assert {kind.__name__ for kind in life.seen.objects} >= {"Wallet", "Keyring", "Seen", "View", "Batch", "Committer"}


def test_objects__their_texts_show_no_secret(life: Life) -> None:
    shown = {
        (kind.__name__, name)
        for kind, items in life.seen.objects.items()
        for item in items
        for text in (repr(item), str(item), f"{item}")
        for name, secret in life.secrets.items()
        if any(shape in text.encode("utf-8", "surrogateescape") for shape in shapes(secret))
    }
    assert shown == set()


def test_objects__pickled__show_no_secret(life: Life) -> None:
    shown = set()
    for kind, items in life.seen.objects.items():
        for item in items:
            for protocol in (0, pickle.HIGHEST_PROTOCOL):
                try:
                    data = pickle.dumps(item, protocol)
                except Exception:  # noqa: S112 (refused, as it should be)
                    continue
                shown |= {
                    (kind.__name__, name)
                    for name, secret in life.secrets.items()
                    if any(s in data for s in shapes(secret))
                }
    assert shown == set()


def test_shapes__of_each_secret__are_found_where_it_stands(life: Life) -> None:
    for secret in life.secrets.values():
        for told in (repr(secret), repr([secret]), secret.hex(), str({"key": bytearray(secret)})):
            assert any(shape in told.encode() for shape in shapes(secret))
        assert any(shape in pickle.dumps((secret, 1)) for shape in shapes(secret))


# Processes ------------------------------------------------------------------------------------------------------------

A_FILE_AS_KEYRING = """
import os
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        return open({path!r}).read() if os.path.exists({path!r}) else None

    def set_password(self, service, username, password):
        open({path!r}, "w").write(password)

    def delete_password(self, service, username):
        os.unlink({path!r})
"""
FAILING = """
import memsync_client.committing

def fail(*_, **__):
    raise ZeroDivisionError

memsync_client.committing.seal_head = fail
"""


@dataclass
class Watched(Machine):
    """A computer whose commands are watched while they run: what /proc tells of them, and what they print."""

    places: dict[str, bytes] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"MEMSYNC_DEBUG": "1"} | self.added

    def watch(self, *words: str, lines: tuple[str, ...] = (), stdin: str = "", answer: str = "") -> int:
        """Run a command whose file descriptors have ``lines``; {0}, {1} … in ``words`` are their numbers. Its standard
        output goes to the kind of place named ``answer`` if that is where a secret belongs."""
        given = [_filled(line + "\n") for line in lines]
        command: list[str | Path] = [MEMSYNC, *(word.format(*given) for word in words)]
        name = " ".join(words)
        with TemporaryFile() as typed, TemporaryFile() as out, TemporaryFile() as err:
            typed.write(stdin.encode())
            typed.seek(0)
            process = subprocess.Popen(
                command, env=self.environment, stdin=typed, stdout=out, stderr=err, pass_fds=given, cwd=self.home
            )
            try:
                self._look(process, name)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                for descriptor in given:
                    os.close(descriptor)
            for kind, file in ((answer or "stdout", out), ("stderr", err)):
                file.seek(0)
                self.places[f"{kind} of {name}"] = file.read()
        return process.returncode

    def _look(self, process: subprocess.Popen[bytes], name: str) -> None:
        deadline = time.monotonic() + SECONDS
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{name} takes too long"
            for pid in (process.pid, *_children(process.pid)):
                for what in ("cmdline", "environ"):
                    try:
                        told = Path(f"/proc/{pid}/{what}").read_bytes()
                    except OSError:  # it has ended, or does not let us
                        continue
                    if told not in self.places.setdefault(f"{what} of {name}", b""):
                        self.places[f"{what} of {name}"] += told
            time.sleep(0.01)

    def said(self, words: str) -> str:
        """All that a command printed."""
        return "".join(data.decode() for place, data in self.places.items() if place.endswith(f" of {words}"))


def _filled(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


FD = ("--passphrase-fd", "{0}")
BOTH = (*FD, "--json")


@pytest.fixture(scope="module")
def watched(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("watched")
    owner, tool = Watched(folder / "owner"), Watched(folder / "tool")
    for machine in (owner, tool):
        machine.home.mkdir()
    wallet, blobs, own, other = keystore(folder / "wallet.json"), folder / "blobs", (PASSPHRASE,), (OTHER,)
    blobs.mkdir()
    begin = ("init", "--rpc", chain.rpc_url, "--wallet", str(wallet), "--kit")
    assert owner.watch(*FD, *begin, lines=other) == 20
    assert owner.watch(*BOTH, *begin, lines=own, answer="kit") == 0
    assert owner.watch(*FD, "vault", "new", "novel", "--base-uri", blobs.as_uri() + "/", lines=own) == 0
    assert owner.watch("remember", "-", stdin=MEMORY) == 0
    assert owner.watch(*FD, "sync", lines=other) == 20
    (folder / "sitecustomize.py").write_text(FAILING)
    owner.added["PYTHONPATH"] = str(folder)
    assert owner.watch(*BOTH, "sync", lines=own) == 1
    assert "Traceback" in owner.said(" ".join((*BOTH, "sync")))
    (folder / "sitecustomize.py").unlink()
    assert owner.watch(*FD, "sync", lines=own) == 0
    home = Home(owner.folder)
    client = Client(home, PASSPHRASE)
    secrets = secrets_of(client, client.vault(), blobs) | holder_secrets("device", client.session.device)

    assert tool.watch(*FD, "reader", "new", "claude", lines=own) == 0
    card = tool.said(" ".join((*FD, "reader", "new", "claude"))).rpartition("memsync-card1:")
    (folder / "card.txt").write_text("".join(card[1:]))
    assert owner.watch(*BOTH, "grant", str(folder / "card.txt"), lines=own) == 0
    invitation = owner.said(" ".join((*BOTH, "grant", str(folder / "card.txt"))))
    start = invitation.index("memsync-invitation1:")
    join = ("reader", "join", invitation[start : invitation.index('"', start)])
    assert tool.watch(*FD, *join, lines=own) == 0
    assert tool.watch(*BOTH, "recall", "bassoon", lines=own, answer="memories") == 0
    secrets |= holder_secrets("reader", keyfile.unlock(tool.folder / "readers" / "claude" / "reader.key", PASSPHRASE))
    assert owner.watch(*FD, "revoke", "claude", lines=own) == 0
    assert tool.watch(*FD, "recall", "bassoon", lines=own) != 0
    assert owner.watch(*FD, "kit", "make", "--yes", lines=own, answer="kit") == 0
    secrets |= secrets_of(client, client.vault(), blobs)

    (folder / "in_a_file.py").write_text(A_FILE_AS_KEYRING.replace("{path!r}", repr(str(folder / "kept"))))
    owner.added["PYTHON_KEYRING_BACKEND"] = "in_a_file.Keyring"
    assert owner.watch(*FD, "passphrase", "keep", lines=own) == 0
    assert (folder / "kept").read_text() == PASSPHRASE
    assert owner.watch("list", answer="memories") == 0
    assert owner.watch("passphrase", "change", "--new-passphrase-fd", "{0}", lines=(NEW,)) == 0
    assert (folder / "kept").read_text() == NEW
    assert owner.watch("recall", "bassoon", answer="memories") == 0
    (folder / "kept").write_text(OTHER)
    assert owner.watch("recall", "bassoon") == 20
    assert "passphrase forget" in owner.said("recall bassoon")
    assert owner.watch("passphrase", "forget") == 0
    assert not (folder / "kept").exists()
    restore = ("restore", str(owner.folder / "device.key"), "--owner", client.session.config.owner)
    assert tool.watch(*FD, *restore, "--rpc", chain.rpc_url, lines=(NEW,)) == 0
    secrets |= {name: text.encode() for name, text in {"passphrase": PASSPHRASE, "other": OTHER, "new": NEW}.items()}
    places = owner.places | {f"{place} (tool)": data for place, data in tool.places.items()}
    places |= {
        place.replace("blob", "home", 1): data for at in (owner, tool) for place, data in in_folder(at.folder).items()
    }
    return Watched(folder, places=places | in_folder(blobs)), secrets | {"memory": MEMORY.encode()}


def test_commands__print_keep_and_pass_on_no_secret(watched: tuple[Watched, dict[str, bytes]]) -> None:
    machine, secrets = watched
    kinds = {place.partition(" ")[0] for place in machine.places}
    assert kinds == {"stdout", "stderr", "cmdline", "environ", "kit", "memories", "home", "blob"}
    assert scan(machine.places, (), secrets) == {("memory", "memories")}


def test_commands__words_of_a_kit__are_printed_once_and_nowhere_kept(watched: tuple[Watched, dict[str, bytes]]) -> None:
    machine, _ = watched
    (shown,) = (data for place, data in machine.places.items() if place.startswith("kit of") and " init " in place)
    shares = {f"list {n}": text.encode() for n, text in enumerate(json.loads(shown)["data"]["kit"]["shares"])}
    assert len(shares) == 3
    assert scan(machine.places, (), shares) == {(name, "kit") for name in shares}


def test_watch__of_a_process_that_is_given_a_secret__tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Watched(tmp_path / "home", added={"SECRET": NEW})
    machine.home.mkdir()
    monkeypatch.setattr("tests.e2e.test_secrets.MEMSYNC", sys.executable)
    machine.watch("-c", "import sys, time; time.sleep(1); print(sys.argv[1])", PASSPHRASE)
    found = scan(machine.places, (), {"passphrase": PASSPHRASE.encode(), "new": NEW.encode()})
    assert found == {("passphrase", "cmdline"), ("passphrase", "stdout"), ("new", "environ")}
