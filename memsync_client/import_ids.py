"""Ids of imported memories: the same on every device, so that importing twice adds nothing, and no help in guessing.
Pure."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from . import canonical
from .memories import ID_BYTES, Memory


def identified(memory: Memory, import_key: bytes, tips: dict[bytes, list[Memory]]) -> Memory | None:
    """An imported memory with its final id, None if the vault has it already. ``tips`` are its living revisions.

    The id is HMAC-SHA256, under the vault's import key, over where the memory comes from and its id there (or its
    text, without one), cut to 16 bytes. Where the same source now says something else, it is a revision of what it
    said before.
    """
    source = memory.source
    foreign_id = source.foreign_id if source else None
    origin: list[str | bytes | None] = [
        source.platform if source else None,
        source.conversation if source else None,
        foreign_id,
        None if foreign_id else memory.content,
    ]
    memory_id = _hmac(import_key, origin)
    known = tips.get(memory_id)
    if known is None:
        return replace(memory, id=memory_id, revision=memory_id)
    if any(tip.content == memory.content for tip in known):
        return None
    revision = _hmac(import_key, [memory_id, memory.content])
    return replace(memory, id=memory_id, revision=revision, supersedes=tuple(tip.revision for tip in known))


def _hmac(key: bytes, value: list[str | bytes | None]) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(canonical.encode(value))
    return mac.finalize()[:ID_BYTES]
