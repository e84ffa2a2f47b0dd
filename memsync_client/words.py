"""What a text is searched by: the stems of its words. Pure.

A word is a run of letters and digits, without case and accents. English words are cut down to their stems (Porter's
second algorithm: snowballstem.org). Where a script puts no space between words (Chinese, Japanese, Thai …), or hangs
particles on them (Korean), each sign counts, and each pair of signs that stand side by side.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

# Han and kana; Thai and Lao; Myanmar; Khmer; Hangul.
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uac00-\ud7af"
)
_RUN = re.compile(rf"([{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[^\W_])+")
_ASCII_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words of ``text`` in their order."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    letters = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(letter for letter in letters if unicodedata.category(letter)[0] != "M")
    found: list[str] = []
    for run in _RUN.finditer(unicodedata.normalize("NFC", bare)):
        signs = run[0]
        if run[1]:
            found += signs
            found += (signs[at : at + 2] for at in range(len(signs) - 1))
        else:
            found.append(signs)
    return found


# Words that say nothing of what is asked for.
STOP_WORDS = frozenset(
    words(
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

_MONTHS = {
    name: number
    for number, name in enumerate(
        words("january february march april may june july august september october november december"), 1
    )
}
_MONTH = re.compile(rf"\b(?:{'|'.join(name for name in _MONTHS if name != 'may')})\b")
# In other places "may" is a verb.
_MAY = re.compile(r"\b(?:in|of|since|until|before|after|during|last|this|next)\s+may\b|\bmay\s+\d|\d[a-z]*\s+may\b")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_YEAR_AND_MONTH = re.compile(r"\b(?:19|20)\d\d-(0[1-9]|1[0-2])\b")


def words_of_time(created: datetime) -> list[str]:
    """What a memory made then is found by, besides its text. No word has a colon, so that none is taken for it."""
    return [f"year:{created.year}", f"month:{created.month}"]


def words_of_named_times(query: str) -> list[str]:
    """The years and months that ``query`` names: in figures, or in English."""
    asked = query.lower()
    months = [_MONTHS[name] for name in _MONTH.findall(asked)]
    months += [int(month) for month in _YEAR_AND_MONTH.findall(asked)]
    if _MAY.search(asked):
        months.append(_MONTHS["may"])
    return [f"year:{year}" for year in _YEAR.findall(asked)] + [f"month:{month}" for month in months]


class Stems(dict[str, str]):
    """Stems of the words that were asked for, made once each. Words with other letters than English ones stay as they
    are, and so do those whose stem says nothing, being a stop word: a name of "Mays" is not found by "may"."""

    def __init__(self) -> None:
        from snowballstemmer import stemmer  # all its languages at once: what recalls nothing need not wait

        super().__init__()
        self._stemmer = stemmer("english")

    def __missing__(self, word: str) -> str:
        stem = self._stemmer.stemWord(word) if word.isascii() and len(word) > 2 else word
        self[word] = stem = word if stem in STOP_WORDS else stem
        return stem
