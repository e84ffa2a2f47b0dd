"""kill -9 just before something that a forget, a cut or a new key does to the world. The next run finishes or repeats
it."""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path

import pytest

from memsync_client.client import Client
from memsync_client.home import Home
from memsync_client.keeping import Level
from memsync_client.reader import Reader
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, grant, new_owner, new_vault, texts
from tests.killing import killed_at
from tests.nodes import Chain


class World:
    """An owner with two vaults, and a reader of the first."""

    def __init__(self, chain: Chain, folder: Path) -> None:
        self._home, self._folder = Home(folder / "owner"), folder
        owner = new_owner(self._home.folder, chain.rpc_url)
        self._wallet = owner.session.wallet
        self.vault = new_vault(owner, "novel", folder / "blobs")
        self.second = new_vault(owner, "second", folder / "second")
        self.second.remember("elsewhere")
        self.second.sync()
        self.reader: Reader = grant(self.vault, folder / "tool", "claude").reader

    def again(self) -> Client:
        """As a process that has just begun has it, but for the wallet."""
        client = Client(self._home, PASSPHRASE)
        client.session.__dict__["wallet"] = self._wallet
        return client

    def on_host(self) -> set[str]:
        return {path.name for path in (self._folder / "blobs").iterdir()}


def living(vault: Vault) -> set[str]:
    record = vault.record()
    named = vault._view(record).named
    return {blob_hash.hex() for blob_hash in (record.keyring_hash, record.content_hash, *named)}


@pytest.fixture
def world(chain: Chain, tmp_path: Path) -> World:
    return World(chain, tmp_path)


@pytest.mark.parametrize(("level", "step"), [(Level.GONE, 7), (Level.SEALED_AWAY, 11), (Level.KEYS_REMADE, 15)])
def test_kill__at_some_of_the_effects_of_a_forget__the_next_run_ends_it(world: World, level: Level, step: int) -> None:
    kept: list[str] = []
    for point in count(step, step):
        client = world.again()
        vault = client.vault("novel")
        kept.append(f"kept {point}")
        for text in (f"gone {point}", kept[-1]):
            vault.remember(text)
        vault.sync()
        (target,) = [memory for memory in vault.memories() if memory.content.startswith("gone")]
        kept.append(f"waits {point}")
        vault.remember(kept[-1])
        vault.edit(target.id.hex(), f"gone {point}, edited")
        packs = {ref.hash.hex() for ref in vault._view(vault.record()).packs}
        unfinished = killed_at(partial(vault.forget, [target.id], level), point)

        client = world.again()
        vault = client.vault("novel")
        vault.sync()
        landed = not any(memory.content.startswith("gone") for memory in vault.memories())
        if not landed:
            vault.forget([target.id])
        vault = world.again().vault("novel")
        assert texts(vault) == texts(world.reader) == sorted(kept)
        assert texts(world.again().vault("second")) == ["elsewhere"]
        assert vault.waiting() == 0
        assert not (packs - living(vault)) & world.on_host()
        report = vault.verify()
        assert (report.whole, report.memories) == (True, len(kept))
        assert not list(client.home.folder.glob("**/journal"))
        assert not client.home.next_key.exists()
        assert not client.home.ready_key.exists()
        if not unfinished:
            break
    assert point > (25 if level is Level.KEYS_REMADE else 12)
    vault.rotate(clean=True)
    assert living(vault) <= world.on_host()
