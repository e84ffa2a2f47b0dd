"""What a device keeps of each living pack that it has read or made: see PackNote. Sealed, a file a pack.

A note spares reading the pack again, and is made again where it is lost: nothing waits for the disk, and nothing that
is wrong with a file here is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .errors import MemSyncError
from .heads import PackRef
from .home import SealedFile
from .keys import HolderKey
from .memories import ID_BYTES
from .memory_log import Stretch
from .packs import PackNote
from .sealing import HoldsSecret, Place

FOLDER = "packs"
_NAME = re.compile("[0-9a-f]{64}")
_NOTE = {"start": int, "count": int, "roots": list, "size": int, "ids": bytes}


class PackNotes(HoldsSecret):
    """The notes in one vault's folder."""

    def __init__(self, vault_folder: Path, key: HolderKey, place: Place) -> None:
        self._folder = vault_folder / FOLDER
        self._key = key
        self._place = place

    def get(self, ref: PackRef) -> PackNote | None:
        """The note of a pack, None if there is none that can be read."""
        with suppress(MemSyncError):
            value = self._file(ref).read(_NOTE)
            if value and len(value["ids"]) % ID_BYTES == 0 and all(type(root) is bytes for root in value["roots"]):
                stretch = Stretch(value["start"], value["count"], tuple(value["roots"]))
                return PackNote(stretch, value["size"], value["ids"])
        return None

    def put(self, ref: PackRef, note: PackNote) -> None:
        """Keeps it, if the disk allows that."""
        stretch = note.stretch
        with suppress(MemSyncError):
            self._file(ref).write(
                {
                    "start": stretch.start,
                    "count": stretch.size,
                    "roots": list(stretch.roots),
                    "size": note.size,
                    "ids": note.ids,
                },
                durable=False,
            )

    def keep_only(self, living: Iterable[bytes]) -> None:
        """Drops the notes of packs that the vault no longer names."""
        drop_notes(self._folder.parent, living)

    def _file(self, ref: PackRef) -> SealedFile:
        return SealedFile(self._folder / ref.hash.hex(), self._key, self._place)


def drop_notes(vault_folder: Path, but: Iterable[bytes] = ()) -> None:
    """Drops the notes in a vault's folder but those of the packs ``but`` (hashes)."""
    names = {blob_hash.hex() for blob_hash in but}
    with suppress(OSError):  # one too many is only waste
        for path in (vault_folder / FOLDER).iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
