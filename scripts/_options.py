"""Options that scripts share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from ape.logging import LogLevel, logger


def json_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--json``, as the argument ``as_json``: one JSON object is all that is to stand on standard output."""

    def quiet(_context: click.Context, _option: click.Parameter, wanted: bool) -> bool:
        if wanted:
            logger.set_level(LogLevel.ERROR)  # Ape prints its log to standard output, too
        return wanted

    return click.option("--json", "as_json", is_flag=True, callback=quiet, help="Print one JSON object.")
