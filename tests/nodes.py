"""Real nodes for tests: anvil on a free port of loopback, and accounts with coins. Nothing starts at import."""

from __future__ import annotations

import hashlib
import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from web3 import Web3

from memsync_client.practice import deploy_contracts, fund, start_node
from memsync_client.records import Receipt
from memsync_client.registry import Registry
from memsync_client.rpc import Node
from memsync_client.transactions import Call
from memsync_client.wallet import Account, Wallet

COIN = 10**18


def free_port() -> int:
    """A port of 127.0.0.1 that nobody used a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Chain:
    """A running anvil with the registry on it."""

    rpc_url: str
    pid: int
    node: Node
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def registry(self) -> Registry:
        return Registry.connect(self.rpc_url)

    def wallet(self, wei: int = COIN) -> Wallet:
        """A new account, the same ones in the same order in each run, with so many coins."""
        wallet = Wallet(hashlib.sha256(f"account {next(self._numbers)}".encode()).digest())
        fund(self.rpc_url, wallet.address, wei)
        return wallet

    def pass_time(self, seconds: int) -> None:
        """Let block time run ahead, and mine a block."""
        self.node.request("evm_increaseTime", seconds)
        self.node.request("evm_mine")

    def mine(self, blocks: int) -> None:
        """So many empty blocks, a few at a time: on a busy computer many take longer than an answer may."""
        for left in range(blocks, 0, -100):
            self.node.request("anvil_mine", hex(min(left, 100)))


@contextmanager
def running_chain() -> Iterator[Chain]:
    port = free_port()
    with start_node(port) as process:
        url = f"http://127.0.0.1:{port}"
        node = Node(url)
        deploy_contracts(node)
        yield Chain(url, process.pid, node)


def transact(registry: Registry, wallet: Wallet | Account, call: Call) -> Receipt:
    """Prepare, sign, send, and wait."""
    tx_hash = registry.submit(registry.prepare(call, wallet.address), wallet, lambda _: None)
    return registry.wait(tx_hash, timeout=60)


def contract_of(registry: Registry) -> Any:
    """The same contract as web3 asks it, without anything of ours between."""
    return registry.node.web3.eth.contract(Web3.to_checksum_address(registry.address), abi=registry.abi)
