"""A Claude export: what Claude remembered (``memories.json``), projects, and conversations, in this order.

Each message and each answer is a memory; of a conversation only the branch that was last shown counts. What a person
pasted (``extracted_content``) and the documents of projects come in by passages. Not taken in, but counted: thoughts,
calls of tools and what they gave, abandoned branches, and files of which the export has the name alone. Unknown times
stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidImport
from ..memories import Source
from . import Files, Report
from .parsing import BYTE_ORDER_MARK, document, elements
from .taking import PASSAGE_BYTES, Taken, identifier, items, mapping, moment, sections, text

PLATFORM = "claude"

_SMALL = re.compile(r"(?:.*/)?(?:memories|projects)(?:/[^/]+)?\.json")
_CONVERSATIONS = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
_START = 64  # bytes that tell a list from an object
_NEVER = datetime.min.replace(tzinfo=UTC)

_LEFT_OUT = {
    "thinking": "thoughts",
    "redacted_thinking": "thoughts",
    "tool_use": "calls of tools",
    "tool_result": "results of tools",
    "image": "attachments",
}


def recognises(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of one of these files is of this kind."""
    return bool({"chat_messages", "conversations_memory", "project_memories", "prompt_template"} & entry.keys())


def read(files: Files) -> Report:
    """All of the export. Raises InvalidImport."""
    taken = Taken()
    small = [name for name in files.names if _SMALL.fullmatch(name)]
    entries = [(where, entry) for name in small for where, entry in _entries(files, name)]
    projects = {text(entry.get("uuid")): text(entry.get("name")) for _, entry in entries}
    # What Claude had made of it all comes first: it is short, and worth the most.
    for where, entry in sorted(entries, key=lambda found: "uuid" in found[1]):
        _take(where, entry, projects, taken)
    for name in files.names:
        if _CONVERSATIONS.fullmatch(name) or (len(files.names) == 1 and not small):
            for where, entry in _entries(files, name):
                _take(where, entry, projects, taken)
    return taken.report()


def _entries(files: Files, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file, whether it is one or has a list of them, each with its place for messages."""
    with files.open(name) as stream:
        is_list = stream.read(_START).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"[")
    with files.open(name) as stream:
        if is_list:
            yield from ((f"{name}, entry {number}", entry) for number, entry in enumerate(elements(stream, name), 1))
        else:
            yield name, dict(mapping(document(stream, name), name))


def _take(where: str, entry: dict[str, Any], projects: Mapping[str, str], taken: Taken) -> None:
    try:
        if "chat_messages" in entry:
            _take_conversation(entry, taken)
        elif "conversations_memory" in entry or "project_memories" in entry:
            _take_memories(entry, projects, taken)
        elif "prompt_template" in entry or "docs" in entry:
            _take_project(entry, taken)
        else:
            taken.leave("entries of an unknown kind")
    except InvalidImport as error:
        raise InvalidImport(f"{where}: {error.cause}", error.next_step) from None


def _take_memories(entry: dict[str, Any], projects: Mapping[str, str], taken: Taken) -> None:
    _take_sections(text(entry.get("conversations_memory")), None, "", "context", taken)
    for project, remembered in mapping(entry.get("project_memories"), "The list of project memories").items():
        _take_sections(text(remembered), text(project), projects.get(project, ""), "project", taken)
    taken.leave("memory files of an unknown form", len(items(entry.get("memory_files"), "The list of memory files")))


def _take_sections(markdown: str, project: str | None, title: str, type: str, taken: Taken) -> None:
    """A section a memory, known again by its heading: a later export that says something else there revises it."""
    times: dict[str, int] = {}
    for heading, below in sections(markdown):
        times[heading] = times.get(heading, 0) + 1
        foreign_id = identifier(f"memory/{heading}" + (f"#{times[heading]}" if times[heading] > 1 else ""))
        source = Source(PLATFORM, identifier(project), foreign_id)
        taken.add(below, source, type=type, tags=(title, heading), limit=PASSAGE_BYTES)


def _take_project(entry: dict[str, Any], taken: Taken) -> None:
    project, name = identifier(entry.get("uuid")), text(entry.get("name"))
    created = moment(entry.get("created_at"))
    for field, type in (("description", "project"), ("prompt_template", "instruction")):
        source = Source(PLATFORM, project, field)
        taken.add(text(entry.get(field)), source, created=created, type=type, tags=(name,), limit=PASSAGE_BYTES)
    for value in items(entry.get("docs"), "The list of documents"):
        doc = mapping(value, "A document")
        filename, time = text(doc.get("filename")), moment(doc.get("created_at"))
        source = Source(PLATFORM, project, identifier(doc.get("uuid")) or identifier(filename))
        content = text(doc.get("content"))
        taken.add(content, source, created=time, type="document", tags=(name, filename), limit=PASSAGE_BYTES)


def _take_conversation(entry: dict[str, Any], taken: Taken) -> None:
    where, title = identifier(entry.get("uuid")), text(entry.get("name"))
    messages = items(entry.get("chat_messages"), "The list of messages")
    branch = _branch(messages)
    taken.leave("messages of abandoned branches", len(messages) - len(branch))
    for message in branch:
        id, time = identifier(message.get("uuid")), moment(message.get("created_at"))
        role = {"human": "user"}.get(text(message.get("sender")), text(message.get("sender")))
        source = Source(PLATFORM, where, id)
        taken.add(_said(message, taken), source, created=time, type="message", tags=(role, title))
        taken.leave("attachments", len(items(message.get("files"), "The list of files")))
        for number, value in enumerate(items(message.get("attachments"), "The list of attachments"), 1):
            attachment = mapping(value, "An attachment")
            pasted, filename = text(attachment.get("extracted_content")), text(attachment.get("file_name"))
            taken.leave("attachments", not pasted.strip())
            source = Source(PLATFORM, where, identifier(f"{id}/attachment/{number}") if id else None)
            tags = (role, title, filename)
            taken.add(pasted, source, created=time, type="document", tags=tags, limit=PASSAGE_BYTES)


def _branch(messages: list[Any]) -> list[Mapping[str, Any]]:
    """The messages from the root to the newest one that has no answer; all, in order, where none names a parent."""
    known = [mapping(message, "A message") for message in messages]
    parents = [identifier(message.get("parent_message_uuid")) for message in known]
    if not any(parents):
        return known
    by_id = {identifier(message.get("uuid")): number for number, message in enumerate(known)}
    leaves = [number for number, message in enumerate(known) if identifier(message.get("uuid")) not in parents]
    at = max(leaves, key=lambda number: (moment(known[number].get("created_at")) or _NEVER, number), default=None)
    branch: dict[int, None] = {}
    while at is not None and at not in branch:
        branch[at] = None
        at = by_id.get(parents[at]) if parents[at] else None
    return [known[number] for number in branch][::-1]


def _said(message: Mapping[str, Any], taken: Taken) -> str:
    """The text of a message: its blocks of text, or where it has no blocks the flat copy."""
    said = []
    blocks = items(message.get("content"), "The content of a message")
    for value in blocks:
        block = mapping(value, "A block of a message")
        kind = text(block.get("type"))
        if kind == "text":
            said.append(text(block.get("text")))
        elif kind != "token_budget":
            taken.leave(_LEFT_OUT.get(kind, "blocks of an unknown kind"))
    return "\n\n".join(said) if blocks else text(message.get("text"))
