"""Signatures of accounts with code: ERC-1271 wallets, kind and hostile, and accounts of EIP-7702. Invariant 20."""

import json
import os
import subprocess
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractContainer, ContractInstance
from ethpm_types import Bytecode, ContractType
from hexbytes import HexBytes

from .helpers import URI, record_of, refused, word
from .model import NONE
from .signing import NO_DEADLINE, digest, send, sign, typed_data

SOLC_VERSION = "0.8.37"
SOURCES = Path(__file__).with_name("sources")
NEW_VAULT = (1, word("head 1"), NONE, word("keyring 1"), URI)


class Way(IntEnum):
    """As in HostileWallet.sol."""

    ACCEPT = 0
    REVERT = 1
    REVERT_WITH_MAGIC = 2
    OTHER_WORD = 3
    DIRTY_MAGIC = 4
    SHORT_ANSWER = 5
    NO_ANSWER = 6
    LONG_ANSWER = 7
    EAT_ALL_GAS = 8
    REENTER = 9


@cache
def compiled(name: str) -> ContractContainer:
    """A contract of the tests. Ape would take it for one of the project's if it stood among them."""
    request = {
        "language": "Solidity",
        "sources": {name: {"content": (SOURCES / f"{name}.sol").read_text()}},
        "settings": {"outputSelection": {name: {name: ["abi", "evm.bytecode.object"]}}},
    }
    solc = Path(os.environ["SOLCX_BINARY_PATH"]) / f"solc-v{SOLC_VERSION}"
    done = subprocess.run(
        [solc, "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    contract = json.loads(done.stdout)["contracts"][name][name]
    code = Bytecode(bytecode=HexBytes(contract["evm"]["bytecode"]["object"]))
    return ContractContainer(ContractType(abi=contract["abi"], deploymentBytecode=code, contractName=name))


def wallet_from(source: str, deployer: TestAccountAPI, *arguments: Any) -> ContractInstance:
    return deployer.deploy(compiled(source), *arguments)


@pytest.fixture
def wallet(stranger: TestAccountAPI, owner: TestAccountAPI) -> ContractInstance:
    """A contract wallet of the owner's key."""
    return wallet_from("KeyWallet", stranger, owner)


@pytest.fixture
def hostile(stranger: TestAccountAPI) -> ContractInstance:
    return wallet_from("HostileWallet", stranger)


def create_for(
    registry: ContractInstance, relayer: TestAccountAPI, account: str, signature: bytes, values: Any = NEW_VAULT
) -> None:
    send(registry, relayer, "create", account, values, NO_DEADLINE, signature)


def invalid(registry: ContractInstance, account: str) -> Any:
    expected = digest(typed_data(registry, "create", account, NEW_VAULT, NO_DEADLINE))
    return refused(registry, "InvalidSignature", account=account, digest=expected)


def test_wallet__signed_by_its_key__acts_as_the_wallet(
    registry: ContractInstance, owner: TestAccountAPI, relayer: TestAccountAPI, wallet: ContractInstance
) -> None:
    message = typed_data(registry, "create", wallet.address, NEW_VAULT, NO_DEADLINE)
    create_for(registry, relayer, wallet.address, sign(message, owner))
    vault = bytes(registry.vaultIdOf(wallet, 1))
    assert record_of(registry, vault).owner == wallet.address

    message = typed_data(registry, "rotate", wallet.address, (vault, 1), NO_DEADLINE)
    send(registry, relayer, "rotate", wallet.address, (vault, 1), NO_DEADLINE, sign(message, owner))
    wallet.execute(registry, registry.rotate.encode_input(vault), sender=owner)
    assert record_of(registry, vault).epoch == 3


def test_wallet__signed_by_another_key__is_refused(
    registry: ContractInstance, stranger: TestAccountAPI, relayer: TestAccountAPI, wallet: ContractInstance
) -> None:
    message = typed_data(registry, "create", wallet.address, NEW_VAULT, NO_DEADLINE)
    with invalid(registry, wallet.address):
        create_for(registry, relayer, wallet.address, sign(message, stranger))


def test_wallet__signature_of_another_wallet_with_the_same_key__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    stranger: TestAccountAPI,
    relayer: TestAccountAPI,
    wallet: ContractInstance,
) -> None:
    other = wallet_from("KeyWallet", stranger, owner)
    for_other = sign(typed_data(registry, "create", other.address, NEW_VAULT, NO_DEADLINE), owner)
    for account in (wallet.address, owner.address):
        with invalid(registry, account):
            create_for(registry, relayer, account, for_other)
    for_wallet = sign(typed_data(registry, "create", wallet.address, NEW_VAULT, NO_DEADLINE), owner)
    with invalid(registry, owner.address):
        create_for(registry, relayer, owner.address, for_wallet)


def test_wallet__signature_of_any_length__is_handed_on_as_it_is(
    registry: ContractInstance, stranger: TestAccountAPI, relayer: TestAccountAPI, hostile: ContractInstance
) -> None:
    hostile.set(Way.ACCEPT, b"", sender=stranger)
    for salt, length in enumerate((0, 1, 65, 1000), start=1):
        create_for(registry, relayer, hostile.address, b"\xff" * length, (salt, *NEW_VAULT[1:]))
    assert registry.vaultCount(hostile) == 4


@pytest.mark.parametrize(
    "way",
    [
        Way.REVERT,
        Way.REVERT_WITH_MAGIC,
        Way.OTHER_WORD,
        Way.DIRTY_MAGIC,
        Way.SHORT_ANSWER,
        Way.NO_ANSWER,
        Way.EAT_ALL_GAS,
    ],
    ids=lambda way: way.name.lower().replace("_", "-"),
)
def test_wallet__answers_badly__is_refused(
    registry: ContractInstance,
    stranger: TestAccountAPI,
    relayer: TestAccountAPI,
    hostile: ContractInstance,
    way: Way,
) -> None:
    hostile.set(way, b"", sender=stranger)
    with invalid(registry, hostile.address):
        create_for(registry, relayer, hostile.address, b"signature")


def test_wallet__answers_with_100_kilobytes__costs_the_registry_nothing_for_them(
    registry: ContractInstance, stranger: TestAccountAPI, relayer: TestAccountAPI, hostile: ContractInstance
) -> None:
    """Only 32 bytes are read: more is the wallet's own affair, and what it paid for is all that is paid."""
    hostile.set(Way.LONG_ANSWER, b"", sender=stranger)
    receipt = send(registry, relayer, "create", hostile.address, NEW_VAULT, NO_DEADLINE, b"signature")
    alone = registry.provider.make_request(
        "eth_estimateGas", [{"from": relayer.address, "to": hostile.address, "data": "0x1626ba7e"}]
    )
    assert receipt.gas_used < int(alone, 16) + 165_000, receipt.gas_used - int(alone, 16)
    assert registry.vaultCount(hostile) == 1


def test_wallet__re_enters__is_refused(
    registry: ContractInstance, stranger: TestAccountAPI, relayer: TestAccountAPI, hostile: ContractInstance
) -> None:
    inner = registry.create.encode_input(*NEW_VAULT)
    hostile.set(Way.REENTER, inner, sender=stranger)
    with invalid(registry, hostile.address):
        create_for(registry, relayer, hostile.address, b"signature")
    assert registry.vaultCount(hostile) == 0


def test_wallet__that_may_not__is_not_even_asked(
    registry: ContractInstance,
    owner: TestAccountAPI,
    stranger: TestAccountAPI,
    relayer: TestAccountAPI,
    hostile: ContractInstance,
    vault: bytes,
) -> None:
    hostile.set(Way.EAT_ALL_GAS, b"", sender=stranger)
    with refused(registry, "NotOwner", vaultId=vault, account=hostile.address):
        send(registry, relayer, "rotate", hostile.address, (vault, 1), NO_DEADLINE, b"")


def test_account_of_eip_7702__signed_by_its_own_key__is_taken_whatever_its_code_says(
    registry: ContractInstance,
    owner: TestAccountAPI,
    stranger: TestAccountAPI,
    relayer: TestAccountAPI,
    hostile: ContractInstance,
) -> None:
    registry.provider.make_request("anvil_setCode", [owner.address, "0xef0100" + hostile.address[2:].lower()])
    message = typed_data(registry, "create", owner.address, NEW_VAULT, NO_DEADLINE)
    create_for(registry, relayer, owner.address, sign(message, owner))
    assert registry.vaultCount(owner) == 1


def test_account_of_eip_7702__signed_by_what_its_code_takes__is_taken(
    registry: ContractInstance,
    reader: TestAccountAPI,
    owner: TestAccountAPI,
    stranger: TestAccountAPI,
    relayer: TestAccountAPI,
    wallet: ContractInstance,
) -> None:
    # The wallet's key is the owner; the reader's account delegates to its code.
    registry.provider.make_request("anvil_setCode", [reader.address, "0xef0100" + wallet.address[2:].lower()])
    message = typed_data(registry, "create", reader.address, NEW_VAULT, NO_DEADLINE)
    create_for(registry, relayer, reader.address, sign(message, owner))
    assert registry.vaultCount(reader) == 1
    with invalid(registry, reader.address):
        create_for(registry, relayer, reader.address, sign(message, stranger))
