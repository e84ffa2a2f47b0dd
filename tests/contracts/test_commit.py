"""Invariants 3, 4, 6, 7, 8 and 9."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import assert_event, commit, grant, record_of, refused, word
from .model import KEYS, NONE, READ, WRITE


def test_commit__owner_without_keyring__moves_the_head_alone(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    before = record_of(registry, vault)

    receipt = commit(registry, vault, owner)

    assert record_of(registry, vault) == before._replace(
        version=2, contentHash=word("head 2"), memoryRoot=word("log 2")
    )
    assert_event(
        registry,
        receipt,
        "Committed",
        vaultId=vault,
        actor=owner.address,
        version=2,
        epoch=1,
        contentHash=word("head 2"),
        memoryRoot=word("log 2"),
        keyringHash=NONE,
    )


def test_commit__owner_with_keyring__changes_it_too(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    before = record_of(registry, vault)

    receipt = commit(registry, vault, owner, root=word("log 1"), keyring=word("keyring 2"))

    assert record_of(registry, vault) == before._replace(
        version=2, contentHash=word("head 2"), keyringHash=word("keyring 2")
    )
    assert_event(
        registry,
        receipt,
        "Committed",
        vaultId=vault,
        actor=owner.address,
        version=2,
        epoch=1,
        contentHash=word("head 2"),
        memoryRoot=word("log 1"),
        keyringHash=word("keyring 2"),
    )


@pytest.mark.parametrize("number", [1, 2**256 - 1], ids=["lowest", "highest"])
def test_commit__any_other_hash__is_taken(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, number: int
) -> None:
    """To the contract a hash is a word that is the same or another, neither smaller nor larger."""
    before = record_of(registry, vault)
    other = number.to_bytes(32)

    commit(registry, vault, owner, content=other, root=other, keyring=other)

    assert record_of(registry, vault) == before._replace(
        version=2, contentHash=other, memoryRoot=other, keyringHash=other
    )


def test_commit__next_epoch__rotates(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    before = record_of(registry, vault)

    receipt = commit(registry, vault, owner, epoch=2, keyring=word("keyring 2"))

    assert record_of(registry, vault) == before._replace(
        version=2,
        epoch=2,
        contentHash=word("head 2"),
        memoryRoot=word("log 2"),
        keyringHash=word("keyring 2"),
    )
    assert_event(
        registry,
        receipt,
        "Committed",
        vaultId=vault,
        actor=owner.address,
        version=2,
        epoch=2,
        contentHash=word("head 2"),
        memoryRoot=word("log 2"),
        keyringHash=word("keyring 2"),
    )


@pytest.mark.parametrize("epoch", [2, 3])
def test_commit__locked_with_keyring__unlocks(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, epoch: int
) -> None:
    registry.rotate(vault, sender=owner)

    commit(registry, vault, owner, version=2, epoch=epoch, keyring=word("keyring 2"))

    record = record_of(registry, vault)
    assert (record.version, record.epoch, record.headLag, record.epochLag) == (3, epoch, 0, 0)


def test_commit__after_other_writes__sets_the_lag_to_nothing(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, reader, soon)
    registry.setBaseURI(vault, 2, "", sender=owner)
    assert record_of(registry, vault).headLag == 2

    commit(registry, vault, owner, version=3)

    assert record_of(registry, vault)[1:6] == (4, 1, 1, 0, 0)


def test_commit__writer__names_the_writer(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)

    receipt = commit(registry, vault, writer, version=2)

    assert record_of(registry, vault).contentHash == word("head 2")
    assert_event(
        registry,
        receipt,
        "Committed",
        vaultId=vault,
        actor=writer.address,
        version=3,
        epoch=1,
        contentHash=word("head 2"),
        memoryRoot=word("log 2"),
        keyringHash=NONE,
    )


@pytest.mark.parametrize("epoch", [1, 2])
def test_commit__writer_with_keys__brings_a_keyring(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int, epoch: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE | KEYS)

    commit(registry, vault, writer, version=2, epoch=epoch, keyring=word("keyring 2"))

    record = record_of(registry, vault)
    assert (record.epoch, record.keyringHash) == (epoch, word("keyring 2"))


def test_commit__unknown_vault__is_refused(registry: ContractInstance, owner: TestAccountAPI) -> None:
    vault = word("no vault")
    with refused(registry, "UnknownVault", vaultId=vault):
        commit(registry, vault, owner)


def test_commit__stranger__is_refused(registry: ContractInstance, stranger: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "NotWriter", vaultId=vault, account=stranger.address):
        commit(registry, vault, stranger)


@pytest.mark.parametrize("rights", [READ, KEYS, READ | KEYS, 0xF8])
def test_commit__grantee_without_write__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, vault: bytes, soon: int, rights: int
) -> None:
    grant(registry, vault, owner, reader, soon, rights=rights)
    with refused(registry, "NotWriter", vaultId=vault, account=reader.address):
        commit(registry, vault, reader, version=2, keyring=word("keyring 2"))


def test_commit__writer_of_another_vault__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.create(2, word("head 1"), NONE, word("keyring 1"), "", sender=owner)
    grant(registry, bytes(registry.vaultIdOf(owner, 2)), owner, writer, soon, rights=WRITE)
    with refused(registry, "NotWriter", vaultId=vault, account=writer.address):
        commit(registry, vault, writer)


def test_commit__writer_until_expiry__is_refused_from_then_on(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)

    chain.pending_timestamp = soon - 1
    commit(registry, vault, writer, version=2)

    chain.pending_timestamp = soon
    with refused(registry, "NotWriter", vaultId=vault, account=writer.address):
        commit(registry, vault, writer, version=3, content=word("head 3"))


def test_commit__writer_revoked__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE | KEYS)
    registry.revoke(vault, writer, sender=owner)
    with refused(registry, "NotWriter", vaultId=vault, account=writer.address):
        commit(registry, vault, writer, version=3, epoch=2, keyring=word("keyring 2"))


@pytest.mark.parametrize("epoch", [1, 2])
def test_commit__keyring_of_writer_without_keys__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int, epoch: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=READ | WRITE)
    with refused(registry, "NotKeyBearer", vaultId=vault, account=writer.address):
        commit(registry, vault, writer, version=2, epoch=epoch, keyring=word("keyring 2"))


def test_commit__locked_by_writer_without_keys__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    registry.rotate(vault, sender=owner)
    with refused(registry, "KeyringRequired", vaultId=vault, epoch=2):
        commit(registry, vault, writer, version=3, epoch=2)


@pytest.mark.parametrize("version", [0, 1, 3, 2**32 - 1])
def test_commit__another_version__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, version: int
) -> None:
    commit(registry, vault, owner)
    with refused(registry, "WrongVersion", vaultId=vault, expected=version, current=2):
        commit(registry, vault, owner, version=version, content=word("head 3"))


@pytest.mark.parametrize("epoch", [0, 1, 4, 2**32 - 1])
def test_commit__neither_this_epoch_nor_the_next__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, epoch: int
) -> None:
    commit(registry, vault, owner, epoch=2, keyring=word("keyring 2"))
    with refused(registry, "WrongEpoch", vaultId=vault, given=epoch, current=2):
        commit(registry, vault, owner, version=2, epoch=epoch, content=word("head 3"), keyring=word("keyring 3"))


def test_commit__no_content__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "ZeroContentHash"):
        commit(registry, vault, owner, content=NONE)


def test_commit__same_content__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "ContentUnchanged", vaultId=vault, contentHash=word("head 1")):
        commit(registry, vault, owner, content=word("head 1"))


def test_commit__same_keyring__is_refused(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> None:
    with refused(registry, "KeyringUnchanged", vaultId=vault, keyringHash=word("keyring 1")):
        commit(registry, vault, owner, keyring=word("keyring 1"))


@pytest.mark.parametrize("keyring", [NONE, word("keyring 1")], ids=["none", "same"])
def test_commit__rotating_without_new_keyring__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, keyring: bytes
) -> None:
    with refused(registry, "KeyringRequired", vaultId=vault, epoch=2):
        commit(registry, vault, owner, epoch=2, keyring=keyring)


@pytest.mark.parametrize("keyring", [NONE, word("keyring 1")], ids=["none", "same"])
@pytest.mark.parametrize("epoch", [2, 3])
def test_commit__locked_without_new_keyring__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, epoch: int, keyring: bytes
) -> None:
    registry.rotate(vault, sender=owner)
    with refused(registry, "KeyringRequired", vaultId=vault, epoch=epoch):
        commit(registry, vault, owner, version=2, epoch=epoch, keyring=keyring)


def test_commit__all_wrong__is_refused_in_the_documented_order(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    grant(registry, vault, owner, writer, soon, rights=WRITE)
    registry.rotate(vault, sender=owner)

    with refused(registry, "NotKeyBearer", vaultId=vault, account=writer.address):
        commit(registry, vault, writer, version=9, epoch=9, content=NONE, keyring=word("keyring 1"))
    with refused(registry, "WrongVersion", vaultId=vault, expected=9, current=3):
        commit(registry, vault, owner, version=9, epoch=9, content=NONE, keyring=word("keyring 1"))
    with refused(registry, "WrongEpoch", vaultId=vault, given=9, current=2):
        commit(registry, vault, owner, version=3, epoch=9, content=NONE, keyring=word("keyring 1"))
    with refused(registry, "ZeroContentHash"):
        commit(registry, vault, owner, version=3, epoch=2, content=NONE, keyring=word("keyring 1"))
    with refused(registry, "ContentUnchanged", vaultId=vault, contentHash=word("head 1")):
        commit(registry, vault, owner, version=3, epoch=2, content=word("head 1"), keyring=word("keyring 1"))
