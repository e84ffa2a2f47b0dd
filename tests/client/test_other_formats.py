"""The small formats: the reference server's memory file, mem0, and Markdown notes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from memsync_client.errors import InvalidImport
from memsync_client.interchange import Draft, Report
from memsync_client.memories import Source
from tests.client.exports import read

ENTITY = {"type": "entity", "name": "Ines", "entityType": "person", "observations": ["Is left-handed.", "Writes."]}
RELATION = {"type": "relation", "from": "Ines", "to": "Marta", "relationType": "is the sister of"}


def lines(*values: Any) -> str:
    return "\n".join(map(json.dumps, values)) + "\n"


def contents(report: Report) -> list[str]:
    return [draft.content for draft in report.drafts]


def cause(contents: Any, format: str | None = None) -> str:
    with pytest.raises(InvalidImport) as refused:
        read(contents, format)
    return refused.value.cause


def test_server_memory__gives_a_memory_for_each_observation_and_relation() -> None:
    report = read({"memory.json": lines(ENTITY, RELATION, {"type": "entity", "name": "Salt", "entityType": "thing"})})
    assert report.drafts == (
        Draft("Ines: Is left-handed.", None, Source("mcp-memory", "Ines"), "fact", ("person",)),
        Draft("Ines: Writes.", None, Source("mcp-memory", "Ines"), "fact", ("person",)),
        Draft("Ines is the sister of Marta", None, Source("mcp-memory", "Ines"), "relationship"),
        Draft("Salt: thing", None, Source("mcp-memory", "Salt"), "fact", ("thing",)),
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"type": "entity", "name": 7, "entityType": "x"}, "Field name is missing or no text."),
        ({"type": "entity", "name": "a", "observations": "x"}, "The list of observations is not a JSON array."),
        ({"type": "entity", "name": "a", "observations": [7]}, "An observation is not text."),
        ({"type": "relation", "from": "a", "relationType": "b"}, "Field to is missing or no text."),
        ({"type": "other"}, "It is neither an entity nor a relation."),
    ],
)
def test_server_memory__of_another_line__names_it(value: Any, what: str) -> None:
    assert cause({"memory.jsonl": lines(ENTITY, value)}) == f"memory.jsonl, line 2: {what}"


MEM0 = {
    "id": "7a",
    "memory": "Ines is left-handed.",
    "categories": ["personal_details"],
    "metadata": {"category": "hands"},
    "created_at": "2024-07-20T01:30:36.275141-07:00",
    "user_id": "ines",
}


@pytest.mark.parametrize("value", [[MEM0], {"results": [MEM0]}, {"memories": [MEM0], "total": 1}])
@pytest.mark.parametrize("indent", [None, 2])
def test_mem0__gives_its_memories(value: Any, indent: int | None) -> None:
    report = read({"export.json": json.dumps(value, indent=indent)})
    assert report.drafts == (
        Draft(
            "Ines is left-handed.",
            datetime(2024, 7, 20, 8, 30, 36, 275_141, UTC),
            Source("mem0", None, "7a"),
            None,
            ("personal_details", "hands"),
        ),
    )
    assert report.skipped == {"field user_id": 1}


def test_read__id_that_comes_with_several_texts__the_last_counts() -> None:
    texts = ("Ines is left-handed.", "Ines is right-handed.", "Ines is both-handed.")
    report = read(json.dumps([MEM0 | {"memory": text} for text in (*texts, texts[-1])]))
    assert contents(report) == [texts[-1]]
    assert report.skipped["earlier texts of an id that comes again"] == 2


def test_mem0__without_text__names_the_entry() -> None:
    assert cause(json.dumps([MEM0, {"memory": None}])) == "file, entry 2: It has no text."


NOTE = """---
title: Hands
type: fact
tags: [character, "#ines"]
created: 2026-01-31
---

Ines is left-handed.
"""


def test_markdown__of_a_note__takes_front_matter_and_text() -> None:
    report = read({"Hands.md": NOTE})
    assert report.drafts == (
        Draft(
            "Ines is left-handed.",
            datetime(2026, 1, 31, tzinfo=UTC),
            Source("markdown", "Hands.md"),
            "fact",
            ("character", "ines", "Hands"),
        ),
    )


def test_markdown__of_a_folder__takes_its_notes() -> None:
    report = read(
        {"a/Hands.md": NOTE.replace("\n", "\r\n"), "CLAUDE.md": "Be brief.", "x.png": b"\x89PNG", "x.jsonl": "{}"}
    )
    assert [(draft.content, draft.source and draft.source.conversation) for draft in report.drafts] == [
        ("Be brief.", "export/CLAUDE.md"),
        ("Ines is left-handed.", "export/a/Hands.md"),
    ]
    assert report.skipped == {"other files": 1, "JSON Lines files, to be imported one by one": 1}


@pytest.mark.parametrize(
    ("front", "created"),
    [
        ("date: 2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("generated: {by: x, at: 2026-01-31T12:00:00Z}", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("timestamp: '2026-01-31 12:00:00'", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("created: yesterday", None),
        ("created: [1]", None),
    ],
)
def test_markdown__of_a_time__is_utc_or_unknown(front: str, created: datetime | None) -> None:
    (draft,) = read({"n.md": f"---\n{front}\n---\nText."}).drafts
    assert draft.created == created


@pytest.mark.parametrize("note", ["---\n---\nText.", "---\n# a comment\n---\nText.", "Text."])
def test_markdown__with_empty_front_matter__has_its_text(note: str) -> None:
    assert contents(read({"n.md": note})) == ["Text."]


def test_markdown__with_a_rule_at_its_top__is_text() -> None:
    assert contents(read({"n.md": "---\njust words\n---\nmore"})) == ["---\njust words\n---\nmore"]


def test_markdown__of_a_long_note__is_cut_at_its_headings() -> None:
    report = read({"n.md": "\n".join(f"# Part {number}\n" + "salt " * 500 for number in range(4))})
    assert [text[:8] for text in contents(report)] == ["# Part 0", "# Part 1", "# Part 2", "# Part 3"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "front",
    [
        "a: [",
        "a: !!python/object/apply:os.system [ls]",
        "a: 2026-02-31",
        "created: {{date}}",
        BOMB,
        "a: " + "[" * 100_000,
        "- " * 60_000 + "*",
        "? " * 60_000 + "*",
        "a: " + "x" * 140_000,
    ],
    ids=["open", "object", "no day", "template", "bomb", "flow", "blocks", "keys", "long"],
)
def test_markdown__of_bad_front_matter__keeps_it_as_text_and_counts_it(front: str) -> None:
    report = read({"n.md": f"---\n{front}\n---\nText."})
    assert contents(report)[0].startswith("---\n")
    assert contents(report)[-1].endswith("Text.")
    assert report.skipped == {"front matters that can't be read, kept as text": 1}


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({}, "MemSync can't tell what the 0 files in export are."),
        ({"x": ""}, "x is empty."),
        ({"x": "words"}, "MemSync can't tell what x is."),
        ({"x.json": "[1]"}, "MemSync can't tell what x.json is."),
        ({"x.json": '{"a": '}, "x.json: It is not JSON from character 7 on."),
        ({"a.json": "{}", "b.json": "{}"}, "MemSync can't tell what the 2 files in export are."),
    ],
)
def test_found__of_something_else__says_so(contents: dict[str, str], said: str) -> None:
    assert cause(contents) == said


def test_read__of_many_files_in_a_format_of_one__is_refused() -> None:
    assert cause({"a": "x", "b": "y"}, "paste") == "export has 2 files."
