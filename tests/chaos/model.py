"""What must be there, in plain dictionaries: the memories that were remembered, edited, imported and forgotten, where
each waits, and who reads."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Revision:
    """One text of a memory: what it replaces, where it waits for a sync, and whether it is committed."""

    replaces: set[str]
    waits: set[str] = field(default_factory=set)
    committed: bool = False

    def seen_from(self, home: str | None) -> bool:
        return self.committed or home in self.waits


@dataclass
class VaultModel:
    """``memories`` are by their first text, each with its revisions by text: no text stands twice in a vault."""

    memories: dict[str, dict[str, Revision]] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)

    def tips(self, first: str, home: str | None) -> list[str]:
        """The texts of a memory as a home shows it; of ``None``, as everyone who reads the chain does."""
        seen = {text: rev for text, rev in self.memories[first].items() if rev.seen_from(home)}
        replaced = {text for rev in seen.values() for text in rev.replaces}
        return [] if first in self.forgotten else [text for text in seen if text not in replaced]

    def texts(self, home: str | None) -> list[str]:
        """All that a home shows, sorted."""
        return sorted(text for first in self.memories for text in self.tips(first, home))

    def known(self, home: str) -> list[str]:
        """The memories that a home shows, by their first texts."""
        return [first for first in self.memories if self.tips(first, home)]

    def entries(self) -> int:
        """How many revisions are committed of what is not forgotten."""
        return sum(
            rev.committed
            for first, revisions in self.memories.items()
            if first not in self.forgotten
            for rev in revisions.values()
        )

    def let_wait(self, first: str, text: str, home: str) -> None:
        """What remember, edit and import do."""
        replaces = set(self.tips(first, home)) if first in self.memories and text != first else set()
        revision = self.memories.setdefault(first, {}).setdefault(text, Revision(replaces))
        revision.waits.add(home)

    def sync(self, home: str) -> None:
        """What waits is committed, but for what was forgotten."""
        for first, revisions in self.memories.items():
            for revision in revisions.values():
                if home in revision.waits:
                    revision.waits.discard(home)
                    revision.committed = revision.committed or first not in self.forgotten

    def forget(self, firsts: list[str], home: str) -> None:
        for first in firsts:
            revisions = self.memories[first]
            alone = not any(revision.committed for revision in revisions.values()) and first not in self.imported
            for text in [text for text, revision in revisions.items() if home in revision.waits]:
                revisions[text].waits.discard(home)
            if alone:
                del self.memories[first]
            else:
                self.forgotten.add(first)
