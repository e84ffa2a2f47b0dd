import sys
from collections.abc import Iterator

import pytest

from memsync_client.registry import Registry
from memsync_client.wallet import Wallet
from tests.nodes import Chain, running_chain

_RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_collection_finish() -> None:
    """py-evm, imported by one test, raises it to a hundred times as much: then deep JSON ends the process, where it is
    an error that is caught for those who use the client."""
    sys.setrecursionlimit(_RECURSION_LIMIT)


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """One anvil with the registry for all tests; each uses vaults and accounts of its own."""
    with running_chain() as started:
        yield started


@pytest.fixture
def registry(chain: Chain) -> Registry:
    return chain.registry()


@pytest.fixture
def owner(chain: Chain) -> Wallet:
    return chain.wallet()


@pytest.fixture
def reader(chain: Chain) -> Wallet:
    return chain.wallet()
