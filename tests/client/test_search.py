"""Search: any text is a query, the best memories come first, and nothing touches a disk."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.errors import InvalidRequest
from memsync_client.interchange import jsonl
from memsync_client.memories import Memory, Source
from memsync_client.search import MAX_WORDS, Index

SCRIPTS = Path(__file__).parents[2] / "scripts"


def memory(number: int, content: str, conversation: str | None = None, tags: tuple[str, ...] = ()) -> Memory:
    source = None if conversation is None else Source("assistant-a", conversation)
    return Memory(number.to_bytes(16), content, datetime(2026, 1, 1, tzinfo=UTC), source, None, tags)


def found(index: Index, query: str, limit: int = 10) -> list[str]:
    return [hit.memory.content for hit in index.recall(query, limit)]


@pytest.fixture(scope="module")
def sample() -> Index:
    with (SCRIPTS / "sample.jsonl").open("rb") as stream:
        drafts = jsonl.read(stream, "sample.jsonl").drafts
    return Index([draft.memory(number.to_bytes(16)) for number, draft in enumerate(drafts)])


QUESTIONS = [json.loads(line) for line in (SCRIPTS / "sample_questions.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("question", QUESTIONS, ids=[question["question"] for question in QUESTIONS])
def test_recall__of_a_sample_question__has_the_answer_among_the_first_three(
    sample: Index, question: dict[str, Any]
) -> None:
    hits = sample.recall(question["question"], 3)
    ids = [hit.memory.source.foreign_id for hit in hits if hit.memory.source]
    assert set(question["evidence"]) <= set(ids)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("raking", "The women raked the pans."),
        ("WOMEN", "The women raked the pans."),
        ("cafe", "The café puts walnuts in everything."),
        ("CAFÉ", "The café puts walnuts in everything."),
        ("cafe\u0301", "The café puts walnuts in everything."),
        ("Bram's cat", "Bram feeds the cat."),
        ("Dunmarsh", "Eleven crates of returns."),
        ("上海", "我住在上海"),
        ("何時に起きますか", "六時に起きます"),
    ],
)
def test_recall__by_stem_case_accent_tag_or_sign__finds(query: str, content: str) -> None:
    index = Index(
        [
            memory(1, "The women raked the pans."),
            memory(2, "The café puts walnuts in everything."),
            memory(3, "Bram feeds the cat."),
            memory(4, "Eleven crates of returns.", tags=("Dunmarsh",)),
            memory(5, "我住在上海"),
            memory(6, "六時に起きます"),
        ]
    )
    assert found(index, query)[:1] == [content]


def test_recall__with_more_words_in_common__ranks_higher() -> None:
    index = Index(
        [memory(1, "Salt and coal."), memory(2, "Salt."), memory(3, "Herons."), memory(4, "Coal, salt, ships.")]
    )
    hits = index.recall("ships of salt and coal")
    assert [hit.memory.id[-1] for hit in hits] == [4, 1, 2]
    assert hits[0].score > hits[1].score > hits[2].score > 0


def test_recall__by_the_words_of_the_memory_before__finds_what_followed_in_that_conversation() -> None:
    index = Index(
        [
            memory(1, "Which hand does Ines use?", "novel"),
            memory(2, "Rain again.", "diary"),
            memory(3, "The left one, since she was a child.", "novel"),
            memory(4, "Nothing else today.", "diary"),
        ]
    )
    assert found(index, "hand of Ines") == ["Which hand does Ines use?", "The left one, since she was a child."]


def test_recall__without_a_conversation__keeps_to_the_memory_itself() -> None:
    index = Index([memory(1, "Which hand does Ines use?"), memory(2, "The left one.")])
    assert found(index, "hand") == ["Which hand does Ines use?"]


def test_recall__of_equals__gives_the_later_first_and_the_same_order_each_time() -> None:
    index = Index([memory(number, "The works closed.") for number in range(50)])
    first = index.recall("works", 50)
    assert [hit.memory.id[-1] for hit in first] == list(range(49, -1, -1))
    assert index.recall("works", 50) == first


def test_recall__with_stop_words__drops_them_unless_there_is_nothing_else() -> None:
    index = Index([memory(1, "What was that?"), memory(2, "The heron.")])
    assert found(index, "what was the heron") == ["The heron."]
    assert found(index, "what was that") == ["What was that?"]


@pytest.mark.parametrize(
    "query",
    [
        'heron "',
        '"heron',
        "'heron",
        "heron AND",
        "NOT heron",
        "OR heron OR",
        "NEAR(heron, 2)",
        "content: heron",
        "{content before}: heron",
        "heron*",
        "^heron",
        "heron + ) (",
        "heron; DROP TABLE entries; --",
        "heron \x00 null",
        "heron \ud800",
        "heron \N{SLIGHTLY SMILING FACE}",
        "_heron_",
    ],
)
def test_recall__with_signs_of_the_query_language__takes_them_for_text(query: str) -> None:
    assert found(Index([memory(1, "A heron nests here."), memory(2, "Salt.")]), query) == ["A heron nests here."]


@pytest.mark.parametrize("query", ["", " \t\n", "???", '""', "___", "\N{SLIGHTLY SMILING FACE}", "\x00", "\ud800"])
def test_recall__without_a_word__is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Index([memory(1, "A heron.")]).recall(query)
    assert refused.value.cause == "The query holds no word to look for."


@given(st.text(max_size=60))
@settings(max_examples=500, deadline=None)
def test_recall__of_any_text__answers_or_refuses(query: str) -> None:
    index = Index([memory(1, query + " heron" if query.isprintable() else "heron")])
    try:
        hits = index.recall(query)
    except InvalidRequest:
        return
    assert all(hit.score > 0 for hit in hits)


def test_recall__of_a_whole_page__looks_for_its_first_words() -> None:
    page = " ".join(f"word{number}" for number in range(20_000))
    index = Index([memory(1, f"word{MAX_WORDS - 1}"), memory(2, f"word{MAX_WORDS}")])
    assert found(index, page) == [f"word{MAX_WORDS - 1}"]


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (3, 3), (5, 5), (6, 5), (2**70, 5)])
def test_recall__with_a_limit__gives_no_more(limit: int, count: int) -> None:
    index = Index([memory(number, "salt") for number in range(5)])
    assert len(index.recall("salt", limit)) == count


@pytest.mark.parametrize("limit", [0, -1])
def test_recall__with_a_limit_below_one__is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Index([memory(1, "salt")]).recall("salt", limit)
    assert refused.value.cause == f"A limit of {limit} leaves no room for an answer."


def test_recall__in_an_empty_vault__finds_nothing() -> None:
    assert Index([]).recall("salt") == []


def test_recall__from_other_threads__answers_the_same(sample: Index) -> None:
    expected = sample.recall("salt")
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(sample.recall("salt") == expected for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 400


# Under a limit of 0 bytes a file, the system ends a process that writes a single one. The index is larger than what
# SQLite caches before it spills.
WITHOUT_A_DISK = """
import random, resource
from memsync_client.memories import Memory
from memsync_client.search import Index

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
words = random.Random(1)
texts = (" ".join(f"w{words.randrange(20_000)}" for _ in range(50)) for _ in range(10_000))
index = Index([Memory(number.to_bytes(16), "salt " + text) for number, text in enumerate(texts)])
print(len(index.recall("salt", 10_000)))
"""


def test_index__larger_than_the_cache__writes_no_file() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_DISK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "10000\n"), done.stderr[-2000:]
