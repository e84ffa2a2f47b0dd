"""Some rounds of `make chaos`, always the same ones."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.rounds import Chaos
from tests.chaos.world import build

SEED = 20261130
ROUNDS = 14


def test_chaos__some_rounds__nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    world = build(tmp_path)
    try:
        chaos = Chaos(world, SEED, print)
        chaos.run(ROUNDS)
    finally:
        world.node.end()
    assert (chaos.kills, chaos.lost, chaos.doubled) == (ROUNDS, 0, 0)
