"""Keyword search over opened memories, in the memory of this process alone: nothing touches a disk. Pure.

A memory is ranked by BM25 over its own words and, with less weight, those around it in the same conversation: BM25F
with a neighbour as a field (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009),
weighted by its distance (Lv and Zhai, "Positional Language Models", 2009). To that comes the BM25 of the whole
conversation as a prior (Liu and Croft, "Cluster-Based Retrieval Using Language Models", 2004).
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .errors import InvalidRequest
from .memories import Memory
from .words import STOP_WORDS, Stems, words, words_of_named_times, words_of_time

MAX_WORDS = 256
"""Distinct words of a query that are looked for; the rest of a longer one is left out."""

# The usual constants of BM25: how soon the same word again adds nothing, and how much a long text is marked down.
_SATURATION = 1.2
_LENGTH = 0.75

# The n-th memory before counts 1/(n+1), the n-th after half of that: an answer takes up the words of its question more
# often than it lends it any. A question just before counts half as much again.
_REACH = 4
_AFTER = 0.5
_QUESTION = 1.5
_QUESTION_MARKS = frozenset("?？؟")

_CONVERSATION = 0.5

# A word in more than a tenth of all memories (and in more than 10), a speaker's name for one, says something of the
# memory that has it and nothing of those around.
_COMMON = 10

# Ranked with all that surrounds them are only the best by their own words, and their neighbours. Words come in by the
# number of memories that have them, fewest first, until that many were looked at: the rest only rank.
_SEEDS_PER_HIT = 2
_LOOKED_AT = 5_000


class Part(StrEnum):
    """Where a word was found that counted for a memory."""

    ITSELF = "itself"
    BEFORE = "before"
    AFTER = "after"
    CONVERSATION = "conversation"


@dataclass(frozen=True, slots=True)
class Reason:
    """The share of ``word`` (a stem, ``year:2026`` or ``month:5``), found in ``part``, in the score of a hit."""

    word: str
    part: Part
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was found. ``score`` is above 0, the higher the better, and only comparable within one answer; it
    is the sum of those of ``reasons``, which come greatest first. ``conflict``: another edit of it contradicts this
    one, found or not."""

    memory: Memory
    score: float
    reasons: tuple[Reason, ...]
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """What a memory has to be: with that tag, from that platform, of that type, made at or after ``after`` and before
    ``before`` (timezone-aware). None asks nothing. A memory of unknown time is neither before nor after any."""

    tag: str | None = None
    source: str | None = None
    type: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        if any(time is not None and time.utcoffset() is None for time in (self.after, self.before)):
            raise InvalidRequest("A time has no zone.", "Give times with a zone.")

    def lets(self, memory: Memory) -> bool:
        """Whether ``memory`` is so."""
        made = memory.created
        return (
            (self.tag is None or self.tag in memory.tags)
            and (self.source is None or (memory.source is not None and memory.source.platform == self.source))
            and (self.type is None or memory.type == self.type)
            and (self.after is None or (made is not None and made >= self.after))
            and (self.before is None or (made is not None and made < self.before))
        )


EVERYTHING = Filter()

_Reason = tuple[str, Part, float]


class Index:
    """An index of ``memories``, those of one conversation in the order in which they were said.

    Memories come and go with ``add`` and ``remove``, and it may be used from any thread.
    """

    def __init__(self, memories: Iterable[Memory] = ()) -> None:
        self._lock = threading.Lock()
        self._stems = Stems()
        self._memories: dict[int, Memory] = {}
        self._numbers: dict[bytes, int] = {}  # by revision
        self._edits: Counter[bytes] = Counter()  # that stand beside each other, by the memory's id
        self._next_number = 0
        self._terms = _Table()
        self._conversation_terms = _Table()
        self._conversations: dict[tuple[str, str], int] = {}
        self._last: dict[int, int] = {}  # of each conversation
        self._conversation_of: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._after: dict[int, int] = {}
        self._asks: set[int] = set()
        self.add(memories)

    def __len__(self) -> int:
        return len(self._memories)

    def add(self, memories: Iterable[Memory]) -> None:
        """Adds ``memories``, each at the end of its conversation; an edited one right behind what it supersedes, which
        stays until it is removed. Those that are there already are left as they are."""
        with self._lock:
            for memory in memories:
                if memory.revision not in self._numbers:
                    self._add(memory)

    def remove(self, revisions: Iterable[bytes]) -> None:
        """Takes the memories of ``revisions`` (16 bytes each) out; what is not there is passed over."""
        with self._lock:
            for revision in revisions:
                if revision in self._numbers:
                    self._remove(self._numbers.pop(revision))

    def recall(self, query: str, limit: int = 10, only: Filter = EVERYTHING) -> list[Hit]:
        """The best ``limit`` memories that ``only`` lets through and that share a word with ``query``, themselves or
        by those around them. Best first; of equals, the one added later first.

        Any text is a query; it has no operators. Stop words count only where there is nothing else.
        Raises InvalidRequest if ``query`` holds no word, or ``limit`` is below 1.
        """
        if limit < 1:
            raise InvalidRequest(f"A limit of {limit} leaves no room for an answer.", "Give a limit of 1 or more.")
        asked = dict.fromkeys(words(query))
        if not asked:
            raise InvalidRequest("The query holds no word to look for.", "Ask with a word or more.")
        telling = [word for word in asked if word not in STOP_WORDS] or list(asked)
        with self._lock:
            stems = Stems()  # its own: what is asked stays nowhere
            terms = [self._stems.get(word) or stems[word] for word in telling[:MAX_WORDS]] + words_of_named_times(query)
            return self._ranked([term for term in dict.fromkeys(terms) if term in self._terms.counts], limit, only)

    def _add(self, memory: Memory) -> None:
        number, self._next_number = self._next_number, self._next_number + 1
        self._memories[number], self._numbers[memory.revision] = memory, number
        self._edits[memory.id] += 1
        if not _QUESTION_MARKS.isdisjoint(memory.content):
            self._asks.add(number)
        counts = self._counts(memory)
        self._terms.add(number, counts)
        if memory.source is None or memory.source.conversation is None:
            return
        name = (memory.source.platform, memory.source.conversation)
        conversation = self._conversations.setdefault(name, len(self._conversations))
        self._conversation_of[number] = conversation
        self._conversation_terms.add(conversation, counts)
        edited = [self._numbers[revision] for revision in memory.supersedes if revision in self._numbers]
        here = [other for other in edited if self._conversation_of.get(other) == conversation]
        self._link(max(here, default=self._last.get(conversation)), number)
        if self._after.get(number) is None:
            self._last[conversation] = number

    def _link(self, before: int | None, number: int) -> None:
        if before is None:
            return
        after = self._after.get(before)
        self._before[number], self._after[before] = before, number
        if after is not None:
            self._before[after], self._after[number] = number, after

    def _remove(self, number: int) -> None:
        memory = self._memories.pop(number)
        self._edits[memory.id] -= 1
        if not self._edits[memory.id]:
            del self._edits[memory.id]
        counts = self._counts(memory)
        self._terms.take(number, counts)
        del self._terms.lengths[number]
        self._asks.discard(number)
        conversation = self._conversation_of.pop(number, None)
        if conversation is None:
            return
        self._conversation_terms.take(conversation, counts)
        before, after = self._before.pop(number, None), self._after.pop(number, None)
        if before is not None:
            self._after.pop(before)
        if after is not None:
            self._before.pop(after)
        elif before is not None:
            self._last[conversation] = before
        else:
            del self._last[conversation], self._conversation_terms.lengths[conversation]
        if before is not None and after is not None:
            self._link(before, after)

    def _counts(self, memory: Memory) -> Counter[str]:
        terms = [self._stems[word] for word in words(" ".join((memory.content, *memory.tags)))]
        return Counter(terms if memory.created is None else terms + words_of_time(memory.created))

    def _around(self, number: int) -> Iterator[tuple[int, Part, float]]:
        """The neighbours of a memory and itself, each with its weight."""
        yield number, Part.ITSELF, 1.0
        for links, part, share in ((self._before, Part.BEFORE, 1.0), (self._after, Part.AFTER, _AFTER)):
            other = number
            for distance in range(1, _REACH + 1):
                if (found := links.get(other)) is None:
                    break
                other = found
                asks = part is Part.BEFORE and distance == 1 and other in self._asks
                yield other, part, share / (distance + 1) * (_QUESTION if asks else 1.0)

    def _ranked(self, terms: list[str], limit: int, only: Filter) -> list[Hit]:
        limit = min(limit, len(self._memories))
        seeds = self._seeds(terms, limit * _SEEDS_PER_HIT, only)
        pool = {other for number in seeds for other, _, _ in self._around(number)}
        asked = _Asked(terms, self._terms, self._conversation_terms, pool)
        scores = []
        for number in pool:
            if only is EVERYTHING or only.lets(self._memories[number]):
                scores.append((sum(reason[2] for reason in self._reasons(number, asked)), number))
        best = [(score, number) for score, number in heapq.nlargest(limit, scores) if score > 0]
        return [self._hit(number, score, asked) for score, number in best]

    def _hit(self, number: int, score: float, asked: _Asked) -> Hit:
        memory = self._memories[number]
        return Hit(memory, score, _told(self._reasons(number, asked)), self._edits[memory.id] > 1)

    def _seeds(self, terms: list[str], limit: int, only: Filter) -> list[int]:
        """The best by their own words alone."""
        scores: dict[int, float] = {}
        looked_at = 0
        for term in sorted(terms, key=self._terms.frequency):
            looked_at += self._terms.frequency(term)
            if scores and looked_at > _LOOKED_AT:
                break
            self._terms.score(term, scores)
        if only is not EVERYTHING:
            scores = {number: score for number, score in scores.items() if only.lets(self._memories[number])}
        return [number for _, number in heapq.nlargest(limit, zip(scores.values(), scores, strict=True))]

    def _reasons(self, number: int, asked: _Asked) -> list[_Reason]:
        seen: list[_Reason] = []
        sums: dict[str, float] = {}
        length = weights = 0.0
        for other, part, weight in self._around(number):
            length += weight * self._terms.lengths[other]
            weights += weight
            for term, count in asked.found.get(other, ()):
                if part is Part.ITSELF or term in asked.carrying:
                    seen.append((term, part, weight * count))
                    sums[term] = sums.get(term, 0.0) + weight * count
        if not seen:
            return seen
        spread = self._terms.spread(length / weights)
        reasons = [(term, part, asked.most[term] * amount / (sums[term] + spread)) for term, part, amount in seen]
        conversation = self._conversation_of.get(number)
        return reasons if conversation is None else reasons + asked.prior(conversation)


class _Asked:
    """What a query's terms are worth, and where in ``pool`` they stand."""

    def __init__(self, terms: list[str], table: _Table, conversations: _Table, pool: set[int]) -> None:
        self.most = {term: table.most(term) for term in terms}
        common = max(_COMMON, len(table.lengths) // _COMMON)
        self.carrying = {term for term in terms if table.frequency(term) <= common}
        self.found: dict[int, list[tuple[str, int]]] = {}
        for term in terms:
            counts = table.counts[term]
            for number in counts.keys() & pool:
                self.found.setdefault(number, []).append((term, counts[number]))
        self._conversations = conversations
        self._priors: dict[int, list[_Reason]] = {}

    def prior(self, conversation: int) -> list[_Reason]:
        """What a conversation as a whole adds to each memory of it that has something to show."""
        if conversation not in self._priors:
            table = self._conversations
            spread = table.spread(table.lengths[conversation])
            counts = {term: table.counts[term].get(conversation, 0) for term in self.most if term in table.counts}
            self._priors[conversation] = [
                (term, Part.CONVERSATION, _CONVERSATION * table.most(term) * count / (count + spread))
                for term, count in counts.items()
                if count
            ]
        return self._priors[conversation]


def _told(reasons: list[_Reason]) -> tuple[Reason, ...]:
    totals: dict[tuple[str, Part], float] = {}
    for term, part, score in reasons:
        totals[term, part] = totals.get((term, part), 0.0) + score
    told = [Reason(term, part, score) for (term, part), score in totals.items()]
    return tuple(sorted(told, key=lambda reason: -reason.score))


class _Table:
    """``counts``: how often a term stands in a text, by term and the text's number. ``lengths``: words, by number."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[int, int]] = {}
        self.lengths: dict[int, int] = {}
        self._words = 0

    def add(self, number: int, counts: Mapping[str, int]) -> None:
        """Adds to what the text has, if it is there already."""
        for term, count in counts.items():
            if (texts := self.counts.get(term)) is None:
                self.counts[term] = {number: count}
            else:
                texts[number] = texts.get(number, 0) + count
        self._lengthen(number, sum(counts.values()))

    def take(self, number: int, counts: Mapping[str, int]) -> None:
        """What ``add`` did, undone, but that the text stays, if with nothing in it."""
        for term, count in counts.items():
            texts = self.counts[term]
            texts[number] -= count
            if not texts[number]:
                del texts[number]
            if not texts:
                del self.counts[term]
        self._lengthen(number, -sum(counts.values()))

    def _lengthen(self, number: int, words: int) -> None:
        self._words += words
        self.lengths[number] = self.lengths.get(number, 0) + words

    def frequency(self, term: str) -> int:
        """How many texts have it."""
        return len(self.counts[term])

    def most(self, term: str) -> float:
        """The most that it can count: the rarer, the more, and always above 0."""
        having = self.frequency(term)
        return (_SATURATION + 1) * math.log(1 + (len(self.lengths) - having + 0.5) / (having + 0.5))

    def spread(self, length: float) -> float:
        """What a count is held against in a text of so many words."""
        return _SATURATION * (1 - _LENGTH + _LENGTH * length * len(self.lengths) / self._words)

    def score(self, term: str, scores: dict[int, float]) -> None:
        """Adds the BM25 of ``term`` to the scores of all that have it."""
        most, lengths, base = self.most(term), self.lengths, self.spread(0)
        slope = self.spread(1) - base
        for number, count in self.counts[term].items():
            scores[number] = scores.get(number, 0.0) + most * count / (count + base + slope * lengths[number])
