"""An owner one of whose machines is somebody else's by now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memsync_client.client import Client
from memsync_client.devices import add_device, join, new_device
from memsync_client.home import Home
from memsync_client.reader import Reader
from memsync_client.reading import View
from memsync_client.sealing import sha256
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, again, keystore
from tests.e2e.test_independent_reader import Tool
from tests.nodes import Chain, transact


@dataclass
class World:
    """An owner's desk and phone, a granted reader, and a laptop of the owner's that somebody else has taken over: with
    all keys, and an account that may commit and bring keyrings."""

    chain: Chain
    folder: Path
    desk: Client
    phone: Client
    laptop: Client
    reader: Reader
    reader_files: Tool
    at: View  # what the laptop knew before it did anything

    @property
    def vault(self) -> Vault:
        return again(self.desk).vault("novel")

    @property
    def on_phone(self) -> Vault:
        return again(self.phone).vault("novel")

    @property
    def hostile(self) -> Vault:
        return self.laptop.vault("novel")

    @property
    def account(self) -> str:
        return self.laptop.session.wallet.address

    def store(self, *blobs: bytes) -> None:
        FileStorage(self.folder / "blobs").put(list(blobs))

    def commit(
        self, content_hash: bytes, memory_root: bytes, ring: bytes | None = None, epoch: int | None = None
    ) -> None:
        """What the laptop's account does without asking the client."""
        registry, record = self.chain.registry(), self.vault.record()
        call = registry.commit(
            self.hostile.place.vault_id,
            record.version,
            epoch or record.epoch,
            content_hash,
            memory_root,
            ring and sha256(ring),
        )
        transact(registry, self.laptop.session.wallet, call)


def device(by: Client, folder: Path, name: str) -> Client:
    home = Home(folder)
    folder.mkdir()
    keystore(home.wallet)
    card = new_device(home, PASSPHRASE, name, rpc=by.session.config.rpc, commit=True)
    join(home, PASSPHRASE, add_device(by, card))
    return Client(home, PASSPHRASE)
