"""Cuts and forgetting as a reader meets them: a past that is gone, a log that is whole all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memsync_client.errors import AccessEnded, ForeignKeyring, Rollback, Tampered
from memsync_client.forgotten import seal_forgotten
from memsync_client.packs import Entry, Forgotten, entries
from memsync_client.reading import read_forgotten, read_items
from memsync_client.rewriting import earlier_keyrings, named_before, resealed, thinned
from tests.client.author import OWN, Author
from tests.client.material import PLACE, device, memory, reader, roster, secret


@pytest.fixture
def author() -> Author:
    """Three commits of one memory each, a pack each: 1, 2, 3."""
    made = Author()
    for number in (1, 2, 3):
        made.commit([memory(number)])
    return made


def test_cut__one_who_was_away__goes_on_though_no_head_of_before_opens(author: Author) -> None:
    friend = roster(device(), reader("friend"))
    author.new_epoch(2, friend)
    author.commit([memory(4)])
    seen = {name: author.view(name=name).seen(9) for name in ("laptop", "friend")}
    everything = author.read()
    author.cut(friend)
    author.commit([memory(5)])
    author.cut(friend)
    for name, before in seen.items():
        assert author.view(name=name, seen=before).keyring.links == {}
        assert author.read(name=name) == [*everything, memory(5)]


def test_cut__over_another_log_than_the_one_seen__rollback(author: Author) -> None:
    """The chain forked, and in the branch that is left another device has cut. No head tells, the memory log does."""
    keys, ring, head, record = author.keys, author.ring, author.head, author.record
    author.commit([memory(4)])
    seen = author.view().seen(9)
    author.keys, author.ring, author.head, author.record = keys, ring, head, record
    author.commit([memory(5)])
    author.cut()
    author.commit([memory(6)])
    with pytest.raises(Rollback, match="history has changed"):
        author.view(seen=seen)
    assert author.view().head.version > seen.version


def test_cut__by_one_who_holds_no_writer_key__foreign(author: Author) -> None:
    seen = author.view().seen(9)
    author.ring = None  # as somebody makes it who knows the holders' public keys
    author.new_epoch(2, OWN, keep_history=False)
    author.record = author.publish(replace(author.next_head(), version=author.head.version + 1))
    with pytest.raises(ForeignKeyring):
        author.view(seen=seen)


def test_cut__reader_who_may_not_read_all__relies_on_the_succession(author: Author) -> None:
    late = roster(device(), reader("late", since=2))
    author.new_epoch(2, late)
    author.commit([memory(4)])
    seen = author.view(name="late").seen(9)
    author.cut(roster(device()))
    author.new_epoch(4, roster(device(), reader("late", since=4)))
    author.commit([memory(5)])
    assert author.read(name="late") == [memory(5)]
    assert author.view(name="late", seen=seen).keyring.since == 4


def test_read__forgotten_memories__their_commitments_stay_and_count(author: Author) -> None:
    view = author.view()
    gone = {memory(2).id}
    packs = [(ref, blob and author.host.put(blob)) for ref, blob in thinned(view, gone, author.host.fetch)]
    assert [bool(blob) for _, blob in packs] == [False, True, False]
    author.replaced(tuple(ref for ref, _ in packs))
    assert author.read() == [memory(1), memory(3)]
    items = read_items(author.view(), author.host.fetch)
    assert [type(item) for item in items] == [Entry, Forgotten, Entry]
    record = author.publish(replace(author.head, version=author.head.version + 1, packs=author.head.packs[::2]))
    with pytest.raises(Tampered, match=record.content_hash.hex()):
        author.read(record)


def test_read_forgotten__by_a_device__ids_and_by_a_reader__access_ended(author: Author) -> None:
    author.new_epoch(2, roster(device(), reader("friend")))
    ids = {memory(2).id, memory(7).id}
    lists = tuple(author.host.put(blob) for blob in seal_forgotten(PLACE, author.keys, ids))
    author.replaced(author.view(replace(author.record, keyring_hash=author.record.keyring_hash)).packs, lists)
    assert read_forgotten(author.view(), author.host.fetch) == ids
    with pytest.raises(AccessEnded):
        read_forgotten(author.view(name="friend"), author.host.fetch)
    assert lists[0] in author.view().named
    author.commit([memory(8)])
    assert author.view().head.forgotten == lists


def test_thinned__by_one_who_does_not_open_the_beginning__access_ended(author: Author) -> None:
    author.new_epoch(2, roster(device(), replace(device("tablet"), since=2)))
    author.commit([memory(4)])
    view = author.view(name="tablet")
    for act in (thinned(view, set(), author.host.fetch), resealed(view, set(), author.keys, author.host.fetch)):
        with pytest.raises(AccessEnded, match="does not open the older part"):
            list(act)


def test_named_before__are_all_blobs_of_the_past_as_far_as_they_are_there(author: Author) -> None:
    for number in range(20):
        author.commit([memory(100 + number)])
    author.new_epoch(2, OWN)
    author.commit([memory(4)])
    view = author.view()
    rings = earlier_keyrings(view, author.host.blobs, author.host.fetch)
    assert sorted(rings.values()) == [1, 2]
    assert rings[author.keyring_hash] == 2
    assert named_before(view, author.host.fetch) == set(author.host.blobs) - set(rings)
    assert earlier_keyrings(view, [secret("nowhere")], author.host.fetch) == {}


@pytest.mark.parametrize("places", [(1, 2), (0, 1), (), (1, 0, 2), (0, 1, 2, 3)], ids=str)
def test_rewriting__packs_are_not_those_of_the_log__tampered_before_the_last(
    author: Author, places: tuple[int, ...]
) -> None:
    """Sealed anew as they are, they would be all that is left once the old ones are deleted."""
    packs = (*author.view().packs, author.pack(entries([memory(9)])))
    head = replace(author.next_head(), packs=tuple(packs[place] for place in places))
    view = author.view(author.publish(head))
    for act in (thinned(view, set(), author.host.fetch), resealed(view, set(), author.keys, author.host.fetch)):
        with pytest.raises(Tampered, match=view.record.content_hash.hex()):
            list(act)
