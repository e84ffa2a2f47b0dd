"""Ids of imported memories: the same on every device, so that importing twice adds nothing, and no help in guessing.
Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from . import canonical
from .memories import ID_BYTES, Memory, tips

OWN_PLATFORM = "memsync"
"""The platform that an export of ours names for a memory that came from nowhere else; its id there is its own."""

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def identified(memory: Memory, import_key: bytes, history: Mapping[bytes, Sequence[Memory]]) -> Memory | None:
    """An imported memory with its final id, None if the vault has taken in the same before. ``history`` are the vault's
    revisions by memory id, in log order.

    The id is HMAC-SHA256, under the vault's import key, over where the memory comes from and its id there (or its
    text, without one), cut to 16 bytes. Where the same source now says something else than at the last import, it is
    a revision of that import: an edit made here meanwhile is not undone, the two are a conflict.

    A memory out of an export of ours that came from nowhere else is itself again, under its own id; where the vault
    has it, in whatever revision, it stays as it is there.
    """
    memory_id = imported_id(memory, import_key)
    if _own_id(memory):
        return None if history.get(memory_id) else replace(memory, id=memory_id, revision=memory_id, source=None)
    known = history.get(memory_id, ())
    imports = [revision for revision in known if revision.revision == _revision(revision, import_key)]
    if not imports:
        return replace(memory, id=memory_id, revision=memory_id)
    if memory.content in (imports[-1].content, *(tip.content for tip in tips(known).get(memory_id, ()))):
        return None
    following = replace(memory, id=memory_id, revision=memory_id, supersedes=(imports[-1].revision,))
    return replace(following, revision=_revision(following, import_key))


def imported_id(memory: Memory, import_key: bytes) -> bytes:
    """The id that an import gives this memory, whatever revision it will be."""
    if own := _own_id(memory):
        return own
    source = memory.source
    foreign_id = source.foreign_id if source else None
    origin = [
        source.platform if source else None,
        source.conversation if source else None,
        foreign_id,
        None if foreign_id else memory.content,
    ]
    return _hmac(import_key, origin)


def _own_id(memory: Memory) -> bytes | None:
    source = memory.source
    if source is None or source.platform != OWN_PLATFORM or source.conversation is not None:
        return None
    name = source.foreign_id or ""
    return bytes.fromhex(name) if _ID.fullmatch(name) else None


def _revision(memory: Memory, import_key: bytes) -> bytes:
    """The name that an imported revision has: the memory's id for the first, an HMAC over text and predecessor
    after."""
    return _hmac(import_key, [memory.id, memory.content, *memory.supersedes]) if memory.supersedes else memory.id


def _hmac(key: bytes, value: Sequence[str | bytes | None]) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(canonical.encode(list(value)))
    return mac.finalize()[:ID_BYTES]
