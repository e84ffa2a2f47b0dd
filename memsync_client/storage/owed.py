"""What the mirrors of a vault still lack: hashes by the mirror's name, in a file of the vault's folder. No secret is in
it: anyone who can see the hosts can see as much."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import HomeDamaged
from ..files import make_dir, storage_error, write_atomic

OWED = "owed.json"  # in the folder of a vault


class Owed:
    """Written only under the home's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __bool__(self) -> bool:
        """Whether a mirror lacks anything."""
        return any(self._read().values())

    def of(self, name: str) -> set[bytes]:
        """The hashes that a mirror lacks."""
        return self._read().get(name, set())

    def add(self, name: str, hashes: set[bytes]) -> None:
        """Keeps in mind what a mirror has not taken."""
        owed = self._read()
        self._write(owed | {name: owed.get(name, set()) | hashes})

    def remove(self, name: str, hashes: set[bytes]) -> None:
        """It has them now, or nobody needs them any more."""
        owed = self._read()
        self._write(owed | {name: owed.get(name, set()) - hashes})

    def _write(self, owed: dict[str, set[bytes]]) -> None:
        make_dir(self._path.parent)
        value = {name: sorted(blob_hash.hex() for blob_hash in hashes) for name, hashes in owed.items() if hashes}
        write_atomic(self._path, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n")

    def _read(self) -> dict[str, set[bytes]]:
        try:
            value = json.loads(self._path.read_bytes())
            return {str(name): {bytes.fromhex(blob_hash) for blob_hash in hashes} for name, hashes in value.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise storage_error(error, self._path) from None
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise HomeDamaged(f"{self._path} can't be read.", "Remove it, then run `memsync repair`.") from None
