from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memsync_client.client import Client
from memsync_client.vault import Vault
from tests.e2e.machines import new_owner, new_vault
from tests.nodes import Chain, running_chain


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
def vault(owner: Client, tmp_path: Path) -> Vault:
    """With one memory committed."""
    made = new_vault(owner, tmp_path.name, tmp_path / "blobs")
    made.remember("first")
    made.sync()
    return made
