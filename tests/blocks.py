"""A chain whose blocks come when a test says so: in place of each pause of one who waits for a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from memsync_client import sending, transactions
from memsync_client.transactions import MAX_GAS
from tests.nodes import Chain


class Killed(BaseException):
    """The process has ended."""


@dataclass
class Blocks:
    """``steps`` are done one after each look for a receipt; after them each look is followed by a block."""

    chain: Chain
    steps: list[Callable[[], object]] = field(default_factory=list)

    def mine(self, base_fee: int | None = None) -> None:
        if base_fee is not None:
            self.chain.node.request("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        self.chain.node.request("evm_mine")

    def mine_full(self) -> None:
        """A block that had no room left for a transaction of ours."""
        self.chain.node.request("evm_setBlockGasLimit", hex(25_000))
        self.chain.node.request("evm_increaseTime", 2)
        self.mine()
        self.chain.node.request("evm_setBlockGasLimit", hex(MAX_GAS))

    def reorganise(self, depth: int) -> None:
        """So many blocks are replaced by empty ones, and what was in them is forgotten."""
        self.chain.node.request("anvil_reorg", depth, [])

    def nothing(self) -> None:
        """No block comes."""

    def kill(self) -> None:
        raise Killed

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Each transaction gets a block of its own meanwhile."""
        self.chain.node.request("evm_setAutomine", True)
        yield
        self.chain.node.request("evm_setAutomine", False)


def stepping(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Blocks:
    """A chain that no longer mines by itself, and who waits in this process steps on."""
    blocks = Blocks(chain)

    class Steps:
        next = 0.001  # seconds, of which none is slept

        def wait(self) -> None:
            (blocks.steps.pop(0) if blocks.steps else blocks.mine)()

    chain.node.request("evm_setAutomine", False)
    monkeypatch.setattr(sending, "Pauses", Steps)
    monkeypatch.setattr(transactions, "Pauses", Steps)
    return blocks
