"""What a tool may add on a device of the owner's, and what it may ask for. Nothing here commits.

What a tool adds waits in the inbox for the owner's yes, or in the outbox where the owner trusts that tool. A text that
the vault, the outbox or the inbox has already is not taken in again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from . import memories
from .cards import check_name
from .errors import InvalidRequest
from .following import Looks, State
from .inbox import Proposal
from .memories import Memory, Source
from .sameness import Texts
from .sealing import HoldsSecret
from .tools import Tools
from .vault import Vault

PER_MINUTE = 30
"""What one tool may add or ask for in a minute."""


class Taken(StrEnum):
    """What has become of a proposal."""

    WAITS = "waits for the owner's approval"
    NEXT_SYNC = "is committed with the owner's next sync"
    KNOWN = "is known already"
    REJECTED = "was turned down by the owner"


@dataclass(frozen=True)
class Answer:
    """What has become of a proposal, and the id of the memory that it is about (16 bytes)."""

    id: bytes
    taken: Taken


class Proposals(HoldsSecret):
    """What tools see of a vault and propose to it, from any thread. ``clock`` gives seconds.

    ``as_reader`` is how a process that has a reader's key, and not this device's, sees the vault. It can put
    something into the inbox and not read it, so that it knows of what waits only what it has put there itself.
    """

    def __init__(
        self,
        vault: Vault,
        tools: Tools,
        as_reader: Looks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault, self._tools, self._clock = vault, tools, clock
        self._looks: Looks = as_reader or vault.following()
        self._mine: list[Proposal] | None = [] if as_reader else None
        self._lock = threading.Lock()
        self._of_vault: tuple[tuple[Memory, ...], Texts] = ((), Texts())
        self._recent: dict[str, deque[float]] = {}

    def look(self) -> State:
        """The vault as it stands, with what waits in the outbox and without what waits in the inbox."""
        return self._looks.look()

    def add(self, tool: str, text: str, tags: Iterable[str] = ()) -> Answer:
        """Takes in a memory from ``tool``. Raises InvalidMemory, or InvalidRequest where too much is proposed."""
        source = Source(check_name(tool, InvalidRequest))
        memory = memories.new(text, created=_now(), source=source, tags=tags)
        with self._lock:
            if known := self._known(text):
                return Answer(known, Taken.KNOWN)
            if self._mine is None and self._vault.rejected(text):
                return Answer(memory.id, Taken.REJECTED)
            self._count(tool)
            if self._tools.get(tool).trusted:
                self._vault.take([memory])
                self._note(Proposal("", tool, _now(), memory, None))
                return Answer(memory.id, Taken.NEXT_SYNC)
            self._vault.propose(tool, _now(), add=memory)
            self._note(Proposal("", tool, _now(), memory, None))
            return Answer(memory.id, Taken.WAITS)

    def forget(self, tool: str, memory_id: str) -> Answer:
        """Takes in the wish to forget the memory whose id begins with ``memory_id`` (hex). It always waits for a yes.
        Raises UnknownMemory."""
        check_name(tool, InvalidRequest)
        with self._lock:
            tips = {memory.id: memory for memory in self.look().memories}
            meant = memories.meant(tips, memory_id)
            if all(proposal.forget != meant for proposal in self._waiting()):
                self._count(tool)
                self._vault.propose(tool, _now(), forget=meant)
                self._note(Proposal("", tool, _now(), None, meant))
            return Answer(meant, Taken.WAITS)

    def _waiting(self) -> list[Proposal]:
        return self._vault.proposals() if self._mine is None else self._mine

    def _note(self, proposal: Proposal) -> None:
        if self._mine is not None:
            self._mine.append(proposal)

    def _known(self, text: str) -> bytes | None:
        found = self.look().memories
        if self._of_vault[0] is not found:
            self._of_vault = (found, Texts((memory.content, memory.id) for memory in found))
        waiting = Texts((proposal.add.content, proposal.id) for proposal in self._waiting() if proposal.add)
        return self._of_vault[1].find(text) or waiting.find(text)

    def _count(self, tool: str) -> None:
        """Raises InvalidRequest where ``tool`` has proposed too much in the last minute."""
        now, recent = self._clock(), self._recent.setdefault(tool, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= PER_MINUTE:
            raise InvalidRequest(
                f"{tool} has proposed {PER_MINUTE} things within a minute, which is the most.",
                "Wait a minute, and put what belongs together into one memory.",
            )
        recent.append(now)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
