"""What goes out comes in again, all of it, in four formats; and others' tools accept what we write."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from portable_ai_memory.core.io import load_dict
from portable_ai_memory.core.validator import validate_memory_store
from portable_ai_memory.models.memory_store import MemoryStore

from memsync_client.import_ids import OWN_PLATFORM, identified
from memsync_client.interchange import OWNER, PRODUCER, formats, jsonl, markdown
from memsync_client.memories import Memory, Source
from tests.client.exports import CHATGPT, CLAUDE, files_of, read

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
KEY, OTHER_KEY = bytes(32), bytes([1]) * 32
LOSSLESS = ("jsonl", "markdown", "omi", "pam")
LOCOMO = Path(os.environ.get("LOCOMO", Path(__file__).parents[3] / "shared" / "data" / "locomo"))


def written(memories: Sequence[Memory], format: str) -> dict[str, bytes]:
    if format == "markdown":
        return dict(markdown.write(memories))
    return {f"export.{format}": b"".join(formats.WRITERS[format](memories, NOW))}


def taken_in(contents: dict[str, bytes], known: Sequence[Memory] = (), key: bytes = OTHER_KEY) -> list[Memory]:
    """What a vault that has ``known`` commits of an import."""
    history: dict[bytes, list[Memory]] = {}
    for memory in known:
        history.setdefault(memory.id, []).append(memory)
    fresh = []
    for draft in formats.read(files_of(contents))[1].drafts:
        item = identified(draft.memory(os.urandom(16)), key, history)
        if item is not None:
            history.setdefault(item.id, []).append(item)
            fresh.append(item)
    return fresh


def said(memory: Memory) -> tuple[object, ...]:
    """All of a memory but the ids that each vault makes for itself."""
    return memory.content, memory.created, memory.source, memory.type, memory.tags


def imported(contents: dict[str, str]) -> list[Memory]:
    found = [identified(draft.memory(bytes(16)), KEY, {}) for draft in read(contents).drafts]
    return [memory for memory in found if memory]


REMEMBERED = [
    Memory(b"a" * 16, "Ines is left-handed.", NOW, tags=("Character", "Ines & co")),
    Memory(b"b" * 16, "Ines is left-handed."),
    Memory(b"c" * 16, "Edited.", None, None, "fact", (), b"d" * 16, (b"c" * 16,)),
    Memory(
        b"e" * 16, " \r\n--- \n# A\n\n---\n", datetime(1, 1, 1, 0, 0, 0, 1, UTC), Source("Ä/ö", None, None), "custom"
    ),
    Memory(b"f" * 16, "\x00\x1b\x85\u2028\ufeff\ufffe\U0010ffff", NOW, Source("x", "", ""), "", ("", "\n", "a: b")),
]


@pytest.mark.parametrize("format", LOSSLESS)
def test_export__of_a_vault__is_equal_in_an_empty_one(format: str) -> None:
    memories = [*REMEMBERED, *imported(CHATGPT), *imported(CLAUDE)]
    there = taken_in(written(memories, format))
    assert sorted(map(repr, map(said, there))) == sorted(map(repr, map(said, memories)))
    if format != "markdown":  # whose files are by name
        assert list(map(said, there)) == list(map(said, memories))
    assert {memory.id for memory in there} >= {memory.id for memory in REMEMBERED if memory.source is None}


@pytest.mark.parametrize("format", LOSSLESS)
def test_export__into_the_vault_that_it_came_from__adds_nothing(format: str) -> None:
    imports, own = imported(CHATGPT), [memory for memory in REMEMBERED if memory.source is None]
    edited = imports[0].edited("Edited since.")
    living = [*own, edited, *imports[1:]]
    assert taken_in(written(living, format), [*own, *imports, edited], KEY) == []


@pytest.mark.parametrize("format", LOSSLESS)
def test_export__twice_into_another_vault__adds_nothing_the_second_time(format: str) -> None:
    contents = written([*REMEMBERED, *imported(CLAUDE)], format)
    assert taken_in(contents, taken_in(contents)) == []


@pytest.mark.parametrize("format", LOSSLESS)
def test_export__of_edits_that_contradict_each_other__keeps_both(format: str) -> None:
    first, other = REMEMBERED[0], imported(CHATGPT)[0]
    conflict = [first.edited("one"), first.edited("two"), other.edited("three"), other.edited("four")]
    there = taken_in(written(conflict, format))
    assert sorted(memory.content for memory in there) == ["four", "one", "three", "two"]
    assert len({memory.id for memory in there}) == 4


def test_import__of_the_name_of_a_memory_that_is_there__changes_nothing() -> None:
    foreign = jsonl.line(
        {"id": "1", "content": "Forged.", "source": {"platform": OWN_PLATFORM, "id": (b"a" * 16).hex()}}
    )
    assert taken_in({"x.jsonl": foreign}, REMEMBERED) == []


TEXT = st.text(min_size=1, max_size=40).filter(str.strip)
SOURCES = st.builds(Source, TEXT, st.none() | TEXT, st.none() | TEXT).filter(
    lambda source: source.platform != OWN_PLATFORM
)
MEMORIES = st.builds(
    Memory,
    st.binary(min_size=16, max_size=16),
    TEXT,
    st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(fold=0)),
    st.none() | SOURCES,
    st.none() | TEXT,
    st.lists(TEXT, max_size=3).map(tuple),
)


@given(st.lists(MEMORIES, max_size=4, unique_by=(lambda memory: memory.id, lambda memory: memory.source)))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("format", LOSSLESS)
def test_export__of_any_memories__loses_nothing(format: str, memories: list[Memory]) -> None:
    there = taken_in(written(memories, format)) if memories else []
    assert sorted(map(repr, map(said, there))) == sorted(map(repr, map(said, memories)))


@pytest.mark.skipif(not LOCOMO.is_dir(), reason=f"no conversations in {LOCOMO}; LOCOMO=FOLDER names another folder")
@pytest.mark.parametrize("format", LOSSLESS)
def test_export__of_long_conversations__is_equal_in_an_empty_vault(format: str) -> None:
    found = sorted(LOCOMO.glob("*.memories.jsonl"))
    assert found
    for path in found[:1] if format == "markdown" else found:  # YAML takes ten times as long as JSON
        memories = imported({path.name: path.read_text(encoding="utf-8")})
        there = taken_in(written(memories, format))
        assert sorted(map(repr, map(said, there))) == sorted(map(repr, map(said, memories)))


def test_pam__passes_its_reference_implementation() -> None:
    """What ``pam validate`` does; that command wants another ``rich`` than the rest of this environment."""
    typed = replace(REMEMBERED[0], id=b"z" * 16, revision=b"z" * 16, type="fact", tags=("a", "a"))
    memories = [*REMEMBERED, *imported(CHATGPT), typed]
    store = load_dict(json.loads(written(memories, "pam")["export.pam"]))
    assert isinstance(store, MemoryStore)
    assert [memory.content for memory in store.memories] == [memory.content for memory in memories]
    found = validate_memory_store(store)
    assert not found.issues, str(found)
    assert store.integrity


def test_omi__has_an_envelope_and_records_with_what_the_format_asks_for() -> None:
    lines = [json.loads(line) for line in written(REMEMBERED, "omi")["export.omi"].split(b"\n")[:-1]]
    assert lines[0] == {
        "format": "open-memory-interchange",
        "version": "0.1",
        "serialization": "jsonl",
        "subject": {"id": OWNER, "type": "person"},
        "generated_at": "2026-11-21T08:00:00Z",
        "generator": PRODUCER,
    }
    assert [line["created"] for line in lines[1:3]] == ["2026-11-21T08:00:00Z", "1970-01-01T00:00:00Z"]
    assert len({line["id"] for line in lines[1:]}) == len(REMEMBERED)
    assert all(line["content"] and line["type"] for line in lines[1:])


def test_markdown__is_a_bundle_of_open_knowledge_format() -> None:
    files = written([*REMEMBERED, *imported(CLAUDE)], "markdown")
    assert files["index.md"].startswith(b'---\nokf_version: "0.2"\n---\n')
    for name, content in files.items():
        if name != "index.md":
            front = yaml.safe_load(content.decode().split("---\n")[1])
            assert front["type"]
            assert f"({name})" in files["index.md"].decode()


def test_producer__is_this_version() -> None:
    from importlib.metadata import version

    assert version("memsync-client") == PRODUCER.partition("/")[2]
