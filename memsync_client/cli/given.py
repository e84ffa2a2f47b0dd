"""Texts that a command is given: in its words, in a file, or on standard input. Never more than a bounded part is
read."""

from __future__ import annotations

import re
import sys

from ..cards import MAX_TEXT, SPACE
from ..errors import InvalidMemory, MemSyncError
from ..memories import MAX_CONTENT_BYTES

_LONGEST_TEXT = MAX_TEXT  # bytes of a card, an invitation or a sheet with what stands around it
_TOKEN = re.compile(r"memsync-(?:card|invitation|device|sheet)\d+:")
# Mail programs break long lines, so white space may stand anywhere in it.
_WHOLE = re.compile(_TOKEN.pattern + rf"[\w{SPACE}-]*:(?:[{SPACE}]*[0-9a-f]){{8}}(?!\w)", re.ASCII)


def memory_text(given: str) -> str:
    """The text of a memory, or with - standard input without the newline at its end. Raises InvalidMemory."""
    if given != "-":
        return given
    data = sys.stdin.buffer.read(MAX_CONTENT_BYTES + 3)
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > MAX_CONTENT_BYTES:
        raise InvalidMemory(f"The memory has more than {MAX_CONTENT_BYTES:,} bytes.", "Split it into several.")
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InvalidMemory("Standard input is not UTF-8 text.", "Convert it first.") from None


def text_of(given: str, error: type[MemSyncError]) -> str:
    """A card, an invitation or a sheet that was given as its text, as a file, or as - for standard input: the first one
    in what is read, with anything around it. Raises ``error`` where a file is meant that can't be read."""
    if given == "-":
        text = sys.stdin.buffer.read(_LONGEST_TEXT).decode("utf-8", "replace")
    elif _TOKEN.search(given):
        text = given
    else:
        text = _content(given, error)
    whole, begin = _WHOLE.search(text), _TOKEN.search(text)
    if whole and begin and whole.start() == begin.start():
        return whole[0]
    return text[begin.start() :] if begin else text  # damaged, or nothing of the kind: what reads it says so


def _content(given: str, error: type[MemSyncError]) -> str:
    try:
        with open(given, "rb") as file:
            return file.read(_LONGEST_TEXT).decode("utf-8", "replace")
    except OSError as problem:
        if "/" not in given and not re.search(r"\.\w{1,5}$", given):
            return given  # no path: a text, whatever it is
        said = f"There is no file {given}." if isinstance(problem, FileNotFoundError) else f"{given} can't be read."
        raise error(said, "Check the path, or give the text itself in quotation marks.") from None
