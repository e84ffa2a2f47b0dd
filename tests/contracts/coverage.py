"""Lines and branches of the contracts that their tests run: a pytest plugin, which `make coverage` alone loads.

Ape's own `--coverage` has no data for Solidity, and other tools count what tests of forge or Hardhat run. Here anvil
tells each step of every transaction and every call that Ape sends to a contract of ours, refused ones too, at once: the
isolation of tests drops blocks. The compiler's source map says where in the source a step belongs.

The deployed code is replaced by that of the same source without optimizer and via-IR: both merge and move code, so that
a step no longer belongs to one place. State, events and errors are the same, gas is not: what measures it is left out.

- A line counts if a statement or a public variable begins on it, and is covered if each of these has been reached.
- A branch is one of the two ways on from an `if`, a loop, `?:`, `&&`, `||`, `require` or `assert`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import solcx
from ape import project
from ape.contracts import ContractInstance
from web3 import HTTPProvider

ROOT = Path(__file__).resolve().parents[2]

# Of the code as deployed, they measure gas or compare bytes. The last would take minutes, and without its random calls
# the count is the harder one: the tests that say what they try have to reach everything.
LEFT_OUT = {"test_gas.py", "test_limits.py", "test_deploy.py", "test_state_machine.py"}

# By kind: its name, and what its condition (of `&&` and `||`: the left operand) is where the compiler's jump is taken.
BRANCHES = {
    "IfStatement": ("if", False),
    "ForStatement": ("for", False),
    "WhileStatement": ("while", False),
    "DoWhileStatement": ("do", True),
    "Conditional": ("?:", True),
    "&&": ("&&", False),
    "||": ("||", True),
    "require": ("require", True),
    "assert": ("assert", True),
}
JUMPI, PUSH1, PUSH32 = 0x57, 0x60, 0x7F
ONLY_STEPS = {"disableStack": True, "disableMemory": True, "disableStorage": True}


class Span(NamedTuple):
    """A piece of a source: the compiler's number of the file, and bytes from the first up to the last, exclusive."""

    file: int
    start: int
    end: int

    @classmethod
    def of(cls, start: str, length: str, file: str) -> Span:
        return cls(int(file), int(start), int(start) + int(length))

    def covers(self, other: Span) -> bool:
        return self.file == other.file and self.start <= other.start and other.end <= self.end


@dataclass
class Code:
    """The code of one contract as compiled for the count, and what has been run of it."""

    runtime: str  # hex
    spans: dict[int, Span]
    jumps: set[int]
    reached: set[int] = field(default_factory=set)
    outcomes: set[tuple[int, bool]] = field(default_factory=set)  # the place of a JUMPI, and whether it was taken

    @classmethod
    def of(cls, runtime: dict[str, Any]) -> Code:
        """From what the compiler calls deployedBytecode."""
        code, place, parts = bytes.fromhex(runtime["object"]), 0, ["", "", ""]
        spans: dict[int, Span] = {}
        jumps: set[int] = set()
        for entry in runtime["sourceMap"].split(";"):
            # A part that is empty or missing is as in the entry before.
            parts = [new or old for new, old in zip_longest(entry.split(":")[:3], parts, fillvalue="")]
            spans[place] = Span.of(*parts)
            if code[place] == JUMPI:
                jumps.add(place)
            place += code[place] - PUSH1 + 2 if PUSH1 <= code[place] <= PUSH32 else 1
        return cls(runtime["object"], spans, jumps)

    def record(self, steps: list[dict[str, Any]]) -> None:
        """Take in what anvil traced of one call. Raises RuntimeError if that is nothing, or another code's."""
        if not steps:
            raise RuntimeError("anvil traced no step; it has to run with --steps-tracing")
        # Of the calls that our contracts make, one runs their own code: a DELEGATECALL of `multicall`.
        ours = {1: True}
        for step, following in zip_longest(steps, islice(steps, 1, None)):
            depth, place, op = step["depth"], step["pc"], step["op"]
            if ours[depth]:
                if (op == "JUMPI") != (place in self.jumps):
                    raise RuntimeError(f"{op} at {place} is not of the code compiled for the count; was that replaced?")
                self.reached.add(place)
            if following is None:
                return
            if following["depth"] > depth:
                ours[following["depth"]] = ours[depth] and op == "DELEGATECALL"
            elif ours[depth] and op == "JUMPI" and following["depth"] == depth:
                self.outcomes.add((place, following["pc"] != place + 1))


@dataclass(frozen=True)
class Point:
    """What is counted: a line, or one way of a branch."""

    path: str
    line: int
    missed: str  # what to say of it if it was not covered
    is_branch: bool
    covered: bool


def compiled(paths: list[str]) -> Any:
    """The compiler's answer (standard JSON), without optimizer and via-IR."""
    config = project.config.solidity
    wanted = {"*": ["evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap"], "": ["ast"]}
    request = {
        "language": "Solidity",
        "sources": {path: {"content": (ROOT / path).read_text()} for path in paths},
        "settings": {
            "evmVersion": config.evm_version,
            "remappings": [str(each) for each in config.import_remapping],
            "optimizer": {"enabled": False},
            "viaIR": False,
            "outputSelection": {"*": wanted},
        },
    }
    return solcx.compile_standard(request, base_path=ROOT, solc_version=config.version)


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a syntax tree."""
    if isinstance(tree, dict) and "nodeType" in tree:
        yield tree
    if isinstance(tree, dict | list):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from nodes(child)


def begins_line(node: dict[str, Any]) -> bool:
    kind = node["nodeType"]
    if kind == "VariableDeclaration":
        return bool(node["stateVariable"] and node["visibility"] == "public")
    return kind.endswith("Statement") or kind in ("Return", "Break", "Continue", "InlineAssembly")


def branch(node: dict[str, Any]) -> tuple[str, bool] | None:
    kind = node["nodeType"]
    if kind == "BinaryOperation":
        kind = node["operator"]
    elif kind == "FunctionCall":
        kind = node["expression"].get("name")
    return BRANCHES.get(kind)


class Coverage:
    """The plugin: gives a fixture's contract the code for the count, and follows what is asked of it."""

    def __init__(self, paths: list[str]) -> None:
        """Compiles these sources; the paths are those from the project's folder."""
        answer = compiled(paths)
        self.trees = {path: answer["sources"][path]["ast"] for path in paths}
        contracts = [named for path in paths for named in answer["contracts"].get(path, {}).items()]
        runtimes = {name: contract["evm"]["deployedBytecode"] for name, contract in contracts}
        self.codes = {name: Code.of(each) for name, each in runtimes.items() if each["object"]}
        self.deployed: dict[str, Code] = {}  # by address, in lower case
        self.sent: set[str] = set()  # hashes of transactions
        self.ask = HTTPProvider.make_request

    def points(self) -> list[Point]:
        """All that is counted, in the order of the sources."""
        reached: set[Span] = set()
        outcomes: dict[Span, set[bool]] = defaultdict(set)
        for code in self.codes.values():
            reached |= {code.spans[place] for place in code.reached}
            for place, taken in code.outcomes:
                outcomes[code.spans[place]].add(taken)
        found: list[Point] = []
        for path, tree in self.trees.items():
            source = (ROOT / path).read_bytes()
            lines: dict[int, bool] = {}
            for node in nodes(tree):
                span = Span.of(*node["src"].split(":"))
                line = source.count(b"\n", 0, span.start) + 1
                if begins_line(node):
                    lines[line] = lines.get(line, True) and any(span.covers(each) for each in reached)
                if kind := branch(node):
                    name, if_taken = kind
                    for way in (True, False):
                        missed = f"`{name}` never {str(way).lower()}"
                        found.append(Point(path, line, missed, True, (way == if_taken) in outcomes[span]))
            found += [Point(path, line, "not all run", False, covered) for line, covered in lines.items()]
        return sorted(found, key=lambda point: (point.path, point.line, point.is_branch))

    def request(self, provider: HTTPProvider, method: Any, params: Any) -> Any:
        """What Ape asks the node, and the steps that this took."""
        response = self.ask(provider, method, params)
        result = response.get("result")
        if method == "eth_call":
            self.trace(provider, params[0].get("to"), "debug_traceCall", params[:2])
        elif method == "eth_sendRawTransaction" and result:
            self.sent.add(result)
        # Before a transaction is mined it has no steps.
        elif method == "eth_getTransactionReceipt" and result and result["transactionHash"] in self.sent:
            self.sent.remove(result["transactionHash"])
            self.trace(provider, result["to"], "debug_traceTransaction", [result["transactionHash"]])
        return response

    def trace(self, provider: HTTPProvider, to: str | None, method: Any, params: list[Any]) -> None:
        if code := self.deployed.get((to or "").lower()):
            code.record(self.ask(provider, method, [*params, ONLY_STEPS])["result"]["structLogs"])

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path.name in LEFT_OUT else None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Any:
        made = yield
        if isinstance(made, ContractInstance) and (code := self.codes.get(made.contract_type.name)):
            made.provider.make_request("anvil_setCode", [made.address, "0x" + code.runtime])
            self.deployed[made.address.lower()] = code
        return made

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.OK and not all(point.covered for point in self.points()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Prints the report, below pytest's own."""
        writer, points = config.get_terminal_writer(), self.points()
        for path in self.trees:
            for is_branch, name in ((False, "lines"), (True, "branches")):
                covered = [point.covered for point in points if (point.path, point.is_branch) == (path, is_branch)]
                writer.write(f"{sum(covered):4} of{len(covered):4} {name:9}")
            writer.line(f" {path}")
        for point in points:
            if not point.covered:
                writer.line(f"{point.path}:{point.line}: {point.missed}")
        branches = sum(point.is_branch for point in points)
        share = sum(point.covered for point in points) / len(points)
        writer.line(f"{share:.1%} of {len(points) - branches} lines and {branches} branches")


def pytest_configure(config: pytest.Config) -> None:
    plugin = Coverage(sorted(f"contracts/{path.name}" for path in (ROOT / "contracts").glob("*.sol")))
    patch = pytest.MonkeyPatch()
    patch.setattr(HTTPProvider, "make_request", lambda *given: plugin.request(*given))
    config.add_cleanup(patch.undo)
    config.pluginmanager.register(plugin)
