"""Streamable HTTP on this computer alone. Each tool has a token of its own, by which it is known."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl

from ..errors import InvalidRequest, MemSyncError
from ..tools import Tools

LOOPBACK = "127.0.0.1"
PATH = "/mcp"
MAX_BODY = 1 << 20
_MAX_SESSIONS = 100
_IDLE = 30 * 60.0  # seconds until a session of the older protocol is dropped


class Tokens(TokenVerifier):
    """Knows each tool by its token, as the file of tools has it now."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def verify_token(self, token: str) -> AccessToken | None:
        """The tool whose token it is, None if it is nobody's: the SDK answers 401."""
        try:
            tool = self._tools.tool_of(token)
        except MemSyncError:  # a file that can't be read lets nobody in
            return None
        return None if tool is None else AccessToken(token=token, client_id=tool, scopes=[])


def calling_tool() -> str:
    """The name of the tool whose request is being answered."""
    return _access().client_id


def calling_token() -> str:
    """Its token, by which the half that has the key knows it, too."""
    return _access().token


def _access() -> AccessToken:
    access = get_access_token()
    if access is None:
        raise InvalidRequest("The request names no tool.", "Send its token: Authorization: Bearer …")
    return access


def authentication(port: int) -> AuthSettings:
    """That every request needs a token. No authorization server gives them out: `memsync mcp token new` does."""
    return AuthSettings(issuer_url=AnyHttpUrl(f"http://{LOOPBACK}:{port}"), resource_server_url=None)


def listen(port: int) -> socket.socket:
    """A socket of loopback on ``port`` (0: any that is free). Raises InvalidRequest if it is taken."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen()  # before anybody is told: who comes before the first answer waits for it
    except OSError:
        listening.close()
        raise InvalidRequest(f"Port {port} of {LOOPBACK} is taken or forbidden.", "Name another: --port N") from None
    return listening


def serve_http(server: MCPServer, listening: socket.socket, hosts: Sequence[str], ready: Callable[[], object]) -> None:
    """Serves until it is interrupted. ``hosts`` are names, beside those of loopback, under which a proxy on this
    computer passes requests on; any other Host or Origin is refused, so that no web page gets here by its own name."""
    names = [LOOPBACK, "localhost", "[::1]"]
    security = TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in names] + list(hosts),
        allowed_origins=[f"http://{name}:*" for name in names] + [f"https://{name}" for name in hosts],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        max_request_body_size=MAX_BODY,
        session_idle_timeout=_IDLE,
        max_sessions=_MAX_SESSIONS,
        transport_security=security,
    )
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    ready()
    uvicorn.Server(config).run(sockets=[listening])
