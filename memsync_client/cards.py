"""The texts that people pass to each other, or from one of their machines to another: cards, invitations, sheets. Pure.

All are ``<kind>1:<base64url of canonical CBOR>:<first 8 hex digits of the SHA-256 of all before it>``, one line.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import canonical
from .errors import InvalidCard, InvalidInvitation, InvalidKit, MemSyncError, Tampered
from .keys import KEY_ID_BYTES, Anchor, PublicKey
from .sealing import SECRET_BYTES, Place, sha256

MAX_NAME_BYTES = 64
MAX_TEXT = 2**20  # characters: a sheet of some 7,000 vaults
SPACE = "\t\n\r \u00a0\ufeff"  # ignored in them: mail programs break lines, and editors begin a file with a mark
_ADDRESS_BYTES, _VAULT_BYTES = 20, 32
_LIKE_ADDRESS = re.compile(r"0x\s*[0-9a-f]{6}", re.IGNORECASE)  # whole ones, and such as 0x7099…79C8
_LAST_TIME = 253_402_300_799  # the end of the year 9999, in seconds since 1970


@dataclass(frozen=True)
class Card:
    """What a reader shows to be granted: a name, its public key, its address (20 bytes, made for this vault alone) and
    the URI schemes that it can fetch blobs from."""

    name: str
    key: PublicKey
    address: bytes
    schemes: tuple[str, ...]

    def __str__(self) -> str:
        return _write(
            "memsync-card",
            {"name": self.name, "key": self.key.raw, "address": self.address, "schemes": list(self.schemes)},
        )

    @classmethod
    def parse(cls, text: str) -> Card:
        """Raises InvalidCard with the cause: not a card, a wrong checksum, another version, a malformed key."""
        shape = {"name": str, "key": bytes, "address": bytes, "schemes": list}
        value = _read("memsync-card", text, shape, InvalidCard, "card")
        schemes = tuple(value["schemes"])
        if len(value["address"]) != 20 or any(type(scheme) is not str for scheme in schemes):
            raise InvalidCard("The card's address or schemes are malformed.", "Ask the reader for a new card.")
        return cls(check_name(value["name"], InvalidCard), PublicKey(value["key"]), value["address"], schemes)


@dataclass(frozen=True)
class Invitation:
    """What a grant prints and the reader joins with: where the vault is, an RPC hint, where its blobs are, and the
    anchor that its keyring must follow from, so that a node can't show an invented vault."""

    place: Place
    rpc: str
    base_uris: tuple[str, ...]
    anchor: Anchor

    def __str__(self) -> str:
        return _write(
            "memsync-invitation",
            {
                "chain": self.place.chain_id,
                "registry": self.place.registry,
                "vault": self.place.vault_id,
                "rpc": self.rpc,
                "bases": list(self.base_uris),
                "anchor": [self.anchor.epoch, self.anchor.writer_public, self.anchor.check],
            },
        )

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Raises InvalidInvitation with the cause."""
        shape = {"chain": int, "registry": bytes, "vault": bytes, "rpc": str, "bases": list, "anchor": list}
        value = _read("memsync-invitation", text, shape, InvalidInvitation, "invitation")
        sound = len(value["registry"]) == 20 and len(value["vault"]) == 32 and 0 < value["chain"] < 2**64
        if not sound or not _is_anchor(value["anchor"]) or any(type(uri) is not str for uri in value["bases"]):
            raise InvalidInvitation("The invitation is malformed.", "Ask the owner for a new one.")
        place = Place(value["chain"], value["registry"], value["vault"])
        return cls(place, value["rpc"], tuple(value["bases"]), Anchor(*value["anchor"]))


@dataclass(frozen=True)
class DeviceCard:
    """What a new device shows to one that is in the keyrings: its name, public key, chain id, and the address (20
    bytes) of its own account, if it is to commit by itself."""

    name: str
    key: PublicKey
    chain_id: int
    address: bytes | None

    def __str__(self) -> str:
        return _write(
            "memsync-device",
            {"name": self.name, "key": self.key.raw, "chain": self.chain_id, "address": self.address},
        )

    @classmethod
    def parse(cls, text: str) -> DeviceCard:
        """Raises InvalidCard with the cause."""
        shape = {"name": str, "key": bytes, "chain": int, "address": (bytes, type(None))}
        value = _read("memsync-device", text, shape, InvalidCard, "device card")
        address = value["address"]
        if not 0 < value["chain"] < 2**64 or (address is not None and len(address) != _ADDRESS_BYTES):
            raise InvalidCard("The device card is malformed.", "Make a new one: memsync device new")
        return cls(check_name(value["name"], InvalidCard), PublicKey(value["key"]), value["chain"], address)


@dataclass(frozen=True)
class Sheet:
    """Where everything is, for one holder (its key id, 32 bytes): a recovery kit, or a new device. Public data.

    ``anchors`` are, by vault id, what each keyring must follow from, so that a node can't show a machine that knows
    nothing yet an invented vault. ``made`` is in UTC, whole seconds; ``owner`` and ``registry`` are 20 bytes.
    """

    holder: bytes
    chain_id: int
    registry: bytes
    owner: bytes
    rpc: str
    base_uris: tuple[str, ...]
    anchors: Mapping[bytes, Anchor]
    made: datetime

    def __str__(self) -> str:
        return _write(
            "memsync-sheet",
            {
                "holder": self.holder,
                "chain": self.chain_id,
                "registry": self.registry,
                "owner": self.owner,
                "rpc": self.rpc,
                "bases": list(self.base_uris),
                "anchors": [[v, a.epoch, a.writer_public, a.check] for v, a in sorted(self.anchors.items())],
                "made": int(self.made.timestamp()),
            },
        )

    @classmethod
    def parse(cls, text: str) -> Sheet:
        """Raises InvalidKit with the cause."""
        value = _read("memsync-sheet", text, _SHEET, InvalidKit, "sheet")
        sound = [len(value[name]) for name in ("holder", "registry", "owner")] == [KEY_ID_BYTES, 20, 20]
        sound = sound and 0 < value["chain"] < 2**64 and 0 <= value["made"] <= _LAST_TIME
        sound = sound and all(type(uri) is str for uri in value["bases"])
        anchors: dict[bytes, Anchor] = {}
        for line in value["anchors"] if sound else []:
            sound = type(line) is list and len(line) == 4 and type(line[0]) is bytes and len(line[0]) == _VAULT_BYTES
            if not sound or not _is_anchor(line[1:]) or line[0] <= max(anchors, default=b""):
                sound = False
                break
            anchors[line[0]] = Anchor(*line[1:])
        if not sound:
            raise InvalidKit("The sheet is malformed.", "Print it again: memsync kit sheet")
        return cls(
            value["holder"],
            value["chain"],
            value["registry"],
            value["owner"],
            value["rpc"],
            tuple(value["bases"]),
            anchors,
            datetime.fromtimestamp(value["made"], UTC),
        )


# What each is called, and which command takes it.
_KINDS = {
    "memsync-card": ("a card", "`memsync grant`"),
    "memsync-invitation": ("an invitation", "`memsync reader join`"),
    "memsync-device": ("a device card", "`memsync device add` or `memsync vault offer`"),
    "memsync-sheet": ("a sheet", "`memsync device join` or `memsync restore`"),
}
_SHEET = {
    "holder": bytes,
    "chain": int,
    "registry": bytes,
    "owner": bytes,
    "rpc": str,
    "bases": list,
    "anchors": list,
    "made": int,
}


def _is_anchor(parts: list[Any]) -> bool:
    return (
        [type(part) for part in parts] == [int, bytes, bytes]
        and 0 < parts[0] < 2**32
        and len(parts[1]) == len(parts[2]) == SECRET_BYTES
    )


def check_name(name: str, error: type[MemSyncError]) -> str:
    """``name`` if it is 1 to 64 bytes of printable text without surrounding space, and can't pass for an account's
    address; else ``error``."""
    if (
        not name
        or name != name.strip()
        or not name.isprintable()
        or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES
    ):
        raise error("A name is empty, too long or not printable.", f"Use 1 to {MAX_NAME_BYTES} bytes of plain text.")
    if _LIKE_ADDRESS.match(name):
        raise error("A name looks like an account's address.", "Use one that nobody takes for an address.")
    return name


def _write(kind: str, value: dict[str, Any]) -> str:
    text = f"{kind}1:{base64.urlsafe_b64encode(canonical.encode(value)).decode().rstrip('=')}"
    return f"{text}:{sha256(text.encode()).hex()[:8]}"


def _read(kind: str, text: str, shape: dict[str, Any], error: type[MemSyncError], what: str) -> dict[str, Any]:
    again = f"Copy the whole {what} again: one line that begins with {kind}1: and ends with 8 digits."
    if len(text) > MAX_TEXT:
        raise error(f"The {what} is longer than any can be.", again)
    text = text.translate(dict.fromkeys(map(ord, SPACE)))
    head, _, checksum = text.rpartition(":")
    prefix, _, payload = head.partition(":")
    if not prefix.startswith(kind):
        for known, (other, command) in _KINDS.items():
            if prefix.startswith(known):
                raise error(f"This is {other}, and not {_KINDS[kind][0]}.", f"It is for {command}. {again}")
        raise error(f"This is not {_KINDS[kind][0]}.", again)
    if sha256(head.encode("utf-8", "replace")).hex()[:8] != checksum:
        raise error(f"The {what} has a wrong checksum: some of it is missing or changed.", again)
    if prefix != f"{kind}1":
        raise error(f"The {what} is of another version.", "Update MemSync on both sides.")
    try:
        data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        if base64.urlsafe_b64encode(data).decode().rstrip("=") != payload:  # the decoder takes more forms than one
            raise ValueError
        return canonical.fields(canonical.decode(data, what), shape, what)
    except (ValueError, Tampered):
        raise error(f"The {what} is malformed.", again) from None
