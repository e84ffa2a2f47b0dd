"""Forgetting, at each of its levels: what is gone, what is kept, and what an archive of everything still opens."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pytest

from memsync_client.client import Client, restore
from memsync_client.errors import InvalidRequest, StorageReadOnly, UnknownMemory
from memsync_client.home import Home
from memsync_client.interchange import Draft, jsonl
from memsync_client.keeping import Level
from memsync_client.memories import Memory
from memsync_client.packs import Entry
from memsync_client.reading import read_items
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault
from tests.e2e.archives import Archive, blobs_of, copies_of, told
from tests.e2e.machines import PASSPHRASE, Machine, grant, new_vault, texts
from tests.nodes import Chain


def other_device(client: Client, folder: Path) -> Client:
    """The same key and wallet in another home, as a person gets it who restores."""
    home, config = Home(folder), client.session.config
    restore(home, PASSPHRASE, client.home.device_key, config.owner, rpc=config.rpc, wallet=client.home.wallet)
    return Client(home, PASSPHRASE)


def living_bytes(vault: Vault) -> bytes:
    """All that the packs of the vault say, opened."""
    view = vault._view(vault.record())
    items = read_items(view, vault._blobs(view.record).fetch_from_host)
    return b"".join(item.record + item.salt for item in items if isinstance(item, Entry))


# Level 1 --------------------------------------------------------------------------------------------------------------


def test_forget__of_an_edited_memory__takes_all_its_revisions_and_nothing_else(vault: Vault, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    (memory,) = [m for m in vault.memories() if m.content == "first"]
    told(vault, "second")
    vault.edit(memory.id.hex(), "first, in other words")
    vault.sync()
    before, packs, root = vault.record(), blobs_of(vault), vault.record().memory_root
    gone = {ref.hash.hex() for ref in vault._view(before).packs}

    done = vault.forget([memory.id])
    (landed,) = done.landed
    record = vault.record()
    assert (record.version, record.epoch, record.memory_root) == (before.version + 1, before.epoch, root)
    assert landed.version == record.version
    assert (done.left, done.pending) == ((), ())
    assert sorted(holder.name for holder in done.openers) == sorted(["claude", vault._session.config.device])
    assert texts(vault) == texts(reader) == ["second"]
    assert b"first" not in living_bytes(vault)
    report = vault.verify()
    assert (report.whole, report.memories, report.forgotten) == (True, 1, 2)
    assert (reader.verify().whole, reader.verify().forgotten) == (True, 2)

    kept = {ref.hash.hex() for ref in vault._view(record).packs}
    assert len(gone - kept) == 2  # the pack of the other memory is the same
    assert not (gone - kept) & (blobs_of(vault) | copies_of(vault))
    assert packs - blobs_of(vault) == gone - kept


def test_forget__level_1__present_keys_open_an_archive(vault: Vault, tmp_path: Path) -> None:
    archive = Archive(vault.place).take(tmp_path / "blobs")
    (memory,) = vault.memories()
    vault.forget([memory.id])
    archive.take(tmp_path / "blobs")
    keys = vault._view(vault.record()).keyring.owner_keys
    assert archive.texts([keys]) == {"first"}  # said so by the command
    assert Archive(vault.place).take(tmp_path / "blobs").texts([keys]) == set()


def test_forget__twice__second_needs_no_transaction(vault: Vault) -> None:
    (memory,) = vault.memories()
    vault.forget([memory.id])
    version = vault.record().version
    done = vault.forget([memory.id])
    assert (done.landed, vault.record().version) == ((), version)


def test_forget__many_and_later_commits__the_log_goes_on(vault: Vault) -> None:
    ids = told(vault, *(f"memory {number}" for number in range(20)))
    vault.forget(ids[3:17])
    told(vault, *(f"later {number}" for number in range(20)))
    kept = ["first", *(f"memory {number}" for number in (0, 1, 2, 17, 18, 19)), *(f"later {n}" for n in range(20))]
    assert texts(vault) == sorted(kept)
    report = vault.verify()
    assert (report.whole, report.memories, report.forgotten) == (True, 27, 14)
    vault.forget([memory.id for memory in vault.memories()])
    assert texts(vault) == []
    assert vault.verify().forgotten == 41


def test_forget__of_what_only_waits__leaves_no_trace_on_chain(vault: Vault) -> None:
    version = vault.record().version
    memory = vault.remember("only here")
    vault.remember("stays")
    assert vault.forget([memory.id]).landed == ()
    assert vault.record().version == version
    assert vault.waiting() == 1
    vault.sync()
    assert texts(vault) == ["first", "stays"]


def test_forget__what_waits_of_it_goes_too(vault: Vault) -> None:
    (memory,) = vault.memories()
    vault.edit(memory.id.hex(), "edited, and not synced")
    vault.forget([memory.id])
    assert vault.waiting() == 0
    assert vault.sync().held == 0
    assert texts(vault) == []


def test_forget__locked_vault__brings_its_keyring_too(vault: Vault, tmp_path: Path) -> None:
    grant(vault, tmp_path / "tool", "claude")
    session = vault._session
    call = session.registry.revoke(vault.place.vault_id, vault.grants()[0].address or "")
    session.land(session.prepare(call))
    (memory,) = vault.memories()
    vault.forget([memory.id])
    record = vault.record()
    assert (record.locked, record.epoch) == (False, 2)
    assert (texts(vault), vault.grants()) == ([], [])
    assert vault.verify().whole


def test_forget__host_that_deletes_nothing__says_what_is_left_and_tries_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = told(vault, "second", "third")
    old = {ref.hash for ref in vault._view(vault.record()).packs}

    def refuse(self: FileStorage, hashes: Iterable[bytes]) -> list[bytes]:
        if self.folder != vault._folder / "blobs":
            raise StorageReadOnly("This host deletes nothing.")
        for blob_hash in hashes:
            (self.folder / blob_hash.hex()).unlink(missing_ok=True)
        return []

    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "delete", refuse)
        left = vault.forget([first]).left
        assert len(left) == 1
        assert set(left) < old
        assert left[0].hex() in blobs_of(vault) - copies_of(vault)
    more = vault.forget([second])
    assert more.left == ()
    assert left[0].hex() not in blobs_of(vault)


def test_forget__from_copies_of_ones_own__says_that_they_are_left(lone: Client, tmp_path: Path, chain: Chain) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    (memory,) = told(vault, "in a backup")
    shutil.copytree(tmp_path / "blobs", tmp_path / "backup")
    home, config = Home(tmp_path / "restored"), lone.session.config
    key, wallet, backup = lone.home.device_key, lone.home.wallet, tmp_path / "backup"
    (restored,) = restore(home, PASSPHRASE, key, config.owner, rpc=chain.rpc_url, wallet=wallet, blobs=backup)
    pack = vault._view(vault.record()).packs[0].hash
    done = restored.forget([memory])
    assert done.left == (pack,)
    assert pack.hex() not in blobs_of(vault)


def test_chosen__by_id_source_conversation_or_all(vault: Vault) -> None:
    lines = [
        {"id": f"{place}-{number}", "content": f"{place} {number}", "source": {"platform": place, "conversation": talk}}
        for place, talk, number in (("chatgpt", "a", 1), ("chatgpt", "b", 2), ("claude", "a", 3))
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    vault.import_drafts(jsonl.read(BytesIO(text.encode()), "x").drafts)
    vault.sync()

    def said(found: list[Memory]) -> list[str]:
        return sorted(memory.content for memory in found)

    assert said(vault.chosen(source="chatgpt")) == ["chatgpt 1", "chatgpt 2"]
    assert said(vault.chosen(conversation="a")) == ["chatgpt 1", "claude 3"]
    assert said(vault.chosen(source="chatgpt", conversation="a")) == ["chatgpt 1"]
    assert said(vault.chosen(everything=True)) == ["chatgpt 1", "chatgpt 2", "claude 3", "first"]
    (first,) = [memory for memory in vault.memories() if memory.content == "first"]
    assert vault.chosen([first.id.hex()[:8], first.id.hex()]) == [first]
    for wrong in ("", "zz", "0" * 32):
        with pytest.raises(UnknownMemory):
            vault.chosen([first.id.hex(), wrong])
    with pytest.raises(InvalidRequest):
        vault.chosen()


# Forgetting wins ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [Level.GONE, Level.SEALED_AWAY])
def test_edit__of_what_another_device_forgot__waits_for_a_yes(lone: Client, tmp_path: Path, level: Level) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    first, second, third = told(vault, "one", "two", "three")
    other = other_device(lone, tmp_path / "other").vault()
    for number, memory in enumerate((first, second)):
        other.edit(memory.hex(), f"edit {number}")
    other.remember("unrelated")
    vault.forget([first, second], level)

    done = other.sync()
    assert (done.committed, done.held, other.waiting()) == (1, 2, 2)
    assert texts(other) == texts(vault) == ["three", "unrelated"]
    again_held = other.sync()
    assert (again_held.committed, again_held.held, again_held.landed) == (0, 2, None)

    dropped = other_device(lone, tmp_path / "third").vault()
    dropped._outbox.add(lone.session.device_public, [other._outbox.read(lone.session.device)[0].memories[0]])
    assert (dropped.sync(keep_edits=False).landed, dropped.waiting()) == (None, 0)

    assert other.sync(keep_edits=True).committed == 2
    assert texts(vault) == ["edit 0", "edit 1", "three", "unrelated"]
    vault.edit(first.hex(), "it lives again")
    assert vault.sync().held == 0
    assert texts(other) == ["edit 1", "it lives again", "three", "unrelated"]
    vault.forget([first])
    assert texts(other) == ["edit 1", "three", "unrelated"]
    assert vault.verify().whole
    assert third in {memory.id for memory in vault.memories()}


def drafts() -> list[Draft]:
    lines = [{"id": str(number), "content": f"note {number}", "source": {"platform": "x"}} for number in range(5)]
    return list(jsonl.read(BytesIO("\n".join(map(json.dumps, lines)).encode()), "x").drafts)


@pytest.mark.parametrize("level", list(Level))
def test_import__of_what_was_forgotten__does_not_bring_it_back(lone: Client, tmp_path: Path, level: Level) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    vault.import_drafts(drafts()[:4])
    vault.sync()
    other = other_device(lone, tmp_path / "other").vault() if level is not Level.KEYS_REMADE else vault
    (memory,) = [memory for memory in vault.memories() if memory.content == "note 2"]
    vault.forget([memory.id], level)
    for device in (vault, other):
        device.import_drafts(drafts())
        done = device.sync()
        assert (done.blocked, done.held, device.waiting()) == (1, 0, 0)
    assert texts(vault) == texts(other) == ["note 0", "note 1", "note 3", "note 4"]
    vault.rotate()
    vault.import_drafts(drafts())
    assert vault.sync().blocked == 1


def test_import__that_waits_and_is_forgotten__is_blocked_from_then_on(vault: Vault) -> None:
    vault.import_drafts(drafts())
    (memory,) = vault.chosen([m.id.hex() for m in vault.memories() if m.content == "note 3"])
    done = vault.forget([memory.id])
    assert len(done.landed) == 1
    assert vault.waiting() == 4
    vault.import_drafts(drafts())
    again_done = vault.sync()
    assert (again_done.committed, again_done.already, again_done.blocked) == (4, 4, 1)
    assert texts(vault) == ["first", "note 0", "note 1", "note 2", "note 4"]


# The command ----------------------------------------------------------------------------------------------------------


def test_command__forget__says_what_it_has_done_and_what_is_left(lone: Client, tmp_path: Path) -> None:
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    ids = told(vault, "one", "two", "three", "four")
    grant(vault, tmp_path / "tool", "claude")
    machine = Machine(tmp_path)
    home = ("--home", str(lone.home.folder))

    def run(*words: str, code: int = 0) -> str:
        done = machine.quick(*home, *words)
        assert done.code == code, done.out + done.err
        return done.out + done.err

    said = run("forget", ids[0].hex()[:8], "--dry-run")
    assert "one" in said
    assert re.search(r"Would forget 1 memory at level 1, for about [\d,]+ gas, free here. Nothing written.", said)
    said = run("forget", ids[0].hex()[:8], code=17)
    assert 'This needs a yes: Forget 1 memory of "novel" for good, at level 1, for about ' in said
    assert "--yes" in said
    assert len(vault.memories()) == 4
    said = run("forget", ids[0].hex()[:8], "--yes")
    assert "Forgot 1 memory at level 1" in said
    assert "these old keys open it" in said
    assert "claude (reader)" in said
    run("forget", ids[0].hex()[:8], "--yes", code=15)
    run("forget", "--yes", code=17)
    run("forget", ids[1].hex(), "--all", "--yes", code=2)

    answer = json.loads(run("forget", ids[1].hex(), "--level", "2", "--yes", "--json"))["data"]
    assert (answer["level"], answer["memories"], answer["ids"]) == (2, 1, [ids[1].hex()])
    assert answer["not_deleted"] == answer["pending"] == []
    assert {item["name"]: item["role"] for item in answer["old_keys_open_copies"]} == {
        lone.session.config.device: "device",
        "claude": "reader",
    }
    assert len(answer["transactions"]) == 1
    answer = json.loads(run("forget", ids[2].hex(), "--level", "3", "--yes", "--json"))["data"]
    assert (answer["level"], answer["more_may"]) == (3, True)
    assert answer["old_keys_open_copies"] == [{"name": "claude", "role": "reader"}]
    assert json.loads(run("list", "--json"))["data"][0]["content"] == "four"
    assert json.loads(run("forget", "--all", "--yes", "--json"))["data"]["memories"] == 1
    assert json.loads(run("forget", "--all", "--yes", "--json"))["data"]["memories"] == 0
