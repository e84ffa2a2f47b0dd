"""Key holders' keys: X-Wing pairs from a 32-byte seed, their ids, and envelopes to them. Pure.

Sources: X-Wing is draft-connolly-cfrg-xwing-kem (ML-KEM-768 of FIPS 203 with X25519, IANA KEM 0x647A); envelopes are
HPKE base mode, RFC 9180, single shot, with everything that is bound inside ``info`` (its §8.1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from .errors import InvalidCard, Tampered, UnsupportedCryptography
from .sealing import SECRET_BYTES, HoldsSecret, Place, derive, sha256, sign, unseal_raw

PUBLIC_KEY_BYTES = 1_216
KEY_ID_BYTES = 32
ENCAPSULATION_BYTES = 1_120
ENVELOPE_OVERHEAD = ENCAPSULATION_BYTES + 16
_MLKEM_PUBLIC = 1_184

_SUITE: Any
try:
    _SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
except (AttributeError, UnsupportedAlgorithm):
    _SUITE = None  # of a build without ML-KEM: `self_test` says so


@dataclass(frozen=True)
class PublicKey:
    """An X-Wing public key, 1,216 bytes: ML-KEM-768 (1,184) ‖ X25519 (32). Raises InvalidCard if malformed."""

    raw: bytes
    _key: hpke.MLKEM768X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_KEY_BYTES:
            raise InvalidCard(
                f"A public key has {len(self.raw)} bytes instead of {PUBLIC_KEY_BYTES:,}.", "Ask for it again."
            )
        try:
            key = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.raw[:_MLKEM_PUBLIC]),
                X25519PublicKey.from_public_bytes(self.raw[_MLKEM_PUBLIC:]),
            )
            _SUITE.encrypt(b"", key)  # a low-order X25519 half fails here, not when a keyring is made
        except ValueError:
            raise InvalidCard("A public key is malformed.", "Ask its holder for a new card.") from None
        object.__setattr__(self, "_key", key)

    @property
    def id(self) -> bytes:
        """SHA-256 of the key, 32 bytes; on chain a grant carries its first 20."""
        return sha256(self.raw)

    def enclose(self, info: bytes, plain: bytes) -> bytes:
        """An envelope of ``plain`` that only the holder of the private key opens: 1,136 bytes more than ``plain``."""
        return bytes(_SUITE.encrypt(plain, self._key, info=info))


class PrivateKey(HoldsSecret):
    """An X-Wing private key expanded from its seed (32 bytes). Its ``repr`` shows nothing."""

    __slots__ = ("_key", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        expanded = hashlib.shake_256(seed).digest(96)
        ml_kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = hpke.MLKEM768X25519PrivateKey(ml_kem, x25519)
        self._seed = seed
        self.public = PublicKey(ml_kem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def open(self, info: bytes, envelope: bytes) -> bytes | None:
        """What an envelope holds, or None if it is not for this key and this ``info``."""
        try:
            return bytes(_SUITE.decrypt(envelope, self._key, info=info))
        except (InvalidTag, ValueError):
            return None

    def __repr__(self) -> str:
        return "PrivateKey(…)"


class HolderKey(HoldsSecret):
    """The one secret of a key holder (32 random bytes) and what is derived from it, one key for one purpose."""

    __slots__ = ("_secret", "xwing")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.xwing = PrivateKey(derive(secret, "holder/x-wing"))

    @property
    def state_key(self) -> bytes:
        """Seals what this holder keeps on its own disk (32 bytes)."""
        return derive(self._secret, "holder/state")

    @property
    def account_secret(self) -> bytes:
        """The private key (32 bytes) of a reader's own address, made for one vault alone."""
        return derive(self._secret, "holder/account")

    def export(self) -> bytes:
        """The secret itself, to be sealed into a key file."""
        return self._secret

    def __repr__(self) -> str:
        return "HolderKey(…)"


@dataclass(frozen=True)
class Anchor:
    """What a keyring must follow from: one epoch's writer key and check value (32 bytes each). Neither is secret."""

    epoch: int
    writer_public: bytes
    check: bytes


def envelope_info(place: Place, epoch: int, key_id: bytes) -> bytes:
    """What an envelope is bound to: chain, registry, vault, epoch, suite, and the key id of its holder."""
    return place.context("envelope", epoch) + key_id


def self_test() -> None:
    """One known answer a primitive; raises UnsupportedCryptography if the build lacks one or computes another.

    All keys and seeds are 32 bytes 0x01. The X-Wing pair is checked by its key id and by a round trip.
    """
    seed = b"\x01" * SECRET_BYTES
    try:
        key = PrivateKey(seed)
        answers: tuple[object, ...] = (
            key.public.id.hex(),
            derive(seed, "probe").hex(),
            sha256(sign(Ed25519PrivateKey.from_private_bytes(seed), b"info", b"probe")).hex(),
            key.open(b"info", key.public.enclose(b"info", b"probe")),
            bytes(unseal_raw(seed, b"info", _KNOWN_SEALED, "probe")),
        )
    except (UnsupportedAlgorithm, AttributeError, InvalidCard) as error:
        raise UnsupportedCryptography(
            f"This build of the cryptography package lacks a primitive ({type(error).__name__}).",
            "Install cryptography 50 or newer from its official wheels.",
        ) from None
    except Tampered:
        answers = ()
    if answers != (_KNOWN_KEY_ID, _KNOWN_DERIVED, _KNOWN_SIGNED, b"probe", b"probe"):
        raise UnsupportedCryptography(
            "This build of the cryptography package fails the self-test.", "Install it again from its official wheels."
        )


_KNOWN_KEY_ID = "f37b99b2db732a7df55f61fa442606133b1aeea462df9f8225fb5c82674523db"
_KNOWN_DERIVED = "e3dc349b2b7e42a7fd9ca9c0b6840d9932cc2463a36c65a24988c250568ef60f"
_KNOWN_SIGNED = "a412c82f91d548c28ef5761d57483530126ce5882eba36ec28362430ad489b0c"
_KNOWN_SEALED = bytes.fromhex(
    "eacee3e1621a338a4cbd9a3086cc831146e8833bafea3bad53939525091aa560b6e6685e187ca259"
    "5a4bab66cdad98f9e8e36a5228a54caa9cda6106609011400e44fd635fb950e71d664bd2b9"
)
