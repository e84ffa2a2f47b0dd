"""Changed objects, signed and sealed as they must be, read by the client and by the independent reader: both refuse the
same ones, and read the same in the others. What FORMAT.md leaves open would show here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.errors import MemSyncError
from memsync_client.sealing import derive, seal, sha256, sign
from tests import node
from tests.client import test_fuzz as fuzz
from tests.client.material import PLACE, secret
from tests.client.mutation import changed_encoding
from tests.vectors import running
from tests.vectors.writing import at

TOGETHER = 40  # a process of Node.js for so many of each kind
RING = {"kind": "keyring", "place": at(), "epoch": fuzz.EPOCH, "secret": secret("holder laptop").hex()}


def record(data: bytes) -> dict[str, Any]:
    return {"kind": "record", "record": data.hex()}


def pack(body: bytes) -> dict[str, Any]:
    blob = seal(derive(fuzz.KEYS.secret, "epoch/pack"), PLACE.context("pack", fuzz.EPOCH), body)
    return {"kind": "pack", "place": at(), "epoch": fuzz.EPOCH, "secret": fuzz.KEYS.secret.hex(), "blob": blob.hex()}


def head(body: bytes) -> dict[str, Any]:
    signed = sign(fuzz.KEYS.writer_key, fuzz.HEAD_CONTEXT, body) + body
    keys = {"secret": fuzz.KEYS.secret.hex(), "writer": fuzz.KEYS.writer_public.hex()}
    blob = seal(fuzz.HEAD_KEY, fuzz.HEAD_CONTEXT, signed)
    return {"kind": "head", "place": at(), "epoch": fuzz.EPOCH, **keys, "blob": blob.hex()}


def trailer(body: bytes) -> dict[str, Any]:
    signed = sign(fuzz.KEYS.writer_key, fuzz.TRAILER_CONTEXT, body) + body
    sealed = seal(fuzz.TRAILER_KEY, fuzz.TRAILER_CONTEXT, signed[:2_044], size=2_048)
    return RING | {"blob": (fuzz.RING[: fuzz.FRONT] + sealed + fuzz.RING[-fuzz.BACK :]).hex()}


def roster(body: bytes) -> dict[str, Any]:
    back = seal(fuzz.ROSTER_KEY, fuzz.ROSTER_CONTEXT, body[: 16 * 1_472], size=16 * 1_472 + 512)
    blob = fuzz.with_trailer(canonical.encode(fuzz.TRAILER | {"roster": sha256(back)}), back=back)
    return RING | {"blob": blob.hex()}


def text(kind: str, data: bytes) -> dict[str, Any]:
    return {"kind": kind, "text": fuzz.line(f"memsync-{kind.removesuffix('_card')}", data)}


def card(data: bytes) -> dict[str, Any]:
    return text("card", data)


def invitation(data: bytes) -> dict[str, Any]:
    return text("invitation", data)


def device_card(data: bytes) -> dict[str, Any]:
    return text("device_card", data)


def sheet(data: bytes) -> dict[str, Any]:
    return text("sheet", data)


OBJECTS = [
    (record, fuzz.value_of(fuzz.RECORD)),
    (pack, fuzz.ENTRIES),
    (head, fuzz.HEAD),
    (trailer, fuzz.TRAILER),
    (roster, fuzz.ROSTER),
    (card, fuzz.values(fuzz.CARD)),
    (invitation, fuzz.values(fuzz.INVITATION)),
    (device_card, fuzz.DEVICE_CARD),
    (sheet, fuzz.SHEET),
]


def by_client(vector: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"outcome": "success", "gives": running.KINDS[vector["kind"]](vector)}
    except MemSyncError as error:
        return {"outcome": type(error).__name__}


@pytest.mark.parametrize(("wrap", "value"), OBJECTS, ids=[wrap.__name__ for wrap, _ in OBJECTS])
@settings(
    max_examples=max(1, fuzz.INPUTS // (5 * TOGETHER)),  # a fifth as many as the client alone gets
    deadline=None,
    phases=[Phase.generate],  # to shrink with a process for each try would take hours
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_changed__read_by_both__comes_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, wrap: Any, value: Any, data: st.DataObject
) -> None:
    folder: Path = tmp_path_factory.mktemp("vectors")
    bodies = data.draw(st.lists(changed_encoding(value), min_size=TOGETHER, max_size=TOGETHER))
    vectors = {f"{number:03}.json": wrap(body) for number, body in enumerate([canonical.encode(value), *bodies])}
    for name, vector in vectors.items():
        (folder / name).write_text(json.dumps(vector))
    done = node.run("vectors.mjs", folder)
    assert done.returncode == 0, done.stderr
    other = json.loads(done.stdout)
    for (name, vector), body in zip(vectors.items(), [b"", *bodies], strict=True):
        assert other[name] == by_client(vector), body.hex()
    assert other["000.json"]["outcome"] == "success"
