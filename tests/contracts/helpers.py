"""What the tests of the contract share: fixed words, calls with defaults, and complete comparisons."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pytest
from ape.api import ProviderAPI, ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from ape.exceptions import CustomError, VirtualMachineError
from eth_utils import keccak

from .model import NONE, READ, Grant, Offer, Record, Recovery

DAY = 86_400
URI = "https://example.org/blobs/"


def word(name: str) -> bytes:
    """A 32-byte hash to tell from others by name."""
    return sha256(name.encode()).digest()


def key_id(name: str) -> bytes:
    return word(name)[:20]


def create(
    registry: ContractInstance,
    sender: TestAccountAPI,
    *,
    salt: int = 1,
    content: bytes = word("head 1"),
    root: bytes = word("log 1"),
    keyring: bytes = word("keyring 1"),
    base_uri: str = URI,
) -> ReceiptAPI:
    return registry.create(salt, content, root, keyring, base_uri, sender=sender)


def commit(
    registry: ContractInstance,
    vault: bytes,
    sender: TestAccountAPI,
    *,
    version: int = 1,
    epoch: int = 1,
    content: bytes = word("head 2"),
    root: bytes = word("log 2"),
    keyring: bytes = NONE,
) -> ReceiptAPI:
    return registry.commit(vault, version, epoch, content, root, keyring, sender=sender)


def grant(
    registry: ContractInstance,
    vault: bytes,
    sender: TestAccountAPI,
    grantee: TestAccountAPI | str,
    expires_at: int,
    *,
    version: int = 1,
    rights: int = READ,
    key: bytes = key_id("key 1"),
    keyring: bytes = NONE,
) -> ReceiptAPI:
    return registry.grant(vault, version, grantee, rights, expires_at, key, keyring, sender=sender)


def record_of(registry: ContractInstance, vault: bytes) -> Record:
    return Record(*registry.record(vault))


def grant_of(registry: ContractInstance, vault: bytes, grantee: TestAccountAPI | str) -> Grant:
    return Grant(*registry.grantOf(vault, grantee))


def offer_of(registry: ContractInstance, vault: bytes) -> Offer:
    return Offer(*registry.offerOf(vault))


def recovery_of(registry: ContractInstance, vault: bytes) -> Recovery:
    return Recovery(*registry.recoveryOf(vault))


def storage_root(registry: ContractInstance) -> str:
    """The root of the contract's storage trie: equal exactly if every slot is."""
    proof = registry.provider.make_request("eth_getProof", [registry.address, [], "latest"])
    return str(proof["storageHash"])


def set_storage(registry: ContractInstance, slot: int, value: int) -> None:
    """Writes one slot past the contract, for states that take too many calls to reach."""
    registry.provider.make_request("anvil_setStorageAt", [registry.address, f"0x{slot:064x}", f"0x{value:064x}"])


def assert_event(registry: ContractInstance, receipt: ReceiptAPI, name: str, **arguments: Any) -> None:
    """The receipt has this event with exactly these arguments, from the registry, and no other log.

    Ape's own comparison of events passes over every argument that the expected one leaves out.
    """
    assert_events(registry, receipt, (name, arguments))


def assert_events(registry: ContractInstance, receipt: ReceiptAPI, *expected: tuple[str, dict[str, Any]]) -> None:
    assert [log["address"] for log in receipt.logs] == [registry.address] * len(expected)
    assert [(log.event_name, dict(log.event_arguments)) for log in receipt.events] == list(expected)


@contextmanager
def refused(registry: ContractInstance, error: str, **arguments: Any) -> Iterator[None]:
    """The call is refused with this error and exactly these arguments, and no slot of the contract has changed."""
    before = storage_root(registry)
    with pytest.raises(CustomError) as caught:
        yield
    assert (type(caught.value).__name__, dict(caught.value.inputs)) == (error, arguments)
    assert storage_root(registry) == before


@contextmanager
def panics(registry: ContractInstance) -> Iterator[None]:
    """The call ends in the panic of checked arithmetic, and no slot of the contract has changed."""
    before = storage_root(registry)
    with pytest.raises(VirtualMachineError, match="Panic error 0x11"):
        yield
    assert storage_root(registry) == before


def head_slot(vault: bytes) -> int:
    """Where the vault's first slot lies: `_vaults` is the mapping at slot 0."""
    return int.from_bytes(keccak(vault + bytes(32)))


def end_counter(registry: ContractInstance, vault: bytes, lowest_bit: int, bits: int) -> None:
    """Puts a counter of the head at the end of its range."""
    head = int.from_bytes(registry.provider.get_storage(registry.address, head_slot(vault)))
    set_storage(registry, head_slot(vault), head | (2**bits - 1) << lowest_bit)


def reach_last_tenure(registry: ContractInstance, vault: bytes) -> None:
    end_counter(registry, vault, lowest_bit=224, bits=16)
    assert record_of(registry, vault).tenure == 65_535


def set_code(provider: ProviderAPI, address: str, code: str) -> None:
    """Puts code, in hex, at an address of anvil."""
    provider.make_request("anvil_setCode", [address, code])
