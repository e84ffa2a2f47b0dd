"""`setRecovery`, `startRecovery`, `vetoRecovery` and `finishRecovery`. Invariants 2, 3, 13, 14, 17 and 18."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from eth_utils import keccak

from .helpers import (
    DAY,
    assert_event,
    commit,
    grant,
    grant_of,
    offer_of,
    panics,
    reach_last_tenure,
    record_of,
    recovery_of,
    refused,
    set_storage,
    word,
)
from .model import RECOVERY_DELAY, RECOVERY_WINDOW, ZERO_ADDRESS, Grant, Offer, Recovery


@pytest.fixture
def ready(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    chain: ChainManager,
    soon: int,
) -> int:
    """When a recovery of the vault for the buyer, started by the rescuer, can be finished."""
    registry.setRecovery(vault, rescuer, sender=owner)
    chain.pending_timestamp = soon
    registry.startRecovery(vault, buyer, sender=rescuer)
    return soon + RECOVERY_DELAY


def test_set_recovery__address__is_stored_and_leaves_the_head(
    registry: ContractInstance, owner: TestAccountAPI, rescuer: TestAccountAPI, vault: bytes
) -> None:
    before = record_of(registry, vault)

    receipt = registry.setRecovery(vault, rescuer, sender=owner)

    assert recovery_of(registry, vault) == Recovery(rescuer.address, 1, 0, ZERO_ADDRESS)
    assert record_of(registry, vault) == before
    assert_event(
        registry, receipt, "RecoverySet", vaultId=vault, actor=owner.address, recovery=rescuer.address, attempt=1
    )


@pytest.mark.parametrize("other", ["none", "another"])
def test_set_recovery__while_one_is_pending__ends_it(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    stranger: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
    other: str,
) -> None:
    address = ZERO_ADDRESS if other == "none" else stranger.address
    registry.setRecovery(vault, address, sender=owner)

    assert recovery_of(registry, vault) == Recovery(address, 3, 0, ZERO_ADDRESS)
    chain.pending_timestamp = ready
    with refused(registry, "NotNewOwner", vaultId=vault, account=buyer.address):
        registry.finishRecovery(vault, sender=buyer)
    with refused(registry, "NotRecovery", vaultId=vault, account=rescuer.address):
        registry.startRecovery(vault, buyer, sender=rescuer)


def test_set_recovery__bad_input__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, rescuer: TestAccountAPI, vault: bytes
) -> None:
    with refused(registry, "RecoveryIsOwner", vaultId=vault, recovery=owner.address):
        registry.setRecovery(vault, owner, sender=owner)
    with refused(registry, "RecoveryUnchanged", vaultId=vault):
        registry.setRecovery(vault, ZERO_ADDRESS, sender=owner)
    registry.setRecovery(vault, rescuer, sender=owner)
    with refused(registry, "RecoveryUnchanged", vaultId=vault):
        registry.setRecovery(vault, rescuer, sender=owner)
    with refused(registry, "NotOwner", vaultId=vault, account=rescuer.address):
        registry.setRecovery(vault, ZERO_ADDRESS, sender=rescuer)


def test_start_recovery__new_owner__waits_and_gives_nothing_yet(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    soon: int,
) -> None:
    registry.setRecovery(vault, rescuer, sender=owner)
    before = record_of(registry, vault)

    chain.pending_timestamp = soon
    receipt = registry.startRecovery(vault, buyer, sender=rescuer)

    ready = soon + RECOVERY_DELAY
    assert 14 * DAY <= RECOVERY_DELAY <= 30 * DAY
    assert recovery_of(registry, vault) == Recovery(rescuer.address, 2, ready, buyer.address)
    assert record_of(registry, vault) == before
    for account in (rescuer, buyer):
        assert (registry.canRead(vault, account), registry.canWrite(vault, account)) == (False, False)
    assert_event(
        registry,
        receipt,
        "RecoveryStarted",
        vaultId=vault,
        actor=rescuer.address,
        newOwner=buyer.address,
        readyAt=ready,
        attempt=2,
    )


def test_start_recovery__target_swapped_on_the_last_day__waits_anew(
    registry: ContractInstance,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    stranger: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
) -> None:
    chain.pending_timestamp = ready - 1
    registry.startRecovery(vault, stranger, sender=rescuer)

    again = ready - 1 + RECOVERY_DELAY
    assert recovery_of(registry, vault) == Recovery(rescuer.address, 3, again, stranger.address)
    chain.pending_timestamp = again - 1
    with refused(registry, "NotNewOwner", vaultId=vault, account=buyer.address):
        registry.finishRecovery(vault, sender=buyer)
    with refused(registry, "RecoveryNotReady", vaultId=vault, readyAt=again, currentTime=again - 1):
        chain.pending_timestamp = again - 1
        registry.finishRecovery(vault, sender=stranger)


def test_start_recovery__same_target_again__waits_anew(
    registry: ContractInstance,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
) -> None:
    chain.pending_timestamp = ready
    registry.startRecovery(vault, buyer, sender=rescuer)

    assert recovery_of(registry, vault) == Recovery(rescuer.address, 3, ready + RECOVERY_DELAY, buyer.address)


def test_start_recovery__bad_input__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    stranger: TestAccountAPI,
    vault: bytes,
) -> None:
    with refused(registry, "NotRecovery", vaultId=vault, account=rescuer.address):
        registry.startRecovery(vault, buyer, sender=rescuer)
    registry.setRecovery(vault, rescuer, sender=owner)
    for account in (owner, stranger):
        with refused(registry, "NotRecovery", vaultId=vault, account=account.address):
            registry.startRecovery(vault, buyer, sender=account)
    with refused(registry, "ZeroNewOwner"):
        registry.startRecovery(vault, ZERO_ADDRESS, sender=rescuer)
    with refused(registry, "NewOwnerIsOwner", vaultId=vault, newOwner=owner.address):
        registry.startRecovery(vault, owner, sender=rescuer)


def test_recovery_address__every_other_call__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    ready: int,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon + DAY)
    calls = {
        "revoke": (reader,),
        "revokeAll": (),
        "rotate": (),
        "setBaseURI": (2, ""),
        "offer": (2, rescuer, soon + DAY),
        "cancelOffer": (),
        "setRecovery": (ZERO_ADDRESS,),
        "vetoRecovery": (),
        "close": (2, bytes(32)),
    }
    for call, arguments in calls.items():
        with refused(registry, "NotOwner", vaultId=vault, account=rescuer.address):
            getattr(registry, call)(vault, *arguments, sender=rescuer)
    with refused(registry, "NotWriter", vaultId=vault, account=rescuer.address):
        commit(registry, vault, rescuer, version=2)


@pytest.mark.parametrize("late", [-1, 0, RECOVERY_WINDOW], ids=["waiting", "ready", "lapsed"])
def test_veto_recovery__all_along__ends_it_and_keeps_the_address(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
    late: int,
) -> None:
    before = record_of(registry, vault)

    chain.pending_timestamp = ready + late
    receipt = registry.vetoRecovery(vault, sender=owner)

    assert recovery_of(registry, vault) == Recovery(rescuer.address, 3, 0, ZERO_ADDRESS)
    assert record_of(registry, vault) == before
    assert_event(
        registry, receipt, "RecoveryVetoed", vaultId=vault, actor=owner.address, newOwner=buyer.address, attempt=3
    )
    with refused(registry, "NotNewOwner", vaultId=vault, account=buyer.address):
        registry.finishRecovery(vault, sender=buyer)


def test_veto_recovery__bad_input__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, rescuer: TestAccountAPI, vault: bytes
) -> None:
    with refused(registry, "NoRecoveryPending", vaultId=vault):
        registry.vetoRecovery(vault, sender=owner)
    registry.setRecovery(vault, rescuer, sender=owner)
    with refused(registry, "NoRecoveryPending", vaultId=vault):
        registry.vetoRecovery(vault, sender=owner)


@pytest.mark.parametrize("late", [0, RECOVERY_WINDOW - 1], ids=["first-second", "last-second"])
def test_finish_recovery__in_its_30_days__does_all_that_accept_does(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    stranger: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
    late: int,
) -> None:
    grant(registry, vault, owner, reader, 2**40 - 1, rights=0xFF)
    registry.offer(vault, 2, stranger, 2**40 - 1, sender=owner)
    before = record_of(registry, vault)

    chain.pending_timestamp = ready + late
    receipt = registry.finishRecovery(vault, sender=buyer)

    assert record_of(registry, vault) == before._replace(
        owner=buyer.address, version=4, epoch=2, tenure=2, headLag=3, epochLag=1
    )
    assert offer_of(registry, vault) == Offer()
    assert recovery_of(registry, vault) == Recovery(ZERO_ADDRESS, 3, 0, ZERO_ADDRESS)
    assert grant_of(registry, vault, reader) == Grant()
    assert (registry.acceptedCount(buyer), bytes(registry.acceptedVault(buyer, 1))) == (1, vault)
    assert_event(
        registry,
        receipt,
        "RecoveryFinished",
        vaultId=vault,
        actor=buyer.address,
        formerOwner=owner.address,
        version=4,
        epoch=2,
        tenure=2,
    )


@pytest.mark.parametrize("early", [1, RECOVERY_DELAY])
def test_finish_recovery__too_early__is_refused(
    registry: ContractInstance, buyer: TestAccountAPI, chain: ChainManager, vault: bytes, ready: int, early: int
) -> None:
    now = max(ready - early, ready - RECOVERY_DELAY + 1)
    chain.pending_timestamp = now
    with refused(registry, "RecoveryNotReady", vaultId=vault, readyAt=ready, currentTime=now):
        registry.finishRecovery(vault, sender=buyer)


@pytest.mark.parametrize("late", [0, DAY])
def test_finish_recovery__after_its_30_days__is_refused(
    registry: ContractInstance, buyer: TestAccountAPI, chain: ChainManager, vault: bytes, ready: int, late: int
) -> None:
    lapsed = ready + RECOVERY_WINDOW
    chain.pending_timestamp = lapsed + late
    with refused(registry, "RecoveryLapsed", vaultId=vault, lapsedAt=lapsed, currentTime=lapsed + late):
        registry.finishRecovery(vault, sender=buyer)


def test_finish_recovery__last_tenure__is_refused(
    registry: ContractInstance, buyer: TestAccountAPI, chain: ChainManager, vault: bytes, ready: int
) -> None:
    reach_last_tenure(registry, vault)
    chain.pending_timestamp = ready
    with refused(registry, "LastTenure", vaultId=vault):
        registry.finishRecovery(vault, sender=buyer)


def test_finish_recovery__anyone_but_the_new_owner__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    stranger: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
) -> None:
    chain.pending_timestamp = ready
    for account in (owner, rescuer, stranger):
        with refused(registry, "NotNewOwner", vaultId=vault, account=account.address):
            registry.finishRecovery(vault, sender=account)


def test_recovery__attempt_at_its_end__panics_and_revoking_and_closing_work(
    registry: ContractInstance,
    owner: TestAccountAPI,
    rescuer: TestAccountAPI,
    reader: TestAccountAPI,
    buyer: TestAccountAPI,
    chain: ChainManager,
    vault: bytes,
    ready: int,
) -> None:
    grant(registry, vault, owner, reader, 2**40 - 1)
    registry.offer(vault, 2, buyer, 2**40 - 1, sender=owner)
    slot = int.from_bytes(keccak(vault + (4).to_bytes(32)))
    held = int.from_bytes(registry.provider.get_storage(registry.address, slot))
    set_storage(registry, slot, held | (2**32 - 1) << 160)
    assert recovery_of(registry, vault).attempt == 2**32 - 1

    for call, arguments, sender in (
        ("setRecovery", (reader,), owner),
        ("startRecovery", (reader,), rescuer),
        ("vetoRecovery", (), owner),
        ("accept", (), buyer),
    ):
        with panics(registry):
            getattr(registry, call)(vault, *arguments, sender=sender)
    with panics(registry):
        chain.pending_timestamp = ready
        registry.finishRecovery(vault, sender=buyer)
    registry.revoke(vault, reader, sender=owner)
    registry.revokeAll(vault, sender=owner)
    registry.close(vault, 5, bytes(32), sender=owner)
    assert recovery_of(registry, vault) == Recovery()


def test_recovery__unknown_vault__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    vault = word("no vault")
    for call, arguments in {
        "setRecovery": (owner,),
        "startRecovery": (owner,),
        "vetoRecovery": (),
        "finishRecovery": (),
    }.items():
        with refused(registry, "UnknownVault", vaultId=vault):
            getattr(registry, call)(vault, *arguments, sender=owner)
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.recoveryOf.transact(vault, sender=owner)
