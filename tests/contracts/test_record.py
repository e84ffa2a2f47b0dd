"""`record`, `grantOf`, `vaultCount`, `vaultIdOf`, `version`. Invariant 1.

A read is sent as a transaction where its refusal is looked at: only then does Ape tell the error's arguments.
"""

from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from eth_abi.abi import encode
from eth_utils import keccak

from .helpers import create, grant, grant_of, key_id, refused, word
from .model import READ, ZERO_ADDRESS, Grant


def test_record__unknown_vault__is_refused(registry: ContractInstance, stranger: TestAccountAPI) -> None:
    with refused(registry, "UnknownVault", vaultId=word("no vault")):
        registry.record.transact(word("no vault"), sender=stranger)


def test_record__id_of_the_next_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, vault: bytes
) -> None:
    following = bytes(registry.vaultIdOf(owner, 2))
    with refused(registry, "UnknownVault", vaultId=following):
        registry.record.transact(following, sender=stranger)


def test_grant_of__unknown_vault__is_refused(
    registry: ContractInstance, reader: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    with refused(registry, "UnknownVault", vaultId=word("no vault")):
        registry.grantOf.transact(word("no vault"), reader, sender=stranger)


def test_grant_of__no_grant__is_all_zero(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, vault: bytes
) -> None:
    for account in (owner, stranger, ZERO_ADDRESS):
        assert grant_of(registry, vault, account) == Grant()


def test_grant_of__expired_grant__is_still_told(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    chain.mine(timestamp=soon)

    assert grant_of(registry, vault, reader) == Grant(soon, READ, 2, key_id("key 1"))


def test_vault_count__several_accounts__counts_each(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    create(registry, owner)
    create(registry, owner, salt=2)
    create(registry, reader)

    assert [registry.vaultCount(account) for account in (owner, reader, stranger)] == [2, 1, 0]


def test_vault_id_of__any_account_and_salt__binds_chain_and_registry(
    registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    for account in (owner, stranger):
        for salt in (0, 1, 2**256 - 1):
            bound = encode(
                ["uint256", "address", "address", "uint256"], [chain.chain_id, registry.address, account.address, salt]
            )
            assert bytes(registry.vaultIdOf(account, salt)) == keccak(bound)


def test_version__always__is_three_numbers(registry: ContractInstance) -> None:
    assert registry.version() == "1.0.0"
