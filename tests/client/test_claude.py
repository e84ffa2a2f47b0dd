"""Claude's export: what it remembered and projects come first, of conversations what was last shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from memsync_client.errors import InvalidImport
from memsync_client.interchange import Draft, Report
from memsync_client.memories import Source
from tests.client.exports import CLAUDE, CLAUDE_CONVERSATION, CLAUDE_MEMORIES, LINEAR, PROJECT, ROOT, said
from tests.client.exports import read as read_files


def read(*conversations: Any) -> Report:
    return read_files({"conversations.json": json.dumps(conversations)}, "claude")


def texts(report: Report) -> list[str]:
    return [draft.content for draft in report.drafts]


def test_read__of_an_export__takes_memories_and_projects_first() -> None:
    report = read_files(CLAUDE)
    assert texts(report) == [
        "Ines writes a novel.",
        "Short answers.",
        "The archive of the salt works.",
        "All about salt.",
        "Cite the archive.",
        "1963: closed.",
        "Read my draft.",
        "The pans lay empty.",
        "It is bleak.\n\nIn a good way.",
        "Which hand?",
        "The left.",
    ]
    assert report.kinds == {"message": 4, "context": 2, "project": 2, "document": 2, "instruction": 1}
    assert report.skipped == {
        "attachments": 1,
        "calls of tools": 1,
        "messages of abandoned branches": 1,
        "results of tools": 1,
        "thoughts": 1,
    }


def test_read__of_each_kind__keeps_where_and_when() -> None:
    drafts = read_files(CLAUDE).drafts
    new_year, third = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 789_000, UTC)
    assert drafts[0] == Draft(
        "Ines writes a novel.", None, Source("claude", None, "memory/Work context"), "context", ("Work context",)
    )
    assert drafts[2].source == Source("claude", "p-1", "memory/Purpose")
    assert drafts[2].tags == ("Salt", "Purpose")
    assert drafts[5] == Draft(
        "1963: closed.", new_year, Source("claude", "p-1", "d-1"), "document", ("Salt", "ledger.md")
    )
    assert drafts[6] == Draft("Read my draft.", third, Source("claude", "k-1", "m-1"), "message", ("user", "The draft"))
    assert drafts[7].source == Source("claude", "k-1", "m-1/attachment/1")
    assert drafts[7].tags == ("user", "The draft", "draft.txt")
    assert (drafts[9].created, drafts[9].tags) == (None, ("user",))


def test_read__of_one_file_by_another_name__knows_what_it_is() -> None:
    assert texts(read_files({"x.json": json.dumps([LINEAR])})) == ["Which hand?", "The left."]
    assert texts(read_files({"x.json": json.dumps(CLAUDE_MEMORIES[0])}))[0] == "Ines writes a novel."
    assert texts(read_files({"x.json": json.dumps([PROJECT])})) == [
        "All about salt.",
        "Cite the archive.",
        "1963: closed.",
    ]


def test_read__of_a_file_for_each_account_and_project__takes_them() -> None:
    contents = {"memories/a-1.json": json.dumps(CLAUDE_MEMORIES[0]), "projects/p-1.json": json.dumps(PROJECT)}
    report = read_files(contents | {"users.json": "[]"})
    assert texts(report) == texts(read_files(CLAUDE))[:6]


def test_read__of_branches__goes_back_from_the_newest_leaf() -> None:
    messages = [
        said("1", ROOT, "human", "a", created_at="2026-01-01T00:00:00Z"),
        said("2", "1", "assistant", "late", created_at="2026-01-01T00:00:09Z"),
        said("3", "1", "assistant", "early", created_at="2026-01-01T00:00:05Z"),
    ]
    assert texts(read({"uuid": "c", "name": "", "chat_messages": messages})) == ["a", "late"]
    timeless = [message | {"created_at": None} for message in messages]
    assert texts(read({"uuid": "c", "name": "", "chat_messages": timeless})) == ["a", "early"]


def test_read__of_messages_without_parents__takes_them_in_order() -> None:
    messages = [{"uuid": str(number), "sender": "human", "text": f"{number}"} for number in range(5)]
    assert texts(read({"uuid": "c", "chat_messages": messages})) == ["0", "1", "2", "3", "4"]


def test_read__of_a_later_export__has_the_same_source_for_the_same_section() -> None:
    later = [CLAUDE_MEMORIES[0] | {"conversations_memory": "**New**\n\nx\n\n**Work context**\n\nInes has a publisher."}]
    report = read_files({"memories.json": json.dumps(later)})
    by_source = {draft.source: draft.content for draft in report.drafts}
    assert by_source[Source("claude", None, "memory/Work context")] == "Ines has a publisher."


def test_read__of_a_long_document__cuts_it_into_passages() -> None:
    content = "\n".join(f"## Chapter {number}\n" + "salt " * 200 for number in range(20))
    report = read_files({"projects.json": json.dumps([{"uuid": "p", "docs": [{"uuid": "d", "content": content}]}])})
    assert all(len(text.encode()) <= 4_096 for text in texts(report))
    assert all(text.startswith("## Chapter") for text in texts(report))
    assert " ".join(" ".join(texts(report)).split()) == " ".join(content.split())


def test_read__of_unknown_blocks__counts_them() -> None:
    report = read({"uuid": "c", "chat_messages": [said("1", ROOT, "human", {"type": "flag"}, {"type": "image"}, "a")]})
    assert (texts(report), report.skipped) == (["a"], {"blocks of an unknown kind": 1, "attachments": 1})


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ({"chat_messages": {}}, "The list of messages is not a JSON array."),
        ({"chat_messages": ["x"]}, "A message is not a JSON object."),
        ({"chat_messages": [{"uuid": "1", "content": "x"}]}, "The content of a message is not a JSON array."),
        ({"chat_messages": [{"uuid": "1", "content": [7]}]}, "A block of a message is not a JSON object."),
        ({"chat_messages": [{"uuid": "1", "attachments": 7}]}, "The list of attachments is not a JSON array."),
    ],
)
def test_read__of_another_shape__names_the_entry_and_gives_nothing(broken: dict[str, Any], cause: str) -> None:
    with pytest.raises(InvalidImport) as refused:
        read(CLAUDE_CONVERSATION, broken)
    assert refused.value.cause == f"conversations.json, entry 2: {cause}"
