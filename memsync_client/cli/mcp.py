"""``memsync mcp``: the memories as tools for programs with a model."""

from __future__ import annotations

from functools import partial

import click

from .. import passphrases
from ..errors import PassphraseNotKept
from ..following import Shelf
from ..reader import Reader
from .app import App


@click.group(invoke_without_command=True)
@click.option("--as-reader", "reader_name", metavar="NAME", help="Serve what this reader may read, with its key alone.")
@click.pass_context
def mcp(context: click.Context, reader_name: str | None) -> None:
    """Serve the memories to a program over MCP, on standard input and output.

    The program starts this by itself, once it is configured. It is offered to search and to read; to lend a vault or
    to take it back it is not.

    \b
    memsync mcp --as-reader claude
    """
    app = context.find_object(App)
    if app is None:
        raise AssertionError("a command ran outside main()")
    app.command = "mcp"
    if context.invoked_subcommand is None:
        from ..mcp_server.serving import serve_stdio  # the SDK takes a second to import
        from ..mcp_server.tools import Served, new_server

        reader = Reader(app.home, reader_name, partial(_passphrase, app), rpc=app.rpc)
        served = Served(Shelf(reader.following()), f"reader {reader.name}", "This connection reads and adds nothing.")
        serve_stdio(new_server(served))


def _passphrase(app: App) -> str:
    """Never asked for here: a program has started this, and nobody sits in front of it."""
    if app.passphrase_fd is None and not passphrases.is_kept(app.home):
        raise PassphraseNotKept(
            "This process was given no passphrase, and no keyring keeps it.",
            "In a terminal: memsync passphrase keep. Or start this with --passphrase-fd N.",
        )
    return app.passphrase()
