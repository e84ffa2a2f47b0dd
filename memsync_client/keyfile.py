"""Key files: a holder's 32-byte secret under a passphrase. JSON; Argon2id (RFC 9106) over Cobblestone-256.

The parameters are RFC 9106's second recommendation (64 MiB, 3 passes, 4 lanes).
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .errors import HomeDamaged, InvalidCard, InvalidRequest, NotInitialised, Tampered, WrongPassphrase
from .files import storage_error, write_atomic
from .keys import HolderKey, PublicKey
from .sealing import SECRET_BYTES, seal_raw, sha256, unseal_raw

Passphrase = str | Callable[[], str]  # a text, or what asks for it when it is needed

_FORMAT = "memsync-key-1"
_MEMORY_KIB, _PASSES, _LANES, _SALT_BYTES = 65_536, 3, 4, 16
_MAX_BYTES = 8_192


def ask(passphrase: Passphrase) -> str:
    """The text of a passphrase, in NFC: the same on keyboards that compose letters differently."""
    return unicodedata.normalize("NFC", passphrase() if callable(passphrase) else passphrase)


def create(path: Path, passphrase: str, key: HolderKey | None = None) -> HolderKey:
    """``key``, or a new random one, sealed into a new file (0600). Raises InvalidRequest if there is one."""
    if path.exists():
        raise InvalidRequest(f"There is a key file {path} already.", "Use it, or name another folder.")
    key = key or HolderKey(os.urandom(SECRET_BYTES))
    write_atomic(path, sealed(key, passphrase))
    return key


def sealed(key: HolderKey, passphrase: str) -> bytes:
    """What the file of ``key`` holds."""
    salt, public = _new_salt(), key.xwing.public.raw
    box = seal_raw(_stretch(passphrase, salt), _context(salt, public), key.export())
    value = {"format": _FORMAT, "kdf": "argon2id", "salt": salt.hex(), "sealed": box.hex(), "public": public.hex()}
    return json.dumps(value, indent=1).encode() + b"\n"


def unlock(path: Path, passphrase: str) -> HolderKey:
    """The key of the file at ``path``. Raises NotInitialised, HomeDamaged or WrongPassphrase."""
    salt, box, public = _parse(path)
    try:
        return HolderKey(bytes(unseal_raw(_stretch(passphrase, salt), _context(salt, public.raw), box, "key file")))
    except Tampered:
        raise WrongPassphrase(
            f"The passphrase does not open {path.name}.",
            "Try again; nobody can reset it. A changed file gives the same answer.",
        ) from None


def public_key(path: Path) -> PublicKey:
    """The public half of the key at ``path``; needs no passphrase. Raises NotInitialised or HomeDamaged."""
    return _parse(path)[2]


def _parse(path: Path) -> tuple[bytes, bytes, PublicKey]:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotInitialised(
            f"There is no key file {path}.", "Begin with `memsync init`, or name another with --home."
        ) from None
    except OSError as error:
        raise storage_error(error, path) from None
    try:
        value = json.loads(data)
        if (value["format"], value["kdf"]) != (_FORMAT, "argon2id"):
            raise ValueError
        salt, box, public = (bytes.fromhex(value[name]) for name in ("salt", "sealed", "public"))
        if len(salt) != _SALT_BYTES:
            raise ValueError
        key = PublicKey(public)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidCard):
        raise HomeDamaged(f"{path} is not a key file of this version.", "Bring it back from a copy.") from None
    return salt, box, key


def _new_salt() -> bytes:
    return os.urandom(_SALT_BYTES)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    kdf = Argon2id(salt=salt, length=SECRET_BYTES, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return kdf.derive(passphrase.encode())


def _context(salt: bytes, public: bytes) -> bytes:
    return b"memsync/v1/key-file\0" + salt + sha256(public)
