"""Invariants 3, 5, 6, 8, 10, 14 and 16."""

from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import (
    assert_event,
    commit,
    end_counter,
    grant,
    grant_of,
    key_id,
    panics,
    record_of,
    recovery_of,
    refused,
    word,
)
from .model import NONE, WRITE


def test_rotate__new_vault__locks_it(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    before = record_of(registry, vault)

    receipt = registry.rotate(vault, sender=owner)

    assert record_of(registry, vault) == before._replace(version=2, epoch=2, headLag=1, epochLag=1)
    assert_event(registry, receipt, "Rotated", vaultId=vault, actor=owner.address, version=2, epoch=2)


def test_rotate__with_readers__leaves_their_grants(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    before = grant_of(registry, vault, writer)

    registry.rotate(vault, sender=owner)

    assert grant_of(registry, vault, writer) == before
    assert registry.canWrite(vault, writer)


def test_rotate__300_times__stops_both_lags_at_255(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    call = registry.rotate.encode_input(vault)

    registry.multicall([call] * 254, sender=owner)
    assert record_of(registry, vault)[1:6] == (255, 255, 1, 254, 254)
    registry.multicall([call] * 46, sender=owner)
    assert record_of(registry, vault)[1:6] == (301, 301, 1, 255, 255)

    commit(registry, vault, owner, version=301, epoch=301, keyring=word("keyring 2"))
    assert record_of(registry, vault)[1:6] == (302, 301, 1, 0, 0)


def test_rotate__unknown_vault__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.rotate(vault, sender=owner)


def test_rotate__stranger__is_refused(registry: ContractInstance, stranger: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        registry.rotate(vault, sender=stranger)


def test_rotate__writer_with_all_rights__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        registry.rotate(vault, sender=writer)


@pytest.mark.parametrize("lowest_bit", [160, 192], ids=["version", "epoch"])
def test_rotate__counter_at_its_end__panics(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, lowest_bit: int
) -> None:
    end_counter(registry, vault, lowest_bit, bits=32)
    with panics(registry):
        registry.rotate(vault, sender=owner)


@pytest.mark.parametrize("lowest_bit", [160, 192], ids=["version", "epoch"])
def test_writes__counter_at_its_end__panic_and_leave_everything(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    rescuer: TestAccountAPI,
    buyer: TestAccountAPI,
    vault: bytes,
    soon: int,
    lowest_bit: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    registry.offer(vault, 2, buyer, 2**40 - 1, sender=owner)
    registry.setRecovery(vault, rescuer, sender=owner)
    registry.startRecovery(vault, buyer, sender=rescuer)
    end_counter(registry, vault, lowest_bit, bits=32)
    record = record_of(registry, vault)
    calls: dict[str, tuple[Any, ...]] = {"revoke": (reader,), "revokeAll": (), "rotate": ()}
    if lowest_bit == 160:
        calls |= {
            "commit": (record.version, 1, word("head 2"), NONE, word("keyring 2")),
            "grant": (record.version, reader, 0xFF, 2**40 - 1, key_id("key 1"), NONE),
            "setBaseURI": (record.version, "evm:"),
            "offer": (record.version, reader, soon),
            "cancelOffer": (),
            "close": (record.version, NONE),
        }
    for call, arguments in calls.items():
        with panics(registry):
            getattr(registry, call)(vault, *arguments, sender=owner)
    with panics(registry):
        registry.accept(vault, sender=buyer)
    with panics(registry):
        chain.pending_timestamp = recovery_of(registry, vault).readyAt
        registry.finishRecovery(vault, sender=buyer)
    if lowest_bit == 192:
        with refused(registry, "WrongEpoch", vaultId=vault, given=0, current=2**32 - 1):
            commit(registry, vault, owner, version=record.version, epoch=0, keyring=word("keyring 2"))
