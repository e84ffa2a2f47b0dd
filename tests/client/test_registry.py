"""The registry's client against the real contract on a real node."""

import dataclasses
import hashlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from memsync_client.errors import (
    InsufficientFunds,
    InvalidRequest,
    NodeUnreachable,
    TransactionPending,
    TransactionRefused,
    UnknownVault,
    VersionTaken,
)
from memsync_client.refusals import MEANINGS, refused
from memsync_client.registry import LAG_MAX, Registry, load_artifact
from memsync_client.transactions import MAX_GAS, Call
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import lying, result_of
from tests.nodes import contract_of, transact

EMPTY_LOG = bytes(32)
KEY_ID = b"\x07" * 20


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture
def vault(registry: Registry, owner: Wallet) -> bytes:
    """The owner's first vault, at version 1."""
    call = registry.create(1, digest("head 1"), digest("root 1"), digest("keyring 1"), "https://example.org/blobs/")
    transact(registry, owner, call)
    return registry.vault_id_of(owner.address, 1)


def in_a_day(registry: Registry) -> datetime:
    return registry.latest().time + timedelta(days=1)


# Reads ----------------------------------------------------------------------------------------------------------------


def test_record__after_create__has_all_fields_of_one_block(registry, owner, vault):
    record = registry.record(vault)
    assert record == dataclasses.replace(
        record,
        vault_id=vault,
        owner=owner.address,
        version=1,
        epoch=1,
        tenure=1,
        head_version=1,
        head_epoch=1,
        content_hash=digest("head 1"),
        memory_root=digest("root 1"),
        keyring_hash=digest("keyring 1"),
        base_uri="https://example.org/blobs/",
    )
    assert not record.locked
    assert record.block == registry.latest()
    assert abs(record.block.time - datetime.now(UTC)) < timedelta(days=400)


def test_record__of_an_older_block__as_it_was(registry, owner, vault):
    before = registry.record(vault)
    transact(registry, owner, registry.commit(vault, 1, 1, digest("head 2"), digest("root 2")))
    assert registry.record(vault).version == 2
    assert registry.record(vault, before.block.number) == before


def test_record__of_a_block_to_come__node_unreachable(registry, vault):
    with pytest.raises(NodeUnreachable, match="no block 999999"):
        registry.record(vault, 999_999)


def test_record__unknown_vault__says_so(registry):
    with pytest.raises(UnknownVault, match="0x1111"):
        registry.record(b"\x11" * 32)


@pytest.mark.parametrize("vault_id", [b"", b"\x11" * 31, b"\x11" * 33, "text"])
def test_record__not_a_vault_id__invalid_request(registry, vault_id):
    with pytest.raises(InvalidRequest):
        registry.record(vault_id)


def test_record__after_rotate__locked_until_a_commit_brings_a_keyring(registry, owner, vault):
    transact(registry, owner, registry.rotate(vault))
    record = registry.record(vault)
    assert (record.locked, record.version, record.head_version) == (True, 2, 1)
    assert (record.epoch, record.head_epoch) == (2, 1)
    transact(registry, owner, registry.commit(vault, 2, 2, digest("head 3"), digest("root 3"), digest("keyring 2")))
    record = registry.record(vault)
    assert (record.locked, record.head_version, record.head_epoch) == (False, 3, 2)


def test_record__lag_at_its_end__asks_the_log(chain, registry, owner, vault):
    transact(registry, owner, registry.commit(vault, 1, 2, digest("head 2"), digest("root 2"), digest("keyring 2")))
    rotations = [registry.rotate(vault)] * 100
    for _ in range(3):
        transact(registry, owner, registry.multicall(rotations))
    record = registry.record(vault)
    assert (record.version, record.epoch) == (302, 302)
    assert (record.head_version, record.head_epoch) == (2, 2)
    assert record.version - record.head_version > LAG_MAX
    assert record.locked

    def without_logs(method, _, response):
        return response | {"result": []} if method == "eth_getLogs" else response

    with lying(chain.rpc_url, without_logs) as url, pytest.raises(NodeUnreachable, match="last commit"):
        Registry.connect(url).record(vault)


def test_record__closed_vault__without_owner_and_else_as_it_was(registry, owner, vault):
    before = registry.record(vault)
    transact(registry, owner, Call("close", (vault, 1, bytes(32))))
    closed = registry.record(vault)
    assert closed == dataclasses.replace(before, owner="0x" + "0" * 40, version=2, block=registry.latest())


def test_vault_id_of__same_as_the_contract_says(registry, owner):
    for salt in (1, 2, 2**255):
        said = contract_of(registry).functions.vaultIdOf(owner.address, salt).call()
        assert registry.vault_id_of(owner.address, salt) == said


def test_vaults__in_the_order_of_creation(registry, owner):
    assert (registry.vault_count(owner.address), registry.vaults(owner.address)) == (0, [])
    for salt in (1, 2):
        transact(registry, owner, registry.create(salt, digest("head"), EMPTY_LOG, digest("keyring"), ""))
    assert registry.vault_count(owner.address) == 2
    assert [registry.record(vault).owner for vault in registry.vaults(owner.address)] == [owner.address] * 2
    assert len(set(registry.vaults(owner.address))) == 2


def test_vaults__given_away_closed_and_taken_over__only_those_owned_and_once(registry, owner, reader):
    for salt in (1, 2, 3):
        transact(registry, owner, registry.create(salt, digest("head"), EMPTY_LOG, digest("keyring"), ""))
    given, closed, kept = registry.vaults(owner.address)
    transact(registry, owner, Call("close", (closed, 1, bytes(32))))
    for version, former, new in ((1, owner, reader), (3, reader, owner), (5, owner, reader)):
        transact(registry, former, Call("offer", (given, version, new.address, 2**40 - 1)))
        transact(registry, new, Call("accept", (given,)))
        assert registry.vaults(owner.address) == ([given, kept] if new is owner else [kept])
        assert registry.vaults(reader.address) == ([given] if new is reader else [])


def test_grants__by_event_and_state__only_those_that_stand(registry, chain, owner, reader, vault):
    gone, late = chain.wallet().address, chain.wallet().address
    expires = in_a_day(registry)
    transact(registry, owner, registry.grant(vault, 1, gone, 1, expires, KEY_ID))
    transact(registry, owner, registry.grant(vault, 2, reader.address, 3, expires, KEY_ID, digest("keyring 2")))
    transact(registry, owner, registry.grant(vault, 3, reader.address, 7, expires, KEY_ID))
    transact(registry, owner, registry.revoke(vault, gone))
    new = registry.commit(vault, 5, 2, digest("head 6"), digest("root 6"), digest("keyring 3"))
    transact(registry, owner, new)
    transact(registry, owner, registry.grant(vault, 6, late, 1, datetime.max.replace(tzinfo=UTC), KEY_ID))
    raised, lasting = registry.grants(vault)
    assert (raised.grantee, raised.rights, raised.version, raised.key_id) == (reader.address, 7, 4, KEY_ID)
    assert (raised.expires, raised.living) == (expires, True)
    assert (lasting.grantee, lasting.expires.year) == (late, 9999)
    assert registry.grant_of(vault, reader.address) == raised
    assert registry.grant_of(vault, gone) is None
    transact(registry, owner, registry.revoke_all(vault))
    assert registry.grants(vault) == []
    assert registry.grant_of(vault, reader.address) is None


def test_grants__expired__listed_and_not_living(registry, chain, owner, reader, vault):
    transact(registry, owner, registry.grant(vault, 1, reader.address, 1, in_a_day(registry), KEY_ID))
    assert registry.can_read(vault, reader.address)
    chain.pass_time(86_400)
    [grant] = registry.grants(vault)
    assert not grant.living
    assert not registry.can_read(vault, reader.address)


def test_grants__unknown_vault__says_so(registry, reader):
    with pytest.raises(UnknownVault):
        registry.grants(b"\x11" * 32)
    with pytest.raises(UnknownVault):
        registry.grant_of(b"\x11" * 32, reader.address)


def test_can_read__owner_yes__others_and_unknown_vaults_no(registry, owner, reader, vault):
    assert registry.can_read(vault, owner.address)
    assert not registry.can_read(vault, reader.address)
    assert not registry.can_read(b"\x11" * 32, owner.address)


def test_commits__creation_first__with_blocks_hashes_and_actors(registry, chain, owner, reader, vault):
    created = registry.latest()
    transact(registry, owner, registry.grant(vault, 1, reader.address, 2, in_a_day(registry), KEY_ID))
    by_reader = transact(registry, reader, registry.commit(vault, 2, 1, digest("head 3"), digest("root 3")))
    transact(registry, owner, registry.commit(vault, 3, 2, digest("head 4"), digest("root 4"), digest("keyring 2")))
    first, second, third = registry.commits(vault)
    assert (first.version, first.epoch, first.content_hash) == (1, 1, digest("head 1"))
    assert (first.keyring_hash, first.actor, first.block_number) == (digest("keyring 1"), owner.address, created.number)
    assert (second.version, second.keyring_hash, second.actor) == (3, None, reader.address)
    assert (second.tx_hash, second.block_number) == (by_reader.tx_hash, by_reader.block.number)
    assert (third.version, third.epoch, third.memory_root) == (4, 2, digest("root 4"))
    assert third.keyring_hash == digest("keyring 2")
    assert registry.commits(vault, by_reader.block.number) == [second, third]
    assert registry.commits(b"\x11" * 32) == []


def test_commits__node_limits_the_range__halves_until_it_answers(registry, chain, owner, vault):
    transact(registry, owner, registry.commit(vault, 1, 1, digest("head 2"), digest("root 2")))
    chain.mine(500)
    asked = []

    def limited(method, params, response):
        if method == "eth_getLogs":
            first, last = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))
            asked.append((first, last))
            if last - first >= 200:
                error = {"code": -32005, "message": "block range too large"}
                return {"jsonrpc": "2.0", "id": response["id"], "error": error}
        return response

    with lying(chain.rpc_url, limited) as url:
        assert Registry.connect(url).commits(vault) == registry.commits(vault)
    served = sorted((first, last) for first, last in asked if last - first < 200)
    assert served[0][0] == 0
    assert served[-1][1] == registry.latest().number
    assert all(last + 1 == first for (_, last), (first, _) in itertools.pairwise(served))


def test_commits__node_refuses_every_range__gives_up(registry, chain, vault):
    def never(method, _, response):
        error = {"code": -32000, "message": "logs are pruned"}
        return {"jsonrpc": "2.0", "id": response["id"], "error": error} if method == "eth_getLogs" else response

    with lying(chain.rpc_url, never) as url, pytest.raises(NodeUnreachable, match="logs are pruned"):
        Registry.connect(url).commits(vault)


def test_commits__log_of_another_vault__not_believed(registry, chain, owner, vault):
    transact(registry, owner, registry.create(2, digest("head"), EMPTY_LOG, digest("keyring"), ""))
    other = registry.vault_id_of(owner.address, 2)

    def mixed(method, params, response):
        if method == "eth_getLogs":
            params[0]["topics"][1] = "0x" + other.hex()
            return response | {"result": chain.node.request("eth_getLogs", params[0])}
        return response

    with lying(chain.rpc_url, mixed) as url, pytest.raises(NodeUnreachable):
        Registry.connect(url).commits(vault)


def test_proves_memory__only_the_right_leaf_place_and_shape(registry, owner, vault):
    leaves = [digest("leaf 0"), digest("leaf 1")]
    proof = contract_of(registry).functions.memoryRootFrom(leaves[0], 0, 1, []).call()
    transact(registry, owner, registry.commit(vault, 1, 1, digest("head 2"), proof))
    at = registry.latest().number
    assert registry.proves_memory(vault, leaves[0], 0, 1, [])
    assert not registry.proves_memory(vault, leaves[1], 0, 1, [])
    assert not registry.proves_memory(vault, leaves[0], 0, 1, [digest("more")])
    assert not registry.proves_memory(vault, leaves[0], 1, 1, [])
    transact(registry, owner, registry.commit(vault, 2, 1, digest("head 3"), digest("root 3")))
    assert not registry.proves_memory(vault, leaves[0], 0, 1, [])
    assert registry.proves_memory(vault, leaves[0], 0, 1, [], block=at)
    with pytest.raises(UnknownVault):
        registry.proves_memory(b"\x11" * 32, leaves[0], 0, 1, [])


def test_balance__of_an_account(registry, chain, owner):
    assert registry.balance(chain.wallet(7).address) == 7
    with pytest.raises(InvalidRequest):
        registry.balance(owner.address.replace("0x", "0y"))


# Writes ---------------------------------------------------------------------------------------------------------------


def test_refusals__one_meaning_for_each_error_of_the_contract():
    entries = {entry["name"]: entry for entry in load_artifact()["abi"] if entry["type"] == "error"}
    assert set(entries) == set(MEANINGS)
    for name, (cause, next_step) in MEANINGS.items():
        assert cause.format(**{argument["name"]: 1 for argument in entries[name]["inputs"]})
        assert next_step


@pytest.mark.parametrize("data", [None, {}, "", "0x", "0x12345678", "0x" + "00" * 4, "0xf00dzz", "text"])
def test_refused__reason_of_no_known_form__says_so(data):
    assert refused(load_artifact()["abi"], data).error is None


def test_prepare__version_taken__nothing_signed(registry, owner, vault):
    transact(registry, owner, registry.commit(vault, 1, 1, digest("head 2"), digest("root 2")))
    with pytest.raises(VersionTaken, match="at version 2, this builds on 1") as error:
        registry.prepare(registry.commit(vault, 1, 1, digest("other"), digest("root 2")), owner.address)
    assert error.value.error == "WrongVersion"
    assert registry.record(vault).version == 2


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda registry, vault, who: registry.commit(vault, 1, 1, digest("head 1"), EMPTY_LOG), "ContentUnchanged"),
        (lambda registry, vault, who: registry.commit(vault, 1, 2, digest("head 2"), EMPTY_LOG), "KeyringRequired"),
        (lambda registry, vault, who: registry.commit(vault, 1, 9, digest("head 2"), EMPTY_LOG), "WrongEpoch"),
        (lambda registry, vault, who: registry.revoke(vault, who), "NoGrant"),
        (lambda registry, vault, who: registry.set_base_uri(vault, 1, "x" * 257), "BaseURITooLong"),
        (lambda registry, vault, who: registry.rotate(b"\x11" * 32), "UnknownVault"),
        (lambda registry, vault, who: registry.create(7, digest("x"), EMPTY_LOG, digest("y"), ""), "WrongSalt"),
        (
            lambda registry, vault, who: registry.grant(vault, 1, who, 1, datetime(2020, 1, 1, tzinfo=UTC), KEY_ID),
            "ExpiryNotInFuture",
        ),
        (
            lambda registry, vault, who: registry.multicall([registry.rotate(vault), registry.revoke(vault, who)]),
            "NoGrant",
        ),
        (lambda registry, vault, who: Call("multicall", ([b"none"],)), "FailedCall"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_prepare__contract_refuses__named(registry, owner, reader, vault, make, name):
    with pytest.raises(TransactionRefused) as error:
        registry.prepare(make(registry, vault, reader.address), owner.address)
    assert error.value.error == name
    assert error.value.next_step


def test_prepare__stranger__named_with_the_account(registry, reader, vault):
    with pytest.raises(TransactionRefused, match=reader.address.lower()) as error:
        registry.prepare(registry.rotate(vault), reader.address)
    assert error.value.error == "NotOwner"


def test_prepare__arguments_of_wrong_types__invalid_request(registry, owner, vault):
    with pytest.raises(InvalidRequest):
        registry.prepare(registry.commit(vault, 2**32, 1, digest("head"), EMPTY_LOG), owner.address)
    with pytest.raises(InvalidRequest):
        registry.prepare(registry.commit(vault, 1, 1, b"short", EMPTY_LOG), owner.address)
    with pytest.raises(InvalidRequest):
        registry.grant(vault, 1, owner.address, 1, datetime(2030, 1, 1), KEY_ID)
    with pytest.raises(InvalidRequest):
        registry.prepare(registry.rotate(vault), "0x1234")


def test_prepare__too_little_on_the_account__says_how_much_is_missing(registry, chain):
    poor = chain.wallet(10**9)
    call = registry.create(1, digest("head"), EMPTY_LOG, digest("keyring"), "")
    with pytest.raises(InsufficientFunds, match=r"lacks 0\.0\d+ coins"):
        registry.prepare(call, poor.address)


def test_prepare__more_gas_than_a_chain_takes__refused(registry, chain, owner, vault):
    with lying(chain.rpc_url, result_of("eth_estimateGas", hex(MAX_GAS + 1))) as url:
        small = Registry.connect(url)
        with pytest.raises(TransactionRefused, match="more than 16,777,216"):
            small.prepare(registry.rotate(vault), owner.address)


def test_sign__hash_is_known_before_sending(registry, owner, vault):
    prepared = registry.prepare(registry.rotate(vault), owner.address)
    assert 0 < prepared.gas < prepared.gas_limit <= MAX_GAS
    signed = registry.sign(prepared, owner)
    assert not registry.transaction_known(signed.tx_hash)
    assert registry.receipt(signed.tx_hash) is None
    registry.send(signed)
    receipt = registry.wait(signed.tx_hash, timeout=60)
    assert receipt.tx_hash == signed.tx_hash
    assert receipt.gas_used <= prepared.gas
    assert receipt == registry.receipt(signed.tx_hash)
    assert registry.transaction_known(signed.tx_hash)


def test_sign__another_wallet__invalid_request(registry, owner, reader, vault):
    with pytest.raises(InvalidRequest):
        registry.sign(registry.prepare(registry.rotate(vault), owner.address), reader)


def test_send__twice__is_one_transaction(registry, owner, vault):
    signed = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    registry.send(signed)
    registry.send(signed)
    registry.wait(signed.tx_hash, timeout=60)
    registry.send(signed)
    assert registry.record(vault).version == 2


def test_send__waiting_already__is_no_error(registry, chain, owner, vault):
    signed = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    chain.node.request("evm_setAutomine", False)
    try:
        registry.send(signed)
        registry.send(signed)
        assert registry.transaction_known(signed.tx_hash)
        with pytest.raises(TransactionPending, match=signed.tx_hash.hex()):
            registry.wait(signed.tx_hash, timeout=0.2)
    finally:
        chain.node.request("evm_setAutomine", True)
        chain.node.request("evm_mine")
    assert registry.wait(signed.tx_hash, timeout=60)


def test_send__another_transaction_took_the_nonce__refused(registry, owner, vault):
    first = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    second = registry.sign(registry.prepare(registry.revoke_all(vault), owner.address), owner)
    assert first.nonce == second.nonce
    registry.send(first)
    registry.wait(first.tx_hash, timeout=60)
    with pytest.raises(TransactionRefused, match=f"took number {second.nonce}"):
        registry.send(second)


def test_send__funds_gone_since__insufficient_funds(registry, chain, owner, vault):
    signed = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    chain.node.request("anvil_setBalance", owner.address, hex(5))
    with pytest.raises(InsufficientFunds):
        registry.send(signed)


def test_prepare__with_a_nonce__replaces_what_waits(registry, chain, owner, vault):
    chain.node.request("evm_setAutomine", False)
    try:
        stuck = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
        registry.send(stuck)
        prepared = registry.prepare(registry.revoke_all(vault), owner.address, nonce=stuck.nonce)
        dearer = dataclasses.replace(prepared, max_fee=2 * prepared.max_fee, priority_fee=2 * prepared.priority_fee + 1)
        signed = registry.sign(dearer, owner)
        registry.send(signed)
    finally:
        chain.node.request("evm_setAutomine", True)
        chain.node.request("evm_mine")
    assert registry.wait(signed.tx_hash, timeout=60)
    assert registry.receipt(stuck.tx_hash) is None


def test_wait__reverted_since_another_was_first__version_taken(registry, chain, owner, reader, vault):
    transact(registry, owner, registry.grant(vault, 1, reader.address, 2, in_a_day(registry), KEY_ID))
    chain.node.request("evm_setAutomine", False)
    try:
        sent = []
        for wallet, text, fee in ((owner, "mine", 2 * 10**9), (reader, "theirs", 10**9)):
            call = registry.commit(vault, 2, 1, digest(text), digest("root"))
            prepared = dataclasses.replace(registry.prepare(call, wallet.address), max_fee=10**10, priority_fee=fee)
            sent.append(registry.sign(prepared, wallet))
            registry.send(sent[-1])
    finally:
        chain.node.request("evm_setAutomine", True)
        chain.node.request("evm_mine")
    won, lost = sent
    assert registry.wait(won.tx_hash, timeout=60)
    with pytest.raises(VersionTaken, match="at version 3, this builds on 2"):
        registry.wait(lost.tx_hash, timeout=60)
    assert registry.record(vault).content_hash == digest("mine")


def test_wait__out_of_gas__refused(registry, owner, vault):
    prepared = dataclasses.replace(registry.prepare(registry.rotate(vault), owner.address), gas_limit=22_500)
    signed = registry.sign(prepared, owner)
    registry.send(signed)
    with pytest.raises(TransactionRefused, match="want of gas"):
        registry.wait(signed.tx_hash, timeout=60)


def test_wait__confirmations__only_when_they_are_there(registry, chain, owner, vault):
    signed = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    registry.send(signed)
    receipt = registry.wait(signed.tx_hash, timeout=60)
    with pytest.raises(TransactionPending, match="too few blocks"):
        registry.wait(signed.tx_hash, timeout=0.2, confirmations=3)
    chain.mine(3)
    assert registry.wait(signed.tx_hash, timeout=60, confirmations=3) == receipt


def test_receipt__of_another_transaction__not_believed(registry, chain, owner, vault):
    mine = transact(registry, owner, registry.rotate(vault))
    other = transact(registry, owner, registry.rotate(vault))

    def mixed(method, params, response):
        if method == "eth_getTransactionReceipt":
            return response | {"result": chain.node.request(method, "0x" + other.tx_hash.hex())}
        return response

    with lying(chain.rpc_url, mixed) as url, pytest.raises(NodeUnreachable):
        Registry.connect(url).receipt(mine.tx_hash)


def test_send__node_names_another_hash__not_believed(registry, chain, owner, vault):
    def mixed(method, _, response):
        return response | {"result": "0x" + "11" * 32} if method == "eth_sendRawTransaction" else response

    signed = registry.sign(registry.prepare(registry.rotate(vault), owner.address), owner)
    with lying(chain.rpc_url, mixed) as url, pytest.raises(NodeUnreachable, match="names another one"):
        Registry.connect(url).send(signed)
    assert registry.wait(signed.tx_hash, timeout=60)  # it had arrived all the same
