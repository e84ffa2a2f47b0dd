"""Processes that are killed with SIGKILL: at a chosen moment, or at a chosen thing that they do to the world.

Each is a fork of this one, with all modules loaded. What kills it stands in the fork alone, never in the product.
"""

from __future__ import annotations

import http.client
import os
import pickle
import random
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from memsync_client.errors import MemSyncError


class Killer:
    """An audit hook (PEP 578) that kills its process just before its ``point``th effect that outlasts it.

    Effects are files put in place or removed, and transactions sent; the first look for a receipt counts too, as the
    moment after one was sent.
    """

    def __init__(self, point: int) -> None:
        self.left = point
        self._sent = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        effect = event in ("os.rename", "os.remove")
        if event == "http.client.send":
            data = bytes(arguments[1])
            receipt = b"eth_getTransactionReceipt" in data and self._sent
            self._sent = b"eth_sendRawTransaction" in data or (self._sent and not receipt)
            effect = b"eth_sendRawTransaction" in data or receipt
        if effect:
            self.step()

    def step(self) -> None:
        """One effect is about to be."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class FineKiller(Killer):
    """Kills inside writes as well, of which a part is on the disk then, and between a transaction and its answer."""

    def install(self, draw: random.Random) -> None:
        """In this process, for good."""
        fsync, response = os.fsync, http.client.HTTPConnection.getresponse

        def torn(descriptor: Any) -> None:
            status = os.fstat(descriptor)
            if self.left == 1 and stat.S_ISREG(status.st_mode):
                os.ftruncate(descriptor, draw.randint(0, status.st_size))
            self.step()
            fsync(descriptor)

        def answered(connection: http.client.HTTPConnection) -> Any:
            if self._sent:
                self.step()
            return response(connection)

        os.fsync = torn  # type: ignore[assignment]
        http.client.HTTPConnection.getresponse = answered  # type: ignore[assignment, method-assign]
        sys.addaudithook(self)


def killed(act: Callable[[], object], after: float) -> bool:
    """Run ``act`` in a process of its own and kill that after so many seconds; whether it was still at work."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def killed_at(act: Callable[[], object], point: int) -> bool:
    """Run ``act`` in a process that is killed before its ``point``th effect; False if it ended with fewer."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.addaudithook(Killer(point))
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a process has ended: killed, or with a value, or with an error. ``effects`` are those that it had, where they
    were counted to the end."""

    killed: bool
    value: Any = None
    error: str = ""
    effects: int = 0
    seconds: float = 0


class Running:
    """``act`` in a process of its own. ``point``: killed before that effect, of those that FineKiller counts."""

    def __init__(self, act: Callable[[], Any], *, point: int = 0, seed: int = 0, log: Path | None = None) -> None:
        self._answer: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed when it is read
        self._begun = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._work(act, point, seed, log)
            finally:
                os._exit(1)

    def _work(self, act: Callable[[], Any], point: int, seed: int, log: Path | None) -> None:
        target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(target, stream)
        killer = FineKiller(point)
        killer.install(random.Random(seed))
        try:
            value, error = act(), ""
        except MemSyncError as refusal:
            value, error = None, f"{type(refusal).__name__}: {refusal.cause}"
        except BaseException:
            value, error = None, traceback.format_exc()
        killer.left += 1_000_000  # what follows is this launcher's
        self._answer.write(pickle.dumps((value, error, point + 1_000_000 - killer.left)))
        self._answer.flush()
        os._exit(0)

    def kill(self) -> None:
        """At this moment."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> Ended:
        """Until it has ended. Raises TimeoutError, and kills it, if that takes longer."""
        deadline = self._begun + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.kill()
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"a process took more than {seconds} s")
            time.sleep(0.003)
        took = time.monotonic() - self._begun
        with self._answer:
            if os.WIFSIGNALED(status):
                return Ended(True, seconds=took)
            assert status == 0
            self._answer.seek(0)
            value, error, effects = pickle.loads(self._answer.read())  # noqa: S301 - our own fork wrote it
            return Ended(False, value, error, effects, took)
