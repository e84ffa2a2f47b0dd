"""Files that survive a crash: written whole or not at all, and on the disk when the call returns."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from .errors import MemSyncError, StorageFull, StorageReadOnly, StorageUnavailable

_ABANDONED = 3_600  # seconds after which a file that is being written no longer is


def write_atomic(path: Path, data: bytes, mode: int = 0o600, *, sync: bool = True, flush: bool = True) -> None:
    """Put ``data`` into the file at ``path``, replacing what is there; readers see the old bytes or the new ones.

    Without ``sync`` the bytes are on the disk and the name may not be: ``sync_folder`` brings many names there at once.
    Without ``flush`` a crash of the computer may lose or spoil them: for what can be made again.
    The folder must exist. Raises StorageFull, StorageReadOnly or StorageUnavailable, and leaves the old file then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)  # whatever the umask took away
                file.write(data)
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Bring new names in a folder to the disk. Raises what ``write_atomic`` raises."""
    try:
        _sync_folder(folder)
    except OSError as error:
        raise storage_error(error, folder) from error


def clear_temporaries(folder: Path, of: Collection[str] = ()) -> None:
    """Remove what writers have left in ``folder`` who were killed; what is younger than an hour may still be written,
    unless it would become a file of the names ``of``. Whatever can't be removed stays."""
    before = time.time() - _ABANDONED
    with suppress(OSError):
        for name in [name for name in os.listdir(folder) if name.startswith(".") and name.endswith(".tmp")]:
            path = folder / name
            with suppress(OSError):  # it came to its end, or is somebody else's
                if name[1:].partition(".")[0] in of or path.lstat().st_mtime < before:
                    path.unlink()


def make_dir(path: Path, mode: int = 0o700) -> None:
    """Make a folder and those above it that are missing, each with ``mode``; one that is there stays as it is.

    Raises StorageFull, StorageReadOnly or StorageUnavailable.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_dir(path.parent, mode)
    try:
        path.mkdir(mode, exist_ok=True)
        path.chmod(mode)  # whatever the umask took away
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> MemSyncError:
    """The MemSync error for what the file system said about ``path``."""
    said = f"{path}: {os.strerror(error.errno) if error.errno else type(error).__name__}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(said, "Make room on the disk, then run this again.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StorageReadOnly(said, "Allow writing there, or name another folder.")
    return StorageUnavailable(said, "Check that the folder is there and its disk is mounted.")


def _sync_folder(folder: Path) -> None:
    """Bring a rename or a new entry of ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
