"""``memsync mcp``: the memories as tools for programs with a model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from .. import passphrases
from ..client import Client
from ..errors import InvalidRequest, PassphraseNotKept, UnknownVault
from ..following import Following
from ..home import Home
from ..proposals import Proposals
from ..reader import Reader
from ..tools import Tools
from .app import App, Verbs, printing
from .completing import reader_names, vault_option

_DEFAULT_PORT = 8547


@click.group(cls=Verbs, invoke_without_command=True, short_help="Serve memories to a program over MCP.")
@click.option(
    "--as-reader",
    "reader_name",
    metavar="NAME",
    shell_complete=reader_names,
    help="Serve what this reader may read, with its key alone.",
)
@vault_option
@click.option(
    "--propose-to",
    "owners_home",
    metavar="HOME",
    type=click.Path(path_type=Path),
    help="For --as-reader: let it propose too, into the inbox of the owner's home on this computer.",
)
@click.option(
    "--tool", metavar="NAME", help="The program's name, shown with what it adds (default: the reader's, or mcp)."
)
@click.option("--http", is_flag=True, help="Serve over HTTP on this computer, to all that have a token.")
@click.option("--port", default=_DEFAULT_PORT, show_default=True, help="For --http; 0: any that is free.")
@click.option(
    "--allow-host", "hosts", metavar="HOST", multiple=True, help="For --http: a name under which a proxy passes on."
)
@click.pass_context
def mcp(
    context: click.Context,
    reader_name: str | None,
    name: str | None,
    owners_home: Path | None,
    tool: str | None,
    http: bool,
    port: int,
    hosts: tuple[str, ...],
) -> None:
    """Serve memories to a program over MCP, on standard input and output. The program starts this by itself, once it
    is configured: see `memsync connect`.

    Of your own vault it may search, read, and propose to add or to forget: that waits for you in `memsync inbox`. As a
    reader it may search and read, with --propose-to propose as well. To lend a vault, or to take it back, is offered to
    no program.

    \b
    memsync mcp --vault novel --tool claude
    memsync mcp --as-reader claude
    memsync mcp --http
    """
    app = context.find_object(App)
    if app is None:
        raise AssertionError("a command ran outside main()")
    app.command = "mcp"
    if context.invoked_subcommand is not None:
        return
    if reader_name and name:
        raise InvalidRequest("A reader has one vault, its own.", "Give --as-reader or --vault.")
    as_reader = bool(reader_name) or (not app.home.initialised and bool(app.home.readers()))
    secret: Callable[[], str] = partial(_passphrase, app)
    if http and sys.stdin.isatty():  # a person has started this
        secret = app.passphrase
        secret()
    reader = Reader(app.home, reader_name, secret, rpc=app.rpc) if as_reader else None
    tools = _tools(app, reader.name if reader else None)
    way: dict[str, Any] = {"tool": tool or (reader.name if reader else "mcp")}
    if http:
        if not any(known.token for known in tools.all().values()):
            raise InvalidRequest("No tool has a token here, so nobody could come in.", "memsync mcp token new NAME")
        way |= {"port": port, "tokens": str(tools.folder), "hosts": list(hosts)}

    if owners_home and not reader:
        raise InvalidRequest("Your own vault is proposed to in any case.", "Leave --propose-to out, or name a reader.")
    if reader:
        from ..mcp_server.serving import Way, serve  # the SDK takes a second to import

        following = reader.following()
        proposals = _proposals(owners_home, reader, following) if owners_home else None
        serve(proposals or following, f"reader {reader.name}", Way(**way), partial(_ready, app), proposals)
        return
    from ..mcp_server.owner import serve_owner

    app.home.config()  # that there is a home is known before a vault is looked for
    label, _ = app.home.resolve(name)

    def opened() -> Proposals:
        return Proposals(Client(app.home, secret, rpc=app.rpc).vault(label), tools)

    code = serve_owner(opened, f"the owner, vault {label}", way, partial(_ready, app), tools)
    if code:
        sys.exit(code)


@mcp.group(cls=Verbs, short_help="Tokens for `memsync mcp --http`, one a tool.")
def token() -> None:
    """Tokens for `memsync mcp --http`: one a tool, shown once, of which a hash is kept.

    \b
    memsync mcp token new cursor
    """


_as_reader = click.option(
    "--as-reader", "reader_name", metavar="NAME", help="For `memsync mcp --as-reader NAME --http`."
)


@token.command("new")
@click.argument("tool")
@_as_reader
@printing
def token_new(app: App, tool: str, reader_name: str | None) -> None:
    """Make a token for TOOL, in place of the one that it had. It is shown this once.

    \b
    memsync mcp token new cursor
    """
    made = _tools(app, reader_name).new_token(tool)
    app.result(
        {"tool": tool, "token": made},
        made,
        "Whoever has it reads what `memsync mcp --http` serves. The tool sends it as: Authorization: Bearer TOKEN",
    )


@token.command("list")
@_as_reader
@printing
def token_list(app: App, reader_name: str | None) -> None:
    """Which tools have a token.

    \b
    memsync mcp token list
    """
    names = [name for name, known in _tools(app, reader_name).all().items() if known.token]
    app.result([{"tool": name} for name in names], *names or ["No tool has a token."])


@token.command("remove")
@click.argument("tool")
@_as_reader
@printing
def token_remove(app: App, tool: str, reader_name: str | None) -> None:
    """Take the token of TOOL back. It is refused from now on, by a server that is running too.

    \b
    memsync mcp token remove cursor
    """
    _tools(app, reader_name).remove_token(tool)
    app.result({"tool": tool}, f"The token of {tool} opens nothing from now on.")


def _tools(app: App, reader_name: str | None) -> Tools:
    if reader_name is None:
        return Tools(app.home.folder)
    return Tools(app.home.reader_folder(Reader(app.home, reader_name, "").name))


def _proposals(owners_home: Path, reader: Reader, following: Following) -> Proposals:
    """What puts proposals into the inbox of the owner's home, with nothing that opens anything of it."""
    owner = Client(Home(owners_home), _nothing)
    label = next((label for label, vault_id in owner.home.labels().items() if vault_id == reader.vault_id), None)
    if label is None:
        raise UnknownVault(f"The home {owners_home} has not the vault of {reader.name!r}.", "Name the owner's home.")
    return Proposals(owner.vault(label), Tools(owner.home.folder), following)


def _nothing() -> str:
    raise AssertionError("a reader's process has no passphrase of the owner's")


def _ready(app: App, url: str) -> None:
    app.result({"url": url}, f"Serving at {url}, on this computer alone. Ctrl-C ends it.")
    sys.stdout.flush()


def _passphrase(app: App) -> str:
    """Never asked for here: a program has started this, and nobody sits in front of it. What is kept is looked up each
    time, since it may have been changed."""
    if app.passphrase_fd is not None:
        return app.passphrase()
    kept = passphrases.kept(app.home)
    if kept is None:
        raise PassphraseNotKept(
            "This process was given no passphrase, and no keyring keeps it.",
            "In a terminal: memsync passphrase keep. Or start this with --passphrase-fd N.",
        )
    return kept
