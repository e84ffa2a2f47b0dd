"""Invariants 1, 3, 9 and 13."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from eth_abi.abi import encode
from eth_utils import keccak

from .helpers import URI, assert_event, create, record_of, refused, word
from .model import NONE, Record


def test_create__first_vault__brings_head_and_keyring(registry: ContractInstance, owner: TestAccountAPI) -> None:
    receipt = create(registry, owner)

    vault = bytes(registry.vaultIdOf(owner, 1))
    assert bytes(receipt.return_value) == vault
    assert record_of(registry, vault) == Record(
        owner=owner.address,
        version=1,
        epoch=1,
        tenure=1,
        headLag=0,
        epochLag=0,
        contentHash=word("head 1"),
        memoryRoot=word("log 1"),
        keyringHash=word("keyring 1"),
        baseURI=URI,
    )
    assert registry.vaultCount(owner) == 1
    assert_event(
        registry,
        receipt,
        "Created",
        vaultId=vault,
        actor=owner.address,
        salt=1,
        contentHash=word("head 1"),
        memoryRoot=word("log 1"),
        keyringHash=word("keyring 1"),
    )


def test_create__second_vault__leaves_the_first(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    first = record_of(registry, vault)

    create(registry, owner, salt=2, content=word("other head"), keyring=word("other keyring"))

    assert registry.vaultCount(owner) == 2
    assert record_of(registry, vault) == first
    assert record_of(registry, bytes(registry.vaultIdOf(owner, 2))).contentHash == word("other head")


def test_create__another_account__has_salts_of_its_own(
    registry: ContractInstance, stranger: TestAccountAPI, vault: bytes
) -> None:
    create(registry, stranger)

    other = bytes(registry.vaultIdOf(stranger, 1))
    assert other != vault
    assert record_of(registry, other).owner == stranger.address


def test_create__empty_log_and_uri__are_taken(registry: ContractInstance, owner: TestAccountAPI) -> None:
    create(registry, owner, root=NONE, base_uri="")

    record = record_of(registry, bytes(registry.vaultIdOf(owner, 1)))
    assert (record.memoryRoot, record.baseURI) == (NONE, "")


@pytest.mark.parametrize("length", [31, 32, 256])
def test_create__uri_up_to_256_bytes__is_taken(registry: ContractInstance, owner: TestAccountAPI, length: int) -> None:
    create(registry, owner, base_uri="x" * length)

    assert record_of(registry, bytes(registry.vaultIdOf(owner, 1))).baseURI == "x" * length


@pytest.mark.parametrize("salt", [0, 2, 2**256 - 1])
def test_create__salt_out_of_order__is_refused(registry: ContractInstance, owner: TestAccountAPI, salt: int) -> None:
    with refused(registry, "WrongSalt", given=salt, expected=1):
        create(registry, owner, salt=salt)


def test_create__salt_used_before__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "WrongSalt", given=1, expected=2):
        create(registry, owner, salt=1)


def test_create__no_content__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    with refused(registry, "ZeroContentHash"):
        create(registry, owner, content=NONE)


def test_create__no_keyring__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    with refused(registry, "ZeroKeyringHash"):
        create(registry, owner, keyring=NONE)


def test_create__uri_above_256_bytes__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    # 129 characters of two bytes: the limit counts bytes.
    with refused(registry, "BaseURITooLong", length=258, maxLength=256):
        create(registry, owner, base_uri="é" * 129)


@pytest.mark.parametrize("salt", [0, 1, 2**256 - 1])
def test_vault_id_of__any_salt__is_the_hash_of_chain_registry_account_and_salt(
    registry: ContractInstance, owner: TestAccountAPI, salt: int
) -> None:
    values = (int(registry.provider.chain_id), registry.address, owner.address, salt)
    named = encode(["uint256", "address", "address", "uint256"], values)

    assert bytes(registry.vaultIdOf(owner, salt)) == keccak(named)
