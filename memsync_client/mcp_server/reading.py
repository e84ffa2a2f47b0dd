"""The tools that read, with the resources and the prompt. None of them grants, revokes, or widens what it may."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from importlib.metadata import version
from typing import Annotated, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from ..errors import AccessEnded, MemSyncError, PassphraseNotKept, UnknownMemory, WrongPassphrase
from ..following import Shelf
from ..memories import Memory
from ..sameness import Texts
from ..search import Filter
from .answers import (
    NOTE,
    SHOWN,
    Document,
    Limit,
    ListAnswer,
    MemoryId,
    Query,
    Results,
    SearchAnswer,
    StatusAnswer,
    Word,
    document,
    found,
    item,
    passage,
    result,
    standing,
)
from .arguments import Server

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
READERS_ADDS = "This connection reads, and adds nothing."

_MOST_NOTED = 20_000
_P = ParamSpec("_P")
_T = TypeVar("_T")
_LOCKED = (PassphraseNotKept, WrongPassphrase)

After = Annotated[datetime | None, Field(description="Only what was made then or later (RFC 3339 with a zone).")]
Before = Annotated[datetime | None, Field(description="Only what was made earlier (RFC 3339 with a zone).")]
Topic = Annotated[str, Field(description="What the conversation is about.")]


class Recalled:
    """What each tool was told in this process, so that it can't come back from there as new. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, Texts] = {}

    def note(self, tool: str, told_of: Iterable[Memory]) -> None:
        """Notes what a tool is told."""
        with self._lock:
            texts = self._texts.setdefault(tool, Texts())
            if len(texts) > _MOST_NOTED:
                texts = self._texts[tool] = Texts()
            texts.add((memory.content, memory.id) for memory in told_of)

    def find(self, tool: str, text: str) -> bytes | None:
        """The id of the memory that it was told, if ``text`` says the same."""
        with self._lock:
            return self._texts.get(tool, Texts()).find(text)


@dataclass(frozen=True)
class Served:
    """What one process serves: the memories on ``shelf``, read as ``reads_as``, to whichever ``tool`` is calling.
    ``adds`` says in words what becomes of what a tool adds."""

    shelf: Shelf
    reads_as: str
    adds: str
    tool: Callable[[], str]
    recalled: Recalled = field(default_factory=Recalled)

    def tell(self, told_of: Iterable[Memory]) -> None:
        """Notes what is about to be answered."""
        self.recalled.note(self.tool(), told_of)


def in_words(error: MemSyncError) -> str:
    """Cause and next step; a model shows them to its person."""
    if isinstance(error, AccessEnded):
        return f"Access ended (revoked or expired): {error.cause} {error.next_step}".strip()
    if isinstance(error, _LOCKED):
        return f"Locked: {error.cause} {error.next_step}".strip()
    return f"{error.cause} {error.next_step}".strip()


def told(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """``call`` for a tool: an error of ours reaches the model in our words, and one that nobody foresaw as its kind
    alone."""

    @wraps(call)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except MemSyncError as error:
            raise ToolError(in_words(error)) from None
        except Exception as error:
            raise ToolError(_unforeseen(error)) from None

    return run


def _unforeseen(error: Exception) -> str:
    return f"Internal error ({type(error).__name__}). `memsync` in a terminal may say more."


def new_server(served: Served, tokens: TokenVerifier | None = None, auth: AuthSettings | None = None) -> MCPServer:
    """A server with what every holder of a key may do: read. ``tokens`` and ``auth`` are for HTTP."""
    server = Server(
        "memsync",
        title="MemSync",
        description="A person's memories, owned by them and lent to this tool.",
        instructions=f"Search here before you ask what the person may have said already. {NOTE}",
        version=version("memsync-client"),
        log_level="CRITICAL",
        token_verifier=tokens,
        auth=auth,
    )
    _add_reading(server, served)
    _add_chatgpt(server, served)
    _add_texts(server, served)
    return server


def _add_reading(server: MCPServer, served: Served) -> None:
    shelf = served.shelf

    @server.tool(title="Search memories", annotations=READS)
    @told
    def memory_search(
        query: Query,
        limit: Limit = 10,
        tag: Word = None,
        source: Word = None,
        type: Word = None,
        after: After = None,
        before: Before = None,
    ) -> SearchAnswer:
        """Find memories by keywords, best first. Each says where it comes from; long ones are cut."""
        state, hits = shelf.recall(query, limit, _filter(tag, source, type, after, before))
        served.tell(hit.memory for hit in hits)
        return SearchAnswer(memories=[found(hit) for hit in hits], **standing(state))

    @server.tool(title="Get a memory", annotations=READS)
    @told
    def memory_get(id: MemoryId) -> ListAnswer:
        """The whole text of one memory. More than one: edits that contradict each other, for the owner to settle."""
        state, tips = shelf.get(id)
        served.tell(tips)
        return ListAnswer(memories=[item(memory) for memory in tips], **standing(state))

    @server.tool(title="Newest memories", annotations=READS)
    @told
    def memory_recent(
        limit: Limit = 10, tag: Word = None, source: Word = None, type: Word = None, after: After = None
    ) -> ListAnswer:
        """The newest memories, newest first; long ones are cut."""
        state, newest = shelf.recent(limit, _filter(tag, source, type, after, None))
        served.tell(newest)
        return ListAnswer(memories=[item(memory, SHOWN) for memory in newest], **standing(state))

    @server.tool(title="Status of the memory", annotations=READS)
    @told
    def memory_status() -> StatusAnswer:
        """How many memories there are, whether this connection may read them, until when, and what it may add."""
        state = shelf.look()
        return StatusAnswer(
            reads_as=served.reads_as,
            memories=len(state.memories),
            locked=state.locked,
            expires=state.expires,
            adds=served.adds,
            **standing(state),
        )


def _add_chatgpt(server: MCPServer, served: Served) -> None:
    """The two tools by which ChatGPT's connectors and deep research read; names and shapes are theirs."""

    @server.tool(title="Search", annotations=READS)
    @told
    def search(query: Query) -> Results:
        """Search the memories; fetch has the text of each result."""
        return Results(results=[result(hit.memory) for hit in served.shelf.recall(query, 10)[1]])

    @server.tool(title="Fetch", annotations=READS)
    @told
    def fetch(id: MemoryId) -> Document:
        """The text of one result of search."""
        tips = served.shelf.get(id)[1]
        served.tell(tips)
        return document(tips)


def _add_texts(server: MCPServer, served: Served) -> None:
    @server.resource("memory://{id}", name="memory", title="A memory", mime_type="text/plain")
    def memory(id: str) -> str:
        """One memory with where it comes from, by its id in hex."""
        try:
            tips = served.shelf.get(id)[1]
            served.tell(tips)
            return "\n\n".join(passage(tip) for tip in tips)
        except UnknownMemory as error:
            raise ResourceNotFoundError(in_words(error)) from None
        except MemSyncError as error:
            raise ResourceError(in_words(error)) from None

    @server.prompt(title="Recall what is known about a topic")
    def recall_context(topic: Topic) -> str:
        """What the memories say about a topic, to begin a conversation with."""
        try:
            hits = served.shelf.recall(topic, 10)[1]
        except MemSyncError as error:
            return f"My memories can't be read now: {in_words(error)}"
        served.tell(hit.memory for hit in hits)
        told_of = "\n\n".join(passage(hit.memory, SHOWN) for hit in hits) or "(Nothing was found.)"
        return f"What my memories say about {topic!r}. {NOTE}\n\n{told_of}"


def _filter(
    tag: str | None, source: str | None, type: str | None, after: datetime | None, before: datetime | None
) -> Filter:
    return Filter(tag, source, type, after, before)
