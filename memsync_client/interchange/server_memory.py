"""The memory file of MCP's reference server: JSON Lines of entities with observations, and of relations between them.

An observation is a memory, with the name of its entity in front; a relation is a sentence of three parts.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidImport
from ..memories import Source
from . import Files, Report
from .jsonl import objects, placed
from .taking import Taken, identifier, items, text

PLATFORM = "mcp-memory"


def recognises(value: dict[str, Any]) -> bool:
    """Whether a line is of this kind."""
    return value.get("type") in ("entity", "relation") and ("entityType" in value or "relationType" in value)


def read(files: Files) -> Report:
    """All of the one file. Raises InvalidImport, naming the line."""
    taken = Taken()
    name = files.names[0]
    with files.open(name) as stream:
        for number, value in objects(stream, name):
            with placed(name, number):
                if value.get("type") == "entity":
                    _take_entity(value, taken)
                elif value.get("type") == "relation":
                    _take_relation(value, taken)
                else:
                    raise InvalidImport("It is neither an entity nor a relation.", "Mend that line.")
    return taken.report()


def _take_entity(value: dict[str, Any], taken: Taken) -> None:
    name, kind = _needed(value, "name"), text(value.get("entityType"))
    observations = items(value.get("observations"), "The list of observations")
    source = Source(PLATFORM, identifier(name))
    for observation in observations:
        if not isinstance(observation, str):
            raise InvalidImport("An observation is not text.", "Mend that line.")
        taken.add(f"{name}: {text(observation)}", source, type="fact", tags=(kind,))
    if not observations:
        taken.add(f"{name}: {kind}" if kind else name, source, type="fact", tags=(kind,))


def _take_relation(value: dict[str, Any], taken: Taken) -> None:
    start, verb, end = (_needed(value, field) for field in ("from", "relationType", "to"))
    taken.add(f"{start} {verb} {end}", Source(PLATFORM, identifier(start)), type="relationship")


def _needed(value: dict[str, Any], field: str) -> str:
    found = text(value.get(field)).strip()
    if not found:
        raise InvalidImport(f"Field {field} is missing or no text.", "Mend that line.")
    return found
