"""The keyring: the blob that gives each key holder the epoch secret, one envelope each. Pure.

Layout: 16·k envelopes (1,264 bytes each) ‖ trailer ‖ roster, no header. Dummies fill the envelopes up; they are real
encapsulations to a key that nobody keeps. The trailer, sealed under the epoch secret, is signed by the epoch's writer
key and carries the succession (each writer key vouched for by the one before it) and the links to earlier epochs,
sealed under history secrets. The roster, sealed under the owner secret, says who the holders are.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import canonical
from .errors import AccessEnded, ForeignKeyring, InvalidCard, InvalidRequest, Rollback, Tampered
from .keys import ENVELOPE_OVERHEAD, KEY_ID_BYTES, Anchor, PrivateKey, PublicKey, envelope_info
from .sealing import (
    MAX_BLOB,
    SECRET_BYTES,
    SIGNATURE_BYTES,
    SUITE,
    HoldsSecret,
    Place,
    derive,
    padded_size,
    seal,
    seal_raw,
    sealed_size,
    sha256,
    sign,
    unseal,
    unseal_raw,
    verify,
)

SLOTS = 16
MAX_SLOTS = 256  # their envelopes and roster leave 280 kB of the largest blob to succession and links
_SLOT_COUNTS = range(SLOTS, MAX_SLOTS + 1, SLOTS)
NEVER = 2**40 - 1  # an expiry of devices and kits
_PLAIN_BYTES = 128
ENVELOPE_BYTES = _PLAIN_BYTES + ENVELOPE_OVERHEAD
_ROSTER_ENTRY = 1_472  # what one holder takes at most: key 1,216, name 64, account, expiry, who added it
_ROSTER_REST = 512


class Role(IntEnum):
    """The three kinds of key holder."""

    DEVICE = 1
    KIT = 2
    READER = 3


_ROLES = frozenset(int(role) for role in Role)


@dataclass(frozen=True)
class Holder:
    """A line of the roster. ``since`` is the first epoch that the holder may open; ``address`` (20 bytes) that of a
    public grant, None for a private one and for devices; ``expires`` None means never; ``added_by`` is a key id;
    ``pending`` means that it is to make its key anew."""

    key: PublicKey
    role: Role
    name: str
    since: int
    expires: datetime | None
    address: bytes | None
    added_by: bytes
    pending: bool = False


@dataclass(frozen=True)
class EpochKeys(HoldsSecret):
    """What opens one epoch: its secret, and the public half of its writer key (32 bytes each)."""

    epoch: int
    secret: bytes = field(repr=False)
    writer_public: bytes = field(repr=False)

    @property
    def anchor(self) -> Anchor:
        """What a later keyring is compared with."""
        return Anchor(self.epoch, self.writer_public, _check(self.secret))


@dataclass(frozen=True)
class OwnerKeys(EpochKeys):
    """The keys of one epoch as the owner's devices and kit hold them."""

    owner_secret: bytes = field(repr=False)

    @classmethod
    def new(cls, epoch: int) -> OwnerKeys:
        """Fresh random secrets for ``epoch``."""
        owner_secret = os.urandom(SECRET_BYTES)
        return cls(epoch, os.urandom(SECRET_BYTES), _public(_writer_key(owner_secret)), owner_secret)

    @property
    def writer_key(self) -> Ed25519PrivateKey:
        """Signs heads and keyrings of this epoch."""
        return _writer_key(self.owner_secret)


@dataclass(frozen=True)
class Succession:
    """One writer key, vouched for by the writer key of the epoch before it that had a keyring (the first by itself).

    ``check`` fixes the epoch's secret, so that an epoch has one.
    """

    epoch: int
    writer_public: bytes
    check: bytes
    signature: bytes


@dataclass(frozen=True)
class Roster(HoldsSecret):
    """What only the owner's devices and kit read: the vault's name, the key of import ids, and the holders.

    ``rotated`` is when the present epoch got its first keyring (UTC, whole seconds), ``rotate_every`` after how long
    the next one is due (None: only when something else asks for it).
    """

    name: str
    import_key: bytes = field(repr=False)
    holders: tuple[Holder, ...]
    rotated: datetime
    rotate_every: timedelta | None = None


@dataclass(frozen=True)
class Keyring:
    """An opened keyring. ``links`` are the keys of earlier epochs that this holder may open, by epoch; ``roster`` and
    owner keys are there for devices and kit only."""

    role: Role
    expires: datetime | None
    since: int
    keys: EpochKeys
    links: Mapping[int, EpochKeys]
    succession: tuple[Succession, ...]
    roster: Roster | None

    @property
    def owner_keys(self) -> OwnerKeys:
        """The owner's keys of this epoch; raises AccessEnded for a reader."""
        if not isinstance(self.keys, OwnerKeys):
            raise AccessEnded("This key may read the vault, and not write to it.", "Write from a device of the owner.")
        return self.keys

    def keys_of(self, epoch: int) -> EpochKeys | None:
        """The keys of ``epoch``, None where this holder has none."""
        return self.keys if epoch == self.keys.epoch else self.links.get(epoch)


def new_import_key() -> bytes:
    """The key, 32 random bytes for the life of a vault, under which ids of imports are made."""
    return os.urandom(SECRET_BYTES)


def seal_keyring(
    place: Place, keys: OwnerKeys, roster: Roster, before: Keyring | None = None, *, keep_history: bool = True
) -> bytes:
    """The blob of a keyring for the epoch of ``keys``, which follows ``before`` (None for a vault's first).

    Where ``before`` is of an earlier epoch, its writer key vouches for the new one, and the epochs that it opens are
    linked, unless ``keep_history`` is False. Every holder is encapsulated to anew, and the order is drawn anew; one
    whose first epoch is still to come gets no envelope yet. Raises InvalidRequest if there are too many holders or
    epochs for one blob, or two holders with one key, who could open nothing.
    """
    if _key_twice(roster.holders):
        raise InvalidRequest("Two holders have the same key.", "Each device and each reader needs a key of its own.")
    slots = -(-len(roster.holders) // SLOTS) * SLOTS
    history = _history(keys.epoch, before) if keep_history else []
    chain, links = _link(place, keys.epoch, history)
    body: dict[str, Any] = {
        "slots": slots,
        "succession": [[s.epoch, s.writer_public, s.check, s.signature] for s in _succession(place, keys, before)],
        "links": links,
        "envelopes": bytes(32),
        "roster": bytes(32),
    }
    trailer_bytes = sealed_size(padded_size(4 + SIGNATURE_BYTES + len(canonical.encode(body))))
    if slots > MAX_SLOTS or slots * ENVELOPE_BYTES + trailer_bytes + roster_bytes(slots) > MAX_BLOB:
        raise InvalidRequest("The keyring would be too large: too many holders, or too many epochs since the last cut.")

    present = [holder for holder in roster.holders if holder.since <= keys.epoch]
    envelopes = [_envelope(place, keys, holder, slots, trailer_bytes, chain) for holder in present]
    envelopes += _dummies(place, keys.epoch, slots - len(envelopes))
    secrets.SystemRandom().shuffle(envelopes)
    front = b"".join(envelopes)
    roster_key, roster_context = derive(keys.owner_secret, "owner/roster"), place.context("roster", keys.epoch)
    back = seal(roster_key, roster_context, _encode_roster(roster), size=slots * _ROSTER_ENTRY + _ROSTER_REST)

    encoded = canonical.encode(body | {"envelopes": sha256(front), "roster": sha256(back)})
    context = place.context("trailer", keys.epoch)
    trailer = seal(derive(keys.secret, "epoch/trailer"), context, sign(keys.writer_key, context, encoded) + encoded)
    return front + trailer + back


def open_keyring(place: Place, epoch: int, blob: bytes, key: PrivateKey) -> Keyring:
    """The keyring of ``epoch`` as the holder of ``key`` sees it.

    Raises AccessEnded if no envelope opens, Tampered if anything in it is wrong. It does not compare with keys that
    are known already: see ``follows``.
    """
    plain, front_bytes, trailer_bytes = _own_envelope(place, epoch, blob, key)
    role = Role(plain[1])
    since = int.from_bytes(plain[7:11], "big")
    secret, second, history_secret = plain[17:49], plain[49:81], plain[81:113]
    keys = EpochKeys(epoch, secret, second)
    if role is not Role.READER:
        keys = OwnerKeys(epoch, secret, _public(_writer_key(second)), second)

    front, back = blob[:front_bytes], blob[front_bytes + trailer_bytes :]
    context = place.context("trailer", epoch)
    trailer = blob[front_bytes : front_bytes + trailer_bytes]
    signed = unseal(derive(secret, "epoch/trailer"), context, trailer, "keyring's trailer")
    encoded = signed[SIGNATURE_BYTES:]
    verify(keys.writer_public, context, encoded, signed[:SIGNATURE_BYTES], "keyring")
    body = canonical.fields(canonical.decode(encoded, "keyring's trailer"), _TRAILER, "keyring's trailer")
    if body["slots"] * ENVELOPE_BYTES != front_bytes or (body["envelopes"], body["roster"]) != (
        sha256(front),
        sha256(back),
    ):
        raise Tampered("A keyring's parts do not belong together.", _DO_NOT_USE)
    succession = _read_succession(place, body["succession"], keys)
    links = _open_links(place, epoch, body["links"], since, history_secret, succession)
    roster = None
    if isinstance(keys, OwnerKeys):
        roster = _decode_roster(
            unseal(derive(keys.owner_secret, "owner/roster"), place.context("roster", epoch), back, "roster")
        )
    return Keyring(role, _from_expiry(int.from_bytes(plain[2:7], "big")), since, keys, links, succession, roster)


def follows(keyring: Keyring, known: Anchor) -> None:
    """Raises unless ``keyring`` follows from the keys that this holder already has.

    Within an epoch there is one secret and one writer key. A later epoch's writer key is vouched for, link by link,
    by the known one. Raises ForeignKeyring, or Rollback where the keyring's epoch lies before the known.
    """
    if keyring.keys.epoch < known.epoch:
        raise Rollback(
            f"The keyring is of epoch {keyring.keys.epoch}; this device has already seen epoch {known.epoch}.",
            "The node shows an old state: use another one.",
        )
    for step in keyring.succession:
        if (step.epoch, step.writer_public, step.check) == (known.epoch, known.writer_public, known.check):
            return
    raise ForeignKeyring(
        "The vault's keyring does not follow from the keys that this device holds.",
        "Nothing was sealed under it. Someone with the right to bring keyrings may be hostile: see `memsync grants`.",
    )


_DO_NOT_USE = "Do not use it; fetch it again from another copy."
_TRAILER = {"slots": int, "succession": list, "links": list, "envelopes": bytes, "roster": bytes}
_ROSTER = {"name": str, "import_key": bytes, "holders": list, "rotated": int, "rotate_every": (int, type(None))}
_HOLDER = [[bytes, int, str, int, int, address, bytes, bool] for address in (bytes, type(None))]


# Envelopes ------------------------------------------------------------------------------------------------------------
# suite u8 · role u8 · expiry u40 (unix seconds) · since u32 · envelopes u16 · trailer bytes u32 · epoch secret ·
# owner secret (devices, kit) or writer public key (readers) · history secret or random · 15 zeros


def _envelope(
    place: Place, keys: OwnerKeys, holder: Holder, slots: int, trailer_bytes: int, chain: list[tuple[int, bytes]]
) -> bytes:
    history = next((secret for epoch, secret in chain if epoch >= holder.since), os.urandom(SECRET_BYTES))
    plain = b"".join(
        (
            bytes((SUITE, holder.role)),
            _to_expiry(holder.expires).to_bytes(5, "big"),
            holder.since.to_bytes(4, "big"),
            slots.to_bytes(2, "big"),
            trailer_bytes.to_bytes(4, "big"),
            keys.secret,
            keys.writer_public if holder.role is Role.READER else keys.owner_secret,
            history,
        )
    )
    return holder.key.enclose(envelope_info(place, keys.epoch, holder.key.id), plain.ljust(_PLAIN_BYTES, b"\0"))


def _dummies(place: Place, epoch: int, count: int) -> list[bytes]:
    """To one key for all: that X-Wing's encapsulations do not show whose key they are to hides the holders, too."""
    nobody = PrivateKey(os.urandom(SECRET_BYTES)).public
    info = envelope_info(place, epoch, nobody.id)
    return [nobody.enclose(info, os.urandom(_PLAIN_BYTES)) for _ in range(count)]


def _own_envelope(place: Place, epoch: int, blob: bytes, key: PrivateKey) -> tuple[bytes, int, int]:
    """The one envelope that opens, and the sizes of the envelopes together and of the trailer."""
    info = envelope_info(place, epoch, key.public.id)
    if len(blob) > MAX_BLOB:
        raise Tampered("The keyring is larger than a blob may be.", _DO_NOT_USE)
    found: bytes | None = None
    front_bytes = trailer_bytes = 0
    end = min(len(blob) // ENVELOPE_BYTES, MAX_SLOTS)
    index = 0
    while index < end:
        plain = key.open(info, blob[index * ENVELOPE_BYTES : (index + 1) * ENVELOPE_BYTES])
        index += 1
        if plain is None:
            continue
        if found is not None:
            raise Tampered("Two envelopes of a keyring open with one key.", _DO_NOT_USE)
        slots, trailer_bytes = int.from_bytes(plain[11:13], "big"), int.from_bytes(plain[13:17], "big")
        front_bytes = slots * ENVELOPE_BYTES
        known_form = plain[0] == SUITE and plain[1] in _ROLES and not any(plain[113:]) and slots in _SLOT_COUNTS
        if not known_form or index > slots or front_bytes + trailer_bytes + roster_bytes(slots) != len(blob):
            raise Tampered("A keyring's envelope does not fit its keyring.", _DO_NOT_USE)
        found, end = plain, slots
    if found is None:
        raise AccessEnded(
            "This key opens nothing of the vault's current epoch: never granted, revoked, or expired.",
            "What was read before stays readable where it was kept. Ask the owner for a grant.",
        )
    return found, front_bytes, trailer_bytes


def _to_expiry(expires: datetime | None) -> int:
    return NEVER if expires is None else int(expires.timestamp())


def _from_expiry(seconds: int) -> datetime | None:
    return None if seconds == NEVER else _from_seconds(seconds)


def _from_seconds(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Tampered("A time in a keyring is out of range.", _DO_NOT_USE) from None


# Succession -----------------------------------------------------------------------------------------------------------


def _writer_key(owner_secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derive(owner_secret, "owner/writer"))


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _check(secret: bytes) -> bytes:
    return derive(secret, "epoch/check")


def _succession(place: Place, keys: OwnerKeys, before: Keyring | None) -> tuple[Succession, ...]:
    if before and before.keys.epoch == keys.epoch:
        return before.succession
    signer = before.owner_keys if before else keys
    check = _check(keys.secret)
    signature = sign(signer.writer_key, place.context("succession", keys.epoch), keys.writer_public + check)
    return (*(before.succession if before else ()), Succession(keys.epoch, keys.writer_public, check, signature))


def _read_succession(place: Place, items: list[Any], keys: EpochKeys) -> tuple[Succession, ...]:
    steps: list[Succession] = []
    for item in items:
        if type(item) is not list or [type(part) for part in item] != [int, bytes, bytes, bytes]:
            raise Tampered("A keyring's succession is malformed.", _DO_NOT_USE)
        step = Succession(*item)
        if len(step.check) != SECRET_BYTES:
            raise Tampered("A check value of a keyring has a wrong length.", _DO_NOT_USE)
        if not (steps[-1].epoch if steps else 0) < step.epoch < 2**32:
            raise Tampered("A keyring's succession is out of order.", _DO_NOT_USE)
        signer = steps[-1].writer_public if steps else step.writer_public
        context = place.context("succession", step.epoch)
        verify(signer, context, step.writer_public + step.check, step.signature, "keyring's succession")
        steps.append(step)
    last = steps[-1] if steps else None
    if not last or (last.epoch, last.writer_public, last.check) != (
        keys.epoch,
        keys.writer_public,
        _check(keys.secret),
    ):
        raise Tampered("A keyring's keys are not those that its succession names.", _DO_NOT_USE)
    return tuple(steps)


# Links to earlier epochs ----------------------------------------------------------------------------------------------
#
# The history secrets of one keyring form a chain from the earliest linked epoch to the latest, each derived from the
# one before it. A holder gets the one of its first epoch, and so every later one, and none earlier.


def _history(epoch: int, before: Keyring | None) -> list[EpochKeys]:
    if before is None:
        return []
    known = {**before.links, before.keys.epoch: before.keys}
    return [known[earlier] for earlier in sorted(known) if earlier < epoch]


def _link(place: Place, epoch: int, history: list[EpochKeys]) -> tuple[list[tuple[int, bytes]], list[list[Any]]]:
    """The chain of history secrets as (epoch, secret), and the sealed links as [epoch, blob]."""
    chain, links = [], []
    secret = os.urandom(SECRET_BYTES)
    for keys in history:
        link = seal_raw(
            derive(secret, "history/link"), _link_context(place, epoch, keys.epoch), keys.secret + keys.writer_public
        )
        chain.append((keys.epoch, secret))
        links.append([keys.epoch, link])
        secret = derive(secret, "history/step")
    return chain, links


def _open_links(
    place: Place, epoch: int, items: list[Any], since: int, secret: bytes, succession: tuple[Succession, ...]
) -> dict[int, EpochKeys]:
    vouched = {step.epoch: step for step in succession}
    links: dict[int, EpochKeys] = {}
    last = 0
    for item in items:
        if type(item) is not list or [type(part) for part in item] != [int, bytes] or not last < item[0] < epoch:
            raise Tampered("A keyring's links are malformed.", _DO_NOT_USE)
        last = item[0]
        if last < since:
            continue
        plain = unseal_raw(derive(secret, "history/link"), _link_context(place, epoch, last), item[1], "link")
        keys = EpochKeys(last, bytes(plain[:SECRET_BYTES]), bytes(plain[SECRET_BYTES:]))
        step = vouched.get(last)
        if not step or (step.writer_public, step.check) != (keys.writer_public, _check(keys.secret)):
            raise Tampered("A keyring's link is not what its succession names.", _DO_NOT_USE)
        links[last] = keys
        secret = derive(secret, "history/step")
    return links


def _link_context(place: Place, epoch: int, earlier: int) -> bytes:
    return place.context("link", epoch) + earlier.to_bytes(4, "big")


# Roster ---------------------------------------------------------------------------------------------------------------


def roster_bytes(slots: int) -> int:
    """The size of the sealed roster behind so many envelopes."""
    return sealed_size(slots * _ROSTER_ENTRY + _ROSTER_REST)


def _key_twice(holders: Sequence[Holder]) -> bool:
    return len({holder.key.raw for holder in holders}) != len(holders)


def _encode_roster(roster: Roster) -> bytes:
    holders = [
        [h.key.raw, int(h.role), h.name, h.since, _to_expiry(h.expires), h.address, h.added_by, h.pending]
        for h in roster.holders
    ]
    return canonical.encode(
        {
            "name": roster.name,
            "import_key": roster.import_key,
            "holders": holders,
            "rotated": int(roster.rotated.timestamp()),
            "rotate_every": roster.rotate_every and int(roster.rotate_every.total_seconds()),
        }
    )


def _decode_roster(body: bytes) -> Roster:
    value = canonical.fields(canonical.decode(body, "roster"), _ROSTER, "roster")
    every = value["rotate_every"]
    if len(value["import_key"]) != SECRET_BYTES:
        raise Tampered("The roster's import key is malformed.", _DO_NOT_USE)
    if value["rotated"] < 0 or (every is not None and not 0 < every < 2**32):
        raise Tampered("The roster's dates are out of range.", _DO_NOT_USE)
    holders = []
    for item in value["holders"]:
        if type(item) is not list or [type(part) for part in item] not in _HOLDER:
            raise Tampered("A line of the roster is malformed.", _DO_NOT_USE)
        key, role, name, since, expiry, address, added_by, pending = item
        sound = role in _ROLES and 0 < since < 2**32 and 0 <= expiry <= NEVER and len(added_by) == KEY_ID_BYTES
        if not sound or (address is not None and len(address) != 20):
            raise Tampered("A line of the roster is malformed.", _DO_NOT_USE)
        try:
            public = PublicKey(key)
        except InvalidCard:
            raise Tampered("A line of the roster has a malformed key.", _DO_NOT_USE) from None
        holders.append(Holder(public, Role(role), name, since, _from_expiry(expiry), address, added_by, pending))
    if _key_twice(holders):
        raise Tampered("Two lines of the roster have the same key.", _DO_NOT_USE)
    rotated, rotate_every = _from_seconds(value["rotated"]), None if every is None else timedelta(seconds=every)
    return Roster(value["name"], value["import_key"], tuple(holders), rotated, rotate_every)
