"""The outbox: what was acknowledged is there, whole and in order, and only the device that it waits on reads it."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memsync_client import canonical, keyfile
from memsync_client.client import Client
from memsync_client.errors import HomeDamaged, StorageUnavailable
from memsync_client.home import Config, Home
from memsync_client.interchange import Draft
from memsync_client.memories import Memory, Source, to_record
from memsync_client.outbox import Outbox, Waiting
from memsync_client.rekeying import make_ready
from memsync_client.sealing import MAX_BLOB, seal
from memsync_client.vault import Vault
from tests.client.material import OTHER_PLACES, PLACE, flipped, holder, memory, secret

KEY = holder("laptop")
FULL = Memory(
    bytes(range(16)),
    "Ines is left-handed.",
    datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    Source("lantern", "conversation 7", "foreign-id-9"),
    "fact",
    ("novel", "ines"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vault" / "outbox"


@pytest.fixture
def outbox(folder: Path) -> Outbox:
    return Outbox(folder, PLACE)


def contents(waiting: list[Waiting]) -> list[list[Memory]]:
    return [list(entry.memories) for entry in waiting]


# A device's new key ---------------------------------------------------------------------------------------------------


def test_remember__while_a_new_key_takes_its_place__is_not_lost_with_the_old_one(tmp_path: Path) -> None:
    """Whoever makes the key anew has looked through the outbox once, and is killed just after the old key is gone."""
    home, vault_id = Home(tmp_path), PLACE.vault_id
    home.write_config(Config(PLACE.chain_id, "http://nowhere", f"0x{PLACE.registry.hex()}", "0x" + "22" * 20))
    home.label("novel", vault_id)
    for path in (home.device_key, home.next_key):
        keyfile.create(path, "a passphrase")
    make_ready(home)
    Client(home, "a passphrase").vault().remember("just now")
    os.replace(home.ready_key, home.device_key)
    waiting = Outbox(home.vault_folder(vault_id) / "outbox", PLACE).read(
        keyfile.unlock(home.device_key, "a passphrase")
    )
    assert [item.content for entry in waiting for item in entry.memories] == ["just now"]


def test_take_over__all_entries_open_with_the_new_key_alone_and_again_changes_nothing(outbox: Outbox) -> None:
    new = holder("new")
    outbox.add(KEY.xwing.public, [FULL, memory(1)], imported=True)
    outbox.add(new.xwing.public, [memory(2)])
    outbox.take_over(KEY, new)
    assert contents(outbox.read(new)) == [[FULL, memory(1)], [memory(2)]]
    assert [entry.imported for entry in outbox.read(new)] == [True, False]
    files = {path.name: path.read_bytes() for path in outbox._folder.iterdir()}
    outbox.take_over(KEY, new)
    assert {path.name: path.read_bytes() for path in outbox._folder.iterdir()} == files
    with pytest.raises(HomeDamaged):
        outbox.read(KEY)


def test_take_over__entry_that_neither_key_opens__is_named(outbox: Outbox) -> None:
    outbox.add(holder("stranger").xwing.public, [FULL])
    with pytest.raises(HomeDamaged, match="does not open"):
        outbox.take_over(KEY, holder("new"))


# What is kept ---------------------------------------------------------------------------------------------------------


def test_read__of_an_outbox_that_nothing_was_added_to__is_empty_and_makes_no_folder(
    outbox: Outbox, folder: Path
) -> None:
    assert (outbox.count(), outbox.read(KEY)) == (0, [])
    outbox.remove(["000000000001-1-00000000.sealed"])
    assert not folder.exists()


def test_add__entries_survive_in_order_with_all_their_fields(outbox: Outbox, folder: Path) -> None:
    added = [[FULL], [memory(1), memory(2)], [memory(3)], [FULL.edited("Ines writes with both hands.")]]
    for number, batch in enumerate(added):
        outbox.add(KEY.xwing.public, batch, imported=number == 1)
    again = Outbox(folder, PLACE)
    assert contents(again.read(KEY)) == added
    assert [entry.imported for entry in again.read(KEY)] == [False, True, False, False]
    assert again.count() == 5


def test_read__of_more_than_nine_entries__oldest_first(outbox: Outbox) -> None:
    added = [[memory(number)] for number in range(25)]
    for batch in added:
        outbox.add(KEY.xwing.public, batch)
    assert contents(outbox.read(KEY)) == added
    outbox.remove([entry.path.name for entry in outbox.read(KEY)[:20]])
    outbox.add(KEY.xwing.public, [memory(99)])
    assert contents(outbox.read(KEY)) == [*added[20:], [memory(99)]]


def test_remove__takes_the_named_entries_only_and_unknown_names_are_harmless(outbox: Outbox) -> None:
    for number in range(3):
        outbox.add(KEY.xwing.public, [memory(number)])
    name = outbox.read(KEY)[1].path.name
    for _ in range(2):
        outbox.remove([name, "000000000009-1-00000000.sealed", "never"])
        assert contents(outbox.read(KEY)) == [[memory(0)], [memory(2)]]
        assert outbox.count() == 2


def test_count__reads_no_entry_and_needs_no_key(outbox: Outbox, folder: Path) -> None:
    outbox.add(KEY.xwing.public, [memory(1), memory(2)])
    outbox.add(KEY.xwing.public, [memory(3)])
    for path in folder.iterdir():
        path.write_bytes(b"")
    assert outbox.count() == 3


def test_read__other_files_in_the_folder__passed_over(outbox: Outbox, folder: Path) -> None:
    """What a killed process leaves of an entry has a name of its own, and is no entry."""
    outbox.add(KEY.xwing.public, [memory(1)])
    [whole] = folder.iterdir()
    torn = folder / ".000000000002-1-0a0b0c0d.sealed.11223344.tmp"
    torn.write_bytes(whole.read_bytes()[:700])
    others = ["notes.txt", "1-1-0a0b0c0d.sealed", "000000000003-1-0a0b0c0d.sealed~", "000000000003-1-0A0B0C0D.sealed"]
    for name in others:
        (folder / name).write_bytes(b"")
    assert outbox.count() == 1
    assert contents(outbox.read(KEY)) == [[memory(1)]]
    assert torn.exists()


def test_add__where_a_file_is_in_the_way__storage_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for outbox in (Outbox(tmp_path / "file", PLACE), Outbox(tmp_path / "file" / "outbox", PLACE)):
        with pytest.raises(StorageUnavailable):
            outbox.add(KEY.xwing.public, [memory(1)])
        with pytest.raises(StorageUnavailable):
            outbox.count()


# Who reads it ---------------------------------------------------------------------------------------------------------


def test_add__leaves_no_plain_text_on_the_disk_and_the_files_to_their_owner(outbox: Outbox, tmp_path: Path) -> None:
    outbox.add(KEY.xwing.public, [FULL])
    assert FULL.source
    texts = [FULL.content, "left-handed", *FULL.tags, FULL.source.platform, "conversation 7", "foreign-id-9", "fact"]
    searched = 0
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        if path.is_file():
            data = path.read_bytes() + path.name.encode()
            assert not [text for text in texts if text.encode() in data]
            assert FULL.id not in data
            assert to_record(FULL) not in data
            searched += 1
    assert searched == 1


def test_read__by_another_device__damaged_naming_the_entry(outbox: Outbox) -> None:
    outbox.add(KEY.xwing.public, [FULL])
    path = outbox.read(KEY)[0].path
    with pytest.raises(HomeDamaged) as caught:
        outbox.read(holder("phone"))
    assert str(path) in caught.value.cause
    assert caught.value.next_step


def test_read__in_the_outbox_of_another_vault__damaged(outbox: Outbox, folder: Path) -> None:
    outbox.add(KEY.xwing.public, [FULL])
    for place in OTHER_PLACES.values():
        with pytest.raises(HomeDamaged):
            Outbox(folder, place).read(KEY)


def test_read__of_a_damaged_entry__names_it_and_takes_nothing_away(outbox: Outbox, folder: Path) -> None:
    for number in range(3):
        outbox.add(KEY.xwing.public, [memory(number)])
    path = outbox.read(KEY)[1].path
    whole = path.read_bytes()
    lengths = (0, 1, 1_136, 1_168, len(whole) // 2, len(whole) - 1)
    damages = [whole[:length] for length in lengths] + [whole + b"\0"]
    damages += [flipped(whole, position) for position in (0, 1_150, 1_170, 1_230, len(whole) - 1)]
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(HomeDamaged) as caught:
            outbox.read(KEY)
        assert str(path) in caught.value.cause
        assert memory(1).content not in str(caught.value)
        assert len(list(folder.iterdir())) == 3
    path.write_bytes(whole)
    assert contents(outbox.read(KEY)) == [[memory(number)] for number in range(3)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"import": False},
        {"import": 0, "records": []},
        {"import": False, "records": {}},
        {"import": False, "records": [], "more": 1},
        {"import": False, "records": [5]},
        {"import": False, "records": ["text"]},
        {"import": False, "records": [to_record(FULL)[:-1]]},
        {"import": False, "records": [canonical.encode({})]},
    ],
    ids=str,
)
def test_read__of_a_malformed_entry_sealed_by_one_who_has_the_public_key__damaged(
    outbox: Outbox, folder: Path, body: object
) -> None:
    context = PLACE.context("outbox", 0)
    sealed = KEY.xwing.public.enclose(context + KEY.xwing.public.id, secret("entry"))
    folder.mkdir(parents=True)
    path = folder / "000000000001-1-0a0b0c0d.sealed"
    path.write_bytes(sealed + seal(secret("entry"), context, canonical.encode(body)))
    with pytest.raises(HomeDamaged, match=path.name):
        outbox.read(KEY)


# An import ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """One that nobody has looked for on a chain yet."""
    home = Home(tmp_path)
    home.write_config(Config(PLACE.chain_id, "http://nowhere", f"0x{PLACE.registry.hex()}", "0x" + "22" * 20))
    home.label("novel", PLACE.vault_id)
    keyfile.create(home.device_key, "a passphrase")
    return Client(home, "a passphrase").vault()


def drafts(count: int) -> Iterator[Draft]:
    """Each of nearly 60,000 bytes."""
    return (Draft(f"{number:05} " * 9_990, None, Source("lantern", None, str(number))) for number in range(count))


def test_import__larger_than_an_entry__waits_in_several_in_order(vault: Vault) -> None:
    given = list(drafts(40))
    vault.import_drafts(given)
    waiting = vault._entries()
    assert vault.waiting() == 40
    assert [entry.imported for entry in waiting] == [True] * 3
    assert all(entry.path.stat().st_size <= MAX_BLOB for entry in waiting)
    assert [memory.content for entry in waiting for memory in entry.memories] == [draft.content for draft in given]


def test_import__of_nothing__leaves_no_entry(vault: Vault) -> None:
    vault.import_drafts([])
    assert vault._outbox.names() == ()


def test_import__interrupted_after_its_first_entry__leaves_none(vault: Vault) -> None:
    seen: list[int] = []

    class Interrupted(list[Draft]):
        def __iter__(self) -> Iterator[Draft]:
            yield from drafts(30)
            seen.append(vault.waiting())
            raise KeyboardInterrupt

    vault.remember("before")
    with pytest.raises(KeyboardInterrupt):
        vault.import_drafts(Interrupted())
    assert seen[0] > 1
    assert vault.waiting() == 1


# What a killed process leaves -----------------------------------------------------------------------------------------

ADDING = """
import os, sys
from pathlib import Path
from memsync_client.outbox import Outbox
from tests.client.material import PLACE, holder, memory
outbox, public = Outbox(Path(sys.argv[1]), PLACE), holder("laptop").xwing.public
number = int(sys.argv[2])
while True:
    outbox.add(public, [memory(i, f"{number}." * 10_000) for i in range(16)])
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def test_add__killed_at_any_time__every_acknowledged_entry_is_there_and_whole(outbox: Outbox, folder: Path) -> None:
    """Entries of nearly a megabyte, so that writing them takes much of the time in which the child is killed."""
    chance = random.Random(11)
    total = 0
    for round_ in range(10):
        command = [sys.executable, "-c", ADDING, str(folder), str(1_000 * round_)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout
                assert select.select([child.stdout], [], [], 30)[0], "the child adds nothing"
                time.sleep(chance.uniform(0, 0.06))
            finally:
                child.kill()
            said = child.stdout.read().split(b"\n")
        assert said.pop() == b""
        acknowledged = [int(line) for line in said]

        waiting = outbox.read(KEY)  # raises if an entry is torn
        numbers = list(range(1_000 * round_, 1_000 * round_ + len(waiting)))
        assert contents(waiting) == [[memory(i, f"{n}." * 10_000) for i in range(16)] for n in numbers]
        assert outbox.count() == 16 * len(numbers)
        assert numbers[: len(acknowledged)] == acknowledged
        assert len(numbers) - len(acknowledged) in (0, 1)  # a whole one may be there before it is acknowledged
        outbox.remove([entry.path.name for entry in waiting])
        total += len(acknowledged)
    assert total >= 10
