"""Full-text search over opened memories: SQLite's FTS5 in RAM, BM25, English word stems. Pure; no disk is touched."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InvalidRequest
from .memories import Memory

# What was said just before, in the same conversation, counts half: an answer is often found by its question's words.
_WEIGHT_OF_BEFORE = 0.5

MAX_WORDS = 256
"""Distinct words of a query that are looked for; the rest of a longer one is left out."""

_WORD = re.compile(r"[^\W_]+")

_STOP_WORDS = frozenset(
    _WORD.findall(
        """
        a about after all also am an and any are as at be been before being but by can could d did didn do does
        doesn doing don down during each for from get got had has have having he her here hers him his how i if
        in into is isn it its just ll m may me might more most my no nor not now of off on only or other our out
        over own re s same shall she should so some such t than that the their them then there these they this
        those to too under until up us ve very was wasn we were weren what when where which while who whom whose
        why will with would you your
        """
    )
)

# Chinese and Japanese put no space between words, so each sign counts as a word there.
_UNSPACED = re.compile("([\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was found. ``score`` is above 0, the higher the better, and only comparable within one answer."""

    memory: Memory
    score: float


class Index:
    """An index of ``memories``, those of one conversation in the order in which they were said.

    It may be asked from any thread. Nothing can be added: build a new one (about 0.1 s for 10,000 memories).
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = tuple(memories)
        # Only asked after this method, and SQLite takes its own lock around each call: threads may share it.
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute("PRAGMA temp_store = MEMORY")
        self._database.execute(
            "CREATE VIRTUAL TABLE entries USING fts5"
            "(content, before, content='', tokenize='porter unicode61 remove_diacritics 2')"
        )
        said: dict[tuple[str, str], str] = {}
        rows = []
        for number, memory in enumerate(self._memories):
            content, before = _spaced(" ".join((memory.content, *memory.tags))), ""
            if memory.source and memory.source.conversation is not None:
                conversation = (memory.source.platform, memory.source.conversation)
                before, said[conversation] = said.get(conversation, ""), content
            rows.append((number, content, before))
        self._database.executemany("INSERT INTO entries (rowid, content, before) VALUES (?, ?, ?)", rows)

    def recall(self, query: str, limit: int = 10) -> list[Hit]:
        """The best ``limit`` memories that share a word with ``query``, best first; of equals, the later one first.

        Any text is a query; it has no operators. Stop words count only where there is nothing else.
        Raises InvalidRequest if ``query`` holds no word, or ``limit`` is below 1.
        """
        if limit < 1:
            raise InvalidRequest(f"A limit of {limit} leaves no room for an answer.", "Give a limit of 1 or more.")
        words = dict.fromkeys(_WORD.findall(_spaced(query).lower()))
        if not words:
            raise InvalidRequest("The query holds no word to look for.", "Ask with a word or more.")
        telling = [word for word in words if word not in _STOP_WORDS] or list(words)
        expression = " OR ".join(f'"{word}"' for word in telling[:MAX_WORDS])
        found = self._database.execute(
            "SELECT rowid, bm25(entries, 1.0, ?) AS score FROM entries WHERE entries MATCH ?"
            " ORDER BY score, rowid DESC LIMIT ?",
            (_WEIGHT_OF_BEFORE, expression, min(limit, len(self._memories))),
        )
        return [Hit(self._memories[number], -score) for number, score in found]


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)
