"""Merging packs when a base is written: few are left, in the order of the log and each of one epoch."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.errors import AccessEnded, Tampered
from memsync_client.heads import BASE_EVERY, Head, HeadRef
from memsync_client.memories import Memory
from memsync_client.merging import groups, merged, replaced_before
from memsync_client.packs import open_pack
from memsync_client.reading import Notes, read_items
from tests.client.author import Author
from tests.client.material import PLACE, device, memory, reader, roster
from tests.client.test_rewriting import Kept

ROOM = 1_000
PACKS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, ROOM)), max_size=40).map(
    lambda packs: sorted(packs, key=lambda pack: pack[0])
)


class Merging(Author):
    """An author whose bases merge, and how many bytes of packs were sealed anew for that."""

    def __init__(self, notes: Notes | None = None) -> None:
        super().__init__()
        self.notes, self.resealed = notes or Kept(), 0

    def add(self, *new: Memory) -> None:
        """One commit; a base is merged, and what the base before it replaced is deleted."""
        if self.head.age + 1 < BASE_EVERY:
            self.commit(list(new))
            return
        view = self.view()
        packs = list(merged(view, self.keys.epoch, self.host.fetch, self.notes))
        for _, blob in packs:
            if blob:
                self.host.put(blob)
                self.resealed += len(blob)
        gone = replaced_before(view, self.host.fetch)
        own = HeadRef(self.record.content_hash, self.record.head_epoch)
        following = self.next_head(list(new))
        living = tuple(ref for ref, _ in packs) + following.packs[-1:]
        self.head = Head(following.version, own, None, 0, living, 1, following.log, ())
        self.record = self.publish(self.head)
        for blob_hash in gone:
            del self.host.blobs[blob_hash]


@given(PACKS, st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_groups__of_any_packs__are_all_in_order_within_epoch_and_room_and_few(
    packs: list[tuple[int, int]], newest: int
) -> None:
    newest = max([newest, *(epoch for epoch, _ in packs)])
    found = groups(packs, newest, ROOM)
    assert [place for first, end in found for place in range(first, end)] == list(range(len(packs)))
    sizes = []
    for first, end in found:
        assert len({epoch for epoch, _ in packs[first:end]}) == 1
        sizes.append((packs[first][0], sum(size for _, size in packs[first:end])))
        assert sizes[-1][1] <= ROOM
    for epoch in range(1, newest + 1):
        row = [size for of, size in sizes if of == epoch]
        tail = len(row)  # the first of those that are still to grow
        while epoch == newest and tail and sum(row[tail - 1 :]) <= ROOM:
            tail -= 1
        assert all(one + other > ROOM for one, other in pairwise(row[:tail]))
        assert all(row[place] > sum(row[place + 1 :]) for place in range(tail, len(row)))
    assert groups(sizes, newest, ROOM) == [(place, place + 1) for place in range(len(sizes))]


def test_merged__over_many_commits__few_packs_the_same_log_and_each_byte_sealed_seldom() -> None:
    author, everything = Merging(), []
    for number in range(8 * BASE_EVERY):
        new = [memory(10 * number + i, f"{number} {i} " + "x" * 3_000) for i in range(number % 4 + 1)]
        everything += new
        author.add(*new)
        if author.head.age == 0:
            assert author.read() == everything
            tail = [ref.count for ref in author.view().packs[:-1]]
            assert len(tail) <= 4
            assert all(count > sum(tail[place + 1 :]) * 0.9 for place, count in enumerate(tail))
    author.host.fetched.clear()
    assert author.read() == everything
    assert len(author.host.fetched) <= 2 + 4 + BASE_EVERY
    written = sum(len(memory.content) for memory in everything)
    assert author.resealed < 5 * written
    assert {ref.hash for ref in author.view().packs} <= set(author.host.blobs)


def test_merged__with_notes_of_all__fetches_what_it_merges_alone() -> None:
    author = Merging()
    for number in range(3 * BASE_EVERY - 1):
        author.add(memory(number))
    view = author.view()
    read_items(view, author.host.fetch, notes=author.notes)
    author.host.fetched.clear()
    packs = list(merged(view, 1, author.host.fetch, author.notes))
    kept = {ref.hash for ref, blob in packs if blob is None}
    assert {blob_hash for blob_hash, _ in author.host.fetched} == {ref.hash for ref in view.packs} - kept
    assert len(kept) == 1


def test_merged__over_epochs__each_pack_is_of_one_and_a_later_reader_opens_no_more() -> None:
    author = Merging()
    for number in range(10):
        author.add(memory(number))
    author.new_epoch(2, roster(device(), reader("late", since=2)))
    for number in range(10, 40):
        author.add(memory(number))
    view = author.view()
    assert [ref.epoch for ref in view.packs[:2]] == [1, 2]
    assert view.packs[0].count == 10
    assert author.read() == [memory(number) for number in range(40)]
    assert author.read(name="late") == [memory(number) for number in range(10, 40)]
    for ref in view.packs[1:]:
        with pytest.raises(Tampered):
            open_pack(PLACE, 1, view.keyring.links[1].secret, author.host.blobs[ref.hash])


def test_merged__where_the_first_epoch_does_not_open_or_the_log_is_another__refused() -> None:
    author = Merging()
    author.add(memory(1))
    author.new_epoch(2, roster(device(), reader("late", since=2)))
    for number in range(2, 20):
        author.add(memory(number))
    with pytest.raises(AccessEnded):
        list(merged(author.view(name="late"), 2, author.host.fetch))
    author.head = author.next_head()
    record = author.publish(Head(author.head.version, None, None, 0, author.view().packs[1:], 0, author.head.log))
    with pytest.raises(Tampered, match=record.content_hash.hex()):
        list(merged(author.view(record), 2, author.host.fetch))


def test_replaced__until_the_next_base_an_old_head_still_reads_and_then_its_packs_are_gone() -> None:
    author = Merging()
    while author.head.age < BASE_EVERY - 1:
        author.add(memory(author.head.version))
    old, before = author.record, author.read()
    for _ in range(BASE_EVERY):
        author.add(memory(author.head.version))
        assert author.read(old) == before
    packs = {ref.hash for ref in author.view(old).packs}
    assert replaced_before(author.view(), author.host.fetch) == packs
    author.add(memory(author.head.version))
    assert author.head.age == 0
    assert not packs & set(author.host.blobs)
    assert len(author.read()) == author.head.version - 1
