"""One mutant against the contracts' tests, in a process of its own: a fork of one that has everything loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import pytest
from ape.contracts import ContractContainer, ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.project import ProjectManager
from ethpm_types import Bytecode, ContractType
from hexbytes import HexBytes

QUICK: dict[str, Any] = {}  # no optimiser: 0.4 s instead of 4.4 s, and the same meaning
AS_RELEASED: dict[str, Any] = {"viaIR": True, "optimizer": {"enabled": True, "runs": 200}}
LIKELY = 40


class Outcome(StrEnum):
    KILLED = "killed"
    SURVIVED = "survived"
    SAME_CODE = "same code"
    NO_CODE = "does not compile"
    OPEN = "open"


@dataclass(frozen=True)
class Mutant:
    """A change of one file; ``start`` and ``end`` are bytes of ``source``."""

    file: str
    line: int
    mutator: str
    old: str
    new: str
    start: int
    end: int
    source: bytes

    @property
    def text(self) -> str:
        return (self.source[: self.start] + self.new.encode() + self.source[self.end :]).decode()

    @property
    def _part(self) -> tuple[int, int]:
        """Where in ``source`` the function that is changed begins and ends, or what stands before the first one."""
        begins = [0, *(found.start() for found in re.finditer(rb"^ *function ", self.source, re.MULTILINE))]
        index = bisect_right(begins, self.start)
        return begins[index - 1], [*begins, len(self.source)][index]

    @property
    def key(self) -> str:
        """The same as long as the function is the same."""
        begin, end = self._part
        part = self.source[begin : self.start] + self.new.encode() + self.source[self.end : end]
        return hashlib.sha256(self.file.encode() + b"\n" + part).hexdigest()

    @property
    def function(self) -> str:
        """The name of the function that is changed, or an empty string."""
        begin, end = self._part
        name = re.match(rb" *function (\w+)", self.source[begin:end])
        return name[1].decode() if name else ""


class Compiler:
    """The compiler of ``compiler.js``, as a process of its own that stays."""

    def __init__(self, script: str, solc: str) -> None:
        self._process = subprocess.Popen(["node", script, solc], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def compile(self, changed: dict[str, str], settings: dict[str, Any]) -> dict[str, Any]:
        """``abi``, creation ``code`` and ``runtime`` code (hex) of the registry, or ``error``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the compiler was started without pipes")
        stdin.write(json.dumps({"changed": changed, "settings": settings}).encode() + b"\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def start_anvil(mnemonic: str, accounts: int) -> str:
    """The address of a new chain, as Ape would start it but without a limit to the size of code."""
    anvil = shutil.which("anvil")
    command = [anvil or "anvil", "--port", "0", "--mnemonic", mnemonic, "--accounts", str(accounts)]
    command += ["--hardfork", "osaka", "--disable-code-size-limit", "--block-base-fee-per-gas", "0", "--gas-price", "0"]
    with tempfile.NamedTemporaryFile("w+") as log:  # not a pipe, which would fill: it logs every request
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            if found := re.search(r"^Listening on (\S+)$", Path(log.name).read_text(), re.MULTILINE):
                return f"http://{found[1]}"
            time.sleep(0.02)
        raise RuntimeError(f"anvil ended without listening: {Path(log.name).read_text()}")


class Trial:
    """The hooks of a test session for one mutant, which ends at the first failure and writes a line to ``result``.

    With ``likely`` it ends after the first tests as well: with whether the compiler sees through the change, or open.
    """

    def __init__(self, mutant: Mutant, compiler: Compiler, released: str, likely: bool, result: IO[str]) -> None:
        self._mutant = mutant
        self._compiler = compiler
        self._released = released
        self._likely = likely
        self._result = result
        self._passed = 0
        self._code: dict[str, Any] = {}

    def compile(self) -> None:
        changed = {self._mutant.file: self._mutant.text}
        self._code = self._compiler.compile(changed, QUICK)
        if "Stack too deep" in self._code.get("error", ""):
            self._code = self._compiler.compile(changed, AS_RELEASED)
        if "error" in self._code:
            self._end(Outcome.NO_CODE, why=self._code["error"])

    def _end(self, outcome: Outcome, by: str = "", why: str = "") -> None:
        self._result.write(json.dumps({"outcome": outcome, "by": by, "why": why}))
        self._result.flush()
        os._exit(0)  # Ape's own end takes seconds, and the chain is ended with this process's group

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        if fixturedef.argname == "registry":
            fixturedef.func = self._deployed

    def _deployed(self, accounts: TestAccountManager, project: ProjectManager) -> ContractInstance:
        kind = ContractType(
            abi=self._code["abi"],
            contractName="MemoryRegistry",
            deploymentBytecode=Bytecode(bytecode=HexBytes(self._code["code"])),
            runtimeBytecode=Bytecode(bytecode=HexBytes(self._code["runtime"])),
        )
        return accounts[9].deploy(ContractContainer(kind))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo:
            broken = isinstance(call.excinfo.value, (OSError, ImportError, subprocess.SubprocessError))
            self._end(Outcome.OPEN if broken else Outcome.KILLED, item.nodeid, call.excinfo.exconly()[:500])

    def pytest_runtest_logfinish(self) -> None:
        self._passed += 1
        if self._passed == LIKELY and self._likely:
            answer = self._compiler.compile({self._mutant.file: self._mutant.text}, AS_RELEASED)
            self._end(Outcome.SAME_CODE if answer.get("code") == self._released else Outcome.OPEN)

    def pytest_internalerror(self, excrepr: object) -> None:
        self._end(Outcome.OPEN, why=str(excrepr))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        everything = exitstatus == pytest.ExitCode.OK and self._passed == len(session.items)
        self._end(Outcome.SURVIVED if everything else Outcome.OPEN, why=f"pytest ended with {exitstatus}")
