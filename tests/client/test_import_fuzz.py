"""Exports that are damaged in any way: each is read whole, or refused whole with an error of ours, and nothing else.

``FUZZ_INPUTS`` says how many inputs each way of damage gets.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memsync_client.errors import InvalidImport
from memsync_client.import_files import opened
from memsync_client.interchange import formats
from tests.client.exports import CHATGPT, CLAUDE, PROJECT, files_of, zipped
from tests.client.mutation import changed_bytes
from tests.client.test_export import LOSSLESS, REMEMBERED, written
from tests.client.test_other_formats import ENTITY, MEM0, NOTE, RELATION, lines
from tests.client.test_paste import ANSWER

INPUTS = int(os.environ.get("FUZZ_INPUTS", "15"))
GOOD: dict[str, dict[str, str | bytes]] = {
    "chatgpt": dict(CHATGPT),
    "claude": dict(CLAUDE),
    "mem0": {"mem0.json": json.dumps([MEM0])},
    "paste": {"answer.txt": ANSWER},
    "server-memory": {"memory.jsonl": lines(ENTITY, RELATION)},
    "notes": {"Hands.md": NOTE, "CLAUDE.md": "Be brief.", "a/b.md": "# A\n\nb"},
    **{format: dict(written(REMEMBERED, format)) for format in LOSSLESS},
}
fuzzed = settings(
    max_examples=INPUTS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([10**400, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def explained(error: InvalidImport) -> None:
    assert error.cause
    assert error.next_step


def read_or_refused(contents: dict[str, Any], format: str | None = None) -> None:
    """Reads all, or raises InvalidImport; what comes out can be kept as it is."""
    try:
        report = formats.read(files_of(contents), format)[1]
    except InvalidImport as error:
        explained(error)
        return
    for draft in report.drafts:
        assert draft.memory(bytes(16)).content == draft.content
    assert all(count > 0 for count in report.skipped.values())


@pytest.mark.parametrize("name", GOOD)
def test_read__of_the_samples__finds_memories(name: str) -> None:
    assert formats.read(files_of(GOOD[name]))[1].drafts


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
@fuzzed
def test_read__of_an_export_with_changed_bytes__reads_or_refuses(name: str, data: st.DataObject) -> None:
    contents = {key: value.encode() if isinstance(value, str) else value for key, value in GOOD[name].items()}
    key = data.draw(st.sampled_from(sorted(contents)))
    contents[key] = data.draw(changed_bytes(contents[key]))
    read_or_refused(contents)
    read_or_refused(contents, data.draw(st.sampled_from(sorted(formats.READERS))))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in inner for place in places(below, (*path, key)))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The JSON value with another at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


SHAPES = {
    "chatgpt": ("conversations-000.json", json.loads(CHATGPT["conversations-000.json"])),
    "claude": ("conversations.json", json.loads(CLAUDE["conversations.json"])),
    "memories": ("memories.json", json.loads(CLAUDE["memories.json"])),
    "projects": ("projects.json", [PROJECT]),
    "mem0": ("mem0.json", [MEM0]),
    "entity": ("memory.json", ENTITY),
    "relation": ("memory.json", RELATION),
    "pam": ("memory-store.json", json.loads(b"".join(written(REMEMBERED[:2], "pam").values()))),
}


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
@fuzzed
def test_read__of_an_export_with_another_value__reads_or_refuses(name: str, data: st.DataObject) -> None:
    file, value = SHAPES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        value = with_value(value, data.draw(st.sampled_from(places(value))), data.draw(VALUES))
    read_or_refused({file: json.dumps(value)})


@given(data=st.data())
@fuzzed
def test_opened__of_a_damaged_archive__reads_or_refuses(data: st.DataObject) -> None:
    inner = zipped({"conversations.json": CLAUDE["conversations.json"]})
    whole = zipped({"conversations-000.zip": inner, "memories.json": CLAUDE["memories.json"]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "export.zip")
        path.write_bytes(data.draw(changed_bytes(whole)))
        try:
            with opened(str(path)) as files:
                formats.read(files)
        except InvalidImport as error:
            explained(error)


@given(data=st.binary(max_size=200))
@fuzzed
def test_read__of_any_bytes__reads_or_refuses(data: bytes) -> None:
    for format in (None, *formats.READERS):
        read_or_refused({"file": data}, format)
