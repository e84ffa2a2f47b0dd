"""The inbox: proposals are there whole and in order, only the device that they wait on reads them, and there are not
too many."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memsync_client import inbox as module
from memsync_client.errors import HomeDamaged, InvalidRequest
from memsync_client.inbox import Inbox
from memsync_client.memories import Source, new
from memsync_client.outbox import Outbox
from tests.client.material import OTHER_PLACES, PLACE, flipped, holder

KEY = holder("laptop")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MEMORY = new("Ines is left-handed.", source=Source("claude"), tags=("novel",))


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", PLACE)


def test_propose__adding_and_forgetting__are_read_in_order(inbox: Inbox) -> None:
    inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    inbox.propose(KEY.xwing.public, "cursor", NOW, forget=bytes(16))
    first, second = inbox.read(KEY)
    assert (first.tool, first.asked, first.add, first.forget, first.id) == ("claude", NOW, MEMORY, None, MEMORY.id)
    assert (second.tool, second.add, second.forget, second.id) == ("cursor", None, bytes(16), bytes(16))
    assert inbox.count() == 2
    inbox.remove([first.name])
    assert inbox.read(KEY) == [second]


def test_propose__word_of_it__stands_in_no_file(inbox: Inbox) -> None:
    inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    (path,) = (path for path in inbox._folder.iterdir())
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(word in path.read_bytes() for word in (b"Ines", b"claude", b"novel"))


def test_propose__more_than_fit__is_refused_and_says_where_they_are_settled(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROPOSALS", 2)
    for _ in range(2):
        inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    with pytest.raises(InvalidRequest, match="wait for the owner's yes already") as refused:
        inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    assert "memsync inbox" in refused.value.next_step
    assert inbox.count() == 2


def test_read__with_another_key_place_or_kind__is_refused(inbox: Inbox) -> None:
    name = inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    with pytest.raises(HomeDamaged, match=name):
        inbox.read(holder("another"))
    for place in OTHER_PLACES.values():
        with pytest.raises(HomeDamaged):
            Inbox(inbox._folder, place).read(KEY)
    with pytest.raises(HomeDamaged, match="outbox entry"):  # moved there, it is not committed without a yes
        Outbox(inbox._folder, PLACE).read(KEY)


def test_read__a_byte_was_changed__is_refused_by_name(inbox: Inbox) -> None:
    name = inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    path = inbox._folder / name
    whole = path.read_bytes()
    for changed in (flipped(whole, 0), flipped(whole, len(whole) - 1), whole[:-1], b""):
        path.write_bytes(changed)
        with pytest.raises(HomeDamaged, match=name):
            inbox.read(KEY)


@pytest.mark.parametrize("pair", [(None, None), (MEMORY, bytes(16)), (None, bytes(15))])
def test_read__proposal_of_nothing_or_of_two_things__is_refused(inbox: Inbox, pair: tuple) -> None:
    inbox.propose(KEY.xwing.public, "claude", NOW, *pair)
    with pytest.raises(HomeDamaged):
        inbox.read(KEY)


def test_take_over__opens_with_the_new_key_alone(inbox: Inbox) -> None:
    new_key = holder("new")
    inbox.propose(KEY.xwing.public, "claude", NOW, add=MEMORY)
    inbox.take_over(KEY, new_key)
    assert [proposal.add for proposal in inbox.read(new_key)] == [MEMORY]
    with pytest.raises(HomeDamaged):
        inbox.read(KEY)
