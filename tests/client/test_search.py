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
from memsync_client.search import MAX_WORDS, Filter, Hit, Index, Part

SCRIPTS = Path(__file__).parents[2] / "scripts"


def memory(number: int, content: str, conversation: str | None = None, tags: tuple[str, ...] = ()) -> Memory:
    source = None if conversation is None else Source("assistant-a", conversation)
    return Memory(number.to_bytes(16), content, datetime(2026, 1, 1, tzinfo=UTC), source, None, tags)


def found(index: Index, query: str, limit: int = 10) -> list[str]:
    return [hit.memory.content for hit in index.recall(query, limit)]


def read_sample() -> list[Memory]:
    with (SCRIPTS / "sample.jsonl").open("rb") as stream:
        drafts = jsonl.read(stream, "sample.jsonl").drafts
    return [draft.memory(number.to_bytes(16)) for number, draft in enumerate(drafts)]


@pytest.fixture(scope="module")
def sample_memories() -> list[Memory]:
    return read_sample()


@pytest.fixture(scope="module")
def sample(sample_memories: list[Memory]) -> Index:
    return Index(sample_memories)


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
        ("カフェ", "駅前のｶﾌｪで会う"),
        ("서울", "서울에서 삽니다"),
        ("मुंबई", "मैं मुंबई में रहता हूँ"),
        ("กาแฟ", "ฉันชอบดื่มกาแฟดำ"),
        ("КОШКА", "Моя кошка спит."),
        ("strasse", "Die Straße ist lang."),
        ("مكتبة", "ذهبت إلى مكتبة"),
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
            memory(7, "駅前のｶﾌｪで会う"),
            memory(8, "서울에서 삽니다"),
            memory(9, "मैं मुंबई में रहता हूँ"),
            memory(10, "ฉันชอบดื่มกาแฟดำ"),
            memory(11, "Моя кошка спит."),
            memory(12, "Die Straße ist lang."),
            memory(13, "ذهبت إلى مكتبة"),
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


def test_recall__of_words_said_farther_off__ranks_by_distance() -> None:
    turns = ["Salt.", *(f"Turn {number}." for number in range(1, 7))]
    index = Index([memory(number, turn, "talk") for number, turn in enumerate(turns)])
    assert found(index, "salt") == ["Salt.", "Turn 1.", "Turn 2.", "Turn 3.", "Turn 4."]


def test_recall__of_an_answer__counts_its_question_more_than_a_statement() -> None:
    index = Index(
        [
            memory(1, "The left one.", "a"),
            memory(2, "Which hand? Ines asks.", "b"),
            memory(3, "The left one, then.", "b"),
            memory(4, "Which hand, Ines says.", "c"),
            memory(5, "The left one, yes.", "c"),
        ]
    )
    hits = index.recall("hand", 5)
    scores = {hit.memory.id[-1]: hit.score for hit in hits}
    assert scores[3] > scores[5]
    assert 1 not in scores


def test_recall__of_a_word_that_is_everywhere__leaves_out_what_stands_beside_it() -> None:
    common = [memory(number, "Bram waits.", "talk") for number in range(20)]
    index = Index([*common, memory(20, "Rain.", "talk")])
    assert "Rain." not in found(index, "Bram", 30)


def test_recall__among_equals__prefers_the_conversation_that_is_about_it() -> None:
    index = Index(
        [
            memory(1, "The heron came.", "birds"),
            *(memory(number, f"Filler {number}.", "birds") for number in range(2, 8)),
            memory(8, "A heron again, a heron there.", "birds"),
            memory(9, "The heron came.", "salt"),
            *(memory(number, f"Filler {number}.", "salt") for number in range(10, 17)),
        ]
    )
    ids = [hit.memory.id[-1] for hit in index.recall("heron", 20)]
    assert ids.index(1) < ids.index(9)


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("what about the boat in May 2026", 5),
        ("boat, may 3", 5),
        ("boat 2026-05", 5),
        ("boat in 2025", 2),
        ("boat in February", 2),
    ],
)
def test_recall__with_a_year_or_month__finds_what_was_made_then(query: str, number: int) -> None:
    times = {2: datetime(2025, 2, 1, tzinfo=UTC), 5: datetime(2026, 5, 9, tzinfo=UTC)}
    index = Index(
        [Memory(n.to_bytes(16), "The boat.", times.get(n, datetime(2026, 1, 1, tzinfo=UTC))) for n in range(9)]
    )
    assert index.recall(query)[0].memory.id[-1] == number


def test_recall__with_may_as_a_verb__names_no_month() -> None:
    index = Index([Memory(bytes(16), "Rain.", datetime(2026, 5, 1, tzinfo=UTC))])
    assert index.recall("may we sail") == []


def test_reasons__of_each_hit__add_up_to_its_score(sample: Index) -> None:
    for question in QUESTIONS:
        for hit in sample.recall(question["question"]):
            assert hit.score == pytest.approx(sum(reason.score for reason in hit.reasons))
            assert all(reason.score > 0 for reason in hit.reasons)
            assert list(hit.reasons) == sorted(hit.reasons, key=lambda reason: -reason.score)


def test_reasons__name_the_word_and_where_it_stood() -> None:
    talk = [
        memory(1, "Which hand does Ines use?", "talk"),
        memory(2, "The left one.", "talk"),
        memory(3, "So both hands rest.", "talk"),
    ]
    [first, second, third] = Index(talk).recall("left hands")
    told = {hit.memory.id[-1]: {(reason.word, reason.part) for reason in hit.reasons} for hit in (first, second, third)}
    whole = {("left", Part.CONVERSATION), ("hand", Part.CONVERSATION)}
    assert told[2] == whole | {("left", Part.ITSELF), ("hand", Part.BEFORE), ("hand", Part.AFTER)}
    assert told[1] == whole | {("hand", Part.ITSELF), ("left", Part.AFTER), ("hand", Part.AFTER)}


DAY = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 5)]
KINDS = [
    Memory(bytes([1] * 16), "Salt one.", DAY[0], Source("chatgpt"), "fact", ("work",)),
    Memory(bytes([2] * 16), "Salt two.", DAY[1], Source("claude"), "note", ("work", "coal")),
    Memory(bytes([3] * 16), "Salt three.", DAY[2], None, "fact", ()),
    Memory(bytes([4] * 16), "Salt four.", None, None, None, ()),
]


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        (Filter(), {1, 2, 3, 4}),
        (Filter(tag="work"), {1, 2}),
        (Filter(tag="coal"), {2}),
        (Filter(tag="wor"), set()),
        (Filter(source="claude"), {2}),
        (Filter(type="fact"), {1, 3}),
        (Filter(after=DAY[1]), {2, 3}),
        (Filter(before=DAY[1]), {1}),
        (Filter(after=DAY[1], before=DAY[2]), {2}),
        (Filter(tag="work", type="fact"), {1}),
    ],
)
def test_recall__with_a_filter__finds_only_what_it_lets_through(only: Filter, ids: set[int]) -> None:
    assert {hit.memory.id[0] for hit in Index(KINDS).recall("salt", 10, only)} == ids


def test_recall__a_question_about_a_name__finds_by_the_name_and_what_is_asked_of_it() -> None:
    index = Index([memory(1, "Ines is left-handed."), memory(2, "In use is which one he does.")])
    [hit] = index.recall("which hand does Ines use", 1)
    assert hit.memory.content == "Ines is left-handed."
    assert {(reason.word, reason.part) for reason in hit.reasons} == {("hand", Part.ITSELF), ("ine", Part.ITSELF)}


def test_recall__with_a_filter__is_not_crowded_out_by_better_ones() -> None:
    better = [memory(number, "Salt salt.") for number in range(500)]
    index = Index([memory(1_000, "Salt and a long rest of other words.", tags=("work",)), *better])
    [hit] = index.recall("salt", 1, Filter(tag="work"))
    assert hit.memory.tags == ("work",)


def test_filter__with_a_time_without_a_zone__is_refused() -> None:
    with pytest.raises(InvalidRequest):
        Filter(after=datetime(2026, 1, 1))


def answers(index: Index, limit: int = 50) -> list[list[tuple[bytes, float]]]:
    asked = [question["question"] for question in QUESTIONS]
    return [[(hit.memory.revision, hit.score) for hit in index.recall(query, limit)] for query in asked]


def test_index__grown_one_by_one__answers_as_one_made_at_once(sample_memories: list[Memory]) -> None:
    index = Index()
    for item in sample_memories:
        index.add([item])
        index.add([item])
    assert len(index) == len(sample_memories)
    assert answers(index) == answers(Index(sample_memories))


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_index__with_some_removed__answers_as_if_they_had_never_been_there(data: st.DataObject) -> None:
    items = read_sample()
    kept = data.draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    index = Index(items)
    index.remove([item.revision for item, stays in zip(items, kept, strict=True) if not stays])
    rest = Index([item for item, stays in zip(items, kept, strict=True) if stays])
    assert len(index) == len(rest)
    assert [[hit[0] for hit in hits] for hits in answers(index)] == [[hit[0] for hit in hits] for hits in answers(rest)]
    for ours, theirs in zip(answers(index), answers(rest), strict=True):
        assert [hit[1] for hit in ours] == pytest.approx([hit[1] for hit in theirs])


def test_index__of_an_edited_memory__keeps_its_place_in_the_conversation() -> None:
    first = memory(1, "Which hand does Ines use?", "talk")
    index = Index([first, memory(2, "The left one.", "talk"), *(memory(n, "Rain.", "talk") for n in range(3, 12))])
    edited = first.edited("Which foot does Ines use?")
    index.add([edited])
    index.remove([first.revision])
    assert found(index, "foot")[:2] == ["Which foot does Ines use?", "The left one."]
    assert found(index, "hand") == []


def test_index__emptied_and_filled_again__answers_as_new(sample_memories: list[Memory]) -> None:
    index = Index(sample_memories)
    index.remove([item.revision for item in sample_memories])
    assert len(index) == 0
    assert index.recall("salt") == []
    index.remove([bytes(16)])
    index.add(sample_memories)
    assert answers(index) == answers(Index(sample_memories))


def test_recall__while_another_thread_adds_and_removes__answers(sample_memories: list[Memory]) -> None:
    index, done, hits = Index(sample_memories), threading.Event(), list[Hit]()

    def ask() -> None:
        while not done.is_set():
            hits.extend(index.recall("salt", 1))

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(50):
        index.remove([item.revision for item in sample_memories[::2]])
        index.add(sample_memories[::2])
    done.set()
    asking.join()
    assert hits


# Under a limit of 0 bytes a file, the system ends a process that writes a single one.
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


def test_index__of_ten_thousand_memories__writes_no_file() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_DISK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "10000\n"), done.stderr[-2000:]
