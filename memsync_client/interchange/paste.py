"""Pasted lines, ``[date] - text`` one a memory: what a chat tool answers when it is asked for all that it remembers,
and what the import pages of Claude and Gemini take.

Lines that go on (no bracket in front) belong to the memory before them; what stands above the first, the fence of a
code block and headings are passed over, but a heading becomes the tag of what is below it. Without any bracket in the
file each line is a memory. A date alone is its first moment in UTC; other words in the brackets stay in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..errors import InvalidImport
from ..memories import Memory, Source
from . import Files, Report
from .taking import Taken, moment

PLATFORM = "paste"
MAX_BYTES = 16 * 2**20

_BULLET = re.compile(r"(?:[-*•]|\d{1,4}[.)])\s+")
_LINE = re.compile(r"\[([^\]\n]{1,64})\]\s*[-–—:]\s*(.*)")
_HEADING = re.compile(r"#{1,6}\s+(.*)|\*\*([^*]+)\*\*:?")
_UNKNOWN = {"unknown", "unknown date", "no date", "date unknown", "n/a", "na", "none", "undated", "?", "-"}


def looks_like(text: str) -> bool:
    """Whether one of the lines is ``[date] - text``."""
    return any(_LINE.match(_bare(line)) for line in text.splitlines())


def read(files: Files) -> Report:
    """All lines of the one file. Raises InvalidImport."""
    taken = Taken()
    name = files.names[0]
    with files.open(name) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidImport(f"{name} has more than {MAX_BYTES:,} bytes.", "Split it into several files.")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidImport(f"{name}: byte {error.start + 1} is not UTF-8.", "Save the file as UTF-8.") from None
    bracketed = any(_LINE.match(_bare(line)) for line in lines)
    for said, date, heading in _memories(lines, bracketed, taken):
        taken.add(said, Source(PLATFORM), created=moment(date), tags=(heading,))
    return taken.report()


def _memories(lines: list[str], bracketed: bool, taken: Taken) -> Iterator[tuple[str, str, str]]:
    """Text, date and heading of each memory."""
    said, date, heading = list[str](), "", ""
    for line in map(str.strip, lines):
        found, title = _LINE.match(_bare(line)), _HEADING.fullmatch(line)
        starts = bool(found) or not bracketed
        if (starts or title or line.startswith("```")) and said:
            yield "\n".join(said), date, heading
            said, date = [], ""
        if line.startswith("```") or not line:
            continue
        if title:
            heading = (title[1] or title[2] or "").strip(" :")
        elif found and (moment(found[1]) or found[1].strip().lower() in _UNKNOWN):
            said, date = [found[2]], found[1].strip()
        elif starts:
            said = [_bare(line)]
        elif said:
            said.append(line)
        else:
            taken.leave("lines around the memories")
    if said:
        yield "\n".join(said), date, heading


def _bare(line: str) -> str:
    """A line without what makes it an item of a list."""
    return _BULLET.sub("", line.strip(), count=1) if _BULLET.match(line.strip()) else line.strip()


def write(memories: Iterable[Memory]) -> Iterator[bytes]:
    """A line a memory. Only text and date go with it."""
    for memory in memories:
        date = "unknown" if memory.created is None else f"{memory.created:%Y-%m-%d}"
        yield f"[{date}] - {' '.join(memory.content.split())}\n".encode()
