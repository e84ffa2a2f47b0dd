"""Packs: what they hold, how memories are split over them, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.committing import Batch
from memsync_client.errors import Tampered
from memsync_client.keyring import OwnerKeys
from memsync_client.memories import MAX_CONTENT_BYTES, MAX_FIELD_BYTES, MAX_TAGS, Memory, Source, new, to_record
from memsync_client.packs import (
    Entry,
    Forgotten,
    Item,
    PackNote,
    encode_body,
    entries,
    join_bodies,
    open_pack,
    seal_pack,
    split,
    without,
)
from memsync_client.sealing import MAX_BLOB, derive, max_body, seal, sealed_size, unseal
from tests.client.material import OTHER_PLACES, PLACE, flipped, memory, secret

SECRET = secret("epoch")
EPOCH = 3
ONE = entries([memory(1)])

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAMES = st.none() | TEXT
TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2300, 1, 1), timezones=st.just(UTC))
MEMORIES = st.builds(
    Memory,
    st.binary(min_size=16, max_size=16),
    TEXT.map("x".__add__),
    st.none() | TIMES,
    st.none() | st.builds(Source, TEXT, NAMES, NAMES),
    NAMES,
    st.lists(TEXT, max_size=4).map(tuple),
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
)


def opened(blob: bytes) -> list[Item]:
    return open_pack(PLACE, EPOCH, SECRET, blob)


def encoded(items: list[Item]) -> bytes:
    """The body of a pack, written without the code under test."""
    return canonical.encode([[item.salt, item.record] if isinstance(item, Entry) else item.value for item in items])


def with_body(body: Any) -> bytes:
    """A pack with that body, sealed as it must be."""
    whole = body if isinstance(body, bytes) else canonical.encode(body)
    return seal(derive(SECRET, "epoch/pack"), PLACE.context("pack", EPOCH), whole)


@given(st.lists(MEMORIES, max_size=5))
@settings(max_examples=200, deadline=None)
def test_open__of_any_memories__gives_them_in_order(memories: list[Memory]) -> None:
    batch = entries(memories)
    found = opened(seal_pack(PLACE, EPOCH, SECRET, batch))
    assert found == batch
    assert [item.memory for item in found if isinstance(item, Entry)] == memories


def test_entries__have_fresh_salts_and_commit_to_vault_salt_and_record() -> None:
    batch = entries([memory(1)] * 50)
    assert len({entry.salt for entry in batch}) == 50
    assert {len(entry.salt) for entry in batch} == {16}
    one = batch[0]
    assert one.record == to_record(memory(1))
    assert one.commitment(PLACE) == keccak(PLACE.vault_id + one.salt + one.record)
    assert one.commitment(OTHER_PLACES["vault"]) != one.commitment(PLACE)


BATCHES = st.lists(st.lists(st.none() | MEMORIES, min_size=1, max_size=3), min_size=1, max_size=4)


@given(BATCHES, st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_join_bodies__of_packs_in_a_row__the_body_and_the_note_of_one_that_holds_them_all(
    batches: list[list[Memory | None]], start: int
) -> None:
    whole: list[Item] = []
    bodies, notes = [], []
    for batch in batches:
        items: list[Item] = [entries([one])[0] if one else Forgotten(secret("gone")) for one in batch]
        bodies.append((encode_body(items), len(items)))
        notes.append(PackNote.of(items, start + len(whole), PLACE))
        whole += items
    assert b"".join(join_bodies(bodies)) == encode_body(whole)
    note, apart = PackNote.of(whole, start, PLACE), reduce(PackNote.followed_by, notes)
    assert (apart.stretch, apart.size) == (note.stretch, note.size)
    assert set(ids_of(apart)) == set(ids_of(note)) == {one.memory.id for one in whole if isinstance(one, Entry)}
    assert note.size >= len(encode_body(whole)) - 5


def ids_of(note: PackNote) -> list[bytes]:
    return [note.ids[i : i + 16] for i in range(0, len(note.ids), 16)]


def test_note__says_whose_memories_are_in_the_pack_and_not_those_of_the_forgotten() -> None:
    batch = without(entries([memory(1), memory(2), memory(1).edited("It ends on the ferry.")]), {memory(2).id}, PLACE)
    note = PackNote.of(batch, 5, PLACE)
    assert ids_of(note) == [memory(1).id]
    assert (note.has_any({memory(1).id, secret("id")[:16]}), note.has_any({memory(2).id}), note.has_any(())) == (
        True,
        False,
        False,
    )
    across = memory(1).id[8:] + memory(2).id[:8]
    assert not PackNote.of(entries([memory(1), memory(2)]), 0, PLACE).has_any({across})


def test_join_bodies__another_number_than_was_noted__tampered() -> None:
    body = encode_body(ONE)
    with pytest.raises(Tampered):
        join_bodies([(body, 1), (body, 2)])


def test_without__leaves_the_commitments_of_all_revisions_and_everything_else() -> None:
    first, other = memory(1), memory(2)
    batch = entries([first, other, first.edited("Chapter 1 ends on the ferry.")])
    left = without(batch, {first.id}, PLACE)
    assert [item.commitment(PLACE) for item in left] == [item.commitment(PLACE) for item in batch]
    blob = seal_pack(PLACE, EPOCH, SECRET, left)
    assert opened(blob) == left == [Forgotten(batch[0].commitment(PLACE)), batch[1], left[2]]
    assert isinstance(left[2], Forgotten)
    body = unseal(derive(SECRET, "epoch/pack"), PLACE.context("pack", EPOCH), blob, "pack")
    for gone in (batch[0], batch[2]):
        assert gone.salt not in body
        assert gone.memory.content.encode() not in body
    assert without(left, {first.id}, PLACE) == left


# Splitting ------------------------------------------------------------------------------------------------------------


def largest_memory(number: int) -> Memory:
    wide = "\U0001f300" * (MAX_FIELD_BYTES // 4)
    tags = (wide,) * MAX_TAGS
    return replace(memory(number, "x" * MAX_CONTENT_BYTES), source=Source(wide, wide, wide), type=wide, tags=tags)


SPLIT = {
    "none": [],
    "one": [memory(1)],
    "30,000 tiny": [memory(i, "y") for i in range(30_000)],
    "40 of 65,536 bytes": [memory(i, "z" * 65_536) for i in range(40)],
    "40 of the largest": [largest_memory(i) for i in range(40)],
    "forgotten": [memory(i) for i in range(60_000)],
    "mixed": [memory(i, "m" * (1 + i * 7_919 % 65_536)) for i in range(80)],
}


@pytest.mark.parametrize("limit", [MAX_BLOB, 98_304])
@pytest.mark.parametrize("memories", SPLIT.values(), ids=SPLIT.keys())
def test_split__loses_nothing_keeps_the_order_and_never_exceeds_the_limit(memories: list[Memory], limit: int) -> None:
    whole: list[Item] = list(entries(memories))
    if len(memories) == 60_000:
        whole = without(whole, {memory.id for memory in memories[:59_999]}, PLACE)
    parts = list(split(whole, limit))
    assert [entry for part in parts for entry in part] == whole
    blobs = [seal_pack(PLACE, EPOCH, SECRET, part) for part in parts]
    assert all(len(blob) <= limit for blob in blobs)
    for part, after in pairwise(parts):
        body = len(encoded(part))
        reckoned = body + 4 * len(part)  # the overhead of a short record is reckoned up to 4 bytes too large
        assert reckoned + len(encoded(after[:1])) + 30 > max_body(limit)


def test_split__at_the_edge_of_a_blob__fills_it_and_not_more() -> None:
    """Records that together with their overhead take the whole room or one byte more."""
    room = max_body() - 5
    for over in (0, 1):
        items = [Entry(memory(1), bytes(16), bytes(500_000 - 23)), Entry(memory(2), bytes(16), b"")]
        items[1] = items[1]._replace(record=bytes(room - 500_000 - 23 + over))
        parts = list(split(items))
        assert len(parts) == 1 + over
        assert all(len(seal_pack(PLACE, EPOCH, SECRET, part)) <= MAX_BLOB for part in parts)


def test_seal__of_few_memories__hides_their_number_and_length() -> None:
    sizes = {len(seal_pack(PLACE, EPOCH, SECRET, entries([memory(i)] * count))) for i in (1, 99) for count in (1, 2, 8)}
    assert sizes == {sealed_size(2_048)}


# What is refused ------------------------------------------------------------------------------------------------------


def test_open__elsewhere_or_with_another_secret__tampered() -> None:
    blob = seal_pack(PLACE, EPOCH, SECRET, ONE)
    for place in OTHER_PLACES.values():
        with pytest.raises(Tampered):
            open_pack(place, EPOCH, SECRET, blob)
    with pytest.raises(Tampered):
        open_pack(PLACE, EPOCH + 1, SECRET, blob)
    with pytest.raises(Tampered):
        open_pack(PLACE, EPOCH, flipped(SECRET, 0), blob)


def test_open__of_a_head_or_raw_secret__is_no_pack() -> None:
    body = canonical.encode([[ONE[0].salt, ONE[0].record]])
    for key, kind in (("epoch/head", "pack"), ("epoch/pack", "head")):
        with pytest.raises(Tampered):
            opened(seal(derive(SECRET, key), PLACE.context(kind, EPOCH), body))
    with pytest.raises(Tampered):
        opened(seal(SECRET, PLACE.context("pack", EPOCH), body))


SALT, RECORD = ONE[0].salt, ONE[0].record


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xf6",
        {},
        "text",
        [None],
        [[]],
        [[SALT]],
        [[SALT, RECORD, b""]],
        [[SALT, RECORD], [SALT]],
        [bytes(31)],
        [bytes(33)],
        ["x" * 32],
        [[bytes(32)]],
        [{"salt": SALT, "record": RECORD}],
        [[SALT.hex(), RECORD]],
        [[SALT, "record"]],
        [[SALT[:15], RECORD]],
        [[SALT + b"\0", RECORD]],
        [[SALT, b""]],
        [[SALT, RECORD[:-1]]],
        [[SALT, RECORD + b"\0"]],
        [[SALT, canonical.encode({})]],
        [[SALT, canonical.encode(canonical.decode(RECORD) | {"content": " "})]],
        [[SALT, canonical.encode(canonical.decode(RECORD) | {"content": "x" * 65_537})]],
        [[SALT, canonical.encode(canonical.decode(RECORD) | {"revision": b""})]],
        canonical.encode([[SALT, RECORD]]) + b"\0",
        b"\x9f" + canonical.encode([SALT, RECORD]) + b"\xff",
    ],
    ids=lambda body: str(body)[:40],
)
def test_open__of_a_malformed_body_under_the_right_key__tampered(body: Any) -> None:
    with pytest.raises(Tampered):
        opened(with_body(body))


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_open__of_arbitrary_bodies_under_the_right_key__gives_entries_or_tampered(body: bytes) -> None:
    try:
        found = opened(with_body(body))
    except Tampered:
        return
    assert encoded(found) == body


def test_batch__keys_drawn_anew_after_a_lost_race__packs_open_under_those_that_are_used() -> None:
    """Two keyrings of one epoch were made, and the first was never committed: its secret opens nothing that counts."""
    given = [new("Ines is left-handed."), new("She sails.")]
    lost, used = OwnerKeys.new(2), OwnerKeys.new(2)
    batch = Batch.of(PLACE, lost, given, [])
    assert batch.is_of(lost, given)
    assert not batch.is_of(used, given)
    assert not batch.is_of(lost, given[:1])
    (pack,) = Batch.of(PLACE, used, given, []).packs
    assert [item.memory for item in open_pack(PLACE, 2, used.secret, pack.blob) if isinstance(item, Entry)] == given


def test_batch__log_has_grown_since_it_was_sealed__notes_stand_where_they_are_now() -> None:
    given = [new(f"memory {number}") for number in range(3)]
    batch = Batch.of(PLACE, OwnerKeys.new(2), given, [], start=5)
    (pack,) = batch.packs
    assert batch.note_of(pack, 5, PLACE) is pack.note
    moved, items = batch.note_of(pack, 8, PLACE), open_pack(PLACE, 2, batch.secret, pack.blob)
    assert moved == PackNote.of(items, 8, PLACE)
    assert (batch.count, batch.new, batch.first) == (3, 3, items[0].commitment(PLACE))
