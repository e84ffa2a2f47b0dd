"""Where an export goes: a file or a folder that only its owner may read. It is plaintext."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .errors import InvalidRequest
from .files import make_dir, storage_error, write_atomic


def check_file(path: Path, force: bool) -> None:
    """Raises InvalidRequest where the file is there already, unless ``force``."""
    if not force and (path.exists() or path.is_symlink()):
        raise InvalidRequest(f"{path} is there already.", "Name another file, or write over it with --force.")


def check_folder(folder: Path, force: bool) -> None:
    """Raises InvalidRequest where something is in the folder already, unless ``force``."""
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise storage_error(error, folder) from None
    if taken and not force:
        raise InvalidRequest(f"{folder} is not an empty folder.", "Name another folder, or write into it with --force.")


def write_file(path: Path, chunks: Iterable[bytes], *, force: bool = False) -> None:
    """Writes a file, whole or not at all. Raises what ``check_file`` raises."""
    check_file(path, force)
    write_atomic(path, b"".join(chunks))


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]], *, force: bool = False) -> None:
    """Writes files by their names into a folder, which is made. Raises what ``check_folder`` raises."""
    check_folder(folder, force)
    for name, content in files:
        path = folder / name
        make_dir(path.parent)
        write_atomic(path, content, sync=False)
