"""Markdown with YAML front matter: notes of Obsidian and basic-memory, ``CLAUDE.md``, and bundles of the Open Knowledge
Format (0.2), which is also what goes out.

A note is a memory, a long one several, by passages. Taken from the front matter: ``type``, ``tags``, a title, and a
time (``generated.at``, ``created``, ``date`` or ``timestamp``). A note is known again by its text, or its ``id`` where
it has one; a path says where it comes from and would be another's on the next computer. In bundles ``index.md`` and
``log.md`` are listings, and left out. Ours have in ``memsync``, as JSON, what ``jsonl.kept`` writes, and are read from
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import InvalidImport, InvalidMemory
from ..memories import Memory, Source
from . import PRODUCER, Files, Report
from .jsonl import IN_LINES, kept, originated, restored
from .pam import OWN
from .parsing import refuse_depth
from .taking import PASSAGE_BYTES, Taken, identifier, label, moment, text

PLATFORM = "markdown"
MAX_BYTES = 16 * 2**20
MAX_FRONT_BYTES = 131_072
MAX_FRONT_DEPTH = 32

_NAME = re.compile(r".*\.(?:md|markdown)", re.IGNORECASE)
_RESERVED = {"index.md", "log.md"}
_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)(?<=\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_NESTED = re.compile(r"(?:[-?:][ \t]+){32}")
_TIMES = ("created", "created_at", "date", "timestamp")


def notes(files: Files) -> list[str]:
    """The names of the Markdown files."""
    return [name for name in files.names if _NAME.fullmatch(name)]


def read(files: Files) -> Report:
    """All notes of a folder, or the one file. Raises InvalidImport, naming the file."""
    taken = Taken()
    found = notes(files) or list(files.names[:1])
    bundle = any(_is_bundle(files, name) for name in found if name.rpartition("/")[2] == "index.md")
    for name in found:
        if bundle and name.rpartition("/")[2] in _RESERVED:
            taken.leave("listings")
            continue
        try:
            _take(name, _text_of(files, name), taken, files.label if len(files.names) > 1 else "")
        except (InvalidImport, InvalidMemory) as error:
            raise InvalidImport(f"{name}: {error.cause}", error.next_step) from None
    lines = sum(name.lower().endswith(IN_LINES) for name in files.names if name not in found)
    taken.leave("JSON Lines files, to be imported one by one", lines)
    taken.leave("other files", len(files.names) - len(found) - lines)
    return taken.report()


def _is_bundle(files: Files, name: str) -> bool:
    return "okf_version" in (_parted(_text_of(files, name))[0] or {})


def _text_of(files: Files, name: str) -> str:
    with files.open(name) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidImport(f"The note has more than {MAX_BYTES:,} bytes.", "Split it, or leave it out.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidImport(f"Byte {error.start + 1} is not UTF-8.", "Save the file as UTF-8.") from None


def _parted(note: str) -> tuple[dict[str, Any] | None, str]:
    """Front matter and body; the front matter is None, and the body all of the note, where it can't be read."""
    found = _FRONT.match(note)
    if not found:
        return {}, note
    from yaml import YAMLError  # late, as below: every command would wait for it

    try:
        front = _values(found[1])
    except (InvalidImport, YAMLError, ValueError, OverflowError, TypeError, RecursionError):
        return None, note
    if front is None:
        return {}, note[found.end() :]
    # A rule at the top of a note that has no front matter looks the same.
    return (front, note[found.end() :]) if isinstance(front, dict) else ({}, note)


def _values(front: str) -> Any:
    import yaml

    if len(front) > MAX_FRONT_BYTES:
        raise ValueError
    # The scanner of the library takes time by the square of the depth.
    if _NESTED.search(front):
        raise ValueError
    refuse_depth(front.encode(errors="replace"), MAX_FRONT_DEPTH, InvalidImport)
    if "*" in front and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(front)):
        raise ValueError  # by which a few lines could become millions of values
    return yaml.safe_load(front)


def _own(value: Any) -> dict[str, Any] | None:
    """What ``jsonl.kept`` wrote, if that is what the front matter has."""
    if not isinstance(value, str):
        return None
    try:
        refuse_depth(value.encode(errors="replace"), MAX_FRONT_DEPTH, InvalidImport)
        found = json.loads(value)
    except (InvalidImport, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _take(name: str, note: str, taken: Taken, folder: str) -> None:
    front, body = _parted(note)
    if front is None:
        taken.leave("front matters that can't be read, kept as text")
        front = {}
    own = _own(front.get(OWN))
    if own is not None:
        content = body[1:].removesuffix("\n") if body.startswith("\n") else body.removesuffix("\n")
        taken.keep(restored(content, own))
        return
    tags = front.get("tags")
    listed = re.split(r"[,\s]+", tags) if isinstance(tags, str) else tags if isinstance(tags, list) else []
    title = text(front.get("title")) or re.sub(r"\.\w+$", "", name.rpartition("/")[2])
    generated = front.get("generated")
    times = [generated.get("at") if isinstance(generated, dict) else None, *(front.get(field) for field in _TIMES)]
    source = Source(PLATFORM, identifier(f"{folder}/{name}" if folder else name), identifier(front.get("id")))
    taken.add(
        body.replace("\r\n", "\n"),
        source,
        created=next((time for time in map(moment, times) if time), None),
        type=text(front.get("type")),
        tags=[*(text(tag).lstrip("#") for tag in listed), title],
        limit=PASSAGE_BYTES,
    )


def write(memories: Iterable[Memory]) -> Iterator[tuple[str, bytes]]:
    """The files of a bundle, by name: one a memory, and the listing."""
    listed = []
    for memory, origin in originated(memories):
        name = f"memories/{memory.revision.hex()}.md"
        title = label(memory.content)
        title = title if len(title) <= 60 else title[:60].rsplit(" ", 1)[0] + " …"
        front: dict[str, Any] = {"type": memory.type or "note", "title": title, "tags": list(memory.tags)}
        if memory.created is not None:
            front["generated"] = {"by": PRODUCER, "at": memory.created.isoformat().replace("+00:00", "Z")}
        if memory.source:
            came = memory.source
            front["sources"] = [{"resource": "/".join(filter(None, (came.platform, came.conversation)))}]
        # As JSON in ASCII: what YAML's many rules would do to strange signs in it does not matter then.
        front[OWN] = json.dumps(kept(memory, origin))
        yield name, f"---\n{_yaml(front)}---\n\n{memory.content}\n".encode()
        listed.append(f"* [{re.sub(r'[][<>]', ' ', title)}]({name})")
    yield "index.md", "\n".join(['---\nokf_version: "0.2"\n---\n', "# Memories", "", *listed, ""]).encode()


def _yaml(value: Any) -> str:
    import yaml

    return yaml.dump(value, Dumper=yaml.SafeDumper, allow_unicode=True, sort_keys=False, width=2**16)
