"""Bounds for whatever waits for others: time for the whole of it, so many at once, and pauses between attempts."""

from __future__ import annotations

import queue
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
_JITTER = random.SystemRandom()
AT_ONCE = 8  # requests to one host


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """What ``work`` returns or raises. Raises TimeoutError after so many seconds, while it goes on in its thread:
    time-outs of sockets start anew with every byte and don't cover the look-up of names."""
    outcome: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"not done within {seconds:g} s") from None
    if error:
        raise error
    return value  # type: ignore[return-value]  # what ``work`` gave


def jittered(seconds: float) -> float:
    """A pause varied by half, so that those who were refused together do not come back together."""
    return seconds * _JITTER.uniform(0.5, 1.5)


def each(work: Callable[[_T], _R], items: Iterable[_T], at_once: int = AT_ONCE) -> Iterator[_R]:
    """``work`` of each item in order, some at once and never more than ``at_once`` ahead of who takes the results.
    The first error ends it."""
    items = list(items)
    if len(items) < 2:
        yield from map(work, items)
        return
    waiting: deque[Future[_R]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
