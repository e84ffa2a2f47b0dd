from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest
from eth_account import Account

from memsync_client import keyfile
from memsync_client.client import Client
from memsync_client.vault import Vault
from tests.e2e.machines import SALT, Machine, new_machine, new_owner, new_vault
from tests.nodes import Chain, running_chain


@pytest.fixture(scope="session", autouse=True)
def stretched_once() -> Iterator[None]:
    """Stretching would take most of the time. All key files made here share a salt, so that each passphrase is
    stretched once, as much as ever; new wallets hardly are. Processes of their own open both, and make the usual ones.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyfile, "_new_salt", lambda: SALT)
        patch.setattr(keyfile, "_stretch", cache(keyfile._stretch))
        patch.setattr(Account, "encrypt", partial(Account.encrypt, iterations=2))
        yield


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """One anvil with the registry for all tests that leave it as it is; each has homes and vaults of its own."""
    with running_chain() as started:
        yield started


@pytest.fixture(scope="module")
def owner(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A home of its own for each file."""
    return new_owner(tmp_path_factory.mktemp("home") / "owner", chain.rpc_url)


@pytest.fixture
def lone(chain: Chain, tmp_path: Path) -> Client:
    """A home with no other vaults, for what makes its key anew."""
    return new_owner(tmp_path / "owner", chain.rpc_url)


@pytest.fixture
def vault(owner: Client, tmp_path: Path) -> Vault:
    """With one memory committed."""
    made = new_vault(owner, tmp_path.name, tmp_path / "blobs")
    made.remember("first")
    made.sync()
    return made


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A computer whose commands run in forks of this process."""
    made = new_machine(tmp_path / "machine")
    made.forked = True
    return made


@pytest.fixture
def desk(chain: Chain, machine: Machine) -> Client:
    """The library's view of the machine's home."""
    machine.folder.parent.mkdir(parents=True)
    return new_owner(machine.folder, chain.rpc_url)


@pytest.fixture
def novel(desk: Client, tmp_path: Path) -> Vault:
    return new_vault(desk, "novel", tmp_path / "blobs")
