from collections.abc import Iterator

import pytest
from ape.api import ProviderAPI, ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager
from ape_ethereum.trace import Trace

from scripts._artifact import Artifact, compiled
from scripts._deployment import Deployment
from scripts.deploy import deploy

from .helpers import DAY, create


@pytest.fixture(scope="session", autouse=True)
def silent() -> Iterator[None]:
    """Keeps Ape from tracing each transaction to print its call tree or console logs: a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trace, "show", lambda *_, **__: None)
        patch.setattr(ReceiptAPI, "show_debug_logs", lambda _: None)
        # Else requests looks for a proxy in the whole environment, at each of a dozen requests a transaction.
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def owner(accounts: TestAccountManager) -> TestAccountAPI:
    return accounts[0]


@pytest.fixture(scope="session")
def writer(accounts: TestAccountManager) -> TestAccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def reader(accounts: TestAccountManager) -> TestAccountAPI:
    return accounts[2]


@pytest.fixture(scope="session")
def stranger(accounts: TestAccountManager) -> TestAccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def buyer(accounts: TestAccountManager) -> TestAccountAPI:
    """Becomes an owner."""
    return accounts[4]


@pytest.fixture(scope="session")
def rescuer(accounts: TestAccountManager) -> TestAccountAPI:
    """A recovery address."""
    return accounts[5]


@pytest.fixture(scope="session")
def relayer(accounts: TestAccountManager) -> TestAccountAPI:
    """Sends what others signed, and has no rights of its own."""
    return accounts[6]


@pytest.fixture(scope="session")
def registry(accounts: TestAccountManager, project: ProjectManager) -> ContractInstance:
    compiled()
    # An account that does nothing else, so that the address, and with it every gas figure, stays the same.
    return accounts[9].deploy(project.MemoryRegistry)


@pytest.fixture
def vault(registry: ContractInstance, owner: TestAccountAPI) -> bytes:
    """The owner's first vault, as just created."""
    create(registry, owner)
    return bytes(registry.vaultIdOf(owner, 1))


@pytest.fixture
def soon(chain: ChainManager) -> int:
    """An expiry in the future, in Unix seconds."""
    return int(chain.pending_timestamp) + 90 * DAY


@pytest.fixture(scope="session")
def artifacts() -> tuple[Artifact, ...]:
    """All contracts, compiled."""
    return compiled()


@pytest.fixture(scope="session")
def artifact(artifacts: tuple[Artifact, ...]) -> Artifact:
    """The registry's."""
    return artifacts[0]


@pytest.fixture
def provider(owner: TestAccountAPI) -> ProviderAPI:
    return owner.provider


@pytest.fixture
def deployment(artifact: Artifact, owner: TestAccountAPI) -> Deployment:
    """Of the registry, by the script."""
    made = deploy(artifact, owner)
    assert made is not None
    return made
