"""What is known of tools beside a key: the tokens by which they are told apart over HTTP, of which a hash is kept, and
whether what they add goes to the outbox without being asked about."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .cards import check_name
from .errors import HomeDamaged, InvalidRequest, UnknownReader
from .files import make_dir, storage_error, write_atomic
from .sealing import sha256

_FORMAT = 1
_PREFIX = "memsync-token-"  # so that a scanner of leaked secrets, and a person, knows what it has found
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Tool:
    """A tool: the SHA-256 of its token in hex (None: it has none), and whether what it adds needs no yes."""

    token: str | None = None
    trusted: bool = False


class Tools:
    """The tools of a folder: of a home, or of one reader in it. Each answer is read from the disk, so that what is
    taken back is so at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "tools.json"

    def all(self) -> dict[str, Tool]:
        """By name. Raises HomeDamaged."""
        try:
            value = json.loads(self._path.read_bytes())
            if value["format"] != _FORMAT:
                raise ValueError
            return {str(name): _checked(Tool(**tool)) for name, tool in value["tools"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise storage_error(error, self._path) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise HomeDamaged(
                f"{self._path} can't be read, or is of another version.",
                "Bring it back from a copy, or remove it and make new tokens.",
            ) from None

    def new_token(self, name: str) -> str:
        """A token for the tool of that name, in place of the one that it had. It is shown this once."""
        token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        self._change(name, token=_hash(token))
        return token

    def remove_token(self, name: str) -> None:
        """Takes the tool's token back, at once. Raises UnknownReader if it has none."""
        if self.get(name).token is None:
            raise UnknownReader(
                f"No tool {name!r} has a token here.", "`memsync mcp token list` shows those that have."
            )
        self._change(name, token=None)

    def tool_of(self, token: str) -> str | None:
        """Whose token this is; None if it is nobody's. All are compared, each in constant time."""
        given, found = _hash(token), None
        for name, tool in self.all().items():
            if tool.token is not None and hmac.compare_digest(tool.token, given):
                found = name
        return found

    def trust(self, name: str, trusted: bool) -> None:
        """Says whether what the tool adds goes to the outbox without a yes."""
        self._change(name, trusted=trusted)

    def get(self, name: str) -> Tool:
        """The tool of that name, as it is before anything was said of it."""
        return self.all().get(name, Tool())

    def _change(self, name: str, **change: str | bool | None) -> None:
        tools = self.all()
        tools[check_name(name, InvalidRequest)] = replace(tools.get(name, Tool()), **change)  # type: ignore[arg-type]
        kept = {tool_name: asdict(tool) for tool_name, tool in sorted(tools.items()) if tool != Tool()}
        make_dir(self._path.parent)
        write_atomic(self._path, json.dumps({"format": _FORMAT, "tools": kept}, indent=1).encode() + b"\n")


def _checked(tool: Tool) -> Tool:
    if type(tool.token) not in (str, type(None)) or type(tool.trusted) is not bool:
        raise ValueError
    return tool


def _hash(token: str) -> str:
    """A token has 256 random bits, so that nothing is gained by stretching it."""
    return sha256(token.encode("utf-8", "surrogatepass")).hex()
