"""`contentURI` and `keyringURI`. Invariant 22."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import URI, commit, create, refused, word

EVERY_DIGIT = bytes.fromhex("000123456789abcdef" + "fedcba98765432100f" + "f0" * 14)


@pytest.mark.parametrize("uri", ["", "ipfs://f01551220", "x" * 31, "x" * 256, "https://例え.example/"])
def test_uris__any_base__end_in_the_hex_of_the_hash(
    registry: ContractInstance, owner: TestAccountAPI, uri: str
) -> None:
    create(registry, owner, content=EVERY_DIGIT, keyring=EVERY_DIGIT[::-1], base_uri=uri)
    vault = registry.vaultIdOf(owner, 1)

    assert registry.contentURI(vault) == uri + EVERY_DIGIT.hex()
    assert registry.keyringURI(vault) == uri + EVERY_DIGIT[::-1].hex()


def test_uris__after_commit_and_other_base__follow(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    assert registry.contentURI(vault) == URI + word("head 1").hex()

    commit(registry, vault, owner, keyring=word("keyring 2"))
    registry.setBaseURI(vault, 2, "evm:", sender=owner)

    assert registry.contentURI(vault) == "evm:" + word("head 2").hex()
    assert registry.keyringURI(vault) == "evm:" + word("keyring 2").hex()


@pytest.mark.parametrize("read", ["contentURI", "keyringURI"])
def test_uris__unknown_vault__is_refused(registry: ContractInstance, stranger: TestAccountAPI, read: str) -> None:
    with refused(registry, "UnknownVault", vaultId=word("no vault")):
        getattr(registry, read).transact(word("no vault"), sender=stranger)
