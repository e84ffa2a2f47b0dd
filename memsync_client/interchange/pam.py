"""Portable AI Memory 1.0: one JSON document.

What its narrower fields can't hold (unknown times, tags and platforms of any letters) stands in ``metadata.memsync`` of
a memory as ``jsonl.kept`` writes it, and is read from there again. Where a time is unknown, ``created_at`` is the first
moment of 1970: the format requires one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..errors import InvalidImport, InvalidMemory
from ..memories import Memory, Source
from ..sealing import sha256
from . import OWNER, PRODUCER, Files, Report
from .jsonl import kept, originated, restored
from .parsing import document
from .taking import Taken, identifier, items, mapping, moment, text

PLATFORM = "pam"
SCHEMA = "portable-ai-memory"
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
OWN = "memsync"

_TYPES = {
    *("fact", "preference", "skill", "context", "relationship", "goal", "instruction", "identity", "environment"),
    "project",
}
_PLATFORM = re.compile(r"[a-z0-9_-]{2,32}", re.ASCII)
_TAG = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)


def recognises(value: Any) -> bool:
    """Whether a JSON value is of this kind."""
    return isinstance(value, dict) and value.get("schema") == SCHEMA


def read(files: Files) -> Report:
    """All living memories of the one file. Raises InvalidImport."""
    taken = Taken()
    name = next((name for name in files.names if name.endswith("memory-store.json")), files.names[0])
    with files.open(name) as stream:
        value = document(stream, name)
    if not recognises(value):
        raise InvalidImport(f"{name} is not Portable AI Memory.", "Name its format with --format.")
    for number, entry in enumerate(items(value.get("memories"), "The list of memories"), 1):
        try:
            _take(dict(mapping(entry, "It")), taken)
        except (InvalidImport, InvalidMemory) as error:
            raise InvalidImport(f"{name}, memory {number}: {error.cause}", error.next_step) from None
    for field in ("relations", "conversations_index"):
        taken.leave(field.replace("_", " "), len(items(value.get(field), f"The list of {field}")))
    return taken.report()


def _take(value: dict[str, Any], taken: Taken) -> None:
    content = text(value.get("content"))
    if not content.strip():
        raise InvalidImport("It has no text.", "Get the export again.")
    status = text(value.get("status")) or "active"
    if status != "active":
        taken.leave(f"{status} memories" if status.isalpha() and len(status) <= 32 else "memories of another status")
        return
    own = mapping(value.get("metadata"), "Its metadata").get(OWN)
    if isinstance(own, dict):
        taken.keep(restored(content, own))
        return
    came = mapping(value.get("provenance"), "Its provenance")
    type = text(value.get("type"))
    created = text(mapping(value.get("temporal"), "Its times").get("created_at"))
    taken.add(
        content,
        Source(
            identifier(came.get("platform")) or PLATFORM,
            identifier(came.get("conversation_ref")),
            identifier(value.get("id")),
        ),
        created=moment(created),
        type=text(value.get("custom_type")) if type == "custom" else type,
        tags=[text(tag) for tag in items(value.get("tags"), "Its list of tags")],
    )


def write(memories: Iterable[Memory], exported: datetime) -> Iterator[bytes]:
    """The document for ``memories``. ``exported`` is the time now."""
    head = {
        "schema": SCHEMA,
        "schema_version": "1.0",
        "spec_uri": "https://portable-ai-memory.org/spec/v1.0",
        "exported_by": PRODUCER,
        "export_date": _time(exported),
        "owner": {"id": OWNER},
    }
    yield _json(head)[:-1] + b',"memories":['
    entries: list[tuple[str, bytes]] = []
    for number, (memory, origin) in enumerate(originated(memories)):
        entry = _entry(memory, origin)
        entries.append((entry["id"], _json(entry)))
        yield b",\n" * bool(number) + entries[-1][1]
    # RFC 8785: our keys are ASCII and our numbers none, so that sorted keys are all that it asks for.
    checksum = sha256(b"[" + b",".join(entry for _, entry in sorted(entries)) + b"]").hex()
    integrity = {"canonicalization": "RFC8785", "checksum": f"sha256:{checksum}", "total_memories": len(entries)}
    yield b'],"integrity":' + _json(integrity) + b"}\n"


def _entry(memory: Memory, origin: Source) -> dict[str, Any]:
    source = memory.source or Source("manual")
    provenance = {
        "platform": source.platform if _PLATFORM.fullmatch(source.platform) else "other",
        "conversation_ref": source.conversation,
        "message_ref": source.foreign_id,
    }
    entry = {
        "id": str(UUID(bytes=memory.revision)),
        "type": memory.type if memory.type in _TYPES else "custom",
        "status": "active",
        "content": memory.content,
        "content_hash": "sha256:" + sha256(_normal(memory.content).encode()).hex(),
        "tags": list(dict.fromkeys(tag for tag in memory.tags if _TAG.fullmatch(tag))),
        "temporal": {"created_at": UNKNOWN_TIME if memory.created is None else _time(memory.created)},
        "provenance": {field: value for field, value in provenance.items() if value is not None},
        "metadata": {OWN: kept(memory, origin)},
    }
    return entry if memory.type in _TYPES else entry | {"custom_type": memory.type or "note"}


def _normal(content: str) -> str:
    """Section 6.1, as its reference implementation reads it: any white space is a space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", content.strip().lower()))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
