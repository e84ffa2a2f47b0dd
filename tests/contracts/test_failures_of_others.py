"""Failures that contracts of this field had in use, each as a test that it can't happen here.

Those that a test of one call shows already stand there: signatures for another chain, contract, vault or verb, expired
or sent twice (test_signed_calls), hostile contract wallets and one wallet's signature used for another
(test_signed_wallets), the old reader after a plain transfer, the seller's recovery address and the grants of a former
owner (test_accept), the target swapped on the last day (test_recovery), a stranger who binds a key or stores a blob
first (test_key_registry, test_blob_log), a batch beyond the gas cap (test_limits).
"""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import commit, create, grant, grant_of, key_id, reach_last_tenure, record_of, refused, word
from .model import NONE, READ, WRITE, ZERO_ADDRESS, Grant
from .signing import NO_DEADLINE, relay, send, sign, typed_data

ACCOMPLICE = "0x" + "55" * 20


def test_grant_checked_without_its_vault__reads_no_memory_of_another(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, vault: bytes, soon: int
) -> None:
    create(registry, stranger)
    own = bytes(registry.vaultIdOf(stranger, 1))

    # The reader of a vault is a stranger in all others, though both owners gave their grants in the same tenure.
    grant(registry, vault, owner, ACCOMPLICE, soon, rights=0xFF)
    assert (registry.canRead(own, ACCOMPLICE), registry.canWrite(own, ACCOMPLICE)) == (False, False)
    grant(registry, own, stranger, ACCOMPLICE, soon, rights=READ)
    assert (registry.canRead(own, ACCOMPLICE), registry.canWrite(own, ACCOMPLICE)) == (True, False)
    registry.revoke(own, ACCOMPLICE, sender=stranger)
    assert (registry.canRead(own, ACCOMPLICE), registry.canRead(vault, ACCOMPLICE)) == (False, True)
    assert not registry.canRead(vault, stranger)


def test_one_grant__opens_no_other_vault_of_the_account(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    create(registry, owner, salt=2)
    other = bytes(registry.vaultIdOf(owner, 2))

    grant(registry, vault, owner, reader, soon, rights=0xFF)

    assert (registry.canRead(other, reader), registry.canWrite(other, reader)) == (False, False)
    with refused(registry, "NotWriter", vaultId=other, account=reader.address):
        commit(registry, other, reader)


def test_old_grant_signature__replayed_after_the_revocation__grants_nothing(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    relayer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    values = (vault, 1, reader.address, READ, soon, key_id("key 1"), NONE)
    signature = sign(typed_data(registry, "grant", owner.address, values, NO_DEADLINE), owner)
    send(registry, relayer, "grant", owner.address, values, NO_DEADLINE, signature)
    registry.revoke(vault, reader, sender=owner)
    commit(registry, vault, owner, version=3, epoch=2, keyring=word("keyring 2"))

    with refused(registry, "WrongVersion", vaultId=vault, expected=1, current=4):
        send(registry, reader, "grant", owner.address, values, NO_DEADLINE, signature)


@pytest.mark.parametrize("revocation", ["revoke", "revokeAll", "rotate"])
def test_unsent_grant_signature__after_any_revocation__grants_nothing(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    relayer: TestAccountAPI,
    vault: bytes,
    soon: int,
    revocation: str,
) -> None:
    grant(registry, vault, owner, writer, soon)
    values = (vault, 2, reader.address, READ, soon, key_id("key 1"), NONE)
    signature = sign(typed_data(registry, "grant", owner.address, values, NO_DEADLINE), owner)
    getattr(registry, revocation)(vault, *([writer] if revocation == "revoke" else []), sender=owner)

    with refused(registry, "WrongVersion", vaultId=vault, expected=2, current=3):
        send(registry, relayer, "grant", owner.address, values, NO_DEADLINE, signature)


def test_stranger_first__under_your_salt_and_uri__blocks_nobody(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    create(registry, stranger)
    create(registry, owner)

    assert record_of(registry, bytes(registry.vaultIdOf(owner, 1))).owner == owner.address


def test_stranger__records_nothing_under_your_address(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, relayer: TestAccountAPI
) -> None:
    create(registry, stranger)
    assert registry.vaultCount(owner) == 0
    registry.offer(registry.vaultIdOf(stranger, 1), 1, owner, 2**40 - 1, sender=stranger)
    assert registry.acceptedCount(owner) == 0


def test_revoking__with_100_grants__costs_what_it_costs_with_one(
    registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes
) -> None:
    grant(registry, vault, owner, reader, 2**40 - 1)
    with chain.isolate():
        alone = registry.revoke(vault, reader, sender=owner).gas_used
    calls = [
        registry.grant.encode_input(vault, n, f"0x{n:040x}", READ, 2**40 - 1, key_id("key 1"), NONE)
        for n in range(2, 101)
    ]
    registry.multicall(calls, sender=owner)

    assert registry.revoke(vault, reader, sender=owner).gas_used == alone


@pytest.mark.parametrize("state", ["locked", "offered", "recovering", "256 writes on", "expired", "last tenure"])
@pytest.mark.parametrize("revocation", ["revoke", "rotate", "revokeAll"])
def test_revocation__pause_or_full_list_or_any_state__does_not_block_it(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    rescuer: TestAccountAPI,
    vault: bytes,
    soon: int,
    state: str,
    revocation: str,
) -> None:
    """That there is no pause shows in test_admin; that there is no list, in the cost with 100 grants."""
    if state == "last tenure":
        reach_last_tenure(registry, vault)
    grant(registry, vault, owner, reader, soon)
    match state:
        case "locked":
            registry.rotate(vault, sender=owner)
        case "offered":
            registry.offer(vault, 2, reader, soon, sender=owner)
        case "recovering":
            registry.setRecovery(vault, rescuer, sender=owner)
            registry.startRecovery(vault, reader, sender=rescuer)
        case "256 writes on":
            registry.multicall([registry.rotate.encode_input(vault)] * 256, sender=owner)
        case "expired":
            chain.pending_timestamp = soon
    before = record_of(registry, vault)

    if (revocation, state) == ("revokeAll", "last tenure"):
        with refused(registry, "LastTenure", vaultId=vault):
            registry.revokeAll(vault, sender=owner)
        revocation = "revoke"
    getattr(registry, revocation)(vault, *([reader] if revocation == "revoke" else []), sender=owner)

    after = record_of(registry, vault)
    assert (after.version, after.epoch) == (before.version + 1, before.epoch + 1)
    assert registry.canRead(vault, reader) is (revocation == "rotate" and state != "expired")


def test_revoking__is_no_mere_flag__nothing_is_sealed_under_the_old_epoch_after_it(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)
    registry.revoke(vault, reader, sender=owner)

    with refused(registry, "WrongEpoch", vaultId=vault, given=1, current=2):
        commit(registry, vault, owner, version=3, epoch=1, keyring=word("keyring 2"))
    for keyring in (NONE, word("keyring 1")):
        with refused(registry, "KeyringRequired", vaultId=vault, epoch=2):
            commit(registry, vault, owner, version=3, epoch=2, keyring=keyring)


def test_hostile_writer__committing_first__does_not_block_its_revocation(
    registry: ContractInstance,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    relayer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    values = (vault, writer.address, 2)
    signature = sign(typed_data(registry, "revoke", owner.address, values, NO_DEADLINE), owner)
    commit(registry, vault, writer, version=2)

    send(registry, relayer, "revoke", owner.address, values, NO_DEADLINE, signature)

    with refused(registry, "NotWriter", vaultId=vault, account=writer.address):
        commit(registry, vault, writer, version=4, epoch=2, content=word("head 3"))


def test_reader_with_an_expired_grant__cannot_empty_its_slot(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    chain.pending_timestamp = soon
    with refused(registry, "NotOwner", vaultId=vault, account=reader.address):
        registry.revoke(vault, reader, sender=reader)

    registry.revoke(vault, reader, sender=owner)

    assert grant_of(registry, vault, reader) == Grant()
    assert record_of(registry, vault).epoch == 2


def test_cancelled_offer__signature_of_it_replayed__offers_nothing(
    registry: ContractInstance,
    owner: TestAccountAPI,
    buyer: TestAccountAPI,
    relayer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    values = (vault, 1, buyer.address, soon)
    signature = sign(typed_data(registry, "offer", owner.address, values, NO_DEADLINE), owner)
    send(registry, relayer, "offer", owner.address, values, NO_DEADLINE, signature)
    acceptance = sign(typed_data(registry, "accept", buyer.address, (vault, 2), NO_DEADLINE), buyer)
    relay(registry, relayer, "cancelOffer", owner, vault, 2)

    with refused(registry, "WrongVersion", vaultId=vault, expected=1, current=3):
        send(registry, buyer, "offer", owner.address, values, NO_DEADLINE, signature)
    registry.offer(vault, 3, buyer, soon, sender=owner)
    with refused(registry, "WrongOffer", vaultId=vault, given=2, current=4):
        send(registry, relayer, "accept", buyer.address, (vault, 2), NO_DEADLINE, acceptance)


def test_two_writers_at_once__one_wins_and_the_other_learns_the_version(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    provider = registry.provider
    provider.auto_mine = False
    try:
        sent = [
            commit(registry, vault, account, version=2, content=word(f"head of {account.address}"))
            for account in (writer, owner)
        ]
        provider.mine()
    finally:
        provider.auto_mine = True

    receipts = [provider.web3.eth.get_transaction_receipt(each.txn_hash) for each in sent]
    assert receipts[0]["blockNumber"] == receipts[1]["blockNumber"]
    assert sorted(receipt["status"] for receipt in receipts) == [0, 1]
    [winner] = [account for account, receipt in zip((writer, owner), receipts, strict=True) if receipt["status"]]
    assert record_of(registry, vault)[1] == 3
    assert record_of(registry, vault).contentHash == word(f"head of {winner.address}")
    with refused(registry, "WrongVersion", vaultId=vault, expected=2, current=3):
        commit(registry, vault, owner, version=2, content=word("head 3"))


def test_zero_address__on_an_unknown_or_closed_vault__reads_nothing(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.close(vault, 1, NONE, sender=owner)
    for vault_id in (vault, word("no vault"), bytes(32)):
        assert not registry.canRead(vault_id, ZERO_ADDRESS)
        assert not registry.canWrite(vault_id, ZERO_ADDRESS)


def test_admin__is_nobody__no_call_names_one(registry: ContractInstance) -> None:
    """Every call that writes is a verb of an owner or grantee, directly or signed; there is none to rule them."""
    verbs = {
        *("create", "commit", "grant", "revoke", "revokeAll", "rotate", "setBaseURI", "offer", "cancelOffer"),
        *("accept", "setRecovery", "startRecovery", "vetoRecovery", "finishRecovery", "close"),
    }
    writing = {
        method.name for method in registry.contract_type.methods if method.stateMutability not in ("view", "pure")
    }
    assert writing == verbs | {f"{verb}For" for verb in verbs} | {"multicall"}
