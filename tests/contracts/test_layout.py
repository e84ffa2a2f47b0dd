"""The storage layout of contracts/README.md, slot by slot."""

from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from eth_abi.abi import encode
from eth_utils import keccak

from .helpers import commit, grant, head_slot, key_id, record_of, recovery_of, storage_root, word
from .model import WRITE


def at(registry: ContractInstance, slot: int) -> int:
    return int.from_bytes(registry.provider.get_storage(registry.address, slot))


def mapped(slot: int, kind: str, key: int | str | bytes) -> int:
    """Where a mapping at a slot keeps the value of a key."""
    return int.from_bytes(keccak(encode([kind, "uint256"], [key, slot])))


def test_layout__head__is_one_slot_of_six_fields(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.multicall([registry.revokeAll.encode_input(vault)] * 2, sender=owner)
    commit(registry, vault, owner, version=3, epoch=4, keyring=word("keyring 2"))
    for version in (4, 5):
        registry.setBaseURI(vault, version, "x" * version, sender=owner)
    registry.rotate(vault, sender=owner)
    record = record_of(registry, vault)
    assert record[1:6] == (7, 5, 3, 3, 1)

    assert head_slot(vault) == mapped(0, "bytes32", vault)
    assert at(registry, head_slot(vault)) == (
        int(owner.address, 16) | 7 << 160 | 5 << 192 | 3 << 224 | 3 << 240 | 1 << 248
    )


def test_layout__hashes__follow_the_head(registry: ContractInstance, vault: bytes) -> None:
    for offset, name in ((1, "head 1"), (2, "log 1"), (3, "keyring 1")):
        assert at(registry, head_slot(vault) + offset) == int.from_bytes(word(name))


def test_layout__base_uri__is_a_solidity_string(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    slot = head_slot(vault) + 4

    registry.setBaseURI(vault, 1, "evm:", sender=owner)
    assert at(registry, slot) == int.from_bytes(b"evm:".ljust(31, b"\0") + bytes([2 * 4]))

    registry.setBaseURI(vault, 2, "x" * 32, sender=owner)
    assert at(registry, slot) == 2 * 32 + 1
    assert at(registry, int.from_bytes(keccak(slot.to_bytes(32)))) == int.from_bytes(b"x" * 32)


def test_layout__grant__is_one_slot_under_vault_tenure_and_grantee(
    registry: ContractInstance, owner: TestAccountAPI, writer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.revokeAll(vault, sender=owner)
    commit(registry, vault, owner, version=2, epoch=2, keyring=word("keyring 2"))
    grant(registry, vault, owner, writer, soon, version=3, rights=WRITE)

    slot = mapped(mapped(mapped(1, "bytes32", vault), "uint16", 2), "address", writer.address)
    assert at(registry, slot) == soon | WRITE << 40 | 4 << 48 | int.from_bytes(key_id("key 1")) << 80
    registry.revoke(vault, writer, sender=owner)
    assert at(registry, slot) == 0


def test_layout__vault_count__is_by_first_owner(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    assert at(registry, mapped(2, "address", owner.address)) == 1


def test_layout__offer__is_one_slot(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)

    slot = mapped(3, "bytes32", vault)
    assert at(registry, slot) == int(buyer.address, 16) | soon << 160 | 2 << 200
    registry.cancelOffer(vault, sender=owner)
    assert at(registry, slot) == 0


def test_layout__recovery__is_two_slots(
    registry: ContractInstance, owner: TestAccountAPI, rescuer: TestAccountAPI, buyer: TestAccountAPI, vault: bytes
) -> None:
    registry.setRecovery(vault, rescuer, sender=owner)
    registry.startRecovery(vault, buyer, sender=rescuer)

    slot, ready = mapped(4, "bytes32", vault), recovery_of(registry, vault).readyAt
    assert at(registry, slot) == int(rescuer.address, 16) | 2 << 160 | ready << 192
    assert at(registry, slot + 1) == int(buyer.address, 16)


def test_layout__accepted_vaults__are_by_new_owner_and_number(
    registry: ContractInstance, owner: TestAccountAPI, buyer: TestAccountAPI, vault: bytes, soon: int
) -> None:
    registry.offer(vault, 1, buyer, soon, sender=owner)
    registry.accept(vault, sender=buyer)

    assert at(registry, mapped(5, "address", buyer.address)) == 1
    assert at(registry, mapped(mapped(6, "address", buyer.address), "uint256", 1)) == int.from_bytes(vault)


def test_layout__closed_vault__keeps_its_head_but_the_owner(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    registry.close(vault, 1, bytes(32), sender=owner)

    assert at(registry, head_slot(vault)) == 2 << 160 | 1 << 192 | 1 << 224 | 1 << 240


def test_layout__write_and_back__is_seen_in_the_storage_root(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    # What `refused` relies on: the root is another after any write, and the same after none.
    before = storage_root(registry)
    registry.record.transact(vault, sender=owner)
    assert storage_root(registry) == before
    registry.rotate(vault, sender=owner)
    assert storage_root(registry) != before
