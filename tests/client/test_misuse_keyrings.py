"""Misuse of keyrings by those who may sign or commit one: planted holders, two secrets, contexts of another place."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from memsync_client import canonical
from memsync_client.errors import AccessEnded, ForeignKeyring, InvalidRequest, Tampered
from memsync_client.keyring import (
    ENVELOPE_BYTES,
    NEVER,
    Holder,
    Keyring,
    OwnerKeys,
    Role,
    follows,
    open_keyring,
    seal_keyring,
)
from memsync_client.keys import PublicKey, envelope_info
from memsync_client.sealing import SIGNATURE_BYTES, derive, seal, seal_raw, sealed_size, sha256, sign, unseal
from tests.client.material import OTHER_PLACES, PLACE, device, flipped, holder, reader, rings, roster, secret

SLOTS = 16
FRONT = SLOTS * ENVELOPE_BYTES
BACK = sealed_size(SLOTS * 1_472 + 512)
EPOCH = 2
HOLDERS = roster(device(), device("phone"), reader("claude"))
(FIRST, ONE), (BLOB, KEYS) = rings((1, HOLDERS), (EPOCH, HOLDERS))
CONTEXT = PLACE.context("trailer", EPOCH)


def opened(blob: bytes, name: str = "laptop", epoch: int = EPOCH) -> Keyring:
    return open_keyring(PLACE, epoch, blob, holder(name).xwing)


def trailer_of(blob: bytes) -> dict[str, Any]:
    signed = unseal(derive(KEYS.secret, "epoch/trailer"), CONTEXT, blob[FRONT:-BACK], "trailer")
    body: dict[str, Any] = canonical.decode(signed[SIGNATURE_BYTES:])
    return body


def signed_anew(front: bytes, context: bytes = CONTEXT, **change: Any) -> bytes:
    """BLOB with other envelopes and a trailer to match, as a device would make it; ``context`` is what is signed."""
    encoded = canonical.encode(trailer_of(BLOB) | {"envelopes": sha256(front)} | change)
    signed = sign(KEYS.writer_key, context, encoded) + encoded
    return front + seal(derive(KEYS.secret, "epoch/trailer"), CONTEXT, signed, size=2_048) + BLOB[-BACK:]


def slots(blob: bytes) -> list[bytes]:
    return [blob[i * ENVELOPE_BYTES : (i + 1) * ENVELOPE_BYTES] for i in range(SLOTS)]


def plain_of(name: str, blob: bytes = BLOB) -> tuple[int, bytes]:
    """Slot and plaintext of a holder's envelope."""
    key = holder(name).xwing
    found = [key.open(envelope_info(PLACE, EPOCH, key.public.id), envelope) for envelope in slots(blob)]
    [(slot, plain)] = [(i, plain) for i, plain in enumerate(found) if plain]
    return slot, plain


def with_envelope(slot: int, name: str, plain: bytes) -> bytes:
    """BLOB, signed anew, with an envelope to that holder in that slot."""
    public, envelopes = holder(name).xwing.public, slots(BLOB)
    envelopes[slot] = public.enclose(envelope_info(PLACE, EPOCH, public.id), plain)
    return signed_anew(b"".join(envelopes))


def free_slot() -> int:
    """One that holds a dummy."""
    return next(iter(set(range(SLOTS)) - {plain_of(line.name)[0] for line in HOLDERS.holders}))


def test_tools__with_nothing_changed__open() -> None:
    slot, plain = plain_of("claude")
    for blob in (signed_anew(BLOB[:FRONT]), with_envelope(slot, "claude", plain)):
        assert opened(blob).keys == KEYS
        assert opened(blob, "claude").keys.secret == KEYS.secret


# One secret for all, and one for each epoch ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["phone", "claude"])
def test_device__gives_two_holders_two_secrets__one_of_them_refuses(name: str) -> None:
    slot, plain = plain_of(name)
    second = OwnerKeys.new(EPOCH)
    other_half = second.owner_secret if name == "phone" else second.writer_public
    for keys in (second.secret + plain[49:81], plain[17:49] + other_half, second.secret + other_half):
        blob = with_envelope(slot, name, plain[:17] + keys + plain[81:])
        assert opened(blob).keys == KEYS
        with pytest.raises(Tampered):
            opened(blob, name)


def test_device__gives_one_holder_two_envelopes__refused() -> None:
    _, plain = plain_of("claude")
    for other in (plain, plain[:17] + secret("other") + plain[49:]):
        blob = with_envelope(free_slot(), "claude", other)
        assert opened(blob).keys == KEYS
        with pytest.raises(Tampered, match="Two envelopes"):
            opened(blob, "claude")


def test_devices__each_make_the_next_epoch__who_has_taken_one_refuses_the_other() -> None:
    before = opened(BLOB)
    first, second = OwnerKeys.new(3), OwnerKeys.new(3)
    blobs = [seal_keyring(PLACE, keys, HOLDERS, before) for keys in (first, second)]
    for taken, other in ((first, blobs[1]), (second, blobs[0])):
        for name in ("laptop", "phone", "claude"):
            ring = opened(other, name, 3)
            follows(ring, KEYS.anchor)  # who has taken neither takes the one on chain
            with pytest.raises(ForeignKeyring):
                follows(ring, taken.anchor)


def test_attacker__with_account_and_public_keys_but_no_writer_key__no_holder_follows() -> None:
    """It has what stands on chain and in cards: public keys, place, epoch, and the bytes of the old keyring."""
    for epoch in (EPOCH, EPOCH + 1):
        mine = OwnerKeys.new(epoch)
        blob = seal_keyring(PLACE, mine, HOLDERS)
        for name in ("laptop", "phone", "claude"):
            with pytest.raises(ForeignKeyring):
                follows(opened(blob, name, epoch), KEYS.anchor)
        glued = blob[:FRONT] + BLOB[FRONT:]  # its own envelopes before the true trailer and roster
        with pytest.raises(Tampered):
            opened(glued, "claude", epoch)


def test_attacker__copies_the_succession_of_a_keyring_that_it_can_read__refused() -> None:
    """A reader knows each line of the succession, and can sign no further one."""
    mine = replace(OwnerKeys.new(EPOCH + 1))
    seen = opened(BLOB, "claude")
    fake = replace(seen, keys=OwnerKeys(EPOCH, seen.keys.secret, seen.keys.writer_public, secret("guess")), links={})
    blob = seal_keyring(PLACE, mine, HOLDERS, fake)
    for name in ("laptop", "phone", "claude"):
        with pytest.raises(Tampered, match="succession is not signed"):
            opened(blob, name, EPOCH + 1)


# A planted holder -----------------------------------------------------------------------------------------------------


def test_removed_device__had_hidden_an_envelope_for_itself__is_out_with_the_next_epoch() -> None:
    """An envelope in the place of a dummy can't be told from one; only who is in the roster is in the next keyring."""
    _, plain = plain_of("phone")
    planted = with_envelope(free_slot(), "hidden", plain)
    ring = opened(planted)
    assert opened(planted, "hidden").owner_keys == KEYS
    assert ring.roster
    assert holder("hidden").xwing.public not in {line.key for line in ring.roster.holders}
    without = roster(device(), reader("claude"))
    after = seal_keyring(PLACE, OwnerKeys.new(EPOCH + 1), without, ring)
    for gone in ("phone", "hidden"):
        with pytest.raises(AccessEnded):
            opened(after, gone, EPOCH + 1)
    assert list(opened(after, "claude", EPOCH + 1).links) == [1, EPOCH]


def test_removed_device__still_has_the_old_writer_key__can_name_no_epoch_that_is_taken() -> None:
    """It may sign another epoch 3; whoever has taken the true one refuses it, and every later one built on it."""
    old, before = opened(BLOB, "phone").owner_keys, opened(BLOB, "phone")
    assert old == KEYS
    true = OwnerKeys.new(EPOCH + 1)
    forged = OwnerKeys.new(EPOCH + 1)
    blob = seal_keyring(PLACE, forged, HOLDERS, before)
    later = seal_keyring(PLACE, OwnerKeys.new(EPOCH + 2), HOLDERS, opened(blob, "phone", EPOCH + 1))
    for ring in (opened(blob, "laptop", EPOCH + 1), opened(later, "laptop", EPOCH + 2)):
        follows(ring, KEYS.anchor)
        with pytest.raises(ForeignKeyring):
            follows(ring, true.anchor)


# Contexts -------------------------------------------------------------------------------------------------------------

OTHERS = {
    **{name: (place, EPOCH) for name, place in OTHER_PLACES.items()},
    "epoch": (PLACE, EPOCH + 1),
}


@pytest.mark.parametrize("name", [*OTHERS, "kind"])
def test_trailer__signed_in_another_context__tampered(name: str) -> None:
    context = PLACE.context("head", EPOCH) if name == "kind" else OTHERS[name][0].context("trailer", OTHERS[name][1])
    blob = signed_anew(BLOB[:FRONT], context)
    for who in ("laptop", "claude"):
        with pytest.raises(Tampered, match="keyring is not signed"):
            opened(blob, who)


@pytest.mark.parametrize("name", [*OTHERS, "kind"])
def test_succession__signed_in_another_context__tampered(name: str) -> None:
    place, epoch = OTHERS.get(name, (PLACE, EPOCH))
    check = derive(KEYS.secret, "epoch/check")
    context = place.context("trailer" if name == "kind" else "succession", epoch)
    entry = [EPOCH, KEYS.writer_public, check, sign(ONE.writer_key, context, KEYS.writer_public + check)]
    blob = signed_anew(BLOB[:FRONT], succession=[trailer_of(BLOB)["succession"][0], entry])
    with pytest.raises(Tampered, match="succession is not signed"):
        opened(blob)


@pytest.mark.parametrize("name", [*OTHERS, "kind", "linked epoch", "no linked epoch"])
def test_link__sealed_in_another_context__tampered(name: str) -> None:
    history = plain_of("claude")[1][81:113]
    place, epoch = OTHERS.get(name, (PLACE, EPOCH))
    linked = {"linked epoch": (2).to_bytes(4, "big"), "no linked epoch": b""}.get(name, (1).to_bytes(4, "big"))
    context = place.context("trailer" if name == "kind" else "link", epoch) + linked
    link = seal_raw(derive(history, "history/link"), context, ONE.secret + ONE.writer_public)
    blob = signed_anew(BLOB[:FRONT], links=[[1, link]])
    for who in ("laptop", "claude"):
        with pytest.raises(Tampered, match="link does not open"):
            opened(blob, who)


def test_link__with_any_byte_changed_or_cut__tampered() -> None:
    [[epoch, link]] = trailer_of(BLOB)["links"]
    for changed in (*(flipped(link, i) for i in range(len(link))), *(link[:size] for size in range(0, len(link), 9))):
        with pytest.raises(Tampered):
            opened(signed_anew(BLOB[:FRONT], links=[[epoch, changed]]))


# Rosters --------------------------------------------------------------------------------------------------------------


def with_roster(change: dict[str, Any], sealed_in: bytes = PLACE.context("roster", EPOCH)) -> bytes:
    key = derive(KEYS.owner_secret, "owner/roster")
    body = canonical.decode(unseal(key, PLACE.context("roster", EPOCH), BLOB[-BACK:], "roster")) | change
    back = seal(key, sealed_in, canonical.encode(body), size=SLOTS * 1_472 + 512)
    return signed_anew(BLOB[:FRONT], roster=sha256(back))[:-BACK] + back


def line(key: bytes = holder("laptop").xwing.public.raw, name: str = "laptop") -> list[Any]:
    return [key, 1, name, 1, NEVER, None, device().key.id, False]


@pytest.mark.parametrize("name", [*OTHERS, "kind"])
def test_roster__sealed_in_another_context__tampered_to_who_reads_it(name: str) -> None:
    place, epoch = OTHERS.get(name, (PLACE, EPOCH))
    blob = with_roster({}, place.context("forgotten" if name == "kind" else "roster", epoch))
    with pytest.raises(Tampered, match="roster does not open"):
        opened(blob)
    assert opened(blob, "claude").keys.secret == KEYS.secret


@pytest.mark.parametrize("again", ["laptop", "another name"])
def test_roster__with_a_key_twice__tampered_to_who_reads_it(again: str) -> None:
    assert opened(with_roster({"holders": [line()]})).roster
    blob = with_roster({"holders": [line(), line(name=again)]})
    with pytest.raises(Tampered, match="same key"):
        opened(blob)
    assert opened(blob, "claude").roster is None


def test_seal__with_a_key_twice__refused_whatever_the_lines_say() -> None:
    twice = [replace(device(), name="again"), replace(reader("tool"), key=device().key), replace(device(), since=9)]
    for other in twice:
        with pytest.raises(InvalidRequest, match="same key"):
            seal_keyring(PLACE, KEYS, roster(device(), other))


LOW_ORDER = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"


@pytest.mark.parametrize(
    "key",
    [
        holder("laptop").xwing.public.raw[:1_184] + bytes.fromhex(LOW_ORDER),
        (3_329).to_bytes(2, "little") + holder("laptop").xwing.public.raw[2:],
        bytes(1_216),
        b"",
    ],
    ids=["X25519 point of low order", "ML-KEM coefficient of q", "zeros", "nothing"],
)
def test_roster__with_a_malformed_key__tampered(key: bytes) -> None:
    with pytest.raises(Tampered, match="malformed key"):
        opened(with_roster({"holders": [line(), line(key)]}))


# What a keyring hides -------------------------------------------------------------------------------------------------


def windows(blob: bytes, size: int = 16) -> set[bytes]:
    return {blob[i : i + size] for i in range(len(blob) - size + 1)}


def test_keyrings__without_readers_and_with_ten__have_one_length() -> None:
    tools = [reader(f"tool {i}") for i in range(10)]
    private = [
        Holder(holder(f"p{i}").xwing.public, Role.READER, f"p{i}", 1, None, None, device().key.id) for i in range(5)
    ]
    sizes = {
        len(seal_keyring(PLACE, KEYS, roster(device(), *some))) for some in ([], tools[:1], tools, tools + private)
    }
    assert sizes == {FRONT + sealed_size(2_048) + BACK}


def test_keyrings__of_the_same_holders_and_secrets__share_no_sixteen_bytes() -> None:
    """Neither with each other, nor with those of another epoch, nor two parts of one."""
    before = opened(FIRST, epoch=1)
    blobs = [seal_keyring(PLACE, KEYS, HOLDERS, before) for _ in range(2)] + [FIRST]
    seen: set[bytes] = set()
    for blob in blobs:
        own = windows(blob)
        assert len(own) == len(blob) - 15
        assert not own & seen
        seen |= own
    parts = slots(blobs[0])
    assert all(one[:32] != other[:32] for one, other in pairwise(sorted(parts)))
    assert not any(PublicKey(line.key.raw).raw[i : i + 16] in seen for line in HOLDERS.holders for i in (0, 600, 1_200))
