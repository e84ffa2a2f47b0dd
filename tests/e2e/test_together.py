"""Several at once: two devices of one owner, and several processes of one home. Nothing is lost, nothing is doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memsync_client.client import Client
from memsync_client.devices import add_device, join, new_device
from memsync_client.errors import HomeBusy
from memsync_client.following import Shelf
from memsync_client.home import Home
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, keystore, new_owner, new_vault, texts
from tests.killing import Running
from tests.nodes import Chain

SECONDS = 240  # that all of it may take on a busy machine


@pytest.fixture
def desk(chain: Chain, tmp_path: Path) -> Home:
    owner = new_owner(tmp_path / "desk", chain.rpc_url)
    new_vault(owner, "novel", tmp_path / "blobs")
    return owner.home


@pytest.fixture
def laptop(desk: Home, chain: Chain, tmp_path: Path) -> Home:
    """Another device of the same owner, with an account of its own."""
    home = Home(tmp_path / "laptop")
    keystore(home.wallet)
    card = new_device(home, PASSPHRASE, "laptop", rpc=chain.rpc_url, commit=True)
    join(home, PASSPHRASE, add_device(Client(desk, PASSPHRASE), card))
    return home


def vault(home: Home) -> Vault:
    """As a process that has just begun has it."""
    return Client(home, PASSPHRASE).vault()


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each gives, every one in a process of its own. None may fail."""
    running = [Running(act) for act in acts]
    ended = [each.wait(SECONDS) for each in running]
    assert [each.error for each in ended] == [""] * len(acts)
    return [each.value for each in ended]


def remember_and_sync(home: Home, name: str, times: int) -> None:
    for number in range(times):
        vault(home).remember(f"{name} {number}")
        vault(home).sync()


def check(homes: list[Home], expected: list[str]) -> None:
    """Each shows all, once; and nothing is in the log twice."""
    for home in homes:
        vault(home).sync()
    for home in homes:
        assert texts(vault(home)) == sorted(expected)
        assert vault(home).waiting() == 0
    assert vault(homes[0]).verify().memories == len(expected)


def test_two_devices__syncing_at_once__lose_and_double_nothing(desk: Home, laptop: Home) -> None:
    times = 8
    at_once(partial(remember_and_sync, desk, "desk", times), partial(remember_and_sync, laptop, "laptop", times))
    assert vault(desk).record().version >= 2 * times
    check([desk, laptop], [f"{name} {number}" for name in ("desk", "laptop") for number in range(times)])


def test_four_processes_of_one_home__remembering_and_syncing_at_once__lose_and_double_nothing(desk: Home) -> None:
    names, times = ["one", "two", "three", "four"], 3
    at_once(*(partial(remember_and_sync, desk, name, times) for name in names))
    check([desk], [f"{name} {number}" for name in names for number in range(times)])


def test_two_devices__one_cleans_up_while_the_other_reads__both_go_on(desk: Home, laptop: Home) -> None:
    vault(desk).remember("kept")
    vault(desk).sync()

    def clean() -> None:
        for _ in range(3):
            vault(desk).rotate(clean=True)

    def read() -> list[list[str]]:
        looking, shelf = vault(laptop), Shelf(vault(laptop).following())
        return [found for _ in range(12) for found in (texts(looking), [m.content for m in shelf.look().memories])]

    _, found = at_once(clean, read)
    assert found == [["kept"]] * 24


def test_a_reading_process__beside_one_that_syncs__never_misses_a_memory(desk: Home) -> None:
    """What moves from the outbox into the vault is in one of the two at any moment."""
    expected = [f"memory {number}" for number in range(4)]

    def write() -> None:
        for text in expected:
            vault(desk).remember(text)
            vault(desk).sync()

    def read() -> list[int]:
        looking, shelf, counts = vault(desk), Shelf(vault(desk).following()), [0]
        while counts[-1] < len(expected):
            counts += [len(texts(looking)), len(shelf.look().memories)]
        return counts

    _, counts = at_once(write, read)
    assert counts == sorted(counts)


@pytest.fixture
def busy(desk: Home) -> Iterator[Callable[[], None]]:
    """Another process that holds the home's lock; what is given ends it."""

    def hold() -> None:
        with desk.lock(), open(desk.folder / "held", "wb"):
            time.sleep(SECONDS)

    held = Running(hold)
    while not (desk.folder / "held").exists():
        time.sleep(0.01)
    yield held.kill
    held.kill()
    held.wait(SECONDS)


def test_sync__while_another_process_writes__waits_for_it_and_says_so(desk: Home, busy: Callable[[], None]) -> None:
    waiting = vault(desk)
    waiting.remember("waits")
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        busy()

    waiting._session.say = say
    assert waiting.sync().committed == 1
    assert said[0] == "another memsync process is writing here; waiting for it"


def test_lock__held_for_longer_than_one_waits__is_refused(desk: Home, busy: Callable[[], None]) -> None:
    with pytest.raises(HomeBusy, match=r"writing here and has been for 0\.2 s"), desk.lock(wait=0.2):
        pass
    vault(desk).remember("needs no lock")
    assert texts(vault(desk)) == ["needs no lock"]


def test_long_process__beside_one_that_makes_the_devices_key_anew__goes_on(desk: Home) -> None:
    long_one = vault(desk)
    long_one.remember("before")
    long_one.sync()
    shelf = Shelf(long_one.following())
    shelf.look()
    long_one.remember("waits")
    at_once(vault(desk).rekey)
    assert texts(long_one) == ["before", "waits"]
    assert [memory.content for memory in shelf.look().memories] == ["before", "waits"]
    long_one.remember("after")
    assert long_one.sync().committed == 2
    check([desk], ["before", "waits", "after"])
