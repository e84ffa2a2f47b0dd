"""What is known of tools: tokens of which nothing but a hash is kept, and whom the owner trusts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memsync_client.errors import HomeDamaged, InvalidRequest, UnknownReader
from memsync_client.tools import Tool, Tools


def test_token__is_known_as_its_tools_alone_and_stands_in_no_file(tmp_path: Path) -> None:
    tools = Tools(tmp_path)
    first, second = tools.new_token("claude"), tools.new_token("cursor")
    assert first != second
    assert min(len(first), len(second)) >= 43  # 32 random bytes
    assert (tools.tool_of(first), tools.tool_of(second)) == ("claude", "cursor")
    for other in ("", first[:-1], first + "x", second.upper(), "\ud800"):
        assert tools.tool_of(other) is None
    path = tmp_path / "tools.json"
    assert path.stat().st_mode & 0o777 == 0o600
    for token in (first, second):
        assert token.removeprefix("memsync-token-") not in path.read_text()


def test_token__made_anew_or_removed__the_old_one_is_nobodys_at_once(tmp_path: Path) -> None:
    tools, running = Tools(tmp_path), Tools(tmp_path)
    first = tools.new_token("claude")
    assert running.tool_of(first) == "claude"
    second = tools.new_token("claude")
    assert (running.tool_of(first), running.tool_of(second)) == (None, "claude")
    tools.remove_token("claude")
    assert running.tool_of(second) is None
    with pytest.raises(UnknownReader, match="No tool 'claude' has a token"):
        tools.remove_token("claude")


def test_trust__stays_apart_from_the_token(tmp_path: Path) -> None:
    tools = Tools(tmp_path)
    assert tools.get("claude") == Tool()
    token = tools.new_token("claude")
    tools.trust("claude", True)
    assert (tools.get("claude").trusted, tools.tool_of(token)) == (True, "claude")
    tools.remove_token("claude")
    assert tools.get("claude") == Tool(None, True)
    tools.trust("claude", False)
    assert json.loads((tmp_path / "tools.json").read_text()) == {"format": 1, "tools": {}}


def test_names__that_are_none__are_refused(tmp_path: Path) -> None:
    for name in ("", " claude", "a\nb", "x" * 65, "0x" + "a" * 40):
        with pytest.raises(InvalidRequest):
            Tools(tmp_path).new_token(name)
    assert not (tmp_path / "tools.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"format": 2, "tools": {}}',
        '{"format": 1, "tools": []}',
        '{"format": 1, "tools": {"claude": {"token": 1, "trusted": false}}}',
        '{"format": 1, "tools": {"claude": {"token": null, "trusted": 1}}}',
        '{"format": 1, "tools": {"claude": {"token": null, "trusted": false, "more": 1}}}',
        '{"format": 1, "tools": {"claude": null}}',
    ],
)
def test_file__that_is_not_of_this_version__is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "tools.json").write_text(content)
    with pytest.raises(HomeDamaged, match=r"tools\.json can't be read"):
        Tools(tmp_path).tool_of("x")
    with pytest.raises(HomeDamaged):
        Tools(tmp_path).trust("claude", True)
    assert (tmp_path / "tools.json").read_text() == content
