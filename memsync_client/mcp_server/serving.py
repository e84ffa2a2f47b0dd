"""One process that serves MCP: on standard input and output, or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp.server import MCPServer

from ..following import Looks, Shelf
from ..tools import Tools
from .adding import OWNERS_ADDS, Proposes, add_proposing
from .http import PATH, Tokens, authentication, calling_tool, listen, serve_http
from .reading import READERS_ADDS, Served, new_server


@dataclass(frozen=True)
class Way:
    """How a process is reached: by one program as ``tool``, on standard input and output, or on ``port`` (0: any that
    is free) by those that have a token in the folder ``tokens``, under the names of ``hosts`` too."""

    tool: str
    port: int | None = None
    tokens: str = ""
    hosts: Sequence[str] = ()


def serve(
    vault: Looks, reads_as: str, way: Way, ready: Callable[[str], object], proposes: Proposes | None = None
) -> None:
    """Serves ``vault``, and proposing where there is ``proposes``, until standard input ends or it is interrupted.

    On standard input and output they carry the protocol alone. Over HTTP ``ready`` is told the URL.
    """
    adds = OWNERS_ADDS if proposes else READERS_ADDS
    if way.port is None:
        served = Served(Shelf(vault), reads_as, adds, lambda: way.tool)
        _with(new_server(served), served, proposes).run("stdio")
        return
    served = Served(Shelf(vault), reads_as, adds, calling_tool)
    listening = listen(way.port)
    host, port = listening.getsockname()
    server = new_server(served, Tokens(Tools(Path(way.tokens))), authentication(port))
    serve_http(_with(server, served, proposes), listening, way.hosts, lambda: ready(f"http://{host}:{port}{PATH}"))


def _with(server: MCPServer, served: Served, proposes: Proposes | None) -> MCPServer:
    if proposes:
        add_proposing(server, served, proposes)
    return server
