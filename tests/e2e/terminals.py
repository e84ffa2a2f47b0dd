"""A command on a terminal of its own, with a person at it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.machines import MEMSYNC, PASSPHRASE, SECONDS, Machine


@contextmanager
def terminal(machine: Machine, *words: str) -> Iterator[Callable[..., str]]:
    """A command on a terminal of its own: what is called waits for the words of a question, then types the answer, and
    returns all that was shown until then. Without an answer it waits for the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [MEMSYNC, *words], env=machine.environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""

    def said() -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))

    def until(question: str, answer: str | None = None) -> str:
        nonlocal shown
        deadline = time.monotonic() + SECONDS
        while question not in said():
            assert time.monotonic() < deadline, said()
            if select.select([ours], [], [], 0.5)[0]:
                try:
                    shown += os.read(ours, 65_536)
                except OSError:  # the end of a terminal, on Linux
                    assert question in said(), said()
        while answer == PASSPHRASE and termios.tcgetattr(ours)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "a passphrase is asked for and would be seen"
            time.sleep(0.01)
        before, shown = said(), b""
        if answer is not None:
            os.write(ours, answer.encode() + b"\n")
        return before

    try:
        yield until
    finally:
        process.kill()
        process.wait()
        os.close(ours)
