from collections.abc import Iterator
from typing import Any

import pytest
from ape.api import ProviderAPI, ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager
from ape_ethereum.ecosystem import Ethereum
from ape_ethereum.trace import Trace
from ape_ethereum.transactions import TransactionType
from ape_foundry.provider import FoundryProvider
from requests import sessions

from scripts._artifact import Artifact, compiled
from scripts._deployment import Deployment
from scripts.deploy import deploy

from .helpers import DAY, create


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Keeps Ape from tracing each transaction to print its call tree or console logs, a third of the time, and from
    asking and computing the same again and again, another third."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trace, "show", lambda *_, **__: None)
        patch.setattr(ReceiptAPI, "show_debug_logs", lambda _: None)
        # Else requests looks for one in the whole environment, at each of a dozen requests a transaction.
        patch.setattr(sessions, "get_environ_proxies", lambda *_, **__: {})
        _know_the_errors_of_a_contract(patch)
        _know_whether_blocks_are_mined(patch)
        _know_the_receipts(patch)
        _know_the_kind_of_transactions(patch)
        yield


def _know_the_errors_of_a_contract(patch: pytest.MonkeyPatch) -> None:
    """Else each refusal compares all errors of the contract with each other."""
    made, known = ContractInstance._errors_.func, dict[tuple[str, ...], Any]()

    def errors(contract: ContractInstance) -> Any:
        key = (contract.address, *(error.signature for error in contract.contract_type.errors))
        if key not in known:
            known[key] = made(contract)
        return known[key]

    patch.setattr(ContractInstance, "_errors_", property(errors))


def _know_whether_blocks_are_mined(patch: pytest.MonkeyPatch) -> None:
    """Else the node is asked once for each fixture of each test, and at each transaction. Only tests set it."""
    mining: Any = FoundryProvider.auto_mine
    said = [True]

    def say(provider: FoundryProvider, value: bool) -> None:
        mining.fset(provider, value)
        said[0] = value

    patch.setattr(FoundryProvider, "auto_mine", property(lambda _: said[0], say))


def _know_the_receipts(patch: pytest.MonkeyPatch) -> None:
    """Else each receipt is first looked for among the accounts of the node."""
    look = ChainManager.get_receipt

    def get_receipt(chain: ChainManager, transaction_hash: str) -> ReceiptAPI:
        return chain.history._hash_to_receipt_map.get(transaction_hash) or look(chain, transaction_hash)

    patch.setattr(ChainManager, "get_receipt", get_receipt)


def _know_the_kind_of_transactions(patch: pytest.MonkeyPatch) -> None:
    """Else the configuration of the network is read and checked anew for each call."""
    made: Any = Ethereum.default_transaction_type
    known: list[TransactionType] = []

    def kind(ecosystem: Ethereum) -> TransactionType:
        known[:] = known or [made.fget(ecosystem)]
        return known[0]

    patch.setattr(Ethereum, "default_transaction_type", property(kind))


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
