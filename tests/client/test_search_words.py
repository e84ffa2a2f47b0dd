"""What a text is searched by: words of any script, English stems, and the times that a query names."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.words import STOP_WORDS, Stems, words, words_of_named_times, words_of_time

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bram's cat, re-fed at 6", ["bram", "s", "cat", "re", "fed", "at", "6"]),
        ("CAFÉ cafe\u0301", ["cafe", "cafe"]),
        ("Straße ﬁne", ["strasse", "fine"]),
        ("上海人", ["上", "海", "人", "上海", "海人"]),
        ("iPhone15を買う", ["iphone15", "を", "買", "う", "を買", "買う"]),
        ("서울 I", ["서", "울", "서울", "i"]),
        ("_snake_ \N{SLIGHTLY SMILING FACE} …", ["snake"]),
        ("", []),
    ],
)
def test_words__of_a_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
@settings(max_examples=500, deadline=None)
def test_words__of_any_text__are_letters_and_digits_only(text: str) -> None:
    assert all(word and not set(word) & set(" _:-\n") for word in words(text))


def sqlite_stems(vocabulary: list[str]) -> dict[str, str]:
    """The stems that SQLite's own Porter stemmer makes."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE stemmed USING fts5(word, tokenize='porter ascii')")
    database.execute("CREATE VIRTUAL TABLE terms USING fts5vocab('stemmed', 'instance')")
    database.executemany("INSERT INTO stemmed (rowid, word) VALUES (?, ?)", enumerate(vocabulary))
    return {vocabulary[number]: term for term, number in database.execute("SELECT term, doc FROM terms")}


# Beginnings and endings that between them reach every rule.
BEGINNINGS = words("a b by fall fil tan hop siz relat condit oper form adjust depend decis control ro commun ax hesit")
ENDINGS = words(
    """
    s es ies sses ss ed eed eeds ing ying ling ssing y e ee ll ational tional enci anci izer logi bli alli entli eli
    ousli ization ation ator alism iveness fulness ousness aliti iviti biliti icate ative alize iciti ical ful ness al
    ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize izing ated abling
    """
)


def test_stems__of_every_rule__are_those_of_sqlite() -> None:
    vocabulary = sorted({begin + end for begin in BEGINNINGS for end in ENDINGS} | set(BEGINNINGS))
    stems = Stems()
    assert {word: stems[word] for word in vocabulary} == sqlite_stems(vocabulary)


def test_stems__of_the_sample__are_those_of_sqlite() -> None:
    texts = [json.loads(line)["content"] for line in (SCRIPTS / "sample.jsonl").read_text("utf-8").splitlines()]
    vocabulary = sorted({word for text in texts for word in words(text) if word.isascii()} | STOP_WORDS)
    stems = Stems()
    assert {word: stems[word] for word in vocabulary} == sqlite_stems(vocabulary)


# Of an ending alone, "eed" or "sses", SQLite and the paper make different things: something stands before each.
@given(st.sampled_from("aby"), st.text(alphabet="aeiouybcdglmnrstvxz", min_size=1, max_size=14))
@settings(max_examples=500, deadline=None)
def test_stems__of_any_letters__are_those_of_sqlite(first: str, rest: str) -> None:
    assert {first + rest: Stems()[first + rest]} == sqlite_stems([first + rest])


@pytest.mark.parametrize("word", ["cats1", "кошки", "上海", "as", "2026"])
def test_stems__of_other_than_english_words__are_the_words(word: str) -> None:
    assert Stems()[word] == word


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("what happened in May 2026?", ["year:2026", "month:5"]),
        ("on 3 May", ["month:5"]),
        ("on the 3rd may", ["month:5"]),
        ("May 3", ["month:5"]),
        ("may I go", []),
        ("what it may cost in 2025", ["year:2025"]),
        ("June or July", ["month:6", "month:7"]),
        ("2026-11-21", ["year:2026", "month:11"]),
        ("2026-13", ["year:2026"]),
        ("room 1024, 20261", []),
    ],
)
def test_named_times__of_a_query(query: str, expected: list[str]) -> None:
    assert words_of_named_times(query) == expected


def test_words_of_time__are_found_by_naming_it() -> None:
    assert words_of_time(datetime(2026, 5, 9, tzinfo=UTC)) == words_of_named_times("in May 2026")
