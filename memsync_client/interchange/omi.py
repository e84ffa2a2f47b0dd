"""Open Memory Interchange 0.1 (a draft): JSON Lines whose first line is the envelope, or one JSON document.

What its floor can't hold stands in ``ext.memsync`` of a memory as ``jsonl.kept`` writes it, and is read from there
again. Where a time is unknown, ``created`` is the first moment of 1970: the format requires one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidImport, InvalidMemory
from ..memories import Memory, Source
from . import OWNER, PRODUCER, Files, Report
from .jsonl import kept, line, objects, originated, placed, restored
from .pam import OWN, UNKNOWN_TIME
from .parsing import document
from .taking import Taken, identifier, items, mapping, moment, text

PLATFORM = "omi"
FORMAT = "open-memory-interchange"

_USED = {"id", "content", "created", "type", "tags", "source", "ext", "subject"}


def recognises(value: Any) -> bool:
    """Whether a JSON value, or the first line, is of this kind."""
    return isinstance(value, dict) and value.get("format") == FORMAT


def read(files: Files) -> Report:
    """All of the one file. Raises InvalidImport, naming the line or the memory."""
    taken = Taken()
    name = files.names[0]
    if _in_lines(files, name):
        with files.open(name) as stream:
            for number, value in objects(stream, name):
                with placed(name, number):
                    if number == 1:
                        _refuse_unless(recognises(value), "The first line is no envelope.")
                    else:
                        _take(value, taken)
        return taken.report()
    with files.open(name) as stream:
        whole = document(stream, name)
    _refuse_unless(recognises(whole), f"{name} is not Open Memory Interchange.")
    for number, entry in enumerate(items(whole.get("memories"), "The list of memories"), 1):
        try:
            _take(dict(mapping(entry, "It")), taken)
        except (InvalidImport, InvalidMemory) as error:
            raise InvalidImport(f"{name}, memory {number}: {error.cause}", error.next_step) from None
    return taken.report()


def _in_lines(files: Files, name: str) -> bool:
    """Whether the first line is a whole object, and has no list of memories."""
    with files.open(name) as stream:
        try:
            return "memories" not in next(objects(stream, name))[1]
        except (InvalidImport, StopIteration):
            return False


def _take(value: dict[str, Any], taken: Taken) -> None:
    content = text(value.get("content"))
    _refuse_unless(bool(content.strip()), "It has no content.")
    own = mapping(value.get("ext"), "Its ext").get(OWN)
    if isinstance(own, dict):
        taken.keep(restored(content, own))
        return
    for field in value.keys() - _USED:
        taken.leave(f"field {field}" if field.isprintable() and len(field) <= 64 else "field (unprintable)")
    came = mapping(value.get("source"), "Its source")
    source = Source(
        identifier(came.get("platform")) or PLATFORM, identifier(came.get("ref")), identifier(value.get("id"))
    )
    tags = [text(tag) for tag in items(value.get("tags"), "Its list of tags")]
    taken.add(content, source, created=moment(value.get("created")), type=text(value.get("type")), tags=tags)


def _refuse_unless(holds: bool, cause: str) -> None:
    if not holds:
        raise InvalidImport(cause, "Name its format with --format, or get the export again.")


def write(memories: Iterable[Memory], exported: datetime) -> Iterator[bytes]:
    """The lines for ``memories``. ``exported`` is the time now."""
    yield line(
        {
            "format": FORMAT,
            "version": "0.1",
            "serialization": "jsonl",
            "subject": {"id": OWNER, "type": "person"},
            "generated_at": _time(exported),
            "generator": PRODUCER,
        }
    )
    for memory, origin in originated(memories):
        source = memory.source or Source("manual")
        came = {"platform": source.platform} | ({"ref": source.conversation} if source.conversation else {})
        yield line(
            {
                "id": memory.revision.hex(),
                "content": memory.content,
                "created": UNKNOWN_TIME if memory.created is None else _time(memory.created),
                "type": memory.type or "note",
                "tags": list(memory.tags),
                "source": came,
                "ext": {OWN: kept(memory, origin)},
            }
        )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
