"""`memoryRootFrom`. Invariant 15.

Every size up to 33 passes each shape of tree with up to six levels; sizes near 2^64 are checked without their trees.
"""

import pytest
from ape.contracts import ContractInstance
from eth_abi.abi import encode
from eth_utils import keccak
from web3.exceptions import ContractCustomError

from .helpers import word
from .merkle import inclusion_proof, memory_root, proof_length, root_from_proof

ENTRIES = [word(f"entry {n}") for n in range(33)]
HUGE = 2**64 - 1


def assert_malformed(registry: ContractInstance, index: int, size: int, proof: list[bytes]) -> None:
    call = registry.memoryRootFrom.encode_input(ENTRIES[0], index, size, proof)
    with pytest.raises(ContractCustomError) as caught:
        registry.provider.web3.eth.call({"to": registry.address, "data": call})
    error = keccak(text="MalformedProof(uint64,uint64,uint256)")[:4]
    arguments = encode(["uint64", "uint64", "uint256"], [index, size, len(proof)])
    assert caught.value.data == "0x" + (error + arguments).hex()


@pytest.mark.parametrize("size", range(1, 34))
def test_memory_root_from__each_entry_with_its_proof__is_the_memory_root(registry: ContractInstance, size: int) -> None:
    entries = ENTRIES[:size]
    root = memory_root(entries)
    for index in range(size):
        proof = inclusion_proof(index, entries)
        assert bytes(registry.memoryRootFrom(entries[index], index, size, proof)) == root


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 8, 9, 13, 16, 17, 31, 32, 33])
def test_memory_root_from__proof_too_short_or_long__is_malformed(registry: ContractInstance, size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(index, ENTRIES[:size])
        if proof:
            assert_malformed(registry, index, size, proof[:-1])
            assert_malformed(registry, index, size, [])
        assert_malformed(registry, index, size, [*proof, word("one more")])
        assert_malformed(registry, index, size, proof + [word("many more")] * 70)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 0), (1, 1), (5, 5), (6, 5), (HUGE, HUGE), (HUGE, 1)])
def test_memory_root_from__index_not_below_size__is_malformed(
    registry: ContractInstance, index: int, size: int
) -> None:
    assert_malformed(registry, index, size, [])
    assert_malformed(registry, index, size, [word("sibling")])


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 11])
def test_memory_root_from__anything_altered__is_another_root(registry: ContractInstance, size: int) -> None:
    entries = ENTRIES[:size]
    root = memory_root(entries)
    for index in range(size):
        proof = inclusion_proof(index, entries)
        altered = [(word("another entry"), index, size, proof)]
        altered += [(keccak(b"\x00" + entries[index]), index, size, proof)]
        for level in range(len(proof)):
            other = [*proof[:level], word("another sibling"), *proof[level + 1 :]]
            altered.append((entries[index], index, size, other))
        for place in range(size):
            if place != index and len(inclusion_proof(place, entries)) == len(proof):
                altered.append((entries[index], place, size, proof))
        for arguments in altered:
            assert bytes(registry.memoryRootFrom(*arguments)) != root


def test_memory_root_from__same_tree_of_another_size__is_another_root(registry: ContractInstance) -> None:
    # In logs of 3 and of 4 the first entry's proof has two siblings. Only the size in the memory root tells them apart.
    proof = inclusion_proof(0, ENTRIES[:3])
    assert bytes(registry.memoryRootFrom(ENTRIES[0], 0, 3, proof)) == memory_root(ENTRIES[:3])
    assert bytes(registry.memoryRootFrom(ENTRIES[0], 0, 4, proof)) != memory_root(ENTRIES[:3])


def test_memory_root_from__inner_node_as_entry__is_another_root(registry: ContractInstance) -> None:
    # Without prefixes the left half of a tree of four would pass for the first of two entries.
    left, right = (root_from_proof(entry, 0, 2, [sibling]) for entry, sibling in (ENTRIES[:2], ENTRIES[2:4]))
    assert bytes(registry.memoryRootFrom(left, 0, 2, [right])) != memory_root(ENTRIES[:4])


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, HUGE), (HUGE - 1, HUGE), (2**63, HUGE), (2**63 - 1, 2**63), (2**63, 2**63 + 1), (2**62 + 5, 2**63 + 2**62)],
)
def test_memory_root_from__huge_log__follows_the_definition(registry: ContractInstance, index: int, size: int) -> None:
    length = proof_length(index, size)
    proof = [word(f"sibling {n}") for n in range(length)]
    expected = keccak(b"\x02" + root_from_proof(ENTRIES[0], index, size, proof) + size.to_bytes(8, "big"))

    assert bytes(registry.memoryRootFrom(ENTRIES[0], index, size, proof)) == expected
    assert_malformed(registry, index, size, proof[:-1])
    assert_malformed(registry, index, size, [*proof, word("one more")])
