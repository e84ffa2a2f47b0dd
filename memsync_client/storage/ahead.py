"""Blobs fetched before they are asked for, from hosts that are some way off."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..bounded import AT_ONCE

Fetch = Callable[[bytes, str], bytes]


class Ahead:
    """``fetch``, to be asked for ``hashes`` in their order: once the first is, some more are fetched at once, and never
    more than AT_ONCE are begun. Other blobs are fetched as they are asked for."""

    def __init__(self, fetch: Fetch, hashes: Sequence[bytes]) -> None:
        self._fetch = fetch
        self._waiting = deque(dict.fromkeys(hashes))
        self._planned = set(self._waiting)
        self._begun: dict[bytes, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def __call__(self, blob_hash: bytes, what: str) -> bytes:
        """The bytes with that hash. Raises what ``fetch`` raises."""
        if blob_hash not in self._planned:
            return self._fetch(blob_hash, what)
        self._planned.discard(blob_hash)
        while self._waiting and len(self._begun) < AT_ONCE:
            name = self._waiting.popleft()
            self._begun[name] = self._pool.submit(self._fetch, name, what)
        future = self._begun.pop(blob_hash, None)
        try:
            return future.result() if future else self._fetch(blob_hash, what)
        except BaseException:
            self._waiting.clear()  # nobody asks for the rest
            raise
        finally:
            if not self._waiting and not self._begun:
                self._pool.shutdown(wait=False)
