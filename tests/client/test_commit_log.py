"""Who sent a commit: the log of one node, and of several."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from memsync_client.registry import Registry
from memsync_client.transactions import Call
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import lying
from tests.nodes import Chain, transact

KEY_ID = b"\x07" * 20


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture
def vault(registry: Registry, owner: Wallet) -> bytes:
    """The owner's first vault, at version 1."""
    transact(registry, owner, registry.create(1, digest("head 1"), bytes(32), digest("keyring 1"), ""))
    return registry.vault_id_of(owner.address, 1)


def test_commits__of_an_owner_who_handed_over__were_by_the_owner_of_then(
    registry: Registry, chain: Chain, owner: Wallet, reader: Wallet, vault: bytes
) -> None:
    until = registry.latest().time + timedelta(days=1)
    transact(registry, owner, registry.grant(vault, 1, reader.address, 2, until, KEY_ID))
    by_writer = transact(registry, reader, registry.commit(vault, 2, 1, digest("h2"), digest("r2")))
    transact(registry, owner, registry.commit(vault, 3, 1, digest("h3"), digest("r3")))
    transact(registry, owner, Call("offer", (vault, 4, reader.address, 2**40 - 1)))
    transact(registry, reader, Call("accept", (vault,)))
    transact(registry, reader, registry.commit(vault, 6, 2, digest("h4"), digest("r4"), digest("k4")))
    by_owners = [True, False, True, True]
    record = registry.record(vault)
    for first in (0, by_writer.block.number):
        commits = registry.commits(vault, first)
        assert [commit.by_owner(record) for commit in commits] == by_owners[-len(commits) :]
    transact(registry, reader, Call("close", (vault, 7, bytes(32))))
    assert [commit.by_owner(registry.record(vault)) for commit in registry.commits(vault)] == by_owners
    history = [(digest("keyring 1"), 1, owner.address), (digest("k4"), 2, reader.address)]
    assert registry.keyring_history(vault) == history


def test_commits_agreed__other_node_names_another_sender__only_what_both_say(
    registry: Registry, chain: Chain, owner: Wallet, reader: Wallet, vault: bytes
) -> None:
    transact(registry, owner, registry.commit(vault, 1, 1, digest("h2"), digest("r2")))
    sender, other = (bytes(12).hex() + account.address[2:].lower() for account in (owner, reader))

    def blamed(method: str, _: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getLogs":
            last = response["result"][-1]
            last["topics"] = [topic.replace(sender, other) for topic in last["topics"]]
        return response

    assert registry.commits_agreed(vault) == registry.commits(vault)
    with lying(chain.rpc_url, blamed) as url:
        both = Registry.connect(f"{chain.rpc_url} {url}")
        assert both.commits_agreed(vault) == registry.commits(vault)[:1]
