"""KeyRegistry: invariants K1 to K3."""

from hashlib import sha256

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager

from .helpers import assert_event, refused, word

KEY, OTHER_KEY = (word(name) * 38 for name in ("key 1", "key 2"))
NO_KEY = (bytes(32), 0, 0)


@pytest.fixture(scope="session")
def keys(accounts: TestAccountManager, project: ProjectManager) -> ContractInstance:
    return accounts[8].deploy(project.KeyRegistry)


def key_of(keys: ContractInstance, account: TestAccountAPI) -> tuple[bytes, int, int]:
    return tuple(keys.keyOf(account))


def test_register__key__has_its_hash_in_state_and_itself_in_the_log(
    keys: ContractInstance, reader: TestAccountAPI, soon: int
) -> None:
    receipt = keys.register(KEY, soon, sender=reader)

    key_id = sha256(KEY).digest()
    assert key_of(keys, reader) == (key_id, receipt.block_number, soon)
    assert_event(keys, receipt, "Registered", actor=reader.address, keyId=key_id, expiresAt=soon, publicKey=KEY)


@pytest.mark.parametrize(("key", "longer"), [(OTHER_KEY, 0), (KEY, 1), (KEY, -1)], ids=["key", "later", "earlier"])
def test_register__again__replaces_key_or_expiry(
    keys: ContractInstance, reader: TestAccountAPI, soon: int, key: bytes, longer: int
) -> None:
    keys.register(KEY, soon, sender=reader)
    receipt = keys.register(key, soon + longer, sender=reader)

    assert key_of(keys, reader) == (sha256(key).digest(), receipt.block_number, soon + longer)


def test_register__stranger_with_anothers_key__binds_it_to_themselves_alone(
    keys: ContractInstance, reader: TestAccountAPI, stranger: TestAccountAPI, soon: int
) -> None:
    keys.register(KEY, soon, sender=stranger)
    assert key_of(keys, reader) == NO_KEY

    receipt = keys.register(KEY, soon, sender=reader)
    assert key_of(keys, reader) == (sha256(KEY).digest(), receipt.block_number, soon)
    keys.withdraw(sender=stranger)
    assert key_of(keys, reader) == (sha256(KEY).digest(), receipt.block_number, soon)


@pytest.mark.parametrize("length", [0, 32, 1215, 1217])
def test_register__another_length__is_refused(
    keys: ContractInstance, reader: TestAccountAPI, soon: int, length: int
) -> None:
    with refused(keys, "WrongKeyLength", length=length, expected=1216):
        keys.register(bytes(length), soon, sender=reader)


@pytest.mark.parametrize("early", [0, 1])
def test_register__expiry_not_after_the_block__is_refused(
    keys: ContractInstance, chain: ChainManager, reader: TestAccountAPI, soon: int, early: int
) -> None:
    chain.pending_timestamp = soon
    with refused(keys, "ExpiryNotInFuture", expiresAt=soon - early, currentTime=soon):
        keys.register(KEY, soon - early, sender=reader)


@pytest.mark.parametrize("late", [1, 2**40, 2**256 - 2**40])
def test_register__expiry_beyond_forty_bits__is_refused(
    keys: ContractInstance, reader: TestAccountAPI, late: int
) -> None:
    latest = 2**40 - 1
    with refused(keys, "ExpiryTooLate", expiresAt=latest + late, latest=latest):
        keys.register(KEY, latest + late, sender=reader)
    keys.register(KEY, latest, sender=reader)
    assert keys.keyOf(reader).expiresAt == latest


def test_register__same_again__is_refused(keys: ContractInstance, reader: TestAccountAPI, soon: int) -> None:
    keys.register(KEY, soon, sender=reader)
    with refused(keys, "KeyUnchanged", account=reader.address, keyId=sha256(KEY).digest()):
        keys.register(KEY, soon, sender=reader)


@pytest.mark.parametrize("late", [-1, 0], ids=["living", "expired"])
def test_withdraw__living_or_expired__leaves_none(
    keys: ContractInstance, chain: ChainManager, reader: TestAccountAPI, soon: int, late: int
) -> None:
    keys.register(KEY, soon, sender=reader)
    chain.pending_timestamp = soon + late
    receipt = keys.withdraw(sender=reader)

    assert key_of(keys, reader) == NO_KEY
    assert_event(keys, receipt, "Withdrawn", actor=reader.address, keyId=sha256(KEY).digest())


def test_withdraw__none__is_refused(
    keys: ContractInstance, reader: TestAccountAPI, stranger: TestAccountAPI, soon: int
) -> None:
    keys.register(KEY, soon, sender=reader)
    with refused(keys, "NoKey", account=stranger.address):
        keys.withdraw(sender=stranger)
