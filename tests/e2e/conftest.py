from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes import Chain, running_chain


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """One anvil with the registry for all tests that leave it as it is; each has homes and vaults of its own."""
    with running_chain() as started:
        yield started
