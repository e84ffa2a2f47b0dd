"""Accounts whose key is elsewhere: what names them, and what their node or signer may answer."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from memsync_client.errors import InvalidRequest, NodeUnreachable, NonceTaken, TransactionRefused
from memsync_client.registry import Registry
from memsync_client.transactions import UNKNOWN_HASH, Prepared, Signed
from memsync_client.wallet import Account
from tests.client.bad_nodes import lying, reply, result_of, serving
from tests.nodes import Chain

VAULT = bytes.fromhex("5a" * 32)
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize(
    ("text", "account"),
    [
        (f"node:{ADDRESS}", Account(ADDRESS)),
        (f"node:{ADDRESS.lower()}", Account(ADDRESS)),
        (f"signer:http://127.0.0.1:1248#{ADDRESS}", Account(ADDRESS, "http://127.0.0.1:1248")),
        (f"signer:https://s.example/a?b=c#{ADDRESS}", Account(ADDRESS, "https://s.example/a?b=c")),
        ("wallet.json", None),
        (f"folder/{ADDRESS}", None),
    ],
)
def test_parse__of_each_form(text: str, account: Account | None) -> None:
    assert Account.parse(text) == account
    if account:
        assert Account.parse(str(account)) == account


@pytest.mark.parametrize(
    "text",
    ["node:", "node:0x12", f"node:{ADDRESS}0", f"signer:{ADDRESS}", f"signer:ftp://x#{ADDRESS}", "signer:http://x"],
)
def test_parse__malformed__says_how_it_is_written(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Account.parse(text)
    assert "node:0x…" in refused.value.next_step


def unlocked(registry: Registry, number: int) -> Account:
    return Account(str(registry.node.web3.eth.accounts[number]))


def creating(registry: Registry, account: Account) -> Prepared:
    salt = registry.vault_count(account.address) + 1
    return registry.prepare(registry.create(salt, VAULT, VAULT, VAULT, ""), account.address)


def test_submit__names_no_hash_and_then_the_transactions(registry: Registry) -> None:
    account, announced = unlocked(registry, 5), list[Signed]()
    tx_hash = registry.submit(creating(registry, account), account, announced.append)
    assert [(signed.raw, signed.tx_hash) for signed in announced] == [(b"", UNKNOWN_HASH), (b"", tx_hash)]
    assert registry.wait(tx_hash).tx_hash == tx_hash
    assert registry.vault_count(account.address) == 1


def test_submit__number_taken_meanwhile__says_so(registry: Registry) -> None:
    account = unlocked(registry, 6)
    prepared = creating(registry, account)
    registry.wait(registry.submit(prepared, account, lambda _: None))
    with pytest.raises(NonceTaken):
        registry.submit(prepared, account, lambda _: None)


def test_submit__of_another_account__is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidRequest, match="The transaction is 0x"):
        registry.submit(creating(registry, unlocked(registry, 7)), unlocked(registry, 8), lambda _: None)


def test_submit__refused_by_the_person__says_what_the_signer_says(registry: Registry) -> None:
    def no(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        error = {"code": 4001, "message": "User rejected the request."}
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": error}).encode())

    account = unlocked(registry, 7)
    prepared = creating(registry, account)
    with serving(no) as url, pytest.raises(TransactionRefused, match="User rejected the request"):
        registry.submit(prepared, Account(account.address, url), lambda _: None)


def test_submit__signer_busy__asks_once_only(registry: Registry) -> None:
    """A second request could be a second transaction."""
    asked, announced = list[str](), list[Signed]()

    def busy(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(json.loads(body)["method"])
        reply(handler, b"", 503)

    account = unlocked(registry, 7)
    prepared = creating(registry, account)
    with serving(busy) as url, pytest.raises(NodeUnreachable):
        registry.submit(prepared, Account(account.address, url), announced.append)
    assert asked == ["eth_sendTransaction"]
    assert [signed.tx_hash for signed in announced] == [UNKNOWN_HASH]


@pytest.mark.parametrize("answer", [None, "0x12", "0x" + "zz" * 32, 7, {}])
def test_submit__no_hash_for_an_answer__ends_in_an_error_of_ours(registry: Registry, chain: Chain, answer: Any) -> None:
    account = unlocked(registry, 7)
    prepared = creating(registry, account)

    def instead(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": answer}).encode())

    with serving(instead) as url, pytest.raises(NodeUnreachable):
        registry.submit(prepared, Account(account.address, url), lambda _: None)


def test_check_account__of_another_chain_or_unknown__is_refused(registry: Registry, chain: Chain) -> None:
    account = unlocked(registry, 7)
    registry.check_account(account)
    with (
        lying(chain.rpc_url, result_of("eth_chainId", "0x1")) as url,
        pytest.raises(InvalidRequest, match="for chain 1"),
    ):
        registry.check_account(Account(account.address, url))
    with pytest.raises(InvalidRequest, match="does not sign for"):
        registry.check_account(Account("0x" + "11" * 20))
