"""What the registry's calls cost beside two contracts that do the same work, on one chain: ``make bench-gas``.

The baselines stand in ``scripts/_baselines`` and are compiled as the registry is. Every figure is the gas of whole
transactions, from their receipts; nothing is estimated. Inputs have no zero bytes in a hash, address or text.
"""

from __future__ import annotations

import base64
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click
import solcx
from eth_abi.abi import encode
from eth_utils import function_abi_to_4byte_selector, to_checksum_address

from memsync_client.errors import MemSyncError
from memsync_client.memory_log import Frontier
from memsync_client.practice import deploy_contracts, start_node
from memsync_client.registry import load_artifact
from memsync_client.rpc import Node
from memsync_client.transactions import MAX_GAS

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ROOT / "scripts" / "_baselines"
MEMORIES = (1, 100, 10_000)
READERS = (1, 10, 50)
BATCH = 100  # memories in one transaction of a baseline: what fits below MAX_GAS
WAIT_SECONDS = 30
FOR_EVER = 0xFFFFFFFFFF  # the latest expiry: five bytes, none of them zero
READ = 1
NOTES = """\
ratio: the baseline's gas by ours. What it stores for each memory is an address of 53 characters and a hash; it takes up
to 100 of them in a transaction. Ours stores a hash and a root for all of them.
grant, revoke: StructRegistry lends all memories of an owner, with a wrapped key of 108 characters in state; revoking
lets a flag fall. MemoryToken can't lend: setApprovalForAll has no end and no key, and the operator can take the tokens.
new keys: rotate and a commit that brings a keyring; StructRegistry writes a wrapped key for each reader; MemoryToken
has none."""


class BenchError(Exception):
    """The bench can't go on; the message is one line for a person."""


class Contract:
    """A contract on the bench's chain, called from one account of the node's own."""

    def __init__(self, node: Node, sender: str, abi: list[dict[str, Any]], address: str) -> None:
        self._node, self._sender, self._address = node, sender, address
        self._functions: dict[str, Any] = {entry["name"]: entry for entry in abi if entry["type"] == "function"}

    @classmethod
    def deployed(cls, node: Node, sender: str, abi: list[dict[str, Any]], creation_code: str) -> Contract:
        """A new one. Raises BenchError."""
        return cls(node, sender, abi, transact(node, sender, None, creation_code)["contractAddress"])

    def send(self, function: str, *arguments: Any) -> int:
        """Send one transaction; the gas that it took. Raises BenchError if it is refused."""
        receipt = transact(self._node, self._sender, self._address, self._encoded(function, arguments))
        return int(receipt["gasUsed"], 16)

    def ask(self, function: str, *arguments: Any) -> bytes:
        """What a function gives that changes nothing."""
        call = {"to": self._address, "data": self._encoded(function, arguments)}
        return bytes.fromhex(self._node.request("eth_call", call, "latest")[2:])

    def _encoded(self, function: str, arguments: Sequence[Any]) -> str:
        entry = self._functions[function]
        kinds = [given["type"] for given in entry["inputs"]]
        return "0x" + (function_abi_to_4byte_selector(entry) + encode(kinds, arguments)).hex()


def transact(node: Node, sender: str, to: str | None, data: str) -> dict[str, Any]:
    """The receipt of a transaction that was sent with all the gas that one may take (EIP-7825). Raises BenchError."""
    fields = {"from": sender, "data": data, "gas": hex(MAX_GAS)} | ({"to": to} if to else {})
    tx_hash = node.request("eth_sendTransaction", fields)
    deadline = time.monotonic() + WAIT_SECONDS
    while not (receipt := node.request("eth_getTransactionReceipt", tx_hash)):
        if time.monotonic() > deadline:
            raise BenchError(f"anvil has not mined a transaction within {WAIT_SECONDS} s")
        time.sleep(0.002)
    if receipt["status"] != "0x1":
        raise BenchError(f"a transaction was refused: {data[:10]}, {int(receipt['gasUsed'], 16):,} gas")
    return dict(receipt)


class Subject(Protocol):
    """What is measured. Each call gives the gas of all transactions that it takes, None if there is no such thing."""

    def begin(self) -> int | None:
        """Once, before the first memory."""

    def store(self, memories: int) -> int:
        """So many new memories."""

    def grant(self, reader: str) -> int:
        """Lend all memories to a reader."""

    def revoke(self, reader: str) -> int:
        """Take that back."""

    def new_keys(self, readers: list[str]) -> int | None:
        """Another key for what comes next, for the readers who stay: all that have a grant."""


# Not a dataclass, in which Ape stumbles as it looks through the scripts.
class Row(NamedTuple):
    """One operation's gas with each contract; None where it has no such thing."""

    operation: str
    ours: int
    structs: int | None
    tokens: int | None


class Vault:
    """Ours: a vault of MemoryRegistry."""

    def __init__(self, registry: Contract, owner: str) -> None:
        self._registry = registry
        self._id = registry.ask("vaultIdOf", owner, 1)
        self._version = self._epoch = 1

    def begin(self) -> int:
        base = "https://example.org/blobs/"
        return self._registry.send("create", 1, dense("head 1"), root_of(1, "log 1"), dense("keyring 1"), base)

    def store(self, memories: int) -> int:
        return self._commit(memories, bytes(32))

    def grant(self, reader: str) -> int:
        key, keyring = dense("key")[:20], self._new("keyring")
        gas = self._registry.send("grant", self._id, self._version, reader, READ, FOR_EVER, key, keyring)
        self._version += 1
        return gas

    def revoke(self, reader: str) -> int:
        self._version += 1
        self._epoch += 1
        return self._registry.send("revoke", self._id, reader)

    def new_keys(self, readers: list[str]) -> int:
        self._version += 1
        self._epoch += 1
        return self._registry.send("rotate", self._id) + self._commit(1, self._new("keyring"))

    def _commit(self, memories: int, keyring: bytes) -> int:
        root = root_of(memories, f"log {self._version + 1}")
        gas = self._registry.send("commit", self._id, self._version, self._epoch, self._new("head"), root, keyring)
        self._version += 1
        return gas

    def _new(self, name: str) -> bytes:
        return dense(f"{name} {self._version + 1}")


class Structs:
    """A baseline: StructRegistry. One account's records, and grants for all of them."""

    def __init__(self, registry: Contract) -> None:
        self._registry, self._stored, self._keys = registry, 0, 0

    def begin(self) -> None:
        return None

    def store(self, memories: int) -> int:
        self._stored += memories
        return in_batches(self._registry, "register", self._stored - memories, memories)

    def grant(self, reader: str) -> int:
        return self._registry.send("grant", reader, FOR_EVER, self._wrapped_key())

    def revoke(self, reader: str) -> int:
        return self._registry.send("revoke", reader)

    def new_keys(self, readers: list[str]) -> int:
        return self._registry.send("rotateKey", readers, [self._wrapped_key() for _ in readers])

    def _wrapped_key(self) -> str:
        """A 32-byte key in a NaCl sealed box (80 bytes), as text: the shortest that is usual."""
        self._keys += 1
        return base64.b64encode((dense(f"wrapped {self._keys}") * 3)[:80]).decode()


class Tokens:
    """A baseline: MemoryToken, OpenZeppelin's ERC721URIStorage."""

    def __init__(self, token: Contract) -> None:
        self._token, self._stored = token, 0

    def begin(self) -> None:
        return None

    def store(self, memories: int) -> int:
        self._stored += memories
        return in_batches(self._token, "mint", self._stored - memories, memories)

    def grant(self, reader: str) -> int:
        return self._token.send("setApprovalForAll", reader, True)

    def revoke(self, reader: str) -> int:
        return self._token.send("setApprovalForAll", reader, False)

    def new_keys(self, readers: list[str]) -> None:
        return None


def in_batches(contract: Contract, verb: str, first: int, memories: int) -> int:
    """Send so many records of a baseline, in as few transactions as it takes."""
    numbers = range(first, first + memories)
    if memories == 1:
        return contract.send(verb, uri(first), dense(f"content {first}"))
    gas = 0
    for start in range(0, memories, BATCH):
        part = numbers[start : start + BATCH]
        gas += contract.send(f"{verb}Many", [uri(n) for n in part], [dense(f"content {n}") for n in part])
    return gas


def uri(number: int) -> str:
    """An address as short as they are: a CID of version 0, 53 characters with its scheme."""
    return "ipfs://Qm" + base64.b32encode(sha256(f"uri {number}".encode()).digest()).decode()[:44]


def dense(name: str) -> bytes:
    """A 32-byte hash without zero bytes, which cost less."""
    digests = (sha256(f"{name} {n}".encode()).digest() for n in count())
    return next(digest for digest in digests if 0 not in digest)


def root_of(memories: int, name: str) -> bytes:
    """The memory root of a real log of so many memories, another one for each name, without zero bytes."""
    seeds = (f"{name} {n}" for n in count())
    entries = ((sha256(f"{seed} {entry}".encode()).digest() for entry in range(memories)) for seed in seeds)
    roots = (Frontier().extended(log).memory_root for log in entries)
    return next(root for root in roots if 0 not in root)


@cache
def compiled() -> dict[str, dict[str, Any]]:
    """ABI and creation code of both baselines, with the compiler and the settings of the registry.

    Raises BenchError.
    """
    compiler = load_artifact()["compiler"]
    sources = {path.name: {"content": path.read_text(encoding="utf-8")} for path in sorted(BASELINES.glob("*.sol"))}
    outputs = {"*": {"*": ["abi", "evm.bytecode.object"]}}
    request = {
        "language": "Solidity",
        "sources": sources,
        "settings": {**compiler["settings"], "outputSelection": outputs},
    }
    version = compiler["version"].split("+")[0]
    try:
        answer = solcx.compile_standard(request, solc_version=version, base_path=ROOT)
    except (solcx.exceptions.SolcNotInstalled, solcx.exceptions.SolcError, OSError) as error:
        raise BenchError(f"solc {version} does not compile the baselines (run make setup): {error}") from error
    return {name: answer["contracts"][name][name.removesuffix(".sol")] for name in sources}


@contextmanager
def subjects() -> Iterator[tuple[Subject, Subject, Subject]]:
    """The registry and both baselines on a chain that runs as long as the block lasts."""
    baselines = compiled()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_node(port):
        node = Node(f"http://127.0.0.1:{port}")
        deploy_contracts(node)
        artifact, sender = load_artifact(), to_checksum_address(node.request("eth_accounts")[0])
        structs, tokens = (
            Contract.deployed(node, sender, found["abi"], "0x" + found["evm"]["bytecode"]["object"])
            for found in (baselines["StructRegistry.sol"], baselines["MemoryToken.sol"])
        )
        registry = Contract(node, sender, artifact["abi"], artifact["address"])
        yield Vault(registry, sender), Structs(structs), Tokens(tokens)


def measured(memories: Sequence[int] = MEMORIES, readers: Sequence[int] = READERS) -> list[Row]:
    """Each operation, in the order in which they are done. Raises BenchError, or MemSyncError for a node that breaks.

    ``memories`` are numbers to store at once, ``readers`` rising numbers of readers.
    """
    with subjects() as contracts:

        def row(operation: str, verb: str, *arguments: Any) -> Row:
            return Row(operation, *(getattr(contract, verb)(*arguments) for contract in contracts))

        rows = [row("to begin with, once", "begin")]
        row("a first memory, not measured", "store", 1)
        rows += [row(f"{size:,} {'memory' if size == 1 else 'memories'}", "store", size) for size in memories]
        leaving, *staying = (to_checksum_address(dense(f"reader {n}")[:20]) for n in range(1 + max(readers)))
        rows += [row("grant", "grant", leaving), row("revoke", "revoke", leaving)]
        contracts[0].new_keys([])  # until then our vault is locked
        for before, number in pairwise((0, *readers)):
            for reader in staying[before:number]:
                row("not measured", "grant", reader)
            rows.append(row(f"new keys, {number} reader{'s' * (number > 1)}", "new_keys", staying[:number]))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Gas, and the baselines' as a multiple of ours."""
    lines = [f"{'gas':<22}{'MemoryRegistry':>16}{'StructRegistry':>18}{'ratio':>11}{'MemoryToken':>18}{'ratio':>11}"]
    for row in rows:
        cells = [f"{row.operation:<22}{row.ours:>16,}"]
        for gas in (row.structs, row.tokens):
            cells.append(f"{'-':>18}{'':>11}" if gas is None else f"{gas:>18,}{gas / row.ours:>10,.1f}x")
        lines.append("".join(cells).rstrip())
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """The figures to remember, in one line."""
    stored = [row for row in rows if "memor" in row.operation]
    keys = [row for row in rows if row.operation.startswith("new keys")]
    most, last = stored[-1], keys[-1]
    grown = {name: 100 * (getattr(last, name) / getattr(keys[0], name) - 1) for name in ("ours", "structs")}
    return (
        f"bench-gas passed: {most.operation} for {most.ours:,} gas ({most.ours - stored[0].ours:+,} to one);"
        f" {last.operation} {grown['ours']:+.2f} % to 1 reader (StructRegistry {grown['structs']:+,.0f} %)"
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cli(as_json: bool) -> None:
    """Measure all operations on a chain of the bench's own, which ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        rows = measured()
    except (BenchError, MemSyncError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        compiler = load_artifact()["compiler"]
        click.echo(json.dumps({"compiler": compiler, "gas": [row._asdict() for row in rows]}, indent=2))
    else:
        click.echo(f"{table(rows)}\n\n{NOTES}\n{summary(rows)}")


if __name__ == "__main__":
    cli()
