"""What a text is searched by: words of any script, English stems, and the times that a query names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.words import Stems, words, words_of_named_times, words_of_time


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


@pytest.mark.parametrize(
    "inflected",
    ["run runs running", "relate relates related relating", "city cities", "national nationals", "hope hoped hoping"],
)
def test_stems__of_one_word_inflected__are_one(inflected: str) -> None:
    stems = Stems()
    assert len({stems[word] for word in words(inflected)}) == 1


def test_stems__of_words_that_only_begin_alike__differ() -> None:
    stems = Stems()
    assert len({stems[word] for word in words("hop hope universe university general generous")}) == 6


@pytest.mark.parametrize("word", ["cats1", "кошки", "上海", "as", "2026"])
def test_stems__of_other_than_english_words__are_the_words(word: str) -> None:
    assert Stems()[word] == word


@pytest.mark.parametrize("word", ["mays", "downs", "others", "canned"])
def test_stems__that_would_be_stop_words__are_the_words(word: str) -> None:
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
