"""Options of the commands that lend something for a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from .completing import durations

_F = TypeVar("_F", bound=Callable[..., Any])


class Duration(click.ParamType):
    """Days, weeks or hours: 90d, 12w, 36h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,5})([hdw])", str(value))
        if not match or not int(match[1]):
            self.fail(f"{value!r} is not a time such as 90d, 12w or 36h.", param, context)
        return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]


def lasting_option(usual: timedelta, said: str = "How long: 90d, 12w, 36h.") -> Callable[[_F], _F]:
    """--for."""
    return click.option(
        "--for",
        "lasting",
        type=Duration(),
        shell_complete=durations,
        default=f"{usual.days}d",
        show_default=True,
        help=said,
    )


private_option = click.option(
    "--private", is_flag=True, help="An envelope in the keyring and nothing else: no address on chain."
)
from_now_option = click.option("--from-now", is_flag=True, help="Only what is sealed from now on; nothing of before.")
