"""Reading: from a record to the memories, through blobs that a host may lack and a faulty writer may have made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memsync_client.errors import AccessEnded, BlobMissing, ForeignKeyring, Rollback, Tampered
from memsync_client.heads import BASE_EVERY, FIRST, Head, HeadRef, PackRef
from memsync_client.memories import Memory
from memsync_client.packs import entries
from memsync_client.reading import open_view, read_entries
from tests.client.author import OWN, Author
from tests.client.material import PLACE, device, flipped, holder, memory, reader, rings, roster, secret


@pytest.fixture
def author() -> Author:
    """Three commits of one memory each, a pack each: 1, 2, 3."""
    made = Author()
    for number in (1, 2, 3):
        made.commit([memory(number)])
    return made


def refused(author: Author, head: Head, named: bytes | None = None, **wrong: Any) -> None:
    """A commit of ``head`` is Tampered for its reader, and the error names the blob (that head where not given)."""
    record = author.publish(head, **wrong)
    with pytest.raises(Tampered) as caught:
        author.read(record)
    assert (named or record.content_hash).hex() in caught.value.cause
    assert caught.value.next_step


# What is whole --------------------------------------------------------------------------------------------------------


def test_read__at_each_of_40_commits__all_memories_in_order_and_no_blob_too_many() -> None:
    author = Author()
    everything: list[Memory] = []
    packs = 0
    for number in range(1, 41):
        new = [memory(1_000 * number + i) for i in range(number % 3 + 1)]
        everything += new
        batches = [new[:1], new[1:]] if number % 5 == 0 and len(new) > 1 else [new]
        packs += len(batches)
        author.commit(*batches)
        author.host.fetched.clear()
        assert author.read() == everything
        heads = 1 if number % BASE_EVERY == 0 else 2
        assert Counter(what for _, what in author.host.fetched) == {"keyring": 1, "head": heads, "pack": packs}
        assert len({blob_hash for blob_hash, _ in author.host.fetched}) == 1 + heads + packs
    assert (author.head.version, author.head.age, packs) == (41, 40 % BASE_EVERY, 46)
    assert {blob_hash for blob_hash, _ in author.host.fetched} == {
        author.record.keyring_hash,
        author.record.content_hash,
        *author.view().named,
    }


def test_read__of_a_vault_without_memories__is_empty() -> None:
    author = Author()
    assert author.read() == []
    author.commit()
    assert author.read() == []


def test_read__counts_its_packs_while_it_reads(author: Author) -> None:
    told: list[tuple[int, int]] = []
    read_entries(author.view(), author.host.fetch, lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_view__says_what_the_next_commit_builds_on(author: Author) -> None:
    view = author.view()
    assert view.head == author.head
    assert view.base == FIRST
    assert view.head_ref == HeadRef(author.record.content_hash, 1)
    assert [pack.count for pack in view.packs] == [1, 1, 1]


# Later readers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [2, BASE_EVERY - 1, BASE_EVERY, BASE_EVERY + 1])
def test_read__by_a_reader_from_epoch_2__its_memories_only_and_no_older_pack_is_fetched(before: int) -> None:
    """Where the base is of epoch 1, and where it is of epoch 2 and names packs of epoch 1."""
    author = Author()
    for number in range(before):
        author.commit([memory(number)])
    old = {pack.hash for pack in author.view().packs}
    author.new_epoch(2, roster(device(), reader("claude", since=2), reader("friend", since=1)))
    later = [memory(100), memory(101), memory(102)]
    for new in later:
        author.commit([new])
        author.host.fetched.clear()
        mine = author.read(name="claude")
        assert mine == later[: len(mine)]
        assert mine[-1] == new
        assert not old & {blob_hash for blob_hash, _ in author.host.fetched}
    assert author.read(name="friend") == author.read() == [memory(number) for number in range(before)] + later


def test_view__by_one_who_is_not_in_the_keyring__access_ended(author: Author) -> None:
    with pytest.raises(AccessEnded):
        author.view(name="stranger")


def test_view__keyring_of_another_epoch__opens_for_nobody(author: Author) -> None:
    """An envelope is bound to its epoch: a record that puts an old keyring to a new epoch, or the reverse."""
    old = author.record
    author.new_epoch(2, OWN)
    new = author.commit()
    for record in (
        replace(new, keyring_hash=old.keyring_hash),
        replace(old, keyring_hash=new.keyring_hash),
        replace(new, head_epoch=1),
    ):
        with pytest.raises(AccessEnded):
            author.view(record)


def test_view__head_of_another_epoch_than_the_keyring__tampered(author: Author) -> None:
    old = author.record
    author.new_epoch(2, OWN)
    new = author.commit()
    with pytest.raises(Tampered, match=old.content_hash.hex()):
        author.view(replace(new, content_hash=old.content_hash))


# What is older than what was seen -------------------------------------------------------------------------------------


def test_view__the_same_or_a_later_record__opens(author: Author) -> None:
    seen = author.view().seen(7)
    assert (seen.version, seen.head_version, seen.content_hash, seen.block) == (4, 4, author.record.content_hash, 7)
    assert author.view(seen=seen).seen(7) == seen
    locked = replace(author.record, version=5, epoch=2)  # a grant was taken back, and no commit has followed yet
    assert author.view(locked, seen=seen).seen(8) == replace(seen, version=5, block=8)
    author.commit([memory(4)])
    assert author.view(seen=seen).head.version == 5
    author.new_epoch(2, OWN)
    author.commit()
    author.new_epoch(5, OWN)
    author.commit()
    assert author.view(seen=seen).keyring.keys.epoch == 5


def test_view__of_an_older_record__rollback_before_anything_is_fetched(author: Author) -> None:
    older = author.record
    author.commit([memory(4)])
    now, seen = author.record, author.view().seen(9)
    for record in (
        older,
        replace(older, version=now.version),
        replace(older, version=now.version + 1),
        replace(now, version=now.version - 1),
    ):
        author.host.fetched.clear()
        with pytest.raises(Rollback, match="this device has seen version 5 at block 9") as caught:
            author.view(record, seen=seen)
        assert "another head" not in caught.value.cause
        assert author.host.fetched == []


def test_view__of_another_head_at_the_same_head_version__rollback(author: Author) -> None:
    seen = author.view().seen(9)
    other = author.publish(replace(author.head, packs=(*author.head.packs[:2], author.pack(entries([memory(9)])))))
    for record in (other, replace(other, version=author.record.version + 1)):
        author.host.fetched.clear()
        with pytest.raises(Rollback, match="with another head"):
            author.view(record, seen=seen)
        assert author.host.fetched == []


def test_view__keyring_that_does_not_follow__foreign_and_no_head_is_fetched(author: Author) -> None:
    """Another vault's keyring with the same holders, sealed for the next epoch; then for this one."""
    seen = author.view().seen(9)
    for epoch, [(blob, _)] in ((epoch, list(rings((epoch, OWN)))) for epoch in (2, 1)):
        record = replace(author.record, version=9, head_version=9, head_epoch=epoch, keyring_hash=author.host.put(blob))
        author.host.fetched.clear()
        with pytest.raises(ForeignKeyring):
            author.view(record, seen=seen)
        assert [what for _, what in author.host.fetched] == ["keyring"]


def test_view__keyring_of_an_epoch_before_the_seen_one__rollback(author: Author) -> None:
    old = author.record
    author.new_epoch(2, OWN)
    author.commit()
    seen = author.view().seen(9)
    with pytest.raises(Rollback):
        author.view(replace(old, version=9, head_version=9), seen=seen)


# Records and heads that contradict each other -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"memory_root": secret("root")}, {"head_version": 4}, {"head_version": 6}], ids=lambda wrong: str(*wrong)
)
def test_view__record_says_other_than_its_head__tampered(author: Author, wrong: dict[str, Any]) -> None:
    refused(author, author.next_head([memory(4)]), **wrong)


def test_view__memory_root_of_an_earlier_log__tampered(author: Author) -> None:
    refused(author, author.next_head([memory(4)]), memory_root=author.head.log.memory_root)


def test_view__head_is_of_another_version_than_the_record__tampered(author: Author) -> None:
    head = author.next_head([memory(4)])
    refused(author, replace(head, version=6), version=5, head_version=5)


# Blobs that are not what they are named for ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["keyring", "head", "base", "pack"])
def test_read__of_a_missing_blob__blob_missing_passes_through(author: Author, what: str) -> None:
    view = author.view()
    assert view.head.base
    gone = {
        "keyring": author.record.keyring_hash,
        "head": author.record.content_hash,
        "base": view.head.base.hash,
        "pack": view.packs[1].hash,
    }[what]
    del author.host.blobs[gone]
    with pytest.raises(BlobMissing, match=gone.hex()):
        author.read()


def test_read__fetcher_says_tampered__its_error_passes_unchanged(author: Author) -> None:
    def fetch(blob_hash: bytes, what: str) -> bytes:
        raise Tampered(f"Blob {blob_hash.hex()} was changed.", "Bring it back.")

    with pytest.raises(Tampered, match=rf"^Blob {author.record.keyring_hash.hex()} was changed.$") as caught:
        open_view(PLACE, author.record, fetch, holder("laptop").xwing)
    assert caught.value.next_step == "Bring it back."


def test_view__keyring_with_a_changed_roster__tampered(author: Author) -> None:
    """Put on the host and named on chain by one who may bring keyrings."""
    blob = author.host.blobs[author.keyring_hash]
    author.keyring_hash = author.host.put(flipped(blob, len(blob) - 1))
    refused(author, author.head, author.keyring_hash)


@pytest.mark.parametrize("blob", [b"", b"no sealed object", bytes(5_000)], ids=["nothing", "text", "zeros"])
def test_read__head_base_or_pack_is_no_sealed_object__tampered(author: Author, blob: bytes) -> None:
    junk, head = author.host.put(blob), author.next_head([memory(4)])
    with pytest.raises(Tampered, match=junk.hex()):
        author.read(replace(author.record, content_hash=junk))
    refused(author, replace(head, base=HeadRef(junk, 1)), junk)
    refused(author, replace(head, packs=(*head.packs[:3], PackRef(junk, 1, 1))), junk)


def test_read__a_head_as_a_pack_and_a_pack_as_a_head__tampered(author: Author) -> None:
    head = author.next_head([memory(4)])
    own, pack = author.record.content_hash, head.packs[0].hash
    refused(author, replace(head, packs=(*head.packs[:3], PackRef(own, 1, 1))), own)
    refused(author, replace(head, base=HeadRef(pack, 1)), pack)
    with pytest.raises(Tampered, match=pack.hex()):
        author.view(replace(author.record, content_hash=pack))


@pytest.mark.parametrize("count", [1, 3])
def test_read__pack_holds_more_or_fewer_than_its_head_says__tampered(author: Author, count: int) -> None:
    head = author.next_head([memory(4), memory(5)])
    pack = head.packs[-1]
    refused(author, replace(head, packs=(*head.packs[:-1], replace(pack, count=count))), pack.hash)


def test_view__base_that_is_no_base__tampered(author: Author) -> None:
    own = HeadRef(author.record.content_hash, 1)
    refused(author, replace(author.next_head([memory(4)]), base=own), own.hash)


# Heads whose packs are not those of the memory log --------------------------------------------------------------------


def another_pack(author: Author, packs: tuple[PackRef, ...]) -> tuple[PackRef, ...]:
    return (packs[0], author.pack(entries([memory(9)])), *packs[2:])


def same_memory_other_salt(author: Author, packs: tuple[PackRef, ...]) -> tuple[PackRef, ...]:
    return (packs[0], author.pack(entries([memory(2)])), *packs[2:])


CHANGES: dict[str, Callable[[Author, tuple[PackRef, ...]], tuple[PackRef, ...]]] = {
    "another pack": another_pack,
    "same memory, other salt": same_memory_other_salt,
    "other order": lambda _, packs: (packs[1], packs[0], *packs[2:]),
    "one left out": lambda _, packs: packs[1:],
    "last left out": lambda _, packs: packs[:-1],
    "none": lambda _, __: (),
    "one more": lambda author, packs: (*packs, author.pack(entries([memory(9)]))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_read__packs_are_not_those_of_the_log__tampered(author: Author, change: str) -> None:
    head = author.next_head([memory(4)])
    packs = CHANGES[change](author, head.packs)
    assert packs != head.packs
    refused(author, replace(head, packs=packs, new=min(head.new, len(packs))))


def test_read__base_is_another_base_of_the_vault__tampered() -> None:
    author = Author()
    first = HeadRef(author.record.content_hash, 1)
    for number in range(BASE_EVERY + 2):
        author.commit([memory(number)])
    head = author.next_head([memory(100)])
    assert head.base
    assert head.base != first
    author.record = author.publish(head)
    assert len(author.read()) == BASE_EVERY + 3
    refused(author, replace(head, base=first))


@pytest.mark.parametrize("what", ["pack", "base"])
def test_read__pack_or_base_of_an_epoch_that_is_still_to_come__tampered(author: Author, what: str) -> None:
    """Only what lies before a holder's first epoch may be passed over: else a writer hides memories from all."""
    head = author.next_head([memory(4)])
    if what == "pack":
        named = head.packs[1].hash
        head = replace(head, packs=(head.packs[0], replace(head.packs[1], epoch=2), *head.packs[2:]))
    else:
        assert head.base
        named, head = head.base.hash, replace(head, base=replace(head.base, epoch=2))
    refused(author, head, named)
