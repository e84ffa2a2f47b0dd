"""Invariants 3, 4, 7, 9 and 10."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import DAY, assert_event, commit, create, grant, grant_of, key_id, record_of, refused, word
from .model import KEYS, NONE, READ, WRITE, ZERO_ADDRESS, Grant


def test_grant__without_keyring__stores_the_grant_alone(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    before = record_of(registry, vault)

    receipt = grant(registry, vault, owner, reader, soon)

    assert grant_of(registry, vault, reader) == Grant(soon, READ, 2, key_id("key 1"))
    assert record_of(registry, vault) == before._replace(version=2, headLag=1)
    assert_event(
        registry,
        receipt,
        "Granted",
        vaultId=vault,
        actor=owner.address,
        grantee=reader.address,
        rights=READ,
        expiresAt=soon,
        keyId=key_id("key 1"),
        version=2,
        keyringHash=NONE,
    )


def test_grant__with_keyring__brings_both(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    before = record_of(registry, vault)

    receipt = grant(registry, vault, owner, reader, soon, keyring=word("keyring 2"))

    assert grant_of(registry, vault, reader) == Grant(soon, READ, 2, key_id("key 1"))
    assert record_of(registry, vault) == before._replace(version=2, headLag=1, keyringHash=word("keyring 2"))
    assert_event(
        registry,
        receipt,
        "Granted",
        vaultId=vault,
        actor=owner.address,
        grantee=reader.address,
        rights=READ,
        expiresAt=soon,
        keyId=key_id("key 1"),
        version=2,
        keyringHash=word("keyring 2"),
    )


@pytest.mark.parametrize("number", [1, 2**256 - 1], ids=["lowest", "highest"])
def test_grant__any_other_keyring__is_taken(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int, number: int
) -> None:
    grant(registry, vault, owner, reader, soon, keyring=number.to_bytes(32))

    assert record_of(registry, vault).keyringHash == number.to_bytes(32)


@pytest.mark.parametrize("rights", [READ | WRITE | KEYS, 0xF8, 0xFF])
def test_grant__any_bits__are_stored_as_they_are(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int, rights: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=rights)

    assert grant_of(registry, vault, reader).rights == rights


def test_grant__longest_expiry__is_stored(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes
) -> None:
    grant(registry, vault, owner, reader, 2**40 - 1)

    assert grant_of(registry, vault, reader).expiresAt == 2**40 - 1


def test_grant__two_readers__keep_each_their_own(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    grant(registry, vault, owner, writer, soon + 1, version=2, rights=WRITE, key=key_id("key 2"))

    assert grant_of(registry, vault, reader) == Grant(soon, READ, 2, key_id("key 1"))
    assert grant_of(registry, vault, writer) == Grant(soon + 1, WRITE, 3, key_id("key 2"))


def test_grant__one_vault__says_nothing_of_another(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    create(registry, owner, salt=2)

    grant(registry, vault, owner, reader, soon)

    assert grant_of(registry, bytes(registry.vaultIdOf(owner, 2)), reader) == Grant()


@pytest.mark.parametrize(
    ("rights", "longer"), [(READ | WRITE, 0), (READ, 1), (READ | WRITE | 0x80, DAY)], ids=["rights", "time", "both"]
)
def test_grant__raising_a_living_one__replaces_it(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
    rights: int,
    longer: int,
) -> None:
    grant(registry, vault, owner, reader, soon)

    grant(registry, vault, owner, reader, soon + longer, version=2, rights=rights)

    assert grant_of(registry, vault, reader) == Grant(soon + longer, rights, 3, key_id("key 1"))


def test_grant__in_place_of_an_expired_one__may_be_any(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon, rights=READ | WRITE)

    chain.pending_timestamp = soon
    grant(registry, vault, owner, reader, soon + 1, version=2, rights=READ, key=key_id("key 2"))

    assert grant_of(registry, vault, reader) == Grant(soon + 1, READ, 3, key_id("key 2"))


def test_grant__after_revoke_and_commit__may_be_any(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=READ | WRITE)
    registry.revoke(vault, reader, sender=owner)
    commit(registry, vault, owner, version=3, epoch=2, keyring=word("keyring 2"))

    grant(registry, vault, owner, reader, soon - 1, version=4, rights=WRITE, key=key_id("key 2"))

    assert grant_of(registry, vault, reader) == Grant(soon - 1, WRITE, 5, key_id("key 2"))


def test_grant__unknown_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, soon: int
) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        grant(registry, vault, owner, reader, soon)


def test_grant__stranger__is_refused(
    registry: ContractInstance, stranger: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        grant(registry, vault, stranger, reader, soon)


def test_grant__grantee_with_all_rights__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, writer, soon, rights=0xFF)
    with refused(registry, "NotOwner", vaultId=vault, account=writer.address):
        grant(registry, vault, writer, reader, soon, version=2)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_grant__another_version__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int, version: int
) -> None:
    commit(registry, vault, owner)
    with refused(registry, "WrongVersion", vaultId=vault, expected=version, current=2):
        grant(registry, vault, owner, reader, soon, version=version)


def test_grant__locked__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.rotate(vault, sender=owner)
    with refused(registry, "VaultLocked", vaultId=vault, epoch=2):
        grant(registry, vault, owner, reader, soon, version=2, keyring=word("keyring 2"))


def test_grant__zero_address__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "ZeroGrantee"):
        grant(registry, vault, owner, ZERO_ADDRESS, soon)


def test_grant__owner_itself__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "GranteeIsOwner", vaultId=vault, grantee=owner.address):
        grant(registry, vault, owner, owner, soon)


def test_grant__no_rights__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "NoRights"):
        grant(registry, vault, owner, reader, soon, rights=0)


def test_grant__no_key__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "ZeroKeyId"):
        grant(registry, vault, owner, reader, soon, key=bytes(20))


@pytest.mark.parametrize("early", [0, 1, DAY])
def test_grant__expiry_not_after_the_block__is_refused(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
    early: int,
) -> None:
    chain.pending_timestamp = soon
    with refused(registry, "ExpiryNotInFuture", expiresAt=soon - early, currentTime=soon):
        grant(registry, vault, owner, reader, soon - early)


@pytest.mark.parametrize("late", [1, 2**40, 2**256 - 2**40])
def test_grant__expiry_beyond_forty_bits__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, late: int
) -> None:
    latest = 2**40 - 1
    with refused(registry, "ExpiryTooLate", expiresAt=latest + late, latest=latest):
        grant(registry, vault, owner, reader, latest + late)
    grant(registry, vault, owner, reader, latest)
    assert grant_of(registry, vault, reader).expiresAt == latest


@pytest.mark.parametrize(
    ("rights", "shorter", "key"),
    [(READ, 0, "key 1"), (READ | KEYS, 0, "key 1"), (READ | WRITE, 1, "key 1"), (0xFF, 0, "key 2"), (0xFF, 0, "key 3")],
    ids=["fewer", "others", "shorter", "smaller-key", "larger-key"],
)
def test_grant__lowering_a_living_one__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
    rights: int,
    shorter: int,
    key: str,
) -> None:
    grant(registry, vault, owner, reader, soon, rights=READ | WRITE)
    with refused(registry, "GrantLowered", vaultId=vault, grantee=reader.address):
        grant(registry, vault, owner, reader, soon - shorter, version=2, rights=rights, key=key_id(key))


def test_grant__lowering_in_its_last_second__is_refused(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, reader, soon)
    chain.pending_timestamp = soon - 1
    with refused(registry, "GrantLowered", vaultId=vault, grantee=reader.address):
        grant(registry, vault, owner, reader, soon, version=2, key=key_id("key 2"))


@pytest.mark.parametrize("keyring", [NONE, word("keyring 2")], ids=["alone", "with-keyring"])
def test_grant__same_again__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int, keyring: bytes
) -> None:
    grant(registry, vault, owner, reader, soon)
    with refused(registry, "GrantUnchanged", vaultId=vault, grantee=reader.address):
        grant(registry, vault, owner, reader, soon, version=2, keyring=keyring)


def test_grant__same_keyring__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    with refused(registry, "KeyringUnchanged", vaultId=vault, keyringHash=word("keyring 1")):
        grant(registry, vault, owner, reader, soon, keyring=word("keyring 1"))


def test_grant__all_wrong__is_refused_in_the_documented_order(
    registry: ContractInstance, chain: ChainManager, owner: TestAccountAPI, vault: bytes, soon: int
) -> None:
    now = soon
    chain.pending_timestamp = now
    with refused(registry, "WrongVersion", vaultId=vault, expected=9, current=1):
        grant(registry, vault, owner, ZERO_ADDRESS, 0, version=9, rights=0, key=bytes(20))
    with refused(registry, "ZeroGrantee"):
        grant(registry, vault, owner, ZERO_ADDRESS, 0, rights=0, key=bytes(20))
    with refused(registry, "GranteeIsOwner", vaultId=vault, grantee=owner.address):
        grant(registry, vault, owner, owner, 0, rights=0, key=bytes(20))

    registry.rotate(vault, sender=owner)
    with refused(registry, "VaultLocked", vaultId=vault, epoch=2):
        grant(registry, vault, owner, ZERO_ADDRESS, 0, version=2, rights=0, key=bytes(20))
