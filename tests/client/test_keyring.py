"""The keyring: who opens what, what it hides, and which keyrings a holder of keys accepts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical, sealing
from memsync_client.errors import AccessEnded, ForeignKeyring, InvalidRequest, Rollback, Tampered
from memsync_client.keyring import (
    ENVELOPE_BYTES,
    Holder,
    Keyring,
    OwnerKeys,
    Role,
    Roster,
    Succession,
    follows,
    open_keyring,
    seal_keyring,
)
from memsync_client.keys import envelope_info
from memsync_client.sealing import MAX_BLOB, Place, derive, sealed_size, sha256
from tests.client.material import (
    EXPIRES,
    OTHER_PLACES,
    PLACE,
    ROTATED,
    device,
    flipped,
    holder,
    reader,
    rings,
    roster,
    secret,
)

OWN = device()
KIT = replace(device("kit"), role=Role.KIT)
HOLDERS = roster(OWN, device("phone"), KIT, reader("claude"), replace(reader("friend"), address=None))
KEYS = OwnerKeys.new(1)
BLOB = seal_keyring(PLACE, KEYS, HOLDERS)
SLOTS = 16


def opened(blob: bytes, name: str = "laptop", epoch: int = 1, place: Place = PLACE) -> Keyring:
    return open_keyring(place, epoch, blob, holder(name).xwing)


def envelopes(blob: bytes, slots: int = SLOTS) -> list[bytes]:
    return [blob[i * ENVELOPE_BYTES : (i + 1) * ENVELOPE_BYTES] for i in range(slots)]


def slot_of(blob: bytes, name: str, epoch: int = 1, slots: int = SLOTS) -> int:
    key = holder(name).xwing
    info = envelope_info(PLACE, epoch, key.public.id)
    [slot] = [i for i, envelope in enumerate(envelopes(blob, slots)) if key.open(info, envelope) is not None]
    return slot


def many(count: int) -> Roster:
    """``count`` holders; only the first is a device. The other keys' holders are not asked."""
    return roster(OWN, *(reader(f"tool {i}") for i in range(1, count)))


# Who opens what -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "role"), [("laptop", Role.DEVICE), ("phone", Role.DEVICE), ("kit", Role.KIT)])
def test_open__by_device_or_kit__gives_owner_keys_and_roster(name: str, role: Role) -> None:
    ring = opened(BLOB, name)
    assert (ring.role, ring.expires, ring.since) == (role, None, 1)
    assert ring.keys == ring.owner_keys == KEYS
    assert ring.owner_keys.writer_key.public_key().public_bytes_raw() == KEYS.writer_public
    assert ring.roster == HOLDERS
    assert ring.links == {}


@pytest.mark.parametrize("name", ["claude", "friend"])
def test_open__by_reader__gives_epoch_secret_and_public_writer_key_only(name: str) -> None:
    ring = opened(BLOB, name)
    assert (ring.role, ring.expires, ring.since, ring.roster) == (Role.READER, EXPIRES, 1, None)
    assert (ring.keys.epoch, ring.keys.secret, ring.keys.writer_public) == (1, KEYS.secret, KEYS.writer_public)
    assert not isinstance(ring.keys, OwnerKeys)
    with pytest.raises(AccessEnded):
        _ = ring.owner_keys


def test_open__by_stranger__access_ended() -> None:
    with pytest.raises(AccessEnded, match="never granted, revoked, or expired"):
        opened(BLOB, "stranger")


def test_open__roster__is_closed_to_everything_that_a_reader_has() -> None:
    key = holder("claude").xwing
    plain = key.open(envelope_info(PLACE, 1, key.public.id), envelopes(BLOB)[slot_of(BLOB, "claude")])
    assert plain
    back = BLOB[-sealed_size(SLOTS * 1_472 + 512) :]
    context = PLACE.context("roster", 1)
    assert b"claude" in sealing.unseal(derive(KEYS.owner_secret, "owner/roster"), context, back, "roster")
    for start in range(len(plain) - 31):
        with pytest.raises(Tampered):
            sealing.unseal(derive(plain[start : start + 32], "owner/roster"), context, back, "roster")


def test_seal__names_in_no_form_who_the_holders_are() -> None:
    for line in HOLDERS.holders:
        assert not [part for part in (line.name.encode(), line.key.raw[:32], line.key.id[:20]) if part in BLOB]


# What a keyring hides -------------------------------------------------------------------------------------------------


def test_seal__with_one_or_sixteen_holders__has_one_length_and_with_seventeen_the_next() -> None:
    sizes = [len(seal_keyring(PLACE, KEYS, many(count))) for count in (1, 2, 15, 16, 17, 32, 33)]
    trailer = sealed_size(2_048)

    def size(slots: int) -> int:
        return slots * ENVELOPE_BYTES + trailer + sealed_size(slots * 1_472 + 512)

    assert sizes == [size(16)] * 4 + [size(32)] * 2 + [size(48)]


@pytest.mark.parametrize("count", [1, 16, 17])
def test_open__one_envelope_opens_per_holder_and_no_other(count: int) -> None:
    holders = many(count)
    blob = seal_keyring(PLACE, KEYS, holders)
    slots = [slot_of(blob, line.name, slots=16 if count <= 16 else 32) for line in holders.holders]
    assert len(set(slots)) == count


def test_seal__twice_for_the_same_holders__shares_no_envelope_and_shuffles() -> None:
    blobs = [seal_keyring(PLACE, KEYS, HOLDERS) for _ in range(12)]
    all_envelopes = [envelope for blob in blobs for envelope in envelopes(blob)]
    assert len(set(all_envelopes)) == 12 * SLOTS
    assert len({slot_of(blob, "laptop") for blob in blobs}) > 1  # by chance once in 16^11


def test_seal__dummies__are_encapsulations_as_real_as_the_others() -> None:
    """The last 32 bytes of an encapsulation are an X25519 key, whose top bit is never set; in random bytes half are."""
    blob = seal_keyring(PLACE, KEYS, roster(OWN))
    assert [envelope[1_119] & 0x80 for envelope in envelopes(blob)] == [0] * SLOTS
    shares = [envelope[1_088:1_120] for envelope in envelopes(blob)]
    assert len(set(shares)) == SLOTS


def test_seal__names_in_a_roster_of_the_largest_lines__fit() -> None:
    lines = [replace(reader(f"tool {i}", since=2**32 - 1), name=f"{i:064}", expires=None) for i in range(15)]
    holders = replace(roster(OWN, *lines), name="ü" * 32)
    blob = seal_keyring(PLACE, KEYS, holders)
    assert len(blob) == len(BLOB)
    assert opened(blob).roster == holders


def test_seal__for_the_most_holders__fits_and_one_more_is_refused() -> None:
    blob = seal_keyring(PLACE, KEYS, many(256))
    assert len(blob) <= MAX_BLOB
    ring = opened(blob)
    assert ring.roster
    assert len(ring.roster.holders) == 256
    with pytest.raises(InvalidRequest, match="too large"):
        seal_keyring(PLACE, KEYS, many(257))


def test_seal__after_too_many_epochs__refused_before_anything_is_sealed() -> None:
    steps = tuple(Succession(epoch, secret("w"), secret("c"), bytes(64)) for epoch in range(1, 8_001))
    before = Keyring(Role.DEVICE, None, 1, OwnerKeys.new(8_000), {}, steps, HOLDERS)
    with pytest.raises(InvalidRequest, match="too many epochs"):
        seal_keyring(PLACE, OwnerKeys.new(8_001), HOLDERS, before)


def test_seal__expiry__is_kept_to_the_second() -> None:
    expires = datetime(2100, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)
    blob = seal_keyring(PLACE, KEYS, roster(OWN, reader("claude", expires=expires)))
    assert opened(blob, "claude").expires == expires.replace(microsecond=0)


# Earlier epochs -------------------------------------------------------------------------------------------------------

EVER = [reader(f"since {since}", since) for since in (1, 2, 3, 4, 5, 6)]
CHAIN = list(rings(*((epoch, roster(OWN, device("phone"), *EVER)) for epoch in (1, 2, 3, 5))))
LAST = CHAIN[-1][0]


@pytest.mark.parametrize(("since", "linked"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (4, []), (5, [])], ids=str)
def test_links__open_from_the_first_epoch_of_a_reader_on(since: int, linked: list[int]) -> None:
    ring = opened(LAST, f"since {since}", 5)
    known = {keys.epoch: keys for _, keys in CHAIN}
    assert list(ring.links) == linked
    for epoch in linked:
        assert (ring.links[epoch].secret, ring.links[epoch].writer_public) == (
            known[epoch].secret,
            known[epoch].writer_public,
        )
        assert not isinstance(ring.links[epoch], OwnerKeys)
    assert [epoch for epoch in range(8) if ring.keys_of(epoch)] == [*linked, 5]


def test_seal__holder_from_the_next_epoch_on__has_no_envelope_before_it() -> None:
    """It stands in the roster, and a device opens that."""
    with pytest.raises(AccessEnded):
        opened(LAST, "since 6", 5)
    before = opened(LAST, "laptop", 5)
    assert before.roster
    assert before.roster.holders[-1].since == 6
    blob = seal_keyring(PLACE, OwnerKeys.new(6), before.roster, before)
    assert (opened(blob, "since 6", 6).since, dict(opened(blob, "since 6", 6).links)) == (6, {})


def test_roster__dates_and_pending_keys__are_given_back() -> None:
    every = timedelta(days=90)
    lines = replace(roster(OWN, replace(device("phone"), pending=True)), rotate_every=every)
    ring = opened(seal_keyring(PLACE, KEYS, lines))
    assert ring.roster == lines
    assert (lines.rotated, lines.rotate_every) == (ROTATED, every)


def test_links__history_secret_of_a_later_reader__opens_no_earlier_link() -> None:
    """By hand, with all that the reader's envelope has and whatever it derives from it."""
    key, keys = holder("since 3").xwing, CHAIN[-1][1]
    plain = key.open(envelope_info(PLACE, 5, key.public.id), envelopes(LAST)[slot_of(LAST, "since 3", 5)])
    assert plain
    trailer = LAST[SLOTS * ENVELOPE_BYTES : -sealed_size(SLOTS * 1_472 + 512)]
    body = sealing.unseal(derive(keys.secret, "epoch/trailer"), PLACE.context("trailer", 5), trailer, "trailer")
    links = dict(canonical.decode(body[64:])["links"])
    assert list(links) == [1, 2, 3]

    def opens(epoch: int, history: bytes) -> bool:
        context = PLACE.context("link", 5) + epoch.to_bytes(4, "big")
        try:
            return bool(sealing.unseal_raw(derive(history, "history/link"), context, links[epoch], "link"))
        except Tampered:
            return False

    history = plain[81:113]
    assert opens(3, history)
    have = [plain[start : start + 32] for start in range(97)]
    have += [derive(part, "history/step") for part in have]
    assert not [epoch for epoch in (1, 2) for part in have if opens(epoch, part)]


def test_links__a_new_keyring_of_the_same_epoch__keeps_them() -> None:
    before = opened(LAST, epoch=5)
    again = seal_keyring(PLACE, before.owner_keys, roster(OWN, reader("late", since=2)), before)
    assert list(opened(again, "late", 5).links) == [2, 3]
    assert opened(again, epoch=5).succession == before.succession


def test_revoked__old_keys_open_none_of_the_new_keyring() -> None:
    stay = roster(OWN, device("phone"))
    (first, old), (second, _) = rings((1, roster(OWN, device("phone"), reader("claude"))), (2, stay))
    key = holder("claude").xwing
    plain = key.open(envelope_info(PLACE, 1, key.public.id), envelopes(first)[slot_of(first, "claude")])
    assert plain
    with pytest.raises(AccessEnded):
        opened(second, "claude", 2)
    trailer = second[SLOTS * ENVELOPE_BYTES :][: sealed_size(2_048)]
    parts = {"trailer": trailer, "roster": second[-sealed_size(24_064) :]}
    kept = [plain[start : start + 32] for start in range(97)] + [old.secret, old.writer_public]
    for name, part in parts.items():
        label = {"trailer": "epoch/trailer", "roster": "owner/roster"}[name]
        for value in kept:
            with pytest.raises(Tampered):
                sealing.unseal(derive(value, label), PLACE.context(name, 2), part, name)


def test_granted_later_since_today__opens_nothing_before() -> None:
    before = roster(OWN, device("phone"))
    *_, (blob, keys) = rings((1, before), (2, before), (7, roster(OWN, reader("claude", since=7))))
    ring = opened(blob, "claude", 7)
    assert (ring.links, ring.keys.secret) == ({}, keys.secret)


# Succession -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["phone", "since 1", "since 5"])
@pytest.mark.parametrize("known", [1, 2, 3, 5])
def test_follows__from_any_epoch_that_a_holder_has_seen__accepted(name: str, known: int) -> None:
    keys = next(keys for _, keys in CHAIN if keys.epoch == known)
    follows(opened(LAST, name, 5), keys.anchor)


def test_follows__keyring_of_an_earlier_epoch__rollback() -> None:
    with pytest.raises(Rollback, match="epoch 3; this device has already seen epoch 5"):
        follows(opened(CHAIN[2][0], epoch=3), CHAIN[3][1].anchor)


def test_follows__second_secret_of_one_epoch__foreign() -> None:
    """Two devices that both hold epoch 1 made epoch 2 each on its own: whoever has taken one refuses the other."""
    (first, _), (_, taken) = rings((1, HOLDERS), (2, HOLDERS))
    other = seal_keyring(PLACE, OwnerKeys.new(2), HOLDERS, opened(first))
    with pytest.raises(ForeignKeyring):
        follows(opened(other, epoch=2), taken.anchor)


def test_follows__same_writer_key_under_another_secret__foreign() -> None:
    (first, _), (_, taken) = rings((1, HOLDERS), (2, HOLDERS))
    other = seal_keyring(PLACE, replace(taken, secret=secret("second")), HOLDERS, opened(first))
    with pytest.raises(ForeignKeyring):
        follows(opened(other, epoch=2), taken.anchor)


@pytest.mark.parametrize("epoch", [1, 2, 9])
def test_follows__keyring_by_one_who_has_only_the_public_keys__foreign(epoch: int) -> None:
    blob = seal_keyring(PLACE, OwnerKeys.new(epoch), HOLDERS)
    for name in ("laptop", "claude"):
        with pytest.raises(ForeignKeyring, match="does not follow"):
            follows(opened(blob, name, epoch), KEYS.anchor)


def test_follows__epoch_that_the_succession_leaves_out__foreign() -> None:
    with pytest.raises(ForeignKeyring):
        follows(opened(LAST, epoch=5), OwnerKeys.new(4).anchor)


# Elsewhere, changed, cut ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", OTHER_PLACES.values(), ids=OTHER_PLACES.keys())
def test_open__at_another_place__opens_nothing(place: Place) -> None:
    with pytest.raises(AccessEnded):
        opened(BLOB, place=place)


@pytest.mark.parametrize("epoch", [0, 2, 256])
def test_open__as_another_epoch__opens_nothing(epoch: int) -> None:
    with pytest.raises(AccessEnded):
        opened(BLOB, epoch=epoch)


def refusal(blob: bytes, name: str = "laptop") -> str:
    try:
        opened(blob, name)
    except (Tampered, AccessEnded) as error:
        return type(error).__name__
    return "opened"


@pytest.mark.parametrize("name", ["laptop", "claude"])
def test_open__with_any_byte_of_the_trailer_changed__tampered(name: str) -> None:
    start = SLOTS * ENVELOPE_BYTES
    positions = range(start, start + sealed_size(2_048), 1 if name == "laptop" else 13)
    assert {refusal(flipped(BLOB, position), name) for position in positions} == {"Tampered"}


def test_open__with_a_byte_of_the_roster_changed__tampered_for_all() -> None:
    size = sealed_size(SLOTS * 1_472 + 512)
    sample = {*range(80), *range(80, size, 151), *range(size - 40, size)}
    for offset in sample:
        assert refusal(flipped(BLOB, len(BLOB) - size + offset), "claude" if offset % 2 else "laptop") == "Tampered"


def test_roster__with_any_byte_changed__does_not_open() -> None:
    back, key = BLOB[-sealed_size(SLOTS * 1_472 + 512) :], derive(KEYS.owner_secret, "owner/roster")
    for position in range(len(back)):
        with pytest.raises(Tampered):
            sealing.unseal(key, PLACE.context("roster", 1), flipped(back, position), "roster")


def test_open__with_any_byte_of_the_own_envelope_changed__access_ended() -> None:
    start = slot_of(BLOB, "claude") * ENVELOPE_BYTES
    found = {refusal(flipped(BLOB, position), "claude") for position in range(start, start + ENVELOPE_BYTES)}
    assert found == {"AccessEnded"}


def test_open__with_a_byte_of_another_envelope_changed__tampered() -> None:
    own = slot_of(BLOB, "laptop")
    for slot in set(range(SLOTS)) - {own}:
        for offset in (0, 500, 1_100, ENVELOPE_BYTES - 1):
            assert refusal(flipped(BLOB, slot * ENVELOPE_BYTES + offset)) == "Tampered"


def test_open__with_envelopes_exchanged_left_out_or_of_another_keyring__refused() -> None:
    own, rest = slot_of(BLOB, "laptop"), BLOB[SLOTS * ENVELOPE_BYTES :]
    one, again = envelopes(BLOB), envelopes(seal_keyring(PLACE, KEYS, HOLDERS))
    other = (own + 1) % SLOTS
    exchanged = [one[other] if i == own else one[own] if i == other else one[i] for i in range(SLOTS)]
    foreign = [again[i] if i == other else one[i] for i in range(SLOTS)]
    without = one[:other] + one[other + 1 :]
    for front in (exchanged, foreign, without, [*one, one[other]], again):
        assert refusal(b"".join(front) + rest) == "Tampered"


def test_open__cut_anywhere_or_with_bytes_behind__refused() -> None:
    borders = [SLOTS * ENVELOPE_BYTES, SLOTS * ENVELOPE_BYTES + sealed_size(2_048), len(BLOB)]
    cuts = {*range(0, len(BLOB), 151), *(border + off for border in borders for off in (-2, -1, 0, 1))}
    assert {refusal(BLOB[:cut]) for cut in cuts if cut < len(BLOB)} == {"Tampered", "AccessEnded"}
    for tail in (b"\0", bytes(16), bytes(ENVELOPE_BYTES), BLOB, bytes(MAX_BLOB)):
        assert refusal(BLOB + tail) == "Tampered"


@given(st.binary(max_size=6_000) | st.binary(max_size=3_000).map(lambda tail: BLOB[: SLOTS * ENVELOPE_BYTES] + tail))
@settings(max_examples=500, deadline=None)
def test_open__of_arbitrary_bytes__is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises((Tampered, AccessEnded)):
        opened(data)


def test_seal__two_holders_with_one_key__refused() -> None:
    """Neither could open the keyring: two of its envelopes would be theirs."""
    twice = Holder(OWN.key, Role.READER, "again", 1, EXPIRES, sha256(b"a")[:20], OWN.key.id)
    with pytest.raises(InvalidRequest, match="the same key"):
        seal_keyring(PLACE, KEYS, roster(OWN, twice, reader("claude")))
