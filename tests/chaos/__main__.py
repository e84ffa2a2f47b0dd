"""`make chaos`."""

from __future__ import annotations

from tests.chaos.rounds import command

command()
