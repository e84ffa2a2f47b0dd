"""Several nodes, all of them proxies before one real chain: the newest that nobody contradicts, or who says what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from memsync_client import agreement
from memsync_client.errors import (
    InvalidRequest,
    NodesDisagree,
    NodeUnreachable,
    TransactionPending,
    UnknownVault,
    WrongChain,
)
from memsync_client.registry import Registry
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import lying, real, result_of
from tests.nodes import Chain, free_port, transact

Change = Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]
SECRET = "an-api-key"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_PAUSES", (0.01,))


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture
def vault(registry: Registry, owner: Wallet) -> bytes:
    """At version 2, of the newest block."""
    transact(registry, owner, registry.create(1, digest("head 1"), bytes(32), digest("keyring 1"), ""))
    made = registry.vault_id_of(owner.address, 1)
    transact(registry, owner, registry.commit(made, 1, 1, digest("head 2"), digest("root 2")))
    return made


def honest(_: str, __: list[Any], response: dict[str, Any]) -> dict[str, Any]:
    return response


@contextmanager
def nodes(chain: Chain, *changes: Change) -> Iterator[str]:
    """One proxy for each change; their URLs, each with a secret in it."""
    with ExitStack() as stack:
        urls = [stack.enter_context(lying(chain.rpc_url, change)) for change in changes]
        yield " ".join(f"{url}/{SECRET}" for url in urls)


def as_of(chain: Chain, number: int, shown: int | None = None) -> Change:
    """A node for which block ``number`` is the newest; with ``shown`` it gives that block's number to its state."""

    def ask(method: str, *params: Any) -> Any:
        return chain.node.request(method, *params)

    def change(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            block = ask(method, hex(number if shown is None else shown), False)
            return response | {"result": block}
        if method == "eth_call" and shown is not None:
            response.pop("error", None)
            return response | {"result": ask(method, params[0], hex(number))}
        if method == "eth_getProof" and shown is not None:
            return response | {"result": None}
        return response

    return change


def test_record__nodes_agree__proven_and_as_one_alone_says(chain: Chain, registry: Registry, vault: bytes) -> None:
    with nodes(chain, honest, honest, honest) as urls:
        record = Registry.connect(urls).record(vault)
    assert record == registry.record(vault)
    assert record.proven


def test_record__unknown_to_all__says_so(chain: Chain) -> None:
    with nodes(chain, honest, honest) as urls, pytest.raises(UnknownVault, match="as 2 nodes say"):
        Registry.connect(urls).record(bytes(32))


@pytest.mark.parametrize("order", ["first behind", "second behind"])
def test_record__one_node_a_block_behind__the_newest_counts(
    chain: Chain, registry: Registry, vault: bytes, order: str
) -> None:
    behind = as_of(chain, registry.latest().number - 1)
    with nodes(chain, *((behind, honest) if order == "first behind" else (honest, behind))) as urls:
        assert Registry.connect(urls).record(vault).content_hash == digest("head 2")


def test_record__one_does_not_know_the_vault_yet__the_newest_counts(
    chain: Chain, registry: Registry, vault: bytes
) -> None:
    with nodes(chain, as_of(chain, registry.latest().number - 2), honest) as urls:
        assert Registry.connect(urls).record(vault).version == 2


def test_record__old_head_at_the_same_block__both_named_and_no_secret(
    chain: Chain, registry: Registry, vault: bytes
) -> None:
    newest = registry.latest().number
    with nodes(chain, honest, as_of(chain, newest - 1, shown=newest)) as urls:
        with pytest.raises(NodesDisagree) as told:
            Registry.connect(urls).record(vault)
        for url in urls.split():
            assert url.removesuffix(f"/{SECRET}") in told.value.cause
    assert f"version 2, epoch 1, head {digest('head 2').hex()[:12]}" in told.value.cause
    assert f"version 1, epoch 1, head {digest('head 1').hex()[:12]}" in told.value.cause
    assert SECRET not in told.value.cause + told.value.next_step


def test_record__old_head_at_a_later_block__refused(chain: Chain, registry: Registry, vault: bytes) -> None:
    """It hides the newest commit behind blocks that the other node has not seen yet, and keeps no older state."""
    known = registry.latest().number
    chain.node.request("evm_mine")
    hiding = as_of(chain, known - 1, shown=known + 1)

    def forgetful(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_call" and params[1] == hex(known):
            return {"jsonrpc": "2.0", "id": response["id"], "error": {"code": -32000, "message": "pruned"}}
        return hiding(method, params, response)

    told = pytest.raises(NodesDisagree, match=r"says at block \d+ .*: version 2.*: version 1")
    with nodes(chain, as_of(chain, known), forgetful) as urls, told:
        Registry.connect(urls).record(vault)


def test_record__another_block_of_that_number__refused(chain: Chain, vault: bytes) -> None:
    def fork(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber":
            response["result"]["hash"] = "0x" + "ab" * 32
        return response

    with nodes(chain, honest, fork) as urls, pytest.raises(NodesDisagree, match="abababababab"):
        Registry.connect(urls).record(vault)


def test_record__contradicts_once__asked_again(chain: Chain, registry: Registry, vault: bytes) -> None:
    newest = registry.latest().number
    old, reads = as_of(chain, newest - 1, shown=newest), 0

    def changing(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        nonlocal reads
        reads += method == "eth_call"
        return old(method, params, response) if reads == 1 else response

    with nodes(chain, honest, changing) as urls:
        assert Registry.connect(urls).record(vault).version == 2
    assert reads == 2


def test_record__one_forges_a_head_and_the_other_proves_the_true_one__refused(chain: Chain, vault: bytes) -> None:
    true = digest("head 2").hex()

    def forged(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getProof":
            return response | {"result": None}
        if method == "eth_call" and true in str(response.get("result")):
            response["result"] = response["result"].replace(true, digest("forged").hex())
        return response

    with nodes(chain, forged, honest) as urls, pytest.raises(NodesDisagree, match=digest("forged").hex()[:12]):
        Registry.connect(urls).record(vault)


def test_record__far_behind__has_nothing_to_say(chain: Chain, registry: Registry, vault: bytes) -> None:
    stuck = as_of(chain, registry.latest().number)
    chain.pass_time(3_600)
    with nodes(chain, honest, stuck) as urls, pytest.raises(NodeUnreachable, match="nothing so new can be compared"):
        Registry.connect(urls).record(vault)
    with nodes(chain, honest, stuck, honest) as urls:
        assert Registry.connect(urls).record(vault).version == 2


def test_connect__one_of_two_is_down__takes_two(chain: Chain) -> None:
    down = f"http://127.0.0.1:{free_port()}/{SECRET}"
    with nodes(chain, honest) as url, pytest.raises(NodeUnreachable, match="1 of 2 RPC nodes can be compared") as told:
        Registry.connect(f"{url} {down}")
    assert SECRET not in told.value.cause


def test_connect__the_first_of_three_is_down__the_next_takes_its_place(chain: Chain, vault: bytes) -> None:
    down = f"http://127.0.0.1:{free_port()}"
    with nodes(chain, honest, honest) as urls:
        registry = Registry.connect(f"{down} {urls}")
        assert registry.rpc_url == urls.split()[0]
        assert registry.record(vault).version == 2


def test_record__a_node_dies_in_between__takes_two(chain: Chain, vault: bytes) -> None:
    with nodes(chain, honest) as one, nodes(chain, honest) as other:
        registry = Registry.connect(f"{one} {other}")
        assert registry.record(vault).version == 2
        with nodes(chain, honest) as third:
            three = Registry.connect(f"{one} {other} {third}")
        assert three.record(vault).version == 2
    with pytest.raises(NodeUnreachable, match="0 of 2"):
        registry.record(vault)


def test_connect__one_serves_another_chain__named(chain: Chain) -> None:
    with nodes(chain, honest, result_of("eth_chainId", "0x1")) as urls:
        with pytest.raises(WrongChain, match="serves chain 1, "):
            Registry.connect(urls)
        with pytest.raises(WrongChain, match="serves chain 1, not chain 31337"):
            Registry.connect(urls, chain_id=31337)


def test_connect__the_same_node_twice__invalid_request(chain: Chain) -> None:
    with pytest.raises(InvalidRequest, match="named twice"):
        Registry.connect(f"{chain.rpc_url} {chain.rpc_url}")


def test_wait__another_node_has_it_too__receipt(chain: Chain, owner: Wallet) -> None:
    with nodes(chain, honest, honest) as urls:
        registry = Registry.connect(urls)
        receipt = transact(registry, owner, registry.create(1, digest("h"), bytes(32), digest("k"), ""))
    assert chain.registry().receipt(receipt.tx_hash) == receipt


def test_wait__first_node_says_it_landed_and_no_other_does__pending(
    chain: Chain, registry: Registry, owner: Wallet
) -> None:
    """The first node shows the receipt of a transaction that the chain does not have."""
    landed = transact(registry, owner, registry.create(1, digest("h"), bytes(32), digest("k"), ""))
    true = chain.node.request("eth_getTransactionReceipt", "0x" + landed.tx_hash.hex())
    unsent = bytes(range(32))

    def claims(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getTransactionReceipt" and params[0] == "0x" + unsent.hex():
            return response | {"result": true | {"transactionHash": params[0]}}
        return response

    with nodes(chain, claims, honest) as urls:
        liar = Registry.connect(urls)
        assert liar.receipt(unsent)
        with pytest.raises(TransactionPending, match="does not say so"):
            liar.wait(unsent, timeout=0.2)


def test_real__passes_on_what_a_node_says(chain: Chain) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"eth_chainId","params":[]}'
    assert real(chain.rpc_url, body) == {"jsonrpc": "2.0", "id": 7, "result": "0x7a69"}
