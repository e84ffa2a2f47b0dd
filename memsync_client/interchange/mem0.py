"""What mem0's ``get_all`` and its platform's export give: a JSON list of memories, or ``{"results": […]}``."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidImport
from ..memories import Source
from . import Files, Report
from .parsing import document
from .taking import Taken, identifier, items, mapping, moment, text

PLATFORM = "mem0"

_LISTS = ("results", "memories")
_USED = {"id", "memory", "data", "created_at", "categories", "hash", "score", "updated_at", "metadata"}


def recognises(value: Any) -> bool:
    """Whether a JSON value is of this kind."""
    found = _memories(value)
    first = found[0] if found else None
    return isinstance(first, dict) and ("memory" in first or "data" in first)


def read(files: Files) -> Report:
    """All of the one file. Raises InvalidImport."""
    taken = Taken()
    name = files.names[0]
    with files.open(name) as stream:
        found = _memories(document(stream, name))
    if found is None:
        raise InvalidImport(f"{name} has no list of memories.", "Name its format with --format.")
    for number, value in enumerate(found, 1):
        try:
            _take(dict(mapping(value, "It")), taken)
        except InvalidImport as error:
            raise InvalidImport(f"{name}, entry {number}: {error.cause}", error.next_step) from None
    return taken.report()


def _memories(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if key in value), None)
    return value if isinstance(value, list) else None


def _take(value: dict[str, Any], taken: Taken) -> None:
    content = text(value.get("memory")) or text(value.get("data"))
    if not content.strip():
        raise InvalidImport("It has no text.", "Get the export again.")
    metadata = mapping(value.get("metadata"), "Its metadata")
    tags = [text(tag) for tag in items(value.get("categories"), "Its list of categories")]
    tags.append(text(metadata.get("category")))
    for field in value.keys() - _USED:
        taken.leave(f"field {field}" if field.isprintable() and len(field) <= 64 else "field (unprintable)")
    source = Source(PLATFORM, None, identifier(value.get("id")))
    taken.add(content, source, created=moment(value.get("created_at")), tags=tags)
