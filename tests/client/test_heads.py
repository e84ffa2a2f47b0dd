"""Heads: one commit each, signed; with its base a head names every pack."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.errors import AccessEnded, Tampered
from memsync_client.heads import BASE_EVERY, FIRST, Head, HeadRef, PackRef, open_head, seal_head
from memsync_client.keyring import OwnerKeys
from memsync_client.memory_log import Frontier
from memsync_client.sealing import derive, seal, sealed_size, sha256, sign
from tests.client.material import OTHER_PLACES, PLACE, flipped, secret

KEYS = OwnerKeys.new(3)
OTHER = Ed25519PrivateKey.from_private_bytes(secret("attacker"))

HASHES = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(1, 2**32 - 1)
REFS = st.builds(HeadRef, HASHES, NUMBERS)
PACKS = st.lists(st.builds(PackRef, HASHES, NUMBERS, NUMBERS), max_size=20, unique_by=lambda pack: pack.hash).map(tuple)
LOGS = st.integers(0, 2**64 - 1).map(
    lambda size: Frontier(size, tuple(sha256(bytes((i,))) for i in range(size.bit_count())))
)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    packs = draw(PACKS)
    age = draw(st.integers(0, BASE_EVERY - 1))
    base, parent = draw(REFS) if age else None, draw(st.none() | REFS)
    forgotten = draw(st.lists(HASHES, max_size=3, unique=True).map(tuple))
    skips = draw(st.lists(HASHES, max_size=3, unique=True).map(tuple)) if parent else ()
    return Head(draw(NUMBERS), parent, base, age, packs, draw(st.integers(0, len(packs))), draw(LOGS), forgotten, skips)


def sealed(head: Head) -> bytes:
    return seal_head(PLACE, 3, KEYS.secret, KEYS.writer_key, head)


def opened(blob: bytes) -> Head:
    return open_head(PLACE, 3, KEYS.secret, KEYS.writer_public, blob)


def pack(number: int, epoch: int = 3, count: int = 1) -> PackRef:
    return PackRef(sha256(b"pack %d" % number), epoch, count)


HEAD = Head(9, HeadRef(secret("parent"), 3), HeadRef(secret("base"), 2), 4, (pack(1), pack(2), pack(3)), 1, Frontier())
BLOB = sealed(HEAD)


@given(heads())
@settings(max_examples=300, deadline=None)
def test_open__of_any_head__gives_it_back(head: Head) -> None:
    assert opened(sealed(head)) == head


def test_first__is_an_empty_base_of_version_1() -> None:
    assert opened(sealed(FIRST)) == FIRST == Head(1, None, None, 0, (), 0, Frontier())


# Who may make one -----------------------------------------------------------------------------------------------------


def test_open__signed_by_one_who_knows_the_epoch_secret_only__tampered() -> None:
    for signer in (OTHER, Ed25519PrivateKey.from_private_bytes(KEYS.secret)):
        with pytest.raises(Tampered, match="head is not signed by the vault's writer key"):
            opened(seal_head(PLACE, 3, KEYS.secret, signer, HEAD))


def test_open__elsewhere_or_with_other_keys__tampered() -> None:
    for place in OTHER_PLACES.values():
        with pytest.raises(Tampered, match="does not open"):
            open_head(place, 3, KEYS.secret, KEYS.writer_public, BLOB)
    with pytest.raises(Tampered, match="does not open"):
        open_head(PLACE, 4, KEYS.secret, KEYS.writer_public, BLOB)
    with pytest.raises(Tampered, match="does not open"):
        open_head(PLACE, 3, flipped(KEYS.secret, 0), KEYS.writer_public, BLOB)
    with pytest.raises(Tampered, match="not signed"):
        open_head(PLACE, 3, KEYS.secret, OwnerKeys.new(3).writer_public, BLOB)


def test_open__with_any_byte_changed__tampered() -> None:
    for position in range(len(BLOB)):
        with pytest.raises(Tampered):
            opened(flipped(BLOB, position))


def body_of(head: Head) -> dict[str, Any]:
    """The body as FORMAT names its fields, written without the code under test."""
    return {
        "version": head.version,
        "parent": [head.parent.hash, head.parent.epoch] if head.parent else None,
        "base": [head.base.hash, head.base.epoch] if head.base else None,
        "age": head.age,
        "packs": [[ref.hash, ref.epoch, ref.count] for ref in head.packs],
        "new": head.new,
        "size": head.log.size,
        "peaks": list(head.log.peaks),
        "forgotten": list(head.forgotten),
    }


def by_hand(body: Any, signed: Any = None, context: bytes = PLACE.context("head", 3)) -> bytes:
    """``body`` under the signature of ``signed`` (of itself where not given), sealed as it must be."""
    encoded = body if isinstance(body, bytes) else canonical.encode(body)
    signature = sign(KEYS.writer_key, context, encoded if signed is None else canonical.encode(signed))
    return seal(derive(KEYS.secret, "epoch/head"), PLACE.context("head", 3), signature + encoded)


def test_by_hand__with_nothing_changed__opens() -> None:
    assert opened(by_hand(body_of(HEAD))) == HEAD


@pytest.mark.parametrize(
    "change",
    [
        {"version": 10},
        {"parent": [secret("other parent"), 3]},
        {"parent": None},
        {"base": [secret("other base"), 2]},
        {"packs": [[pack(1).hash, 3, 1]]},
        {"new": 0},
        {"size": 1, "peaks": [secret("peak")]},
        {"forgotten": [secret("forgotten")]},
    ],
    ids=lambda change: ", ".join(change),
)
def test_open__old_signature_over_another_body__tampered(change: dict[str, Any]) -> None:
    """A reader opens a head, takes its signature, and seals it again over another version, parent or memory log."""
    with pytest.raises(Tampered, match="not signed"):
        opened(by_hand(body_of(HEAD) | change, signed=body_of(HEAD)))


@pytest.mark.parametrize(("kind", "epoch"), [("head", 2), ("head", 4), ("trailer", 3), ("succession", 3)])
def test_open__signature_made_in_another_context__tampered(kind: str, epoch: int) -> None:
    with pytest.raises(Tampered, match="not signed"):
        opened(by_hand(body_of(HEAD), context=PLACE.context(kind, epoch)))
    for place in OTHER_PLACES.values():
        with pytest.raises(Tampered, match="not signed"):
            opened(by_hand(body_of(HEAD), context=place.context("head", 3)))


REF = [secret("ref"), 1]


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 0},
        {"version": 0},
        {"version": -1},
        {"version": 2**32},
        {"version": True},
        {"version": None},
        {"parent": []},
        {"parent": [secret("ref")]},
        {"parent": [secret("ref"), 0]},
        {"parent": [secret("ref"), 2**32]},
        {"parent": [secret("ref"), True]},
        {"parent": [secret("ref")[:31], 1]},
        {"parent": [*REF, 1]},
        {"parent": b""},
        {"base": []},
        {"base": None},
        {"base": [secret("ref"), -1]},
        {"base": [secret("ref").hex(), 1]},
        {"age": 0},
        {"age": -1},
        {"age": BASE_EVERY},
        {"age": True},
        {"packs": None},
        {"packs": [REF]},
        {"packs": [[*REF, 0]]},
        {"packs": [[*REF, 1, 1]]},
        {"packs": [[*REF, True]]},
        {"packs": [[*REF, 1], [*REF, 1]]},
        {"packs": [], "new": 1},
        {"new": -1},
        {"new": 4},
        {"new": False},
        {"size": 1},
        {"size": -1},
        {"size": 3, "peaks": [secret("peak")]},
        {"size": 1, "peaks": [secret("peak")[:31]]},
        {"size": 1, "peaks": ["peak"]},
        {"size": 1, "peaks": [None]},
        {"size": 0, "peaks": [secret("peak")]},
        {"size": True, "peaks": [secret("peak")]},
        {"forgotten": None},
        {"forgotten": [secret("forgotten")[:31]]},
        {"forgotten": [secret("forgotten").hex()]},
        {"forgotten": [[*REF]]},
        {"forgotten": [secret("forgotten"), secret("forgotten")]},
        {"skips": None},
        {"skips": []},
        {"skips": [[*REF]]},
        {"skips": [secret("skipped")[:31]]},
        {"skips": [secret("skipped"), secret("skipped")]},
        {"skips": [secret("skipped")], "parent": None},
    ],
    ids=str,
)
def test_open__malformed_and_rightly_signed__tampered(change: dict[str, Any]) -> None:
    with pytest.raises(Tampered):
        opened(by_hand(body_of(HEAD) | change))


def test_open__no_map_or_not_canonical_and_rightly_signed__tampered() -> None:
    whole = canonical.encode(body_of(HEAD))
    for body in (b"", b"\xf6", canonical.encode([]), whole[:-1], whole + b"\0", b"\xbf" + whole[1:] + b"\xff"):
        with pytest.raises(Tampered):
            opened(by_hand(body))


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_open__arbitrary_bytes_under_the_right_key__tampered_only(data: bytes) -> None:
    with pytest.raises(Tampered):
        opened(seal(derive(KEYS.secret, "epoch/head"), PLACE.context("head", 3), data))


# One after the other --------------------------------------------------------------------------------------------------


def test_next__over_100_commits__head_and_base_name_all_packs_in_order() -> None:
    """Against the plainest model: one list of all packs. Every head goes through its blob."""
    chance = random.Random(7)
    ref, head, log = HeadRef(sha256(sealed(FIRST)), 3), replace(FIRST, forgotten=(secret("list"),)), Frontier()
    stored = {ref.hash: FIRST}
    everything: list[PackRef] = []
    for version in range(2, 102):
        packs = range(chance.choice((0, 1, 1, 3)))
        new = tuple(pack(1_000 * version + i, count=chance.randrange(1, 50)) for i in packs)
        log = log.extended(secret(f"{version} {i}") for i in range(sum(ref.count for ref in new)))
        base = stored[head.base.hash] if head.base else None
        following = head.next(ref, base, version, new, log)
        blob = sealed(following)
        stored[sha256(blob)] = opened(blob)
        assert (following.version, following.parent, following.log) == (version, ref, log)
        assert following.forgotten == head.forgotten
        assert following.packs[len(following.packs) - following.new :] == new
        everything += new

        ref, head = HeadRef(sha256(blob), 3), stored[sha256(blob)]
        if (version - 1) % BASE_EVERY == 0:
            assert (head.base, head.age, list(head.packs)) == (None, 0, everything)
        else:
            assert head.base
            under = stored[head.base.hash]
            assert (under.base, under.version) == (None, version - head.age)
            assert list(under.packs + head.packs) == everything
    assert len(everything) > 100


def test_next__without_the_base_that_it_builds_on__access_ended() -> None:
    """A key that does not open the base must not commit: the next base would leave out what that one names."""
    for head in (HEAD, replace(HEAD, age=BASE_EVERY - 1)):
        with pytest.raises(AccessEnded):
            head.next(HeadRef(secret("own"), 3), None, 10, (pack(4),), Frontier())


def test_next__after_a_commit_of_many_packs__is_a_base_so_that_the_heads_after_it_are_small_again() -> None:
    ref, log = HeadRef(secret("own"), 3), Frontier()
    many = tuple(pack(number) for number in range(2 * BASE_EVERY + 1))
    large = FIRST.next(ref, None, 2, many, log)
    assert (large.age, large.packs, large.base_is_due) == (1, many, True)
    base = large.next(ref, FIRST, 3, (pack(100),), log)
    assert (base.base, base.age, base.packs) == (None, 0, (*many, pack(100)))
    assert not base.base_is_due
    after = base.next(ref, None, 4, (pack(101),), log)
    assert (after.base, after.packs) == (ref, (pack(101),))
    assert len(sealed(after)) == sealed_size(2_048)


def test_seal__of_fifteen_commits_of_one_memory__each_is_the_smallest_blob() -> None:
    """With the longest numbers there are, and a log of up to a million memories."""
    log = Frontier(2**20 - 1, tuple(secret(str(i)) for i in range(20)))
    base = Head(2**32 - 17, HeadRef(secret("before"), 2**32 - 1), None, 0, (), 0, log, (secret("forgotten"),))
    ref, head = HeadRef(secret("base"), 2**32 - 1), base
    sizes = []
    for i in range(1, BASE_EVERY):
        following = head.next(ref, None if head is base else base, base.version + i, (pack(i, 2**32 - 1),), log)
        head = replace(following, parent=HeadRef(secret("parent"), 2**32 - 1))
        sizes.append(len(sealed(head)))
    assert sizes == [sealed_size(2_048)] * 15
    assert (head.age, len(head.packs)) == (15, 15)
