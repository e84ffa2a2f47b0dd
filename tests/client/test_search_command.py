"""How a recall is shown: filters of the command, and what ``--why`` prints."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memsync_client.cli.reader import _hit_data, _hit_line, _in_zone
from memsync_client.errors import InvalidRequest
from memsync_client.memories import Memory, Source
from memsync_client.search import Index

TALK = [
    Memory(bytes([1] * 16), "Which hand does Ines use?", datetime(2026, 1, 1, tzinfo=UTC), Source("chatgpt", "novel")),
    Memory(bytes([2] * 16), "The left one.", datetime(2026, 1, 1, tzinfo=UTC), Source("chatgpt", "novel")),
]


def test_hit__with_why__names_each_word_its_share_and_its_place() -> None:
    hit = Index(TALK).recall("left hand")[0]
    shares = [float(share.split()[1]) for share in _hit_line(1, hit, True).split(" = ")[1].split(" + ")]
    assert abs(sum(shares) - hit.score) < 0.01 * len(shares)
    line = _hit_line(1, hit, True)
    assert line.startswith(f"1  {hit.memory.content}      chatgpt, ")
    assert "(in it)" in line
    assert "(in the whole conversation)" in line
    assert [set(reason) for reason in _hit_data(hit, True)["why"]] == [{"word", "in", "score"}] * len(hit.reasons)


def test_hit__without_why__has_none() -> None:
    hit = Index(TALK).recall("left hand")[0]
    assert "\n" not in _hit_line(1, hit, False)
    assert "why" not in _hit_data(hit, False)


def test_time__of_an_option__is_in_the_persons_zone() -> None:
    given = datetime(2026, 1, 1)
    assert _in_zone(given) == given.astimezone()
    assert _in_zone(None) is None


def test_time__at_the_edge_of_the_calendar__is_refused() -> None:
    with pytest.raises(InvalidRequest):
        _in_zone(datetime(1, 1, 1))
