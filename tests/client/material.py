"""Fixed keys, places and times, so that the tests of the formats do the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from memsync_client.keyring import Holder, Keyring, OwnerKeys, Role, Roster, open_keyring, seal_keyring
from memsync_client.keys import HolderKey
from memsync_client.memories import Memory
from memsync_client.sealing import Place, sha256

PLACE = Place(31_337, bytes.fromhex("a1" * 20), bytes.fromhex("b2" * 32))
OTHER_PLACES = {
    "chain": replace(PLACE, chain_id=31_338),
    "registry": replace(PLACE, registry=bytes.fromhex("a1" * 19 + "a2")),
    "vault": replace(PLACE, vault_id=bytes.fromhex("b2" * 31 + "b3")),
}
EXPIRES = datetime(2027, 2, 19, 12, 30, 15, tzinfo=UTC)
ROTATED = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
IMPORT_KEY = bytes.fromhex("c3" * 32)


def secret(name: str) -> bytes:
    """32 bytes that no other name has."""
    return sha256(b"test material: " + name.encode())


@cache
def holder(name: str) -> HolderKey:
    """The key of a holder by name."""
    return HolderKey(secret(f"holder {name}"))


def device(name: str = "laptop") -> Holder:
    """A device's line of the roster."""
    return Holder(holder(name).xwing.public, Role.DEVICE, name, 1, None, None, holder("laptop").xwing.public.id)


def reader(name: str, since: int = 1, expires: datetime = EXPIRES) -> Holder:
    """A reader's line of the roster."""
    key = holder(name)
    return Holder(key.xwing.public, Role.READER, name, since, expires, sha256(name.encode())[:20], key.xwing.public.id)


def roster(*holders: Holder) -> Roster:
    """A roster of those holders."""
    return Roster("the novel", IMPORT_KEY, holders, ROTATED)


def rings(*epochs: tuple[int, Roster]) -> Iterator[tuple[bytes, OwnerKeys]]:
    """The keyrings of one vault, each following the one before it, with the owner's keys; "laptop" makes them all."""
    before: Keyring | None = None
    for epoch, holders in epochs:
        keys = OwnerKeys.new(epoch)
        blob = seal_keyring(PLACE, keys, holders, before)
        before = open_keyring(PLACE, epoch, blob, holder("laptop").xwing)
        yield blob, keys


def flipped(data: bytes, position: int, mask: int = 1) -> bytes:
    """``data`` with one byte changed."""
    return data[:position] + bytes((data[position] ^ mask,)) + data[position + 1 :]


def memory(number: int, content: str | None = None) -> Memory:
    """A memory with a fixed id."""
    return Memory(sha256(f"memory {number}".encode())[:16], content or f"Chapter {number} ends on the bridge.")
