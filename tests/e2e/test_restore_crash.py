"""kill -9 while a new home takes the vaults in: it counts as a home once all of them are there, and not before. With a
part of them, what ends a restore would call the old kit void while it alone still opens the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from memsync_client.client import Client
from memsync_client.devices import add_device, join, new_device
from memsync_client.home import Home
from memsync_client.keys import HolderKey
from memsync_client.recovery import check_kit, kit_sheet, renew, restore_with_kit, set_kit
from tests.e2e.machines import PASSPHRASE, new_owner, new_vault, texts
from tests.killing import killed_at
from tests.nodes import Chain


@pytest.fixture
def owner(chain: Chain, tmp_path: Path) -> Client:
    """With two vaults."""
    client = new_owner(tmp_path / "owner", chain.rpc_url)
    for name in ("first", "second"):
        vault = new_vault(client, name, tmp_path / name)
        vault.remember(f"kept in {name}")
        vault.sync()
    return client


def at_every_effect(folder: Path, begun: Callable[[Home], Callable[[], object]]) -> list[Home]:
    """Homes in which what ``begun`` gives was killed before its first effect, its second, and so on."""
    homes: list[Home] = []
    for point in count(1):
        homes.append(Home(folder / f"new {point}"))
        if not killed_at(begun(homes[-1]), point):
            return homes
    raise AssertionError("unreachable")


def test_restore__killed_before_each_effect__has_all_vaults_or_is_begun_again(
    owner: Client, chain: Chain, tmp_path: Path
) -> None:
    kit = HolderKey(bytes(range(32)))
    set_kit(owner, kit.xwing.public)
    sheet = kit_sheet(owner)

    def begun(home: Home) -> Callable[[], object]:
        return lambda: restore_with_kit(home, PASSPHRASE, kit, sheet, wallet=owner.home.wallet, name="new")

    homes = at_every_effect(tmp_path, begun)
    assert [home.initialised for home in homes[-2:]] == [False, True]
    assert len(homes) > 4
    for home in homes:
        if not home.initialised:
            begun(home)()
        assert set(home.labels()) == {"first", "second"}
        assert home.kit_key.exists()
    client = Client(homes[-2], PASSPHRASE)
    renew(client, None)
    assert [line.opens for line in check_kit(client, kit)] == [False, False]
    assert [texts(vault) for vault in client.vaults()] == [["kept in first"], ["kept in second"]]


def test_join__killed_before_each_effect__has_all_vaults_or_is_begun_again(
    owner: Client, chain: Chain, tmp_path: Path
) -> None:
    made = Home(tmp_path / "made")
    sheet = add_device(owner, new_device(made, PASSPHRASE, "laptop", rpc=chain.rpc_url))

    def begun(home: Home) -> Callable[[], object]:
        home.folder.mkdir()
        for path in made.folder.iterdir():
            (home.folder / path.name).write_bytes(path.read_bytes())
        return lambda: join(home, PASSPHRASE, sheet)

    homes = at_every_effect(tmp_path, begun)
    assert len(homes) > 2
    for home in homes:
        if not home.initialised:
            join(home, PASSPHRASE, sheet)
        assert set(home.labels()) == {"first", "second"}
