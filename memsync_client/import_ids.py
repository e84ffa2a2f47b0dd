"""Ids of imported memories: the same on every device, so that importing twice adds nothing, and no help in guessing.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from . import canonical
from .memories import ID_BYTES, Memory


def identified(memory: Memory, import_key: bytes, history: Mapping[bytes, Sequence[Memory]]) -> Memory | None:
    """An imported memory with its final id, None if the vault has taken in the same before. ``history`` are the vault's
    revisions by memory id, in log order.

    The id is HMAC-SHA256, under the vault's import key, over where the memory comes from and its id there (or its
    text, without one), cut to 16 bytes. Where the same source now says something else than at the last import, it is
    a revision of that import: an edit made here meanwhile is not undone, the two are a conflict.
    """
    source = memory.source
    foreign_id = source.foreign_id if source else None
    origin = [
        source.platform if source else None,
        source.conversation if source else None,
        foreign_id,
        None if foreign_id else memory.content,
    ]
    memory_id = _hmac(import_key, origin)
    imports = [known for known in history.get(memory_id, ()) if known.revision == _revision(known, import_key)]
    if not imports:
        return replace(memory, id=memory_id, revision=memory_id)
    if imports[-1].content == memory.content:
        return None
    following = replace(memory, id=memory_id, revision=memory_id, supersedes=(imports[-1].revision,))
    return replace(following, revision=_revision(following, import_key))


def _revision(memory: Memory, import_key: bytes) -> bytes:
    """The name that an imported revision has: the memory's id for the first, an HMAC over text and predecessor
    after."""
    return _hmac(import_key, [memory.id, memory.content, *memory.supersedes]) if memory.supersedes else memory.id


def _hmac(key: bytes, value: Sequence[str | bytes | None]) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(canonical.encode(list(value)))
    return mac.finalize()[:ID_BYTES]
