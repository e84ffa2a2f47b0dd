"""Transactions that arrive: on a real chain that mines when the test says so, loses what waits, and reorganises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from memsync_client import sending
from memsync_client.errors import (
    FeeTooHigh,
    InsufficientFunds,
    NodeUnreachable,
    TransactionPending,
    TransactionRefused,
    VersionTaken,
)
from memsync_client.home import SealedFile
from memsync_client.records import Receipt
from memsync_client.registry import Registry
from memsync_client.sealing import Place
from memsync_client.sending import Patience, Sender
from memsync_client.transactions import UNKNOWN_HASH, Prepared
from memsync_client.wallet import Account, Wallet
from tests.blocks import Blocks, Killed, stepping
from tests.client.bad_nodes import lying
from tests.client.material import holder
from tests.nodes import COIN, Chain, running_chain, transact

GWEI = 10**9
LIMIT = 10_000 * GWEI
DEVICE = holder("desk")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """An anvil of this file's own."""
    with running_chain() as started:
        yield started


@dataclass
class World:
    """A wallet with a vault on a chain that steps on while somebody waits."""

    blocks: Blocks
    wallet: Wallet | Account
    file: SealedFile
    said: list[str] = field(default_factory=list)
    announced: list[list[bytes]] = field(default_factory=list)

    @property
    def chain(self) -> Chain:
        return self.blocks.chain

    @property
    def registry(self) -> Registry:
        return self.chain.registry()

    @property
    def vault(self) -> bytes:
        return self.registry.vault_id_of(self.wallet.address, 1)

    def sender(self, **options: Any) -> Sender:
        """As a new process has it."""
        given: dict[str, Any] = {"confirmations": 0, "max_fee": LIMIT, "say": self.said.append}
        registry = options.pop("registry", self.registry)
        patience = Patience(blocks=3, seconds=3, timeout=options.pop("timeout", 60))
        return Sender(registry, lambda: self.wallet, self.file, patience=patience, **given | options)

    def rotating(self, sender: Sender) -> Prepared:
        return sender.prepare(self.registry.rotate(self.vault), self.wallet.address)

    def land(self, sender: Sender, prepared: Prepared | None = None) -> Receipt:
        return sender.land(prepared or self.rotating(sender), self.announced.append)

    def epoch(self) -> int:
        return self.registry.record(self.vault).epoch

    def drop(self) -> None:
        self.chain.node.request("anvil_dropTransaction", f"0x{self.announced[-1][-1].hex()}")

    def drop_and_kill(self) -> None:
        self.drop()
        self.blocks.kill()

    def sent(self, tx_hash: bytes) -> Any:
        return self.chain.node.request("eth_getTransactionByHash", f"0x{tx_hash.hex()}")


@pytest.fixture
def world(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return new_world(chain, chain.wallet(COIN), tmp_path, monkeypatch)


def new_world(chain: Chain, wallet: Wallet | Account, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    registry = chain.registry()
    place = Place(registry.chain_id, bytes.fromhex(registry.address[2:]), bytes(32))
    world = World(stepping(chain, monkeypatch), wallet, SealedFile(folder / "sending", DEVICE, place))
    one = keccak(text="one")
    chain.node.request("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    with world.blocks.at_once():
        transact(registry, wallet, registry.create(1, one, one, one, ""))
    return world


def kept(world: World) -> bool:
    return world.file.read(sending._KEPT) is not None


# Replacing ------------------------------------------------------------------------------------------------------------


def dear(world: World, times: int = 1) -> list[Callable[[], object]]:
    """So many blocks whose base fee is more than a transaction of before would pay; anvil drops that one then."""
    return [lambda: world.blocks.mine(50 * GWEI)] * times


def full(world: World, times: int = 3) -> list[Callable[[], object]]:
    return [world.blocks.mine_full] * times


@pytest.mark.parametrize("blocks", [dear, full])
def test_land__no_block_takes_it__is_replaced_under_the_same_number(
    world: World, blocks: Callable[[World], list[Callable[[], object]]]
) -> None:
    sender = world.sender()
    prepared = world.rotating(sender)
    world.blocks.steps = blocks(world)
    receipt = world.land(sender, prepared)
    first, second = world.announced[-1]
    assert world.announced == [[first], [first, second]]  # each before it was sent
    assert receipt.tx_hash == second
    sent = world.sent(second)
    assert int(sent["nonce"], 16) == prepared.nonce
    assert 8 * int(sent["maxFeePerGas"], 16) >= 9 * prepared.max_fee
    assert 8 * int(sent["maxPriorityFeePerGas"], 16) >= 9 * prepared.priority_fee
    assert world.registry.receipt(first) is None
    assert any("offering up to" in line for line in world.said)
    assert (world.epoch(), kept(world)) == (2, False)


@pytest.mark.parametrize(("base_fee", "tip"), [(0, 0), (7, 0), (90, 40), (500, 1)])
def test_price__of_a_replacement__is_an_eighth_more_in_both_parts(world: World, base_fee: int, tip: int) -> None:
    """Whatever the chain asks by now: nodes replace nothing for less."""
    before = Prepared(world.wallet.address, b"", 0, 1, 1, max_fee=100, priority_fee=3)
    max_fee, priority_fee = world.sender()._price(base_fee, tip, before)
    assert 8 * max_fee >= 9 * before.max_fee
    assert 8 * priority_fee >= 9 * before.priority_fee
    assert max_fee >= base_fee + priority_fee


def test_land__first_form_lands_just_before_its_replacement_is_sent__counts(world: World) -> None:
    sender = world.sender()
    prepared = world.rotating(sender)
    world.blocks.steps = full(world)

    def announce(hashes: list[bytes]) -> None:
        world.announced.append(hashes)
        if len(hashes) == 2:
            world.blocks.mine()

    receipt = sender.land(prepared, announce)
    assert receipt.tx_hash == world.announced[-1][0]
    assert (world.epoch(), kept(world)) == (2, False)


def test_land__few_blocks_passed_by__waits(world: World) -> None:
    world.blocks.steps = full(world, 2)
    receipt = world.land(world.sender())
    assert world.announced == [[receipt.tx_hash]]


def test_land__account_of_the_node__is_replaced_there(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account.parse(f"node:{chain.node.request('eth_accounts')[4]}")
    assert account
    world = new_world(chain, account, tmp_path, monkeypatch)
    world.blocks.steps = dear(world)
    receipt = world.land(world.sender())
    first, second = world.announced[-1]
    assert world.announced == [[UNKNOWN_HASH], [first], [first, UNKNOWN_HASH], [first, second]]
    assert receipt.tx_hash == second
    assert world.registry.receipt(first) is None
    assert world.epoch() == 2


# Fees and funds -------------------------------------------------------------------------------------------------------


def test_prepare__gas_costs_more_than_the_limit__asks_and_refuses_with_both_figures(world: World) -> None:
    world.blocks.mine(50 * GWEI)
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(FeeTooHigh, match="limit of 20") as refused:
        world.rotating(world.sender(max_fee=20 * GWEI, ask=no))
    assert "memsync config --max-fee" in refused.value.next_step
    assert "Pay up to" in asked[0]
    assert not kept(world)


def test_prepare__gas_costs_more_than_the_limit_and_a_yes__goes_on(world: World) -> None:
    world.blocks.mine(50 * GWEI)
    receipt = world.land(world.sender(max_fee=20 * GWEI, ask=lambda question: True))
    assert int(world.sent(receipt.tx_hash)["maxFeePerGas"], 16) > 20 * GWEI


def test_prepare__price_below_the_limit__never_offers_more_than_the_limit(world: World) -> None:
    world.blocks.mine(15 * GWEI)
    assert world.rotating(world.sender(max_fee=20 * GWEI)).max_fee == 20 * GWEI


def test_land__stuck_and_the_limit_is_reached__is_kept_and_goes_on_with_a_higher_one(world: World) -> None:
    world.blocks.steps = dear(world, 40)
    with pytest.raises(TransactionPending, match="limit of 20") as pending:
        world.land(world.sender(max_fee=20 * GWEI, timeout=0.3))
    assert "memsync config --max-fee" in pending.value.next_step
    assert kept(world)
    world.blocks.steps = dear(world)
    assert world.sender().resume()
    assert (world.epoch(), kept(world)) == (2, False)


def test_prepare__funds_missing__says_how_much_in_coins_and_gas(world: World) -> None:
    registry = world.registry
    prepared = registry.prepare(registry.rotate(world.vault), world.wallet.address)
    short = 1_000 * prepared.max_fee
    world.chain.node.request("anvil_setBalance", world.wallet.address, hex(prepared.max_cost - short))
    with pytest.raises(InsufficientFunds, match=r"lacks 0\.\d+ coins .* is 1,000 gas at up to"):
        world.rotating(world.sender())


def test_land__stuck_without_funds_for_more__waits_on(world: World) -> None:
    sender = world.sender()
    prepared = world.rotating(sender)
    world.chain.node.request("anvil_setBalance", world.wallet.address, hex(prepared.max_cost))
    world.blocks.steps = full(world, 5)
    receipt = world.land(sender, prepared)
    assert world.announced == [[receipt.tx_hash]]
    assert any("lacks" in line for line in world.said)


# Dropped, and found again ---------------------------------------------------------------------------------------------


def test_land__dropped__is_sent_again_as_it_was(world: World) -> None:
    world.blocks.steps = [world.drop, world.blocks.nothing]
    receipt = world.land(world.sender())
    assert world.announced == [[receipt.tx_hash]]
    assert world.epoch() == 2


@pytest.mark.parametrize("dropped", [False, True])
def test_resume__killed_while_it_waited__lands_as_it_was(world: World, dropped: bool) -> None:
    world.blocks.steps = [world.drop_and_kill if dropped else world.blocks.kill]
    with pytest.raises(Killed):
        world.land(world.sender())
    assert world.sender().resume()
    assert (world.epoch(), kept(world)) == (2, False)
    assert world.registry.receipt(world.announced[-1][-1])
    assert not world.sender().resume()


def test_resume__killed_before_it_was_sent__is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "send", lambda *_: world.blocks.kill())
        with pytest.raises(Killed):
            world.land(world.sender())
    assert world.sender().resume()
    assert world.epoch() == 2


def test_resume__of_no_use_any_more__is_not_sent(world: World) -> None:
    registry = world.registry
    first, other = (registry.commit(world.vault, 1, 1, keccak(text=text), keccak(text="log")) for text in "ab")
    sender = world.sender()
    world.blocks.steps = [world.drop_and_kill]
    with pytest.raises(Killed):
        sender.land(sender.prepare(first, world.wallet.address), world.announced.append)
    sending_elsewhere(world, other)
    assert not world.sender().resume()
    assert not registry.transaction_known(world.announced[-1][-1])
    assert not kept(world)


def test_prepare__one_that_is_of_no_use_waits_in_the_pool__takes_its_number(world: World) -> None:
    """An expiry has passed, say: it would only cost, and hold up all that follows."""
    registry = world.registry
    expires = registry.latest().time + timedelta(minutes=1)
    call = registry.grant(world.vault, 1, "0x" + "11" * 20, 1, expires, b"k" * 20)
    sender = world.sender()
    world.blocks.steps = [world.blocks.kill]
    with pytest.raises(Killed):
        sender.land(sender.prepare(call, world.wallet.address), world.announced.append)
    stuck = world.announced[-1][-1]
    world.chain.node.request("evm_increaseTime", 600)
    world.blocks.mine_full()
    sender = world.sender()
    prepared = world.rotating(sender)
    assert prepared.nonce == int(world.sent(stuck)["nonce"], 16)
    world.land(sender, prepared)
    assert registry.receipt(stuck) is None
    assert world.epoch() == 2


def sending_elsewhere(world: World, call: Any) -> None:
    """The same wallet on another machine."""
    assert isinstance(world.wallet, Wallet)
    signed = world.registry.sign(world.registry.prepare(call, world.wallet.address), world.wallet)
    world.registry.send(signed)
    world.blocks.mine()
    assert world.registry.receipt(signed.tx_hash)


def test_land__number_taken_by_another_machine__takes_the_next(world: World) -> None:
    sender = world.sender()
    prepared = world.rotating(sender)

    def overtake() -> None:
        world.drop()
        sending_elsewhere(world, world.registry.revoke_all(world.vault))

    world.blocks.steps = [overtake]
    receipt = world.land(sender, prepared)
    assert int(world.sent(receipt.tx_hash)["nonce"], 16) == prepared.nonce + 1
    assert world.epoch() == 3


def test_land__node_fails_for_a_while_after_sending__goes_on(world: World) -> None:
    failing = 0

    def change(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        nonlocal failing
        if method == "eth_getTransactionReceipt" and failing < 2:
            failing += 1
            return {"jsonrpc": "2.0", "id": response["id"], "error": {"code": -32000, "message": "try later"}}
        return response

    with lying(world.chain.rpc_url, change) as url:
        world.land(world.sender(registry=Registry.connect(url)))
    assert failing == 2
    assert world.epoch() == 2


def test_land__node_fails_for_good_after_sending__is_kept(world: World) -> None:
    def change(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getTransactionReceipt":
            return {"jsonrpc": "2.0", "id": response["id"], "error": {"code": -32000, "message": "try later"}}
        return response

    with lying(world.chain.rpc_url, change) as url, pytest.raises(NodeUnreachable, match="try later"):
        world.land(world.sender(registry=Registry.connect(url)))
    assert world.sender().resume()
    assert world.epoch() == 2


def test_land__refused_at_once__nothing_is_kept(world: World) -> None:
    sender = world.sender()
    prepared = world.rotating(sender)
    world.chain.node.request("anvil_setBalance", world.wallet.address, hex(5))
    with pytest.raises(InsufficientFunds):
        world.land(sender, prepared)
    assert not kept(world)


# Reorganisations ------------------------------------------------------------------------------------------------------


def test_land__its_block_is_replaced__is_sent_again_and_lands_once(world: World) -> None:
    world.blocks.steps = [world.blocks.mine, world.blocks.mine, lambda: world.blocks.reorganise(2)]
    receipt = world.land(world.sender(confirmations=3))
    assert world.announced == [[receipt.tx_hash]]
    assert world.registry.latest().number - receipt.block.number >= 3
    assert world.registry.receipt(receipt.tx_hash) == receipt
    assert world.epoch() == 2
    assert sum("in block" in line for line in world.said) >= 2


def test_land__killed_before_it_was_final_and_its_block_is_replaced__lands_all_the_same(world: World) -> None:
    world.blocks.steps = [world.blocks.mine, world.blocks.kill]
    with pytest.raises(Killed):
        world.land(world.sender(confirmations=3))
    assert world.epoch() == 2
    world.blocks.reorganise(1)
    assert world.epoch() == 1
    assert world.sender(confirmations=3).resume()
    assert world.epoch() == 2


def test_land__block_comes_between_two_questions__nothing_is_said_of_blocks_on_top_where_none_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, wallet = world.registry, world.wallet
    before, latest, included = registry.latest(), registry.latest, registry.included
    found: list[object] = []
    sender = world.sender(registry=registry)
    prepared = sender.prepare(registry.rotate(world.vault), wallet.address)

    def looks(tx_hash: bytes) -> Any:
        found.append(included(tx_hash))
        return found[-1]

    monkeypatch.setattr(registry, "included", looks)
    monkeypatch.setattr(registry, "latest", lambda: latest() if any(found) else before)
    with world.blocks.at_once():
        world.land(sender, prepared)
    assert (world.epoch(), world.said) == (2, [])


def test_land__reverted__is_told_when_that_is_final(world: World) -> None:
    """Another order of the blocks might have let it through."""
    registry, wallet = world.registry, world.wallet
    assert isinstance(wallet, Wallet)
    writer = world.chain.wallet()
    expires = registry.latest().time + timedelta(days=1)
    sending_elsewhere(world, registry.grant(world.vault, 1, writer.address, 2, expires, b"k" * 20))
    mine_is = registry.commit(world.vault, 2, 1, keccak(text="mine"), keccak(text="log"))
    theirs = registry.commit(world.vault, 2, 1, keccak(text="theirs"), keccak(text="log"))
    sender = world.sender(confirmations=2)
    prepared = sender.prepare(mine_is, wallet.address)
    other = registry.prepare(theirs, writer.address)
    dearer = Prepared(**{**vars(other), "priority_fee": 2 * other.max_fee, "max_fee": 4 * other.max_fee})
    registry.send(registry.sign(dearer, writer))
    with pytest.raises(VersionTaken):
        sender.land(prepared, world.announced.append)
    found = registry.included(world.announced[-1][-1])
    assert found
    assert not found[1]
    assert registry.latest().number - found[0].block.number >= 2


def test_land__not_final_in_time__is_kept(world: World) -> None:
    world.blocks.steps = [world.blocks.mine] + [world.blocks.nothing] * 10_000
    with pytest.raises(TransactionPending, match="3 blocks on top"):
        world.land(world.sender(confirmations=3, timeout=0.2))
    assert kept(world)
    world.blocks.steps = []
    assert world.sender(confirmations=3).resume()


def test_land__contract_refuses_it_meanwhile__no_refusal_is_hidden(world: World) -> None:
    sender = world.sender()
    prepared = sender.prepare(
        world.registry.commit(world.vault, 1, 1, keccak(text="a"), keccak(text="b")), world.wallet.address
    )
    sending_elsewhere(world, world.registry.rotate(world.vault))
    with pytest.raises(TransactionRefused):
        world.land(sender, prepared)
    assert not kept(world)
