"""Calls, answers and events of a contract as values, by its own interface (ABI).

web3's contracts keep the same rules, and take ten times as long for each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.codec import ABICodec
from eth_utils import event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.abi import collapse_if_tuple

from .addresses import checksummed, is_address


class Function:
    """A function by its entry in the interface. ``codec`` is web3's, which pads and cuts no bytes."""

    def __init__(self, entry: Any, codec: ABICodec) -> None:
        self._selector = bytes(function_abi_to_4byte_selector(entry))
        self._inputs = [collapse_if_tuple(part) for part in entry["inputs"]]
        self._outputs = entry["outputs"]
        self._codec = codec

    def encode(self, arguments: Sequence[Any]) -> bytes:
        """The data of a call. Raises what the codec raises over a wrong type, length or number of them, and ValueError
        for an address with a wrong checksum, which it takes."""
        for kind, value in zip(self._inputs, arguments, strict=True):
            if kind == "address" and not is_address(value):
                raise ValueError("not an address")
        return self._selector + self._codec.encode(self._inputs, arguments)

    def decode(self, answer: bytes) -> Any:
        """What the function returned: a value, or a tuple of several; of a struct a tuple. Raises DecodingError."""
        values = _decoded(self._codec, self._outputs, answer)
        return values[0] if len(values) == 1 else values


class Event:
    """An event by its entry in the interface; ``topic`` is the first of its logs."""

    def __init__(self, entry: Any, codec: ABICodec) -> None:
        self.name: str = entry["name"]
        self.topic = bytes(event_abi_to_log_topic(entry))
        self._indexed = [part for part in entry["inputs"] if part["indexed"]]
        self._others = [part for part in entry["inputs"] if not part["indexed"]]
        self._codec = codec

    def decode(self, log: Any) -> dict[str, Any]:
        """The values of a raw log by their names. Raises ValueError or DecodingError for one of another event."""
        first, *topics = (bytes(topic) for topic in log["topics"])
        if first != self.topic or len(topics) != len(self._indexed):
            raise ValueError("a log of another event")
        values = {
            part["name"]: _decoded(self._codec, [part], topic)[0]
            for part, topic in zip(self._indexed, topics, strict=True)
        }
        found = _decoded(self._codec, self._others, bytes(log["data"]))
        return values | {part["name"]: value for part, value in zip(self._others, found, strict=True)}


def _decoded(codec: ABICodec, parts: Sequence[Any], data: bytes) -> tuple[Any, ...]:
    values = codec.decode([collapse_if_tuple(part) for part in parts], data)
    return tuple(_with_checksums(part, value) for part, value in zip(parts, values, strict=True))


def _with_checksums(part: Any, value: Any) -> Any:
    if part["type"] == "address":
        return checksummed(value)
    if part["type"] == "tuple":
        return tuple(_with_checksums(inner, each) for inner, each in zip(part["components"], value, strict=True))
    return value
