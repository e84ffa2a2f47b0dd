"""What packs and heads say by their sizes and bytes to who has no key: nothing.

What keyrings hide stands in test_misuse_keyrings; they are not claimed to look like noise.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.heads import BASE_EVERY, FIRST, Head, HeadRef, PackRef, seal_head
from memsync_client.memories import Memory, Source, to_record
from memsync_client.memory_log import Frontier
from memsync_client.packs import Forgotten, entries, seal_pack
from memsync_client.sealing import sealed_size, sha256
from tests.client.material import PLACE, memory, secret
from tests.vectors.writing import keys_of

KEYS = keys_of(3)
SMALLEST = sealed_size(2_048)
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
SOURCE = Source("a" * 64, "b" * 128, "c" * 128)


def pack(*memories: Memory) -> bytes:
    return seal_pack(PLACE, 3, KEYS.secret, entries(memories))


def head(value: Head) -> bytes:
    return seal_head(PLACE, 3, KEYS.secret, KEYS.writer_key, value)


# Sizes ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.text(min_size=1, max_size=1_000).filter(lambda text: text.strip() and len(text.encode()) <= 1_000),
    st.sampled_from([None, AT]),
    st.sampled_from([None, SOURCE]),
    st.lists(st.text(alphabet="abc", min_size=1, max_size=24), max_size=8),
    st.booleans(),
)
def test_pack__of_one_memory_of_up_to_1000_bytes__has_one_size(
    content: str, created: datetime | None, source: Source | None, tags: list[str], edited: bool
) -> None:
    item = Memory(bytes(16), content, created, source, "fact", tuple(tags))
    assert len(pack(item.edited(content) if edited else item)) == SMALLEST


def test_pack__of_the_largest_such_memory__still_has_it_and_a_larger_one_not() -> None:
    largest = Memory(bytes(16), "x" * 1_000, AT, SOURCE, "f" * 64, ("t" * 24,) * 8).edited("x" * 1_000)
    assert len(pack(largest)) == SMALLEST
    room = 2_044 - len(to_record(largest)) - 1 - 1 - 17 - 3
    assert len(pack(largest.edited("x" * (1_000 + room)))) == SMALLEST
    assert len(pack(largest.edited("x" * (1_001 + room)))) == sealed_size(4_096)


def test_pack__with_a_memory_forgotten__has_the_size_of_one_with_a_memory() -> None:
    gone = Forgotten(secret("commitment"))
    assert len(seal_pack(PLACE, 3, KEYS.secret, [gone])) == len(pack(memory(1))) == SMALLEST


def test_head__of_each_commit_of_one_memory__has_one_size_until_the_first_base_that_is_larger() -> None:
    """Whether it brings a memory or is empty; a base names all packs of the vault and grows with them."""
    value, log, sizes = FIRST, Frontier(), []
    for number in range(BASE_EVERY - 1):
        batch = entries([memory(number)])
        log = log.extended(item.commitment(PLACE) for item in batch)
        packs = (PackRef(sha256(pack(memory(number))), 3, 1),) if number % 3 else ()
        own = HeadRef(secret(f"head {number}"), 3)
        value = value.next(own, FIRST, number + 2, packs, log)
        sizes.append(len(head(value)))
    assert set(sizes) == {len(head(FIRST))} == {SMALLEST}


def test_commits__of_one_memory_of_any_length__store_the_same_bytes() -> None:
    stored = {
        len(pack(memory(1, "x" * size))) + len(head(FIRST.next(HeadRef(secret("h"), 3), None, 2, (), Frontier())))
        for size in range(1, 1_001)
    }
    assert stored == {2 * SMALLEST}


# Bytes ----------------------------------------------------------------------------------------------------------------

BLOBS = 200
FREEDOM = 255
LIMIT = FREEDOM + 9 * (2 * FREEDOM) ** 0.5  # nine standard deviations: by chance once in 10^13 runs


def chi_square(data: bytes) -> float:
    """Pearson's statistic of the 256 byte values against all being as likely."""
    counts, expected = Counter(data), len(data) / 256
    return sum((counts[value] - expected) ** 2 / expected for value in range(256))


@pytest.mark.parametrize("what", ["packs", "heads"])
def test_blobs__bytes_are_spread_like_noise(what: str) -> None:
    """Over all bytes, over the first 64 of each, and over each of those by itself, where a header would stand."""
    blobs = [pack(memory(1)) if what == "packs" else head(FIRST) for _ in range(BLOBS)]
    assert chi_square(b"".join(blobs)) < LIMIT
    assert chi_square(b"".join(blob[:64] for blob in blobs)) < LIMIT
    assert chi_square(b"".join(blob[-64:] for blob in blobs)) < LIMIT
    for position in range(64):
        assert max(Counter(blob[position] for blob in blobs).values()) < 14  # of 200; by chance once in 10^8 runs


def test_chi_square__of_what_is_no_noise__is_far_beyond_the_limit() -> None:
    text = to_record(memory(1)).ljust(2_048, b"\0")
    assert chi_square(text * BLOBS) > 100 * LIMIT
    seven_bits = bytes(byte & 0x7F for byte in b"".join(pack(memory(1)) for _ in range(BLOBS)))
    assert chi_square(seven_bits) > 100 * LIMIT
    header = b"".join(b"memsync1" + pack(memory(1))[8:64] for _ in range(BLOBS))
    assert chi_square(header) > LIMIT


def test_blobs__of_one_plaintext__share_no_sixteen_bytes() -> None:
    seen: set[bytes] = set()
    for blob in (pack(memory(1)), pack(memory(1)), head(FIRST), head(FIRST)):
        windows = {blob[i : i + 16] for i in range(len(blob) - 15)}
        assert len(windows) == len(blob) - 15
        assert not windows & seen
        seen |= windows
