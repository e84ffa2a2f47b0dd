"""Configurations of other programs: our server comes and goes, and nothing else of theirs is touched or lost."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.errors import InvalidRequest
from memsync_client.programs import ConfigFile, Edit, Entry, config_files, names, title, with_server, without_server

OURS = "/home/ines/.local/share/memsync/tools/cursor-3f9a"
ENTRY = Entry("/usr/bin/memsync", ("--home", OURS, "mcp", "--as-reader", "cursor"), {})
OTHER = {"command": "npx", "args": ["-y", "some-server"], "env": {"API_KEY": "of another"}}


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    return ConfigFile(tmp_path / ".cursor" / "mcp.json", tmp_path / ".cursor")


@pytest.fixture
def toml(tmp_path: Path) -> ConfigFile:
    return ConfigFile(tmp_path / ".codex" / "config.toml", tmp_path / ".codex", "mcp_servers", typed=False)


def put(file: ConfigFile, text: str | bytes) -> bytes:
    file.path.parent.mkdir(exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    file.path.write_bytes(data)
    return data


def test_with_server__no_file_yet__makes_one_that_only_its_person_reads(file: ConfigFile) -> None:
    with_server(file, ENTRY, OURS).write()
    assert json.loads(file.path.read_bytes()) == {
        "mcpServers": {"memsync": {"type": "stdio", "command": ENTRY.command, "args": list(ENTRY.args)}}
    }
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("style", [(2, None), (4, None), ("\t", None), (None, None), (None, (",", ":"))])
@pytest.mark.parametrize("end", ["", "\n"])
def test_with_server__then_without__is_the_file_of_before_byte_for_byte(
    file: ConfigFile, style: tuple, end: str
) -> None:
    document = {"theme": "dünn", "mcpServers": {"other": OTHER}, "n": [1, 2.5, None, True], "last": {}}
    before = put(file, json.dumps(document, indent=style[0], separators=style[1], ensure_ascii=False) + end)
    file.path.chmod(0o640)
    with_server(file, ENTRY, OURS).write()
    changed = json.loads(file.path.read_bytes())
    assert list(changed) == list(document)
    assert list(changed["mcpServers"]) == ["other", "memsync"]
    added = changed["mcpServers"].pop("memsync")
    assert changed == document
    assert added["args"] == list(ENTRY.args)
    assert file.path.stat().st_mode & 0o777 == 0o640
    undo = without_server(file, OURS)
    assert undo is not None
    undo.write()
    assert file.path.read_bytes() == before
    assert without_server(file, OURS) is None


def test_with_server__again_and_for_another_home__replaces_its_own_alone(file: ConfigFile) -> None:
    put(file, json.dumps({"mcpServers": {"memsync": OTHER}}))
    for entry, ours in (
        (ENTRY, OURS),
        (Entry("/new/memsync", ENTRY.args, {"A": "b"}), OURS),
        (Entry("/new/memsync", ("--home", "/another"), {}), "/another"),
    ):
        with_server(file, entry, ours).write()
    servers = json.loads(file.path.read_bytes())["mcpServers"]
    assert list(servers) == ["memsync", "memsync-2", "memsync-3"]
    assert servers["memsync"] == OTHER
    assert (servers["memsync-2"]["command"], servers["memsync-2"]["env"]) == ("/new/memsync", {"A": "b"})
    undo = without_server(file, OURS)
    assert undo is not None
    undo.write()
    assert list(json.loads(file.path.read_bytes())["mcpServers"]) == ["memsync", "memsync-3"]


def test_with_server__toml__keeps_comments_and_order(toml: ConfigFile) -> None:
    text = (
        '# mine\nmodel = "x"   # why\n\n[mcp_servers.other]\ncommand = "npx"\nenv = { K = "v" }\n\n[tui]\nlines = 3\n'
    )
    put(toml, text)
    with_server(toml, ENTRY, OURS).write()
    changed = toml.path.read_text()
    found = tomllib.loads(changed)
    assert found["mcp_servers"].pop("memsync") == {"command": ENTRY.command, "args": list(ENTRY.args)}
    assert found == tomllib.loads(text)
    assert set(text.splitlines()) <= set(changed.splitlines())
    undo = without_server(toml, OURS)
    assert undo is not None
    undo.write()
    assert tomllib.loads(toml.path.read_text()) == tomllib.loads(text)
    assert "# why" in toml.path.read_text()


def test_with_server__toml_without_servers_or_file__makes_the_table(toml: ConfigFile) -> None:
    with_server(toml, ENTRY, OURS).write()
    assert tomllib.loads(toml.path.read_text())["mcp_servers"]["memsync"]["command"] == ENTRY.command
    put(toml, 'model = "x"\n')
    with_server(toml, ENTRY, OURS).write()
    assert tomllib.loads(toml.path.read_text())["model"] == "x"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '{"a": 1,}',
        '{"a": 1} // why',
        '{"a": 1, "a": 2}',
        '{"mcpServers": {"x": {}, "x": {}}}',
        '{"mcpServers": []}',
        '{"mcpServers": "x"}',
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_with_server__file_that_it_would_lose_something_of__is_left_alone(file: ConfigFile, text: str | bytes) -> None:
    before = put(file, text)
    with pytest.raises(InvalidRequest, match=r"mcp\.json .* is left alone") as refused:
        with_server(file, ENTRY, OURS)
    assert "Mend it first" in refused.value.next_step
    with pytest.raises(InvalidRequest, match="is left alone"):
        without_server(file, OURS)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("text", ["a = ", "[mcp_servers]\nx = 1\n[mcp_servers]\n", "mcp_servers = 3", b"\xff"])
def test_with_server__toml_that_is_none__is_left_alone(toml: ConfigFile, text: str | bytes) -> None:
    before = put(toml, text)
    with pytest.raises(InvalidRequest, match="is left alone"):
        with_server(toml, ENTRY, OURS)
    assert toml.path.read_bytes() == before


def test_write__file_changed_meanwhile__is_refused_and_keeps_it(file: ConfigFile) -> None:
    put(file, "{}")
    edit = with_server(file, ENTRY, OURS)
    after = put(file, '{"more": 1}')
    with pytest.raises(InvalidRequest, match="was changed meanwhile"):
        edit.write()
    assert file.path.read_bytes() == after
    file.path.unlink()
    with pytest.raises(InvalidRequest, match="was changed meanwhile"):
        edit.write()
    assert not file.path.exists()


def test_write__link__stays_one(file: ConfigFile, tmp_path: Path) -> None:
    put(file, "{}")
    kept = tmp_path / "dotfiles.json"
    file.path.rename(kept)
    file.path.symlink_to(kept)
    with_server(file, ENTRY, OURS).write()
    assert file.path.is_symlink()
    assert "memsync" in kept.read_text()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text().filter("mcpServers".__ne__), VALUES, max_size=3),
    st.dictionaries(st.text(), VALUES, max_size=3),
)
def test_with_server__any_configuration__keeps_all_that_it_had(
    tmp_path_factory: pytest.TempPathFactory, rest: dict, servers: dict
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = ConfigFile(folder / "mcp.json", folder)
    put(file, json.dumps(rest | {"mcpServers": servers}))
    edit: Edit = with_server(file, ENTRY, OURS)
    changed = json.loads(edit.after)
    ours = [name for name in changed["mcpServers"] if name not in servers]
    assert len(ours) == 1
    del changed["mcpServers"][ours[0]]
    assert changed == rest | {"mcpServers": servers}


def test_config_files__of_each_program__are_where_its_makers_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    for program in names():
        with pytest.raises(InvalidRequest, match=f"{title(program)} does not seem to be on this computer"):
            config_files(program)
    for folder in (".cursor", ".codex", ".config/Code/User", ".config/Claude"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".claude.json").write_text("{}")
    found = {program: [str(file.path.relative_to(tmp_path)) for file in config_files(program)] for program in names()}
    assert found == {
        "claude": [".config/Claude/claude_desktop_config.json", ".claude.json"],
        "claude-desktop": [".config/Claude/claude_desktop_config.json"],
        "claude-code": [".claude.json"],
        "cursor": [".cursor/mcp.json"],
        "codex": [".codex/config.toml"],
        "vscode": [".config/Code/User/mcp.json"],
    }
    assert {file.key for program in names() for file in config_files(program)} == {
        "mcpServers",
        "mcp_servers",
        "servers",
    }
