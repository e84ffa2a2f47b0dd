"""The frozen vectors, read by a program in another language that was written from FORMAT.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import node
from tests.vectors import running

ALL = sorted(path.stem for path in running.FOLDER.glob("*.json"))
NAMES = [name for name in ALL if running.load(name)["kind"] != "kit"]  # SLIP-39 has vectors of its own


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """What came of each vector, by file name."""
    done = node.run("vectors.mjs", running.FOLDER)
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert answer.keys() == {f"{name}.json" for name in NAMES}, "some have not been read"
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_vector__read_by_the_independent_reader__has_its_outcome(results: dict[str, dict], name: str) -> None:
    vector, result = running.load(name), results[f"{name}.json"]
    assert result["outcome"] == vector["expect"]
    if vector["expect"] == "success":
        assert result["gives"] == vector["gives"]
