"""The list of forgotten ids: the owner's alone, and of one form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.errors import Tampered
from memsync_client.forgotten import open_forgotten, seal_forgotten
from memsync_client.keyring import OwnerKeys
from memsync_client.sealing import MAX_BLOB, derive, seal, sealed_size
from tests.client.material import OTHER_PLACES, PLACE, flipped, secret

KEYS = OwnerKeys.new(3)
IDS = st.sets(st.binary(min_size=16, max_size=16), max_size=40)
ONE, OTHER = b"\1" * 16, b"\2" * 16


def with_body(body: Any, kind: str = "forgotten") -> bytes:
    whole = body if isinstance(body, bytes) else canonical.encode(body)
    return seal(derive(KEYS.owner_secret, "owner/forgotten"), PLACE.context(kind, 3), whole)


@given(IDS)
@settings(max_examples=100, deadline=None)
def test_open__of_any_ids__gives_them(ids: set[bytes]) -> None:
    blobs = seal_forgotten(PLACE, KEYS, ids)
    assert len(blobs) == bool(ids)
    assert open_forgotten(PLACE, KEYS, blobs) == ids


def test_seal__more_than_one_blob_holds__several_and_each_small_enough() -> None:
    ids = {secret(str(number))[:16] for number in range(120_000)}
    blobs = seal_forgotten(PLACE, KEYS, ids)
    assert len(blobs) == 3
    assert all(len(blob) <= MAX_BLOB for blob in blobs)
    assert open_forgotten(PLACE, KEYS, blobs) == ids


def test_seal__of_few_ids__hides_their_number() -> None:
    sizes = {
        len(blob)
        for count in (1, 100)
        for blob in seal_forgotten(PLACE, KEYS, [secret(str(i))[:16] for i in range(count)])
    }
    assert sizes == {sealed_size(2_048)}


def test_open__with_what_a_reader_has_or_elsewhere__tampered() -> None:
    [blob] = seal_forgotten(PLACE, KEYS, {ONE})
    reader = OwnerKeys(3, KEYS.secret, KEYS.writer_public, KEYS.secret)
    for place, keys in [
        (PLACE, reader),
        (PLACE, OwnerKeys.new(3)),
        *((place, KEYS) for place in OTHER_PLACES.values()),
    ]:
        with pytest.raises(Tampered):
            open_forgotten(place, keys, [blob])
    with pytest.raises(Tampered):
        open_forgotten(PLACE, OwnerKeys(4, KEYS.secret, KEYS.writer_public, KEYS.owner_secret), [blob])
    for position in range(len(blob)):
        with pytest.raises(Tampered):
            open_forgotten(PLACE, KEYS, [flipped(blob, position)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        {},
        "text",
        [None],
        [1],
        [ONE.hex()],
        [ONE[:15]],
        [ONE + b"\0"],
        [OTHER, ONE],
        [ONE, ONE],
        canonical.encode([ONE]) + b"\0",
    ],
    ids=str,
)
def test_open__malformed_under_the_right_key__tampered(body: Any) -> None:
    with pytest.raises(Tampered):
        open_forgotten(PLACE, KEYS, [with_body(body)])


def test_open__another_object_of_the_owner__tampered() -> None:
    assert open_forgotten(PLACE, KEYS, [with_body([ONE, OTHER])]) == {ONE, OTHER}
    with pytest.raises(Tampered):
        open_forgotten(PLACE, KEYS, [with_body([ONE], "roster")])


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_open__arbitrary_bytes_under_the_right_key__ids_or_tampered(body: bytes) -> None:
    try:
        ids = open_forgotten(PLACE, KEYS, [with_body(body)])
    except Tampered:
        return
    assert canonical.encode(sorted(ids)) == body
