"""The memory log, compared with RFC 9162's definitions and its way of verifying, written out here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.errors import Tampered
from memsync_client.memory_log import Frontier, MemoryLog, Stretch, commitment
from tests.client.material import PLACE, flipped, secret

ENTRIES = [secret(f"entry {i}") for i in range(201)]


def tree_hash(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, over keccak256."""
    if not entries:
        return keccak(b"")
    if len(entries) == 1:
        return keccak(b"\0" + entries[0])
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return keccak(b"\1" + tree_hash(entries[:half]) + tree_hash(entries[half:]))


def root_from(entry: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """§2.1.3.2: the root that a proof leads to, None if its length is wrong."""
    if index >= size:
        return None
    fn, sn, node = index, size - 1, keccak(b"\0" + entry)
    for sibling in proof:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            node = keccak(b"\1" + sibling + node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = keccak(b"\1" + node + sibling)
        fn, sn = fn >> 1, sn >> 1
    return node if sn == 0 else None


def test_keccak__is_that_of_ethereum() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_commitment__binds_vault_salt_and_record() -> None:
    one = commitment(PLACE.vault_id, bytes(16), b"record")
    assert one == keccak(PLACE.vault_id + bytes(16) + b"record")
    assert one != commitment(flipped(PLACE.vault_id, 0), bytes(16), b"record")
    assert one != commitment(PLACE.vault_id, flipped(bytes(16), 0), b"record")


def test_memory_root__for_every_size_to_200__is_that_of_the_definition() -> None:
    frontier = Frontier()
    for size in range(201):
        expected = keccak(b"\2" + tree_hash(ENTRIES[:size]) + size.to_bytes(8, "big"))
        log = MemoryLog.of(ENTRIES[:size])
        assert (frontier.memory_root, log.memory_root) == (expected, expected)
        assert (frontier.size, log.size) == (size, size)
        frontier = frontier.extended(ENTRIES[size : size + 1])


@given(st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=100, deadline=None)
def test_extended__in_batches_of_any_size__is_the_same_as_at_once(sizes: list[int]) -> None:
    entries = [secret(f"entry {i}") for i in range(sum(sizes))]
    frontier, start = Frontier(), 0
    for size in sizes:
        frontier, start = frontier.extended(iter(entries[start : start + size])), start + size
    assert frontier == Frontier().extended(entries)
    assert frontier.memory_root == MemoryLog.of(entries).memory_root


def test_proof__for_every_index_and_size_to_40__leads_to_the_root() -> None:
    for size in range(1, 41):
        log, root = MemoryLog.of(ENTRIES[:size]), tree_hash(ENTRIES[:size])
        for index in range(size):
            proof = log.proof(index)
            assert root_from(ENTRIES[index], index, size, proof) == root


def test_proof__used_for_anything_else__leads_elsewhere() -> None:
    for size in range(2, 24):
        log, root = MemoryLog.of(ENTRIES[:size]), tree_hash(ENTRIES[:size])
        for index in range(size):
            proof = log.proof(index)
            others = [root_from(ENTRIES[index], other, size, proof) for other in range(size) if other != index]
            others += [root_from(ENTRIES[(index + 1) % size], index, size, proof)]
            others += [root_from(ENTRIES[index], index, size, cut) for cut in (proof[:-1], proof[1:], [*proof, root])]
            assert root not in others


@pytest.mark.parametrize(("size", "index"), [(0, 0), (1, 1), (5, 5), (5, -1)])
def test_proof__of_an_entry_that_is_not_there__index_error(size: int, index: int) -> None:
    with pytest.raises(IndexError):
        MemoryLog.of(ENTRIES[:size]).proof(index)


def test_memory_root__of_an_entry_that_looks_like_a_node__is_another() -> None:
    """Leaves and nodes are told apart by their prefix: no tree of one entry has the root of a tree of two."""
    inner = keccak(b"\0" + ENTRIES[0]) + keccak(b"\0" + ENTRIES[1])
    assert MemoryLog.of([inner]).memory_root != MemoryLog.of(ENTRIES[:2]).memory_root
    assert keccak(b"\1" + inner) == tree_hash(ENTRIES[:2])


@pytest.mark.parametrize(
    ("size", "peaks"),
    [(1, 0), (0, 1), (3, 1), (4, 3), (-1, 1), (2**64 - 1, 63)],
    ids=str,
)
def test_frontier__with_a_wrong_number_of_peaks__tampered(size: int, peaks: int) -> None:
    with pytest.raises(Tampered):
        Frontier(size, tuple(ENTRIES[:peaks]))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_frontier__with_a_peak_of_another_length__tampered(length: int) -> None:
    with pytest.raises(Tampered):
        Frontier(1, (bytes(length),))


def test_extended__leaves_the_frontier_before_as_it_was() -> None:
    before = Frontier().extended(ENTRIES[:5])
    root = before.memory_root
    before.extended(ENTRIES[5:9])
    assert (before.size, before.memory_root) == (5, root)


# Stretches ------------------------------------------------------------------------------------------------------------

PLACES = st.lists(st.integers(0, 70), min_size=3, max_size=6).map(sorted)


@given(PLACES)
@settings(max_examples=300, deadline=None)
def test_stretch__in_any_pieces__is_the_same_and_makes_the_log_whole(places: list[int]) -> None:
    pieces = [Stretch.of(start, ENTRIES[start:end]) for start, end in pairwise(places)]
    whole = Stretch.of(places[0], ENTRIES[places[0] : places[-1]])
    assert reduce(Stretch.followed_by, pieces) == whole
    assert Frontier().extended(ENTRIES[: places[0]]).followed_by(whole) == Frontier().extended(ENTRIES[: places[-1]])


def test_stretch__roots__are_those_of_perfect_subtrees() -> None:
    assert Stretch.of(3, ENTRIES[3:13]).roots == (
        tree_hash(ENTRIES[3:4]),
        tree_hash(ENTRIES[4:8]),
        tree_hash(ENTRIES[8:12]),
        tree_hash(ENTRIES[12:13]),
    )
    assert Stretch.of(7, ()) == Stretch(7, 0, ())


def test_stretch__that_does_not_follow_or_is_malformed__refused() -> None:
    one = Stretch.of(4, ENTRIES[4:6])
    for other in (Stretch.of(7, ENTRIES[7:8]), Stretch.of(4, ENTRIES[4:6])):
        with pytest.raises(ValueError, match="adjacent"):
            one.followed_by(other)
        with pytest.raises(ValueError, match="adjacent"):
            Frontier().followed_by(other)
    for wrong in ((4, 2, ()), (4, 2, one.roots * 2), (4, 2, (b"short",)), (4, -1, ()), (-1, 1, one.roots)):
        with pytest.raises(Tampered):
            Stretch(*wrong)
