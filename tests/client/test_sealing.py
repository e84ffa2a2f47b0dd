"""Sealed objects: what opens, and that nothing else does."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import sealing
from memsync_client.errors import Tampered
from memsync_client.sealing import Place
from tests.client.material import OTHER_PLACES, PLACE, flipped, secret

KEY = secret("key")
CONTEXT = PLACE.context("pack", 3)
BODY = b"Ines is left-handed."
BLOB = sealing.seal(KEY, CONTEXT, BODY)
SIGNER = Ed25519PrivateKey.from_private_bytes(secret("signer"))
SIGNER_PUBLIC = SIGNER.public_key().public_bytes_raw()


def opens(blob: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bool:
    try:
        return sealing.unseal(key, context, blob, "pack") == BODY
    except Tampered:
        return False


# Sizes ----------------------------------------------------------------------------------------------------------------


def padded_by_the_paper(size: int) -> int:
    """Powers of two up to 64 KiB; above, Padmé in arithmetic: as many significant bits as its exponent has digits."""
    if size <= 65_536:
        return next(power for power in (2_048, 4_096, 8_192, 16_384, 32_768, 65_536) if size <= power)
    exponent = math.frexp(size)[1] - 1
    step = 2 ** (exponent - math.frexp(exponent)[1])
    return math.ceil(size / step) * step


def test_padded_size__of_all_sizes__is_that_of_the_paper() -> None:
    around = [2**exponent + off for exponent in range(17, 31) for off in range(-3, 4)]
    for size in [*range(140_000), *range(960_000, 1_010_000), *around]:
        assert sealing.padded_size(size) == padded_by_the_paper(size), size


def test_padded_size__above_64_kib__wastes_at_most_12_percent_and_never_shrinks() -> None:
    sizes = [sealing.padded_size(size) for size in range(65_537, 1_000_001)]
    assert sizes == sorted(sizes)
    assert all(size <= padded <= 1.12 * size for size, padded in enumerate(sizes, 65_537))


def test_padded_size__of_a_padded_size__is_the_same() -> None:
    for size in range(0, 300_000, 7):
        assert sealing.padded_size(sealing.padded_size(size)) == sealing.padded_size(size)


@pytest.mark.parametrize("plain", [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 65_536, 983_040])
def test_sealed_size__is_what_sealing_gives(plain: int) -> None:
    blob = sealing.seal_raw(KEY, CONTEXT, bytes(plain))
    assert len(blob) == sealing.sealed_size(plain)
    assert sealing.unseal_raw(KEY, CONTEXT, blob, "blob") == bytes(plain)


@pytest.mark.parametrize("limit", [98_304, 262_144, 1_000_000])
def test_max_body__fits_and_one_byte_more_does_not(limit: int) -> None:
    largest = sealing.max_body(limit)
    assert len(sealing.seal(KEY, CONTEXT, bytes(largest))) <= limit
    assert len(sealing.seal(KEY, CONTEXT, bytes(largest + 1))) > limit


# The length of a body takes 4 bytes of the padded size.
@pytest.mark.parametrize(
    ("body", "padded"),
    [(0, 2_048), (2_044, 2_048), (2_045, 4_096), (4_092, 4_096), (65_532, 65_536), (65_533, 67_584), (67_581, 69_632)],
)
def test_seal__at_a_boundary__pads_to_the_size_and_opens(body: int, padded: int) -> None:
    blob = sealing.seal(KEY, CONTEXT, b"\xff" * body)
    assert len(blob) == sealing.sealed_size(padded)
    assert sealing.unseal(KEY, CONTEXT, blob, "pack") == b"\xff" * body


def test_seal__with_a_size__has_it_whatever_the_body() -> None:
    sizes = {len(sealing.seal(KEY, CONTEXT, bytes(body), size=5_000)) for body in (0, 1, 4_996)}
    assert sizes == {sealing.sealed_size(5_000)}
    with pytest.raises(ValueError, match="does not fit"):
        sealing.seal(KEY, CONTEXT, bytes(4_997), size=5_000)


@given(st.binary(max_size=3_000))
@settings(max_examples=200, deadline=None)
def test_unseal__of_any_body__gives_it_back(body: bytes) -> None:
    assert sealing.unseal(KEY, CONTEXT, sealing.seal(KEY, CONTEXT, body), "pack") == body


def test_seal__of_one_body_twice__differs() -> None:
    assert sealing.seal(KEY, CONTEXT, BODY)[:56] != sealing.seal(KEY, CONTEXT, BODY)[:56]


# What does not open ---------------------------------------------------------------------------------------------------


def test_seal__of_a_body_in_parts__opens_to_the_whole() -> None:
    parts = (BODY[:5], memoryview(BODY)[5:], b"")
    assert opens(sealing.seal(KEY, CONTEXT, *parts))
    assert len(sealing.seal(KEY, CONTEXT, *parts)) == len(BLOB)


def test_sha256__of_a_blob__is_that_of_its_bytes_and_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blob, right = sealing.Blob(BLOB), hashlib.sha256(BLOB).digest()
    assert blob == BLOB
    assert sealing.sha256(blob) == right
    monkeypatch.setattr(hashlib, "sha256", None)
    assert sealing.sha256(blob) == right
    with pytest.raises(TypeError):
        sealing.sha256(bytes(blob))


def test_unseal__with_any_bit_of_the_blob_changed__is_refused() -> None:
    assert opens(BLOB)
    assert [(i, bit) for i in range(len(BLOB)) for bit in range(8) if opens(flipped(BLOB, i, 1 << bit))] == []


def test_unseal__of_every_truncation__is_refused() -> None:
    assert [size for size in range(len(BLOB)) if opens(BLOB[:size])] == []


def test_unseal__of_several_chunks_cut_or_exchanged__is_refused() -> None:
    plain = bytes((4).to_bytes(4, "big") + b"body").ljust(3 * 16_384, b"\0")
    blob = sealing.seal_raw(KEY, CONTEXT, plain)
    assert sealing.unseal(KEY, CONTEXT, blob, "pack") == b"body"
    starts = [56 + i * (16_384 + 16) for i in range(4)]
    head, chunks = blob[:56], [blob[start : start + 16_400] for start in starts]
    whole = [head, *chunks]
    broken = [whole[:i] + whole[i + 1 :] for i in range(5)]  # one left out
    broken += [[head, chunks[1], chunks[0], *chunks[2:]], [*whole, chunks[3]], [head, *chunks[:3], chunks[2]]]
    cuts = [size for start in [*starts, len(blob)] for size in range(start - 18, start + 18) if size < len(blob)]
    for other in [b"".join(parts) for parts in broken] + [blob[:size] for size in cuts]:
        with pytest.raises(Tampered):
            sealing.unseal(KEY, CONTEXT, other, "pack")


@pytest.mark.parametrize("tail", [b"\0", bytes(16), bytes(16_400), BLOB, BLOB[56:]], ids=len)
def test_unseal__with_bytes_behind__is_refused(tail: bytes) -> None:
    assert not opens(BLOB + tail)


@pytest.mark.parametrize("place", OTHER_PLACES.values(), ids=OTHER_PLACES.keys())
def test_unseal__at_another_place__is_refused(place: Place) -> None:
    assert not opens(BLOB, context=place.context("pack", 3))


@pytest.mark.parametrize(("kind", "epoch"), [("pack", 2), ("pack", 4), ("pack", 3 << 8), ("head", 3), ("packs", 3)])
def test_unseal__as_another_kind_or_epoch__is_refused(kind: str, epoch: int) -> None:
    assert not opens(BLOB, context=PLACE.context(kind, epoch))


def test_unseal__of_another_suite__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SUITE", sealing.SUITE + 1)
    assert not opens(BLOB, context=PLACE.context("pack", 3))


@pytest.mark.parametrize("key", [flipped(KEY, 0), flipped(KEY, 31, 0x80), KEY[:31], KEY + b"\0", b""], ids=len)
def test_unseal__with_another_key__is_refused(key: bytes) -> None:
    assert not opens(BLOB, key=key)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\0",
        b"\0\0\0",
        (1).to_bytes(4, "big"),
        (2**32 - 1).to_bytes(4, "big") + bytes(2_044),
        (2_045).to_bytes(4, "big") + bytes(2_044),
        (4).to_bytes(4, "big") + b"body" + b"\1" + bytes(2_039),
        (4).to_bytes(4, "big") + b"body" + bytes(2_039) + b"\1",
        (3).to_bytes(4, "big") + b"body" + bytes(2_040),
    ],
    ids=[
        "nothing",
        "1 byte",
        "3 bytes",
        "length without body",
        "length of 4 GiB",
        "length one too large",
        "first byte of the padding",
        "last byte of the padding",
        "length one too small",
    ],
)
def test_unseal__of_wrong_padding_under_the_right_key__is_refused(plain: bytes) -> None:
    with pytest.raises(Tampered, match="pack is padded wrongly"):
        sealing.unseal(KEY, CONTEXT, sealing.seal_raw(KEY, CONTEXT, plain), "pack")


@given(st.binary(max_size=4_000) | st.binary(max_size=2_200).map(lambda tail: BLOB[:56] + tail))
@settings(max_examples=500, deadline=None)
def test_unseal__of_arbitrary_bytes__raises_tampered_only(data: bytes) -> None:
    with pytest.raises(Tampered):
        sealing.unseal(KEY, CONTEXT, data, "pack")


def test_unseal__refused__names_the_object_and_shows_neither_key_nor_text() -> None:
    with pytest.raises(Tampered) as refused:
        sealing.unseal(KEY, CONTEXT, BLOB[:-1], "third pack")
    assert "third pack" in refused.value.cause
    assert refused.value.next_step
    assert refused.value.__cause__ is None
    assert all(part not in repr(refused.value) for part in (KEY.hex(), repr(KEY)[2:-1], BODY.decode()))


# Contexts and derived keys --------------------------------------------------------------------------------------------

PLACES = st.builds(
    Place,
    st.integers(1, 2**64) | st.just(2**256 - 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
)
KINDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=12)
BOUND = st.tuples(PLACES, KINDS, st.integers(0, 2**32 - 1))


def test_context__has_every_field_at_its_offset() -> None:
    assert PLACE.context("pack", 3) == (
        b"memsync/v1/pack\0\1" + (31_337).to_bytes(32, "big") + b"\xa1" * 20 + b"\xb2" * 32 + b"\0\0\0\3"
    )


@given(BOUND, BOUND)
@settings(max_examples=300, deadline=None)
def test_context__of_two_places__is_equal_only_if_they_are(one: tuple, other: tuple) -> None:
    context = one[0].context(*one[1:])
    assert (context == other[0].context(*other[1:])) == (one == other)
    for changed in (
        replace(one[0], chain_id=one[0].chain_id - 1),
        replace(one[0], registry=flipped(one[0].registry, 19)),
        replace(one[0], vault_id=flipped(one[0].vault_id, 0)),
    ):
        assert changed.context(*one[1:]) != context


def test_derive__is_hkdf_expand_of_rfc_5869_with_sha_512() -> None:
    by_hand = hmac.new(KEY, b"memsync/v1/epoch/pack\x01", hashlib.sha512).digest()[:32]
    assert sealing.derive(KEY, "epoch/pack") == by_hand
    assert len({sealing.derive(KEY, label) for label in ("epoch/pack", "epoch/head", "epoch/pac")}) == 3


# Signatures -----------------------------------------------------------------------------------------------------------


def signed(body: bytes = BODY, context: bytes = CONTEXT, signature: bytes | None = None, key: bytes = SIGNER_PUBLIC):
    sealing.verify(key, context, body, sealing.sign(SIGNER, CONTEXT, BODY) if signature is None else signature, "head")


def test_verify__accepts_what_was_signed() -> None:
    signed()


@pytest.mark.parametrize(
    "other",
    [
        {"body": BODY + b"\0"},
        {"body": b""},
        {"context": PLACE.context("head", 3)},
        {"context": PLACE.context("pack", 4)},
        {"context": CONTEXT + b"\0"},
        {"key": Ed25519PrivateKey.from_private_bytes(secret("other")).public_key().public_bytes_raw()},
        {"key": b""},
        {"key": SIGNER_PUBLIC[:31]},
        {"key": SIGNER_PUBLIC + b"\0"},
        {"key": b"\xff" * 32},
        {"signature": b""},
        {"signature": bytes(64)},
        {"signature": sealing.sign(SIGNER, CONTEXT, BODY)[:63]},
        {"signature": sealing.sign(SIGNER, CONTEXT, BODY) + b"\0"},
        {"signature": SIGNER.sign(BODY)},
        {"signature": SIGNER.sign(sealing.sha256(BODY))},
        {"signature": SIGNER.sign(CONTEXT + BODY)},
    ],
    ids=str,
)
def test_verify__of_anything_else__is_refused(other: dict) -> None:
    with pytest.raises(Tampered, match="not signed by the vault's writer key"):
        signed(**other)


def test_verify__with_any_byte_of_the_signature_changed__is_refused() -> None:
    signature = sealing.sign(SIGNER, CONTEXT, BODY)
    for position in range(64):
        with pytest.raises(Tampered):
            signed(signature=flipped(signature, position))


def test_verify__with_the_group_order_added__is_refused() -> None:
    """RFC 8032 wants S below the order; else each signature had a second form."""
    signature = sealing.sign(SIGNER, CONTEXT, BODY)
    order = 2**252 + 27742317777372353535851937790883648493
    larger = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(Tampered):
        signed(signature=signature[:32] + larger.to_bytes(32, "little"))
