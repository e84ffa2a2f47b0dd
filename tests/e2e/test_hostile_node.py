"""A node that lies, and one that is broken, each as a proxy before a real one: it can delay, and nothing else.

With it, every command ends in bounded time, with what is true or with an error of ours. And after it, by way of an
honest node, all that was ever remembered is there once.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial, partialmethod
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from memsync_client import agreement, opened, rpc, sending
from memsync_client.client import Client
from memsync_client.errors import (
    BlobMissing,
    MemSyncError,
    NodeUnreachable,
    Rollback,
    Tampered,
    TransactionPending,
    WrongChain,
)
from memsync_client.heads import FIRST, seal_head
from memsync_client.home import Home
from memsync_client.keyring import OwnerKeys
from memsync_client.reader import Reader
from memsync_client.registry import Registry
from memsync_client.sealing import sha256
from memsync_client.storage.file import FileStorage
from memsync_client.transactions import Call
from memsync_client.vault import Vault
from tests.client.bad_nodes import Answer, breaking, lying, real, reply, result_of, serving
from tests.e2e.machines import PASSPHRASE, Machine, again, grant, new_owner, new_vault, texts
from tests.nodes import Chain

Change = Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]
RECEIPT: dict[str, Any] = {
    "status": "0x1",
    "gasUsed": "0x5208",
    "cumulativeGasUsed": "0x5208",
    "effectiveGasPrice": "0x1",
    "type": "0x2",
    "transactionIndex": "0x0",
    "logs": [],
    "logsBloom": "0x" + "00" * 256,
    "contractAddress": None,
    "from": "0x" + "11" * 20,
    "to": "0x" + "22" * 20,
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as they are, but shorter."""
    monkeypatch.setattr(rpc, "_RETRY_PAUSES", (0.01,))
    monkeypatch.setattr(agreement, "_PAUSES", (0.01,))
    monkeypatch.setattr(opened, "_LONGEST_PAUSE", 0.1)


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what waits in vain."""
    monkeypatch.setattr(Registry, "wait", partialmethod(Registry.wait, timeout=2.0))
    monkeypatch.setattr(sending, "Patience", partial(sending.Patience, timeout=2.0))


def through(vault: Vault, url: str) -> Vault:
    """The same vault as a process would open it that is given another node."""
    client = Client(vault._session.home, PASSPHRASE, rpc=url)
    client.session.__dict__.update(device=vault._session.device, wallet=vault._session.wallet)
    return client.vault(vault.label)


def endless(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**16)


def slow(handler: BaseHTTPRequestHandler, __: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def truncated(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    whole = json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x" + "00" * 99})
    reply(handler, whole.encode()[:-40])


def hangs_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"jsonrpc":')


def failing(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"Internal Server Error", 500)


BROKEN: dict[str, Answer] = {
    "endless body": endless,
    "slow body": slow,
    "truncated JSON": truncated,
    "hangs up": hangs_up,
    "500s": failing,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_sync__node_breaks_off__error_of_ours_and_nothing_is_lost(
    vault: Vault, chain: Chain, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.remember("second")
    if BROKEN[broken] is slow:
        monkeypatch.setattr(Registry, "connect", partial(Registry.connect, timeout=1.0))
    for method in ("eth_chainId", "eth_getBlockByNumber", "eth_call", "eth_sendRawTransaction"):
        with breaking(chain.rpc_url, method, BROKEN[broken]) as url, pytest.raises(NodeUnreachable) as told:
            through(vault, url).sync()
        assert told.value.next_step
        assert vault.waiting() == 1
    vault.sync()  # sends what was signed last
    assert (vault.waiting(), texts(vault)) == (0, ["first", "second"])


def test_sync__node_sends_and_breaks_off__committed_once(vault: Vault, chain: Chain) -> None:
    vault.remember("second")

    def sends(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        assert "result" in real(chain.rpc_url, body)
        hangs_up(handler, body)

    with breaking(chain.rpc_url, "eth_sendRawTransaction", sends) as url:
        assert through(vault, url).sync().committed == 1  # the node knows it all the same
    assert (vault.waiting(), texts(vault)) == (0, ["first", "second"])
    assert vault.verify().memories == 2


# Lies -----------------------------------------------------------------------------------------------------------------


def record_of(chain: Chain, vault: Vault) -> str:
    """The vault's record, as the node answers it now."""
    registry = chain.registry()
    data = registry.encode(Call("record", (vault.place.vault_id,)))
    answer: str = chain.node.request("eth_call", {"to": registry.address, "data": "0x" + data.hex()}, "latest")
    return answer


def shows(vault: Vault, record: Callable[[str], str]) -> Change:
    """A lie: of the vault's record, what ``record`` makes of it."""
    vault_id = vault.place.vault_id.hex()

    def change(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method != "eth_call" or not params[0]["data"].endswith(vault_id) or "result" not in response:
            return response
        return response | {"result": record(response["result"])}

    return change


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain is not taken for a practice chain, which may lose blocks."""
    monkeypatch.setattr("memsync_client.vault.PRACTICE_CHAIN", 1)


@pytest.mark.usefixtures("public")
def test_node__shows_an_old_head__refused_by_device_and_reader(vault: Vault, chain: Chain, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    old = record_of(chain, vault)
    vault.remember("second")
    vault.sync()
    assert texts(reader) == ["first", "second"]
    vault.remember("third")
    with lying(chain.rpc_url, shows(vault, lambda _: old)) as url:
        for ask in (through(vault, url).sync, through(vault, url).memories, through(vault, url).verify):
            with pytest.raises((Rollback, NodeUnreachable)):
                ask()
        with pytest.raises(Rollback):
            Reader(Home(tmp_path / "tool"), "claude", PASSPHRASE, rpc=url).memories()
    vault.sync()
    assert texts(vault) == texts(reader) == ["first", "second", "third"]


@pytest.mark.usefixtures("public")
def test_node__shows_an_old_head_every_other_time__old_is_refused_and_new_is_true(vault: Vault, chain: Chain) -> None:
    old = record_of(chain, vault)
    vault.remember("second")
    vault.sync()
    vault.remember("third")
    turns = itertools.cycle((False, True, True, False))
    seen = []
    with lying(chain.rpc_url, shows(vault, lambda new: old if next(turns) else new)) as url:
        for _ in range(4):
            with suppress(Rollback, NodeUnreachable):
                through(vault, url).sync()
            with suppress(Rollback):
                seen.append(texts(through(vault, url))[:2])
    assert all(found == ["first", "second"] for found in seen)
    vault.sync()
    assert texts(vault) == ["first", "second", "third"]


def test_node__of_a_practice_chain_shows_an_old_head__all_is_there_once_afterwards(
    vault: Vault, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a rollback is believed: the client commits again, and the chain refuses it."""
    be_impatient(monkeypatch)
    old = record_of(chain, vault)
    vault.remember("second")
    vault.sync()
    vault.remember("third")
    with lying(chain.rpc_url, shows(vault, lambda _: old)) as url, pytest.raises(MemSyncError):
        through(vault, url).sync()
    vault.sync()
    assert texts(vault) == ["first", "second", "third"]
    assert vault.verify().memories == 3


def test_node__forges_a_head__nothing_is_read_nor_built_on_it(vault: Vault, chain: Chain, tmp_path: Path) -> None:
    reader = grant(vault, tmp_path / "tool", "claude").reader
    record = vault.record()
    keys = OwnerKeys.new(record.epoch)
    secret = vault._view(record).keyring.keys.secret  # the node is in league with a reader
    blob = seal_head(vault.place, record.epoch, secret, keys.writer_key, replace(FIRST, version=record.head_version))
    FileStorage(tmp_path / "blobs").put([blob])
    vault.remember("second")
    for forged in (sha256(blob).hex(), "ab" * 32):
        lie = shows(vault, lambda new, forged=forged: new.replace(record.content_hash.hex(), forged))  # type: ignore[misc]
        with lying(chain.rpc_url, lie) as url:
            for ask in (through(vault, url).sync, through(vault, url).memories, _reader(tmp_path, url).memories):
                with pytest.raises((Tampered, BlobMissing, Rollback)):
                    ask()
    assert vault.record() == replace(record, block=vault.record().block)
    assert vault.sync().committed == 1
    assert texts(reader) == ["first", "second"]


def _reader(folder: Path, url: str) -> Reader:
    return Reader(Home(folder / "tool"), "claude", PASSPHRASE, rpc=url)


def test_node__of_another_chain__is_refused_before_anything_is_sealed(vault: Vault, chain: Chain) -> None:
    vault.remember("second")
    with lying(chain.rpc_url, result_of("eth_chainId", "0x1")) as url, pytest.raises(WrongChain):
        through(vault, url).sync()
    assert vault.sync().committed == 1


def test_verify__node_whose_proof_does_not_hold__says_so(vault: Vault, chain: Chain) -> None:
    assert vault.verify().state_proven

    def another(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getProof":
            response["result"]["storageProof"][1]["proof"] = response["result"]["storageProof"][0]["proof"]
        return response

    with lying(chain.rpc_url, another) as url, pytest.raises(NodeUnreachable, match="proof of state"):
        through(vault, url).verify()
    with lying(chain.rpc_url, result_of("eth_getProof", None)) as url:
        assert not through(vault, url).verify().state_proven


def test_node__says_that_a_commit_landed_that_it_never_sent__committed_again(vault: Vault, chain: Chain) -> None:
    """Alone, such a node is believed, until another one is asked: then what it took is put back from this device's
    copies."""
    vault.remember("second")
    with swallowing(chain) as url:
        assert through(vault, url).sync().committed == 1
    assert vault.waiting() == 0
    vault.sync()  # on a public chain: --accept-rollback
    assert texts(vault) == ["first", "second"]
    assert vault.verify().memories == 2


def test_nodes__one_says_that_a_commit_landed_and_the_other_does_not__waits(
    vault: Vault, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    vault.remember("second")
    with swallowing(chain) as url, pytest.raises(TransactionPending):
        through(vault, f"{url} {chain.rpc_url}").sync()
    assert vault.waiting() == 1
    vault.sync()  # by the other alone: it is sent to that one
    assert (vault.waiting(), texts(vault)) == (0, ["first", "second"])


@contextmanager
def swallowing(chain: Chain) -> Iterator[str]:
    """A node that takes transactions, sends none, and shows a receipt for each, of the newest block."""
    hashes: set[str] = set()

    def told_of(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getTransactionReceipt" and params[0] in hashes:
            block = chain.node.request("eth_getBlockByNumber", "latest", False)
            shown = {"transactionHash": params[0], "blockHash": block["hash"], "blockNumber": block["number"]}
            return response | {"result": RECEIPT | shown}
        return response

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = json.loads(body)
        if asked["method"] == "eth_sendRawTransaction":
            hashes.add("0x" + keccak(hexstr=asked["params"][0]).hex())
            told = {"jsonrpc": "2.0", "id": asked["id"], "result": "0x" + keccak(hexstr=asked["params"][0]).hex()}
        else:
            told = told_of(asked["method"], asked["params"], real(chain.rpc_url, body))
        reply(handler, json.dumps(told).encode())

    with serving(answer) as url:
        yield url


# Nodes that a home keeps ----------------------------------------------------------------------------------------------


def test_nodes__named_at_init__are_kept_compared_and_shown_without_keys(chain: Chain, tmp_path: Path) -> None:
    old: str | None = None

    def change(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        return shows(vault, lambda _: old or "")(method, params, response) if old else response

    with lying(chain.rpc_url, lambda *asked: asked[-1]) as first, lying(chain.rpc_url, change) as second:
        owner = new_owner(tmp_path / "owner", f"{first}/an-api-key {second}/another-key")
        vault = new_vault(owner, "novel", tmp_path / "blobs")
        vault.remember("first")
        vault.sync()
        granted = grant(vault, tmp_path / "tool", "claude")
        assert granted.result.invitation.rpc == f"{first} {second}"
        machine = Machine(tmp_path, forked=True)
        home = ("--home", str(owner.home.folder))
        shown = machine.quick(*home, "rpc", "--json")
        assert "key" not in shown.out
        newest = chain.registry().latest().number
        nodes = [{"name": name, "block": newest, "proves": True, "trouble": None} for name in (first, second)]
        assert shown.answer["data"] == {"nodes": nodes, "agree": True, "trouble": None}
        before = record_of(chain, vault)
        vault.remember("second")
        vault.sync()
        old = before
        for read in (vault.memories, granted.reader.memories):
            with pytest.raises(NodeUnreachable, match=r"1 of 2 RPC nodes can be compared.*does not hold"):
                read()
        disagreeing = machine.quick(*home, "rpc").out
        assert f"{second}   {second} gives a proof of state that does not hold" in disagreeing
        assert "key" not in disagreeing
        refused = machine.quick(*home, "rpc", chain.rpc_url, second, "--json").answer["error"]
        assert refused["name"] == "NodeUnreachable"
        alone = machine.quick(*home, "rpc", chain.rpc_url)
        assert (alone.code, owner.home.config().rpc) == (0, chain.rpc_url)
        assert "It is believed alone." in alone.out
    assert texts(again(owner).vault("novel")) == ["first", "second"]
