"""What somebody kept who never throws anything away: every blob and every key, and what opens with which of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from memsync_client import keyfile
from memsync_client.errors import MemSyncError
from memsync_client.heads import open_head
from memsync_client.keyring import EpochKeys, OwnerKeys, open_keyring
from memsync_client.keys import HolderKey
from memsync_client.packs import Entry, open_pack
from memsync_client.sealing import Place
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE

EPOCHS = range(1, 12)  # more than any of the tests reaches


@dataclass
class Archive:
    """Blobs as they were found in a folder, at any time."""

    place: Place
    blobs: set[bytes] = field(default_factory=set)

    def take(self, folder: Path) -> Archive:
        self.blobs |= {path.read_bytes() for path in folder.iterdir()}
        return self

    def keys(self, holders: Iterable[HolderKey]) -> list[EpochKeys]:
        """All epoch keys that are in a keyring of the archive for one of ``holders``."""
        found: dict[bytes, EpochKeys] = {}
        for blob in self.blobs:
            for key in holders:
                for epoch in EPOCHS:
                    with suppress(MemSyncError):
                        ring = open_keyring(self.place, epoch, blob, key.xwing)
                        found |= {keys.secret: keys for keys in (ring.keys, *ring.links.values())}
        return list(found.values())

    def texts(self, keys: Iterable[EpochKeys]) -> set[str]:
        """All memories that are in a pack of the archive under one of these keys, whatever epoch it says it is of."""
        found: set[str] = set()
        for blob in self.blobs:
            for known in keys:
                for secret in (known.secret, *([known.owner_secret] if isinstance(known, OwnerKeys) else [])):
                    for epoch in EPOCHS:
                        with suppress(MemSyncError):
                            items = open_pack(self.place, epoch, secret, blob)
                            found |= {item.memory.content for item in items if isinstance(item, Entry)}
        return found

    def opened_by(self, *holders: HolderKey) -> set[str]:
        """All memories that ``holders`` get at with nothing but this archive."""
        return self.texts(self.keys(holders))

    def heads(self, keys: Iterable[EpochKeys]) -> int:
        """How many heads of the archive open with these keys."""
        count = 0
        for blob in self.blobs:
            for known in keys:
                with suppress(MemSyncError):
                    open_head(self.place, known.epoch, known.secret, known.writer_public, blob)
                    count += 1
        return count


def key_of(path: Path) -> HolderKey:
    """The key in a key file."""
    return keyfile.unlock(path, PASSPHRASE)


def told(vault: Vault, *words: str) -> list[bytes]:
    """The ids of memories, each committed on its own."""
    ids = []
    for text in words:
        ids.append(vault.remember(text).id)
        vault.sync()
    return ids


def blobs_of(vault: Vault) -> set[str]:
    folder = Path(vault.record().base_uri.removeprefix("file://"))
    return {path.name for path in folder.iterdir()}


def copies_of(vault: Vault) -> set[str]:
    return {path.name for path in (vault._folder / "blobs").iterdir()}
