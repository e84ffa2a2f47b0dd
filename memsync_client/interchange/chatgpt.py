"""A ChatGPT export: ``conversations.json``, or ``conversations-000.json`` and so on.

Each message of a person and each answer is a memory. Of a conversation only the branch that was last shown counts. Not
taken in, but counted: abandoned branches, what ChatGPT hides, its thoughts, its calls of tools and what they gave,
pictures and files, and conversations marked as not to be remembered. The time is that of the message; else the
conversation's, where it says one; else unknown. Custom instructions and saved memories are repeated in conversation
after conversation: their newest state is one memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidImport
from ..memories import Source
from . import Files, Report
from .parsing import elements
from .taking import Taken, identifier, items, mapping, moment, text

PLATFORM = "chatgpt"

_SHARD = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
# Where the answer pointed to a page it had found: private signs around a number that means nothing elsewhere.
_CITATION = re.compile(" ?\ue200[^\ue200\ue201]*\ue201|[\ue200-\ue206]")
_NEVER = datetime.min.replace(tzinfo=UTC)

_STANDING = {
    "user_editable_context": ("instruction", "custom instructions", ("user_profile", "user_instructions")),
    "model_editable_context": ("context", "saved memories", ("model_set_context",)),
}
_LEFT_OUT = {
    "thoughts": "thoughts",
    "reasoning_recap": "thoughts",
    "execution_output": "results of tools",
    "tether_browsing_display": "results of tools",
    "tether_quote": "results of tools",
    "system_error": "results of tools",
}


def shards(files: Files) -> list[str]:
    """The names of the files that hold conversations."""
    return [name for name in files.names if _SHARD.fullmatch(name)]


def recognises(conversation: Mapping[str, Any]) -> bool:
    """Whether an entry of ``conversations.json`` is of this kind."""
    return "mapping" in conversation


def read(files: Files) -> Report:
    """All of the export. Raises InvalidImport."""
    taken, standing = Taken(), dict[str, tuple[datetime, str]]()
    for name in shards(files):
        with files.open(name) as stream:
            for number, conversation in enumerate(elements(stream, name), 1):
                try:
                    _take(conversation, taken, standing)
                except InvalidImport as error:
                    raise InvalidImport(f"{name}, entry {number}: {error.cause}", error.next_step) from None
    for content_type, (_, found) in standing.items():
        type, title, _ = _STANDING[content_type]
        taken.add(found, Source(PLATFORM, None, content_type), type=type, tags=(title,))
    return taken.report()


def _take(conversation: dict[str, Any], taken: Taken, standing: dict[str, tuple[datetime, str]]) -> None:
    nodes = mapping(conversation.get("mapping"), "Its mapping")
    if conversation.get("is_do_not_remember") is True:
        taken.leave("conversations not to be remembered")
        return
    messages, there = [], sum(1 for node in nodes.values() if mapping(node, "A node").get("message"))
    for id in _branch(nodes, identifier(conversation.get("current_node"))):
        message = mapping(mapping(nodes[id], "A node").get("message"), "A message")
        if message:
            messages.append((id, message))
    taken.leave("messages of abandoned branches", there - len(messages))
    times = [time for _, message in messages if (time := moment(message.get("create_time")))]
    around = moment(conversation.get("create_time")) or min(times, default=moment(conversation.get("update_time")))
    where = identifier(conversation.get("conversation_id")) or identifier(conversation.get("id"))
    title = text(conversation.get("title"))
    for id, message in messages:
        time = moment(message.get("create_time")) or around
        content = mapping(message.get("content"), "The content of a message")
        content_type = text(content.get("content_type"))
        if content_type in _STANDING:
            fields = (text(content.get(field)).strip() for field in _STANDING[content_type][2])
            found = "\n\n".join(field for field in fields if field)
            if found and (time or _NEVER) >= standing.get(content_type, (_NEVER, ""))[0]:
                standing[content_type] = (time or _NEVER, found)
            continue
        role = text(mapping(message.get("author"), "The author of a message").get("role"))
        left_out = _left_out(message, role, content_type)
        if left_out:
            taken.leave(left_out)
            continue
        said, attached = _said(content)
        listed = len(items(_metadata(message).get("attachments"), "The list of attachments"))
        taken.leave("attachments", max(attached, listed))
        source = Source(PLATFORM, where, identifier(message.get("id")) or id)
        taken.add(_CITATION.sub("", said), source, created=time, type="message", tags=(role, title))


def _branch(nodes: Mapping[str, Any], current: str | None) -> list[str]:
    """The ids from the root to the node that was shown last: ``current``, or the newest that has nothing below it."""
    if current not in nodes:
        parents = {mapping(node, "A node").get("parent") for node in nodes.values() if _hashable_parent(node)}
        leaves = [id for id in nodes if id not in parents]
        current = max(leaves, key=lambda id: _time_of(nodes[id]), default=None)
    branch: dict[str, None] = {}
    while current is not None and current in nodes and current not in branch:
        branch[current] = None
        current = identifier(mapping(nodes[current], "A node").get("parent"))
    return list(branch)[::-1]


def _hashable_parent(node: Any) -> bool:
    return isinstance(mapping(node, "A node").get("parent"), str)


def _time_of(node: Any) -> datetime:
    return moment(mapping(mapping(node, "A node").get("message"), "A message").get("create_time")) or _NEVER


def _metadata(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(message.get("metadata"), "The metadata of a message")


def _left_out(message: Mapping[str, Any], role: str, content_type: str) -> str:
    """What kind of thing a message is that is not taken in; empty if it is."""
    if content_type in _LEFT_OUT:
        return _LEFT_OUT[content_type]
    if role == "tool":
        return "results of tools"
    if _metadata(message).get("is_visually_hidden_from_conversation") is True or role not in ("user", "assistant"):
        return "hidden messages"
    if text(message.get("recipient")) not in ("", "all"):
        return "calls of tools"
    return ""


def _said(content: Mapping[str, Any]) -> tuple[str, int]:
    """The text of a message, and how many pictures and sounds stand in it."""
    said, attached = [], 0
    for part in items(content.get("parts"), "The list of parts"):
        if isinstance(part, str):
            said.append(text(part))
        elif isinstance(part, dict) and part.get("content_type") == "audio_transcription":
            said.append(text(part.get("text")))
        elif part is not None:
            attached += 1
    return "\n".join(said) or text(content.get("text")), attached
