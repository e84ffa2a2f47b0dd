"""The world that chaos comes over: a practice chain, an owner with two devices, two vaults and a kit, and readers."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from memsync_client import practice
from memsync_client.client import Client
from memsync_client.devices import add_device, join, new_device, plan_removal, remove_device
from memsync_client.errors import AccessEnded, NotInitialised, UnknownDevice, UnknownReader
from memsync_client.home import Home
from memsync_client.interchange import Draft
from memsync_client.keeping import Level
from memsync_client.keys import HolderKey
from memsync_client.memories import Source
from memsync_client.reader import Reader, card_of, new_reader
from memsync_client.recovery import kit_sheet, renew, restore_with_kit, set_kit
from memsync_client.vault import Vault
from tests.chaos.model import VaultModel
from tests.e2e.machines import PASSPHRASE, keystore, new_owner, new_vault, texts
from tests.nodes import free_port

VAULTS = ("novel", "work")
READERS = ("public", "private")


class Node:
    """`memsync node` as a process of its own, which can be killed; anvil ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.rpc = f"http://127.0.0.1:{self._port}"
        self._pid = 0

    def start(self) -> None:
        """Until it answers."""
        reading, writing = os.pipe()
        bound = practice._die_with_parent()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                if bound:
                    bound()
                practice.run(self._folder, port=self._port, poll=0.02, on_ready=lambda _: os.close(writing))
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            ready.read()
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        assert pid == 0, "the practice chain does not start"

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._pid:
            os.kill(self._pid, how)
            os.waitpid(self._pid, 0)
            self._pid = 0
            while _answers(self._port):  # anvil, which ends just after
                time.sleep(0.01)


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class World:
    """Folders, and what the model says of them. Whatever opens a home does so in a process of its own."""

    folder: Path
    node: Node
    desk: Path
    laptop: Path
    kit: HolderKey
    models: dict[str, VaultModel] = field(default_factory=lambda: {name: VaultModel() for name in VAULTS})

    def home(self, who: str) -> Home:
        return Home(self.desk if who == "desk" else self.laptop)

    def client(self, who: str) -> Client:
        return Client(self.home(who), PASSPHRASE)

    def vault(self, who: str, name: str) -> Vault:
        return self.client(who).vault(name)

    def reader(self, vault: str, name: str) -> Reader:
        return Reader(Home(self.folder / "tools"), f"{vault}-{name}", PASSPHRASE)


def build(folder: Path) -> World:
    """A world in an empty folder, its chain running."""
    chain, desk, laptop = folder / "chain", folder / "desk", folder / "laptop"
    for made in (chain, desk, laptop):
        made.mkdir()
    node = Node(chain)
    node.start()
    try:
        owner = new_owner(desk, node.rpc)
        for name in VAULTS:
            new_vault(owner, name, folder / f"blobs of {name}")
            for reader in READERS:
                new_reader(Home(folder / "tools"), f"{name}-{reader}", PASSPHRASE)
        kit = HolderKey(os.urandom(32))
        set_kit(owner, kit.xwing.public)
        home = Home(laptop)
        keystore(home.wallet)
        card = new_device(home, PASSPHRASE, "laptop", rpc=node.rpc, commit=True)
        join(home, PASSPHRASE, add_device(owner, card))
    except BaseException:
        node.end()
        raise
    return World(folder, node, desk, laptop, kit)


# What is done, each in a process of its own ---------------------------------------------------------------------------


def remember(world: World, who: str, name: str, items: list[str]) -> None:
    vault = world.vault(who, name)
    standing = texts(vault)
    for text in items:
        if text not in standing:
            vault.remember(text)


def edit(world: World, who: str, name: str, old: str, new: str) -> None:
    vault = world.vault(who, name)
    found = {memory.content: memory for memory in vault.memories()}
    if new not in found:
        vault.edit(found[old].id.hex(), new)


def take_in(world: World, who: str, name: str, items: list[str]) -> None:
    world.vault(who, name).import_drafts([Draft(text, source=Source("chat", "one", text)) for text in items])


def sync(world: World, who: str, name: str) -> None:
    world.vault(who, name).sync(keep_private=True, keep_edits=False)


def ids_of(world: World, who: str, name: str, items: list[str]) -> set[bytes]:
    return {memory.id for memory in world.vault(who, name).memories() if memory.content in items}


def forget(world: World, who: str, name: str, ids: set[bytes], level: Level) -> None:
    vault = world.vault(who, name)
    if ids & {memory.id for memory in vault.memories()}:
        vault.forget(ids, level)
    sync(world, who, name)  # ends what an earlier one left


def rotate(world: World, who: str, name: str, clean: bool) -> None:
    sync(world, who, name)  # where another one's revocation waits for its keyring
    world.vault(who, name).rotate(clean=clean)
    sync(world, who, name)


def rekey(world: World, who: str) -> None:
    for name in VAULTS:
        sync(world, who, name)
    world.vault(who, VAULTS[0]).rekey()


def grant(world: World, name: str, reader: str, days: int) -> None:
    sync(world, "desk", name)
    card = card_of(Home(world.folder / "tools"), f"{name}-{reader}", PASSPHRASE)
    done = world.vault("desk", name).grant(card, timedelta(days=days), private=reader == "private")
    world.reader(name, reader).join(done.invitation)


def revoke(world: World, name: str, reader: str) -> None:
    with suppress(UnknownReader):  # the one that was killed had done it
        world.vault("desk", name).revoke(f"{name}-{reader}")
    sync(world, "desk", name)


def sheet(world: World) -> Any:
    return kit_sheet(world.client("desk"))


def begin_restore(world: World, folder: Path, sheet: Any, wallet: Path) -> None:
    home = Home(folder)
    if not home.initialised:
        restore_with_kit(home, PASSPHRASE, world.kit, sheet, rpc=world.node.rpc, wallet=wallet, name=folder.name)


def end_restore(folder: Path, kit: HolderKey) -> None:
    home = Home(folder)
    if home.kit_key.exists():
        renew(Client(home, PASSPHRASE), kit.xwing.public, keep_devices=True, keep_readers=True)


def device_of(folder: Path) -> str:
    return Home(folder).config().device


def leave_out(folder: Path, device: str) -> None:
    client = Client(Home(folder), PASSPHRASE)
    with suppress(UnknownDevice):  # the one that was killed had done it
        remove_device(client, plan_removal(client, device), keep_added=True)
    for vault in client.vaults():
        vault.sync(keep_private=True, keep_edits=False)


# What is looked at ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """What a vault shows of itself: to its two devices and its readers (None: shut out), and how it verifies."""

    texts: dict[str, list[str] | None]
    waiting: int
    entries: int
    whole: bool
    living: set[str]
    left_over: list[str]


def shown(world: World, who: str, name: str) -> list[str]:
    return texts(world.vault(who, name))


def all_shown(world: World, name: str) -> Shown:
    vault = world.vault("desk", name)
    seen: dict[str, list[str] | None] = {who: shown(world, who, name) for who in ("desk", "laptop")}
    for reader in READERS:
        try:
            seen[reader] = texts(world.reader(name, reader))
        except (AccessEnded, NotInitialised):  # revoked; or never granted
            seen[reader] = None
    report = vault.verify()
    left_over = [
        str(path.relative_to(world.folder))
        for folder in (world.desk, world.laptop)
        for path in folder.rglob("*")
        if path.name in ("journal", "device.key.next", "device.key.ready", "kit.key")
    ]
    living = {line.name.removeprefix(f"{name}-") for line in vault.grants() if line.living}
    waiting = sum(world.vault(who, name).waiting() for who in ("desk", "laptop"))
    return Shown(seen, waiting, report.memories, report.whole, living, left_over)
