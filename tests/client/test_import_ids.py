"""Ids of imports: one and the same on every device of a vault, and nothing to anybody without its import key."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from memsync_client.import_ids import identified
from memsync_client.memories import ID_BYTES, Memory, Source, tips
from tests.client.material import IMPORT_KEY, secret

BLANK = bytes(ID_BYTES)
SOURCE = Source("lantern", "conversation 7", "message 3")
TOLD = Memory(BLANK, "Ines is left-handed.", source=SOURCE)


def first(memory: Memory, key: bytes = IMPORT_KEY) -> Memory:
    """The memory as an empty vault takes it in."""
    found = identified(memory, key, {})
    assert found
    return found


def then(memory: Memory, *known: Memory) -> Memory | None:
    """The memory as a vault takes it in that has ``known``."""
    return identified(memory, IMPORT_KEY, {one.id: [other for other in known if other.id == one.id] for one in known})


def test_identified__new_to_the_vault__a_first_revision_with_all_else_as_it_was() -> None:
    full = replace(TOLD, created=datetime(2026, 3, 1, tzinfo=UTC), type="fact", tags=("novel",))
    found = first(full)
    assert len(found.id) == ID_BYTES
    assert found.id != BLANK
    assert found == replace(full, id=found.id, revision=found.id)
    assert found.supersedes == ()


def test_identified__on_two_devices__the_same_whatever_id_the_parser_gave() -> None:
    for other in (TOLD, replace(TOLD, id=b"another device's", revision=b"another device's")):
        assert first(other) == first(TOLD)


def test_identified__id_is_the_hmac_of_the_origin_and_of_the_text_where_it_has_no_id_there() -> None:
    """So that an update of MemSync does not import everything anew: the CBOR is written by hand."""
    origin = b"\x84\x67lantern\x6econversation 7\x69message 3\xf6"
    assert first(TOLD).id == hmac.digest(IMPORT_KEY, origin, "sha256")[:ID_BYTES]
    text = b"\x84\xf6\xf6\xf6\x6aNo source."
    assert first(Memory(BLANK, "No source.")).id == hmac.digest(IMPORT_KEY, text, "sha256")[:ID_BYTES]


def test_identified__imported_again__nothing_to_add() -> None:
    assert then(TOLD, first(TOLD)) is None
    later = replace(TOLD, tags=("new tag",), created=datetime(2026, 3, 1, tzinfo=UTC))
    assert then(later, first(TOLD)) is None


def test_identified__under_another_vaults_import_key__other_ids() -> None:
    """Ids confirm no guess: without the key, source and text together do not give them."""
    own = {first(memory).id for memory in (TOLD, Memory(BLANK, "No source."))}
    for key in (secret("other vault"), bytes(32)):
        assert not own & {first(memory, key).id for memory in (TOLD, Memory(BLANK, "No source."))}
    edited = replace(TOLD, content="Ines is right-handed.")
    both = [identified(edited, key, {first(TOLD, key).id: [first(TOLD, key)]}) for key in (IMPORT_KEY, secret("other"))]
    assert len({memory.revision for memory in both if memory}) == 2


# What makes an id -----------------------------------------------------------------------------------------------------


def test_identified__another_origin__another_id() -> None:
    sources = [
        None,
        Source("lantern"),
        Source("lantern", "conversation 7"),
        Source("lantern", None, "conversation 7"),
        Source("lantern", None, "message 3"),
        SOURCE,
        Source("lantern", "conversation 8", "message 3"),
        Source("lantern", "conversation 7", "message 4"),
        Source("other", "conversation 7", "message 3"),
        Source("lanternconversation 7", None, "message 3"),
        Source("lantern", "conversation 7message", " 3"),
    ]
    assert len({first(replace(TOLD, source=source)).id for source in sources}) == len(sources)


def test_identified__with_a_foreign_id__the_text_makes_no_difference() -> None:
    assert first(replace(TOLD, content="Ines is right-handed.")).id == first(TOLD).id


@pytest.mark.parametrize("source", [None, Source("lantern"), Source("lantern", "conversation 7")])
def test_identified__without_a_foreign_id__another_text_is_another_memory(source: Source | None) -> None:
    one, other = replace(TOLD, source=source), replace(TOLD, source=source, content="Ines is right-handed.")
    assert first(one).id != first(other).id
    assert then(other, first(one)) == first(other)
    assert then(one, first(one), first(other)) is None


# The same source says something else ----------------------------------------------------------------------------------


def test_identified__changed_text__a_revision_of_what_was_said_before_on_both_devices() -> None:
    edited = replace(TOLD, content="Ines is right-handed.")
    before = first(TOLD)
    found = then(edited, before)
    assert found
    assert (found.id, found.content, found.supersedes) == (before.id, edited.content, (before.revision,))
    assert found.revision not in (before.id, BLANK)
    assert len(found.revision) == ID_BYTES
    assert then(replace(edited, id=b"another device's"), before) == found
    assert tips([before, found])[before.id] == [found]
    assert then(edited, before, found) is None


def test_identified__changed_twice__each_text_has_its_revision() -> None:
    before = first(TOLD)
    second = then(replace(TOLD, content="Ines is right-handed."), before)
    assert second
    third = then(replace(TOLD, content="Ines uses both hands."), before, second)
    assert third
    assert third.supersedes == (second.revision,)
    assert len({before.revision, second.revision, third.revision}) == 3
    assert tips([before, second, third])[before.id] == [third]


def test_identified__changed_and_changed_back__the_text_of_now_stands() -> None:
    """The source says again what it said at first: a vault that has both takes the first text back."""
    before = first(TOLD)
    edited = then(replace(TOLD, content="Ines is right-handed."), before)
    assert edited
    back = then(TOLD, before, edited)
    assert back
    assert tips([before, edited, back])[before.id] == [back]
    assert back.content == TOLD.content
    again = then(replace(TOLD, content="Ines is right-handed."), before, edited, back)
    assert again
    assert [memory.content for memory in tips([before, edited, back, again])[before.id]] == ["Ines is right-handed."]


def test_identified__edited_here_since__the_same_again_adds_nothing() -> None:
    before = first(TOLD)
    edited = before.edited("Ines is ambidextrous.")
    assert then(TOLD, before, edited) is None


def test_identified__edited_here_and_changed_there__is_a_conflict() -> None:
    before = first(TOLD)
    edited = before.edited("Ines is ambidextrous.")
    found = then(replace(TOLD, content="Ines is right-handed."), before, edited)
    assert found
    assert found.supersedes == (before.revision,)
    assert tips([before, edited, found])[before.id] == [edited, found]
    assert then(replace(TOLD, content="Ines is right-handed."), before, edited, found) is None
