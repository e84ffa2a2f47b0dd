"""Memories: their limits, their records, and how revisions follow each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical, memories
from memsync_client.errors import InvalidMemory, Tampered
from memsync_client.memories import Memory, Source

ID = bytes(range(16))
FULL = Memory(
    ID,
    "The fires were let out in March 1963.",
    datetime(2026, 3, 3, 18, 15, 0, 250_000, UTC),
    Source("assistant-b", "interviews", "7"),
    "fact",
    ("salt", "closing"),
)


EAST = timezone(timedelta(hours=1))


def name(number: int) -> bytes:
    return number.to_bytes(16)


IDS = st.binary(min_size=16, max_size=16)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
MEMORIES = st.builds(
    Memory,
    id=IDS,
    content=TEXT.filter(lambda text: bool(text.strip())),
    created=st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES),
    source=st.none() | st.builds(Source, TEXT, st.none() | TEXT, st.none() | TEXT),
    type=st.none() | TEXT,
    tags=st.lists(TEXT, max_size=4).map(tuple),
    revision=st.just(b"") | IDS,
    supersedes=st.lists(IDS, max_size=3).map(tuple),
)


@given(MEMORIES)
@settings(max_examples=500, deadline=None)
def test_record__of_any_memory__comes_back_whole(memory: Memory) -> None:
    record = memories.to_record(memory)
    again = memories.from_record(record)
    assert again == memory
    assert memories.to_record(again) == record
    assert again.created is None or again.created.tzinfo is UTC


def test_record__of_the_same_instant_in_another_zone__is_the_same() -> None:
    assert FULL.created
    elsewhere = replace(FULL, created=FULL.created.astimezone(timezone(timedelta(hours=-7))))
    assert memories.to_record(elsewhere) == memories.to_record(FULL)


def test_record__has_the_bytes_of_the_format() -> None:
    assert memories.to_record(FULL) == canonical.encode(
        {
            "id": ID,
            "revision": ID,
            "supersedes": [],
            "content": "The fires were let out in March 1963.",
            "created": 1_772_561_700_250_000,
            "type": "fact",
            "tags": ["salt", "closing"],
            "source": ["assistant-b", "interviews", "7"],
        }
    )


def test_record__of_a_time_before_1970__is_negative() -> None:
    early = replace(FULL, created=datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC))
    assert canonical.decode(memories.to_record(early))["created"] == -1


USUAL = st.builds(
    Memory,
    id=IDS,
    content=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
        lambda text: text.strip()
    ),
    created=st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    source=st.none()
    | st.builds(
        Source,
        st.text("gcontent\u00e9", max_size=80),
        st.none() | st.text("gcontent", max_size=120),
        st.none() | st.text("gcontent", max_size=300),
    ).filter(lambda source: len(source.foreign_id or "") <= 256),
    revision=st.just(b"") | IDS,
)


def of_any_shape(record: bytes) -> Memory | None:
    try:
        return memories._of_any_shape(record)
    except Tampered:
        return None


@given(USUAL, st.data())
@settings(max_examples=400, deadline=None)
def test_record__of_the_usual_shape__is_read_by_it_and_only_where_the_careful_way_reads_the_same(
    memory: Memory, data: st.DataObject
) -> None:
    record = memories.to_record(memory)
    long = memory.source is not None and len(memory.source.foreign_id or "") == 256
    assert memories._of_usual_shape(record) == (None if long else memory)
    place = data.draw(st.integers(0, len(record) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                record[:place] + bytes((data.draw(st.integers(0, 255)),)) + record[place + 1 :],
                record[:place] + record[place + 1 :],
                record[:place] + bytes((data.draw(st.integers(0, 255)),)) + record[place:],
                record + b"\xf6",
            ]
        )
    )
    assert memories._of_usual_shape(changed) in (None, of_any_shape(changed))


@pytest.mark.parametrize(
    ("short", "longer"),
    [
        (b"gcontent\x61a", b"gcontent\x78\x01a"),
        (b"gcontent\x61a", b"gcontent\x79\x00\x01a"),
        (b"gcontent\x61a", b"gcontent\x61 "),
        (b"gcontent\x61a", b"gcontent\x61\xff"),
        (b"\x83\x61p\xf6\xf6", b"\x83\x78\x01p\xf6\xf6"),
        (b"\x83\x61p\xf6\xf6", b"\x83\xf6\x61p\xf6"),
        (b"\x83\x61p\xf6\xf6", b"\x83\x61p\xf6"),
        (b"\x83\x61p\xf6\xf6", b"\x83\x61p\x62p"),
        (b"\x83\x61p\xf6\xf6", b"\x83\x61\xff\xf6\xf6"),
        (b"gcreated\x1b\x00\x06", b"gcreated\x1b\xff\x06"),
        (b"gcreated\x1b\x00\x06", b"gcreated\x3b\x00\x06"),
    ],
)
def test_record__nearly_of_the_usual_shape__is_refused(short: bytes, longer: bytes) -> None:
    record = memories.to_record(Memory(ID, "a", datetime(2026, 1, 1, tzinfo=UTC), Source("p")))
    assert record.count(short) == 1
    assert memories._of_usual_shape(record) is not None
    changed = record.replace(short, longer)
    assert memories._of_usual_shape(changed) is None
    if b"\x3b" not in longer:
        with pytest.raises(Tampered):
            memories.from_record(changed)


GOOD = canonical.decode(memories.to_record(FULL))

MALFORMED: dict[str, dict[str, Any]] = {
    "short id": {"id": ID[:15]},
    "text as id": {"id": "0" * 16},
    "no revision": {"revision": b""},
    "long revision": {"revision": ID + b"\x00"},
    "short superseded revision": {"supersedes": [b""]},
    "text as superseded revision": {"supersedes": ["0" * 16]},
    "null for superseded revisions": {"supersedes": None},
    "empty content": {"content": ""},
    "blank content": {"content": " \n"},
    "bytes as content": {"content": b"salt"},
    "huge content": {"content": "a" * 65_537},
    "text as time": {"created": "2026-01-31T12:00:00Z"},
    "bool as time": {"created": True},
    "time before year 1": {"created": -62_135_596_800_000_001},
    "time after year 9999": {"created": 253_402_300_800_000_000},
    "greatest time": {"created": 2**64 - 1},
    "number as type": {"type": 1},
    "long type": {"type": "a" * 257},
    "33 tags": {"tags": ["salt"] * 33},
    "long tag": {"tags": ["a" * 257]},
    "null as tag": {"tags": [None]},
    "list as tag": {"tags": [["salt"]]},
    "text as source": {"source": "assistant-b"},
    "empty source": {"source": []},
    "short source": {"source": ["assistant-b", None]},
    "long source": {"source": ["assistant-b", None, None, None]},
    "source without platform": {"source": [None, None, None]},
    "number as conversation": {"source": ["assistant-b", 1, None]},
    "list as foreign id": {"source": ["assistant-b", None, ["7"]]},
    "long foreign id": {"source": ["assistant-b", None, "7" * 257]},
    "field too many": {"mood": None},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED.keys())
def test_from_record__of_a_malformed_memory__is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Tampered):
        memories.from_record(canonical.encode(GOOD | changes))


@pytest.mark.parametrize("field", sorted(GOOD))
def test_from_record__without_a_field__is_refused(field: str) -> None:
    with pytest.raises(Tampered) as refused:
        memories.from_record(canonical.encode({key: value for key, value in GOOD.items() if key != field}))
    assert refused.value.cause == "The memory has missing or unknown fields."


@pytest.mark.parametrize(
    "record", [b"", b"\xf6", b"\x80", memories.to_record(FULL) + b"\x00", memories.to_record(FULL)[:-1]]
)
def test_from_record__of_no_record__is_refused(record: bytes) -> None:
    with pytest.raises(Tampered):
        memories.from_record(record)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=17) | IDS | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), VALUES, max_size=3))
@settings(max_examples=500, deadline=None)
def test_from_record__of_any_fields__is_what_to_record_writes_or_refused(changes: dict[str, Any]) -> None:
    record = canonical.encode(GOOD | changes)
    try:
        memory = memories.from_record(record)
    except Tampered:
        return
    assert memories.to_record(memory) == record


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_from_record__of_any_bytes__is_refused(record: bytes) -> None:
    with pytest.raises(Tampered):
        memories.from_record(record)


def test_new__takes_its_fields_and_an_id_of_its_own() -> None:
    created, source = datetime(2026, 1, 1, tzinfo=UTC), Source("assistant-a")
    memory = memories.new("Salt.", created=created, source=source, type="fact", tags=["a", "b"])
    assert memory == Memory(memory.id, "Salt.", created, source, "fact", ("a", "b"), memory.id, ())
    assert len({memories.new("Salt.").id for _ in range(100)}) == 100


def test_memory__at_its_limits__is_accepted() -> None:
    tags = ("t" * 256,) * 32
    memory = Memory(ID, "é" * 32_768, None, Source("p" * 256, "c" * 256, "f" * 256), "y" * 256, tags)
    assert memories.from_record(memories.to_record(memory)) == memory


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"content": ""}, "The memory is empty."),
    "blank": ({"content": "\u3000\t\r\n"}, "The memory is empty."),
    "65,538 bytes": ({"content": "é" * 32_769}, "The memory is 65,538 bytes long, more than 65,536."),
    "lone surrogate": ({"content": "a\ud800"}, "The memory is not valid Unicode text."),
    "no id": ({"id": b""}, "An id is not 16 bytes long."),
    "long revision": ({"revision": ID + ID}, "An id is not 16 bytes long."),
    "short superseded revision": ({"supersedes": (ID, ID[:4])}, "A superseded revision is not 16 bytes long."),
    "33 tags": ({"tags": ("salt",) * 33}, "The memory has more than 32 tags."),
    "long tag": ({"tags": ("a" * 257,)}, "The tag is 257 bytes long, more than 256."),
    "surrogate in a tag": ({"tags": ("\udfff",)}, "The tag is not valid Unicode text."),
    "long type": ({"type": "é" * 129}, "The field is 258 bytes long, more than 256."),
    "long platform": ({"source": Source("a" * 257)}, "The field is 257 bytes long, more than 256."),
    "long conversation": ({"source": Source("a", "a" * 257)}, "The field is 257 bytes long, more than 256."),
    "long foreign id": ({"source": Source("a", None, "a" * 257)}, "The field is 257 bytes long, more than 256."),
    "time before year 1 in UTC": (
        {"created": datetime(1, 1, 1, tzinfo=EAST)},
        "A time lies outside the years 1 to 9999.",
    ),
    "time without a zone": ({"created": datetime(2026, 1, 1)}, "A time has no zone."),
}


@pytest.mark.parametrize(("changes", "cause"), INVALID.values(), ids=INVALID.keys())
def test_memory__outside_its_limits__is_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(InvalidMemory) as refused:
        replace(FULL, **changes)
    assert refused.value.cause == cause
    assert refused.value.next_step


def test_edited__keeps_all_but_the_content_and_supersedes_the_revision() -> None:
    edited = FULL.edited("In March 1964.")
    assert edited == replace(FULL, content="In March 1964.", revision=edited.revision, supersedes=(ID,))
    assert edited.revision not in (ID, FULL.edited("In March 1964.").revision)


def test_edited__twice__supersedes_only_the_last_revision() -> None:
    first = FULL.edited("one")
    assert first.edited("two").supersedes == (first.revision,)


def test_edited__with_tips__supersedes_all_of_them() -> None:
    assert FULL.edited("both", [name(1), name(2)]).supersedes == (name(1), name(2))


def test_edited__to_nothing__is_refused() -> None:
    with pytest.raises(InvalidMemory):
        FULL.edited(" ")


def revision(id: int, number: int, *supersedes: int) -> Memory:
    return Memory(name(id), f"text {number}", revision=name(number), supersedes=tuple(map(name, supersedes)))


def standing(*revisions: Memory) -> dict[int, list[int]]:
    return {
        int.from_bytes(id): [int.from_bytes(tip.revision) for tip in tips]
        for id, tips in memories.tips(revisions).items()
    }


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        ([], {}),
        ([revision(1, 1)], {1: [1]}),
        ([revision(2, 2), revision(1, 1)], {2: [2], 1: [1]}),
        ([revision(1, 1), revision(1, 10, 1)], {1: [10]}),
        ([revision(1, 10, 1), revision(1, 1)], {1: [10]}),
        ([revision(1, 1), revision(1, 10, 1), revision(1, 11, 10)], {1: [11]}),
        ([revision(1, 11, 10), revision(1, 1), revision(1, 10, 1)], {1: [11]}),
        ([revision(1, 1), revision(1, 10, 1), revision(1, 11, 1)], {1: [10, 11]}),
        ([revision(1, 1), revision(1, 10, 1), revision(1, 11, 1), revision(1, 12, 10, 11)], {1: [12]}),
        ([revision(1, 1), revision(1, 1)], {1: [1]}),
        ([revision(1, 10, 1)], {1: [10]}),
        ([revision(1, 1), revision(2, 2), revision(1, 10, 1)], {1: [10], 2: [2]}),
        ([revision(1, 1), revision(2, 20, 1)], {1: [1], 2: [20]}),
        ([revision(1, 1, 1)], {1: [1]}),
        ([revision(1, 1), revision(1, 10, 11), revision(1, 11, 10, 1)], {1: [11]}),
    ],
    ids=[
        "nothing",
        "one",
        "two memories",
        "edit",
        "edit comes first",
        "edit of an edit",
        "in any order",
        "conflict",
        "conflict settled",
        "the same twice",
        "first revision missing",
        "edit after another memory",
        "no power over another memory",
        "superseding itself",
        "a circle keeps the last",
    ],
)
def test_tips__of_revisions__are_those_that_none_supersedes(
    revisions: list[Memory], expected: dict[int, list[int]]
) -> None:
    assert standing(*revisions) == expected
    assert list(standing(*revisions)) == list(expected)


def test_tips__of_two_texts_under_one_revision__keeps_the_first() -> None:
    first, second = revision(1, 1), replace(revision(1, 1), content="another text")
    assert memories.tips([first, second]) == {name(1): [first]}


@given(st.permutations([(1, 1), (1, 10, 1), (1, 11, 1), (1, 12, 10), (2, 2), (2, 20, 2)]))
@settings(max_examples=500, deadline=None)
def test_tips__in_any_order__are_the_same(order: list[tuple[int, ...]]) -> None:
    tips = standing(*(revision(*numbers) for numbers in order))
    assert {id: sorted(names) for id, names in tips.items()} == {1: [11, 12], 2: [20]}
