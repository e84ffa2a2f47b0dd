"""Gas of whole transactions, from receipts, and the size of the code, exactly as in gas.json. Invariant 16.

Accounts, address and inputs are fixed and have no zero bytes, which cost less. After a change that is meant to cost or
save gas, put the figures that the failing test prints into gas.json.
"""

import json
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from eth_utils import to_checksum_address

from .helpers import commit, create, grant
from .merkle import memory_root
from .model import READ, WRITE
from .signing import relay

COMMITTED = Path(__file__).with_name("gas.json")
LIMITS = {
    "commit_1": 43_500,
    "commit_10000": 43_500,
    "grant": 62_000,
    "revoke": 33_000,
    "commit_rotating": 49_000,
    "rotate_then_commit_10_readers": 80_000,
    "commit_for": 51_000,
    "grant_for": 70_000,
    "revoke_for": 41_000,
    "runtime_code_bytes": 16_384,
}
FAR = 0xFFFFFFFFFF  # The latest expiry: five bytes, none of them zero.


def dense(name: str) -> bytes:
    """A 32-byte hash without zero bytes."""
    digests = (sha256(f"{name} {n}".encode()).digest() for n in count())
    return next(digest for digest in digests if 0 not in digest)


def dense_root(size: int) -> bytes:
    """The memory root of a real log of this size, without zero bytes."""
    roots = (memory_root([sha256(f"{n} {entry}".encode()).digest() for entry in range(size)]) for n in count())
    return next(root for root in roots if 0 not in root)


class Measured:
    """A vault with one commit, and ten readers if wanted; each figure is taken from the same state."""

    def __init__(
        self, registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, relayer: TestAccountAPI
    ) -> None:
        self.registry, self.chain, self.owner, self.relayer = registry, chain, owner, relayer
        receipt = create(registry, owner, content=dense("head 1"), root=dense_root(3), keyring=dense("keyring 1"))
        self.create = receipt.gas_used
        self.vault = bytes(registry.vaultIdOf(owner, 1))
        self.version = 1
        self.readers = [to_checksum_address(dense(f"reader {n}")[:20]) for n in range(10)]
        inputs = [self.vault, bytes.fromhex(owner.address[2:])]
        assert not any(0 in given for given in inputs), "another deployer, please: this vault's id has a zero byte"
        self.commit(dense_root(5))

    def commit(self, root: bytes, *, epoch: int = 1, keyring: bytes = bytes(32)) -> int:
        receipt = commit(
            self.registry,
            self.vault,
            self.owner,
            version=self.version,
            epoch=epoch,
            content=dense(f"head {self.version + 1}"),
            root=root,
            keyring=keyring,
        )
        self.version += 1
        return int(receipt.gas_used)

    def grant(self, reader: str) -> int:
        receipt = grant(
            self.registry,
            self.vault,
            self.owner,
            reader,
            FAR,
            version=self.version,
            rights=READ | WRITE,
            key=dense("key")[:20],
            keyring=dense(f"keyring {self.version + 1}"),
        )
        self.version += 1
        return int(receipt.gas_used)

    def rotate(self) -> int:
        self.version += 1
        return int(self.registry.rotate(self.vault, sender=self.owner).gas_used)

    def relayed(self, verb: str, *values: Any) -> int:
        """A signed call in its own right, done and undone. It sends hashes and addresses without zero bytes, too."""
        with self.chain.isolate():
            return int(relay(self.registry, self.relayer, verb, self.owner, self.vault, *values).gas_used)

    def figures(self) -> dict[str, int]:
        figures = {"create": self.create}
        version = self.version
        for name, root in (("commit_1", dense_root(1)), ("commit_10000", dense_root(10_000))):
            with self.chain.isolate():
                figures[name] = self.commit(root)
            self.version = version
        with self.chain.isolate():
            figures["commit_rotating"] = self.commit(dense_root(1), epoch=2, keyring=dense("keyring 3"))
        self.version = version

        head, keyring = dense("head 3"), dense("keyring 3")
        figures["commit_for"] = self.relayed("commit", version, 1, head, dense_root(1), bytes(32))
        lent = (self.readers[0], READ | WRITE, FAR, dense("key")[:20])
        figures["grant_for"] = self.relayed("grant", version, *lent, keyring)

        figures["grant"] = self.grant(self.readers[0])
        figures["revoke_for"] = self.relayed("revoke", self.readers[0], self.version)
        with self.chain.isolate():
            figures["revoke"] = int(self.registry.revoke(self.vault, self.readers[0], sender=self.owner).gas_used)
        for reader in self.readers[1:]:
            self.grant(reader)
        rotated = self.rotate()
        figures["rotate_then_commit_10_readers"] = rotated + self.commit(
            dense_root(1), epoch=2, keyring=dense("keyring 13")
        )
        return figures


def test_gas__named_operations__cost_what_is_committed(
    registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, relayer: TestAccountAPI
) -> None:
    measured = Measured(registry, chain, owner, relayer).figures()
    measured["runtime_code_bytes"] = len(registry.provider.get_code(registry.address))

    if measured != json.loads(COMMITTED.read_text()):
        pytest.fail(f"measured:\n{json.dumps(measured, indent=2)}")


def test_gas__committed_figures__keep_the_limits() -> None:
    committed = json.loads(COMMITTED.read_text())

    assert {name: committed[name] for name, limit in LIMITS.items() if committed[name] > limit} == {}
    assert abs(committed["commit_10000"] - committed["commit_1"]) <= 100
