"""The RPC nodes that a home asks."""

from __future__ import annotations

import click

from ..errors import MemSyncError
from ..nodes import NodeStanding, compare_nodes, name_nodes, node_standings
from .app import App, printing


@click.command(short_help="The RPC nodes of this home, and whether they agree.")
@click.argument("urls", metavar="[URL]...", nargs=-1)
@printing
def rpc(app: App, urls: tuple[str, ...]) -> None:
    """The RPC nodes of this home: what each says by itself, and whether they agree. With URLs: use these from now on.

    The first takes the transactions, and the others are compared with it: two have to answer. One alone is believed.

    \b
    memsync rpc
    memsync rpc https://one.example https://two.example
    """
    named = " ".join(urls) or None
    if named:
        name_nodes(app.home, named)
    lines, trouble = node_standings(app.home, app.rpc), None
    try:
        compare_nodes(app.home, app.rpc)
    except MemSyncError as error:
        trouble = error
    shown = [_line(line) for line in lines]
    if trouble:
        shown += [trouble.cause, trouble.next_step]
    elif len(lines) > 1:
        shown.append("They agree about every vault of this home.")
    else:
        shown.append("It is believed alone. Name a second one, of somebody else's: memsync rpc URL URL")
    nodes = [
        {"name": line.name, "block": line.block, "proves": line.proves, "trouble": line.trouble and line.trouble.cause}
        for line in lines
    ]
    app.result({"nodes": nodes, "agree": trouble is None, "trouble": trouble and trouble.cause}, *shown)


def _line(line: NodeStanding) -> str:
    if line.trouble:
        return f"{line.name}   {line.trouble.cause}"
    proofs = {True: "   proves state", False: "   offers no proofs of state", None: ""}[line.proves]
    return f"{line.name}   block {line.block}{proofs}"
