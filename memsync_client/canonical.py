"""Canonical CBOR with whitelisted types (RFC 8949 §4.2.1): one value, one encoding, and nothing else is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import cbor2

from .errors import Tampered

_MAX_DEPTH = 8


def encode(value: Any) -> bytes:
    """The canonical encoding of ``value``: None, bool, int (64 bit), bytes, str, list, dict with str keys."""
    _check(value, 0)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, what: str = "object") -> Any:
    """The value encoded in all of ``data``.

    Raises Tampered if ``data`` is not the canonical encoding of whitelisted types, or something follows it.
    """
    try:
        # Keys that are not text can be made to collide. What is refused here would not be encoded so again, either.
        value = cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
        _check(value, 0)
        whole = cbor2.dumps(value, canonical=True) == data
    except Exception:
        whole = False
    if not whole:
        raise Tampered(f"The {what} is not in canonical form.", "Do not use it; fetch it again from another copy.")
    return value


def list_head(count: int) -> bytes:
    """The first bytes of an encoded list of ``count`` items (below 2³²): those of the items follow."""
    if count < 24:
        return bytes((0x80 | count,))
    for kind, width in ((0x98, 1), (0x99, 2)):
        if count < 1 << 8 * width:
            return bytes((kind,)) + count.to_bytes(width, "big")
    return b"\x9a" + count.to_bytes(4, "big")


class _NoTags(dict[int, Callable[..., NoReturn]]):
    """Refuses any tag: some let a few bytes stand for gigabytes (25, 28)."""

    def __missing__(self, tag: int) -> Callable[..., NoReturn]:
        raise ValueError("tags are not allowed")


_NO_TAGS = _NoTags()


def _check(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    kind = type(value)
    if value is None or kind in (bool, bytes):
        return
    if kind is int:
        if not -(2**63) <= value < 2**64:
            raise ValueError("integer out of range")
    elif kind is str:
        value.encode("utf-8")
    elif kind is list:
        if value and depth == _MAX_DEPTH:
            raise ValueError("nested too deeply")  # byte strings are not looked at one by one
        for item in value:
            if type(item) is not bytes:
                _check(item, depth + 1)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise ValueError("a key is not text")
            _check(item, depth + 1)
    else:
        raise ValueError(f"type {kind.__name__} is not allowed")


def fields(value: Any, shape: dict[str, Any], what: str) -> dict[str, Any]:
    """``value`` as a map with exactly the keys of ``shape``, each of the type (or tuple of types) named there.

    Raises Tampered otherwise. ``bool`` never passes for ``int``.
    """
    if type(value) is not dict or value.keys() != shape.keys():
        raise Tampered(f"The {what} has missing or unknown fields.", "It may be of a newer version: update MemSync.")
    for key, types in shape.items():
        if type(value[key]) not in (types if isinstance(types, tuple) else (types,)):
            raise Tampered(f"Field {key!r} of the {what} has a wrong type.", "Do not use it.")
    return value
