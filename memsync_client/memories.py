"""A memory: one remembered thing, text plus a little metadata, and how revisions of it follow each other. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from . import canonical
from .errors import InvalidMemory, Tampered, UnknownMemory

MAX_CONTENT_BYTES = 65_536
MAX_FIELD_BYTES = 256
MAX_TAGS = 32
MAX_SUPERSEDED = 64
ID_BYTES = 16

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a memory comes from: the platform, the conversation there, and the id it has there (all optional but
    one)."""

    platform: str
    conversation: str | None = None
    foreign_id: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One revision of one memory.

    ``id`` (16 bytes) stays through all edits; ``revision`` (16 bytes) names this one, and equals ``id`` in the first.
    ``supersedes`` are the revisions that this one replaces. ``created`` is timezone-aware UTC, or None where unknown.
    """

    id: bytes
    content: str
    created: datetime | None = None
    source: Source | None = None
    type: str | None = None
    tags: tuple[str, ...] = ()
    revision: bytes = b""
    supersedes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not self.revision:
            object.__setattr__(self, "revision", self.id)
        _validate(self)
        if self.created is not None:
            object.__setattr__(self, "created", _utc(self.created))

    def edited(self, content: str, tips: Iterable[bytes] = ()) -> Memory:
        """A new revision with a random name that supersedes this one, or all of ``tips`` where several stand."""
        return replace(self, content=content, revision=os.urandom(ID_BYTES), supersedes=tuple(tips) or (self.revision,))


def new(
    content: str,
    *,
    created: datetime | None = None,
    source: Source | None = None,
    type: str | None = None,
    tags: Iterable[str] = (),
) -> Memory:
    """A memory with a random id. Raises InvalidMemory if it is empty, larger than 65,536 bytes, or not text."""
    return Memory(os.urandom(ID_BYTES), content, created, source, type, tuple(tags))


def _validate(memory: Memory) -> None:
    if len(memory.id) != ID_BYTES or len(memory.revision) != ID_BYTES:
        raise InvalidMemory("An id is not 16 bytes long.", "Ids are given by MemSync, not by hand.")
    if len(memory.supersedes) > MAX_SUPERSEDED:
        raise InvalidMemory(
            f"A memory supersedes more than {MAX_SUPERSEDED} revisions.", "Revisions are named by MemSync."
        )
    if any(len(revision) != ID_BYTES for revision in memory.supersedes):
        raise InvalidMemory("A superseded revision is not 16 bytes long.", "Revisions are named by MemSync.")
    _check_text(memory.content, "memory", MAX_CONTENT_BYTES)
    if not memory.content.strip():
        raise InvalidMemory("The memory is empty.", "Give it some text.")
    for tag in memory.tags:
        _check_text(tag, "tag", MAX_FIELD_BYTES)
    if len(memory.tags) > MAX_TAGS:
        raise InvalidMemory(f"The memory has more than {MAX_TAGS} tags.", "Leave some out.")
    texts = [memory.type]
    if memory.source:
        texts += [memory.source.platform, memory.source.conversation, memory.source.foreign_id]
    for text in texts:
        if text is not None:
            _check_text(text, "field", MAX_FIELD_BYTES)


def _utc(time: datetime) -> datetime:
    if time.utcoffset() is None:
        raise InvalidMemory("A time has no zone.", "Give times in RFC 3339 with a zone, such as 2026-01-31T12:00:00Z.")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidMemory("A time lies outside the years 1 to 9999.", "Leave the time out.") from None


def _check_text(text: str, what: str, limit: int) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidMemory(f"The {what} is not valid Unicode text.", "Save it as UTF-8 and try again.") from None
    if size > limit:
        raise InvalidMemory(f"The {what} is {size:,} bytes long, more than {limit:,}.", "Split it into several.")


_RECORD = {
    "id": bytes,
    "revision": bytes,
    "supersedes": list,
    "content": str,
    "created": (int, type(None)),
    "type": (str, type(None)),
    "tags": list,
    "source": (list, type(None)),
}


def to_record(memory: Memory) -> bytes:
    """The canonical CBOR of a memory: the bytes that its commitment in the memory log is made over."""
    created = None if memory.created is None else (memory.created - _EPOCH) // timedelta(microseconds=1)
    source = memory.source
    return canonical.encode(
        {
            "id": memory.id,
            "revision": memory.revision,
            "supersedes": list(memory.supersedes),
            "content": memory.content,
            "created": created,
            "type": memory.type,
            "tags": list(memory.tags),
            "source": None if source is None else [source.platform, source.conversation, source.foreign_id],
        }
    )


def from_record(record: bytes) -> Memory:
    """The memory of a canonical record. Raises Tampered for anything that ``to_record`` does not write."""
    return _of_usual_shape(record) or _of_any_shape(record)


# Nearly all records are a first revision without type and tags, of at most 65,535 bytes and with a time since 1970.
# Reading those by their shape takes a quarter of the time, which was most of what a restore does.
_FRONT = re.compile(
    rb"\xa8bid\x50(.{16})dtags\x80dtype\xf6fsource(?:\xf6|\x83(.{3,780}?))gcontent([\x61-\x77]|\x78.|\x79..)",
    re.DOTALL,
)
_BACK = re.compile(rb"gcreated\x1b(.{8})hrevision\x50(.{16})jsupersedes\x80", re.DOTALL)
_LEAST = {1: 1, 2: 24, 3: 256}  # bytes of a text whose head has so many bytes


def _of_usual_shape(record: bytes) -> Memory | None:
    """The memory of a record of the usual shape; None for all others, sound or not."""
    front = _FRONT.match(record) if type(record) is bytes else None
    if front is None:
        return None
    memory_id, origin, head = front.groups()
    begin, size = front.end(), head[0] - 0x60 if len(head) == 1 else int.from_bytes(head[1:], "big")
    back = _BACK.fullmatch(record, begin + size)
    if back is None or size < _LEAST[len(head)]:
        return None
    created = int.from_bytes(back[1], "big")
    try:
        content = record[begin : begin + size].decode()
        source = None if origin is None else _source(origin)
        time = _EPOCH + timedelta(microseconds=created)
    except (ValueError, IndexError, OverflowError):
        return None
    if created < 2**32 or content.isspace():
        return None
    memory, put = object.__new__(Memory), object.__setattr__  # all that its own checks look at has been seen
    put(memory, "id", memory_id)
    put(memory, "content", content)
    put(memory, "created", time)
    put(memory, "source", source)
    put(memory, "type", None)
    put(memory, "tags", ())
    put(memory, "revision", back[2])
    put(memory, "supersedes", ())
    return memory


def _source(data: bytes) -> Source:
    """The source of these encoded texts and nulls. Raises ValueError or IndexError for what is not the canonical
    encoding of three, each of at most 255 bytes and the first one not null."""
    texts: list[str | None] = []
    at = 0
    while at < len(data):
        head, at = data[at], at + 1
        if head == 0xF6:
            texts.append(None)
            continue
        size = head - 0x60
        if head == 0x78:
            size, at = data[at], at + 1
        end = at + size
        if not (size >= 24 if head == 0x78 else 0 <= size < 24) or end > len(data):
            raise ValueError
        texts.append(data[at:end].decode())
        at = end
    platform, conversation, foreign_id = texts
    if platform is None:
        raise ValueError
    return Source(platform, conversation, foreign_id)


def _of_any_shape(record: bytes) -> Memory:
    value: dict[str, Any] = canonical.fields(canonical.decode(record, "memory"), _RECORD, "memory")
    created, source = value["created"], value["source"]
    try:
        if source is not None and (len(source) != 3 or type(source[0]) is not str):
            raise ValueError
        if source is not None and any(type(item) not in (str, type(None)) for item in source[1:]):
            raise ValueError
        if any(type(item) is not bytes for item in value["supersedes"]):
            raise ValueError
        if any(type(item) is not str for item in value["tags"]):
            raise ValueError
        if not value["revision"]:
            raise ValueError
        return Memory(
            id=value["id"],
            content=value["content"],
            created=None if created is None else _EPOCH + timedelta(microseconds=created),
            source=None if source is None else Source(*source),
            type=value["type"],
            tags=tuple(value["tags"]),
            revision=value["revision"],
            supersedes=tuple(value["supersedes"]),
        )
    except (ValueError, OverflowError, InvalidMemory):
        raise Tampered("A memory in a pack is malformed.", "Do not use it; the writer of the pack is faulty.") from None


def tips(revisions: Iterable[Memory]) -> dict[bytes, list[Memory]]:
    """The living revisions by memory id, in order of first appearance.

    One tip is the memory as it stands; two or more are a conflict: edits that did not know of each other.
    """
    by_id: dict[bytes, list[Memory]] = {}
    for memory in revisions:
        by_id.setdefault(memory.id, []).append(memory)
    return {memory_id: known if len(known) == 1 else _living(known) for memory_id, known in by_id.items()}


def _living(revisions: Sequence[Memory]) -> list[Memory]:
    """Those of one memory's revisions that no other supersedes."""
    known: dict[bytes, Memory] = {}
    for memory in revisions:
        known.setdefault(memory.revision, memory)
    superseded = {name for memory in revisions for name in memory.supersedes}
    return [m for m in known.values() if m.revision not in superseded] or list(known.values())[-1:]


def meant(tips: Mapping[bytes, object], memory_id: str) -> bytes:
    """The id that begins with ``memory_id`` (hex). Raises UnknownMemory if there is none, or more than one."""
    found = [key for key in tips if key.hex().startswith(memory_id.lower())]
    if len(found) != 1 or not memory_id:
        what = "No memory has" if not found else "More than one memory has"
        raise UnknownMemory(f"{what} an id that begins with {memory_id!r}.", "`memsync list` shows the ids.")
    return found[0]
