"""Imports inside the package point downward only. A failure here means that a module has come to know what lies above
it, or that a module which only computes has come to reach a disk, a network or a chain: move the code that needs the
import to the layer where it is allowed, or give it what it needs as an argument."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import memsync_client

ROOT = Path(memsync_client.__file__).parent
NAME = "memsync_client"

# From the lowest up: each module imports only from rows above its own.
LAYERS = (
    {"errors"},
    {"bounded", "canonical", "core_dumps", "files", "records", "memory_log", "sealing", "state_proof", "words"},
    {"memories", "keys", "addresses"},
    {
        "cards",
        "packs",
        "heads",
        "keyring",
        "keyfile",
        "search",
        "interchange",
        "import_ids",
        "outbox",
        "sameness",
        "storage.file",
        "storage.uris",
        "storage.ahead",
        "interchange.parsing",
        "export_files",
    },
    {
        "kit",
        "forgotten",
        "inbox",
        "roster",
        "tools",
        "storage.owed",
        "storage.web",
        "interchange.jsonl",
        "interchange.taking",
    },
    {"storage.evm", "storage.https", "storage.ipfs", "storage.s3", "glance"},
    {"programs"},
    {
        "storage",
        "reading",
        *(f"interchange.{name}" for name in ("chatgpt", "claude", "mem0", "pam", "paste", "server_memory")),
    },
    {"import_files", "interchange.omi", "interchange.markdown", "following"},
    {"interchange.formats"},
    {"home", "storage.blobs"},
    {"hosts", "wallet", "refusals", "rpc", "pack_notes", "interface"},
    {"transactions", "agreement"},
    {"event_log"},
    {"registry"},
    {"blob_log", "practice", "verifying", "sending", "twins"},
    {"relaying"},
    {"rekeying", "passphrases"},
    {"session"},
    {"relayer"},
    {"reader", "rewriting"},
    {"merging"},
    {"committing"},
    {"opened"},
    {"access", "first_look"},
    {"holding"},
    {"keeping"},
    {"hosting"},
    {"going_on"},
    {"vault"},
    {"client", "nodes", "proposals"},
    {"devices", "standing", "pricing"},
    {"connecting"},
    {"owning", "recovery"},
    {"__init__"},
    {"mcp_server", "mcp_server.answers", "mcp_server.arguments"},
    {"mcp_server.link"},
    {"mcp_server.reading", "mcp_server.owner"},
    {"mcp_server.adding", "mcp_server.http"},
    {"mcp_server.serving"},
    {"mcp_server.__main__"},
    {"cli.app", "cli.given"},
    {"cli.status", "cli.qr", "cli.completing"},
    {"cli.lending"},
    {"cli.config", "cli.relay", "cli.owner", "cli.passphrase", "cli.reader", "cli.kit", "cli.log"},
    {
        "cli.going_on",
        "cli.hosts",
        "cli.rpc",
        "cli.keeping",
        "cli.device",
        "cli.setup",
        "cli.exchange",
        "cli.mcp",
        "cli.inbox",
        "cli.ownership",
        "cli.syncing",
    },
    {"cli.connect"},
    {"cli"},
)
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
LATE = {("cli.app", "cli.status")}  # `memsync` alone shows the status: imported in a function, when it is called so

# What takes long to load, and most commands need none of it.
LATE_ONLY = {"web3", "eth_account", "eth_utils", "pydantic", "requests", "aiohttp", "yaml", "http", "ssl", "keyring"}

# Values in, values out.
PURE = {
    *("errors", "canonical", "memories", "memory_log", "sealing", "records", "keys", "cards", "kit", "packs", "heads"),
    *("keyring", "forgotten", "reading", "rewriting", "roster", "import_ids", "refusals", "search", "state_proof"),
    *("sameness", "words", "merging", "interchange", "addresses", "interface"),
    *(f"interchange.{name}" for name in ("formats", "jsonl", "markdown", "mem0", "omi", "pam", "parsing", "paste")),
    *(f"interchange.{name}" for name in ("chatgpt", "claude", "server_memory", "taking")),
}
OUTSIDE = {
    *("pathlib", "io", "shutil", "tempfile", "glob", "fcntl", "socket", "ssl", "http", "urllib", "asyncio", "select"),
    *("subprocess", "multiprocessing", "threading", "signal", "time", "logging", "platformdirs", "requests", "web3"),
    *("eth_account", "click", "sys", "sqlite3"),
}
ALLOWED = {
    "search": {"threading"},  # one index for all threads of a server
}

ON_CHAIN = {"registry", "blob_log", "event_log", "transactions", "rpc", "refusals", "wallet", "practice"}
KNOWS_KEYS = {"keys", "keyring", "keyfile", "wallet", "registry", "transactions", "rpc", "home", "session"}


@cache
def tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def modules() -> frozenset[str]:
    """All modules by the name below the package; a folder's own is the folder's."""
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.py")}
    return frozenset(name.removesuffix(".__init__") for name in found)


@cache
def imports(module: str) -> frozenset[str]:
    """Everything that ``module`` imports anywhere in it, for its types and late too, by its full name."""
    inside = [NAME] if module == "__init__" else [NAME, *module.split(".")]
    folder = inside if module == "__init__" or (ROOT.joinpath(*module.split("."))).is_dir() else inside[:-1]
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            below = {alias.name for alias in node.names if f"{source}.{alias.name}".removeprefix(f"{NAME}.") in RANK}
            found |= {f"{source}.{name}" for name in below}
            if len(below) < len(node.names):
                found.add(source)
    return frozenset(found)


def own(module: str) -> set[str]:
    """The modules of the package that ``module`` imports."""
    names = {name for name in imports(module) if name.split(".")[0] == NAME}
    return {"__init__" if name == NAME else name.removeprefix(f"{NAME}.") for name in names}


def foreign(module: str) -> set[str]:
    """The packages of others that ``module`` imports."""
    return {name.split(".")[0] for name in imports(module)} - {NAME}


def test_layers__name_every_module_once() -> None:
    assert sum(map(len, LAYERS)) == len(RANK)
    assert set(RANK) == modules(), "a new module needs a row in LAYERS"
    assert modules() >= PURE | ON_CHAIN | KNOWS_KEYS


@pytest.mark.parametrize("module", sorted(RANK))
def test_import__of_the_package_itself__points_downward(module: str) -> None:
    upward = {name for name in own(module) if RANK[name] >= RANK[module] and (module, name) not in LATE}
    assert not upward, f"{module} imports what lies above it"


@pytest.mark.parametrize("module", sorted(PURE))
def test_import__by_a_pure_module__reaches_no_disk_network_or_chain(module: str) -> None:
    assert not foreign(module) & OUTSIDE - ALLOWED.get(module, set()), f"{module} is pure and does I/O"
    assert not own(module) - PURE, f"{module} is pure and imports what is not"


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module__opens_nothing_and_takes_only_randomness_from_os(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input"), f"{module} is pure and does I/O"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr == "urandom", f"{module} is pure and calls os.{node.attr}"
        if isinstance(node, ast.ImportFrom):
            assert node.module != "os", f"{module} is pure: import os, and call os.urandom"


def test_import__of_web3_or_accounts__by_the_modules_of_the_chain_only() -> None:
    assert {module for module in RANK if foreign(module) & {"web3", "eth_account"}} <= ON_CHAIN


@pytest.mark.parametrize("module", sorted(name for name in RANK if name.startswith("storage")))
def test_storage__knows_no_keys_and_no_chain(module: str) -> None:
    """A host moves opaque bytes. Keys are not in reach of it, through others neither."""
    reached, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= own(name) - reached
    assert not reached & KNOWS_KEYS


def test_import__of_what_only_builds_and_tests__by_nothing() -> None:
    for module in RANK:
        assert not foreign(module) & {"ape", "pytest", "hypothesis", "_pytest", "tests", "scripts", "solcx"}, module


@pytest.mark.parametrize("words", [None, [], ["--help"]], ids=["import", "memsync", "memsync --help"])
def test_start__of_what_asks_no_chain__loads_no_more_than_it_needs(words: list[str] | None, tmp_path: Path) -> None:
    """web3 takes half a second, eth_utils with its pydantic a quarter. Seen in a process of its own."""
    module = NAME if words is None else f"{NAME}.cli"
    code = f"import atexit, json, sys, {module}\n"
    code += "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
    code += "" if words is None else f"sys.argv = {['memsync', *words]!r}\n{module}.main()"
    home = {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=home, capture_output=True, check=True, timeout=60)
    loaded = set(json.loads(done.stderr))
    assert module in loaded
    assert not {name for name in loaded if name.split(".")[0] in LATE_ONLY}
