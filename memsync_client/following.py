"""Reading a vault again and again in one process: each look asks the chain first, and opens only what is new.

What was opened stays in the memory of this process alone, and is dropped with the first look that is refused: nothing
is answered from it once the chain says that access has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from . import memories
from .errors import MemSyncError, NodeUnreachable
from .memories import Memory
from .packs import Entry
from .reading import Fetch, Kept, View, by_newest, read_entries
from .records import Block, VaultRecord
from .sealing import HoldsSecret
from .search import EVERYTHING, Filter, Hit, Index

Waits = Callable[[View, list[Entry]], Sequence[Memory]]


@dataclass(frozen=True)
class State:
    """A vault at one block: version, whether it is locked since a revocation, when this holder's grant ends (None: it
    has no end), and its living memories in log order, conflicting tips included. Unchanged memories are the same
    tuple."""

    version: int
    locked: bool
    block: Block
    expires: datetime | None
    memories: tuple[Memory, ...]


class Looks(Protocol):
    """What can be looked at again and again."""

    def look(self) -> State:
        """The present state. Raises AccessEnded, NodeUnreachable and others of ours."""


class Following(HoldsSecret):
    """A vault as one holder reads it, again and again, from any thread.

    ``record`` asks the chain; ``opened`` opens what a record names, or refuses. What waits on this device is compared
    by ``waits`` and taken by ``waiting``, which gives what says how much of it a view's entries lack. It is taken
    before the chain is asked, so that what another process commits meanwhile is in one of the two.
    """

    def __init__(
        self,
        record: Callable[[], VaultRecord],
        opened: Callable[[VaultRecord], tuple[View, Fetch]],
        *,
        waits: Callable[[], Hashable] = lambda: None,
        waiting: Callable[[], Waits] = lambda: lambda view, entries: (),
    ) -> None:
        self._record, self._opened, self._waits, self._waiting = record, opened, waits, waiting
        self._lock = threading.Lock()
        self._kept: Kept = {}
        self._last: tuple[VaultRecord, Hashable, State] | None = None

    def look(self) -> State:
        """Asks the chain for the vault's record, and opens what it has not opened yet.

        Raises what reading raises. A node that does not answer leaves what was opened for the next look; any other
        refusal drops it.
        """
        with self._lock:
            try:
                return self._look()
            except NodeUnreachable:
                raise
            except MemSyncError:
                self._kept.clear()
                self._last = None
                raise

    def _look(self) -> State:
        record, waits = self._record(), self._waits()
        if self._last is not None:
            before, waited, state = self._last
            ended = state.expires is not None and state.expires <= record.block.time
            if replace(record, block=before.block) == before and waits == waited and not ended:
                return replace(state, block=record.block)
        lacking = self._waiting()

        def read(record: VaultRecord) -> tuple[View, list[Entry]]:
            view, fetch = self._opened(record)
            return view, read_entries(view, fetch, kept=self._kept)

        view, entries = by_newest(self._record, read)
        record = view.record
        revisions = [entry.memory for entry in entries]
        living = memories.tips([*revisions, *lacking(view, entries)]).values()
        found = tuple(memory for tips in living for memory in tips)
        if self._last is not None and self._last[2].memories == found:
            found = self._last[2].memories
        state = State(record.version, record.locked, record.block, view.keyring.expires, found)
        self._last = (record, waits, state)
        return state


class Shelf:
    """The memories of the last look, by id and to be searched. Used from any thread."""

    def __init__(self, source: Looks) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._memories: tuple[Memory, ...] = ()
        self._tips: dict[bytes, list[Memory]] = {}
        self._index = Index()

    def look(self) -> State:
        """Looks again, and puts on the shelf what has changed. What a refusal leaves is an empty shelf."""
        try:
            state = self._source.look()
        except NodeUnreachable:
            raise
        except MemSyncError:
            self._put(())
            raise
        self._put(state.memories)
        return state

    def recall(self, query: str, limit: int, only: Filter = EVERYTHING) -> tuple[State, list[Hit]]:
        """The memories that answer a query best, as of a new look."""
        state = self.look()
        with self._lock:
            return state, self._index.recall(query, limit, only)

    def get(self, memory_id: str) -> tuple[State, list[Memory]]:
        """The tips of the memory whose id begins with ``memory_id`` (hex), as of a new look. Raises UnknownMemory."""
        state = self.look()
        with self._lock:
            return state, list(self._tips[memories.meant(self._tips, memory_id)])

    def recent(self, limit: int, only: Filter = EVERYTHING) -> tuple[State, list[Memory]]:
        """The ``limit`` newest memories, newest first, as of a new look. Those of unknown time come last; of equals,
        the one added later first."""
        state = self.look()
        found = [memory for memory in reversed(state.memories) if only.lets(memory)]
        found.sort(key=lambda memory: (memory.created is None, -memory.created.timestamp() if memory.created else 0))
        return state, found[:limit]

    def _put(self, found: tuple[Memory, ...]) -> None:
        with self._lock:
            if found is self._memories:
                return
            if not found:
                self._index = Index()
            else:
                gone, come = _changes(self._memories, found)
                self._index.remove(gone)
                self._index.add(come)
            self._memories, self._tips = found, _by_id(found)


def _changes(before: Iterable[Memory], after: Sequence[Memory]) -> tuple[list[bytes], list[Memory]]:
    """The revisions that are gone, and the memories that have come."""
    known = {memory.revision: memory for memory in before}
    staying = {memory.revision for memory in after}
    return [name for name in known if name not in staying], [new for new in after if new.revision not in known]


def _by_id(found: Iterable[Memory]) -> dict[bytes, list[Memory]]:
    tips: dict[bytes, list[Memory]] = {}
    for memory in found:
        tips.setdefault(memory.id, []).append(memory)
    return tips
