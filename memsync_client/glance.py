"""What this device knew of a vault when it last opened it, in plain text, for what must not ask for a passphrase: the
bare command, the log, and the completion of names.

It holds nothing that does not stand on chain but the names that the owner gave to accounts there, and how many memories
there are. Private readers are not in it. Nobody relies on it: lost or changed, it is made anew by the next opening.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from .errors import MemSyncError
from .files import make_dir, write_atomic
from .keyring import Role, Roster
from .roster import account_of

_NAME = "glance.json"
_OVER = "over"  # there while the chain shows the vault as closed, or another's
CLOSED = "0x" + "0" * 40
"""The owner of a closed vault."""


@dataclass(frozen=True)
class Glance:
    """A vault at ``version``, seen at ``block``: how many living ``memories`` it has since the commit of version
    ``head`` (None: not counted), the public ``readers`` by address with the ends of their grants (seconds since 1970),
    whether a recovery kit is in its roster, and the ``names`` of accounts, also of those that are in it no more."""

    version: int
    block: int
    head: int
    memories: int | None = None
    kit: bool = False
    readers: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def until(self, address: str) -> datetime:
        """When the grant of a reader ends."""
        return datetime.fromtimestamp(self.readers[address], UTC)

    def ended(self, time: datetime) -> list[str]:
        """The readers whose grants have ended by then, by name where one is known."""
        return [self.names.get(address, address) for address in self.readers if self.until(address) <= time]


def read_glance(folder: Path) -> Glance | None:
    """The last glance at the vault of ``folder``; None where there is none that can be read."""
    try:
        value = json.loads((folder / _NAME).read_bytes())
        found = Glance(**value)
        numbers = [found.version, found.block, found.head, *found.readers.values()]
        texts = [*found.readers, *found.names, *found.names.values()]
        if all(type(number) is int and 0 <= number < 2**40 for number in numbers) and all(
            type(text) is str for text in texts
        ):
            return found if type(found.memories) in (int, type(None)) else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass
    return None


def whose(folder: Path) -> str | None:
    """Who had the vault of ``folder`` when this device last asked the chain for it, where that is no more this home's
    owner: an address, zero if it is closed. None while it is the owner's."""
    try:
        return (folder / _OVER).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def over(owner: str | None) -> str | None:
    """The same in words."""
    if owner is None:
        return None
    return "closed for good" if owner == CLOSED else f"owned by {owner} now"


def note_owner(folder: Path, owner: str, ours: bool) -> None:
    """Keeps it, as the chain has just shown it: a reorganisation may take that back. A failure is no error: the chain
    is asked again."""
    if whose(folder) == (None if ours else owner):
        return
    with suppress(MemSyncError, OSError):
        if ours:
            (folder / _OVER).unlink(missing_ok=True)
        else:
            make_dir(folder)
            write_atomic(folder / _OVER, owner.encode() + b"\n", sync=False)


def write_glance(folder: Path, version: int, block: int, head: int, roster: Roster, memories: int | None) -> None:
    """Keeps what a vault is at ``version``. A failure is no error: it is only for show."""
    before = read_glance(folder)
    named = {account: holder.name for holder in roster.holders if (account := account_of(holder))}
    readers = {
        account: int(holder.expires.timestamp())
        for holder in roster.holders
        if holder.role is Role.READER and holder.expires and (account := account_of(holder))
    }
    kit = any(holder.role is Role.KIT for holder in roster.holders)
    now = Glance(version, block, head, memories, kit, readers, {**(before.names if before else {}), **named})
    if before and replace(now, block=before.block) == before:
        return
    with suppress(MemSyncError, OSError):
        make_dir(folder)
        write_atomic(folder / _NAME, json.dumps(asdict(now), indent=1, sort_keys=True).encode() + b"\n", sync=False)
