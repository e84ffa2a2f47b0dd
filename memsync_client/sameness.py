"""Whether a text says what another said: what was recalled is not to come back as something new. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from .sealing import sha256

# How answers mark a memory that they show: "[3f9a27c1, from chatgpt, 2026-01-31]" above it, and ">" before each line.
_HEADING = re.compile(r"\[[0-9a-f]{4,32}, from [^\]]*\]", re.ASCII)
_LEADING = re.compile(r"^(?:[>*•–—-]|\d{1,3}[.)])(?:\s+|$)")
_EDGES = " \t.,;:!?…\"'“”‘’«»`*_()[]"


class Texts:
    """Texts with the ids (16 bytes) of the memories that have them, the first for each."""

    def __init__(self, texts: Iterable[tuple[str, bytes]] = ()) -> None:
        self._ids: dict[str, bytes] = {}
        self.add(texts)

    def add(self, texts: Iterable[tuple[str, bytes]]) -> None:
        """Takes in more of them."""
        for text, memory_id in texts:
            self._ids.setdefault(form(text), memory_id)

    def find(self, text: str) -> bytes | None:
        """The id of the memory that says the same, or of the first, where ``text`` is made of nothing but lines of
        memories. None for a text that says something else."""
        return self._ids.get(form(text)) or _all_lines(text, self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def form(text: str) -> str:
    """What is left of a text without regard to case, spacing, marks around words, and how answers and lists set it
    out."""
    return " ".join(filter(None, map(_form_of_line, text.splitlines())))


def fingerprint(text: str) -> bytes:
    """16 bytes that texts of the same form share."""
    return sha256(form(text).encode("utf-8", "surrogatepass"))[:16]


def _form_of_line(line: str) -> str:
    line = unicodedata.normalize("NFKC", line).strip()
    if _HEADING.fullmatch(line):
        return ""
    while marked := _LEADING.match(line):
        line = line[marked.end() :]
    return " ".join(filter(None, (word.strip(_EDGES) for word in line.casefold().split())))


def _all_lines(text: str, ids: Mapping[str, bytes]) -> bytes | None:
    found = [ids.get(line) for line in map(_form_of_line, text.splitlines()) if line]
    return found[0] if found and None not in found else None
