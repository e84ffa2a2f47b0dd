"""Invariants 3, 5, 6, 10, 11 and 14."""

from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import (
    assert_event,
    commit,
    grant,
    grant_of,
    head_slot,
    key_id,
    reach_last_tenure,
    record_of,
    refused,
    set_storage,
    word,
)
from .model import READ, WRITE, Grant
from .signing import relay


def test_revoke_all__two_grants__voids_both_and_locks(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    grant(registry, vault, owner, writer, soon, version=2, rights=WRITE)
    before = record_of(registry, vault)

    receipt = registry.revokeAll(vault, sender=owner)

    assert record_of(registry, vault) == before._replace(version=4, epoch=2, tenure=2, headLag=3, epochLag=1)
    assert grant_of(registry, vault, reader) == Grant()
    assert grant_of(registry, vault, writer) == Grant()
    assert not registry.canRead(vault, reader)
    assert not registry.canWrite(vault, writer)
    assert_event(registry, receipt, "RevokedAll", vaultId=vault, actor=owner.address, version=4, epoch=2, tenure=2)


def test_revoke_all__no_grant__still_raises_the_tenure(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.revokeAll(vault, sender=owner)
    registry.revokeAll(vault, sender=owner)

    record = record_of(registry, vault)
    assert (record.version, record.epoch, record.tenure, record.headLag, record.epochLag) == (3, 3, 3, 2, 2)


def test_revoke_all__grant_given_again__counts_anew(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=READ | WRITE)
    registry.revokeAll(vault, sender=owner)
    commit(registry, vault, owner, version=3, epoch=2, keyring=word("keyring 2"))

    grant(registry, vault, owner, reader, soon - 1, version=4, key=key_id("key 2"))

    assert grant_of(registry, vault, reader) == Grant(soon - 1, READ, 5, key_id("key 2"))
    assert not registry.canWrite(vault, reader)


def test_revoke_all__unknown_vault__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.revokeAll(vault, sender=owner)


def test_revoke_all__stranger__is_refused(registry: ContractInstance, stranger: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        registry.revokeAll(vault, sender=stranger)


def test_revoke_all__last_tenure__is_refused_and_the_rest_works(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    reach_last_tenure(registry, vault)
    grant(registry, vault, owner, reader, soon)

    with refused(registry, "LastTenure", vaultId=vault):
        registry.revokeAll(vault, sender=owner)
    with refused(registry, "LastTenure", vaultId=vault):
        relay(registry, reader, "revokeAll", owner, vault, 65_535)
    registry.revoke(vault, reader, sender=owner)
    registry.rotate(vault, sender=owner)
    commit(registry, vault, owner, version=4, epoch=3, keyring=word("keyring 2"))

    assert record_of(registry, vault)[1:6] == (5, 3, 65_535, 0, 0)
    registry.close(vault, 5, bytes(32), sender=owner)


def test_revoke_all__tenure_before_the_last__is_the_last_that_voids(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    head = int.from_bytes(registry.provider.get_storage(registry.address, head_slot(vault)))
    set_storage(registry, head_slot(vault), head + (65_533 << 224))

    registry.revokeAll(vault, sender=owner)

    assert record_of(registry, vault).tenure == 65_535
