"""Formats that memories come in from and go out to, one file each. Pure: streams in, drafts out; memories in, bytes
out. Nothing is taken in by half: a reader gives all of an import or raises InvalidImport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from ..memories import ID_BYTES, Memory, Source

PRODUCER = "memsync/0.1.0"
"""What our exports say that they were made by."""

OWNER = "owner"
"""Whom our exports name as the owner: an address or an id would tell the next tool which vault on chain is theirs."""


class Files(Protocol):
    """What an import is given: one file, or all of a folder or an archive."""

    @property
    def label(self) -> str:
        """The name of the file, the folder or the archive."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the files in order, relative, with "/" between their parts."""

    def open(self, name: str) -> IO[bytes]:
        """The content of a file, from its beginning. Raises InvalidImport, and so does reading it."""


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
    """What an import holds: its drafts in order, and how much of it was left out, by kind (for JSON Lines: fields, by
    name)."""

    drafts: tuple[Draft, ...]
    skipped: Mapping[str, int]

    @property
    def conversations(self) -> int:
        """How many conversations the drafts come from."""
        sources = (draft.source for draft in self.drafts)
        return len({(s.platform, s.conversation) for s in sources if s and s.conversation is not None})

    @property
    def kinds(self) -> dict[str, int]:
        """How many drafts there are of each type, the most frequent first; "untyped" where there is none."""
        return dict(Counter(draft.type or "untyped" for draft in self.drafts).most_common())
