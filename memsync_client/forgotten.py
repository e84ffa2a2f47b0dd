"""Which memories were forgotten: their ids, sealed for the owner's devices and kit alone. Pure.

Each blob is the canonical CBOR of a list of ids (16 bytes), ascending, under a key from the owner secret. The head
names the blobs; a new epoch seals them anew, so that whoever writes can always read them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

from . import canonical
from .errors import Tampered
from .keyring import OwnerKeys
from .memories import ID_BYTES
from .sealing import Place, derive, max_body, seal, unseal

_PER_BLOB = (max_body() - 5) // (1 + ID_BYTES)


def seal_forgotten(place: Place, keys: OwnerKeys, ids: Collection[bytes]) -> list[bytes]:
    """The blobs that name ``ids`` in the epoch of ``keys``: none for none, one for up to some 57,000."""
    ordered = sorted(ids)
    parts = (ordered[i : i + _PER_BLOB] for i in range(0, len(ordered), _PER_BLOB))
    return [seal(_key(keys), place.context("forgotten", keys.epoch), canonical.encode(part)) for part in parts]


def open_forgotten(place: Place, keys: OwnerKeys, blobs: Iterable[bytes]) -> frozenset[bytes]:
    """The ids in ``blobs``. Raises Tampered unless seal and form are right."""
    found: set[bytes] = set()
    for blob in blobs:
        body = unseal(_key(keys), place.context("forgotten", keys.epoch), blob, "list of what is forgotten")
        ids = canonical.decode(body, "list of what is forgotten")
        sound = type(ids) is list and all(type(item) is bytes and len(item) == ID_BYTES for item in ids)
        if not sound or any(one >= other for one, other in pairwise(ids)):
            raise Tampered("A list of what is forgotten is malformed.", "Do not use it; its writer is faulty.")
        found.update(ids)
    return frozenset(found)


def _key(keys: OwnerKeys) -> bytes:
    return derive(keys.owner_secret, "owner/forgotten")
