"""ChatGPT's export: what was shown comes in, what was hidden, abandoned or not to be remembered does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from memsync_client.errors import InvalidImport
from memsync_client.interchange import Draft, Report
from memsync_client.memories import Source
from tests.client.exports import CHATGPT, HIDDEN, INSTRUCTIONS, SALT, conversation, node
from tests.client.exports import read as read_files


def read(*conversations: Any) -> Report:
    return read_files({"conversations.json": json.dumps(conversations)}, "chatgpt")


def texts(report: Report) -> list[str]:
    return [draft.content for draft in report.drafts]


def one(content: Any, **message: Any) -> Report:
    """What a conversation with this one message gives."""
    return read(conversation("c", "T", node("m", None, content, **message), current="m"))


def test_read__of_shards__takes_what_was_last_shown_and_counts_the_rest() -> None:
    report = read_files(CHATGPT)
    assert texts(report) == [
        "When were the fires let out?",
        "In March 1963.",
        "print(1963)",
        "What is this pan?",
        "A graduation pan.",
        "No time is known.",
        "I write a novel about salt.\n\nBe brief.",
    ]
    assert report.skipped == {
        "attachments": 1,
        "calls of tools": 1,
        "conversations not to be remembered": 1,
        "hidden messages": 1,
        "messages of abandoned branches": 2,
        "results of tools": 1,
        "thoughts": 1,
    }
    assert report.conversations == 3
    assert report.kinds == {"message": 6, "instruction": 1}


def test_read__of_a_message__keeps_where_when_and_by_whom() -> None:
    assert read_files(CHATGPT).drafts[0] == Draft(
        "When were the fires let out?",
        datetime(2026, 2, 25, 6, 15, 0, 250_000, UTC),
        Source("chatgpt", "c-salt", "ask"),
        "message",
        ("user", "Salt works"),
    )


@pytest.mark.parametrize(
    ("message", "conversation_time", "update_time", "found"),
    [
        (1772000100, 1772000000, 1772000900, 1772000100),
        (None, 1772000000, 1772000900, 1772000000),
        (0, 1772000000, 1772000900, 1772000000),
        (None, None, 1772000900, 1772000900),
        (None, None, None, None),
        (0, 0, 0, None),
        (float(10**30), None, None, None),
    ],
)
def test_read__of_a_time__is_that_of_the_message_or_the_conversation_or_unknown(
    message: Any, conversation_time: Any, update_time: Any, found: float | None
) -> None:
    said = node("m", None, "Salt.", create_time=message)
    times = {"create_time": conversation_time, "update_time": update_time}
    (draft,) = read(conversation("c", "T", said, current="m", **times)).drafts
    assert draft.created == (None if found is None else datetime.fromtimestamp(found, UTC))


def test_read__without_a_current_node__goes_back_from_the_newest_leaf() -> None:
    nodes = (
        node("r", None, "root"),
        node("a", "r", "first", create_time=5),
        node("b", "r", "second", create_time=9),
        node("c", "a", "third", create_time=7),
    )
    for current in (None, "gone", 7):
        assert texts(read(conversation("c", "T", *nodes, current=current))) == ["root", "second"]  # type: ignore[arg-type]


def test_read__of_a_circle_of_parents__ends() -> None:
    nodes = (node("a", "b", "one"), node("b", "a", "two"))
    assert texts(read(conversation("c", "T", *nodes, current="a"))) == ["two", "one"]
    assert texts(read(conversation("c", "T", *nodes, current=None))) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"content_type": "text", "parts": ["a", "", "b"]}, ["a\n\nb"]),
        ({"content_type": "text", "parts": [None, " "]}, []),
        ({"content_type": "code", "text": "x = 1"}, ["x = 1"]),
        (
            {"content_type": "multimodal_text", "parts": [{"content_type": "audio_transcription", "text": "Hello."}]},
            ["Hello."],
        ),
        ({"content_type": "text", "parts": ["half a sign \ud83d"]}, ["half a sign \ufffd"]),
        ({"content_type": "reasoning_recap", "content": "Thought for 5 s"}, []),
        ({"content_type": "tether_quote", "text": "page", "url": "u"}, []),
        ({"content_type": "of next year", "text": "New."}, ["New."]),
    ],
)
def test_read__of_a_type_of_content__takes_its_text(content: Any, found: list[str]) -> None:
    assert texts(one(content, role="assistant")) == found


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"metadata": HIDDEN}, "hidden messages"),
        ({"role": "system"}, "hidden messages"),
        ({"role": "tool"}, "results of tools"),
        ({"recipient": "python"}, "calls of tools"),
    ],
)
def test_read__of_what_is_not_said__counts_it(message: dict[str, Any], what: str) -> None:
    report = one("Not for recall.", **message)
    assert (report.drafts, report.skipped) == ((), {what: 1})


def test_read__of_a_long_answer__cuts_it_into_memories() -> None:
    paragraphs = "\n\n".join(f"{number} " + "é" * 10_000 for number in range(10))
    report = one(paragraphs, role="assistant")
    assert [draft.source and draft.source.foreign_id for draft in report.drafts] == ["m", "m#2", "m#3", "m#4"]
    assert all(len(draft.content.encode()) <= 65_536 for draft in report.drafts)
    assert "\n\n".join(texts(report)) == paragraphs


def test_read__of_instructions_in_every_conversation__keeps_the_newest_once() -> None:
    def under(id: str, time: float, text: str) -> dict[str, Any]:
        content = {"content_type": "user_editable_context", "user_profile": text}
        saved = {"content_type": "model_editable_context", "model_set_context": f"1. {text}"}
        nodes = (
            node("i", None, content, metadata=HIDDEN, create_time=time),
            node("s", "i", saved, "assistant", create_time=time),
        )
        return conversation(id, "T", *nodes, current="s")

    report = read(under("new", 9, "new"), under("old", 5, "old"))
    assert [(draft.type, draft.content) for draft in report.drafts] == [("instruction", "new"), ("context", "1. new")]
    again = read(under("newer", 12, "newer"), under("new", 9, "new"))
    assert [draft.source for draft in again.drafts] == [draft.source for draft in report.drafts]


def test_read__of_the_same_twice_in_two_shards__takes_it_once() -> None:
    shards = {"conversations-000.json": json.dumps([SALT]), "conversations-001.json": json.dumps([SALT])}
    assert read_files(shards).drafts == read(SALT).drafts


def test_read__of_a_renamed_conversation__has_the_same_sources() -> None:
    renamed = SALT | {"title": "Renamed"}
    assert [draft.source for draft in read(renamed).drafts] == [draft.source for draft in read(SALT).drafts]


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ({"mapping": []}, "Its mapping is not a JSON object."),
        ({"mapping": {"m": 7}}, "A node is not a JSON object."),
        ({"mapping": {"m": {"message": "x"}}}, "A message is not a JSON object."),
        ({"mapping": {"m": {"message": {"content": "x"}}}}, "The content of a message is not a JSON object."),
        (
            {"mapping": {"m": {"message": {"content": {"parts": "x"}, "author": {"role": "user"}}}}},
            "The list of parts is not a JSON array.",
        ),
    ],
)
def test_read__of_another_shape__names_the_entry_and_gives_nothing(broken: dict[str, Any], cause: str) -> None:
    with pytest.raises(InvalidImport) as refused:
        read(SALT, {"current_node": "m"} | broken)
    assert refused.value.cause == f"conversations.json, entry 2: {cause}"


def test_instructions__have_both_parts() -> None:
    assert texts(one(INSTRUCTIONS)) == ["I write a novel about salt.\n\nBe brief."]
