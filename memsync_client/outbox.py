"""The outbox: what waits on this device for the next sync, sealed to the device's own public key.

One file an entry, written whole and fsynced before ``add`` returns: a killed process leaves an entry whole or not at
all. Adding needs no passphrase, reading needs the device key. A file is envelope (X-Wing) ‖ sealed body.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import canonical
from .errors import HomeDamaged, Tampered
from .files import make_dir, storage_error, sync_folder, write_atomic
from .keys import ENVELOPE_OVERHEAD, HolderKey, PublicKey
from .memories import Memory, from_record, to_record
from .sealing import SECRET_BYTES, Place, seal, unseal

_NAME = re.compile(r"(\d{12})-(\d+)-[0-9a-f]{8}\.sealed")
_ENVELOPE = SECRET_BYTES + ENVELOPE_OVERHEAD
_T = TypeVar("_T")


@dataclass(frozen=True)
class Waiting:
    """One entry: memories as given, and whether they are an import (whose ids are made at the sync)."""

    path: Path
    imported: bool
    memories: tuple[Memory, ...]


class SealedFolder:
    """A folder of entries that wait on this device, each sealed to its key. ``kind`` is the folder's name in contexts
    and messages."""

    kind = ""

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder
        self._context = place.context(self.kind, 0)

    def count(self) -> int:
        """How many things wait. Needs no key."""
        return sum(int(match[2]) for match in self._names())

    def names(self) -> tuple[str, ...]:
        """The names of all entries, oldest first: they change with whatever waits."""
        return tuple(sorted(match[0] for match in self._names()))

    def remove(self, names: Iterable[str]) -> None:
        """Forgets entries that are done with."""
        try:
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
            if self._folder.is_dir():
                sync_folder(self._folder)
        except OSError as error:
            raise storage_error(error, self._folder) from None

    def take_over(self, old: HolderKey, new: HolderKey) -> None:
        """Seals to ``new`` what was sealed to ``old``. Raises HomeDamaged for an entry that neither opens."""
        for name in self.names():
            path = self._folder / name
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # another process's sync has taken it
                continue
            except OSError as error:
                raise storage_error(error, path) from None
            if self._key_of(data, new) is None:
                key = self._key_of(data, old)
                if key is None:
                    raise self._damaged(path, "The envelope does not open.")
                write_atomic(path, self._enclosed(new.xwing.public, key) + data[_ENVELOPE:])

    def _put(self, device: PublicKey, count: int, value: dict[str, Any]) -> str:
        """Seals an entry that counts for so many things, durably. Returns its name."""
        make_dir(self._folder)
        key = os.urandom(SECRET_BYTES)
        data = self._enclosed(device, key) + seal(key, self._context, canonical.encode(value))
        number = 1 + max((int(match[1]) for match in self._names()), default=0)
        name = f"{number:012}-{count}-{os.urandom(4).hex()}.sealed"
        write_atomic(self._folder / name, data)
        return name

    def _open_all(
        self, device: HolderKey, read: Callable[[str, Any], _T], names: Iterable[str] | None = None
    ) -> Iterator[_T]:
        """What ``read`` makes of each entry's name and value, oldest first; it raises Tampered for a value of another
        shape. Raises HomeDamaged naming a file that does not open."""
        for name in self.names() if names is None else names:
            with suppress(FileNotFoundError):  # another process has taken it
                yield self._open(name, device, read)

    def _open(self, name: str, device: HolderKey, read: Callable[[str, Any], _T]) -> _T:
        path = self._folder / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error(error, path) from None
        try:
            key = self._key_of(data, device)
            if key is None:
                raise Tampered("The envelope does not open.")
            return read(name, canonical.decode(unseal(key, self._context, data[_ENVELOPE:], f"{self.kind} entry")))
        except Tampered as error:
            raise self._damaged(path, error.cause) from None

    def _enclosed(self, device: PublicKey, key: bytes) -> bytes:
        return device.enclose(self._context + device.id, key)

    def _key_of(self, data: bytes, device: HolderKey) -> bytes | None:
        return device.xwing.open(self._context + device.xwing.public.id, data[:_ENVELOPE])

    def _names(self) -> list[re.Match[str]]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, self._folder) from None
        return [match for name in names if (match := _NAME.fullmatch(name))]

    def _damaged(self, path: Path, cause: str) -> HomeDamaged:
        return HomeDamaged(
            f"The {self.kind} entry {path} can't be read: {cause}",
            "Bring it back from a copy, or move it away to go on.",
        )


class Outbox(SealedFolder):
    """The outbox of one vault."""

    kind = "outbox"

    def add(self, device: PublicKey, memories: Sequence[Memory], *, imported: bool = False) -> str:
        """Keeps ``memories``, all or none of them, until a sync has taken them. Returns the entry's name."""
        records = [to_record(memory) for memory in memories]
        return self._put(device, len(memories), {"import": imported, "records": records})

    def read(self, device: HolderKey) -> list[Waiting]:
        """All entries, oldest first. Raises HomeDamaged naming a file that does not open."""
        return list(self.each(device))

    def each(self, device: HolderKey, names: Iterable[str] | None = None) -> Iterator[Waiting]:
        """The entries of these names, or all, one after the other."""
        return self._open_all(device, lambda name, value: _waiting(self._folder / name, value), names)


class ReadAnew(Collection[Waiting]):
    """The entries of these names, read each time that they are gone through: one at a time is in memory."""

    def __init__(self, outbox: Outbox, device: HolderKey, names: Sequence[str]) -> None:
        self._outbox, self._device, self._names = outbox, device, names

    def __iter__(self) -> Iterator[Waiting]:
        return self._outbox.each(self._device, self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, entry: object) -> bool:
        return any(entry == mine for mine in self)


def _waiting(path: Path, value: Any) -> Waiting:
    fields = canonical.fields(value, {"import": bool, "records": list}, "outbox entry")
    return Waiting(path, fields["import"], tuple(from_record(record) for record in fields["records"]))
