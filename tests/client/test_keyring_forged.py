"""Keyrings that are put together by hand: by a reader who knows the epoch secret, and by a faulty or hostile device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memsync_client import canonical
from memsync_client.errors import AccessEnded, ForeignKeyring, Tampered
from memsync_client.heads import FIRST, open_head, seal_head
from memsync_client.keyring import ENVELOPE_BYTES, Keyring, OwnerKeys, follows, open_keyring, seal_keyring
from memsync_client.keys import envelope_info
from memsync_client.sealing import SIGNATURE_BYTES, derive, seal, seal_raw, sealed_size, sha256, sign, unseal
from tests.client.material import PLACE, device, flipped, holder, reader, rings, roster, secret

SLOTS = 16
FRONT = SLOTS * ENVELOPE_BYTES
BACK = sealed_size(SLOTS * 1_472 + 512)
EPOCH = 4
HOLDERS = roster(device(), device("phone"), reader("claude"))
VAULT = list(rings((1, HOLDERS), (2, HOLDERS), (EPOCH, HOLDERS)))
BLOB, KEYS = VAULT[-1]
TRAILER_KEY, CONTEXT = derive(KEYS.secret, "epoch/trailer"), PLACE.context("trailer", EPOCH)
ATTACKER = Ed25519PrivateKey.from_private_bytes(secret("attacker"))


def opened(blob: bytes, name: str = "laptop", epoch: int = EPOCH) -> Keyring:
    return open_keyring(PLACE, epoch, blob, holder(name).xwing)


def trailer_of(blob: bytes) -> dict[str, Any]:
    signed = unseal(TRAILER_KEY, CONTEXT, blob[FRONT:-BACK], "trailer")
    body = canonical.decode(signed[SIGNATURE_BYTES:])
    assert isinstance(body, dict)
    return body


def with_trailer(body: Any, key: Ed25519PrivateKey, front: bytes = BLOB[:FRONT], back: bytes = BLOB[-BACK:]) -> bytes:
    """BLOB with another trailer, signed by ``key`` and sealed as it must be."""
    encoded = body if isinstance(body, bytes) else canonical.encode(body)
    signed = sign(key, CONTEXT, encoded) + encoded
    return front + seal(TRAILER_KEY, CONTEXT, signed, size=2_048) + back


def test_with_trailer__of_the_same_body_by_the_writer_key__opens() -> None:
    """The tool of the tests below is right: with nothing changed its keyring opens."""
    ring = opened(with_trailer(trailer_of(BLOB), KEYS.writer_key))
    assert (ring.keys, list(ring.links)) == (KEYS, [1, 2])


# A reader who holds the epoch secret ----------------------------------------------------------------------------------


def test_reader__signs_a_trailer__refused_by_all() -> None:
    for name in ("laptop", "claude"):
        with pytest.raises(Tampered, match="not signed by the vault's writer key"):
            opened(with_trailer(trailer_of(BLOB), ATTACKER), name)


def test_reader__puts_its_own_envelopes_under_the_old_signature__refused() -> None:
    body = trailer_of(BLOB)
    again = seal_keyring(PLACE, KEYS, HOLDERS, opened(VAULT[-2][0], epoch=2))
    with pytest.raises(Tampered):
        opened(again[:FRONT] + BLOB[FRONT:])
    with pytest.raises(Tampered, match="not signed"):
        opened(with_trailer(body | {"envelopes": sha256(again[:FRONT])}, ATTACKER, front=again[:FRONT]))


def test_reader__reuses_the_signature_of_a_head_as_that_of_a_trailer__refused() -> None:
    head = seal_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_key, FIRST)
    signed = unseal(derive(KEYS.secret, "epoch/head"), PLACE.context("head", EPOCH), head, "head")
    blob = BLOB[:FRONT] + seal(TRAILER_KEY, CONTEXT, signed, size=2_048) + BLOB[-BACK:]
    with pytest.raises(Tampered, match="not signed"):
        opened(blob)


def test_reader__makes_a_whole_keyring_of_the_epoch_with_its_secret__foreign() -> None:
    """Nobody who holds keys of the vault takes it, though every envelope opens."""
    mine = OwnerKeys.new(EPOCH)
    forged = replace(mine, secret=opened(BLOB, "claude").keys.secret)
    blob = seal_keyring(PLACE, forged, HOLDERS)
    for name in ("laptop", "phone", "claude"):
        ring = opened(blob, name)
        with pytest.raises(ForeignKeyring):
            follows(ring, KEYS.anchor)


@pytest.mark.parametrize("epoch", [EPOCH, EPOCH + 1])
def test_reader__continues_the_true_succession_with_its_own_key__refused(epoch: int) -> None:
    seen = opened(BLOB, "claude")
    steps = seen.succession if epoch > EPOCH else seen.succession[:-1]
    before = replace(seen, keys=replace(OwnerKeys.new(epoch - 1), secret=seen.keys.secret), succession=steps, links={})
    blob = seal_keyring(PLACE, OwnerKeys.new(epoch), HOLDERS, before)
    with pytest.raises(Tampered, match="succession is not signed"):
        opened(blob, "laptop", epoch)


def test_reader__forges_a_head__refused() -> None:
    keys = opened(BLOB, "claude").keys
    for signer in (ATTACKER, Ed25519PrivateKey.from_private_bytes(keys.secret)):
        blob = seal_head(PLACE, EPOCH, keys.secret, signer, FIRST)
        with pytest.raises(Tampered, match="head is not signed"):
            open_head(PLACE, EPOCH, keys.secret, keys.writer_public, blob)


# A device that signs what it should not -------------------------------------------------------------------------------


def step(epoch: int, signer: OwnerKeys, keys: OwnerKeys, check: bytes | None = None) -> list[Any]:
    """One line of a succession: the writer key of ``keys`` vouched for by that of ``signer``."""
    check = derive(keys.secret, "epoch/check") if check is None else check
    signature = sign(signer.writer_key, PLACE.context("succession", epoch), keys.writer_public + check)
    return [epoch, keys.writer_public, check, signature]


ONE, TWO = VAULT[0][1], VAULT[1][1]
FIRST_STEP, SECOND_STEP, LAST_STEP = trailer_of(BLOB)["succession"]
LINKS = trailer_of(BLOB)["links"]


@pytest.mark.parametrize(
    "change",
    [
        {"slots": 32},
        {"slots": 0},
        {"slots": True},
        {"envelopes": bytes(32)},
        {"envelopes": b""},
        {"roster": bytes(32)},
        {"roster": None},
        {"unknown": 0},
        {"succession": []},
        {"succession": None},
        {"succession": [b""]},
        {"succession": [[1, b"", b""]]},
        {"succession": [FIRST_STEP, SECOND_STEP]},
        {"succession": [FIRST_STEP, LAST_STEP]},
        {"succession": [SECOND_STEP, FIRST_STEP, LAST_STEP]},
        {"succession": [FIRST_STEP, FIRST_STEP, SECOND_STEP, LAST_STEP]},
        {"succession": [*trailer_of(BLOB)["succession"], step(EPOCH + 1, KEYS, OwnerKeys.new(EPOCH + 1))]},
        {"succession": [FIRST_STEP, SECOND_STEP, [str(EPOCH), *LAST_STEP[1:]]]},
        {"succession": [FIRST_STEP, SECOND_STEP, [True, *LAST_STEP[1:]]]},
        {"succession": [FIRST_STEP, SECOND_STEP, [*LAST_STEP[:3], flipped(LAST_STEP[3], 0)]]},
        {"succession": [FIRST_STEP, [*SECOND_STEP[:2], flipped(SECOND_STEP[2], 0), SECOND_STEP[3]], LAST_STEP]},
        {"succession": [FIRST_STEP, SECOND_STEP, step(EPOCH, TWO, KEYS, check=bytes(32))]},
        {"succession": [FIRST_STEP, SECOND_STEP, step(EPOCH, TWO, OwnerKeys.new(EPOCH))]},
        {"succession": [step(0, ONE, ONE), step(EPOCH, ONE, KEYS)]},
        {"succession": [step(3, KEYS, KEYS)]},
        {"succession": [[-1, *step(3, ONE, ONE)[1:]], step(EPOCH, ONE, KEYS)]},
        {"links": None},
        {"links": [[1]]},
        {"links": [["1", LINKS[0][1]]]},
        {"links": [LINKS[1], LINKS[0]]},
        {"links": [LINKS[0], LINKS[0]]},
        {"links": [LINKS[0]]},
        {"links": [[0, LINKS[0][1]], LINKS[1]]},
        {"links": [[1, LINKS[1][1]], [2, LINKS[0][1]]]},
        {"links": [LINKS[0], [3, LINKS[1][1]]]},
        {"links": [LINKS[0], [EPOCH, LINKS[1][1]]]},
        {"links": [[1, LINKS[0][1][:-1]], LINKS[1]]},
        {"links": [[1, b""], LINKS[1]]},
        {"succession": [step(2, TWO, TWO), LAST_STEP]},
    ],
    ids=str,
)
def test_device__signs_a_malformed_trailer__tampered(change: dict[str, Any]) -> None:
    blob = with_trailer(trailer_of(BLOB) | change, KEYS.writer_key)
    if change == {"links": [LINKS[0]]}:  # to leave out the newest links is allowed: it only opens less
        assert list(opened(blob).links) == [1]
        return
    with pytest.raises(Tampered):
        opened(blob)


def test_device__signs_a_trailer_that_is_no_map_or_not_canonical__tampered() -> None:
    whole = canonical.encode(trailer_of(BLOB))
    for body in (b"", b"\xf6", canonical.encode([]), whole + b"\0", whole[:-1], b"\xbf" + whole[1:] + b"\xff"):
        with pytest.raises(Tampered):
            opened(with_trailer(body, KEYS.writer_key))


def plain_of(name: str) -> tuple[int, bytes]:
    """Slot and plaintext of a holder's envelope."""
    key = holder(name).xwing
    info = envelope_info(PLACE, EPOCH, key.public.id)
    for slot in range(SLOTS):
        plain = key.open(info, BLOB[slot * ENVELOPE_BYTES : (slot + 1) * ENVELOPE_BYTES])
        if plain:
            return slot, plain
    raise AssertionError(name)


def with_envelope(name: str, change: Callable[[bytes], bytes]) -> bytes:
    """BLOB with that holder's envelope changed inside, sealed and signed as it must be."""
    slot, plain = plain_of(name)
    public = holder(name).xwing.public
    envelope = public.enclose(envelope_info(PLACE, EPOCH, public.id), change(plain))
    front = BLOB[: slot * ENVELOPE_BYTES] + envelope + BLOB[(slot + 1) * ENVELOPE_BYTES : FRONT]
    return with_trailer(trailer_of(BLOB) | {"envelopes": sha256(front)}, KEYS.writer_key, front)


@pytest.mark.parametrize(
    "keys",
    [secret("other") + ONE.writer_public, ONE.secret + secret("other"), ONE.secret, TWO.secret + TWO.writer_public],
    ids=["other secret", "other writer key", "no writer key", "keys of another epoch"],
)
def test_device__links_other_keys_than_the_succession_names__tampered(keys: bytes) -> None:
    history = plain_of("claude")[1][81:113]
    context = PLACE.context("link", EPOCH) + (1).to_bytes(4, "big")

    def linked(link: bytes) -> bytes:
        sealed = seal_raw(derive(history, "history/link"), context, link)
        return with_trailer(trailer_of(BLOB) | {"links": [[1, sealed], LINKS[1]]}, KEYS.writer_key)

    assert list(opened(linked(ONE.secret + ONE.writer_public), "claude").links) == [1, 2]
    for name in ("laptop", "claude"):
        with pytest.raises(Tampered, match="link is not what its succession names"):
            opened(linked(keys), name)


def put(position: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda plain: plain[:position] + data + plain[position + len(data) :]


def test_with_envelope__unchanged__opens() -> None:
    assert opened(with_envelope("claude", lambda plain: plain), "claude").keys.secret == KEYS.secret


@pytest.mark.parametrize(
    ("position", "data"),
    [
        (0, b"\0"),
        (0, b"\2"),
        (1, b"\0"),
        (1, b"\4"),
        (1, b"\1"),  # a reader named a device: its writer key would be another
        (2, b"\xff\xff\xff\xff\xfe"),
        (7, b"\0\0\0\0"),
        (7, b"\0\0\0\2"),
        (11, b"\0\0"),
        (11, b"\0\x11"),
        (11, b"\0\x20"),
        (11, b"\xff\xf0"),
        (13, b"\0\0\0\0"),
        (13, b"\xff\xff\xff\xff"),
        (17, bytes(32)),
        (49, bytes(32)),
        (49, ATTACKER.public_key().public_bytes_raw()),
        (81, bytes(32)),
        (113, b"\1"),
        (127, b"\1"),
    ],
    ids=str,
)
def test_device__signs_a_wrong_envelope__tampered(position: int, data: bytes) -> None:
    blob = with_envelope("claude", put(position, data))
    if (position, data) == (7, b"\0\0\0\0"):  # the same as since 1
        assert list(opened(blob, "claude").links) == [1, 2]
        return
    with pytest.raises(Tampered):
        opened(blob, "claude")


def test_device__signs_an_envelope_of_another_length__not_the_holders() -> None:
    for longer in (b"", b"\0"):
        public = holder("claude").xwing.public
        slot, plain = plain_of("claude")
        envelope = public.enclose(envelope_info(PLACE, EPOCH, public.id), (plain + b"\0")[: 127 + 2 * len(longer)])
        front = BLOB[: slot * ENVELOPE_BYTES] + envelope + BLOB[(slot + 1) * ENVELOPE_BYTES : FRONT]
        with pytest.raises((Tampered, AccessEnded)):
            opened(with_trailer(trailer_of(BLOB), KEYS.writer_key, front), "claude")


def with_roster(body: Any) -> bytes:
    """BLOB with another roster, sealed and signed as it must be."""
    encoded = body if isinstance(body, bytes) else canonical.encode(body)
    key, context = derive(KEYS.owner_secret, "owner/roster"), PLACE.context("roster", EPOCH)
    back = seal(key, context, encoded, size=SLOTS * 1_472 + 512)
    return with_trailer(trailer_of(BLOB) | {"roster": sha256(back)}, KEYS.writer_key, back=back)


LINE: list[Any] = [device().key.raw, 1, "laptop", 1, 2**40 - 1, None, device().key.id, False]


def roster_of(*lines: Any) -> dict[str, Any]:
    return {"name": "the novel", "import_key": bytes(32), "holders": list(lines), "rotated": 0, "rotate_every": None}


def test_with_roster__of_a_sound_line__opens() -> None:
    ring = opened(with_roster(roster_of(LINE)))
    assert ring.roster
    assert [line.name for line in ring.roster.holders] == ["laptop"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        [],
        roster_of() | {"unknown": 1},
        roster_of() | {"holders": None},
        roster_of() | {"name": b"the novel"},
        roster_of() | {"import_key": None},
        roster_of(None),
        roster_of([]),
        roster_of(LINE[:-1]),
        roster_of([*LINE, None]),
        roster_of([LINE[0], 0, *LINE[2:]]),
        roster_of([LINE[0], 4, *LINE[2:]]),
        roster_of([LINE[0], True, *LINE[2:]]),
        roster_of([*LINE[:4], None, *LINE[5:]]),
        roster_of([*LINE[:4], 2**40 - 2, *LINE[5:]]),
        roster_of([*LINE[:4], 2**63, *LINE[5:]]),
        roster_of([LINE[0][:-1], *LINE[1:]]),
        roster_of([b"\xff" * 1_216, *LINE[1:]]),
        roster_of([*LINE[:6], None, False]),
        roster_of([*LINE[:6], bytes(31), False]),
        roster_of([*LINE[:5], bytes(19), *LINE[6:]]),
        roster_of([*LINE[:7], 0]),
        roster_of([*LINE[:4], -1, *LINE[5:]]),
        roster_of([*LINE[:3], -1, *LINE[4:]]),
        roster_of([*LINE[:3], 0, *LINE[4:]]),
        roster_of([*LINE[:3], 2**32, *LINE[4:]]),
        roster_of() | {"import_key": bytes(31)},
        roster_of() | {"rotated": None},
        roster_of() | {"rotated": -1},
        roster_of() | {"rotated": 2**63},
        roster_of() | {"rotate_every": 0},
        roster_of() | {"rotate_every": -1},
        roster_of() | {"rotate_every": 2**32},
        roster_of() | {"rotate_every": True},
    ],
    ids=lambda body: str(body)[-60:],
)
def test_device__signs_a_malformed_roster__tampered(body: Any) -> None:
    with pytest.raises(Tampered):
        opened(with_roster(body))
