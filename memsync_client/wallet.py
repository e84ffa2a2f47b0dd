"""The owner's wallet: one Ethereum account in a keystore file (Web3 Secret Storage, version 3) under a passphrase."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import is_hex_address, to_checksum_address

from . import files
from .errors import HomeDamaged, InvalidRequest, NotInitialised, WrongPassphrase

_MAX_KDF_MEMORY = 2**30  # bytes; a damaged file must not take all memory. The usual parameters need 256 MiB.
_MAX_KDF_ROUNDS = 10_000_000
_RESTORE = "Restore it from a copy, or restore the vaults on a new wallet with your recovery kit."


class Wallet:
    """An unlocked account. Nothing of it but the address is ever shown."""

    __slots__ = ("_account",)

    def __init__(self, secret: bytes) -> None:
        """Of a private key, 32 bytes."""
        try:
            self._account: LocalAccount = Account.from_key(secret)
        except Exception:  # the message of the original may show the key
            raise InvalidRequest("A private key is 32 bytes, not 0 and not too large.", "Use another.") from None

    @property
    def address(self) -> str:
        """With checksum (EIP-55)."""
        return str(self._account.address)

    def sign_transaction(self, transaction: dict[str, Any]) -> tuple[bytes, bytes]:
        """The signed transaction, ready to be sent, and its hash (32 bytes)."""
        signed = self._account.sign_transaction(transaction)
        return bytes(signed.raw_transaction), bytes(signed.hash)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"


def create(path: Path, passphrase: str) -> Wallet:
    """Make a new account and write it to ``path`` (mode 0600). Raises InvalidRequest if there is a file already.

    Also raises StorageFull, StorageReadOnly or StorageUnavailable.
    """
    if path.exists():
        raise InvalidRequest(f"There is a wallet at {path} already.", "Use it, or name another folder.")
    secret = secrets.token_bytes(32)
    wallet = Wallet(secret)
    files.write_atomic(path, json.dumps(Account.encrypt(secret, passphrase)).encode())
    return wallet


def load_address(path: Path) -> str:
    """The address in a keystore file, with checksum; no passphrase needed. Raises NotInitialised or HomeDamaged."""
    return _address(_load(path), path)


def unlock(path: Path, passphrase: str) -> Wallet:
    """The wallet of a keystore file. Raises NotInitialised, WrongPassphrase, or HomeDamaged."""
    keystore = _load(path)
    address = _address(keystore, path)
    try:
        _check_kdf(keystore["crypto"])
        wallet = Wallet(bytes(Account.decrypt(keystore, passphrase)))
    except Exception as error:  # over a damaged file eth_account raises nearly anything
        if isinstance(error, ValueError) and str(error) == "MAC mismatch":
            # The format can't tell damage of what it seals from a wrong passphrase.
            raise WrongPassphrase("The passphrase does not open the wallet.", "Try again; capitals count.") from None
        raise _damaged(path) from None
    if wallet.address != address:
        raise _damaged(path)
    return wallet


def address_from_key(secret: bytes) -> str:
    """The address, with checksum, of a private key (32 bytes)."""
    return Wallet(secret).address


def _load(path: Path) -> dict[str, Any]:
    try:
        keystore = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotInitialised(f"There is no wallet at {path}.", "Check the path of the keystore file.") from None
    except OSError as error:
        raise files.storage_error(error, path) from error
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(keystore, dict) or keystore.get("version") != 3:
        raise _damaged(path)
    return keystore


def _address(keystore: dict[str, Any], path: Path) -> str:
    address = keystore.get("address")
    if not is_hex_address(address):
        raise _damaged(path)
    return str(to_checksum_address(address))


def _check_kdf(crypto: dict[str, Any]) -> None:
    params = crypto["kdfparams"]
    if crypto["kdf"] == "scrypt":
        bounded = 128 * params["n"] * params["r"] * params["p"] <= _MAX_KDF_MEMORY
    else:
        bounded = params["c"] <= _MAX_KDF_ROUNDS
    if not bounded:
        raise ValueError("unreasonable parameters")


def _damaged(path: Path) -> HomeDamaged:
    return HomeDamaged(f"The wallet file {path} is damaged.", _RESTORE)
