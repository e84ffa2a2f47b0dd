"""What an import is given, as named streams: a file, a folder, a zip archive with archives in it, or standard input.

Nothing is unpacked to a disk, and nothing is read beyond bounds, whatever an archive says of itself.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from .errors import InvalidImport
from .reading import Progress

MAX_FILES = 100_000
MAX_BYTES = 4 * 2**30
"""How much is read in one import, unpacked. An export of years of conversations has a few hundred million bytes."""
MAX_ARCHIVE_BYTES = 2**30
"""The largest archive inside another, and the most that is read from standard input, which is held in memory."""

_READABLE = (".json", ".jsonl", ".ndjson", ".md", ".markdown", ".txt")
_Opener = Callable[[], IO[bytes]]


class ImportFiles:
    """The files of an import, as ``interchange.Files`` describes them."""

    def __init__(self, label: str, progress: Progress | None = None) -> None:
        self.label = label
        self._files: dict[str, tuple[_Opener, int]] = {}
        self._progress = progress
        self._read = 0

    @property
    def names(self) -> Sequence[str]:
        """Sorted."""
        return sorted(self._files)

    def add(self, name: str, opener: _Opener, size: int) -> None:
        """Another file of ``size`` bytes, as far as that is known. Raises InvalidImport."""
        if name in self._files:
            raise InvalidImport(f"{self.label} has two files of the name {name}.", "Get the export again.")
        if len(self._files) == MAX_FILES:
            raise InvalidImport(f"{self.label} has more than {MAX_FILES:,} files.", "Import a part of it.")
        self._files[name] = opener, size

    def open(self, name: str) -> IO[bytes]:
        """The content of a file. Raises InvalidImport, and so does reading it."""
        opener, size = self._files[name]
        if size > MAX_BYTES:
            raise _too_much(name)
        with _told(name):
            return io.BufferedReader(_Bounded(name, opener(), self._count), 2**18)

    def _count(self, name: str, size: int) -> None:
        self._read += size
        if self._read > MAX_BYTES:
            raise _too_much(name)
        if self._progress:
            sizes = [size for name, (_, size) in self._files.items() if name.lower().endswith(_READABLE)]
            total = sum(sizes) or sum(size for _, size in self._files.values())
            self._progress(min(self._read, total), total)


class _Bounded(io.RawIOBase):
    """A stream that counts what is read, and whose errors are ours."""

    def __init__(self, name: str, stream: IO[bytes], count: Callable[[str, int], None]) -> None:
        self._name, self._stream, self._count = name, stream, count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with _told(self._name):
            data = self._stream.read(len(buffer))
        self._count(self._name, len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


@contextmanager
def opened(given: str, progress: Progress | None = None) -> Iterator[ImportFiles]:
    """The files of a path, or with - those of standard input. Raises InvalidImport."""
    with ExitStack() as held:
        if given == "-":
            data = sys.stdin.buffer.read(MAX_ARCHIVE_BYTES + 1)
            if len(data) > MAX_ARCHIVE_BYTES:
                raise InvalidImport(f"There are more than {MAX_ARCHIVE_BYTES:,} bytes.", "Import a file instead.")
            files = ImportFiles("standard input", progress)
            _add(files, "standard input", lambda: io.BytesIO(data), len(data), held)
        else:
            path = Path(given)
            files = ImportFiles(path.resolve().name, progress)
            with _told(given):
                if path.is_dir():
                    for name, inner in _below(path):
                        _add(files, name, _file(inner), inner.stat().st_size, held, nested=1)
                else:
                    _add(files, path.name, _file(path), path.stat().st_size, held)
        yield files


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder. Links are not followed: what they lead to is not part of the export."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_content(name))
        for name in sorted(names):
            path = Path(where, name)
            if _is_content(name) and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _file(path: Path) -> _Opener:
    return lambda: path.open("rb")


def _is_content(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _add(files: ImportFiles, name: str, opener: _Opener, size: int, held: ExitStack, nested: int = 0) -> None:
    """Adds a file, or those of an archive and of the archives in it."""
    with _told(name), opener() as stream:
        is_archive = stream.read(4) == b"PK\x03\x04"
    if not is_archive or nested > 2:
        files.add(name, opener, size)
        return
    if nested and size > MAX_ARCHIVE_BYTES:
        raise _too_much(name)
    with _told(name):
        archive = held.enter_context(zipfile.ZipFile(held.enter_context(opener())))
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise InvalidImport(f"{name} has more than {MAX_FILES:,} files.", "Import a part of it.")
    for entry in entries:
        if all(map(_is_content, entry.filename.split("/"))):
            inner = f"{name}/{entry.filename}" if nested else entry.filename
            read = partial(archive.open, entry)
            if entry.filename.lower().endswith(".zip"):
                _add(files, inner, read, entry.file_size, held, nested + 1)
            else:
                files.add(inner, read, entry.file_size)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Says of which file it is that something went wrong."""
    try:
        yield
    except OSError as error:
        said = f"There is no file {name}." if isinstance(error, FileNotFoundError) else f"{name} can't be read."
        raise InvalidImport(said, "Check the path. Nothing was imported.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError):
        raise InvalidImport(f"{name} is damaged.", "Get the export again. Nothing was imported.") from None
    except RuntimeError:
        raise InvalidImport(f"{name} is locked by a password.", "Unpack it first. Nothing was imported.") from None


def _too_much(name: str) -> InvalidImport:
    return InvalidImport(f"{name} is larger than anything to be imported.", "Import a part of it.")
