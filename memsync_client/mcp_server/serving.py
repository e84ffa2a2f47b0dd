"""One process that serves MCP, on standard input and output."""

from __future__ import annotations

from mcp.server import MCPServer


def serve_stdio(server: MCPServer) -> None:
    """Serves until standard input ends. Standard output carries the protocol alone."""
    server.run("stdio")
