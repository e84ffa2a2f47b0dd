"""Invariants 1, 2, 3, 12, 13 and 19."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import URI, assert_event, commit, create, grant, offer_of, record_of, recovery_of, refused, word
from .model import NONE, ZERO_ADDRESS, Offer, Recovery


@pytest.mark.parametrize("successor", [NONE, word("vault 2")], ids=["none", "named"])
def test_close__open_vault__has_no_owner_afterwards(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, successor: bytes
) -> None:
    before = record_of(registry, vault)

    receipt = registry.close(vault, 1, successor, sender=owner)

    assert record_of(registry, vault) == before._replace(owner=ZERO_ADDRESS, version=2, headLag=1)
    assert_event(registry, receipt, "Closed", vaultId=vault, actor=owner.address, version=2, successor=successor)


def test_close__reader_with_a_living_grant__may_nothing(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=0xFF)

    registry.close(vault, 2, NONE, sender=owner)

    for account in (owner, reader, ZERO_ADDRESS):
        assert (registry.canRead(vault, account), registry.canWrite(vault, account)) == (False, False)


def test_close__offer_and_recovery__are_gone(
    registry: ContractInstance,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    rescuer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    registry.setRecovery(vault, rescuer, sender=owner)
    registry.startRecovery(vault, buyer, sender=rescuer)

    registry.close(vault, 2, NONE, sender=owner)

    assert offer_of(registry, vault) == Offer()
    assert recovery_of(registry, vault) == Recovery()


def test_close__locked__is_taken(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    registry.rotate(vault, sender=owner)
    registry.close(vault, 2, NONE, sender=owner)

    assert record_of(registry, vault)[:6] == (ZERO_ADDRESS, 3, 2, 1, 2, 1)


def test_close__any_write_afterwards__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=0xFF)
    registry.close(vault, 2, NONE, sender=owner)
    calls = {
        "commit": (3, 1, word("head 2"), NONE, NONE),
        "grant": (3, reader, 0xFF, soon + 1, word("key")[:20], NONE),
        "revoke": (reader,),
        "revokeAll": (),
        "rotate": (),
        "setBaseURI": (3, ""),
        "offer": (3, reader, soon),
        "cancelOffer": (),
        "accept": (),
        "setRecovery": (reader,),
        "startRecovery": (reader,),
        "vetoRecovery": (),
        "finishRecovery": (),
        "close": (3, NONE),
    }
    for call, arguments in calls.items():
        for account in (owner, reader):
            with refused(registry, "VaultClosed", vaultId=vault):
                getattr(registry, call)(vault, *arguments, sender=account)


def test_close__its_id__is_never_used_again(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    registry.close(vault, 1, NONE, sender=owner)

    with refused(registry, "WrongSalt", given=1, expected=2):
        create(registry, owner, salt=1)
    create(registry, owner, salt=2)
    assert record_of(registry, vault).owner == ZERO_ADDRESS


def test_close__reads__still_answer(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    commit(registry, vault, owner)
    registry.close(vault, 2, NONE, sender=owner)

    assert registry.contentURI(vault) == URI + word("head 2").hex()
    assert registry.keyringURI(vault) == URI + word("keyring 1").hex()
    assert record_of(registry, vault).memoryRoot == word("log 2")


def test_close__bad_input__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "UnknownVault", vaultId=word("no vault")):
        registry.close(word("no vault"), 1, NONE, sender=owner)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        registry.close(vault, 2, NONE, sender=writer)
    for version in (0, 1, 3):
        with refused(registry, "WrongVersion", vaultId=vault, expected=version, current=2):
            registry.close(vault, version, NONE, sender=owner)
    with refused(registry, "SuccessorIsVault", vaultId=vault):
        registry.close(vault, 2, vault, sender=owner)
