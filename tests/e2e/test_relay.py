"""A relayer that pays: an owner without a coin does all that an owner does, and a relayer can do nothing but that."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from memsync_client.cards import Card
from memsync_client.client import Client
from memsync_client.home import Home
from memsync_client.reader import Reader, new_reader
from memsync_client.relayer import Relayer, RelayServer, Terms
from memsync_client.sending import Patience
from memsync_client.session import Session
from tests.e2e.machines import PASSPHRASE, end, new_machine, new_owner, new_vault, texts
from tests.e2e.test_node_account import node_owner
from tests.nodes import Chain

COMMIT = {"vault": bytes(32), "head": b"\x01" * 32, "root": b"\x02" * 32}


@dataclass
class Relay:
    """A relayer that runs, its home, and what it has said."""

    client: Client
    terms: Terms
    said: list[str] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def running(self) -> Iterator[Relay]:
        session = Session(self.client.home, PASSPHRASE)
        session.__dict__.update(device=self.client.session.device, wallet=self.client.session.wallet)
        relayer = Relayer(session, self.terms, self.said.append)
        with RelayServer("127.0.0.1", 0, relayer) as server:
            relayer.start()
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            self.url = server.url
            try:
                yield self
            finally:
                server.shutdown()
                relayer.stop()

    def paid(self) -> int:
        """How many transactions its account has sent."""
        return self.client.session.registry.nonce(self.client.session.config.owner)


@pytest.fixture
def relay(chain: Chain, tmp_path: Path) -> Iterator[Relay]:
    with Relay(new_owner(tmp_path / "relayer", chain.rpc_url), Terms()).running() as running:
        yield running


def penniless(chain: Chain, owner: Client) -> Client:
    chain.node.request("anvil_setBalance", owner.session.config.owner, "0x0")
    return owner


def by(owner: Client, url: str | None) -> Client:
    """The home as another process opens it, with this relayer."""
    other = Client(owner.home, PASSPHRASE, relay=url)
    other.session.__dict__.update(device=owner.session.device, wallet=owner.session.wallet)
    other.session.relayed.patience = Patience(timeout=60)
    return other


@pytest.fixture
def owner(chain: Chain, relay: Relay, tmp_path: Path) -> Client:
    """Without a coin, with a vault in which one memory waits."""
    client = penniless(chain, new_owner(tmp_path / "owner", chain.rpc_url))
    vault = new_vault(by(client, relay.url), "novel", tmp_path / "blobs")
    vault.remember("Ines is left-handed.")
    return client


def card_of(folder: Path, name: str = "claude") -> tuple[Reader, Card]:
    home = Home(folder)
    card = new_reader(home, name, PASSPHRASE)
    return Reader(home, name, PASSPHRASE), card


# All that an owner does -----------------------------------------------------------------------------------------------


def test_owner_without_coins__does_all_by_a_relayer(chain: Chain, relay: Relay, owner: Client, tmp_path: Path) -> None:
    vault = by(owner, relay.url).vault()
    assert vault.sync().committed == 1
    reader, card = card_of(tmp_path / "tool")
    reader.join(vault.grant(card).invitation)
    assert texts(reader) == ["Ines is left-handed."]
    later, other = card_of(tmp_path / "other", "later")
    later.join(vault.grant(other, from_now=True).invitation)  # a commit and a grant in one
    vault.remember("She writes with the right.")
    vault.sync()
    assert texts(later) == ["She writes with the right."]
    assert len(vault.revoke("claude")) == 2
    vault.rotate()
    assert sorted(texts(vault)) == ["Ines is left-handed.", "She writes with the right."]
    assert vault.verify().whole
    assert [line.name for line in vault.grants()] == ["later"]

    registry, address = owner.session.registry, owner.session.config.owner
    assert (registry.balance(address), registry.nonce(address)) == (0, 0)
    assert relay.paid() == 8
    assert {commit.actor for commit in registry.commits(vault.place.vault_id)} == {address}


def test_account_of_a_node__signs_typed_data_there(chain: Chain, relay: Relay, tmp_path: Path) -> None:
    client = node_owner(chain, tmp_path / "node", 7)
    before = client.session.registry.nonce(client.session.config.owner)
    vault = new_vault(by(client, relay.url), "of a node", tmp_path / "node-blobs")
    vault.remember("signed elsewhere")
    assert vault.sync().committed == 1
    assert client.session.registry.nonce(client.session.config.owner) == before


def test_command__sync_with_a_relayer_of_its_own_process(chain: Chain, owner: Client, tmp_path: Path) -> None:
    paying = new_machine(tmp_path / "paying")
    new_owner(paying.folder, chain.rpc_url)
    machine = new_machine(tmp_path / "writing")
    process = paying.start("--passphrase-fd", "0", "relay", "--port", "0", "--json", stdin=subprocess.PIPE)
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{PASSPHRASE}\n")
        process.stdin.flush()
        url = json.loads(process.stdout.readline())["data"]["url"]
        done = machine.quick("--home", str(owner.home.folder), "sync", "--relay", url)
        assert "1 sealed" in done.out, done.out + done.err
    finally:
        end(process)
    assert process.returncode == 0
    assert owner.session.registry.balance(owner.session.config.owner) == 0
