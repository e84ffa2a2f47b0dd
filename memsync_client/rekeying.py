"""Making a device's key anew.

The new key is made beside the old one (``device.key.next``) and put into the keyring of every vault. When all have it,
its file is renamed (``device.key.ready``), what this home keeps is sealed to it, and it takes the old one's place.
Killed in between, all of it can be done again: until the renaming the old key is the home's, and vaults are opened with
whichever of the two they name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from . import keyfile
from .errors import NotInitialised
from .files import storage_error, sync_folder
from .home import Home, SealedFile
from .inbox import Inbox
from .keyring import Roster
from .keys import HolderKey, PublicKey
from .outbox import Outbox
from .pack_notes import drop_notes
from .sealing import Place

_SEALED = ("anchor", "seen", "journal", "bump", "doomed", "leaving", "returned", "rejected")  # of a vault's folder


def with_key(roster: Roster, old: PublicKey, new: PublicKey) -> Roster:
    """The roster with ``new`` in the place of ``old``, in what it has added too; no longer pending. Unchanged where
    ``old`` is not in it."""
    return replace(
        roster,
        holders=tuple(
            replace(
                holder,
                key=new if holder.key == old else holder.key,
                pending=holder.pending and holder.key != old,
                added_by=new.id if holder.added_by == old.id else holder.added_by,
            )
            for holder in roster.holders
        ),
    )


def clear_copies(home: Home) -> None:
    """Destroys what a killed process may have left of the old key's file: half-written files, and a change of the
    passphrase that did not get as far as to count. Only under the home's lock."""
    try:
        for path in home.folder.glob(f".{home.device_key.name}*.tmp"):
            path.unlink(missing_ok=True)
        for path in [path for path in (home.folder / "passphrase.unfinished").rglob("*") if path.is_file()]:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        sync_folder(home.folder)
    except OSError as error:
        raise storage_error(error, home.folder) from None


def make_ready(home: Home) -> None:
    """Says that all vaults have the next key: from now on it is this home's."""
    try:
        os.replace(home.next_key, home.ready_key)
        sync_folder(home.folder)
    except OSError as error:
        raise storage_error(error, home.next_key) from None


def newest_key(home: Home) -> PublicKey:
    """What to seal to: the key that all vaults have and that is about to take the place of this home's, so that nothing
    is left for the old one by a process that is killed just after that; else this home's."""
    with suppress(NotInitialised):
        return keyfile.public_key(home.ready_key)
    return keyfile.public_key(home.device_key)


def put_in_place(home: Home, place: Callable[[bytes], Place], old: HolderKey, new: HolderKey) -> None:
    """Seals to ``new`` (of ``device.key.ready``) what this home has kept for ``old``, and makes it the home's key.

    Whatever another process puts into outbox or inbox meanwhile is found by the second look.
    """
    _seal_anew(home, place, old, new)
    try:
        with suppress(FileNotFoundError):  # another process has done it
            os.replace(home.ready_key, home.device_key)
        sync_folder(home.folder)
    except OSError as error:
        raise storage_error(error, home.device_key) from None
    _seal_anew(home, place, old, new)


def _seal_anew(home: Home, place: Callable[[bytes], Place], old: HolderKey, new: HolderKey) -> None:
    for path in (home.sending, home.sending_blob, home.relayed):
        SealedFile(path, new, place(bytes(32))).take_over(old)
    for vault_id in home.vault_ids():
        folder = home.vault_folder(vault_id)
        for name in _SEALED:
            SealedFile(folder / name, new, place(vault_id)).take_over(old)
        drop_notes(folder)
        Outbox(folder / "outbox", place(vault_id)).take_over(old, new)
        Inbox(folder / "inbox", place(vault_id)).take_over(old, new)
