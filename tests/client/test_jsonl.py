"""JSON Lines: whole files come in as they are, anything broken is refused with its line, and nothing else escapes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.errors import InvalidImport, InvalidMemory
from memsync_client.interchange import Draft, Report, jsonl
from memsync_client.memories import Memory, Source

SAMPLE = Path(__file__).parents[2] / "scripts" / "sample.jsonl"
GOOD = {
    "id": "7",
    "content": "The fires were let out in March 1963.",
    "created": "2026-03-03T18:15:00.25+01:00",
    "source": {"platform": "assistant-b", "conversation": "interviews"},
    "type": "fact",
    "tags": ["salt", "closing"],
}


def read(data: bytes | str) -> Report:
    return jsonl.read(io.BytesIO(data.encode() if isinstance(data, str) else data), "notes.jsonl")


def line(**changes: Any) -> str:
    return json.dumps({"id": "7", "content": "Salt."} | changes)


def test_read__of_a_full_line__keeps_every_field() -> None:
    assert read(json.dumps(GOOD)) == Report(
        (
            Draft(
                content="The fires were let out in March 1963.",
                created=datetime(2026, 3, 3, 17, 15, 0, 250_000, UTC),
                source=Source("assistant-b", "interviews", "7"),
                type="fact",
                tags=("salt", "closing"),
            ),
        ),
        {},
    )


def test_read__of_the_least_line__knows_no_time_and_keeps_the_id() -> None:
    assert read(line()).drafts == (Draft("Salt.", None, Source("jsonl", None, "7")),)


def test_read__of_nulls__takes_them_for_absent() -> None:
    nulls = dict.fromkeys(["created", "source", "type", "tags"])
    assert read(line(**nulls)) == read(line())
    assert read(line(source={"platform": "a", "conversation": None})) == read(line(source="a"))


def test_read__of_the_sample__gives_its_memories_in_order() -> None:
    with SAMPLE.open("rb") as stream:
        report = jsonl.read(stream, "sample.jsonl")
    assert len(report.drafts) == 55
    assert report.conversations == 7
    assert not report.skipped
    times = [draft.created for draft in report.drafts if draft.created]
    assert len(times) == 55
    assert times == sorted(times)


@pytest.mark.parametrize(
    "data",
    [
        line(id="1") + "\n" + line(id="2"),
        line(id="1") + "\r\n" + line(id="2") + "\r\n",
        "\n \t\n" + line(id="1") + "\n\n" + line(id="2") + "\n\r\n",
        b"\xef\xbb\xbf" + (line(id="1") + "\n" + line(id="2")).encode(),
        line(id="1") + "\n" + line(id="2") + "\n" + line(id="1"),
    ],
    ids=["plain", "CRLF", "blank lines", "byte order mark", "a line again"],
)
def test_read__of_two_memories__gives_two(data: bytes | str) -> None:
    assert [draft.source for draft in read(data).drafts] == [Source("jsonl", None, "1"), Source("jsonl", None, "2")]


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\n"])
def test_read__of_an_empty_file__gives_nothing(data: bytes) -> None:
    assert read(data) == Report((), {})


def test_read__with_fields_that_have_no_place__counts_them() -> None:
    source = {"platform": "a", "conversation": "c", "message": "9"}
    data = "\n".join(
        [line(id="1", mood="good", source=source), line(id="2", mood=1), line(id="3", **{"\x1b[2J": 0, "x" * 65: 0})]
    )
    report = read(data)
    assert report.skipped == {"mood": 2, "source.message": 1, "(unprintable)": 2}
    assert (len(report.drafts), report.conversations) == (3, 1)


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00-00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T23:30:00-05:30", datetime(2026, 2, 1, 5, tzinfo=UTC)),
        ("2026-01-31T12:00:00.1234567Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, UTC)),
        ("1903-12-31T00:00:00Z", datetime(1903, 12, 31, tzinfo=UTC)),
    ],
)
def test_read__of_a_time__gives_it_in_utc(text: str, created: datetime) -> None:
    (draft,) = read(line(created=text)).drafts
    assert (draft.created, draft.created and draft.created.tzinfo) == (created, UTC)


NO_TIME = "Field created is not a time with a zone."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00+01",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-02-30T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "20260131T120000Z",
        "2026-W05-6T12:00:00Z",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "２026-01-31T12:00:00Z",
    ],
)
def test_read__of_another_form_of_time__is_refused(text: str) -> None:
    assert refusal(line(created=text)) == f"notes.jsonl, line 1: {NO_TIME}"


def refusal(data: bytes | str) -> str:
    with pytest.raises(InvalidImport) as refused:
        read(data)
    assert refused.value.next_step.endswith("Nothing was imported.")
    return refused.value.cause


NOT_TAGS = "Field tags is not a list of texts."
NO_PLATFORM = "The platform of its source is missing or empty."
NOT_JSON = "It is not JSON from character {} on."
BROKEN: dict[str, tuple[bytes | str, str]] = {
    "no JSON": ("salt", NOT_JSON.format(1)),
    "cut": (line()[:-1], NOT_JSON.format(len(line()))),
    "two objects": (line() + line(), NOT_JSON.format(len(line()) + 1)),
    "comma at the end": (line() + ",", NOT_JSON.format(len(line()) + 1)),
    "single quotes": ("{'id': '7'}", NOT_JSON.format(2)),
    "raw control character": ('{"id": "7", "content": "a\x00"}', NOT_JSON.format(26)),
    "byte order mark inside": (b"\xef\xbb\xbf" + line().encode(), NOT_JSON.format(1)),
    "not a number": ('{"id": "7", "content": "a", "x": NaN}', "NaN is not JSON."),
    "infinity": ('{"id": "7", "content": "a", "x": -Infinity}', "-Infinity is not JSON."),
    "number too long": ('{"x": ' + "1" * 5000 + "}", "It has a number that is too long."),
    "key twice": ('{"id": "7", "content": "a", "content": "b"}', "A field stands twice in it."),
    "key twice inside": ('{"id": "7", "content": "a", "x": {"y": 1, "y": 2}}', "A field stands twice in it."),
    "33 deep": ('{"x": ' + "[" * 32 + "]" * 32 + "}", "It is nested too deeply."),
    "100,000 lists deep": ("[" * 100_000, "It is nested too deeply."),
    "100,000 objects deep": ('{"a":' * 100_000, "It is nested too deeply."),
    "list": ("[]", "It is not a JSON object."),
    "text": ('"salt"', "It is not a JSON object."),
    "null": ("null", "It is not a JSON object."),
    "not UTF-8": (b'{"id": "caf\xe9"}', "Byte 12 is not UTF-8."),
    "surrogate as UTF-8": (b'{"id": "\xed\xa0\x80"}', "Byte 9 is not UTF-8."),
    "UTF-16": (line().encode("utf-16-le"), NOT_JSON.format(2)),
    "surrogate in content": (line(content="\ud800"), "The memory is not valid Unicode text."),
    "surrogate in a tag": (line(tags=["\udfff"]), "The tag is not valid Unicode text."),
    "surrogate in the id": (line(id="\ud800"), "The field is not valid Unicode text."),
    "no id": ('{"content": "a"}', "Field id is missing or empty."),
    "empty id": (line(id=""), "Field id is missing or empty."),
    "number as id": (line(id=7), "Field id is not text."),
    "long id": (line(id="7" * 257), "The field is 257 bytes long, more than 256."),
    "no content": ('{"id": "7"}', "Field content is missing."),
    "null content": (line(content=None), "Field content is missing."),
    "empty content": (line(content=""), "The memory is empty."),
    "blank content": (line(content=" \n\t\u3000"), "The memory is empty."),
    "list as content": (line(content=["a"]), "Field content is not text."),
    "huge content": (line(content="é" * 32_769), "The memory is 65,538 bytes long, more than 65,536."),
    "huge line": (line(content="a" * 1_000_000), "The line has more than 1,000,000 bytes."),
    "huge blank line": (" " * 1_000_001, "The line has more than 1,000,000 bytes."),
    "number as time": (line(created=1767225600), "Field created is not text."),
    "false as time": (line(created=False), "Field created is not text."),
    "number as type": (line(type=1), "Field type is not text."),
    "text as tags": (line(tags="salt"), NOT_TAGS),
    "object as tags": (line(tags={"salt": 1}), NOT_TAGS),
    "null as tag": (line(tags=["salt", None]), NOT_TAGS),
    "33 tags": (line(tags=["salt"] * 33), "The memory has more than 32 tags."),
    "number as source": (line(source=1), "Field source is not text."),
    "list as source": (line(source=["a"]), "Field source is not text."),
    "empty source": (line(source=""), NO_PLATFORM),
    "source without platform": (line(source={"conversation": "c"}), NO_PLATFORM),
    "empty platform": (line(source={"platform": ""}), NO_PLATFORM),
    "number as platform": (line(source={"platform": 1}), "Field platform is not text."),
    "number as conversation": (line(source={"platform": "a", "conversation": 1}), "Field conversation is not text."),
    "id again": (line(id="1", content="Coal."), "Its id stands on an earlier line with something else."),
    "id again, other time": (
        line(id="1", created="2026-01-31T12:00:00Z"),
        "Its id stands on an earlier line with something else.",
    ),
}


@pytest.mark.parametrize(("broken", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_read__of_a_broken_line__names_it_and_gives_nothing(broken: bytes | str, cause: str) -> None:
    data = broken if isinstance(broken, bytes) else broken.encode()
    assert (
        refusal(line(id="1").encode() + b"\n\n" + data + b"\n" + line(id="3").encode())
        == f"notes.jsonl, line 3: {cause}"
    )


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b'[{"id": "7"}]', "The file is a JSON array, not JSON Lines."),
        (b"[\n  {", "The file is a JSON array, not JSON Lines."),
        (b'{\n  "id": "7"\n}', "The file is JSON spread over several lines."),
        (b"PK\x03\x04\x14\x00\x00\x00", "The file is a zip archive, not JSON Lines."),
        (b"\x1f\x8b\x08\x00", "The file is a gzip archive, not JSON Lines."),
        (line().encode("utf-16"), "The file is UTF-16 text, not JSON Lines."),
        ("\ufeff".encode("utf-16-be") + line().encode("utf-16-be"), "The file is UTF-16 text, not JSON Lines."),
    ],
)
def test_read__of_another_format__says_which(data: bytes, cause: str) -> None:
    assert refusal(data) == f"notes.jsonl, line 1: {cause}"


def test_read__of_brackets_in_text_or_side_by_side__takes_them() -> None:
    brackets = '[{"' * 1_000 + "\\"
    report = read(line(content=brackets, wide=[[]] * 1_000, deep=json.loads("[" * 31 + "]" * 31)))
    assert [draft.content for draft in report.drafts] == [brackets]


# Libraries of the Ethereum world raise the limit that usually stops the parser before its stack ends.
RAISED_LIMIT = """
import io, sys
from memsync_client.errors import InvalidImport
from memsync_client.interchange import jsonl

sys.setrecursionlimit(1_000_000)
for start in (b"[", b'{"a":'):
    try:
        jsonl.read(io.BytesIO(b"\\n" + start * 150_000), "deep")
    except InvalidImport as error:
        print(error.cause)
"""


def test_read__of_great_depth_under_a_raised_recursion_limit__is_refused() -> None:
    done = subprocess.run([sys.executable, "-c", RAISED_LIMIT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "deep, line 2: It is nested too deeply.\n" * 2), done.stderr[-2000:]


@pytest.mark.parametrize("text", ['"' + '\\"' * 499_000, '"\\', '"' * 999_999, "[]" * 499_999, '"\\"[' * 249_999])
def test_read__of_any_pile_of_quotes__is_refused_soon(text: str) -> None:
    assert refusal("\n" + text).startswith("notes.jsonl, line 2: It is not JSON from character ")


def test_read__of_a_line_without_end__stops_at_the_limit() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.given += len(buffer)
            buffer[:] = b"a" * len(buffer)
            return len(buffer)

    endless = Endless()
    with pytest.raises(InvalidImport, match="line 1: The line has more than 1,000,000 bytes"):
        jsonl.read(io.BufferedReader(endless), "endless")
    assert endless.given < 2_000_000


def test_read__of_a_stream_that_fails__is_refused() -> None:
    class Failing(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InvalidImport) as refused:
        jsonl.read(Failing(), "notes.jsonl")
    assert refused.value.cause == "notes.jsonl can't be read: Input/output error."


SECRET = "Pepperpot"


@pytest.mark.parametrize(
    "data",
    [
        f'{{"id": "7", "content": "{SECRET}"',
        f'{{"id": "7", "content": "{SECRET}\\q"}}',
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        line(content=SECRET, created=SECRET),
        line(content=SECRET + "\ud800"),
        line(id=SECRET) + "\n" + line(id=SECRET, content=SECRET),
        line(content=SECRET * 8_000),
    ],
)
def test_read__of_a_broken_line__quotes_none_of_it(data: str) -> None:
    with pytest.raises(InvalidImport) as refused:
        read(data)
    assert SECRET not in refused.value.cause + refused.value.next_step


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
LINES = st.fixed_dictionaries(
    {"id": st.text(max_size=3) | JSON, "content": st.text(max_size=20) | JSON},
    optional={
        "created": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | JSON,
        "source": st.fixed_dictionaries({}, optional={"platform": st.text() | JSON, "conversation": JSON}) | JSON,
        "type": JSON,
        "tags": st.lists(st.text(), max_size=3) | JSON,
        "other": JSON,
    },
).map(lambda value: json.dumps(value).encode())


def read_or_refused(data: bytes) -> None:
    try:
        report = read(data)
    except InvalidImport:
        return
    assert len(report.drafts) <= data.count(b"\n") + 1


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_read__of_any_bytes__reads_or_refuses(data: bytes) -> None:
    read_or_refused(data)


@given(st.lists(LINES | st.binary(max_size=20), max_size=4).map(b"\n".join))
@settings(max_examples=500, deadline=None)
def test_read__of_any_lines_of_json__reads_or_refuses(data: bytes) -> None:
    read_or_refused(data)


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_read__of_a_good_line_with_a_changed_byte__reads_or_refuses(data: st.DataObject) -> None:
    good = json.dumps(GOOD).encode()
    at = data.draw(st.integers(0, len(good) - 1))
    read_or_refused(good[:at] + data.draw(st.binary(max_size=2)) + good[at + 1 :])


def test_draft__becomes_the_first_revision_of_a_memory() -> None:
    (draft,) = read(json.dumps(GOOD)).drafts
    id = bytes(range(16))
    assert draft.memory(id) == Memory(
        id, draft.content, draft.created, draft.source, "fact", ("salt", "closing"), id, ()
    )


def test_draft__outside_the_limits_of_a_memory__is_refused() -> None:
    with pytest.raises(InvalidMemory, match="The memory is empty"):
        Draft(" ")
