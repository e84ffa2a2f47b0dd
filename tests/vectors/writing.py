"""How a vector gets into a file, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memsync_client import errors
from memsync_client.keyring import OwnerKeys
from memsync_client.sealing import Place, derive
from tests.client.material import PLACE, secret
from tests.vectors.running import FOLDER, KINDS, load

Splice = tuple[int, int, bytes]


def put(
    name: str,
    about: str,
    expect: str = "success",
    *,
    like: str | None = None,
    splices: Sequence[Splice] = (),
    **own: Any,
) -> None:
    """Writes the vector unless it is there, after the client has read it with the outcome that it should have.

    ``gives`` is what the client read, where it is not given.
    """
    path = FOLDER / f"{name}.json"
    if path.exists():
        return
    vector: dict[str, Any] = {"about": about}
    if like is not None:
        vector["like"] = like
    vector |= {"expect": expect, **{key: _plain(value) for key, value in own.items()}}
    if splices:
        vector["splices"] = [[start, end, new.hex()] for start, end, new in splices]
    _write(name, vector)
    try:
        whole = load(name)
        if whole["kind"] != "proof":
            gives = outcome(whole, expect)
            if expect == "success":
                assert own.get("gives", gives) == gives, name
                _write(name, vector | {"gives": gives})
    except BaseException:
        path.unlink()
        raise


def outcome(vector: dict[str, Any], expect: str) -> Any:
    """What reading the vector gives. Raises AssertionError if it has another outcome."""
    if expect == "success":
        return KINDS[vector["kind"]](vector)
    try:
        given = KINDS[vector["kind"]](vector)
    except getattr(errors, expect):
        return None
    raise AssertionError(f"{vector['about']}: {given}")


def _write(name: str, vector: dict[str, Any]) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def at(place: Place = PLACE) -> dict[str, Any]:
    """A place as the vectors have it."""
    return {"chain": place.chain_id, "registry": place.registry.hex(), "vault": place.vault_id.hex()}


def keys_of(epoch: int, which: str = "") -> OwnerKeys:
    """The keys of an epoch; they are not random. ``which`` names other ones of the same epoch."""
    owner_secret = secret(f"owner secret {epoch}{which}")
    writer = Ed25519PrivateKey.from_private_bytes(derive(owner_secret, "owner/writer"))
    return OwnerKeys(
        epoch, secret(f"epoch secret {epoch}{which}"), writer.public_key().public_bytes_raw(), owner_secret
    )


def known(keys: OwnerKeys) -> dict[str, Any]:
    """What a holder remembers of an epoch."""
    anchor = keys.anchor
    return {"epoch": anchor.epoch, "writer": anchor.writer_public.hex(), "check": anchor.check.hex()}
