"""Invariants 3, 5, 6, 7, 8 and 10."""

from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import assert_event, commit, create, grant, grant_of, record_of, refused, word
from .model import WRITE, Grant


def test_revoke__living_grant__clears_it_and_locks(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)
    before = record_of(registry, vault)

    receipt = registry.revoke(vault, reader, sender=owner)

    assert grant_of(registry, vault, reader) == Grant()
    assert record_of(registry, vault) == before._replace(version=3, epoch=2, headLag=2, epochLag=1)
    assert_event(
        registry,
        receipt,
        "Revoked",
        vaultId=vault,
        actor=owner.address,
        grantee=reader.address,
        version=3,
        epoch=2,
    )


def test_revoke__expired_grant__clears_it_and_locks(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)

    chain.pending_timestamp = soon
    registry.revoke(vault, reader, sender=owner)

    assert grant_of(registry, vault, reader) == Grant()
    assert record_of(registry, vault).epochLag == 1


def test_revoke__one_of_two__leaves_the_other(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    grant(registry, vault, owner, writer, soon, version=2, rights=WRITE)
    other = grant_of(registry, vault, writer)

    registry.revoke(vault, reader, sender=owner)

    assert grant_of(registry, vault, writer) == other
    assert registry.canWrite(vault, writer)


def test_revoke__locked__rotates_again(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    grant(registry, vault, owner, writer, soon, version=2)
    registry.revoke(vault, reader, sender=owner)

    registry.revoke(vault, writer, sender=owner)

    record = record_of(registry, vault)
    assert (record.version, record.epoch, record.headLag, record.epochLag) == (5, 3, 4, 2)


def test_revoke__after_a_commit_in_between__succeeds(
    registry: ContractInstance,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    commit(registry, vault, writer, version=2)

    registry.revoke(vault, writer, sender=owner)

    record = record_of(registry, vault)
    assert (record.version, record.epoch, record.headLag, record.epochLag) == (4, 2, 1, 1)


def test_revoke__unknown_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI
) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.revoke(vault, reader, sender=owner)


def test_revoke__stranger__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    stranger: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        registry.revoke(vault, reader, sender=stranger)


def test_revoke__grantee_itself__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        registry.revoke(vault, writer, sender=writer)


def test_revoke__no_grant__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, vault: bytes
) -> None:
    with refused(registry, "NoGrant", vaultId=vault, grantee=stranger.address):
        registry.revoke(vault, stranger, sender=owner)


def test_revoke__twice__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)
    registry.revoke(vault, reader, sender=owner)
    with refused(registry, "NoGrant", vaultId=vault, grantee=reader.address):
        registry.revoke(vault, reader, sender=owner)


def test_revoke__grant_of_another_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    create(registry, owner, salt=2)
    grant(registry, bytes(registry.vaultIdOf(owner, 2)), owner, reader, soon)
    with refused(registry, "NoGrant", vaultId=vault, grantee=reader.address):
        registry.revoke(vault, reader, sender=owner)


def test_revoke__grant_of_an_earlier_tenure__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)
    registry.revokeAll(vault, sender=owner)
    with refused(registry, "NoGrant", vaultId=vault, grantee=reader.address):
        registry.revoke(vault, reader, sender=owner)
