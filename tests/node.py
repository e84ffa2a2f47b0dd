"""Node.js programs of the tests, run to their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NODE = Path(sys.executable).with_name("node")
READER = Path(__file__).parent / "independent_reader"


def run(program: str, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """What came of a program of the independent reader, whose standard input is ``given``."""
    return subprocess.run(
        [NODE, READER / program, *arguments], input=given, capture_output=True, text=True, timeout=120, check=False
    )
