"""Exports of other tools, written for the tests: a ChatGPT one in shards, a Claude one, and the ways they arrive."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memsync_client.import_files import ImportFiles
from memsync_client.interchange import Report, formats

ROOT = "00000000-0000-4000-8000-000000000000"


def node(id: str, parent: str | None, content: Any = None, role: str = "user", **message: Any) -> tuple[str, Any]:
    """An entry of a ChatGPT mapping: a text, a content of another type, or without either no message."""
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    said = {"id": id, "author": {"role": role}, "content": content, "metadata": {}, "recipient": "all"} | message
    return id, {"id": id, "parent": parent, "children": [], "message": None if content is None else said}


def conversation(id: str, title: str, *nodes: tuple[str, Any], current: str | None, **fields: Any) -> dict[str, Any]:
    """A ChatGPT conversation."""
    times = {"create_time": 1772000000.5, "update_time": 1772000900.0}
    return {"conversation_id": id, "title": title, "mapping": dict(nodes), "current_node": current} | times | fields


HIDDEN = {"is_visually_hidden_from_conversation": True}
INSTRUCTIONS = {
    "content_type": "user_editable_context",
    "user_profile": "I write a novel about salt.",
    "user_instructions": "Be brief.",
}

SALT = conversation(
    "c-salt",
    "Salt works",
    node("root", None),
    node("context", "root", INSTRUCTIONS, metadata=HIDDEN, create_time=1772000001),
    node("hidden", "context", "You are a model.", role="system", metadata=HIDDEN),
    node("ask", "hidden", "When were the fires let out?", create_time=1772000100.25),
    node("old", "ask", "OLD BRANCH: in 1961.", role="assistant", create_time=1772000150),
    node("think", "ask", {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "c"}]}, "assistant"),
    node("call", "think", {"content_type": "code", "text": "search()"}, "assistant", recipient="web"),
    node("result", "call", {"content_type": "text", "parts": ["a page"]}, "tool"),
    node("answer", "result", "In March 1963 \ue200cite\ue202turn0search1\ue201.", "assistant", create_time=None),
    node("code", "answer", {"content_type": "code", "language": "python", "text": "print(1963)"}, "assistant"),
    current="code",
)
PICTURE = conversation(
    "c-picture",
    "New chat",
    node("p-root", None),
    node(
        "p-ask",
        "p-root",
        {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "What is this pan?"]},
        metadata={"attachments": [{"id": "f", "name": "pan.png"}]},
        create_time=1771000100,
    ),
    node("p-early", "p-ask", "EARLIER LEAF", "assistant", create_time=1771000150),
    node("p-late", "p-ask", "A graduation pan.", "assistant", create_time=1771000200),
    current="gone",
)
SECRET = conversation("c-secret", "No", node("s", None, "SECRET"), current="s", is_do_not_remember=True)
TIMELESS = conversation(
    "c-timeless",
    "",
    node("t", None, "No time is known.", create_time=0),
    current="t",
    create_time=None,
    update_time=None,
)

CHATGPT = {
    "conversations-000.json": json.dumps([SALT, SECRET]),
    "conversations-001.json": json.dumps([PICTURE, TIMELESS]),
    "user.json": "{}",
    "chat.html": "<html>",
    "file-1.dat": "PNG",
}


def said(id: str, parent: str, sender: str, *blocks: Any, **fields: Any) -> dict[str, Any]:
    """A message of a Claude conversation, by its blocks."""
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    flat = "".join(block for block in blocks if isinstance(block, str))
    times = {"created_at": "2026-02-03T04:05:06.789Z"}
    message = {"uuid": id, "parent_message_uuid": parent, "sender": sender, "text": flat, "content": content}
    return message | times | {"attachments": [], "files": []} | fields


DRAFT = said(
    "m-1",
    ROOT,
    "human",
    "Read my draft.",
    attachments=[{"file_name": "draft.txt", "extracted_content": "The pans lay empty.", "file_type": "txt"}],
    files=[{"file_name": "photo.png"}],
)
CLAUDE_CONVERSATION = {
    "uuid": "k-1",
    "name": "The draft",
    "created_at": "2026-02-03T04:05:00Z",
    "chat_messages": [
        DRAFT,
        said("m-2", "m-1", "assistant", "OLD BRANCH", created_at="2026-02-03T04:06:00Z"),
        said(
            "m-3",
            "m-1",
            "assistant",
            {"type": "thinking", "thinking": "hm"},
            "It is bleak.",
            {"type": "tool_use", "name": "web", "input": {}},
            {"type": "tool_result", "content": []},
            {"type": "token_budget"},
            "In a good way.",
            created_at="2026-02-03T04:07:00Z",
        ),
    ],
}
LINEAR = {
    "uuid": "k-2",
    "name": "",
    "chat_messages": [
        {"uuid": "l-1", "sender": "human", "text": "Which hand?", "content": [], "created_at": None},
        {"uuid": "l-2", "sender": "assistant", "text": "The left.", "created_at": "2026-02-04T00:00:00Z"},
    ],
}
CLAUDE_MEMORIES = [
    {
        "conversations_memory": "**Work context**\n\nInes writes a novel.\n\n**Preferences**\n\nShort answers.",
        "project_memories": {"p-1": "## Purpose\nThe archive of the salt works."},
        "account_uuid": "a-1",
    }
]
PROJECT = {
    "uuid": "p-1",
    "name": "Salt",
    "description": "All about salt.",
    "prompt_template": "Cite the archive.",
    "docs": [
        {"uuid": "d-1", "filename": "ledger.md", "content": "1963: closed.", "created_at": "2026-01-01T00:00:00Z"}
    ],
    "created_at": "2026-01-01T00:00:00Z",
}
CLAUDE = {
    "conversations.json": json.dumps([CLAUDE_CONVERSATION, LINEAR]),
    "memories.json": json.dumps(CLAUDE_MEMORIES),
    "projects.json": json.dumps([PROJECT]),
    "users.json": '[{"email_address": "ines@example.org"}]',
}


def files_of(contents: Mapping[str, str | bytes], label: str = "export") -> ImportFiles:
    """Files with these contents, without a disk."""
    files = ImportFiles(label)
    for name, content in contents.items():
        data = content.encode() if isinstance(content, str) else content
        files.add(name, lambda data=data: io.BytesIO(data), len(data))  # type: ignore[misc]
    return files


def read(contents: Mapping[str, str | bytes] | str | bytes, format: str | None = None) -> Report:
    """What comes in from these files, or from one."""
    if isinstance(contents, (str, bytes)):
        contents = {"file": contents}
    return formats.read(files_of(contents), format)[1]


def zipped(contents: Mapping[str, str | bytes], **options: Any) -> bytes:
    """A zip archive of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


def chatgpt_zip(path: Path) -> Path:
    """The ChatGPT export as it comes."""
    path.write_bytes(zipped({f"export/{name}": content for name, content in CHATGPT.items()} | {"__MACOSX/x": ""}))
    return path


def claude_zip(path: Path) -> Path:
    """The Claude export as it comes: archives in an archive."""
    memories = json.dumps(CLAUDE_MEMORIES[0])
    parts: dict[str, str | bytes] = {
        "conversations-000.zip": zipped({"conversations.json": CLAUDE["conversations.json"]}),
        "memories-000.zip": zipped({"memories/a-1.json": memories}),
        "projects/p-1.json": json.dumps(PROJECT),
    }
    path.write_bytes(zipped(parts))
    return path
