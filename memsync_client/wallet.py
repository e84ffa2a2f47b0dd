"""Wallets: an Ethereum account in a keystore file (Web3 Secret Storage, version 3) under a passphrase, or an account
whose key is elsewhere: in the node, or in a signer that has an address of its own."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eth_account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import is_hex_address, to_checksum_address

from . import files
from .errors import HomeDamaged, InvalidRequest, NotInitialised, WrongPassphrase
from .sealing import HoldsSecret

_MAX_KDF_MEMORY = 2**30  # bytes; a damaged file must not take all memory. The usual parameters need 256 MiB.
_MAX_KDF_ROUNDS = 10_000_000
_RESTORE = "Bring it back from a copy: a recovery kit opens the vaults, and can't sign for their owner."
_ACCOUNT = re.compile(r"(?:node:|signer:(https?://\S+)#)(0x[0-9a-fA-F]{40})")


class Wallet(HoldsSecret):
    """An unlocked account. Nothing of it but the address is ever shown."""

    __slots__ = ("_account",)

    def __init__(self, secret: bytes) -> None:
        """Of a private key, 32 bytes."""
        try:
            self._account: LocalAccount = eth_account.Account.from_key(secret)
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

    def sign_typed_data(self, typed: dict[str, Any]) -> bytes:
        """The signature (65 bytes) of EIP-712 data in the form of ``eth_signTypedData_v4``."""
        return bytes(self._account.sign_message(encode_typed_data(full_message=typed)).signature)

    def sealed(self, passphrase: str) -> bytes:
        """What its keystore file holds."""
        return json.dumps(eth_account.Account.encrypt(self._account.key, passphrase)).encode()

    def __repr__(self) -> str:
        return f"Wallet({self.address})"


@dataclass(frozen=True)
class Account:
    """An account that signs where it is asked to send (eth_sendTransaction): the home's own node, or the JSON-RPC
    address ``url`` of a signer. No key of it is here."""

    address: str
    url: str | None = None

    @classmethod
    def parse(cls, text: str) -> Account | None:
        """From ``node:0x…`` or ``signer:URL#0x…``; None for anything else, which is a path. Raises InvalidRequest."""
        found = _ACCOUNT.fullmatch(text)
        if found:
            return cls(str(to_checksum_address(found[2])), found[1])
        if text.startswith(("node:", "signer:")):
            raise InvalidRequest(
                "That names no account of a node or signer.", "As in node:0x… or signer:http://127.0.0.1:1248#0x…"
            )
        return None

    def __str__(self) -> str:
        return f"signer:{self.url}#{self.address}" if self.url else f"node:{self.address}"


def create(path: Path, passphrase: str) -> Wallet:
    """Make a new account and write it to ``path`` (mode 0600). Raises InvalidRequest if there is a file already.

    Also raises StorageFull, StorageReadOnly or StorageUnavailable.
    """
    if path.exists():
        raise InvalidRequest(f"There is a wallet at {path} already.", "Use it, or name another folder.")
    secret = secrets.token_bytes(32)
    wallet = Wallet(secret)
    files.write_atomic(path, wallet.sealed(passphrase))
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
        wallet = Wallet(bytes(eth_account.Account.decrypt(keystore, passphrase)))
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
