"""Canonical CBOR: one value, one encoding, and nothing else is read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.errors import Tampered

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
).filter(lambda value: depth_of(value) <= 8)


def depth_of(value: Any) -> int:
    inner = value.values() if type(value) is dict else value if type(value) is list else []
    return max((1 + depth_of(item) for item in inner), default=0)


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_decode__of_an_encoding__gives_the_value(value: Any) -> None:
    assert canonical.decode(canonical.encode(value)) == value


# RFC 8949, appendix A.
@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000, "1a000f4240"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"", "40"),
        (b"\x01\x02\x03\x04", "4401020304"),
        ("", "60"),
        ("IETF", "6449455446"),
        ("\u6c34", "63e6b0b4"),
        ([], "80"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({}, "a0"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        (["a", {"b": "c"}], "826161a161626163"),
    ],
)
def test_encode__of_the_examples_of_the_rfc__gives_their_bytes(value: Any, encoding: str) -> None:
    assert canonical.encode(value).hex() == encoding
    assert canonical.decode(bytes.fromhex(encoding)) == value


def test_encode__of_a_map__sorts_by_encoded_key() -> None:
    assert (
        canonical.encode({"aa": 0, "b": 0}) == canonical.encode({"b": 0, "aa": 0}) == bytes.fromhex("a261620062616100")
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.0, "type float"),
        (float("nan"), "type float"),
        ([[1.5]], "type float"),
        ((1,), "type tuple"),
        ({1, 2}, "type set"),
        (bytearray(b"a"), "type bytearray"),
        ({1: 2}, "a key is not text"),
        ({b"a": 1}, "a key is not text"),
        ("\ud800", "surrogates not allowed"),
        ({"\ud800": 1}, "surrogates not allowed"),
        (2**64, "integer out of range"),
        (-(2**63) - 1, "integer out of range"),
        ([[[[[[[[[None]]]]]]]]], "nested too deeply"),
    ],
    ids=ascii,
)
def test_encode__of_a_type_that_is_not_whitelisted__is_refused(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical.encode(value)


NOT_CANONICAL = {
    "nothing": "",
    "trailing byte": "f600",
    "two values": "8080",
    "cut head": "19",
    "cut text": "6261",
    "cut list": "8201",
    "cut map": "a16161",
    "list of no stated length": "9f01ff",
    "map of no stated length": "bf616101ff",
    "bytes of no stated length": "5f4101ff",
    "text of no stated length": "7f6161ff",
    "break alone": "ff",
    "0 in two bytes": "1800",
    "24 in three bytes": "190018",
    "256 in five bytes": "1a00000100",
    "65536 in nine bytes": "1b0000000000010000",
    "-1 in two bytes": "3800",
    "long length of bytes": "580100",
    "long length of text": "780161",
    "long length of a list": "980101",
    "long length of a map": "b801616101",
    "unsorted keys": "a2616200616100",
    "longer key first": "a262616100616200",
    "key twice": "a2616100616100",
    "key twice, other value": "a2616100616101",
    "number as key": "a10000",
    "bytes as key": "a1416100",
    "list as key": "a18000",
    "half float": "f93c00",
    "single float": "fa47c35000",
    "double float": "fb3ff199999999999a",
    "not a number": "f97e00",
    "infinity": "f97c00",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "true in two bytes": "f815",
    "reserved head": "1c",
    "time as text": "c074323031332d30332d32315432303a30343a30305a",
    "time as number": "c11a514b67b0",
    "small number as bignum": "c24101",
    "2^64 as bignum": "c249010000000000000000",
    "negative bignum": "c349010000000000000000",
    "decimal fraction": "c48221196ab3",
    "bigfloat": "c5822003",
    "shared value": "d81c80",
    "list that holds itself": "d81c81d81d00",
    "reference to a text": "d90100826161d81900",
    "set": "d9010280",
    "unknown tag": "d90999f6",
    "CBOR's own tag": "d9d9f7f6",
    "number below 64 bits": "3b8000000000000000",
    "text that is not UTF-8": "61ff",
    "text with a lone surrogate": "63eda080",
    "16 MB of bytes declared": "5a01000000",
    "2^62 bytes declared": "5b4000000000000000",
    "2^63 bytes declared": "5b8000000000000000",
    "2^62 bytes of text declared": "7b4000000000000000",
    "2^32 items declared": "9b0000000100000000",
    "2^64 - 1 items declared": "9bffffffffffffffff",
    "2^64 - 1 pairs declared": "bbffffffffffffffff",
    "nine lists deep": "81" * 9 + "f6",
    "nine lists deep, a byte string in the last": "81" * 9 + "40",
    "nine maps deep": "a16161" * 9 + "f6",
    "100,000 lists deep": "81" * 100_000 + "f6",
    "100,000 tags deep": "c1" * 100_000 + "f6",
}


@pytest.mark.parametrize("encoding", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_decode__of_another_form__is_refused(encoding: str) -> None:
    with pytest.raises(Tampered) as refused:
        canonical.decode(bytes.fromhex(encoding), "head")
    assert refused.value.cause == "The head is not in canonical form."


def test_decode__at_the_greatest_depth__is_accepted() -> None:
    assert canonical.decode(bytes.fromhex("81" * 8 + "f6")) == [[[[[[[[None]]]]]]]]


# A tag for shared values lets each level hold the one below twenty times; one for texts named again lets three bytes
# stand for 65,000; numbers of more than 64 bits, as keys, can be chosen to collide. In a process of its own: unguarded,
# these take hours, 19 GB, and minutes.
BOMBS = """
import resource
from memsync_client import canonical
from memsync_client.errors import Tampered

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
levels = [bytes([0xD8, 28, 0x94]) + b"\\xf6" * 20]
levels += [bytes([0xD8, 28, 0x94]) + bytes([0xD8, 29, below]) * 20 for below in range(7)]
nested = bytes([0x80 | len(levels)]) + b"".join(levels)
text = b"\\x79" + (65_000).to_bytes(2) + b"x" * 65_000
repeated = b"\\xd9\\x01\\x00\\x9a" + (300_001).to_bytes(4) + text + b"\\xd8\\x19\\x00" * 300_000
keys = [((2**70 + k) * (2**61 - 1)).to_bytes(17) for k in range(50_000)]
colliding = b"\\xba" + len(keys).to_bytes(4) + b"".join(b"\\xc2\\x51" + key + b"\\xf6" for key in keys)
for bomb in (nested, repeated, colliding):
    try:
        canonical.decode(bomb)
    except Tampered:
        print("refused")
"""


def test_decode__of_little_that_stands_for_much__is_refused_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * 3), done.stderr[-2000:]


def decoded_or_tampered(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except Tampered:
        return
    assert canonical.encode(value) == data


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_decode__of_any_bytes__is_canonical_or_refused(data: bytes) -> None:
    decoded_or_tampered(data)


@given(VALUES.map(canonical.encode), st.data())
@settings(max_examples=1000, deadline=None)
def test_decode__of_a_changed_encoding__is_canonical_or_refused(encoding: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(encoding) - 1))
    cut = data.draw(st.integers(0, 2))
    decoded_or_tampered(encoding[:at] + data.draw(st.binary(max_size=3)) + encoding[at + cut :])


SHAPE = {"number": int, "text": (str, type(None))}


@pytest.mark.parametrize("value", [{"number": 1, "text": "a"}, {"number": 0, "text": None}])
def test_fields__of_the_shape__gives_the_map(value: dict[str, Any]) -> None:
    assert canonical.fields(value, SHAPE, "head") is value


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ({"number": 1}, "The head has missing or unknown fields."),
        ({"number": 1, "text": "a", "more": None}, "The head has missing or unknown fields."),
        ({}, "The head has missing or unknown fields."),
        ([], "The head has missing or unknown fields."),
        (None, "The head has missing or unknown fields."),
        ({"number": "1", "text": "a"}, "Field 'number' of the head has a wrong type."),
        ({"number": True, "text": "a"}, "Field 'number' of the head has a wrong type."),
        ({"number": 1, "text": b"a"}, "Field 'text' of the head has a wrong type."),
    ],
    ids=repr,
)
def test_fields__of_another_shape__is_refused(value: Any, cause: str) -> None:
    with pytest.raises(Tampered) as refused:
        canonical.fields(value, SHAPE, "head")
    assert refused.value.cause == cause


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 65_535, 65_536])
def test_list_head__and_the_items_encodings__are_the_list_encoded(count: int) -> None:
    assert canonical.list_head(count) + canonical.encode(7) * count == canonical.encode([7] * count)
