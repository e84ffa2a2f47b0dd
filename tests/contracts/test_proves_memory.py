"""`provesMemory`. Invariant 15."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance

from .helpers import commit, refused, word
from .merkle import inclusion_proof, memory_root

ENTRIES = [word(f"entry {n}") for n in range(11)]


@pytest.fixture
def filled(registry: ContractInstance, owner: TestAccountAPI, vault: bytes) -> bytes:
    """The vault with all entries in its log."""
    commit(registry, vault, owner, root=memory_root(ENTRIES))
    return vault


def test_proves_memory__every_entry__is_proven(registry: ContractInstance, filled: bytes) -> None:
    for index, entry in enumerate(ENTRIES):
        assert registry.provesMemory(filled, entry, index, 11, inclusion_proof(index, ENTRIES))


def test_proves_memory__entry_of_nobody__is_not(registry: ContractInstance, filled: bytes) -> None:
    assert not registry.provesMemory(filled, word("no entry"), 4, 11, inclusion_proof(4, ENTRIES))


def test_proves_memory__proof_for_the_log_before__is_not(registry: ContractInstance, filled: bytes) -> None:
    assert not registry.provesMemory(filled, ENTRIES[4], 4, 10, inclusion_proof(4, ENTRIES[:10]))


def test_proves_memory__after_the_next_commit__goes_by_the_new_root(
    registry: ContractInstance, owner: TestAccountAPI, filled: bytes
) -> None:
    proof = inclusion_proof(4, ENTRIES)
    commit(registry, filled, owner, version=2, content=word("head 3"), root=memory_root([*ENTRIES, word("entry 11")]))

    assert not registry.provesMemory(filled, ENTRIES[4], 4, 11, proof)


def test_proves_memory__malformed__is_refused(
    registry: ContractInstance, stranger: TestAccountAPI, filled: bytes
) -> None:
    proof = inclusion_proof(4, ENTRIES)
    with refused(registry, "MalformedProof", index=4, size=11, length=3):
        registry.provesMemory.transact(filled, ENTRIES[4], 4, 11, proof[:-1], sender=stranger)


def test_proves_memory__unknown_vault__is_refused(registry: ContractInstance, stranger: TestAccountAPI) -> None:
    with refused(registry, "UnknownVault", vaultId=word("no vault")):
        registry.provesMemory.transact(word("no vault"), ENTRIES[0], 0, 1, [], sender=stranger)
