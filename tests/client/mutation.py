"""How valid objects are changed for fuzzing: their bytes, or the values in them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from memsync_client import canonical

_EDGES = [0, 1, -1, 23, 24, 2**8, 2**16, 2**31, 2**32 - 1, 2**32, 2**40 - 2, 2**40 - 1, 2**53, 2**63 - 1, 2**63]
_NUMBERS = st.sampled_from([*_EDGES, 2**64 - 1, -(2**63), 253_402_300_800, -62_135_596_801]) | st.integers(
    -(2**63), 2**64 - 1
)
_BYTES = st.binary(max_size=40) | st.sampled_from([bytes(16), bytes(20), bytes(32), bytes(1_216), b"\xff" * 1_216])
_LEAVES = st.none() | st.booleans() | _NUMBERS | _BYTES | st.text(max_size=20)
VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def changed_value(draw: st.DrawFn, value: Any) -> Any:
    """``value`` with one place in it changed, or all of it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 7)):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: item for name, item in value.items() if name != key}
        return draw(
            changed_value(value[key]).map(lambda item: value | {key: item})
            | st.just(rest)
            | st.tuples(st.text(max_size=8), VALUES).map(lambda pair: value | {pair[0]: pair[1]})
        )
    if isinstance(value, list) and draw(st.integers(0, 7)):
        at = draw(st.integers(0, max(len(value) - 1, 0)))
        one = value[at : at + 1]
        edits = [VALUES.map(lambda item: [*value[:at], item, *value[at:]])]
        if value:
            edits += [changed_value(one[0]).map(lambda item: [*value[:at], item, *value[at + 1 :]])] * 4
            edits += [st.just(value[:at] + value[at + 1 :]), st.just(value + one), st.just(value[::-1])]
        return draw(st.one_of(edits))
    if type(value) in (bytes, str) and value and draw(st.booleans()):
        return draw(st.sampled_from([value[:-1], value + value[:1], value[:0], value[::-1]]))
    if type(value) is int and draw(st.booleans()):
        return value + draw(st.sampled_from([-1, 1]))
    return draw(VALUES)


@st.composite
def changed_encoding(draw: st.DrawFn, value: Any) -> bytes:
    """The canonical encoding of a changed ``value``, now and then with its bytes changed too."""
    for _ in range(draw(st.integers(1, 3))):
        value = draw(changed_value(value))
    try:
        data = canonical.encode(value)
    except ValueError:  # out of the range of what can be written
        data = canonical.encode(draw(_LEAVES.filter(_writable)))
    return draw(changed_bytes(data)) if draw(st.integers(0, 4)) == 0 else data


def _writable(value: Any) -> bool:
    try:
        canonical.encode(value)
    except ValueError:
        return False
    return True


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with a few bytes flipped, left out, put in, doubled or cut off; seldom unchanged."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 16, 32, 64, 1_264, 2_120])))
        flipped = bytes(byte ^ draw(st.integers(0, 255)) for byte in data[start : min(end, start + 2)])
        new = [b"", data[start:end] * 2, flipped + data[start + 2 : end], draw(st.binary(max_size=40))]
        middle = draw(st.sampled_from(new))
        rest = data[end:] if draw(st.integers(0, 9)) else b""
        data = data[:start] + middle + rest
    return data
