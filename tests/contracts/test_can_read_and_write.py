"""`canRead` and `canWrite`. Invariants 10, 11 and 12."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import commit, grant, key_id, word
from .model import KEYS, READ, WRITE, ZERO_ADDRESS

HIGHEST_ADDRESS = "0x" + "ff" * 20


def answers(registry: ContractInstance, vault: bytes, account: TestAccountAPI | str) -> tuple[bool, bool]:
    return registry.canRead(vault, account), registry.canWrite(vault, account)


def test_can__owner__may_both(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    assert answers(registry, vault, owner) == (True, True)


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (READ, (True, False)),
        (WRITE, (False, True)),
        (READ | WRITE, (True, True)),
        (KEYS, (False, False)),
        (0xF8, (False, False)),
        (0xFF, (True, True)),
    ],
)
def test_can__grantee__may_what_its_bits_say(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
    rights: int,
    expected: tuple[bool, bool],
) -> None:
    grant(registry, vault, owner, reader, soon, rights=rights)

    assert answers(registry, vault, reader) == expected


def test_can__stranger_and_zero_address__may_nothing(
    registry: ContractInstance, stranger: TestAccountAPI, vault: bytes
) -> None:
    for account in (stranger, ZERO_ADDRESS, HIGHEST_ADDRESS, registry.address):
        assert answers(registry, vault, account) == (False, False)


def test_can__unknown_vault__is_false_for_everyone(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    following = bytes(registry.vaultIdOf(owner, 1))
    for vault in (bytes(32), b"\xff" * 32, following, word("no vault")):
        for account in (owner, stranger, ZERO_ADDRESS, HIGHEST_ADDRESS):
            assert answers(registry, vault, account) == (False, False)


def test_can__expiry__ends_it_on_the_second(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon, rights=READ | WRITE)

    chain.mine(timestamp=soon - 1)
    assert answers(registry, vault, reader) == (True, True)
    chain.mine(timestamp=soon)
    assert answers(registry, vault, reader) == (False, False)


def test_can__locked__is_as_before(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)

    registry.rotate(vault, sender=owner)

    assert answers(registry, vault, owner) == (True, True)
    assert answers(registry, vault, reader) == (True, False)


def test_can__revoked__may_nothing(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=0xFF)

    registry.revoke(vault, reader, sender=owner)

    assert answers(registry, vault, reader) == (False, False)


def test_can__grant_of_an_earlier_tenure__stays_void(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=0xFF)
    registry.revokeAll(vault, sender=owner)
    commit(registry, vault, owner, version=3, epoch=2, keyring=word("keyring 2"))
    assert answers(registry, vault, reader) == (False, False)

    grant(registry, vault, owner, reader, soon, version=4, rights=READ, key=key_id("key 2"))
    assert answers(registry, vault, reader) == (True, False)
