"""Transactions of a vault that have a hard way: blocks that a reorganisation takes back, processes that end meanwhile,
and a pool that gives back late what counted as lost. Nothing is lost, and nothing is there twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from memsync_client import session
from memsync_client.cards import Card
from memsync_client.client import Client, configure
from memsync_client.errors import (
    FeeTooHigh,
    HomeForeign,
    HomeNewer,
    InsufficientFunds,
    InvalidRequest,
    TransactionPending,
)
from memsync_client.home import Home
from memsync_client.reader import new_reader
from memsync_client.registry import Registry
from memsync_client.standing import standing
from memsync_client.vault import Vault
from tests.blocks import Blocks, Killed, stepping
from tests.e2e.machines import PASSPHRASE, Machine, again, new_machine, new_owner, new_vault, texts
from tests.e2e.test_node_account import node_owner
from tests.nodes import Chain, running_chain

GWEI = 10**9


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """An anvil of this file's own."""
    with running_chain() as started:
        yield started


@pytest.fixture
def blocks(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Blocks:
    return stepping(chain, monkeypatch)


@pytest.fixture
def owner(blocks: Blocks, tmp_path: Path) -> Client:
    """A transaction counts with two blocks on top. One memory is committed, and one waits."""
    with blocks.at_once():
        client = new_owner(tmp_path / "owner", blocks.chain.rpc_url)
        vault = new_vault(client, "novel", tmp_path / "blobs")
        vault.remember("first")
        vault.sync()
    blocks.mine()
    blocks.mine()
    configure(client.home, confirmations=2)
    client = Client(client.home, PASSPHRASE)
    client.vault().remember("second")
    return client


def whole(client: Client, expected: list[str]) -> Vault:
    """The vault, after a check that it has these memories, each once, and nothing waits."""
    vault = again(client).vault()
    assert texts(vault) == expected
    assert vault.waiting() == 0
    report = vault.verify()
    assert (report.whole, report.memories) == (True, len(expected))
    assert not client.home.sending.exists()
    assert not list(client.home.folder.rglob("journal"))
    return vault


def card_of(folder: Path) -> Card:
    return new_reader(Home(folder), "claude", PASSPHRASE)


# Reorganisations ------------------------------------------------------------------------------------------------------


def test_sync__its_block_is_taken_back_before_it_is_final__is_committed_once(owner: Client, blocks: Blocks) -> None:
    blocks.steps = [blocks.mine, blocks.mine, lambda: blocks.reorganise(2)]
    result = owner.vault().sync()
    assert (result.committed, result.version) == (1, 3)
    assert whole(owner, ["first", "second"]).record().version == 3


def test_sync__killed_before_it_is_final__waits_on_in_the_outbox_until_it_is(owner: Client, blocks: Blocks) -> None:
    blocks.steps = [blocks.mine, blocks.kill]
    with pytest.raises(Killed):
        owner.vault().sync()
    assert owner.vault().record().version == 3
    blocks.steps = [blocks.kill]
    after = again(owner).vault()
    with pytest.raises(Killed):
        after.sync()
    assert after.waiting() == 1  # a reorganisation could still take it back
    again(owner).vault().sync()
    whole(owner, ["first", "second"])


def test_sync__killed_and_then_taken_back__is_committed_once(owner: Client, blocks: Blocks) -> None:
    blocks.steps = [blocks.mine, blocks.kill]
    with pytest.raises(Killed):
        owner.vault().sync()
    blocks.reorganise(1)
    assert owner.vault().record().version == 2
    again(owner).vault().sync()
    assert whole(owner, ["first", "second"]).record().version == 3


def test_sync__taken_back_for_another_devices_commit__is_built_on_that(
    owner: Client, blocks: Blocks, tmp_path: Path
) -> None:
    """The same wallet on another machine is faster in the new order of things."""
    laptop = copied(owner, tmp_path / "laptop")
    laptop.vault().remember("from the laptop")

    def overtaken() -> None:
        blocks.reorganise(1)
        steps, blocks.steps = blocks.steps, []
        laptop.vault().sync()
        blocks.steps = steps

    blocks.steps = [blocks.mine, overtaken]
    owner.vault().sync()
    whole(owner, ["first", "from the laptop", "second"])
    assert texts(laptop.vault()) == ["first", "from the laptop", "second"]


def test_grant_and_revoke__taken_back__stand_all_the_same(owner: Client, blocks: Blocks, tmp_path: Path) -> None:
    vault = owner.vault()
    blocks.steps = [blocks.mine, lambda: blocks.reorganise(1)]
    vault.grant(card_of(tmp_path / "tool"))
    assert [line.living for line in vault.grants()] == [True]
    blocks.steps = [blocks.mine, lambda: blocks.reorganise(1)]
    assert len(vault.revoke("claude")) == 2
    assert vault.grants() == []
    vault.sync()
    whole(owner, ["first", "second"])


def copied(owner: Client, folder: Path) -> Client:
    """Another machine of the same owner, on which nothing waits."""
    for path in (path for path in owner.home.folder.rglob("*") if path.is_file() and "outbox" not in path.parts):
        target = folder / path.relative_to(owner.home.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return Client(Home(folder), PASSPHRASE)


@pytest.mark.parametrize("taken_back", [False, True])
def test_sync__another_device_has_just_committed__builds_on_nothing_that_can_be_taken_back(
    owner: Client, blocks: Blocks, tmp_path: Path, taken_back: bool
) -> None:
    laptop = copied(owner, tmp_path / "laptop")
    configure(laptop.home, confirmations=0)
    laptop = Client(laptop.home, PASSPHRASE)
    laptop.vault().remember("from the laptop")
    laptop.vault().sync()
    landed = owner.session.registry.latest().number
    blocks.steps = [lambda: blocks.reorganise(1)] if taken_back else []
    mine = owner.vault().sync().landed
    assert mine
    vault = again(owner).vault()
    if taken_back:
        assert (texts(vault), vault.record().version) == (["first", "second"], 3)
    else:
        assert mine.receipt.block.number >= landed + 3
        assert texts(vault) == ["first", "from the laptop", "second"]
    assert vault.verify().whole


# A process that ended, and what comes late ----------------------------------------------------------------------------


def test_revoke__killed_while_it_waits__the_next_command_finishes_it(
    owner: Client, blocks: Blocks, tmp_path: Path
) -> None:
    vault = owner.vault()
    vault.grant(card_of(tmp_path / "tool"))
    blocks.steps = [blocks.kill]
    with pytest.raises(Killed):
        vault.revoke("claude")
    again(owner).vault().sync()
    vault = whole(owner, ["first", "second"])
    assert vault.public_grants() == []
    assert vault.grants() == []


def test_new_vault__killed_while_it_waits__is_found(owner: Client, blocks: Blocks, tmp_path: Path) -> None:
    blocks.steps = [blocks.kill]
    with pytest.raises(Killed):
        new_vault(owner, "diary", tmp_path / "diary")
    client = again(owner)
    client.vault("novel").sync()
    assert [vault.label for vault in client.adopt()] == ["diary"]


def test_sync__one_that_counted_as_lost_lands_late__its_blobs_stay(
    blocks: Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signer was asked, and the process ended before it named the transaction: nobody can look for that one."""
    with blocks.at_once():
        owner = node_owner(blocks.chain, tmp_path / "owner", 6)
        vault = new_vault(owner, "late", tmp_path / "blobs")
    vault.remember("lands late")
    send = Registry._send_by

    def die(self: Registry, prepared: object, wallet: object) -> bytes:
        send(self, prepared, wallet)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "_send_by", die)
        with pytest.raises(Killed):
            vault.sync()
    result = Client(owner.home, PASSPHRASE).vault().sync()
    assert result.version == 2
    vault = Client(owner.home, PASSPHRASE).vault()
    vault.remember("another, after which orphans go")
    vault.sync()
    assert texts(vault) == ["another, after which orphans go", "lands late"]
    assert vault.verify().whole


# Fees, funds, and homes -----------------------------------------------------------------------------------------------


def test_sync__fees_above_the_limit__refuses_and_stores_nothing(owner: Client, blocks: Blocks, tmp_path: Path) -> None:
    configure(owner.home, max_fee=20 * GWEI)
    blocks.mine(50 * GWEI)
    stored = sorted(path.name for path in (tmp_path / "blobs").iterdir())
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(FeeTooHigh, match="limit of 20"):
        Client(owner.home, PASSPHRASE, ask=no).vault().sync()
    assert len(asked) == 1
    assert sorted(path.name for path in (tmp_path / "blobs").iterdir()) == stored
    Client(owner.home, PASSPHRASE, ask=lambda _: True).vault().sync()
    whole(owner, ["first", "second"])


def test_sync__without_funds__says_what_is_missing_and_goes_on_when_it_is_there(owner: Client, blocks: Blocks) -> None:
    address = owner.session.config.owner
    blocks.chain.node.request("anvil_setBalance", address, hex(10**12))
    with pytest.raises(InsufficientFunds, match=r"lacks 0\.\d+ coins .* gas at up to .* gwei"):
        owner.vault().sync()
    assert owner.vault().waiting() == 1
    blocks.chain.node.request("anvil_setBalance", address, hex(10**18))
    owner.vault().sync()
    whole(owner, ["first", "second"])


def test_sync__no_block_comes__is_kept_and_said_where_it_stands(
    owner: Client, blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.session.sender.patience = replace(owner.session.sender.patience, timeout=0.2)
    blocks.steps = [blocks.nothing] * 10_000
    with pytest.raises(TransactionPending, match="is in no block yet"):
        owner.vault().sync()
    assert owner.vault().waiting() == 1
    assert standing(owner).on_its_way
    blocks.steps = []
    again(owner).vault().sync()
    assert not standing(owner).on_its_way
    whole(owner, ["first", "second"])


# A clock that is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "refused"), [(-3, True), (3, True), (0.1, False), (0, False)])
def test_grant__clock_and_chain_apart__is_refused_where_a_date_would_be_wrong(
    owner: Client, blocks: Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, refused: bool
) -> None:
    latest = owner.session.registry.latest().time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(latest.timestamp() + 86_400 * days, tz)

    monkeypatch.setattr(session, "PRACTICE_CHAIN", 1)
    monkeypatch.setattr(session, "datetime", Wrong)
    said: list[str] = []
    vault = Client(owner.home, PASSPHRASE, say=said.append).vault()
    card = card_of(tmp_path / "tool")
    if refused:
        with pytest.raises(InvalidRequest, match="one of the two is wrong") as told:
            vault.grant(card)
        assert "--rpc" in told.value.next_step
        assert vault.record().version == 2
    else:
        expires = vault.grant(card, timedelta(days=30)).expires
        assert abs(expires - latest - timedelta(days=30)) < timedelta(minutes=10)  # the chain's time, not the clock's
    vault.sync()
    assert any("one of the two is wrong" in line for line in said) == bool(days)
    assert vault.waiting() == 0


def test_grant__chain_that_stood_still__ends_as_late_as_was_said(blocks: Blocks, owner: Client, tmp_path: Path) -> None:
    blocks.chain.node.request("evm_increaseTime", 7 * 86_400)  # nobody has used the practice chain for a week
    granted = owner.vault().grant(card_of(tmp_path / "tool"), timedelta(days=3))
    left = granted.expires - owner.session.registry.latest().time
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3, minutes=1)


def test_config__shown_and_changed(chain: Chain, tmp_path: Path) -> None:
    machine = forking(tmp_path)
    new_owner(machine.folder, chain.rpc_url)
    assert machine.data("config", passphrase=None)["max_fee_gwei"] == "200"
    changed = machine.data("config", "--confirmations", "12", "--max-fee", "0.05", passphrase=None)
    assert (changed["confirmations"], changed["max_fee_gwei"]) == (12, "0.05")
    config = Home(machine.folder).config()
    assert (config.confirmations, config.max_fee) == (12, 50_000_000)
    for words in (("--max-fee", "0"), ("--max-fee", "dear"), ("--confirmations", "-1")):
        assert machine.quick("config", *words, passphrase=None).code == 2


def forking(folder: Path) -> Machine:
    machine = new_machine(folder / "home")
    machine.forked = True
    return machine


def snapshot(machine: Machine) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in machine.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [("remember", "lost?"), ("config", "--max-fee", "5"), ("init", "--no-kit")])
def test_home__of_a_newer_version__is_refused_and_nothing_written(tmp_path: Path, words: tuple[str, ...]) -> None:
    machine = forking(tmp_path)
    machine.folder.mkdir(parents=True)
    (machine.folder / "config.json").write_text(json.dumps({"format": 2, "chains": [1, 10]}))
    before = snapshot(machine)
    refused = machine.refusal(*words)
    assert (refused["name"], refused["exit_code"]) == (HomeNewer.__name__, HomeNewer.exit_code)
    assert "Update MemSync" in refused["next_step"]
    assert snapshot(machine) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("words", [("sync",), ("init", "--no-kit"), ("reader", "new", "claude")])
def test_home__of_another_user__is_refused_and_nothing_written(tmp_path: Path, words: tuple[str, ...]) -> None:
    machine = forking(tmp_path)
    machine.folder.mkdir(parents=True)
    os.chown(machine.folder, 54_321, -1)
    refused = machine.refusal(*words)
    assert (refused["name"], refused["exit_code"]) == (HomeForeign.__name__, HomeForeign.exit_code)
    assert list(machine.folder.iterdir()) == []
