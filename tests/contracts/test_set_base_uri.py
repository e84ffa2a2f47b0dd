"""Invariants 3, 4, 8 and 13."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import URI, assert_event, commit, grant, record_of, refused, word


@pytest.mark.parametrize("uri", ["", "ipfs://f01551220", "x" * 31, "x" * 32, "x" * 256, "https://例え.example/"])
def test_set_base_uri__another__changes_it_alone(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, uri: str
) -> None:
    before = record_of(registry, vault)

    receipt = registry.setBaseURI(vault, 1, uri, sender=owner)

    assert record_of(registry, vault) == before._replace(version=2, headLag=1, baseURI=uri)
    assert_event(registry, receipt, "BaseURISet", vaultId=vault, actor=owner.address, version=2, baseURI=uri)


def test_set_base_uri__long_then_short__leaves_nothing_of_the_long(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.setBaseURI(vault, 1, "x" * 256, sender=owner)
    registry.setBaseURI(vault, 2, "y", sender=owner)

    assert record_of(registry, vault).baseURI == "y"


def test_set_base_uri__locked__is_taken_and_stays_locked(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.rotate(vault, sender=owner)

    registry.setBaseURI(vault, 2, "", sender=owner)

    assert record_of(registry, vault)[1:6] == (3, 2, 1, 2, 1)


def test_set_base_uri__300_writes__stop_the_head_lag_at_255_alone(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    calls = [registry.setBaseURI.encode_input(vault, n, "a" if n % 2 else "b") for n in range(1, 301)]

    registry.multicall(calls[:254], sender=owner)
    assert record_of(registry, vault)[1:6] == (255, 1, 1, 254, 0)
    registry.multicall(calls[254:], sender=owner)
    assert record_of(registry, vault)[1:6] == (301, 1, 1, 255, 0)


def test_set_base_uri__unknown_vault__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        registry.setBaseURI(vault, 1, "", sender=owner)


def test_set_base_uri__stranger__is_refused(registry: ContractInstance, stranger: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        registry.setBaseURI(vault, 1, "", sender=stranger)


def test_set_base_uri__writer_with_all_rights__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        registry.setBaseURI(vault, 2, "", sender=writer)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_set_base_uri__another_version__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, version: int
) -> None:
    commit(registry, vault, owner)
    with refused(registry, "WrongVersion", vaultId=vault, expected=version, current=2):
        registry.setBaseURI(vault, version, "", sender=owner)


def test_set_base_uri__above_256_bytes__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    with refused(registry, "BaseURITooLong", length=257, maxLength=256):
        registry.setBaseURI(vault, 1, "x" * 257, sender=owner)


def test_set_base_uri__same__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "BaseURIUnchanged", vaultId=vault):
        registry.setBaseURI(vault, 1, URI, sender=owner)
