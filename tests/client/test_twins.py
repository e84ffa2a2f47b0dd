"""Signed twins: what an account signs is what the contract takes from anyone, for every call of the registry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from eth_utils import keccak

from memsync_client.errors import InvalidRequest
from memsync_client.registry import Registry
from memsync_client.transactions import Call
from memsync_client.twins import Twin, signed_calls, twins_of
from memsync_client.wallet import Wallet
from tests.nodes import Chain, running_chain, transact


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """An anvil of this file's own, whose time runs ahead."""
    with running_chain() as started:
        yield started


def word(text: str) -> bytes:
    return keccak(text=text)


def relayed(registry: Registry, payer: Wallet, signer: Wallet, call: Call) -> list[Twin]:
    """Has ``payer`` send what ``signer`` signs, and returns what a relayer reads in it."""
    deadline = int(registry.next_time().timestamp()) + 600
    twins = twins_of(registry, call, signer.address, deadline)
    calls = [twin.call(registry.sign_typed_data(twin.typed_data(registry), signer)) for twin in twins]
    sent = calls[0] if len(calls) == 1 else registry.multicall(calls)
    transact(registry, payer, sent)
    read = signed_calls(registry.abi, registry.encode(sent))
    assert [(twin.verb, twin.account, twin.deadline) for twin in read] == [
        (twin.verb, signer.address, deadline) for twin in twins
    ]
    return read


def test_twins__of_every_call__do_what_it_does(chain: Chain) -> None:
    registry, payer = chain.registry(), chain.wallet()
    owner, buyer, rescuer, heir = (chain.wallet(0) for _ in range(4))
    vault, reader = registry.vault_id_of(owner.address, 1), "0x" + "11" * 20

    def act(signer: Wallet, *calls: Call) -> None:
        relayed(registry, payer, signer, calls[0] if len(calls) == 1 else registry.multicall(list(calls)))

    def later() -> datetime:
        return registry.next_time() + timedelta(days=1)

    act(owner, registry.create(1, word("head 1"), word("log"), word("ring 1"), "ipfs:"))
    act(owner, registry.commit(vault, 1, 1, word("head 2"), word("log 2")))
    act(owner, registry.set_base_uri(vault, 2, "evm:"))
    act(owner, registry.grant(vault, 3, reader, 1, later(), b"k" * 20))
    act(owner, registry.revoke(vault, reader))
    act(owner, registry.rotate(vault))
    act(owner, registry.revoke_all(vault))
    record = registry.record(vault)
    assert (record.version, record.epoch, record.tenure, record.base_uri) == (7, 4, 2, "evm:")
    brings = registry.commit(vault, 7, 4, word("head 3"), word("log 3"), word("ring 2"))
    act(owner, brings, registry.grant(vault, 8, reader, 1, later(), b"k" * 20))
    assert registry.can_read(vault, reader)
    act(owner, registry.offer(vault, 9, buyer.address, later()))
    act(owner, registry.cancel_offer(vault))
    assert registry.offer_of(vault) is None
    act(owner, registry.set_recovery(vault, rescuer.address))
    act(rescuer, registry.start_recovery(vault, heir.address))
    act(owner, registry.veto_recovery(vault))
    act(rescuer, registry.start_recovery(vault, heir.address))
    chain.pass_time(int(timedelta(days=22).total_seconds()))
    act(heir, registry.finish_recovery(vault))
    assert registry.record(vault).owner == heir.address
    version = registry.record(vault).version
    act(heir, registry.offer(vault, version, buyer.address, later()))
    act(buyer, registry.accept(vault))
    assert registry.record(vault).owner == buyer.address
    act(buyer, registry.close(vault, registry.record(vault).version))
    assert {registry.nonce(account.address) for account in (owner, buyer, rescuer, heir)} == {0}


def test_twins__of_a_call_that_has_none__says_so(registry: Registry, owner: Wallet) -> None:
    with pytest.raises(InvalidRequest, match="No relayer can send"):
        twins_of(registry, Call("vaultCount", (owner.address,)), owner.address, 0)
