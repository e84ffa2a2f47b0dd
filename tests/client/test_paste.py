"""Pasted lines: what a chat tool answers when asked for all it remembers, however it dresses it up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memsync_client.errors import InvalidImport
from memsync_client.interchange import Report, formats, paste
from memsync_client.memories import Memory
from tests.client.exports import files_of
from tests.client.exports import read as read_files

MAY = datetime(2024, 5, 1, tzinfo=UTC)
ANSWER = """Here is everything I have stored:

```
## Personal details
[2024-05-01] - Ines is left-handed.
- [unknown] - Ines has a sister,
  Marta.

**Projects**
3. [2024-05-01T10:00:00+02:00] – She writes about salt.
* [May 2024] - She moved.
```
Is there anything else?
"""


def read(text: str | bytes) -> Report:
    return read_files({"answer.txt": text}, "paste")


def test_read__of_an_answer__takes_its_lines() -> None:
    report = read(ANSWER)
    assert [(draft.content, draft.created, draft.tags) for draft in report.drafts] == [
        ("Ines is left-handed.", MAY, ("Personal details",)),
        ("Ines has a sister,\nMarta.", None, ("Personal details",)),
        ("She writes about salt.", datetime(2024, 5, 1, 8, tzinfo=UTC), ("Projects",)),
        ("[May 2024] - She moved.", None, ("Projects",)),
    ]
    assert report.skipped == {"lines around the memories": 2}


def test_read__of_lines_without_brackets__takes_each() -> None:
    assert [draft.content for draft in read("- Left-handed.\n\n2) Likes salt.\nWrites.").drafts] == [
        "Left-handed.",
        "Likes salt.",
        "Writes.",
    ]


@pytest.mark.parametrize("text", ["[2024-05-01] - a", "- [unknown] - a", "x\n[2024-05-01]: a", ANSWER])
def test_found__of_pasted_lines__is_paste(text: str) -> None:
    assert formats.found(files_of({"standard input": text})) == "paste"


def test_write__gives_what_read_takes() -> None:
    memories = [Memory(bytes(16), "Ines is\nleft-handed.", MAY), Memory(bytes(15) + b"1", "No time.")]
    written = b"".join(paste.write(memories))
    assert written == b"[2024-05-01] - Ines is left-handed.\n[unknown] - No time.\n"
    assert [(draft.content, draft.created) for draft in read(written).drafts] == [
        ("Ines is left-handed.", MAY),
        ("No time.", None),
    ]


def test_read__of_no_text__is_refused() -> None:
    with pytest.raises(InvalidImport, match="byte 4 is not UTF-8"):
        read(b"caf\xe9")
