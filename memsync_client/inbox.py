"""The inbox: what tools propose, sealed to this device's key until the owner has said yes or no.

Proposing needs no passphrase, reading needs the device key. Nothing of it is committed, recalled, or told to a tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import canonical
from .errors import InvalidRequest, Tampered
from .keys import HolderKey, PublicKey
from .memories import ID_BYTES, Memory, from_record, to_record
from .outbox import SealedFolder

MAX_PROPOSALS = 200
"""That wait for one vault: more would only be approved unseen."""

_SHAPE = {"tool": str, "asked": int, "add": (bytes, type(None)), "forget": (bytes, type(None))}


@dataclass(frozen=True)
class Proposal:
    """What a tool asks for: to add ``add``, or to forget the memory of id ``forget`` (16 bytes). ``name`` is the
    entry's."""

    name: str
    tool: str
    asked: datetime
    add: Memory | None
    forget: bytes | None

    @property
    def id(self) -> bytes:
        """The id of the memory that it is about."""
        return self.add.id if self.add else self.forget or b""


class Inbox(SealedFolder):
    """The inbox of one vault."""

    kind = "inbox"

    def propose(
        self, device: PublicKey, tool: str, asked: datetime, add: Memory | None = None, forget: bytes | None = None
    ) -> str:
        """Keeps one proposal, durably, and returns the entry's name. Raises InvalidRequest where too many wait."""
        if self.count() >= MAX_PROPOSALS:
            raise InvalidRequest(
                f"{MAX_PROPOSALS} proposals wait for the owner's yes already.", "The owner settles them: memsync inbox"
            )
        record = to_record(add) if add else None
        return self._put(device, 1, {"tool": tool, "asked": int(asked.timestamp()), "add": record, "forget": forget})

    def read(self, device: HolderKey) -> list[Proposal]:
        """All proposals, oldest first. Raises HomeDamaged naming a file that does not open."""
        return list(self._open_all(device, _proposal))


def _proposal(name: str, value: Any) -> Proposal:
    fields = canonical.fields(value, _SHAPE, "inbox entry")
    add, forget = fields["add"], fields["forget"]
    if (add is None) == (forget is None) or (forget is not None and len(forget) != ID_BYTES):
        raise Tampered("It proposes nothing, or two things.", "Its writer is faulty.")
    try:
        asked = datetime.fromtimestamp(fields["asked"], UTC)
    except (ValueError, OverflowError, OSError):
        raise Tampered("Its time is none.", "Its writer is faulty.") from None
    return Proposal(name, fields["tool"], asked, None if add is None else from_record(add), forget)
