"""Programs that start MCP servers by themselves: where each keeps its configuration, and how a server stands in it.

Where they look, and in which shape, is what their makers document: Claude Desktop (modelcontextprotocol.io, "Connect to
local MCP servers"), Claude Code (user scope), Cursor (cursor.com/docs/mcp), Codex (its config.toml), Visual Studio Code
(user mcp.json).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from .errors import InvalidRequest
from .files import make_dir, storage_error, write_atomic

_MAX_BYTES = 32 << 20  # Claude Code keeps much else in its file
_TITLES = {
    "claude": "Claude",
    "claude-desktop": "Claude Desktop",
    "claude-code": "Claude Code",
    "cursor": "Cursor",
    "codex": "Codex",
    "vscode": "Visual Studio Code",
}
_INDENT = re.compile(r"\n([ \t]+)\S")


@dataclass(frozen=True)
class Entry:
    """A server in a program's configuration: the command, its arguments, and what it needs of the environment."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file: servers stand under ``key``; ``typed``: with "type": "stdio". ``sign`` is there where the
    program is."""

    path: Path
    sign: Path
    key: str = "mcpServers"
    typed: bool = True

    @property
    def toml(self) -> bool:
        """Whether it is TOML; else JSON."""
        return self.path.suffix == ".toml"


@dataclass(frozen=True)
class Edit:
    """A change of a configuration file: its bytes before (None: there is no file), and after."""

    path: Path
    before: bytes | None
    after: bytes

    def write(self) -> None:
        """Makes the change, whole or not at all. Raises InvalidRequest if the file was changed meanwhile."""
        target = self.path.resolve()  # a link stays one
        if _bytes_of(self.path) != self.before:
            raise InvalidRequest(f"{self.path} was changed meanwhile; it stays as it is now.", "Run this again.")
        make_dir(target.parent)
        mode = target.stat().st_mode & 0o777 if self.before is not None else 0o600
        write_atomic(target, self.after, mode)


def config_files(program: str) -> list[ConfigFile]:
    """The files of a program that is on this computer. Raises InvalidRequest where it is not."""
    found = [file for file in _known()[program]() if file.sign.exists()]
    if not found:
        signs = " or ".join(str(file.sign) for file in _known()[program]())
        said = f"{title(program)} does not seem to be on this computer: there is no {signs}."
        raise InvalidRequest(said, "Install it and start it once, then run this again.")
    return found


def names() -> list[str]:
    """The programs that are known."""
    return list(_known())


def title(program: str) -> str:
    """A program's name as people say it."""
    return _TITLES[program]


def _known() -> dict[str, Callable[[], list[ConfigFile]]]:
    return {
        "claude": lambda: [_claude_desktop(), _claude_code()],
        "claude-desktop": lambda: [_claude_desktop()],
        "claude-code": lambda: [_claude_code()],
        "cursor": lambda: [ConfigFile(Path.home() / ".cursor" / "mcp.json", Path.home() / ".cursor")],
        "codex": lambda: [_codex()],
        "vscode": lambda: [_vscode()],
    }


def _claude_desktop() -> ConfigFile:
    folder = user_config_path("Claude", appauthor=False)
    return ConfigFile(folder / "claude_desktop_config.json", folder, typed=False)


def _claude_code() -> ConfigFile:
    folder = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home())
    return ConfigFile(folder / ".claude.json", folder / ".claude.json")


def _codex() -> ConfigFile:
    folder = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")
    return ConfigFile(folder / "config.toml", folder, "mcp_servers", typed=False)


def _vscode() -> ConfigFile:
    folder = user_config_path("Code", appauthor=False) / "User"
    return ConfigFile(folder / "mcp.json", folder, "servers")


def with_server(file: ConfigFile, entry: Entry, ours: str) -> Edit:
    """The change that adds ``entry``, in the place of one that has ``ours`` among its arguments, if there is one. All
    else stays. Raises InvalidRequest for a file that can't be read as what it should be."""
    before = _bytes_of(file.path)
    document = _parsed(file, before)
    servers = _servers(file, document)
    name = next((name for name, server in servers.items() if _is(server, ours)), None) or _free_name(servers)
    value: dict[str, Any] = {"type": "stdio"} if file.typed else {}
    value |= {"command": entry.command, "args": list(entry.args)}
    if entry.env:
        value["env"] = dict(entry.env)
    if file.key not in document:
        document[file.key] = _table() if file.toml else {}
    document[file.key][name] = value
    return Edit(file.path, before, _text(file, document, before))


def without_server(file: ConfigFile, ours: str) -> Edit | None:
    """The change that takes out what ``with_server`` has added with that ``ours``; None where it is not there."""
    before = _bytes_of(file.path)
    document = _parsed(file, before)
    servers = _servers(file, document)
    doomed = [name for name, server in servers.items() if _is(server, ours)]
    if not doomed:
        return None
    for name in doomed:
        del document[file.key][name]
    return Edit(file.path, before, _text(file, document, before))


def _parsed(file: ConfigFile, data: bytes | None) -> Any:
    try:
        text = (data or b"").decode("utf-8-sig")
        if file.toml:
            return _parsed_toml(text)
        document = json.loads(text, object_pairs_hook=_once) if text.strip() else {}
        if type(document) is not dict:
            raise ValueError
        return document
    except (ValueError, RecursionError):  # TOMLKit's own are among the first
        kind = "TOML" if file.toml else "JSON"
        raise InvalidRequest(
            f"{file.path} can't be read as {kind}, so it is left alone.",
            "Mend it first: comments, commas at an end and a name that stands twice are no JSON."
            if kind == "JSON"
            else "Mend it first.",
        ) from None


def _parsed_toml(text: str) -> Any:
    import tomlkit  # late, as below: every command would wait for it

    return tomlkit.parse(text)


def _table() -> Any:
    import tomlkit

    return tomlkit.table(is_super_table=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _servers(file: ConfigFile, document: Any) -> Mapping[str, Any]:
    servers = document.get(file.key, {})
    if not isinstance(servers, dict):
        raise InvalidRequest(f"{file.key} in {file.path} is no table, so it is left alone.", "Mend it first.")
    return servers


def _is(server: object, ours: str) -> bool:
    args = server.get("args") if isinstance(server, dict) else None
    return isinstance(args, list) and ours in args


def _free_name(servers: Mapping[str, Any]) -> str:
    number, name = 1, "memsync"
    while name in servers:
        number += 1
        name = f"memsync-{number}"
    return name


def _text(file: ConfigFile, document: Any, before: bytes | None) -> bytes:
    if file.toml:
        import tomlkit

        return tomlkit.dumps(document).encode()
    old = (before or b"\n").decode("utf-8-sig")
    end = old[len(old.rstrip()) :]
    return (_set_out(document, _style_of(old.strip())) + end).encode()


def _style_of(text: str) -> tuple[str | int | None, tuple[str, str] | None]:
    """Indent and separators by which a JSON text was written, so that nothing else of it changes; the usual ones where
    it was written by hand."""
    found = _INDENT.search(text)
    styles = [(found[1], None)] if found else [(None, None), (None, (",", ":"))]
    for style in styles:
        if text and _set_out(json.loads(text), style) == text:
            return style
    return (found[1] if found else 2), None


def _set_out(document: Any, style: tuple[str | int | None, tuple[str, str] | None]) -> str:
    return json.dumps(document, indent=style[0], separators=style[1], ensure_ascii=False)


def _bytes_of(path: Path) -> bytes | None:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from None
    if len(data) > _MAX_BYTES:
        raise InvalidRequest(f"{path} has more than {_MAX_BYTES:,} bytes, so it is left alone.", "Make it smaller.")
    return data


def memsync_command() -> str:
    """The path by which a program can start ``memsync``, whatever its own PATH is."""
    path = Path(sys.executable).with_name("memsync")
    if not path.exists():
        raise InvalidRequest(f"There is no command {path}.", "Install MemSync as a command: pip install memsync-client")
    return str(path)
