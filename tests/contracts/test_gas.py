"""Gas of whole transactions, from receipts, and the code as deployed, its size exactly as in gas.json. Invariant 16.

Accounts, address and inputs are fixed and have no zero bytes, which cost less. After a change that is meant to cost or
save gas, put the figures that the failing test prints into gas.json.
"""

import json
import re
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager
from eth_utils import to_checksum_address

from .helpers import DAY, create, record_of
from .merkle import memory_root
from .model import NONE, READ, WRITE
from .signing import FIELDS, direct, relay

COMMITTED = Path(__file__).with_name("gas.json")
CAP = 16_777_216  # what a transaction may use (EIP-7825)
LIMITS = {
    "commit_1": 43_500,
    "commit_10000": 43_500,
    "grant": 62_000,
    "revoke": 33_000,
    "commit_rotating": 49_000,
    "rotate_then_commit_50_readers": 80_000,
    "commit_for": 51_000,
    "grant_for": 70_000,
    "revoke_for": 41_000,
    "runtime_code_bytes": 16_384,
}
READERS = (1, 10, 50)
FAR = 0xFFFFFFFFFF  # The latest expiry: five bytes, none of them zero.
OTHER_URI = "https://blobs.example.net/"


def dense(name: str) -> bytes:
    """A 32-byte hash without zero bytes."""
    digests = (sha256(f"{name} {n}".encode()).digest() for n in count())
    return next(digest for digest in digests if 0 not in digest)


def dense_root(size: int) -> bytes:
    """The memory root of a real log of this size, without zero bytes."""
    roots = (memory_root([sha256(f"{n} {entry}".encode()).digest() for entry in range(size)]) for n in count())
    return next(root for root in roots if 0 not in root)


def dense_blob(length: int) -> bytes:
    return (dense("blob") * (length // 32 + 1))[:length]


class Measured:
    """A vault with one commit; each figure is taken from a state that is then undone."""

    def __init__(
        self, registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, relayer: TestAccountAPI
    ) -> None:
        self.registry, self.chain, self.owner, self.relayer = registry, chain, owner, relayer
        self.vault = bytes(registry.vaultIdOf(owner, 1))
        self.readers = [to_checksum_address(dense(f"reader {n}")[:20]) for n in range(max(READERS))]
        inputs = [self.vault, bytes.fromhex(owner.address[2:])]
        assert not any(0 in given for given in inputs), "another deployer, please: this vault's id has a zero byte"
        self.figures = self.both("create", 1, dense("head 1"), dense_root(3), dense("keyring 1"), OTHER_URI)
        create(registry, owner, content=dense("head 1"), root=dense_root(3), keyring=dense("keyring 1"))
        registry.commit(self.vault, 1, 1, dense("head 2"), dense_root(5), NONE, sender=owner)

    @property
    def version(self) -> int:
        return record_of(self.registry, self.vault).version

    def both(self, verb: str, *values: Any, by: TestAccountAPI | None = None) -> dict[str, int]:
        """The direct call and the relayed one of the same state, under the verb's name and that with ``_for``."""
        account = by or self.owner
        name = re.sub("([A-Z]+)", r"_\1", verb).lower()
        with self.chain.isolate():
            called = getattr(self.registry, verb)(*direct(verb, values), sender=account).gas_used
        with self.chain.isolate():
            relayed = relay(self.registry, self.relayer, verb, account, *values).gas_used
        return {name: int(called), f"{name}_for": int(relayed)}

    def commits(self) -> dict[str, int]:
        def commit(root: bytes, epoch: int = 1, keyring: bytes = NONE) -> dict[str, int]:
            return self.both("commit", self.vault, 2, epoch, dense("head 3"), root, keyring)

        one = commit(dense_root(1))
        return {
            "commit_1": one["commit"],
            "commit_10000": commit(dense_root(10_000))["commit"],
            "commit_keyring": commit(dense_root(1), keyring=dense("keyring 3"))["commit"],
            "commit_rotating": commit(dense_root(1), epoch=2, keyring=dense("keyring 3"))["commit"],
            "commit_for": one["commit_for"],
        }

    def grant_values(self, reader: str) -> tuple[Any, ...]:
        key, keyring = dense("key")[:20], dense(f"keyring {self.version + 1}")
        return self.vault, self.version, reader, READ | WRITE, FAR, key, keyring

    def grants(self) -> dict[str, int]:
        figures = self.both("grant", *self.grant_values(self.readers[0]))
        with self.chain.isolate():
            self.registry.grant(*self.grant_values(self.readers[0]), sender=self.owner)
            figures |= self.both("revoke", self.vault, self.readers[0], self.version)
        figures |= self.both("revokeAll", self.vault, 1)
        return figures | self.both("rotate", self.vault, 1)

    def rotations(self) -> dict[str, int]:
        """``rotate`` and the commit after it, with ever more readers."""
        figures = {}
        with self.chain.isolate():
            granted = 0
            for number in READERS:
                for reader in self.readers[granted:number]:
                    self.registry.grant(*self.grant_values(reader), sender=self.owner)
                granted = number
                with self.chain.isolate():
                    rotated = self.registry.rotate(self.vault, sender=self.owner).gas_used
                    version, keyring = self.version, dense(f"keyring {self.version + 1}")
                    values = (self.vault, version, 2, dense("head 3"), dense_root(1), keyring)
                    committed = self.registry.commit(*values, sender=self.owner).gas_used
                figures[f"rotate_then_commit_{number}_reader{'s' * (number > 1)}"] = int(rotated + committed)
        return figures

    def handing_over(self, buyer: TestAccountAPI) -> dict[str, int]:
        figures = self.both("setBaseURI", self.vault, 2, OTHER_URI)
        figures |= self.both("offer", self.vault, 2, buyer.address, FAR)
        with self.chain.isolate():
            self.registry.offer(self.vault, 2, buyer, FAR, sender=self.owner)
            figures |= self.both("cancelOffer", self.vault, 3)
            figures |= self.both("accept", self.vault, 3, by=buyer)
        return figures | self.both("close", self.vault, 2, dense("successor"))

    def recovery(self, buyer: TestAccountAPI, rescuer: TestAccountAPI) -> dict[str, int]:
        figures = self.both("setRecovery", self.vault, rescuer.address, 0)
        with self.chain.isolate():
            self.registry.setRecovery(self.vault, rescuer, sender=self.owner)
            figures |= self.both("startRecovery", self.vault, buyer.address, 1, by=rescuer)
            self.registry.startRecovery(self.vault, buyer, sender=rescuer)
            figures |= self.both("vetoRecovery", self.vault, 2)
            self.chain.mine(deltatime=21 * DAY)
            figures |= self.both("finishRecovery", self.vault, 2, by=buyer)
        return figures

    def multicall(self) -> dict[str, int]:
        """Two grants taken back at once."""
        with self.chain.isolate():
            for reader in self.readers[:2]:
                self.registry.grant(*self.grant_values(reader), sender=self.owner)
            calls = [self.registry.revoke.encode_input(self.vault, reader) for reader in self.readers[:2]]
            return {"multicall_2_revokes": int(self.registry.multicall(calls, sender=self.owner).gas_used)}


def code_size(contract: ContractInstance) -> dict[str, int]:
    return {"runtime_code_bytes": len(contract.provider.get_code(contract.address))}


def of_registry(registry: ContractInstance, chain: ChainManager, accounts: TestAccountManager) -> dict[str, int]:
    measured = Measured(registry, chain, accounts[0], relayer=accounts[6])
    return {
        **measured.figures,
        **measured.commits(),
        **measured.grants(),
        **measured.rotations(),
        **measured.handing_over(accounts[4]),
        **measured.recovery(accounts[4], accounts[5]),
        **measured.multicall(),
        **code_size(registry),
    }


def of_keys(keys: ContractInstance, account: TestAccountAPI) -> dict[str, int]:
    return {
        "register": int(keys.register(dense("key") * 38, FAR, sender=account).gas_used),
        "register_another": int(keys.register(dense("another") * 38, FAR, sender=account).gas_used),
        "withdraw": int(keys.withdraw(sender=account).gas_used),
        **code_size(keys),
    }


def of_blobs(blobs: ContractInstance, account: TestAccountAPI) -> dict[str, int]:
    sizes = {"1_kb": 1_000, "10_kb": 10_000, "96_kib": 96 * 1024}
    stored = {
        f"store_{name}": int(blobs.store(dense_blob(size), sender=account).gas_used) for name, size in sizes.items()
    }
    known = int(blobs.store(dense_blob(1_000), sender=account).gas_used)
    return {**stored, "store_1_kb_known": known, **code_size(blobs)}


def test_gas__named_operations__cost_what_is_committed(
    registry: ContractInstance, chain: ChainManager, accounts: TestAccountManager, project: ProjectManager
) -> None:
    measured = {
        "MemoryRegistry": of_registry(registry, chain, accounts),
        "KeyRegistry": of_keys(accounts[8].deploy(project.KeyRegistry), accounts[0]),
        "BlobLog": of_blobs(accounts[8].deploy(project.BlobLog), accounts[0]),
    }

    if measured != json.loads(COMMITTED.read_text()):
        pytest.fail(f"measured:\n{json.dumps(measured, indent=2)}")


def test_gas__committed_figures__keep_the_limits() -> None:
    committed = json.loads(COMMITTED.read_text())
    registry = committed["MemoryRegistry"]

    assert {name: registry[name] for name, limit in LIMITS.items() if registry[name] > limit} == {}
    assert abs(registry["commit_10000"] - registry["commit_1"]) <= 100
    one, *_, fifty = (registry[f"rotate_then_commit_{n}_reader{'s' * (n > 1)}"] for n in READERS)
    assert abs(fifty - one) <= one / 100
    assert all(gas < CAP for contract in committed.values() for gas in contract.values())


def test_gas__every_verb__is_committed() -> None:
    committed = json.loads(COMMITTED.read_text())["MemoryRegistry"]
    verbs = {re.sub("([A-Z]+)", r"_\1", verb).lower() for verb in FIELDS}

    assert {f"{verb}_for" for verb in verbs} - set(committed) == set()
    assert {verb for verb in verbs if not any(re.fullmatch(f"{verb}(_1)?", name) for name in committed)} == set()


def test_code__as_deployed__has_nothing_filled_in(registry: ContractInstance) -> None:
    """An immutable would be, and the code would not be the same everywhere."""
    compiled = registry.contract_type.get_runtime_bytecode()
    assert compiled
    assert registry.provider.get_code(registry.address) == compiled
