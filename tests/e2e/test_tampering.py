"""A host that changes, mixes up or loses blobs: each is refused by name, and nothing else breaks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from memsync_client.client import Client
from memsync_client.errors import BlobMissing, MemSyncError, Tampered
from memsync_client.reader import Reader
from memsync_client.vault import Vault
from tests.e2e.machines import grant, new_owner, new_vault, texts
from tests.nodes import Chain


@dataclass
class World:
    """A vault with several packs, heads and keyrings, and a reader that opens all of it and keeps no copies."""

    owner: Client
    vault: Vault
    reader: Reader
    blobs: Path

    def needed(self) -> set[str]:
        """Blobs without which the present memories can't be read."""
        record = self.vault.record()
        view = self.vault._view(record)
        return {h.hex() for h in (record.content_hash, record.keyring_hash, *view.named)}

    def files(self) -> list[Path]:
        return sorted(self.blobs.iterdir())


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tampering")
    owner = new_owner(folder / "owner", chain.rpc_url)
    vault = new_vault(owner, "novel", folder / "blobs")
    for text in ("first", "second"):
        vault.remember(text)
        vault.sync()
    reader = grant(vault, folder / "tool", "claude").reader
    leaving = grant(vault, folder / "leaving", "leaving", private=True).result.reader
    vault.revoke(leaving)
    vault.remember("third")
    vault.sync()
    reader.memories()  # so that it needs no more heads to see that this is the vault it has known
    return World(owner, vault, reader, folder / "blobs")


def flip(data: bytes) -> bytes:
    """One byte changed, anywhere."""
    at = random.Random(data).randrange(len(data))
    return data[:at] + bytes((data[at] ^ 0x20,)) + data[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [flip, lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""],
    ids=["one byte flipped", "one byte short", "one byte more", "empty"],
)
def test_changed__each_blob_in_turn__is_refused_by_name(world: World, spoil: Callable[[bytes], bytes]) -> None:
    needed = world.needed()
    assert len(needed) >= 5
    for path in world.files():
        whole = path.read_bytes()
        path.write_bytes(spoil(whole))
        try:
            for verify in (world.vault.verify, world.reader.verify):
                with pytest.raises(Tampered, match=path.name):
                    verify()
            if path.name in needed:
                with pytest.raises(Tampered, match=path.name):
                    world.reader.memories()
            else:
                assert texts(world.reader) == ["first", "second", "third"]
        finally:
            path.write_bytes(whole)
    assert world.vault.verify().whole
    assert world.reader.verify().whole


def test_lost__each_blob_in_turn__is_named(world: World) -> None:
    for path in world.files():
        away = path.rename(world.blobs.parent / "away")
        try:
            if path.name in world.needed():
                with pytest.raises(BlobMissing, match=path.name):
                    world.reader.memories()
        finally:
            away.rename(path)
    assert texts(world.reader) == ["first", "second", "third"]


def test_swapped__blobs_under_each_others_names__are_refused(world: World) -> None:
    """Genuine blobs, sealed by the owner, in the wrong place."""
    files = {path: path.read_bytes() for path in world.files()}
    needed = [path for path in files if path.name in world.needed()]
    for path, other in zip(needed, needed[1:] + needed[:1], strict=True):
        path.write_bytes(files[other])
        with pytest.raises(Tampered, match=path.name):
            world.reader.memories()
        path.write_bytes(files[path])
    assert texts(world.reader) == ["first", "second", "third"]


def test_changed__all_blobs__owner_still_reads_its_copies_and_goes_on(chain: Chain, tmp_path: Path) -> None:
    """This device's own copies are enough to read; verify looks at the host all the same."""
    vault = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
    vault.remember("first")
    vault.sync()
    for path in (tmp_path / "blobs").iterdir():
        path.write_bytes(flip(path.read_bytes()))
    assert texts(vault) == ["first"]
    with pytest.raises(Tampered):
        vault.verify()


@pytest.mark.parametrize("size", [1_000_001, 50_000_000])
def test_huge__file_in_the_place_of_a_blob__is_refused_without_being_read(world: World, size: int) -> None:
    path = world.blobs / world.vault.record().content_hash.hex()
    whole = path.read_bytes()
    with path.open("wb") as file:
        file.truncate(size)
    try:
        with pytest.raises(Tampered, match=path.name):
            world.reader.memories()
    finally:
        path.write_bytes(whole)


def test_device_file__in_the_place_of_a_blob__is_no_blob(world: World) -> None:
    path = world.blobs / world.vault.record().content_hash.hex()
    away = path.rename(world.blobs.parent / "away")
    try:
        for target in ("/dev/zero", str(away)):
            path.symlink_to(target)
            with pytest.raises(MemSyncError, match=path.name):
                world.reader.memories()
            path.unlink()
    finally:
        away.rename(path)
