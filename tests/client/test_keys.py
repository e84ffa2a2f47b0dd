"""Holders' keys and envelopes, compared with X-Wing and HPKE put together by hand from their parts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import keys
from memsync_client.errors import InvalidCard, UnsupportedCryptography
from memsync_client.keyring import EpochKeys, Keyring, OwnerKeys, Role, Roster
from memsync_client.keys import HolderKey, PrivateKey, PublicKey, envelope_info, self_test
from memsync_client.memory_log import Frontier
from memsync_client.reading import Seen
from memsync_client.sealing import derive
from memsync_client.wallet import Wallet
from tests.client.material import OTHER_PLACES, PLACE, ROTATED, device, flipped, holder, roster, secret

KEY = holder("laptop").xwing
INFO = envelope_info(PLACE, 3, KEY.public.id)
ENVELOPE = KEY.public.enclose(INFO, b"the epoch's secret")


# X-Wing and HPKE by hand ----------------------------------------------------------------------------------------------


def parts_of(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """expandDecapsulationKey of draft-connolly-cfrg-xwing-kem: ML-KEM's d ‖ z, then the X25519 scalar."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def open_by_hand(seed: bytes, info: bytes, envelope: bytes) -> bytes:
    """RFC 9180, base mode, single shot: X-Wing (its combiner by hand), HKDF-SHA256 and AES-256-GCM."""
    ml_kem, x25519 = parts_of(seed)
    ct_ml, ct_x, sealed = envelope[:1_088], envelope[1_088:1_120], envelope[1_120:]
    ss_x = x25519.exchange(X25519PublicKey.from_public_bytes(ct_x))
    pk_x = x25519.public_key().public_bytes_raw()
    shared = hashlib.sha3_256(ml_kem.decapsulate(ct_ml) + ss_x + ct_x + pk_x + bytes.fromhex("5c2e2f2f5e5c")).digest()

    suite = b"HPKE" + bytes.fromhex("647a 0001 0002")

    def extract(salt: bytes, label: bytes, key: bytes) -> bytes:
        return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + key, "sha256").digest()

    def expand(key: bytes, label: bytes, info: bytes, size: int) -> bytes:
        labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        return hmac.new(key, labelled + b"\1", "sha256").digest()[:size]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    schedule = extract(shared, b"secret", b"")
    key, nonce = expand(schedule, b"key", context, 32), expand(schedule, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def test_enclose__opens_by_hand_from_the_seed() -> None:
    seed = secret("seed")
    assert open_by_hand(seed, INFO, PrivateKey(seed).public.enclose(INFO, b"plain")) == b"plain"
    with pytest.raises(InvalidTag):
        open_by_hand(seed, INFO + b"\0", PrivateKey(seed).public.enclose(INFO, b"plain"))


def test_private_key__expands_its_seed_as_x_wing_does() -> None:
    seed = secret("seed")
    ml_kem, x25519 = parts_of(seed)
    public = ml_kem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    assert PrivateKey(seed).public.raw == public
    assert PrivateKey(seed).public.id == hashlib.sha256(public).digest()


def test_private_key__of_the_drafts_first_test_vector__has_its_public_key() -> None:
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    raw = PrivateKey(seed).public.raw
    assert raw[:32].hex() == "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5"
    assert raw[-20:].hex() == "4570216223593d4ba32d9abac8cd049040ef6534"


def test_holder_key__one_key_for_one_purpose() -> None:
    own = secret("holder laptop")

    def expand(label: str) -> bytes:
        return hmac.new(own, b"memsync/v1/" + label.encode() + b"\1", "sha512").digest()[:32]

    key = HolderKey(own)
    assert key.xwing.public == PrivateKey(expand("holder/x-wing")).public
    assert (key.state_key, key.account_secret) == (expand("holder/state"), expand("holder/account"))
    assert key.export() == own


# Self-test ------------------------------------------------------------------------------------------------------------


def test_self_test__here__passes() -> None:
    self_test()


class _Raising:
    """A primitive that this build lacks."""

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedAlgorithm("not in this build")


class _Wrong:
    """HPKE that opens everything to the same wrong text."""

    def encrypt(self, *_: Any, **__: Any) -> bytes:
        return bytes(1_141)

    def decrypt(self, *_: Any, **__: Any) -> bytes:
        return b"prob3"


class _Closed(_Wrong):
    def decrypt(self, *_: Any, **__: Any) -> bytes:
        raise InvalidTag


class _OtherHash:
    """SHAKE-256 that computes SHAKE-128."""

    shake_256 = staticmethod(hashlib.shake_128)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_KNOWN_KEY_ID", "00" * 32),
        ("_KNOWN_DERIVED", "00" * 32),
        ("_KNOWN_SIGNED", "00" * 32),
        ("_KNOWN_SEALED", bytes(77)),
        ("_KNOWN_SEALED", b""),
        ("Ed25519PrivateKey", _Raising()),
        ("sign", lambda key, context, body: key.sign(body)),
        ("unseal_raw", lambda key, context, blob, what: bytearray(b"prob3")),
        ("derive", lambda key, label: hashlib.sha512(label.encode() + key).digest()[:32]),
        ("sha256", lambda data: hashlib.sha3_256(data).digest()),
        ("hashlib", _OtherHash),
        ("MLKEM768PrivateKey", _Raising()),
        ("MLKEM768PublicKey", _Raising()),
        ("_SUITE", _Raising()),
        ("_SUITE", _Wrong()),
        ("_SUITE", _Closed()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_self_test__with_anything_else__fails_closed(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    monkeypatch.setattr(keys, name, value)
    with pytest.raises(UnsupportedCryptography) as refused:
        self_test()
    assert "official wheels" in refused.value.next_step


# Public keys ----------------------------------------------------------------------------------------------------------


def test_public_key__is_equal_by_its_bytes() -> None:
    assert PublicKey(KEY.public.raw) == KEY.public
    assert hash(PublicKey(KEY.public.raw)) == hash(KEY.public)
    assert holder("phone").xwing.public != KEY.public


@pytest.mark.parametrize("size", [0, 32, 1_184, 1_215, 1_217, 2_432])
def test_public_key__of_another_length__is_refused(size: int) -> None:
    with pytest.raises(InvalidCard, match=f"has {size} bytes"):
        PublicKey((KEY.public.raw * 2)[:size])


# All X25519 points of low order (RFC 7748 §6.1 leads them to a zero secret), each with and without the unused top bit.
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("top", [0, 0x80])
@pytest.mark.parametrize("point", LOW_ORDER)
def test_public_key__with_an_x25519_half_of_low_order__is_refused(point: str, top: int) -> None:
    with pytest.raises(InvalidCard, match="malformed"):
        PublicKey(KEY.public.raw[:1_184] + flipped(bytes.fromhex(point), 31, top))


@pytest.mark.parametrize("coefficient", [0, 1, 255, 256, 766, 767])
@pytest.mark.parametrize("value", [3_329, 4_095])
def test_public_key__with_an_ml_kem_coefficient_not_below_q__is_refused(coefficient: int, value: int) -> None:
    """FIPS 203 §7.2: 12 bits a coefficient, two of them in three bytes."""
    raw = bytearray(KEY.public.raw)
    start = coefficient // 2 * 3
    pair = int.from_bytes(raw[start : start + 3], "little")
    shift = coefficient % 2 * 12
    pair = pair & ~(0xFFF << shift) | value << shift
    raw[start : start + 3] = pair.to_bytes(3, "little")
    with pytest.raises(InvalidCard, match="malformed"):
        PublicKey(bytes(raw))


# Envelopes ------------------------------------------------------------------------------------------------------------


def test_enclose__opens_for_its_holder_and_has_the_stated_size() -> None:
    assert KEY.open(INFO, ENVELOPE) == b"the epoch's secret"
    assert len(ENVELOPE) == len(b"the epoch's secret") + keys.ENVELOPE_OVERHEAD
    assert KEY.public.enclose(INFO, b"the epoch's secret") != ENVELOPE


def test_open__by_another_holder__gives_nothing() -> None:
    assert holder("phone").xwing.open(INFO, ENVELOPE) is None


@pytest.mark.parametrize(
    "info",
    [
        *(envelope_info(place, 3, KEY.public.id) for place in OTHER_PLACES.values()),
        envelope_info(PLACE, 2, KEY.public.id),
        envelope_info(PLACE, 3, holder("phone").xwing.public.id),
        PLACE.context("trailer", 3) + KEY.public.id,
        b"",
    ],
    ids=[*OTHER_PLACES, "epoch", "key id", "kind", "nothing"],
)
def test_open__with_another_info__gives_nothing(info: bytes) -> None:
    assert KEY.open(info, ENVELOPE) is None


def test_open__with_any_byte_changed_or_any_length__gives_nothing() -> None:
    assert [i for i in range(len(ENVELOPE)) if KEY.open(INFO, flipped(ENVELOPE, i)) is not None] == []
    assert [size for size in range(len(ENVELOPE)) if KEY.open(INFO, ENVELOPE[:size]) is not None] == []
    assert KEY.open(INFO, ENVELOPE + b"\0") is None


@given(st.binary(max_size=1_400))
@settings(max_examples=500, deadline=None)
def test_open__of_arbitrary_bytes__gives_nothing(data: bytes) -> None:
    assert KEY.open(INFO, data) is None


# What shows -----------------------------------------------------------------------------------------------------------


def shapes(value: bytes) -> list[str]:
    """How a secret could stand in a text."""
    numbers = [str(int.from_bytes(value, "big")), str(list(value)), str(tuple(value))[1:-1]]
    encoded = [base64.b64encode(value).decode().rstrip("="), base64.urlsafe_b64encode(value).decode().rstrip("=")]
    return [value.hex(), value.hex().upper(), repr(value)[2:-1], repr(bytearray(value))[12:-2], *numbers, *encoded]


def test_repr_and_str__of_whatever_holds_a_secret__show_none_of_it() -> None:
    own = secret("holder laptop")
    key = HolderKey(own)
    owner_secret, epoch_secret, import_key, old = (secret(name) for name in ("owner", "epoch", "import", "old"))
    owner = OwnerKeys(3, epoch_secret, secret("public"), owner_secret)
    linked = EpochKeys(2, old, secret("old public"))
    lines = Roster("the novel", import_key, (device(),), ROTATED)
    ring = Keyring(Role.DEVICE, datetime(2027, 1, 1, tzinfo=UTC), 1, owner, {2: linked}, (), lines)
    objects = [key, key.xwing, owner, owner.writer_key, linked, lines, ring, Wallet(own)]
    objects += [Seen(4, 4, secret("head"), 9, owner, Frontier()), [key], {"key": key}, (ring,), roster(device())]
    secrets = [own, owner_secret, epoch_secret, import_key, old, key.state_key, key.account_secret]
    secrets += [derive(own, "holder/x-wing"), derive(owner_secret, "owner/writer")]
    for shown in [text for item in objects for text in (repr(item), str(item), f"{item}", f"{item!r}")]:
        assert not [shape for value in secrets for shape in shapes(value) if shape in shown]


def test_repr__search_of_this_test__would_find_a_secret() -> None:
    own = secret("holder laptop")
    for shown in (repr(own), own.hex(), repr([own]), repr(bytearray(own)), f"{{'key': {own!r}}}"):
        assert any(shape in shown for shape in shapes(own))


def test_private_keys__have_no_attributes_to_be_dumped() -> None:
    for key in (holder("laptop"), holder("laptop").xwing):
        assert not hasattr(key, "__dict__")
