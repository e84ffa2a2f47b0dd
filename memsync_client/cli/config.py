"""How this home deals with the chain."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ..client import configure
from ..pricing import Money
from .app import App, printing

_MOST_CONFIRMATIONS = 1_000
_LEAST_FEE, _MOST_FEE = Decimal("0.000001"), Decimal(1_000_000)  # gwei


class Gwei(click.ParamType):
    """A price a gas in gwei: 30, or 0.05."""

    name = "gwei"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal(0)
        if not _LEAST_FEE <= number <= _MOST_FEE:
            self.fail(f"{value!r} is no price a gas in gwei, such as 30 or 0.05.", param, context)
        return int(number * 10**9)


@click.command()
@click.option(
    "--confirmations",
    type=click.IntRange(0, _MOST_CONFIRMATIONS),
    metavar="N",
    help="Blocks on top of a transaction before it counts: what a reorganisation of fewer takes away is sent again.",
)
@click.option(
    "--max-fee",
    type=Gwei(),
    metavar="GWEI",
    help="The most to pay a gas. Where the chain asks more, a command asks you, or refuses without a terminal.",
)
@click.option(
    "--relay", metavar="URL", help="The relayer that sends and pays for all commands; none: the wallet itself."
)
@click.option(
    "--price",
    metavar="MONEY",
    help='What a coin is worth, such as "EUR 3100", so that costs are told in money too; none: they are not.',
)
@printing
def config(app: App, **given: Any) -> None:
    """Show how this home deals with the chain, or change it.

    \b
    memsync config
    memsync config --confirmations 12 --max-fee 30
    memsync config --price "EUR 3100"
    """
    from ..rpc import Node
    from ..transactions import gwei

    changes = {name: value for name, value in given.items() if value is not None}
    if "relay" in changes:
        changes["relay"] = None if changes["relay"] == "none" else Node(changes["relay"]).url
    if "price" in changes:
        changes["price"] = None if changes["price"] == "none" else str(Money.parse(changes["price"]))
    now = configure(app.home, **changes)
    data = {
        "chain_id": now.chain_id,
        "registry": now.registry,
        "confirmations": now.confirmations,
        "max_fee_gwei": gwei(now.max_fee),
        "relay": now.relay,
        "price": now.price,
    }
    width = max(map(len, data))
    app.result(data, *[f"{name:<{width}}  {'none' if value is None else value}" for name, value in data.items()])
