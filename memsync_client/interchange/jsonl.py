"""JSON Lines, the form of our own: one memory a line, in UTF-8.

``{"id": "7", "content": "…", "created": "2026-01-31T12:00:00Z", "type": "fact", "tags": ["…"],
"source": {"platform": "…", "conversation": "…"}}``

``id`` (unique in the file) and ``content`` are needed; null is the same as absent; a source may be a string, the
platform alone. Without one the platform is ``jsonl``, so that the id still tells a second import from a new memory.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from typing import IO, Any

from ..errors import InvalidImport, InvalidMemory
from ..memories import Source
from . import Draft, Report

MAX_LINE_BYTES = 1_000_000
MAX_DEPTH = 32

_FIELDS = ("id", "content", "created", "source", "type", "tags")
_SOURCE_FIELDS = ("platform", "conversation")

# RFC 3339, section 5.6, a space allowed for the T. ``fromisoformat`` alone also takes dates without a time or a zone.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
    number = 0
    try:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), 1):
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
                _refuse_other_formats(line)
            value = _object(line)
            if value is None:
                continue
            id, draft = _draft(value, skipped)
            if drafts.setdefault(id, draft) != draft:
                raise InvalidImport(
                    "Its id stands on an earlier line with something else.", "Give it an id of its own."
                )
    except OSError as error:
        raise InvalidImport(
            f"{name} can't be read: {error.strerror or 'no reason given'}.", "Check the file."
        ) from None
    except (InvalidImport, InvalidMemory) as error:
        cause = f"{name}, line {number}: {error.cause}"
        raise InvalidImport(cause, f"{error.next_step} Nothing was imported.") from None
    return Report(tuple(drafts.values()), skipped)


def _refuse_other_formats(start: bytes) -> None:
    for prefix, (what, next_step) in _OTHER_FORMATS.items():
        if start.startswith(prefix):
            raise InvalidImport(f"The file is {what}, not JSON Lines.", next_step)
    if start.strip() == b"{":
        raise InvalidImport("The file is JSON spread over several lines.", "Put each memory on one line.")


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object on a line (RFC 8259, each name once), or None on a blank one. No cause quotes the line."""
    if len(line) > MAX_LINE_BYTES:
        raise InvalidImport(f"The line has more than {MAX_LINE_BYTES:,} bytes.", "Split it into several memories.")
    line = line.rstrip()
    if not line:
        return None
    _refuse_depth(line)
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise InvalidImport(f"Byte {error.start + 1} is not UTF-8.", "Save the file as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _broken(f"It is not JSON from character {error.colno} on.") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise _broken("It has a number that is too long.") from None
    if type(value) is not dict:
        raise _broken("It is not a JSON object.")
    return value


def _refuse_depth(line: bytes) -> None:
    # Not left to the parser: where another library has raised the recursion limit of Python, its stack ends in a crash.
    depth = 0
    for sign in _STRING.sub(b"", line):
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise _broken("It is nested too deeply.")


def _refuse_constant(constant: str) -> None:
    raise _broken(f"{constant} is not JSON.")


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
    source = value.get("source")
    if type(source) is dict:
        _count(skipped, source, _SOURCE_FIELDS, "source.")
        platform, conversation = _text(source, "platform"), _text(source, "conversation")
    else:
        platform, conversation = ("jsonl" if source is None else _text(value, "source")), None
    if not platform:
        raise _broken("The platform of its source is missing or empty.")
    return id, Draft(content, _time(value), Source(platform, conversation, id), _text(value, "type"), tuple(tags or ()))


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
