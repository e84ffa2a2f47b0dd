"""Invariants 2, 3, 6, 7, 11, 14, 17 and 18."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import (
    assert_event,
    commit,
    grant,
    grant_of,
    key_id,
    offer_of,
    reach_last_tenure,
    record_of,
    recovery_of,
    refused,
    word,
)
from .model import READ, ZERO_ADDRESS, Grant, Offer, Recovery


def hand_over(
    registry: ContractInstance, vault: bytes, giver: TestAccountAPI, taker: TestAccountAPI, until: int
) -> None:
    registry.offer(vault, record_of(registry, vault).version, taker, until, sender=giver)
    registry.accept(vault, sender=taker)


def test_accept__offered__changes_the_owner_and_locks(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    before = record_of(registry, vault)

    receipt = registry.accept(vault, sender=buyer)

    assert record_of(registry, vault) == before._replace(
        owner=buyer.address, version=3, epoch=2, tenure=2, headLag=2, epochLag=1
    )
    assert offer_of(registry, vault) == Offer()
    assert_event(
        registry,
        receipt,
        "Accepted",
        vaultId=vault,
        actor=buyer.address,
        formerOwner=owner.address,
        version=3,
        epoch=2,
        tenure=2,
    )


def test_accept__offered__lists_the_vault_under_its_new_owner(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    hand_over(registry, vault, owner, buyer, soon)
    hand_over(registry, vault, buyer, owner, soon)
    hand_over(registry, vault, owner, buyer, soon)

    assert registry.acceptedCount(buyer) == 2
    assert [bytes(registry.acceptedVault(buyer, number)) for number in range(4)] == [bytes(32), vault, vault, bytes(32)]
    assert (registry.acceptedCount(owner), bytes(registry.acceptedVault(owner, 1))) == (1, vault)
    assert (registry.vaultCount(owner), registry.vaultCount(buyer)) == (1, 0)


def test_accept__plain_transfer_with_the_old_reader__voids_its_grant(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon, rights=0xFF)

    hand_over(registry, vault, owner, buyer, soon)

    assert grant_of(registry, vault, reader) == Grant()
    for account in (owner, reader):
        assert not registry.canRead(vault, account)
        with refused(registry, "NotWriter", vaultId=vault, account=account.address):
            commit(registry, vault, account, version=4, epoch=2, keyring=word("keyring 2"))
    with refused(registry, "KeyringRequired", vaultId=vault, epoch=2):
        commit(registry, vault, buyer, version=4, epoch=2)
    commit(registry, vault, buyer, version=4, epoch=2, keyring=word("keyring 2"))


def test_accept__vault_back_at_its_former_owner__keeps_their_old_grants_void(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)

    hand_over(registry, vault, owner, buyer, soon)
    hand_over(registry, vault, buyer, owner, soon)

    assert record_of(registry, vault).owner == owner.address
    assert grant_of(registry, vault, reader) == Grant()
    assert not registry.canRead(vault, reader)


def test_accept__recovery_address_of_the_seller__cannot_take_it_back(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    rescuer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    registry.setRecovery(vault, rescuer, sender=owner)
    registry.startRecovery(vault, rescuer, sender=rescuer)
    ready = recovery_of(registry, vault).readyAt

    hand_over(registry, vault, owner, buyer, soon)

    assert recovery_of(registry, vault) == Recovery(ZERO_ADDRESS, 3, 0, ZERO_ADDRESS)
    with refused(registry, "NotRecovery", vaultId=vault, account=rescuer.address):
        registry.startRecovery(vault, rescuer, sender=rescuer)
    chain.pending_timestamp = ready
    with refused(registry, "NotNewOwner", vaultId=vault, account=rescuer.address):
        registry.finishRecovery(vault, sender=rescuer)


def test_accept__reader_who_becomes_owner__needs_no_grant(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)

    hand_over(registry, vault, owner, reader, soon)

    assert registry.canWrite(vault, reader)
    commit(registry, vault, reader, version=4, epoch=2, keyring=word("keyring 2"))
    grant(registry, vault, reader, owner, soon, version=5)
    assert grant_of(registry, vault, owner) == Grant(soon, READ, 6, key_id("key 1"))


def test_accept__last_second__is_taken(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    chain.pending_timestamp = soon - 1
    registry.accept(vault, sender=buyer)

    assert record_of(registry, vault).owner == buyer.address


@pytest.mark.parametrize("late", [0, 1])
def test_accept__expired__is_refused(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
    late: int,
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    chain.pending_timestamp = soon + late
    with refused(registry, "OfferExpired", vaultId=vault, expiresAt=soon, currentTime=soon + late):
        registry.accept(vault, sender=buyer)


def test_accept__not_offered_to_them__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    stranger: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    with refused(registry, "NotOffered", vaultId=vault, account=buyer.address):
        registry.accept(vault, sender=buyer)
    registry.offer(vault, 1, buyer, soon, sender=owner)
    for account in (owner, stranger):
        with refused(registry, "NotOffered", vaultId=vault, account=account.address):
            registry.accept(vault, sender=account)


def test_accept__cancelled__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    registry.cancelOffer(vault, sender=owner)
    with refused(registry, "NotOffered", vaultId=vault, account=buyer.address):
        registry.accept(vault, sender=buyer)


def test_accept__unknown_vault__is_refused(registry: ContractInstance, buyer: TestAccountAPI) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.accept(vault, sender=buyer)


def test_accept__last_tenure__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    reach_last_tenure(registry, vault)
    with refused(registry, "LastTenure", vaultId=vault):
        registry.accept(vault, sender=buyer)
