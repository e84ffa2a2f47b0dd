"""A vault's events in the logs of a chain, whatever range of blocks a node gives at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from eth_abi.abi import decode

from .addresses import checked_address
from .interface import Event
from .records import History, VaultEvent
from .rpc import RequestRefused
from .transactions import ContractClient, to_number

_NARROWEST_RANGE = 64  # blocks in one request for logs, when a node refuses more


class EventLog(ContractClient):
    """The part of the registry's client that reads logs."""

    def handed_over(self, vault_id: bytes, since: int) -> str | None:
        """The event (``Accepted``, ``RecoveryFinished``) by which the vault came to its present owner, where that was
        after version ``since``; None where it was not."""
        events = self._events(("Accepted", "RecoveryFinished"), vault_id, 0, self.latest().number)
        return next((str(event["event"]) for event in events[-1:] if event["args"]["version"] > since), None)

    def _history(self, vault_id: bytes, last: int, progress: Callable[[int, int], None] | None) -> History:
        """The events up to block ``last``, newest first asked for, oldest first given."""
        kinds = self._kinds([entry["name"] for entry in self._abi if entry["type"] == "event"])
        events: list[VaultEvent] = []
        first = last + 1
        try:
            for low, logs in self._newest_first([None, vault_id], 0, last):
                logs.sort(key=lambda log: (log["blockNumber"], log["logIndex"]))
                events[:0] = [self._event(log, kinds, vault_id) for log in logs]
                first = low
                if progress:
                    progress(last + 1 - low, last + 1)
                if events and events[0].name == "Created":
                    break
        except RequestRefused:  # a node without logs of before
            if first > last:
                raise
        return History(tuple(events), first)

    def _events(self, names: tuple[str, ...], vault_id: bytes, first: int, last: int) -> list[Any]:
        """A vault's events of these kinds in blocks ``first`` to ``last``, decoded, in the chain's order."""
        kinds = self._kinds(names)
        found = []
        for log in self._logs([list(kinds), vault_id], first, last):
            with self.node.asking():
                kind, vault = (bytes(topic) for topic in log["topics"][:2])
                if log["address"] != self.address or vault != vault_id or not first <= log["blockNumber"] <= last:
                    raise ValueError("a log that was not asked for")
                place = {name: to_number(log[name]) for name in ("blockNumber", "logIndex")}
                event = {"event": kinds[kind].name, "args": kinds[kind].decode(log)}
                found.append(event | place | {"transactionHash": bytes(log["transactionHash"])})
        return sorted(found, key=lambda event: (event["blockNumber"], event["logIndex"]))

    def _kinds(self, names: Iterable[str]) -> dict[bytes, Event]:
        """What decodes the events of these names, by their first topic."""
        entries = {entry["name"]: entry for entry in self._abi if entry["type"] == "event"}
        events = [Event(entries[name], self.node.web3.codec) for name in names]
        return {event.topic: event for event in events}

    def _logs(self, topics: list[Any], first: int, last: int) -> list[Any]:
        """Raw logs. Many nodes limit how many blocks or logs one request may cover: halve until they take it."""
        try:
            return self._asked_logs(topics, first, last)
        except RequestRefused:
            if last - first < _NARROWEST_RANGE:
                raise
        middle = (first + last) // 2
        return self._logs(topics, first, middle) + self._logs(topics, middle + 1, last)

    def _newest_first(self, topics: list[Any], first: int, last: int) -> Iterator[tuple[int, list[Any]]]:
        """The same range by range from the newest on, each with its first block, so that a caller may stop early.
        Raises RequestRefused where the node gives no more."""
        try:
            found = self._asked_logs(topics, first, last)
        except RequestRefused:
            if last - first < _NARROWEST_RANGE:
                raise
            middle = (first + last) // 2
            yield from self._newest_first(topics, middle + 1, last)
            yield from self._newest_first(topics, first, middle)
        else:
            yield first, found

    def _asked_logs(self, topics: list[Any], first: int, last: int) -> list[Any]:
        with self.node.asking():
            query: Any = {"address": self.address, "topics": topics, "fromBlock": first, "toBlock": last}
            return list(self._eth.get_logs(query))

    def _event(self, log: Any, kinds: dict[bytes, Any], vault_id: bytes) -> VaultEvent:
        with self.node.asking():
            if log["address"] != self.address or bytes(log["topics"][1]) != vault_id:
                raise ValueError("a log that was not asked for")
            kind = kinds[bytes(log["topics"][0])]
            if kind.name == "BaseURISet":  # as in a record: it may be no UTF-8
                version, uri = decode(["uint32", "bytes"], bytes(log["data"]))
                actor = str(checked_address(f"0x{bytes(log['topics'][2])[12:].hex()}"))
                values: dict[str, Any] = {"version": version, "baseURI": uri.decode(errors="replace")}
            else:
                values = kind.decode(log)
                actor = str(values.pop("actor"))
                del values["vaultId"]
            return VaultEvent(kind.name, actor, values, to_number(log["blockNumber"]), bytes(log["transactionHash"]))
