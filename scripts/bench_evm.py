"""Gas and bytes of a vault on the chain itself (``evm:``), beside one whose blobs are elsewhere: ``make bench-gas``.

Real vaults on one chain of this computer's own; all figures are from receipts. Gas depends on no machine.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from eth_account import Account

from memsync_client.client import Client, init
from memsync_client.home import Home
from memsync_client.practice import deploy_contracts, start_node
from memsync_client.rpc import Node
from memsync_client.vault import Vault

BATCHES = (1, 10, 100)
MEMORY_BYTES = 300
PASSPHRASE = "of a bench"  # noqa: S105 - of nothing


def main() -> None:
    """Prints the table."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_node(port), tempfile.TemporaryDirectory() as folder:
        node = Node(f"http://127.0.0.1:{port}")
        deploy_contracts(node)
        measure(node, Path(folder))


def measure(node: Node, folder: Path) -> None:
    """Both vaults, and each batch in both."""
    keystore = folder / "wallet.json"
    keystore.write_text(json.dumps(Account.encrypt(os.urandom(32), PASSPHRASE, iterations=2)))
    home = Home(folder / "home")
    init(home, PASSPHRASE, kit=None, rpc=node.url, wallet=keystore)
    client = Client(home, PASSPHRASE)
    (folder / "blobs").mkdir()
    print(f"A vault with its blobs on the chain (evm:), and one with them elsewhere; memories of {MEMORY_BYTES} bytes")
    print(f"{'':<24}{'evm:, gas':>14}{'a memory':>12}{'bytes a memory':>16}{'elsewhere, gas':>16}{'ratio':>8}")
    made, on_chain = cost(node, partial(client.new_vault, "on chain", "evm:", on_chain=True))
    other, elsewhere = cost(node, partial(client.new_vault, "elsewhere", (folder / "blobs").as_uri() + "/"))
    row("a new vault", on_chain, None, None, elsewhere)
    for batch in BATCHES:
        landed, on_chain = cost(node, partial(committed, made.vault, batch))
        _, elsewhere = cost(node, partial(committed, other.vault, batch))
        row(f"a commit of {batch}", on_chain, batch, landed.stored_bytes, elsewhere)
    _, on_chain = cost(node, made.vault.rotate)
    _, elsewhere = cost(node, other.vault.rotate)
    row("new keys for all", on_chain, None, None, elsewhere)
    print("The chain asks 40 gas for a random byte of a transaction's data (EIP-7623); sealed bytes are random.")


def committed(vault: Vault, batch: int) -> Any:
    """Commits so many memories of the same size."""
    for _ in range(batch):
        text = os.urandom(MEMORY_BYTES // 2).hex()
        vault.remember(text)
    return vault.sync().landed


def cost(node: Node, act: Any) -> tuple[Any, int]:
    """What ``act`` gives, and the gas of all transactions that it sent."""
    before = int(node.request("eth_blockNumber"), 16)
    value = act()
    after = int(node.request("eth_blockNumber"), 16)
    blocks = [node.request("eth_getBlockByNumber", hex(number), False) for number in range(before + 1, after + 1)]
    return value, sum(int(block["gasUsed"], 16) for block in blocks)


def row(what: str, gas: int, memories: int | None, size: int | None, elsewhere: int) -> None:
    """One line of the table."""
    each = f"{gas / memories:>12,.0f}" if memories else f"{'':>12}"
    size_each = f"{size / memories:>16,.0f}" if memories and size else f"{'':>16}"
    print(f"{what:<24}{gas:>14,}{each}{size_each}{elsewhere:>16,}{gas / elsewhere:>7.1f}x")


if __name__ == "__main__":
    main()
