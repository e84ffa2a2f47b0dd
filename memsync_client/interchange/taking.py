"""What the readers of other tools' formats share: lenient towards values that are not needed, exact about the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from ..errors import InvalidImport, InvalidMemory
from ..memories import MAX_CONTENT_BYTES, MAX_FIELD_BYTES, MAX_TAGS, Source
from ..sealing import sha256
from . import Draft, Report

PASSAGE_BYTES = 4_096
"""Documents are cut into passages of at most so many bytes: what is recalled is read by a person or a model."""

# Where a long text is cut, from the best place to the worst.
_BREAKS = (b"\n#", b"\n\n", b"\n", b". ", b" ")


class Taken:
    """Drafts as a reader finds them, and counts of what it leaves out."""

    def __init__(self) -> None:
        self._drafts: dict[tuple[Source | None, str | None], Draft] = {}
        self._skipped: Counter[str] = Counter()

    def add(
        self,
        content: str,
        source: Source,
        *,
        created: datetime | None = None,
        type: str | None = None,
        tags: Iterable[str | None] = (),
        limit: int = MAX_CONTENT_BYTES,
    ) -> None:
        """Takes a text in, in several memories where it is longer than ``limit`` bytes; nothing where it is blank."""
        kept = tuple(dict.fromkeys(label(tag) for tag in tags if tag and tag.strip()))[:MAX_TAGS]
        for number, piece in enumerate(pieces(content, limit), 1):
            foreign_id = source.foreign_id
            if number > 1 and foreign_id is not None:
                foreign_id = identifier(f"{foreign_id}#{number}")
            origin = Source(source.platform, source.conversation, foreign_id)
            try:
                self.keep(Draft(piece, created, origin, label(type) if type else None, kept))
            except InvalidMemory as error:
                raise InvalidImport(f"A memory of it can't be kept: {error.cause}", error.next_step) from None

    def keep(self, draft: Draft) -> None:
        """Takes in a draft as it is, once. Of an id that comes with several texts the last one counts: else each would
        be an edit of the other, at every import."""
        named = draft.source is not None and draft.source.foreign_id is not None
        name = (draft.source, None if named else draft.content)
        if self._drafts.setdefault(name, draft).content != draft.content:
            self._drafts[name] = draft
            self.leave("earlier texts of an id that comes again")

    def leave(self, what: str, count: int = 1) -> None:
        """Counts something that has no place in a vault."""
        if count:
            self._skipped[what] += count

    def report(self) -> Report:
        """All that was taken in."""
        return Report(tuple(self._drafts.values()), self._skipped)


def pieces(text: str, limit: int) -> Iterator[str]:
    """A text in parts of at most ``limit`` bytes, cut where it breaks best; none of them blank."""
    data = text.encode()
    start = 0
    while start < len(data):
        end = len(data)
        if end - start > limit:
            found = (data.rfind(mark, start + limit // 4, start + limit) for mark in _BREAKS)
            end = next((at + 1 for at in found if at > 0), start + limit)
            while data[end] & 0xC0 == 0x80:  # inside a character
                end -= 1
        piece = data[start:end].decode().strip()
        if piece:
            yield piece
        start = end


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object, empty where the value is null. Raises InvalidImport."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidImport(f"{what} is not a JSON object.", "Get the export again.")
    return value


def items(value: Any, what: str) -> list[Any]:
    """A JSON array, empty where the value is null. Raises InvalidImport."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidImport(f"{what} is not a JSON array.", "Get the export again.")
    return value


def text(value: Any) -> str:
    """A text, empty where the value is none. Halves of characters, which some tools cut in two, are replaced."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def moment(value: Any) -> datetime | None:
    """A time in UTC: of ISO 8601, of seconds since 1970, or a date (its first moment). None where it is anything else:
    an unknown time stays unknown."""
    try:
        if isinstance(value, bool) or not value:
            return None
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
        return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None
    except (ValueError, OverflowError, OSError):
        return None


def label(value: str) -> str:
    """A text short enough for a tag or a type, on one line."""
    line = " ".join(value.split())
    return line.encode()[:MAX_FIELD_BYTES].decode(errors="ignore")


def identifier(value: Any) -> str | None:
    """An id of another tool, or None where there is none; too long a one by its hash."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    found = text(value)
    if len(found.encode()) > MAX_FIELD_BYTES:
        return "sha256:" + sha256(found.encode()).hex()
    return found or None


def sections(markdown: str) -> Iterator[tuple[str, str]]:
    """A text by its headings (``# …``, or a line that is all **bold**): heading and what is below it, both stripped.
    The heading of what stands above the first is empty."""
    heading, lines = "", list[str]()
    for line in markdown.splitlines():
        found = _heading(line.strip())
        if found:
            yield heading, "\n".join(lines).strip()
            heading, lines = found, []
        else:
            lines.append(line)
    yield heading, "\n".join(lines).strip()


def _heading(line: str) -> str:
    if line.startswith("#"):
        marks = len(line) - len(line.lstrip("#"))
        return line[marks:].strip("# \t") if marks <= 6 and line[marks : marks + 1].isspace() else ""
    bold = line.rstrip(":")
    inner = bold[2:-2]
    return inner.strip(" :") if bold.startswith("**") and bold.endswith("**") and "*" not in inner else ""
