"""What a step costs, in words: gas, coins, and money where the person has said what a coin is worth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import click
import pytest

from memsync_client.cli.app import App, coins, cost_of, gas_cost, price_data, price_of, when
from memsync_client.errors import InvalidRequest
from memsync_client.home import Config, Home
from memsync_client.pricing import Money, Price, summed
from memsync_client.records import Block, Receipt
from memsync_client.session import PRACTICE_CHAIN
from tests.client.test_cli import told

BLOCK = Block(1, bytes(32), datetime(2026, 1, 1, tzinfo=UTC))


def app_on(chain_id: int, folder: Path, price: str | None = None) -> App:
    home = Home(folder)
    home.write_config(Config(chain_id, "http://127.0.0.1:1", "0x" + "11" * 20, "0x" + "22" * 20, price=price))
    return App(home)


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("EUR 3100", "EUR", "3100"),
        ("usd0.52", "USD", "0.52"),
        ("CHF 2,000", "", ""),
        ("3100", "", ""),
        ("EUR", "", ""),
    ],
)
def test_money__as_a_person_writes_it(text: str, currency: str, amount: str) -> None:
    if currency:
        assert Money.parse(text) == Money(currency, Decimal(amount)) == Money.parse(str(Money.parse(text)))
    else:
        with pytest.raises(InvalidRequest, match="is no price of a coin"):
            Money.parse(text)


@pytest.mark.parametrize(
    ("wei", "words"),
    [
        (10**18, "EUR 3,100.00"),
        (42_030 * 10**9, "EUR 0.13"),
        (42_030 * 10**6, "< EUR 0.01"),
        (0, "EUR 0.00"),
    ],
)
def test_money__of_an_amount(wei: int, words: str) -> None:
    assert Money.parse("EUR 3100").of(wei) == words


@pytest.mark.parametrize(
    ("wei", "words"),
    [
        (0, "0"),
        (10**18, "1"),
        (42_030 * 10**9, "0.000042"),
        (21_000 * 7, "0.00000000000015"),
        (12_345 * 10**18, "12,345"),
    ],
)
def test_coins__small_amounts_are_never_nothing(wei: int, words: str) -> None:
    assert coins(wei) == words


def test_gas_cost__by_chain_and_by_what_was_said_of_a_coin(tmp_path: Path) -> None:
    practice, public = app_on(PRACTICE_CHAIN, tmp_path / "practice"), app_on(1, tmp_path / "public")
    priced = app_on(1, tmp_path / "priced", "EUR 3100")
    fee = 42_030 * 10**9
    assert gas_cost(practice, 42_030, fee) == "42,030 gas, free here"
    assert gas_cost(public, 42_030, fee) == "42,030 gas, 0.000042 coins"
    assert gas_cost(public, 42_030) == "42,030 gas"
    assert gas_cost(priced, 42_030, fee) == "42,030 gas, 0.000042 coins, EUR 0.13"
    relayed = App(practice.home, relay="http://relay.example")
    assert gas_cost(relayed, 42_030, fee) == "42,030 gas, free here"
    relayed = App(priced.home, relay="http://relay.example")
    assert gas_cost(relayed, 42_030, fee) == "42,030 gas, paid by the relayer"
    receipts = [Receipt(bytes(32), 21_015, BLOCK, fee // 2)] * 2
    assert cost_of(priced, receipts) == gas_cost(priced, 42_030, fee)
    assert cost_of(priced, [*receipts, Receipt(bytes(32), 1, BLOCK)]) == "42,031 gas"  # a node does not say


def test_price_of__as_the_end_of_a_sentence(tmp_path: Path) -> None:
    app = app_on(1, tmp_path)
    price = summed([Price(40_000, 10**13), Price(2_030, 10**12)])
    assert price_of(app, price) == ", for about 42,030 gas, 0.000011 coins"
    assert price_data(price) == {"gas": 42_030, "fee": 11 * 10**12}
    assert summed([Price(1, 1), None]) is None
    assert price_of(app, None) == ""


def test_when__near_days_in_words() -> None:
    now = datetime.now(UTC)
    days = {0: "today", -1: "yesterday", 1: "tomorrow"}
    for away, word in days.items():
        assert when(now + timedelta(days=away)) == word
    assert when(now - timedelta(days=2)) == f"{(now - timedelta(days=2)).astimezone():%Y-%m-%d}"
    assert when(None) == "unknown"


def test_lines__call_for_attention_in_colour_on_a_terminal_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for color, shown in ((True, click.style("Next:", fg="green")), (False, "Next:"), (None, "Next:")):
        App(color=color).line("Next: memsync sync")
        assert capsys.readouterr().out == f"{shown} memsync sync\n"


def test_config__price__is_kept_shown_and_taken_back(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    app_on(1, tmp_path / "home")
    for given, shown in (("eur 3100", "EUR 3100"), ("none", None)):
        code, out, _ = told(*home, "config", "--price", given, "--json", home=tmp_path)
        assert (code, json.loads(out)["data"]["price"]) == (0, shown)
