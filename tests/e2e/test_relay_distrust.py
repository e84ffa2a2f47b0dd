"""Relayers that are hostile or broken can delay, and no more; and none is made to pay for what it should not."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_utils import keccak, to_checksum_address

from memsync_client import relayer as relayer_module
from memsync_client.client import Client
from memsync_client.errors import RelayRefused, TransactionPending, TransactionRefused
from memsync_client.registry import Registry
from memsync_client.relayer import MAX_BODY, Relayer, Terms
from memsync_client.relaying import GOOD_FOR, METHOD, Relayed
from memsync_client.sending import Patience
from memsync_client.transactions import Call
from memsync_client.twins import twins_of
from memsync_client.vault import Vault
from memsync_client.wallet import Wallet
from tests.blocks import Killed
from tests.client.bad_nodes import reply, serving
from tests.e2e.machines import new_owner, new_vault, texts
from tests.e2e.test_relay import Relay, by
from tests.nodes import Chain, running_chain

HASH = keccak(text="any")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """An anvil of this file's own, whose time runs ahead."""
    with running_chain() as started:
        yield started


@pytest.fixture
def owner(chain: Chain, tmp_path: Path) -> Client:
    """With coins and a vault, in which one memory waits."""
    client = new_owner(tmp_path / "owner", chain.rpc_url)
    new_vault(client, "novel", tmp_path / "blobs").remember("waits")
    return client


def vault_by(owner: Client, url: str | None) -> Vault:
    return by(owner, url).vault()


def vault_in_vain(owner: Client, url: str) -> Vault:
    """The same, where nothing ever comes of waiting."""
    client = by(owner, url)
    client.session.relayed.patience = Patience(timeout=0.3)
    return client.vault()


@contextmanager
def relayer(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """A relayer that answers each call that is handed to it as it likes."""

    def answered(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = json.loads(body)
        assert asked["method"] == METHOD
        told = answer(asked["params"][0])
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": asked["id"], **told}).encode())

    with serving(answered) as url:
        yield url


def send(chain: Chain, call: dict[str, Any]) -> Any:
    """What a relayer does with a call at last: the receipt."""
    account = chain.node.request("eth_accounts")[3]
    tx_hash = chain.node.request("eth_sendTransaction", {"from": account, "to": call["to"], "data": call["data"]})
    for _ in range(3000):
        if receipt := chain.node.request("eth_getTransactionReceipt", tx_hash):
            return receipt
        time.sleep(0.02)
    raise AssertionError("not mined")


def committed_once(vault: Vault) -> None:
    assert texts(vault) == ["waits"]
    assert vault.waiting() == 0
    assert (vault.record().version, vault.verify().memories) == (2, 1)


# The relayer is against the owner -------------------------------------------------------------------------------------


def test_relayer__says_that_it_sent_and_did_not__another_way_is_taken_and_its_copy_is_worth_nothing(
    chain: Chain, owner: Client
) -> None:
    held: list[dict[str, Any]] = []

    def hold(call: dict[str, Any]) -> dict[str, Any]:
        held.append(call)
        return {"result": {"tx": f"0x{HASH.hex()}"}}

    with relayer(hold) as url, pytest.raises(TransactionPending, match="in no block yet"):
        vault_in_vain(owner, url).sync()
    vault = vault_by(owner, None)
    assert vault.waiting() == 1
    vault.sync()
    committed_once(vault)
    assert send(chain, held[0])["status"] == "0x0"  # held back until now: the version has passed
    committed_once(vault)


def test_relayer__holds_it_back_and_sends_it_just_before_another_way_does__committed_once(
    chain: Chain, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[dict[str, Any]] = []

    def hold(call: dict[str, Any]) -> dict[str, Any]:
        held.append(call)
        return {"result": {"tx": None}}

    with relayer(hold) as url, pytest.raises(TransactionPending):
        vault_in_vain(owner, url).sync()
    submit = Registry.submit

    def overtaken(self: Registry, *given: Any) -> bytes:
        if held:
            send(chain, held.pop())
        return submit(self, *given)

    monkeypatch.setattr(Registry, "submit", overtaken)
    vault = vault_by(owner, None)
    vault.sync()
    committed_once(vault)
    vault.remember("another, after which orphans go")
    vault.sync()
    assert texts(vault) == ["another, after which orphans go", "waits"]


def test_relayer__sends_and_says_that_it_refuses__committed_once(chain: Chain, owner: Client) -> None:
    def lie(call: dict[str, Any]) -> dict[str, Any]:
        send(chain, call)
        return {"error": {"code": -32000, "message": "no\x1b[2J more"}}

    with relayer(lie) as url, pytest.raises(RelayRefused) as told:
        vault_by(owner, url).sync()
    assert told.value.cause.isprintable()
    vault = vault_by(owner, None)
    vault.sync()
    committed_once(vault)


def broken(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"", 503)


def rubbish(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, b"<html>")


def endless(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**16)


@pytest.mark.parametrize("answer", [broken, rubbish, endless])
def test_relayer__broken__is_named_and_nothing_is_lost(owner: Client, answer: Callable[..., None]) -> None:
    with serving(answer) as url, pytest.raises(RelayRefused, match="relayer") as told:
        vault_by(owner, url).sync()
    assert "--relay URL" in told.value.next_step
    vault = vault_by(owner, None)
    assert vault.waiting() == 1
    vault.sync()
    committed_once(vault)


def test_relayer__sends_after_the_signatures_time__is_refused_by_the_chain(chain: Chain, owner: Client) -> None:
    held: list[dict[str, Any]] = []

    def hold(call: dict[str, Any]) -> dict[str, Any]:
        held.append(call)
        chain.pass_time(int(GOOD_FOR.total_seconds()) + 60)
        return {"result": {"tx": None}}

    with relayer(hold) as url, pytest.raises((RelayRefused, TransactionRefused), match=r"void|time that has passed"):
        vault_by(owner, url).sync()
    assert send(chain, held[0])["status"] == "0x0"
    assert vault_by(owner, None).record().version == 1


@pytest.mark.parametrize("same", [True, False])
def test_client__killed_after_it_handed_over__the_next_one_finishes(
    chain: Chain, owner: Client, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    def swallow(call: dict[str, Any]) -> dict[str, Any]:
        return {"result": {"tx": None}}

    def work(call: dict[str, Any]) -> dict[str, Any]:
        send(chain, call)
        return {"result": {"tx": None}}

    hand_over = Relayed._hand_over

    def die(self: Relayed, signed: Any) -> None:
        hand_over(self, signed)
        raise Killed

    with relayer(swallow) as url, monkeypatch.context() as patch:
        patch.setattr(Relayed, "_hand_over", die)
        with pytest.raises(Killed):
            vault_by(owner, url).sync()
    with relayer(work) as url:
        vault = vault_by(owner, url if same else None)
        vault.sync()
        committed_once(vault)


# The owner, or anyone, is against the relayer -------------------------------------------------------------------------


@pytest.fixture
def paying(chain: Chain, tmp_path: Path) -> Iterator[Relay]:
    with Relay(new_owner(tmp_path / "relayer", chain.rpc_url), Terms(2, 3)).running() as running:
        yield running


@pytest.fixture
def account(chain: Chain) -> Wallet:
    """Without coins."""
    return chain.wallet(0)


def creating(registry: Registry, account: Wallet, base_uri: str = "") -> Call:
    return registry.create(registry.vault_count(account.address) + 1, HASH, HASH, HASH, base_uri)


def signed(registry: Registry, account: Wallet, call: Call, good_for: int = 600) -> bytes:
    deadline = int(registry.next_time().timestamp()) + good_for
    (twin,) = twins_of(registry, call, account.address, deadline)
    return registry.encode(twin.call(registry.sign_typed_data(twin.typed_data(registry), account)))


def ask(relay: Relay, data: bytes, **changed: Any) -> dict[str, Any]:
    """What the relayer answers, by HTTP."""
    registry = relay.client.session.registry
    call = {"chainId": registry.chain_id, "to": registry.address, "data": f"0x{data.hex()}"} | changed
    asked = {"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": [call]}
    answer: dict[str, Any] = requests.post(relay.url, json=asked, timeout=60).json()
    return answer


def refusal_of(relay: Relay, data: bytes, **changed: Any) -> str:
    before = relay.paid()
    answer = ask(relay, data, **changed)
    assert relay.paid() == before
    return str(answer["error"]["message"])


def test_relay__what_is_not_signed_or_not_for_its_registry__is_refused(
    chain: Chain, paying: Relay, account: Wallet
) -> None:
    registry = chain.registry()
    call = creating(registry, account)
    good = signed(registry, account, call)
    assert "serves the registry" in refusal_of(paying, good, chainId=1)
    assert "serves the registry" in refusal_of(paying, good, to=account.address)
    direct = registry.encode(call)
    bundles = [registry.multicall([]), Call("multicall", ([good, direct],)), Call("multicall", ([direct],))]
    nested = Call("multicall", ([registry.encode(Call("multicall", ([good],)))],))
    for data in (b"", b"\x12\x34", direct, good[:40], *map(registry.encode, [*bundles, nested])):
        assert "signed" in (said := refusal_of(paying, data)) or "can't be read" in said, data
    stranger = chain.wallet(0)
    of_two = Call("multicall", ([good, signed(registry, stranger, creating(registry, stranger))],))
    assert "one account's" in refusal_of(paying, registry.encode(of_two))
    assert registry.vault_count(account.address) == 0


def test_relay__changed_in_any_byte__is_refused_and_counts_for_nobody(
    chain: Chain, paying: Relay, account: Wallet
) -> None:
    registry = chain.registry()
    good = signed(registry, account, creating(registry, account))
    for at in range(40, len(good) - 32, 97):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert "error" in ask(paying, changed)
    assert paying.paid() == 0
    assert "result" in ask(paying, good)


def test_relay__deadline_passed_or_far_off__is_refused(chain: Chain, paying: Relay, account: Wallet) -> None:
    registry = chain.registry()
    for good_for in (-10, 7200, 2**40):
        assert "deadline" in refusal_of(paying, signed(registry, account, creating(registry, account), good_for))


def test_relay__limits_of_a_day__hold_across_a_restart_and_end_with_the_day(
    chain: Chain, paying: Relay, account: Wallet
) -> None:
    registry, other = chain.registry(), chain.wallet(0)
    for _ in range(2):
        assert "result" in ask(paying, signed(registry, account, creating(registry, account)))
    assert "as many calls today" in refusal_of(paying, signed(registry, account, creating(registry, account)))
    with Relay(paying.client, paying.terms).running() as again:
        assert "as many calls today" in refusal_of(again, signed(registry, account, creating(registry, account)))
        assert "result" in ask(again, signed(registry, other, creating(registry, other)))
        assert "as many calls today" in refusal_of(again, signed(registry, other, creating(registry, other)))  # of all
        chain.pass_time(int(timedelta(days=1).total_seconds()))
        assert "result" in ask(again, signed(registry, other, creating(registry, other)))


def test_relay__same_call_twice__is_paid_once(chain: Chain, paying: Relay, account: Wallet) -> None:
    data = signed(chain.registry(), account, creating(chain.registry(), account))
    first = ask(paying, data)
    assert ask(paying, data)["result"] == first["result"]
    assert paying.paid() == 1


def test_relay__more_gas_or_another_account_than_it_pays_for__is_refused(
    chain: Chain, tmp_path: Path, account: Wallet
) -> None:
    registry, client = chain.registry(), new_owner(tmp_path / "relayer", chain.rpc_url)
    data = signed(registry, account, creating(registry, account))
    with Relay(client, Terms(max_gas=100_000)).running() as relay:
        assert "pays for 100,000" in refusal_of(relay, data)
    with Relay(client, Terms(only=frozenset({client.session.config.owner}))).running() as relay:
        assert f"does not pay for {account.address}" in refusal_of(relay, data)


def test_relay__call_that_needs_more_gas_once_it_is_to_be_sent__is_refused_and_none_gets_more_than_the_limit(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an account with code of its own takes to say that a signature is good, it may change at any time."""
    monkeypatch.setattr(relayer_module, "_ANSWER_SECONDS", 0)
    registry, client = chain.registry(), new_owner(tmp_path / "relayer", chain.rpc_url)
    account = to_checksum_address("0x" + "5a" * 20)
    good, dear = "631626ba7e60e01b5f5260205ff3", "5f6204000052"  # answers yes; takes memory of 256 KiB, 155,000 gas
    chain.node.request("anvil_setCode", account, f"0x{good}")
    deadline = int(registry.next_time().timestamp()) + 600
    (twin,) = twins_of(registry, registry.create(1, HASH, HASH, HASH, ""), account, deadline)
    data = registry.encode(twin.call(bytes(65)))
    limit = registry.simulate(data, client.session.config.owner) + 1_000
    for code, paid in ((dear + good, 0), (good, 1)):
        said: list[str] = []
        relayer = Relayer(client.session, Terms(max_gas=limit), said.append)
        chain.node.request("anvil_setCode", account, f"0x{good}")
        assert relayer.take(registry.chain_id, registry.address, data) is None
        chain.node.request("anvil_setCode", account, f"0x{code}")
        relayer.start()
        relayer.stop()
        assert (f"pays for {limit:,}" in said[0], registry.nonce(client.session.config.owner)) == (not paid, paid)
    last = chain.node.request("eth_getBlockByNumber", "latest", True)["transactions"][0]
    assert int(last["gas"], 16) == limit


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"x" * (MAX_BODY + 1), "application/json", 400), (b"{}", "text/plain", 400), (b"[", "application/json", 200)],
)
def test_relay__request_of_another_form__is_refused(paying: Relay, body: bytes, kind: str, status: int) -> None:
    answer = requests.post(paying.url, data=body, headers={"Content-Type": kind}, timeout=60)
    assert answer.status_code == status
    assert status == 400 or "error" in answer.json()


def test_relay__callers_that_never_finish_or_are_too_many__hold_nobody_up_and_are_named_nowhere(
    chain: Chain, paying: Relay, account: Wallet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A byte now and then would begin every time-out of a socket anew."""
    monkeypatch.setattr(relayer_module, "_ASKING_SECONDS", 0.5)
    port = int(paying.url.rpartition(":")[2])
    head = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(relayer_module._MOST_CALLERS)
        ]
        for caller in slow:
            caller.sendall(head)
        one_more = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        one_more.settimeout(30)
        with suppress(ConnectionError):
            assert one_more.recv(1) == b""
        slow[0].settimeout(0.1)
        for _ in range(300):
            try:
                slow[0].sendall(b" ")
                slow[0].recv(4096)  # an answer, or the end
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            break
        else:
            raise AssertionError("a slow caller is waited for without an end")
        for caller in slow:
            caller.settimeout(30)
            with suppress(ConnectionError):
                while caller.recv(4096):
                    pass
    with socket.create_connection(("127.0.0.1", port)) as long, suppress(ConnectionError):
        long.sendall(head.replace(b"60000", b"9" * 5000))
        long.settimeout(30)
        assert long.recv(12) == b"HTTP/1.1 400"
    registry = chain.registry()
    assert "result" in ask(paying, signed(registry, account, creating(registry, account)))
    assert capfd.readouterr().err == ""


def test_relay__killed_while_it_sends__the_next_one_goes_on(
    chain: Chain, tmp_path: Path, account: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, client = chain.registry(), new_owner(tmp_path / "relayer", chain.rpc_url)
    data = signed(registry, account, creating(registry, account))

    def fails(self: Registry, signed: Any) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "send", fails)
        with Relay(client, Terms()).running() as relay:
            assert "failed" in ask(relay, data)["error"]["message"]
    assert client.home.sending.exists()
    with Relay(client, Terms()).running():
        pass  # it ends when what was left is done with
    assert registry.vault_count(account.address) == 1
    assert not client.home.sending.exists()
