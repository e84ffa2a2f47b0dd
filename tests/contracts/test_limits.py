"""What a chain carries: 16,777,216 gas a transaction (EIP-7825) and 131,072 bytes, and arguments within their types.

Every other test shows the first, too: the node enforces it, and each call there is sent with that much gas.
Invariants 13 and 16.
"""

from hashlib import sha256

import pytest
from ape.api import ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from ape.exceptions import ContractLogicError, VirtualMachineError
from ape.managers.accounts import TestAccountManager
from ape.managers.project import ProjectManager
from eth_utils import keccak
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError as Web3ContractLogicError

from .helpers import key_id, record_of, refused, storage_root, word
from .model import READ
from .signing import BOUND, FIELDS, NO_DEADLINE

MOST_GAS = 16_777_216
MOST_BYTES = 131_072  # of a whole transaction, as nodes take it
ENVELOPE = 256  # bytes of a transaction that are not calldata, and then some
FAR = 2**40 - 1


def creations(registry: ContractInstance, first: int, number: int) -> list[bytes]:
    return [
        registry.create.encode_input(salt, word(f"head {salt}"), word("log"), word("keyring"), "x" * 256)
        for salt in range(first, first + number)
    ]


def raw(receipt: ReceiptAPI) -> bytes:
    """The signed transaction, as it was sent."""
    return bytes(receipt.provider.web3.eth.get_raw_transaction(receipt.txn_hash))


def assert_carried(receipt: ReceiptAPI) -> None:
    assert receipt.gas_used < MOST_GAS
    assert len(raw(receipt)) <= MOST_BYTES


def test_multicall__as_many_grants_as_a_transaction_holds__is_below_the_gas_cap(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    """So for whoever shares, the size of a transaction is the limit, and not its gas."""
    number = (MOST_BYTES - ENVELOPE) // (32 + 32 + 256)  # offset, length, and 228 bytes of call on whole words
    calls = [
        registry.grant.encode_input(vault, n, f"0x{n:040x}", READ, FAR, key_id("key 1"), word(f"keyring {n + 1}"))
        for n in range(1, number + 1)
    ]

    receipt = registry.multicall(calls, sender=owner)

    assert_carried(receipt)
    assert len(raw(receipt)) > MOST_BYTES - ENVELOPE - 320, "one more would have fitted"
    assert record_of(registry, vault).version == number + 1


def test_multicall__beyond_the_gas_cap__is_refused_and_creates_nothing(
    registry: ContractInstance, owner: TestAccountAPI
) -> None:
    calls = creations(registry, 1, 60)
    alone = registry.multicall.estimate_gas_cost(calls[:10], sender=owner)
    assert 6 * alone > MOST_GAS
    before = storage_root(registry)

    # The most gas that it can be sent with is not enough, and a node takes none that is sent with more.
    with refused(registry, "FailedCall"):
        registry.multicall(calls, sender=owner, gas=MOST_GAS)
    with pytest.raises(VirtualMachineError, match="tx_gas_limit_cap"):
        registry.multicall(calls, sender=owner, gas=MOST_GAS + 1)

    assert storage_root(registry) == before
    assert registry.vaultCount(owner) == 0


def test_store__largest_blob_of_a_transaction__is_below_the_gas_cap(
    accounts: TestAccountManager, project: ProjectManager, owner: TestAccountAPI
) -> None:
    blobs = accounts[8].deploy(project.BlobLog)
    blob = b"\xff" * ((MOST_BYTES - ENVELOPE - 68) // 32 * 32)

    receipt = blobs.store(blob, sender=owner)

    assert_carried(receipt)
    assert blobs.blockOf(sha256(blob).digest()) == receipt.block_number


# By type: a value that it holds, and the lowest word that it can't.
HELD = {
    "address": ("0x" + "11" * 20, 2**160),
    "uint8": (1, 2**8),
    "uint16": (1, 2**16),
    "uint32": (1, 2**32),
    "bytes20": (key_id("key 1"), 1),  # twenty bytes stand at the left of their word
    "bytes32": (word("vault"), None),
    "uint256": (1, None),
    "string": ("", None),
}


@pytest.mark.parametrize("verb", FIELDS)
def test_arguments__beyond_their_types__are_refused_by_either_door(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, verb: str
) -> None:
    """By the decoder, before any code of ours, so without a reason."""
    kinds = [field.split()[0] for field in FIELDS[verb].split(",")]
    values = [HELD[kind][0] for kind in kinds]
    signed = getattr(registry, f"{verb}For").encode_input(owner, *values, NO_DEADLINE, bytes(65))
    tampered = [beyond(signed, 0, "address")] + [beyond(signed, n, kind) for n, kind in enumerate(kinds, start=1)]
    if verb in BOUND:
        kinds, values = kinds[:-1], values[:-1]
    sound = getattr(registry, verb).encode_input(*values)
    tampered += [beyond(sound, n, kind) for n, kind in enumerate(kinds)]
    before = storage_root(registry)

    for data in filter(None, tampered):
        with pytest.raises(Web3ContractLogicError) as caught:
            registry.provider.web3.eth.call({"from": owner.address, "to": registry.address, "data": data})
        assert caught.value.data == "0x"
        with pytest.raises(ContractLogicError):
            owner.transfer(registry, 0, data=data)

    assert storage_root(registry) == before


@pytest.mark.parametrize("name", ["MemoryRegistry", "KeyRegistry", "BlobLog"])
def test_ether_and_unknown_functions__are_refused_without_a_reason(
    accounts: TestAccountManager, project: ProjectManager, owner: TestAccountAPI, name: str
) -> None:
    contract = accounts[8].deploy(getattr(project, name))
    functions = [keccak(text=method.selector)[:4] + bytes(32 * 12) for method in contract.contract_type.methods]
    sent = [(data, 0) for data in (b"", b"\xff", b"\xff" * 4, b"\xff" * 36)] + [(data, 1) for data in (b"", *functions)]
    for data, value in sent:
        call = {"from": owner.address, "to": contract.address, "data": HexBytes(data), "value": value}
        with pytest.raises(Web3ContractLogicError) as caught:
            contract.provider.web3.eth.call(call)
        assert caught.value.data == "0x", data


def beyond(call: bytes, place: int, kind: str) -> HexBytes | None:
    """The call with a word at this place that its type can't hold, or none where it holds all."""
    value = HELD[kind][1]
    at = 4 + 32 * place
    return HexBytes(call[:at] + value.to_bytes(32) + call[at + 32 :]) if value else None
