"""The two texts that people pass to each other: a reader's card and the owner's invitation. Pure.

Both are ``<kind>1:<base64url of canonical CBOR>:<first 8 hex digits of the SHA-256 of all before it>``, one line.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from . import canonical
from .errors import InvalidCard, InvalidInvitation, MemSyncError, Tampered
from .keys import Anchor, PublicKey
from .sealing import SECRET_BYTES, Place, sha256

MAX_NAME_BYTES = 64
_MAX_TEXT = 8_192


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
        anchor = value["anchor"]
        sound = sound and [type(part) for part in anchor] == [int, bytes, bytes] and 0 < anchor[0] < 2**32
        sound = sound and len(anchor[1]) == len(anchor[2]) == SECRET_BYTES
        if not sound or any(type(uri) is not str for uri in value["bases"]):
            raise InvalidInvitation("The invitation is malformed.", "Ask the owner for a new one.")
        place = Place(value["chain"], value["registry"], value["vault"])
        return cls(place, value["rpc"], tuple(value["bases"]), Anchor(*anchor))


def check_name(name: str, error: type[MemSyncError]) -> str:
    """``name`` if it is 1 to 64 bytes of printable text without surrounding space; else ``error``."""
    if (
        not name
        or name != name.strip()
        or not name.isprintable()
        or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES
    ):
        raise error("A name is empty, too long or not printable.", f"Use 1 to {MAX_NAME_BYTES} bytes of plain text.")
    return name


def _write(kind: str, value: dict[str, Any]) -> str:
    text = f"{kind}1:{base64.urlsafe_b64encode(canonical.encode(value)).decode().rstrip('=')}"
    return f"{text}:{sha256(text.encode()).hex()[:8]}"


def _read(kind: str, text: str, shape: dict[str, Any], error: type[MemSyncError], what: str) -> dict[str, Any]:
    text = "".join(text[:_MAX_TEXT].split())  # mail programs break long lines
    again = f"Copy the whole {what} again: one line that begins with {kind}1: and ends with 8 digits."
    head, _, checksum = text.rpartition(":")
    prefix, _, payload = head.partition(":")
    if not prefix.startswith(kind):
        raise error(f"This is not {'an' if what[0] in 'aeiou' else 'a'} {what}.", again)
    if sha256(head.encode("utf-8", "replace")).hex()[:8] != checksum:
        raise error(f"The {what} has a wrong checksum: some of it is missing or changed.", again)
    if prefix != f"{kind}1":
        raise error(f"The {what} is of another version.", "Update MemSync on both sides.")
    try:
        data = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        return canonical.fields(canonical.decode(data, what), shape, what)
    except (ValueError, Tampered):
        raise error(f"The {what} is malformed.", again) from None
