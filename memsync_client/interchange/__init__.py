"""Formats that memories come in from, one file each. Pure: bytes in, drafts out, and nothing is taken in by half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..memories import ID_BYTES, Memory, Source


@dataclass(frozen=True, slots=True)
class Draft:
    """A memory as an import file has it, without an id yet: the vault derives that from ``source``, or from the text.

    The fields are those of ``Memory`` and keep to the same limits: raises InvalidMemory where they do not.
    """

    content: str
    created: datetime | None = None
    source: Source | None = None
    type: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.memory(bytes(ID_BYTES))

    def memory(self, id: bytes) -> Memory:
        """The first revision of the memory, under ``id`` (16 bytes)."""
        return Memory(id, self.content, self.created, self.source, self.type, self.tags)


@dataclass(frozen=True, slots=True)
class Report:
    """What an import file holds: its drafts in order, and how many fields were left out, by name."""

    drafts: tuple[Draft, ...]
    skipped: Mapping[str, int]

    @property
    def conversations(self) -> int:
        """How many conversations the drafts come from."""
        sources = (draft.source for draft in self.drafts)
        return len({(s.platform, s.conversation) for s in sources if s and s.conversation is not None})
