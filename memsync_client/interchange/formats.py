"""The formats by name, and which of them an import is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..errors import InvalidImport
from ..memories import Memory
from . import Files, Report, chatgpt, claude, jsonl, markdown, mem0, omi, pam, paste, server_memory
from .parsing import BYTE_ORDER_MARK, document, elements

_LOOKED_AT = 65_536  # bytes of a file that may tell what it is
_UNKNOWN = "MemSync can't tell what"
_NAME_IT = "Name its format with --format; `memsync import --help` lists them."


def _jsonl(files: Files) -> Report:
    with files.open(_only(files)) as stream:
        return jsonl.read(stream, _only(files))


READERS: Mapping[str, Callable[[Files], Report]] = {
    "chatgpt": chatgpt.read,
    "claude": claude.read,
    "jsonl": _jsonl,
    "markdown": markdown.read,
    "mem0": mem0.read,
    "omi": omi.read,
    "pam": pam.read,
    "paste": paste.read,
    "server-memory": server_memory.read,
}
_OF_MANY = {"chatgpt", "claude", "markdown", "pam"}


def read(files: Files, format: str | None = None) -> tuple[str, Report]:
    """All of an import, and the name of its format, found where none is given. Raises InvalidImport."""
    name = format or found(files)
    if not files.names:
        raise InvalidImport(f"There is no file in {files.label}.", "Check the path.")
    if name not in _OF_MANY:
        _only(files)
    return name, READERS[name](files)


def found(files: Files) -> str:
    """The format that an import is of. Raises InvalidImport where nothing tells."""
    shards = chatgpt.shards(files)
    for name in shards:
        kind = _kind_of_list(files, name)
        if kind:
            return kind
    names = {name.rpartition("/")[2] for name in files.names}
    if shards or any(name.endswith(("memories.json", "projects.json")) for name in names):
        return "claude" if names & {"users.json", "memories.json", "projects.json"} else "chatgpt"
    if "memory-store.json" in names:
        return "pam"
    if len(files.names) == 1:
        return _kind_of_file(files, files.names[0])
    if markdown.notes(files):
        return "markdown"
    if any("memories/" in name and name.endswith(".json") for name in files.names):
        return "claude"
    if lines := [name for name in files.names if name.lower().endswith(jsonl.IN_LINES)]:
        raise InvalidImport(
            f"{files.label} has {len(lines):,} JSON Lines files.", "Import each by itself: memsync import FILE"
        )
    raise InvalidImport(f"{_UNKNOWN} the {len(files.names):,} files in {files.label} are.", _NAME_IT)


def _only(files: Files) -> str:
    if len(files.names) != 1:
        raise InvalidImport(f"{files.label} has {len(files.names):,} files.", "Name the one to import.")
    return files.names[0]


def _kind_of_file(files: Files, name: str) -> str:
    with files.open(name) as stream:
        start = stream.read(_LOOKED_AT).removeprefix(BYTE_ORDER_MARK)
    if name.lower().endswith((".md", ".markdown")):
        text = start.decode(errors="replace")
        return "paste" if not text.startswith("---") and paste.looks_like(text) else "markdown"
    sign = start.lstrip()[:1]
    if sign == b"{" or name.lower().endswith(jsonl.IN_LINES):
        return _kind_of_object(files, name)
    if sign == b"[":
        kind = _kind_of_list(files, name)
        if kind:
            return kind
        # Pasted lines begin with a bracket, too.
    if paste.looks_like(start.decode(errors="replace")):
        return "paste"
    if not start.strip():
        raise InvalidImport(f"{name} is empty.", "Check the path.")
    raise InvalidImport(f"{_UNKNOWN} {name} is.", _NAME_IT)


def _kind_of_list(files: Files, name: str) -> str | None:
    with files.open(name) as stream:
        try:
            first: dict[str, Any] = next(elements(stream, name), {})
        except InvalidImport:
            return None
    if chatgpt.recognises(first):
        return "chatgpt"
    if claude.recognises(first):
        return "claude"
    return "mem0" if mem0.recognises([first]) else None


def _kind_of_object(files: Files, name: str) -> str:
    """Of a file that is a JSON object, or has one on each line."""
    with files.open(name) as stream:
        try:
            value: Any = next(jsonl.objects(stream, name))[1]
        except StopIteration:
            value = {}
        except InvalidImport:
            value = None
    if value is None and not name.lower().endswith(jsonl.IN_LINES):
        with files.open(name) as stream:
            value = document(stream, name)
    tests = {
        "omi": omi.recognises,
        "pam": pam.recognises,
        "claude": claude.recognises,
        "server-memory": server_memory.recognises,
        "mem0": mem0.recognises,
    }
    return next((kind for kind, test in tests.items() if isinstance(value, dict) and test(value)), "jsonl")


Writer = Callable[[Iterable[Memory], datetime], Iterator[bytes]]

WRITERS: Mapping[str, Writer] = {
    "jsonl": lambda memories, _: jsonl.write(memories),
    "omi": omi.write,
    "pam": pam.write,
    "paste": lambda memories, _: paste.write(memories),
}
"""Formats of one file, by name; with the time now, which some of them state. ``markdown.write`` gives several."""
