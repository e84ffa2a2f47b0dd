"""The tools that propose, on a device of the owner's. What they take in waits for the owner; they commit nothing."""

from __future__ import annotations

from typing import Annotated, Protocol

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from ..proposals import Answer, Taken
from .answers import MemoryId, Tags, Text
from .reading import Served, told

ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
FORGETS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
OWNERS_ADDS = (
    "What is added waits for the owner's approval (memsync inbox), unless the owner trusts this tool. Forgetting always"
    " does."
)

_SAID = {
    Taken.WAITS: "It waits for the owner's approval (memsync inbox), and is not part of the memory before.",
    Taken.NEXT_SYNC: "It is kept, and committed with the owner's next sync.",
    Taken.REJECTED: "The owner has said no to this before, so it was not proposed again.",
    Taken.KNOWN: "It is known already, so nothing was added.",
}
New = Annotated[
    Text, Field(description="One fact, preference or passage that stands by itself; not what was recalled.")
]


class Proposes(Protocol):
    """Takes in what a tool proposes."""

    def add(self, tool: str, text: str, tags: list[str]) -> Answer:
        """Proposes to add a memory."""

    def forget(self, tool: str, memory_id: str) -> Answer:
        """Proposes to forget one."""


class ProposedAnswer(BaseModel):
    """What has become of a proposal: waiting, kept until the next sync, or known already; and the memory's id."""

    id: str
    status: str
    message: str


def add_proposing(server: MCPServer, served: Served, vault: Proposes) -> None:
    """Offers to add and to forget."""

    @server.tool(title="Add a memory", annotations=ADDS)
    @told
    def memory_add(text: New, tags: Tags = []) -> ProposedAnswer:  # noqa: B006 - never changed
        """Propose a new memory. The owner sees it, with this tool's name, before it becomes part of the memory."""
        tool = served.tool()
        if known := served.recalled.find(tool, text):
            return _told(Answer(known, Taken.KNOWN))
        return _told(vault.add(tool, text, tags))

    @server.tool(title="Ask to forget a memory", annotations=FORGETS)
    @told
    def memory_forget(id: MemoryId) -> ProposedAnswer:
        """Ask the owner to forget a memory for good. It stays until the owner has said yes."""
        return _told(vault.forget(served.tool(), id))


def _told(answer: Answer) -> ProposedAnswer:
    return ProposedAnswer(id=answer.id.hex(), status=answer.taken.name.lower(), message=_SAID[answer.taken])
