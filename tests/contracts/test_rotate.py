"""Invariants 3, 5, 6, 8, 10, 14 and 16."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import assert_event, commit, end_counter, grant, grant_of, panics, record_of, refused, word
from .model import WRITE


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
