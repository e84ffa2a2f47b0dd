"""What a tool is called with and does not take, in words of our own: the SDK would give its library's."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

# Fields in braces are those that the library tells beside the kind of its refusal: our own bounds.
_MEANT = {
    "missing": "is needed",
    "greater_than_equal": "is {ge} at the least",
    "less_than_equal": "is {le} at the most",
    "string_too_short": "is not empty",
    "string_too_long": "has {max_length} characters at the most",
    "too_long": "has {max_length} entries at the most",
    "string_pattern_mismatch": "is 4 to 32 hex digits, as an answer has them",
    "string_type": "is a text",
    "list_type": "is a list",
}
_BY_BEGINNING = {"int_": "is a whole number", "datetime_": "is a time such as 2026-01-31T12:00:00Z"}


class Server(MCPServer):
    """A server that says what is wrong with the arguments of a call, and what to do."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """See MCPServer. Raises ToolError."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_in_words(name, error.__cause__)) from None
            raise


def _in_words(tool: str, refused: ValidationError) -> str:
    """Each field once; nothing of what was given is repeated."""
    wrong: dict[str, str] = {}
    for error in refused.errors(include_input=False, include_url=False):
        wrong.setdefault(str(error["loc"][0]) if error["loc"] else "the call", _meant(error["type"], error.get("ctx")))
    said = "; ".join(f"{field} {meant}" for field, meant in wrong.items())
    return f"{tool} was not called: {said}. Put that right, and call it again."


def _meant(kind: str, bounds: dict[str, Any] | None) -> str:
    if kind in _MEANT:
        return _MEANT[kind].format(**(bounds or {}))
    return next((meant for begin, meant in _BY_BEGINNING.items() if kind.startswith(begin)), "is not what it takes")
