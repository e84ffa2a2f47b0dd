"""Heads: the small sealed and signed blob of one commit. Pure.

Plaintext of the sealed object: Ed25519 signature (64 bytes) ‖ canonical CBOR of the body. The signature is over the
head's context (place, epoch) and the SHA-256 of the body, which names version, parent and memory log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import canonical
from .errors import AccessEnded, Tampered
from .memory_log import HASH_BYTES, Frontier
from .sealing import SIGNATURE_BYTES, Place, derive, seal, sign, unseal, verify

BASE_EVERY = 16  # a base after so many heads: a head names the packs since its base and still fits into 2 KiB


@dataclass(frozen=True)
class PackRef:
    """A pack by the SHA-256 of its blob, with its epoch and the number of its entries."""

    hash: bytes
    epoch: int
    count: int


@dataclass(frozen=True)
class HeadRef:
    """A head by the SHA-256 of its blob, with the epoch that it is sealed under."""

    hash: bytes
    epoch: int


@dataclass(frozen=True)
class Head:
    """One commit.

    ``version`` is the vault's version that this commit makes; ``parent`` the head before it (None in the first);
    ``base`` the base it builds on (None if it is a base itself). ``packs`` are all living packs since that base in
    log order, or all living packs of the vault in a base; the last ``new`` of them hold what this commit added to the
    log. ``age`` counts the heads since the base. ``log`` is the memory log after this commit. ``forgotten`` are the
    hashes of the blobs that name the forgotten memories, sealed in this head's own epoch. ``skips`` are the hashes of
    all heads on chain between the parent and this one, where it passes over some: only the owner's account may do so.
    """

    version: int
    parent: HeadRef | None
    base: HeadRef | None
    age: int
    packs: tuple[PackRef, ...]
    new: int
    log: Frontier
    forgotten: tuple[bytes, ...] = ()
    skips: tuple[bytes, ...] = ()

    @property
    def base_is_due(self) -> bool:
        """Whether the head that follows is to be a base: so many heads have come since the last one, or, after a large
        import, so many packs that each head would have to name them again."""
        return self.age + 1 >= BASE_EVERY or (self.base is not None and len(self.packs) > 2 * BASE_EVERY)

    def next(self, own: HeadRef, base: Head | None, version: int, packs: tuple[PackRef, ...], log: Frontier) -> Head:
        """The head that follows this one (``own`` names it) and brings ``packs``; a base where one is due.

        ``base`` is the head that ``self.base`` names, None if this one is a base itself.
        """
        if self.base and base is None:
            raise AccessEnded("This key does not open the vault's base.", "Write from a device that holds older keys.")
        if self.base_is_due:
            living = (base.packs if base else ()) + self.packs + packs
            return Head(version, own, None, 0, living, len(packs), log, self.forgotten)
        since = (self.packs if self.base else ()) + packs
        return Head(version, own, self.base or own, self.age + 1, since, len(packs), log, self.forgotten)


FIRST = Head(1, None, None, 0, (), 0, Frontier())  # the empty head that a vault is created with


_BODY = {
    "version": int,
    "parent": (list, type(None)),
    "base": (list, type(None)),
    "age": int,
    "packs": list,
    "new": int,
    "size": int,
    "peaks": list,
    "forgotten": list,
}
_SKIPPING = _BODY | {"skips": list}
MAX_SKIPS = 20_000  # what a blob holds beside all else


def seal_head(place: Place, epoch: int, epoch_secret: bytes, writer_key: Ed25519PrivateKey, head: Head) -> bytes:
    """The head's blob, signed by the writer key of the epoch."""
    fields = {
        "version": head.version,
        "parent": head.parent and [head.parent.hash, head.parent.epoch],
        "base": head.base and [head.base.hash, head.base.epoch],
        "age": head.age,
        "packs": [[pack.hash, pack.epoch, pack.count] for pack in head.packs],
        "new": head.new,
        "size": head.log.size,
        "peaks": list(head.log.peaks),
        "forgotten": list(head.forgotten),
    }
    if head.skips:
        fields["skips"] = list(head.skips)
    body = canonical.encode(fields)
    context = place.context("head", epoch)
    return seal(derive(epoch_secret, "epoch/head"), context, sign(writer_key, context, body) + body)


def open_head(place: Place, epoch: int, epoch_secret: bytes, writer_public: bytes, blob: bytes) -> Head:
    """The head of a blob. Raises Tampered unless seal, signature and form are right."""
    context = place.context("head", epoch)
    signed = unseal(derive(epoch_secret, "epoch/head"), context, blob, "head")
    signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    verify(writer_public, context, body, signature, "head")
    decoded = canonical.decode(body, "head")
    skipping = isinstance(decoded, dict) and "skips" in decoded
    value = canonical.fields(decoded, _SKIPPING if skipping else _BODY, "head")
    skips = tuple(value.get("skips", ()))
    packs = tuple(PackRef(*_ref(item, 3)) for item in value["packs"])
    parent = None if value["parent"] is None else HeadRef(*_ref(value["parent"], 2))
    base = None if value["base"] is None else HeadRef(*_ref(value["base"], 2))
    if (
        any(type(item) is not bytes for item in value["peaks"])
        or not _distinct(value["forgotten"])
        or not _distinct(skips)
        or skipping != bool(skips)
        or len(skips) > MAX_SKIPS
        or (skipping and parent is None)
        or not 0 <= value["new"] <= len(packs)
        or not 0 < value["version"] < 2**32
        or not 0 <= value["age"] < BASE_EVERY
        or (base is None) != (value["age"] == 0)
        or len({pack.hash for pack in packs}) != len(packs)
    ):
        raise Tampered("A head is malformed.", "Do not use it; its writer is faulty.")
    log = Frontier(value["size"], tuple(value["peaks"]))
    forgotten = tuple(value["forgotten"])
    return Head(value["version"], parent, base, value["age"], packs, value["new"], log, forgotten, skips)


def _distinct(hashes: Sequence[object]) -> bool:
    return all(type(item) is bytes and len(item) == HASH_BYTES for item in hashes) and len(set(hashes)) == len(hashes)


def _ref(item: object, length: int) -> list[Any]:
    """``item`` as [hash (32 bytes), positive number, …] of that length."""
    if (
        type(item) is list
        and len(item) == length
        and type(item[0]) is bytes
        and len(item[0]) == HASH_BYTES
        and all(type(number) is int and 0 < number < 2**32 for number in item[1:])
    ):
        return item
    raise Tampered("A head names a blob wrongly.", "Do not use it; its writer is faulty.")
