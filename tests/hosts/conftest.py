"""A real IPFS node, offline, in a process of its own that ends with the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Chain, running_chain

HERE = Path(__file__).parent
MODULES = Path(sys.prefix) / "hosts" / "node_modules"


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    with running_chain() as started:
        yield started


@pytest.fixture(scope="session")
def ipfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The RPC's address."""
    if not MODULES.is_dir():
        pytest.fail("there is no IPFS node here: make setup-hosts")
    repo = tmp_path_factory.mktemp("ipfs") / "repo"
    log = repo.with_name("log").open("w+")
    process = subprocess.Popen(
        [Path(sys.executable).with_name("node"), HERE / "node.mjs", MODULES, repo],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            log.seek(0)
            pytest.fail(f"the IPFS node does not start: {log.read()[:2000]}")
        yield url
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
