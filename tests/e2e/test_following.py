"""Looking at a vault again and again: what is asked, what is opened anew, and what a refusal leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsync_client.errors import AccessEnded, NodeUnreachable, UnknownMemory
from memsync_client.following import Following, Shelf
from memsync_client.memories import new
from memsync_client.reader import Reader
from memsync_client.rpc import Node
from memsync_client.storage.blobs import Blobs
from memsync_client.vault import Vault
from tests.e2e.machines import grant


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What kinds of blobs are fetched from now on."""
    kinds: list[str] = []
    fetch = Blobs.fetch

    def noted(blobs: Blobs, blob_hash: bytes, what: str) -> bytes:
        kinds.append(what)
        return fetch(blobs, blob_hash, what)

    monkeypatch.setattr(Blobs, "fetch", noted)
    return kinds


@pytest.fixture
def reader(vault: Vault, tmp_path: Path) -> Reader:
    return grant(vault, tmp_path / "tool", "claude").reader


def contents(source: Following) -> list[str]:
    return [memory.content for memory in source.look().memories]


def test_look__nothing_has_changed__asks_the_chain_and_opens_nothing(
    vault: Vault, reader: Reader, fetched: list[str]
) -> None:
    for source in (reader.following(), vault.following()):
        before = source.look()
        fetched.clear()
        vault._session.registry.node.request("evm_mine")
        again = source.look()
        assert again.memories is before.memories
        assert again.block.number > before.block.number
        assert fetched == []


def test_look__after_a_commit__opens_the_new_pack_alone(vault: Vault, reader: Reader, fetched: list[str]) -> None:
    source = reader.following()
    for text in ("second", "third"):
        vault.remember(text)
        vault.sync()
    assert contents(source) == ["first", "second", "third"]
    fetched.clear()
    vault.remember("fourth")
    vault.sync()
    fetched.clear()
    assert contents(source) == ["first", "second", "third", "fourth"]
    assert fetched.count("pack") == 1


def test_look__after_edit_forget_and_a_clean_rotation__is_what_reading_anew_gives(vault: Vault, reader: Reader) -> None:
    mine, lent = vault.following(), reader.following()
    shelf = Shelf(lent)

    def agree(*texts: str) -> None:
        assert contents(mine) == contents(lent) == [m.content for m in reader.memories()] == list(texts)
        found = shelf.recall("word first second edited", 10)[1]
        assert sorted(hit.memory.content for hit in found) == sorted(texts)

    first = vault.memories()[0]
    second = vault.remember("second word")
    vault.sync()
    agree("first", "second word")
    vault.edit(second.id.hex(), "edited word")
    vault.sync()
    agree("first", "edited word")
    vault.rotate(clean=True)
    agree("first", "edited word")
    vault.forget([first.id])
    agree("edited word")
    with pytest.raises(UnknownMemory):
        shelf.get(first.id.hex())
    assert shelf.get(second.id.hex()[:6])[1][0].content == "edited word"


def test_look__of_the_owner__has_what_waits(vault: Vault) -> None:
    source = vault.following()
    assert contents(source) == ["first"]
    vault.remember("waiting")
    assert contents(source) == ["first", "waiting"]
    vault.sync()
    assert contents(source) == ["first", "waiting"]


@pytest.mark.parametrize("private", [False, True])
def test_look__after_a_revocation__answers_nothing_and_keeps_nothing(
    vault: Vault, tmp_path: Path, private: bool
) -> None:
    source = grant(vault, tmp_path / "tool", "claude", private=private).reader.following()
    shelf = Shelf(source)
    assert [hit.memory.content for hit in shelf.recall("first", 5)[1]] == ["first"]
    vault.revoke("claude")
    for ask in (lambda: shelf.recall("first", 5), lambda: shelf.recent(5), lambda: shelf.get("")):
        with pytest.raises(AccessEnded):
            ask()
    assert (shelf._memories, shelf._tips, len(shelf._index)) == ((), {}, 0)
    assert (source._kept, source._last) == ({}, None)


def test_look__node_is_down__answers_nothing_until_it_is_back(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    shelf = Shelf(reader.following())
    shelf.look()
    fetched.clear()

    def down(node: Node, *_: object) -> None:
        raise NodeUnreachable("The node does not answer.", "Start it.")

    with monkeypatch.context() as patch:
        patch.setattr(type(reader._registry), "record", down)
        for ask in (lambda: shelf.recall("first", 5), lambda: shelf.recent(5), lambda: shelf.get("")):
            with pytest.raises(NodeUnreachable):
                ask()
    assert [hit.memory.content for hit in shelf.recall("first", 5)[1]] == ["first"]
    assert fetched == []


def test_recent__newest_first_and_unknown_times_last(vault: Vault) -> None:
    vault._let_wait([new("of unknown time")])
    vault.remember("newest")
    assert [memory.content for memory in Shelf(vault.following()).recent(3)[1]] == [
        "newest",
        "first",
        "of unknown time",
    ]
    assert [memory.content for memory in Shelf(vault.following()).recent(1)[1]] == ["newest"]
