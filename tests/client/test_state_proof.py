"""Proofs of state: what a real node proves, and everything else refused."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.paris.blocks import ParisBlockHeader
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader

from memsync_client.errors import NodeUnreachable
from memsync_client.registry import Registry, load_artifact
from memsync_client.state_proof import NotProven, check, header_hash, storage_of
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import breaking, lying, reply, result_of
from tests.nodes import Chain, transact

LONG_URI = "https://example.org/" + "folder/" * 30


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture(scope="module")
def vault(chain: Chain) -> bytes:
    """At version 2, locked, with a base URI of several slots, and an empty memory root."""
    registry, owner = chain.registry(), chain.wallet()
    transact(registry, owner, registry.create(1, digest("head"), bytes(32), digest("keyring"), LONG_URI))
    made = registry.vault_id_of(owner.address, 1)
    transact(registry, owner, registry.rotate(made))
    return made


@pytest.fixture(scope="module")
def proof(chain: Chain, vault: bytes) -> dict[str, Any]:
    """The arguments of ``check`` for the vault, as a real node gives them."""
    registry = chain.registry()
    block = chain.node.request("eth_getBlockByNumber", "latest", False)
    expected = storage_of(vault, registry._read("record", vault, block=int(block["number"], 16)))
    slots = [f"0x{slot:064x}" for slot in expected]
    return {
        "block": block,
        "proof": chain.node.request("eth_getProof", registry.address, slots, block["number"]),
        "address": bytes.fromhex(registry.address[2:]),
        "code_hash": bytes.fromhex(load_artifact()["runtimeCodeHash"][2:]),
        "expected": expected,
    }


def test_check__proof_of_a_real_node__holds(proof: dict[str, Any]) -> None:
    assert len(proof["expected"]) == 5 + -(-len(LONG_URI) // 32)
    assert header_hash(proof["block"]).hex() == proof["block"]["hash"][2:]
    check(**proof)


@pytest.mark.parametrize("number", range(5))
def test_check__another_value_in_one_slot__not_proven(proof: dict[str, Any], number: int) -> None:
    slot = list(proof["expected"])[number]
    with pytest.raises(NotProven, match="the record is another one"):
        check(**proof | {"expected": proof["expected"] | {slot: proof["expected"][slot] ^ 1}})


def test_check__another_state_root_code_or_address__not_proven(proof: dict[str, Any]) -> None:
    for other in (
        {"block": proof["block"] | {"stateRoot": "0x" + "11" * 32}},
        {"code_hash": bytes(32)},
        {"address": bytes(20)},
    ):
        with pytest.raises(NotProven):
            check(**proof | other)


def nodes_of(proof: dict[str, Any]) -> list[list[Any]]:
    return [proof["accountProof"], *(entry["proof"] for entry in proof["storageProof"])]


def test_check__any_node_of_any_proof_changed_or_missing__not_proven(proof: dict[str, Any]) -> None:
    lists = len(nodes_of(proof["proof"]))
    for number in range(lists):
        for way in ("changed", "missing", "no hex", "no text"):
            given = copy.deepcopy(proof["proof"])
            nodes = nodes_of(given)[number]
            last = bytearray.fromhex(nodes[-1][2:])
            last[-1] ^= 1
            ways: dict[str, list[object]] = {"changed": ["0x" + last.hex()], "missing": [], "no hex": ["0xzz"]}
            nodes[-1:] = ways.get(way, [7])
            with pytest.raises(NotProven):
                check(**proof | {"proof": given})


@pytest.mark.parametrize(
    "given",
    [{}, {"accountProof": []}, {"accountProof": None}, {"accountProof": ["0xc0"] * 500}, {"accountProof": "0x"}],
)
def test_check__no_proof__not_proven(proof: dict[str, Any], given: dict[str, Any]) -> None:
    with pytest.raises(NotProven):
        check(**proof | {"proof": given})
    with pytest.raises(NotProven, match="no proof"):
        check(**proof | {"proof": proof["proof"] | {"storageProof": []}})
    with pytest.raises(NotProven, match="no proofs of storage"):
        check(**proof | {"proof": proof["proof"] | {"storageProof": [None]}})


# Headers, compared with an implementation of somebody else's ----------------------------------------------------------

WORD = bytes(range(32))
FIRST: dict[str, Any] = {
    "parent_hash": WORD,
    "uncles_hash": WORD[::-1],
    "coinbase": WORD[:20],
    "state_root": digest("state"),
    "transaction_root": digest("sent"),
    "receipt_root": digest("receipts"),
    "bloom": 2**77,
    "difficulty": 0,
    "block_number": 2**24 + 7,
    "gas_limit": 36_000_000,
    "gas_used": 21_000,
    "timestamp": 1_800_000_000,
    "extra_data": b"a builder",
    "mix_hash": digest("mix"),
    "nonce": bytes(8),
}
LATER: dict[str, Any] = {
    "base_fee_per_gas": 7,
    "withdrawals_root": digest("withdrawn"),
    "blob_gas_used": 131_072,
    "excess_blob_gas": 0,
    "parent_beacon_block_root": digest("beacon"),
    "requests_hash": digest("requests"),
}
NAMES = {
    "parent_hash": "parentHash",
    "uncles_hash": "sha3Uncles",
    "coinbase": "miner",
    "state_root": "stateRoot",
    "transaction_root": "transactionsRoot",
    "receipt_root": "receiptsRoot",
    "bloom": "logsBloom",
    "difficulty": "difficulty",
    "block_number": "number",
    "gas_limit": "gasLimit",
    "gas_used": "gasUsed",
    "timestamp": "timestamp",
    "extra_data": "extraData",
    "mix_hash": "mixHash",
    "nonce": "nonce",
    "base_fee_per_gas": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot",
    "blob_gas_used": "blobGasUsed",
    "excess_blob_gas": "excessBlobGas",
    "parent_beacon_block_root": "parentBeaconBlockRoot",
    "requests_hash": "requestsHash",
}


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (LondonBlockHeader, 16),
        (ParisBlockHeader, 16),
        (ShanghaiBlockHeader, 17),
        (CancunBlockHeader, 20),
        (PragueBlockHeader, 21),
    ],
)
def test_header_hash__of_each_fork__as_py_evm_has_it(header: Any, fields: int) -> None:
    values = dict(list((FIRST | LATER).items())[:fields])
    block = {
        NAMES[name]: f"0x{value:0512x}" if name == "bloom" else hex(value) if type(value) is int else "0x" + value.hex()
        for name, value in values.items()
    }
    assert header_hash(block) == header(**values).hash


@pytest.mark.parametrize("value", [None, 7, "", "0x", "0xzz", "0x" + "11" * 33, []])
def test_header_hash__malformed__not_proven(proof: dict[str, Any], value: object) -> None:
    for name in ("parentHash", "logsBloom", "nonce"):
        with pytest.raises(NotProven):
            header_hash(proof["block"] | {name: value})


# What the registry makes of it ----------------------------------------------------------------------------------------


def test_record__node_that_offers_proofs__proven(chain: Chain, vault: bytes) -> None:
    assert chain.registry().record(vault, prove=True).proven
    assert not chain.registry().record(vault).proven  # not asked for: a node's word is its word


def test_record__node_without_proofs__says_so_and_is_asked_once(chain: Chain, vault: bytes) -> None:
    asked = []

    def none(handler: Any, body: bytes) -> None:
        asked.append(body)
        reply(handler, b"", 405)

    with breaking(chain.rpc_url, "eth_getProof", none) as url:
        registry = Registry.connect(url)
        assert [registry.record(vault, prove=True).proven for _ in range(3)] == [False] * 3
    assert len(asked) == 1


def test_record__blocks_with_fields_of_their_own__not_proven_and_not_refused(chain: Chain, vault: bytes) -> None:
    def other(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber":
            response["result"]["extraData"] = "0x01"
        return response

    with lying(chain.rpc_url, other) as url:
        assert not Registry.connect(url).record(vault, prove=True).proven


def test_record__proof_of_another_state__refused(chain: Chain, vault: bytes, registry: Registry, owner: Wallet) -> None:
    before = chain.registry()
    at = before.block()
    slots = [f"0x{slot:064x}" for slot in storage_of(vault, before._read("record", vault, block=at.number))]
    old = chain.node.request("eth_getProof", before.address, slots, hex(at.number))
    transact(registry, owner, registry.create(1, digest("h"), bytes(32), digest("k"), ""))  # so that the root changes
    told = pytest.raises(NodeUnreachable, match="a proof of state that does not hold")
    with lying(chain.rpc_url, result_of("eth_getProof", old)) as url, told:
        Registry.connect(url).record(vault, prove=True)


def test_record__that_the_proof_contradicts__refused(chain: Chain, vault: bytes) -> None:
    """The node gives a true proof, and another content hash: what a forged head would need."""
    true = digest("head").hex()

    def forged(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_call" and true in str(response.get("result")):
            response["result"] = response["result"].replace(true, digest("forged").hex())
        return response

    with lying(chain.rpc_url, forged) as url:
        assert Registry.connect(url).record(vault).content_hash == digest("forged")
        with pytest.raises(NodeUnreachable, match="the record is another one under the block's state root"):
            Registry.connect(url).record(vault, prove=True)
