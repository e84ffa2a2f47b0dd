"""Blobs in the log of a real chain: what is stored comes back by its hash, whatever a node says."""

from __future__ import annotations

import os
from typing import Any

import pytest

from memsync_client.blob_log import BlobLog
from memsync_client.errors import (
    BlobMissing,
    InsufficientFunds,
    InvalidRequest,
    NodeUnreachable,
    StorageReadOnly,
    StorageUnavailable,
    Tampered,
)
from memsync_client.registry import Registry, load_artifact
from memsync_client.sealing import sha256
from memsync_client.storage.evm import LIMIT, EvmStorage
from memsync_client.transactions import MAX_GAS, Call
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import lying, result_of
from tests.nodes import Chain, transact

BLOB = bytes(range(1, 200))
HASH = sha256(BLOB)


def paying(chain: Chain, wallet: Wallet, said: list[str] | None = None, registry: Registry | None = None) -> EvmStorage:
    log = BlobLog.beside(registry or chain.registry())
    log.account, log.say = (lambda: wallet.address), (said if said is not None else []).append

    def land(known: BlobLog, call: Call) -> None:
        transact(known, wallet, call)  # type: ignore[arg-type]

    log.land = land
    return EvmStorage("evm:", lambda: log)


@pytest.fixture
def stored(chain: Chain) -> Chain:
    paying(chain, chain.wallet()).put([BLOB])
    return chain


def reading(chain: Chain, rpc_url: str | None = None) -> EvmStorage:
    return EvmStorage("evm:", lambda: BlobLog.beside(Registry.connect(rpc_url or chain.rpc_url)))


def test_put__blobs__come_back_and_cost_what_was_said(chain: Chain) -> None:
    said: list[str] = []
    blobs = [BLOB, os.urandom(2_065), os.urandom(2_065)]
    wallet = chain.wallet()
    host = paying(chain, wallet, said)
    assert host.put(blobs) == [sha256(blob) for blob in blobs]
    assert [host.get(sha256(blob), LIMIT) for blob in blobs] == blobs
    (line,) = said
    assert "4,329 bytes on chain in 3 transactions" in line
    gas = int(line.split(": ")[1].split()[0].replace(",", ""))
    assert 40 * 4_130 < gas < 80 * 4_329 + 3 * 90_000
    assert host.put(blobs) == [sha256(blob) for blob in blobs]
    assert len(said) == 1  # nothing is paid for twice


def test_put__largest_blob__fits_into_a_transaction_and_one_more_byte_is_refused(chain: Chain) -> None:
    host = paying(chain, chain.wallet())
    blob = os.urandom(LIMIT)
    (blob_hash,) = host.put([blob])
    assert host.get(blob_hash, LIMIT) == blob
    assert BlobLog.beside(chain.registry()).gas_for(LIMIT) < MAX_GAS // 3
    with pytest.raises(InvalidRequest, match="98,304 bytes"):
        host.put([BLOB, os.urandom(LIMIT + 1)])
    with pytest.raises(Tampered):
        host.get(blob_hash, LIMIT - 1)


def test_put__account_that_can_not_pay_for_all_of_it__nothing_is_sent(chain: Chain) -> None:
    wallet = chain.wallet(wei=3 * 10**15)
    host = paying(chain, wallet)
    blobs = [os.urandom(LIMIT) for _ in range(2)]
    with pytest.raises(InsufficientFunds):
        host.put(blobs)
    assert [BlobLog.beside(chain.registry()).block_of(sha256(blob)) for blob in blobs] == [0, 0]


def test_put__by_one_who_only_reads__read_only(chain: Chain) -> None:
    with pytest.raises(StorageReadOnly):
        reading(chain).put([os.urandom(100)])


def test_delete__what_was_ever_stored__is_left(stored: Chain) -> None:
    assert reading(stored).delete([HASH, bytes(32)]) == [HASH]


def test_get__never_stored__missing_and_named(chain: Chain) -> None:
    with pytest.raises(BlobMissing, match=bytes(32).hex()):
        reading(chain).get(bytes(32), LIMIT)


def test_get__node_that_has_pruned_its_logs__missing_says_so_and_another_node_serves(stored: Chain) -> None:
    with lying(stored.rpc_url, result_of("eth_getLogs", [])) as pruned:
        with pytest.raises(BlobMissing, match="does not show") as caught:
            reading(stored, pruned).get(HASH, LIMIT)
        assert "--rpc" in caught.value.next_step
        assert reading(stored, f"{pruned} {stored.rpc_url}").get(HASH, LIMIT) == BLOB


@pytest.mark.parametrize("block", [1, 2**40])
def test_get__block_as_a_rollups_contracts_see_it__found_by_the_hash(stored: Chain, block: int) -> None:
    def other_block(asked: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if asked == "eth_call" and params[0]["to"].lower() == load_artifact("BlobLog")["address"].lower():
            return response | {"result": "0x" + block.to_bytes(32, "big").hex()}
        return response

    with lying(stored.rpc_url, other_block) as url:
        assert reading(stored, url).get(HASH, LIMIT) == BLOB


def test_get__node_that_shows_other_bytes__not_taken(stored: Chain) -> None:
    def change(asked: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if asked == "eth_getLogs":
            for log in response["result"]:
                log["data"] = log["data"].replace("0102030405", "0102030406")
        return response

    with lying(stored.rpc_url, change) as url, pytest.raises(BlobMissing):
        reading(stored, url).get(HASH, LIMIT)


@pytest.mark.parametrize("logs", [None, {}, [{}], [{"data": "0x"}], ["x"], "0x"])
def test_get__node_whose_logs_can_not_be_read__error_of_ours(stored: Chain, logs: Any) -> None:
    with lying(stored.rpc_url, result_of("eth_getLogs", logs)) as url, pytest.raises((NodeUnreachable, BlobMissing)):
        reading(stored, url).get(HASH, LIMIT)


def test_beside__chain_without_the_contract__unavailable(chain: Chain) -> None:
    def without(asked: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        empty = asked == "eth_getCode" and params[0].lower() == load_artifact("BlobLog")["address"].lower()
        return response | {"result": "0x"} if empty else response

    with lying(chain.rpc_url, without) as url, pytest.raises(StorageUnavailable, match="no BlobLog"):
        reading(chain, url).get(HASH, LIMIT)


@pytest.mark.parametrize("uri", ["evm:x", "evm://", "evm:0x"])
def test_open__other_uri_of_the_scheme__refused(uri: str, chain: Chain) -> None:
    with pytest.raises(InvalidRequest):
        EvmStorage(uri, lambda: BlobLog.beside(chain.registry()))
