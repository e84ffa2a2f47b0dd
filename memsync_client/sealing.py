"""Sealed objects: Cobblestone-256 with bound contexts, padding, and signatures inside. Pure; all cryptography is
the ``cryptography`` package's.

Sources: Cobblestone is c2sp.org/chunked-encryption with AES-256-GCM; HKDF-Expand is RFC 5869 §2.3 with SHA-512;
signatures are Ed25519, RFC 8032; Padmé is Nikitin et al., PETS 2019.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, SupportsIndex

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .errors import Tampered

SUITE = 1  # X-Wing, HKDF-SHA256, AES-256-GCM; Cobblestone-256; HKDF-Expand-SHA512; Ed25519
SECRET_BYTES = 32
SIGNATURE_BYTES = 64
MAX_BLOB = 1_000_000
_LENGTH_BYTES = 4
_CHUNK = 16_384
_HEADER = 56  # 24 bytes of salt and 32 of key commitment
_TAG = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed object belongs: chain id, registry (20 bytes), vault id (32 bytes)."""

    chain_id: int
    registry: bytes
    vault_id: bytes

    def context(self, kind: str, epoch: int) -> bytes:
        """The bytes that bind an object to its place, kind, epoch (u32) and suite; fixed length after the kind."""
        return b"".join(
            (
                b"memsync/v1/",
                kind.encode("ascii"),
                bytes((0, SUITE)),
                self.chain_id.to_bytes(32, "big"),
                self.registry,
                self.vault_id,
                epoch.to_bytes(4, "big"),
            )
        )


class HoldsSecret:
    """What holds a secret: neither pickled nor copied, so that it comes into no file that nobody thought of."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret and can't be pickled")


class Blob(bytes):
    """Bytes of up to a megabyte that are hashed once, whoever asks for their hash. What comes from a host or a disk is
    never one of these: its bytes have to show for themselves."""

    @cached_property
    def hash(self) -> bytes:
        """SHA-256, 32 bytes."""
        return hashlib.sha256(self).digest()


def sha256(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of ``data``, 32 bytes."""
    return data.hash if isinstance(data, Blob) else hashlib.sha256(data).digest()


def derive(secret: bytes, label: str) -> bytes:
    """A key for one purpose: 32 bytes of HKDF-Expand-SHA512 over a uniformly random ``secret``."""
    return HKDFExpand(SHA512(), SECRET_BYTES, b"memsync/v1/" + label.encode("ascii")).derive(secret)


def padded_size(size: int) -> int:
    """The padded size for ``size`` bytes: powers of two from 2 KiB to 64 KiB, then Padmé (at most 12 % more)."""
    if size <= 65_536:
        return max(2_048, 1 << (size - 1).bit_length())
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def sealed_size(plain: int) -> int:
    """The size of a sealed object whose padded plaintext has ``plain`` bytes."""
    return plain + _HEADER + _TAG * (plain // _CHUNK + 1)


def max_body(blob_limit: int = MAX_BLOB) -> int:
    """The largest body whose sealed and padded blob fits into ``blob_limit`` bytes."""
    size = blob_limit
    while sealed_size(padded_size(size)) > blob_limit:
        size -= 1_024  # padded sizes lie further apart
    return padded_size(size) - _LENGTH_BYTES


def seal(key: bytes, context: bytes, *body: bytes | memoryview, size: int | None = None) -> bytes:
    """``body``, whose parts follow one another, padded (to ``size`` bytes where given) and sealed under ``key`` (32
    bytes), bound to ``context``.

    The plaintext is the length of the body (u32), the body, zeros.
    """
    length = sum(map(len, body))
    padded = size if size is not None else padded_size(length + _LENGTH_BYTES)
    zeros = padded - length - _LENGTH_BYTES
    if zeros < 0:
        raise ValueError("the body does not fit into its padded size")
    return _sealed(key, context, padded, length.to_bytes(_LENGTH_BYTES, "big"), *body, bytes(zeros))


def unseal(key: bytes, context: bytes, blob: bytes, what: str) -> bytes:
    """The body of a sealed object. Raises Tampered unless key, context and every byte are right."""
    return bytes(unseal_view(key, context, blob, what))


def unseal_view(key: bytes, context: bytes, blob: bytes, what: str) -> memoryview:
    """The same without a copy of the body, which may be large."""
    plain = unseal_raw(key, context, blob, what)
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    if len(plain) < _LENGTH_BYTES or end > len(plain) or plain.count(0, end) != len(plain) - end:
        raise Tampered(f"The {what} is padded wrongly.", "Do not use it; its writer is faulty.")
    return memoryview(plain).toreadonly()[_LENGTH_BYTES:end]


def seal_raw(key: bytes, context: bytes, plain: bytes | bytearray) -> bytes:
    """``plain`` sealed as it is."""
    return _sealed(key, context, len(plain), plain)


def _sealed(key: bytes, context: bytes, size: int, *parts: bytes | bytearray | memoryview) -> bytes:
    out = bytearray(sealed_size(size))
    room, written = memoryview(out), 0
    encryptor = Cobblestone256Encryptor(key, context)
    for part in parts:
        written += encryptor.update_into(part, room[written:])
    room[written:] = encryptor.finalize()
    return bytes(out)


def unseal_raw(key: bytes, context: bytes, blob: bytes, what: str) -> bytearray:
    """The whole plaintext of a sealed object; nothing of it is returned before the last chunk has been verified."""
    out = bytearray(len(blob))
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        written = decryptor.update_into(blob, out)
        rest = decryptor.finalize()
    except (InvalidTag, ValueError):
        raise Tampered(
            f"The {what} does not open: its bytes, its key or its place are wrong.", "Fetch it again from another copy."
        ) from None
    out[written:] = rest
    return out


def sign(key: Ed25519PrivateKey, context: bytes, body: bytes) -> bytes:
    """The signature of ``body`` in its ``context``: Ed25519 over context ‖ SHA-256(body)."""
    return key.sign(context + sha256(body))


def verify(public_key: bytes, context: bytes, body: bytes, signature: bytes, what: str) -> None:
    """Raises Tampered unless ``signature`` is that of ``body`` in ``context`` by the key (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, context + sha256(body))
    except (InvalidSignature, ValueError):
        raise Tampered(f"The {what} is not signed by the vault's writer key.", "Do not use it.") from None
