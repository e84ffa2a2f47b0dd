"""The half of ``memsync mcp`` that speaks MCP: started by ``owner.serve_owner`` alone, with a socket to it and what to
serve. It has no key and opens nothing."""

from __future__ import annotations

import json
import socket
import sys

from ..core_dumps import forbid_core_dumps
from .http import calling_token
from .link import OwnersVault
from .serving import Way, serve


def main() -> None:
    """Serves until standard input ends, or the other half does."""
    forbid_core_dumps()
    face = json.loads(sys.argv[2])
    way = Way(**face["way"])
    connection = socket.socket(fileno=int(sys.argv[1]))
    vault = OwnersVault(connection) if way.port is None else OwnersVault(connection, calling_token)
    serve(vault, face["reads_as"], way, vault.ready, vault)


if __name__ == "__main__":
    main()
