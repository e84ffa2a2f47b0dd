"""`offer` and `cancelOffer`. Invariants 2, 3, 4, 13, 17 and 21."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import assert_event, commit, grant, offer_of, record_of, refused, word
from .model import ZERO_ADDRESS, Offer


def test_offer__another_account__is_stored_and_gives_it_nothing(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    before = record_of(registry, vault)

    receipt = registry.offer(vault, 1, buyer, soon, sender=owner)

    assert offer_of(registry, vault) == Offer(buyer.address, soon, 2)
    assert record_of(registry, vault) == before._replace(version=2, headLag=1)
    assert not registry.canRead(vault, buyer)
    assert_event(
        registry,
        receipt,
        "Offered",
        vaultId=vault,
        actor=owner.address,
        newOwner=buyer.address,
        expiresAt=soon,
        version=2,
    )


def test_offer__again__replaces_the_first(
    registry: ContractInstance,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    stranger: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    registry.offer(vault, 2, stranger, soon - 1, sender=owner)

    assert offer_of(registry, vault) == Offer(stranger.address, soon - 1, 3)
    with refused(registry, "NotOffered", vaultId=vault, account=buyer.address):
        registry.accept(vault, sender=buyer)


def test_offer__locked__is_taken(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.rotate(vault, sender=owner)

    registry.offer(vault, 2, buyer, 2**40 - 1, sender=owner)

    assert offer_of(registry, vault) == Offer(buyer.address, 2**40 - 1, 3)


def test_offer__same_again__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    with refused(registry, "OfferUnchanged", vaultId=vault):
        registry.offer(vault, 2, buyer, soon, sender=owner)


def test_offer__unknown_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, soon: int
) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.offer(vault, 1, buyer, soon, sender=owner)
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.offerOf.transact(vault, sender=owner)


def test_offer__writer_with_all_rights__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        registry.offer(vault, 2, writer, soon, sender=writer)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_offer__another_version__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int, version: int
) -> None:
    commit(registry, vault, owner)
    with refused(registry, "WrongVersion", vaultId=vault, expected=version, current=2):
        registry.offer(vault, version, buyer, soon, sender=owner)


def test_offer__zero_address__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "ZeroNewOwner"):
        registry.offer(vault, 1, ZERO_ADDRESS, soon, sender=owner)


def test_offer__owner_itself__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "NewOwnerIsOwner", vaultId=vault, newOwner=owner.address):
        registry.offer(vault, 1, owner, soon, sender=owner)


@pytest.mark.parametrize("early", [0, 1])
def test_offer__expiry_not_after_the_block__is_refused(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
    early: int,
) -> None:
    chain.pending_timestamp = soon
    with refused(registry, "ExpiryNotInFuture", expiresAt=soon - early, currentTime=soon):
        registry.offer(vault, 1, buyer, soon - early, sender=owner)


@pytest.mark.parametrize("late", [1, 2**40, 2**256 - 2**40])
def test_offer__expiry_beyond_forty_bits__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, late: int
) -> None:
    latest = 2**40 - 1
    with refused(registry, "ExpiryTooLate", expiresAt=latest + late, latest=latest):
        registry.offer(vault, 1, buyer, latest + late, sender=owner)
    registry.offer(vault, 1, buyer, latest, sender=owner)
    assert offer_of(registry, vault).expiresAt == latest


@pytest.mark.parametrize("late", [-1, 0, 1], ids=["living", "just-expired", "expired"])
def test_cancel_offer__living_or_expired__clears_it(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
    late: int,
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    before = record_of(registry, vault)

    chain.pending_timestamp = soon + late
    receipt = registry.cancelOffer(vault, sender=owner)

    assert offer_of(registry, vault) == Offer()
    assert record_of(registry, vault) == before._replace(version=3, headLag=2)
    assert_event(
        registry, receipt, "OfferCancelled", vaultId=vault, actor=owner.address, newOwner=buyer.address, version=3
    )


def test_cancel_offer__none__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "NoOffer", vaultId=vault):
        registry.cancelOffer(vault, sender=owner)


def test_cancel_offer__by_whom_it_was_offered_to__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    with refused(registry, "NotOwner", vaultId=vault, account=buyer.address):
        registry.cancelOffer(vault, sender=buyer)
