"""The half of ``memsync mcp`` that has the owner's key. It opens the vault, keeps proposals, commits nothing, and hears
no tool: the half that speaks MCP has no key, and can ask for three things."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from ..errors import AccessEnded, HomeDamaged, InvalidRequest
from ..proposals import Answer, Proposals
from ..tools import Tools
from .link import Packed, error_of, receive, send

_MOST_ASKED = 1 << 20  # bytes of a question: the longest memory with all its tags fits many times
_GRACE = 5.0  # seconds for the other half to end by itself


def serve_owner(
    opened: Callable[[], Proposals], reads_as: str, way: dict[str, Any], ready: Callable[[str], object], tools: Tools
) -> int:
    """Starts the half that speaks MCP on this process's standard streams, answers it until it ends, and returns its
    exit code. ``opened`` opens the home; ``way`` has the fields of ``serving.Way``; over HTTP ``ready`` is told the
    URL, and it is from ``tools`` that those who propose are known."""
    face = {"reads_as": reads_as, "way": way}
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            # -P: a program may start this in any folder, and no module of that folder is to be taken for one of ours.
            words = [sys.executable, "-P", "-m", __package__, str(theirs.fileno()), json.dumps(face)]
            process = subprocess.Popen(words, pass_fds=[theirs.fileno()])
        try:
            answer(opened, ours, ready, way["tool"] if way.get("port") is None else tools)
            return process.wait()
        finally:
            ours.close()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answer(
    opened: Callable[[], Proposals], connection: socket.socket, ready: Callable[[str], object], tool: str | Tools
) -> None:
    """Answers what the other half asks, until it has ended. Whatever that one says, it is ``tool`` that proposes; over
    HTTP there are several, and each is the one whose token comes along.

    Refused, it opens the home once more: this device's key may have been made anew since.
    """
    packed, proposals = Packed(), opened()

    def proposer(question: dict[str, Any]) -> str:
        known = tool if isinstance(tool, str) else tool.tool_of(question["token"])
        if known is None:
            raise InvalidRequest("No tool has that token, or has it any more.", "memsync mcp token new NAME")
        return known

    def asked(question: dict[str, Any]) -> dict[str, Any]:
        match question["ask"]:
            case "ready":
                return {"told": ready(question["url"]) is None}
            case "add":
                return _answered(proposals.add(proposer(question), question["text"], question["tags"]))
            case "forget":
                return _answered(proposals.forget(proposer(question), question["id"]))
            case _:
                return packed.pack(proposals.look())

    while (question := receive(connection, _MOST_ASKED)) is not None:
        try:
            try:
                value = asked(question)
            except (AccessEnded, HomeDamaged):
                proposals = opened()
                value = asked(question)
        except Exception as error:
            value = error_of(error)
        try:
            send(connection, value)
        except OSError:
            return


def _answered(done: Answer) -> dict[str, Any]:
    return {"id": done.id, "taken": done.taken.value}
