"""Cuts and forgetting as a reader meets them: a past that is gone, a log that is whole all the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from memsync_client.errors import AccessEnded, ForeignKeyring, Rollback, Tampered
from memsync_client.forgotten import seal_forgotten
from memsync_client.heads import PackRef
from memsync_client.packs import Entry, Forgotten, PackNote, entries
from memsync_client.reading import NO_NOTES, read_entries, read_forgotten, read_items
from memsync_client.rewriting import earlier_keyrings, epochs_holding, named_before, resealed, thinned
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


# With notes -----------------------------------------------------------------------------------------------------------


@dataclass
class Kept:
    """Notes in memory."""

    notes: dict[PackRef, PackNote] = field(default_factory=dict)

    def get(self, ref: PackRef) -> PackNote | None:
        return self.notes.get(ref)

    def put(self, ref: PackRef, note: PackNote) -> None:
        self.notes[ref] = note


def test_read__once_noted__compares_the_log_by_the_notes_alone(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, view = Kept(), author.view()
    items = read_items(view, author.host.fetch, notes=kept)
    assert set(kept.notes) == set(view.packs)
    with monkeypatch.context() as patch:
        patch.setattr(PackNote, "of", None)
        assert read_items(view, author.host.fetch, notes=kept) == items
    author.commit([memory(4)])
    assert len(read_items(author.view(), author.host.fetch, notes=kept)) == len(kept.notes) == 4
    for places in ((1, 0, 2, 3), (0, 1, 2), (0, 1, 3), (0, 2, 3)):
        packs = tuple(author.view().packs[place] for place in places)
        record = author.publish(replace(author.head, version=9, packs=packs))
        with pytest.raises(Tampered, match=record.content_hash.hex()):
            read_items(author.view(record), author.host.fetch, notes=kept)


def test_read__entries_of_some_ids__once_noted_only_their_packs_are_fetched(author: Author) -> None:
    kept, view = Kept(), author.view()
    assert len(read_entries(view, author.host.fetch, notes=kept, of={memory(2).id})) == 1
    author.host.fetched.clear()
    assert [entry.memory for entry in read_entries(view, author.host.fetch, notes=kept, of={memory(3).id})] == [
        memory(3)
    ]
    assert author.host.fetched == [(view.packs[2].hash, "pack")]
    assert read_entries(view, author.host.fetch, notes=kept, of={memory(9).id}) == []


def test_read__noted_pack_under_another_number__tampered(author: Author) -> None:
    kept = Kept()
    read_items(author.view(), author.host.fetch, notes=kept)
    first, *rest = author.view().packs
    kept.notes |= {replace(first, count=2): kept.notes[first]}
    record = author.publish(replace(author.head, version=9, packs=(replace(first, count=2), *rest)))
    with pytest.raises(Tampered, match="holds 1 memories, its head says 2"):
        list(thinned(author.view(record), set(), author.host.fetch, None, kept))


def test_resealed__with_notes__the_same_entries_unread_and_a_note_of_each_new_pack(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, view, old = Kept(), author.view(), author.read()
    read_items(view, author.host.fetch, notes=kept)
    author.new_epoch(2, OWN, keep_history=False)
    with monkeypatch.context() as patch:
        patch.setattr("memsync_client.reading.decode_body", None)
        ((ref, blob),) = resealed(view, (), author.keys, author.host.fetch, None, kept)
    author.host.put(blob)
    author.replaced((ref,))
    assert author.read() == old
    note = kept.notes.pop(ref)
    read_items(author.view(), author.host.fetch, notes=kept)
    assert kept.notes[ref] == note


def test_thinned__with_notes__fetches_what_holds_the_memory_and_nothing_else(author: Author) -> None:
    kept, view = Kept(), author.view()
    read_items(view, author.host.fetch, notes=kept)
    author.host.fetched.clear()
    found = list(thinned(view, {memory(2).id}, author.host.fetch, None, kept))
    assert author.host.fetched == [(view.packs[1].hash, "pack")]
    assert [ref.hash == old.hash for (ref, _), old in zip(found, view.packs, strict=True)] == [True, False, True]
    assert kept.notes[found[1][0]].ids == b""
    assert epochs_holding(view, {memory(2).id}, author.host.fetch, kept) == {1}
    assert epochs_holding(view, {memory(7).id}, author.host.fetch, kept) == set()


def test_resealed__of_more_than_one_blob_holds__new_packs_in_order_each_within_the_limit(author: Author) -> None:
    for number in range(5, 10):
        author.commit([memory(number, f"{number}" * 60_000)] * 6)
    old, view = author.read(), author.view()
    author.new_epoch(2, OWN, keep_history=False)
    packs = list(resealed(view, (), author.keys, author.host.fetch, None, NO_NOTES))
    assert [ref.count for ref, _ in packs] == [3 + 2 * 6, 2 * 6, 6]
    for _, blob in packs:
        author.host.put(blob)
    author.replaced(tuple(ref for ref, _ in packs))
    assert author.read() == old
