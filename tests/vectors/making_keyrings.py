"""Vectors of keyrings: of one epoch, of several that are linked, after a clean cut, and what others could forge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memsync_client import canonical
from memsync_client.keyring import ENVELOPE_BYTES, Keyring, OwnerKeys, Role, Roster, open_keyring, seal_keyring
from memsync_client.keys import envelope_info
from memsync_client.sealing import SIGNATURE_BYTES, derive, seal, seal_raw, sealed_size, sha256, sign, unseal
from tests.client.material import OTHER_PLACES, PLACE, device, holder, reader, roster, secret
from tests.vectors.running import load
from tests.vectors.writing import Splice, at, keys_of, known, put

SLOTS = 16
FRONT = SLOTS * ENVELOPE_BYTES
BACK = sealed_size(SLOTS * 1_472 + 512)
EPOCH = 4
KEYS = keys_of(EPOCH)
LINKED = "keyring-linked"
KIT = replace(device("kit"), role=Role.KIT)
PRIVATE = replace(reader("friend"), address=None)
HOLDERS = roster(device(), device("phone"), KIT, reader("claude"), PRIVATE, reader("from today", since=EPOCH))
ATTACKER = Ed25519PrivateKey.from_private_bytes(secret("attacker"))


def ring(epoch: int, holders: Roster, before: Keyring | None = None, **cut: bool) -> tuple[bytes, Keyring]:
    """A keyring of ``keys_of`` its epoch, and as the laptop opens it."""
    blob = seal_keyring(PLACE, keys_of(epoch), holders, before, **cut)
    return blob, open_keyring(PLACE, epoch, blob, holder("laptop").xwing)


def make() -> None:
    _whole()
    _other_holders()
    _changed()
    _forged_trailers()
    _forged_envelopes()
    _forged_rosters()


def given(epoch: int, name: str = "laptop") -> dict[str, Any]:
    return {"kind": "keyring", "place": at(), "epoch": epoch, "secret": secret(f"holder {name}")}


def _whole() -> None:
    first, one = ring(1, HOLDERS)
    put("keyring-first", "the first keyring of a vault, to its device", **given(1), blob=first)
    _, two = ring(2, HOLDERS, one)
    linked, _ = ring(EPOCH, HOLDERS, two)
    put(LINKED, "of epoch 4, linked to 1 and 2 (3 had none), to a device", **given(EPOCH), blob=linked)
    cut, _ = ring(EPOCH, HOLDERS, two, keep_history=False)
    put("keyring-clean-cut", "after a clean cut: succession, and no links", **given(EPOCH), blob=cut)
    tools = [reader(f"tool {i}") for i in range(16)]
    many, _ = ring(1, roster(device(), *tools))
    put("keyring-of-seventeen", "seventeen holders take 32 envelopes", **given(1), blob=many)


def _other_holders() -> None:
    def to(name: str, about: str, who: str, expect: str = "success", like: str = LINKED) -> None:
        put(name, about, expect, like=like, secret=secret(f"holder {who}"))

    to("keyring-linked-kit", "the same, to the recovery kit", "kit")
    to("keyring-linked-reader", "the same, to a reader who may look back", "claude")
    to("keyring-linked-private", "the same, to a reader of a private grant", "friend")
    to("keyring-linked-from-today", "the same, to a reader from this epoch on", "from today")
    to("keyring-linked-stranger", "the same, to one who is no holder", "stranger", "AccessEnded")
    to("keyring-clean-cut-reader", "after a clean cut, to a reader from before", "claude", like="keyring-clean-cut")
    to(
        "keyring-not-yet",
        "to a holder whose first epoch is still to come",
        "from today",
        "AccessEnded",
        "keyring-first",
    )


def _changed() -> None:
    blob = bytes.fromhex(load(LINKED)["blob"])
    own = slot_of("laptop", blob) * ENVELOPE_BYTES
    other = (own + ENVELOPE_BYTES) % FRONT

    def changed(name: str, about: str, expect: str, *splices: Splice, **fields: Any) -> None:
        put(f"keyring-{name}", about, expect, like=LINKED, splices=splices, **fields)

    def flip(position: int) -> Splice:
        return position, position + 1, bytes([blob[position] ^ 1])

    changed("own-envelope-changed", "a bit of the holder's own envelope is another", "AccessEnded", flip(own))
    changed("other-envelope-changed", "a bit of another envelope is another", "Tampered", flip(other))
    changed("trailer-changed", "a bit of the trailer is another", "Tampered", flip(FRONT + 100))
    changed("roster-changed", "a bit of the roster is another", "Tampered", flip(len(blob) - 1))
    changed("cut", "its last byte is missing", "Tampered", (len(blob) - 1, len(blob), b""))
    changed("trailing", "a byte behind it", "Tampered", (len(blob), len(blob), b"\0"))
    changed("nothing", "no byte at all", "AccessEnded", (0, len(blob), b""))
    one, two = blob[own : own + ENVELOPE_BYTES], blob[other : other + ENVELOPE_BYTES]
    exchanged = (own, own + ENVELOPE_BYTES, two), (other, other + ENVELOPE_BYTES, one)
    changed("envelopes-exchanged", "two envelopes stand in each other's place", "Tampered", *exchanged)
    changed(
        "envelope-twice", "an envelope also stands in another's place", "Tampered", (other, other + ENVELOPE_BYTES, one)
    )
    for name, place in OTHER_PLACES.items():
        changed(f"other-{name}", f"the keyring of another {name}", "AccessEnded", place=at(place))
    changed("other-epoch", "the keyring of another epoch", "AccessEnded", epoch=3)

    changed("follows", "it follows from what is known of epoch 2", "success", known=known(keys_of(2)))
    changed("follows-itself", "it is the one that is known", "success", known=known(KEYS))
    changed("follows-not", "another epoch 2 is known", "ForeignKeyring", known=known(keys_of(2, " of another")))
    second = known(KEYS) | {"check": known(keys_of(EPOCH, " of another"))["check"]}
    changed("second-secret", "another secret of epoch 4 is known", "ForeignKeyring", known=second)
    changed("follows-gap", "an epoch is known that it leaves out", "ForeignKeyring", known=known(keys_of(3)))
    changed("rollback", "a later epoch is known", "Rollback", known=known(keys_of(5)))


def slot_of(name: str, blob: bytes) -> int:
    """The place of a holder's envelope."""
    key = holder(name).xwing
    info = envelope_info(PLACE, EPOCH, key.public.id)
    parts = (blob[i * ENVELOPE_BYTES : (i + 1) * ENVELOPE_BYTES] for i in range(SLOTS))
    return next(i for i, part in enumerate(parts) if key.open(info, part))


# What someone could put together by hand ------------------------------------------------------------------------------


def trailer_of(blob: bytes) -> dict[str, Any]:
    signed = unseal(derive(KEYS.secret, "epoch/trailer"), PLACE.context("trailer", EPOCH), blob[FRONT:-BACK], "trailer")
    body: dict[str, Any] = canonical.decode(signed[SIGNATURE_BYTES:])
    return body


def trailer_splice(
    blob: bytes, body: Any, signer: Ed25519PrivateKey = KEYS.writer_key, signed_as: str = "trailer"
) -> Splice:
    """Another trailer in the place of that of ``blob``, sealed as it must be."""
    encoded = body if isinstance(body, bytes) else canonical.encode(body)
    signed = sign(signer, PLACE.context(signed_as, EPOCH), encoded) + encoded
    sealed = seal(derive(KEYS.secret, "epoch/trailer"), PLACE.context("trailer", EPOCH), signed, size=2_048)
    assert len(sealed) == len(blob) - FRONT - BACK
    return FRONT, len(blob) - BACK, sealed


def step(epoch: int, signer: OwnerKeys, keys: OwnerKeys, check: bytes | None = None) -> list[Any]:
    check = derive(keys.secret, "epoch/check") if check is None else check
    context = PLACE.context("succession", epoch)
    return [epoch, keys.writer_public, check, sign(signer.writer_key, context, keys.writer_public + check)]


def _forged_trailers() -> None:
    blob = bytes.fromhex(load(LINKED)["blob"])
    body = trailer_of(blob)
    one, two, four = body["succession"]
    early, late = body["links"]

    def forged(name: str, about: str, change: dict[str, Any] | bytes, expect: str = "Tampered", **how: Any) -> None:
        new = change if isinstance(change, bytes) else body | change
        put(f"keyring-{name}", about, expect, like=LINKED, splices=[trailer_splice(blob, new, **how)])

    forged("sealed-anew", "the same trailer, sealed anew by the writer", {}, "success")
    forged("signed-by-reader", "signed by a key that a reader could have", {}, signer=ATTACKER)
    forged("signed-as-head", "the signature is that of a head", {}, signed_as="head")
    forged("slots-other", "the trailer names another number of envelopes", {"slots": 32})
    forged("envelopes-other", "the trailer is that of other envelopes", {"envelopes": bytes(32)})
    forged("roster-other", "the trailer is that of another roster", {"roster": bytes(32)})
    forged("trailer-unknown-field", "a field that is not known", {"note": None})
    forged("trailer-no-map", "an array for a trailer", canonical.encode([]))
    forged("trailer-trailing", "a byte behind the map, signed", canonical.encode(body) + b"\0")
    forged("succession-empty", "no succession", {"succession": []})
    forged("succession-ends-before", "this epoch is not in its succession", {"succession": [one, two]})
    forged("succession-gap", "an entry is missing, and the next one signed by it", {"succession": [one, four]})
    forged("succession-order", "entries out of order", {"succession": [two, one, four]})
    forged("succession-twice", "an entry stands twice", {"succession": [one, one, two, four]})
    forged(
        "succession-own",
        "its own key alone: whoever knows more must refuse it",
        {"succession": [step(EPOCH, KEYS, KEYS)], "links": []},
        "success",
    )
    attacked = [one, two, [*four[:3], ATTACKER.sign(b"")]]
    forged("succession-unsigned", "the last entry is not signed by the one before", {"succession": attacked})
    long = [step(1, keys_of(1), keys_of(1), check=bytes(33)), two, four]
    forged("succession-check-long", "a check of 33 bytes in the first entry", {"succession": long, "links": [late]})
    wrong = [one, two, step(EPOCH, keys_of(2), KEYS, check=bytes(32))]
    forged("succession-check", "another check than that of the secret", {"succession": wrong})
    forged("links-order", "links out of order", {"links": [late, early]})
    forged("links-newest-missing", "no link to epoch 2: it opens less", {"links": [early]}, "success")
    forged("links-oldest-missing", "no link to epoch 1: the next one does not open", {"links": [late]})
    forged("links-exchanged", "links under each other's epoch", {"links": [[1, late[1]], [2, early[1]]]})
    forged("link-of-own-epoch", "a link to the epoch itself", {"links": [early, [EPOCH, late[1]]]})
    forged(
        "link-not-of-succession",
        "a link to other keys than the succession names",
        {"links": [_link(keys_of(1, " of another"), blob), late]},
    )
    forged(
        "link-to-unnamed-epoch",
        "a link to an epoch that is not in the succession",
        {"links": [early, late, _third(blob)]},
    )


def _history(blob: bytes) -> bytes:
    key = holder("claude").xwing
    slot = slot_of("claude", blob)
    plain = key.open(
        envelope_info(PLACE, EPOCH, key.public.id), blob[slot * ENVELOPE_BYTES : (slot + 1) * ENVELOPE_BYTES]
    )
    assert plain
    return plain[81:113]


def _link(keys: OwnerKeys, blob: bytes, steps: int = 0) -> list[Any]:
    history = _history(blob)
    for _ in range(steps):
        history = derive(history, "history/step")
    context = PLACE.context("link", EPOCH) + keys.epoch.to_bytes(4, "big")
    return [keys.epoch, seal_raw(derive(history, "history/link"), context, keys.secret + keys.writer_public)]


def _third(blob: bytes) -> list[Any]:
    return _link(keys_of(3), blob, steps=2)


def _forged_envelopes() -> None:
    """As a faulty device would sign it; what stands in the envelope of a reader is another."""
    blob = bytes.fromhex(load(LINKED)["blob"])
    key, start = holder("claude").xwing, slot_of("claude", blob) * ENVELOPE_BYTES
    info = envelope_info(PLACE, EPOCH, key.public.id)
    plain = key.open(info, blob[start : start + ENVELOPE_BYTES])
    assert plain

    def forged(name: str, about: str, position: int, new: bytes, expect: str = "Tampered") -> None:
        changed = plain[:position] + new + plain[position + len(new) :]
        envelope = key.public.enclose(info, changed)
        front = blob[:start] + envelope + blob[start + ENVELOPE_BYTES : FRONT]
        splices = (
            (start, start + ENVELOPE_BYTES, envelope),
            trailer_splice(blob, trailer_of(blob) | {"envelopes": sha256(front)}),
        )
        put(f"keyring-{name}", about, expect, like="keyring-linked-reader", splices=splices)

    forged("envelope-anew", "the same envelope, made anew", 0, b"", "success")
    forged("envelope-suite", "of suite 2", 0, b"\2")
    forged("envelope-role", "of a role that is not known", 1, b"\4")
    forged("envelope-role-device", "a reader named a device", 1, b"\1")
    forged("envelope-expiry", "an expiry after the year 9999", 2, b"\xff\xff\xff\xff\xfe")
    forged("envelope-never", "it never expires", 2, b"\xff" * 5, "success")
    forged("envelope-slots", "17 envelopes", 11, b"\0\x11")
    forged("envelope-no-slots", "no envelopes", 11, b"\0\0")
    forged("envelope-trailer-size", "another size of the trailer", 13, b"\0\0\0\1")
    forged("envelope-secret", "another epoch secret", 17, bytes(32))
    forged("envelope-writer", "another writer key", 49, ATTACKER.public_key().public_bytes_raw())
    forged("envelope-history", "another history secret", 81, bytes(32))
    forged("envelope-padding", "padding that is not zeros", 127, b"\1")


def _forged_rosters() -> None:
    """As a faulty device would sign it."""
    blob = bytes.fromhex(load(LINKED)["blob"])
    roster_key, context = derive(KEYS.owner_secret, "owner/roster"), PLACE.context("roster", EPOCH)
    body = canonical.decode(unseal(roster_key, context, blob[-BACK:], "roster"))
    line = body["holders"][0]

    def forged(name: str, about: str, change: dict[str, Any], expect: str = "Tampered") -> None:
        back = seal(roster_key, context, canonical.encode(body | change), size=SLOTS * 1_472 + 512)
        splices = trailer_splice(blob, trailer_of(blob) | {"roster": sha256(back)}), (len(blob) - BACK, len(blob), back)
        put(f"keyring-roster-{name}", about, expect, like=LINKED, splices=splices)

    often = {"holders": [line], "rotate_every": 7_776_000}
    forged("rotate-every", "of one device, and the next epoch is due after 90 days", often, "success")
    forged("key-twice", "a key that stands twice", {"holders": [line, [*line[:2], "again", *line[3:]]]})
    forged("role", "a role that is not known", {"holders": [[line[0], 4, *line[2:]]]})
    forged("expiry", "an expiry after the year 9999", {"holders": [[*line[:4], 2**40 - 2, *line[5:]]]})
    forged("unknown-field", "a field that is not known", {"mood": ""})
