"""JSON Lines, the form of our own: one memory a line, in UTF-8.

``{"id": "7", "content": "…", "created": "2026-01-31T12:00:00Z", "type": "fact", "tags": ["…"],
"source": {"platform": "…", "conversation": "…", "id": "…"}}``

``id`` (unique in the file) and ``content`` are needed; null is the same as absent; a source may be a string, the
platform alone. Without one the platform is ``jsonl``, so that the id still tells a second import from a new memory.
The source's own ``id`` says what the memory is called there, where that is not the line's; there null says that it has
none. With the platform ``memsync`` it is the id of a memory of ours that came from nowhere else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any

from ..errors import InvalidImport, InvalidMemory
from ..import_ids import OWN_PLATFORM
from ..memories import Memory, Source
from . import Draft, Report
from .parsing import BYTE_ORDER_MARK, parsed, refuse_depth

MAX_LINE_BYTES = 1_000_000
MAX_DEPTH = 32
IN_LINES = (".jsonl", ".ndjson")
"""How the names of such files end."""

_FIELDS = ("id", "content", "created", "source", "type", "tags")
_SOURCE_FIELDS = ("platform", "conversation", "id")

# RFC 3339, section 5.6, a space allowed for the T. ``fromisoformat`` alone also takes dates without a time or a zone.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

_OTHER_FORMATS = {
    b"[": ("a JSON array", "Put each memory on a line of its own."),
    b"PK\x03\x04": ("a zip archive", "Unpack it first."),
    b"\x1f\x8b": ("a gzip archive", "Unpack it first."),
    b"\xff\xfe": ("UTF-16 text", "Save it as UTF-8."),
    b"\xfe\xff": ("UTF-16 text", "Save it as UTF-8."),
}


def read(stream: IO[bytes], name: str) -> Report:
    """All memories in ``stream``. ``name`` is that of the file, for messages.

    Blank lines, a byte order mark and a line that repeats an earlier one are passed over; fields that have no place in
    a memory are left out and counted. Raises InvalidImport, naming the line, for whatever else is not of this form.
    """
    drafts: dict[str, Draft] = {}
    skipped: Counter[str] = Counter()
    for number, value in objects(stream, name):
        with placed(name, number):
            id, draft = _draft(value, skipped)
            if drafts.setdefault(id, draft) != draft:
                raise InvalidImport(
                    "Its id stands on an earlier line with something else.", "Give it an id of its own."
                )
    return Report(tuple(drafts.values()), skipped)


def write(memories: Iterable[Memory]) -> Iterator[bytes]:
    """The lines for ``memories``. What ``read`` makes of them has all that they had: in an empty vault they are equal
    but for the ids of those that had been imported, which each vault makes for itself."""
    for memory, origin in originated(memories):
        yield line({"id": memory.revision.hex(), "content": memory.content, **kept(memory, origin)})


def originated(memories: Iterable[Memory]) -> Iterator[tuple[Memory, Source]]:
    """Each memory with the source by which an import knows it again; of two edits that contradict each other the
    second is a memory of its own."""
    seen: set[bytes] = set()
    for memory in memories:
        source = memory.source
        if source is None:
            source = Source(OWN_PLATFORM, None, (memory.revision if memory.id in seen else memory.id).hex())
        elif memory.id in seen:
            source = replace(source, foreign_id=memory.revision.hex())
        seen.add(memory.id)
        yield memory, source


def kept(memory: Memory, origin: Source) -> dict[str, Any]:
    """What ``restored`` needs to make a memory anew, next to its text."""
    created = None if memory.created is None else memory.created.isoformat().replace("+00:00", "Z")
    source = {"platform": origin.platform, "conversation": origin.conversation, "id": origin.foreign_id}
    return {"created": created, "type": memory.type, "tags": list(memory.tags), "source": source}


def restored(content: str, fields: dict[str, Any]) -> Draft:
    """The draft of a memory that was written by ``kept`` into a file of another format. Raises InvalidImport, or
    InvalidMemory."""
    return _draft(fields | {"id": "-", "content": content}, Counter())[1]


def line(value: dict[str, Any]) -> bytes:
    """A line of JSON Lines."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def objects(stream: IO[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of any JSON Lines, with the numbers of their lines. Raises InvalidImport, naming the line."""
    number = 0
    while True:
        number += 1
        try:
            data = stream.readline(MAX_LINE_BYTES + 1)
        except OSError as error:
            said = f"{name} can't be read: {error.strerror or 'no reason given'}."
            raise InvalidImport(said, "Check the file. Nothing was imported.") from None
        with placed(name, number):
            if number == 1:
                data = data.removeprefix(BYTE_ORDER_MARK)
                _refuse_other_formats(data)
            value = _object(data)
        if value is not None:
            yield number, value
        if not data:
            return


@contextmanager
def placed(name: str, number: int) -> Iterator[None]:
    """Says in an error which line of the file it is about."""
    try:
        yield
    except (InvalidImport, InvalidMemory) as error:
        cause = f"{name}, line {number}: {error.cause}"
        raise InvalidImport(cause, f"{error.next_step} Nothing was imported.") from None


def _refuse_other_formats(start: bytes) -> None:
    for prefix, (what, next_step) in _OTHER_FORMATS.items():
        if start.startswith(prefix):
            raise InvalidImport(f"The file is {what}, not JSON Lines.", next_step)
    if start.strip() == b"{":
        raise InvalidImport("The file is JSON spread over several lines.", "Put each memory on one line.")


def _object(data: bytes) -> dict[str, Any] | None:
    """The JSON object on a line (each name once), or None on a blank one. No cause quotes the line."""
    if len(data) > MAX_LINE_BYTES:
        raise InvalidImport(f"The line has more than {MAX_LINE_BYTES:,} bytes.", "Split it into several memories.")
    data = data.rstrip()
    if not data:
        return None
    refuse_depth(data, MAX_DEPTH, _broken)
    value = parsed(data, _broken, _unique)
    if type(value) is not dict:
        raise _broken("It is not a JSON object.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _broken("A field stands twice in it.")
    return value


def _draft(value: dict[str, Any], skipped: Counter[str]) -> tuple[str, Draft]:
    id, content = _text(value, "id"), _text(value, "content")
    if not id:
        raise _broken("Field id is missing or empty.")
    if content is None:
        raise _broken("Field content is missing.")
    tags = value.get("tags")
    if tags is not None and (type(tags) is not list or any(type(tag) is not str for tag in tags)):
        raise _broken("Field tags is not a list of texts.")
    _count(skipped, value, _FIELDS)
    source, foreign_id = value.get("source"), value.get("id")
    if type(source) is dict:
        _count(skipped, source, _SOURCE_FIELDS, "source.")
        platform, conversation = _text(source, "platform"), _text(source, "conversation")
        foreign_id = _text(source, "id") if "id" in source else id
    else:
        platform, conversation = ("jsonl" if source is None else _text(value, "source")), None
    if not platform:
        raise _broken("The platform of its source is missing or empty.")
    origin = Source(platform, conversation, foreign_id)
    return id, Draft(content, _time(value), origin, _text(value, "type"), tuple(tags or ()))


def _text(value: dict[str, Any], field: str) -> str | None:
    text = value.get(field)
    if text is None or type(text) is str:
        return text
    raise _broken(f"Field {field} is not text.")


def _time(value: dict[str, Any]) -> datetime | None:
    text = _text(value, "created")
    if text is None:
        return None
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidImport(
        "Field created is not a time with a zone.", "Give it in RFC 3339, such as 2026-01-31T12:00:00Z."
    )


def _count(skipped: Counter[str], value: dict[str, Any], known: Collection[str], prefix: str = "") -> None:
    for key in value.keys() - known:
        # What shows a report shows these names: none may steer a terminal or fill it.
        skipped[prefix + (key if key.isprintable() and len(key) <= 64 else "(unprintable)")] += 1


def _broken(cause: str) -> InvalidImport:
    return InvalidImport(cause, "Mend that line.")
