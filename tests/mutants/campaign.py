"""``make mutants``: change the registry in every way that slither-mutate knows, and see whether a test of it fails."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from ape import networks

from tests.mutants.trial import AS_RELEASED, Compiler, Mutant, Outcome, Trial, start_anvil

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".build" / "mutants.jsonl"
SLITHER_PYTHON = ROOT / ".venv-proofs" / "bin" / "python"
MAIN = ROOT / "contracts" / "MemoryRegistry.sol"
TESTS = ROOT / "tests" / "contracts"
# They look at gas, which is another without an optimiser, or not at the registry, or take too long.
LEFT_OUT = ("state_machine", "gas", "limits", "artifacts", "deploy", "coverage", "blob_log", "key_registry")
NO_MUTATOR = "none"
COMMON_WORDS = {"for", "check", "after", "test", "tests"}
TO_REACH = 0.95
PATIENCE = 1800  # seconds for one mutant


def digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def generated() -> list[Mutant]:
    """Every mutant, in the order of files, and of severity in each."""
    command = [SLITHER_PYTHON, ROOT / "tests" / "mutants" / "generate.py"]
    environment = os.environ | {"PYTHONHASHSEED": "0"}  # Slither goes through sets
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    sources = {file: (ROOT / file).read_bytes() for file in {change["file"] for change in changes}}
    return [Mutant(**change, source=sources[change["file"]]) for change in changes]


def unchanged() -> Mutant:
    """What all tests have to pass for."""
    return Mutant(str(MAIN.relative_to(ROOT)), 1, NO_MUTATOR, "", "", 0, 0, MAIN.read_bytes())


@cache
def words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in re.findall(r"[A-Z]?[a-z]+", text)) - COMMON_WORDS


@cache
def users(function: str) -> frozenset[str]:
    """The names of the function and of those that call it, by way of others too."""
    parts = [re.split(r"\bfunction (\w+)", file.read_text())[1:] for file in MAIN.parent.glob("*.sol")]
    bodies = [(name, body) for part in parts for name, body in zip(part[::2], part[1::2], strict=True)]
    found, before = {function}, set[str]()
    while found != before:
        before = set(found)
        calls = re.compile(rf"\b({'|'.join(before)})\(")
        found |= {name for name, body in bodies if calls.search(body)}
    return frozenset(found)


class Book:
    """What is known of each mutant, kept on disk so that a campaign can be interrupted and taken up again.

    A kill stays known while the function it was made in is the same; a survivor is tried again when anything changes.
    """

    def __init__(self) -> None:
        self._tried_with = digest([*TESTS.rglob("*.py"), *MAIN.parent.rglob("*.sol")])
        self._rows: dict[str, dict[str, Any]] = {}
        if RESULTS.exists():
            for line in RESULTS.read_text().splitlines():
                row = json.loads(line)
                self._rows[row["key"]] = row

    def outcome(self, mutant: Mutant) -> Outcome:
        row = self._rows.get(mutant.key)
        if row is None or (row["outcome"] == Outcome.SURVIVED and row["tried_with"] != self._tried_with):
            return Outcome.OPEN
        return Outcome(row["outcome"])

    def by(self, mutant: Mutant) -> str:
        """The test that killed it, or an empty string."""
        return str(self._rows.get(mutant.key, {}).get("by", ""))

    def enter(self, mutant: Mutant, result: dict[str, Any], seconds: float) -> None:
        if mutant.mutator == NO_MUTATOR and result["outcome"] != Outcome.SURVIVED:
            return  # so that the next campaign sees whether it does then
        place = {"file": mutant.file, "line": mutant.line, "mutator": mutant.mutator, "old": mutant.old}
        row = {
            "key": mutant.key,
            "tried_with": self._tried_with,
            **place,
            "new": mutant.new,
            **result,
            "seconds": seconds,
        }
        self._rows[mutant.key] = row
        with RESULTS.open("a") as results:
            results.write(json.dumps(row) + "\n")


@dataclass
class Slot:
    """Room for one trial at a time: a compiler that stays, and a forked process."""

    compiler: Compiler
    mutant: Mutant | None = None
    pid: int = 0
    started: float = 0.0
    reader: int = 0

    def poll(self) -> dict[str, Any] | None:
        """What came out if it has ended."""
        if time.monotonic() - self.started > PATIENCE:
            os.killpg(self.pid, signal.SIGKILL)
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        os.killpg(self.pid, signal.SIGKILL)  # its chain; before the wait, so that the number is still ours
        os.waitpid(self.pid, 0)
        with os.fdopen(self.reader) as result:
            text = result.read()
        return json.loads(text) if text else {"outcome": Outcome.OPEN, "by": "", "why": "ended without a result"}

    def stop(self) -> None:
        if self.mutant:
            with suppress(ProcessLookupError, ChildProcessError):  # interrupted just after it had ended
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        self.compiler.close()


class Campaign:
    """The hooks of the session that collects the tests once and is forked for each mutant."""

    def __init__(self, mutants: list[Mutant], book: Book, jobs: int) -> None:
        self._mutants = mutants
        self._book = book
        solc = str(ROOT / "node_modules" / "solc")
        script = str(ROOT / "tests" / "mutants" / "compiler.js")
        self._slots = [Slot(Compiler(script, solc)) for _ in range(jobs)]
        self._released = self._slots[0].compiler.compile({}, AS_RELEASED)["code"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Returns in each child, with the tests for it to run, and in the parent when all is done, with none."""
        tests = session.items
        for test in tests:
            words(test.name)  # so that no child has to
        session.items = []
        try:
            networks.get_provider_from_choice("ethereum:local:foundry")  # imports what every child would import
            for mutants, likely in (([unchanged()], False), (self._mutants, True), (self._mutants, False)):
                if mutants is self._mutants and not likely:
                    self._wait_for_all()
                for mutant in [each for each in mutants if self._book.outcome(each) == Outcome.OPEN]:
                    slot = self._free_slot()
                    if self._fork(slot, mutant, likely, session):
                        session.items = self._ordered(tests, mutant, likely)
                        return
            self._wait_for_all()
        except BaseException:
            for slot in self._slots:
                slot.stop()
            raise
        for slot in self._slots:
            slot.stop()

    def _free_slot(self) -> Slot:
        while True:
            for slot in self._slots:
                if slot.mutant is None:
                    return slot
            self._wait()

    def _wait_for_all(self) -> None:
        while any(slot.mutant for slot in self._slots):
            self._wait()

    def _wait(self) -> None:
        for slot in self._slots:
            result = slot.poll() if slot.mutant else None
            if slot.mutant and result:
                seconds = round(time.monotonic() - slot.started, 1)
                self._book.enter(slot.mutant, result, seconds)
                self._show(slot.mutant, result, seconds)
                unfit = slot.mutant.mutator == NO_MUTATOR and result["outcome"] != Outcome.SURVIVED
                slot.mutant = None
                if unfit:
                    raise click.ClickException(f"the tests fail without a change, too: {result['by']}: {result['why']}")
        time.sleep(0.05)

    def _show(self, mutant: Mutant, result: dict[str, Any], seconds: float) -> None:
        done = sum(self._book.outcome(each) != Outcome.OPEN for each in self._mutants)
        change = " ".join(f"{mutant.old} => {mutant.new}".split())
        by = f" {result['by'].split('::')[-1]}" if result["by"] else ""
        if result["outcome"] == Outcome.OPEN:
            by += f" {result['why']}"
        print(
            f"{done}/{len(self._mutants)} {mutant.file}:{mutant.line} {mutant.mutator} {result['outcome']}"
            f" {seconds} s{by} | {change[:120]}",
            flush=True,
        )

    def _fork(self, slot: Slot, mutant: Mutant, likely: bool, session: pytest.Session) -> bool:
        """True in the child."""
        slot.reader, writer = os.pipe()
        slot.mutant, slot.started = mutant, time.monotonic()
        slot.pid = os.fork()
        if slot.pid:
            os.close(writer)
            os.setpgid(slot.pid, slot.pid)
            return False
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        trial = Trial(mutant, slot.compiler, self._released, likely, os.fdopen(writer, "w"))
        trial.compile()
        os.environ["APE_FOUNDRY_HOST"] = start_anvil("test test test test test test test test test test test junk", 10)
        session.config.pluginmanager.register(trial)
        return True

    def _ordered(self, tests: list[pytest.Item], mutant: Mutant, likely: bool) -> list[pytest.Item]:
        """Those that noticed changes nearby first, then the same with other parameters; then, if only the likely ones
        run, those with names alike.

        Else the order of the files is kept, where a file's tests share what they set up.
        """
        near = [each for each in self._mutants if each.file == mutant.file]
        near.sort(key=lambda each: abs(each.line - mutant.line))
        killers = list(dict.fromkeys(by for each in near if (by := self._book.by(each))))[:6]
        rank = {name: index for index, name in enumerate(sorted(killers))}  # a file's tests together
        functions = {name.partition("[")[0] for name in killers}
        function = words(" ".join(users(mutant.function)) if mutant.function else "layout")
        file = words(Path(mutant.file).stem)
        places = Counter[Path]()

        def key(test: pytest.Item) -> tuple[int, int]:
            place = rank.get(test.nodeid, len(rank) + (test.nodeid.partition("[")[0] not in functions))
            if not likely:
                return place, 0
            places[test.path] += 1
            name, module = words(test.name), words(test.path.stem)
            likeness = 3 * len(function & module) + 2 * bool(file & module) + len(function & name)
            return place, places[test.path] - 10 * likeness  # so that no file takes up all the room

        return sorted(tests, key=key)


def report(mutants: list[Mutant], book: Book) -> float:
    """Print what came out; return the share of the mutants that compile which a test noticed."""
    outcomes = Counter(book.outcome(each) for each in mutants)
    for mutant in mutants:
        if book.outcome(mutant) in (Outcome.SURVIVED, Outcome.SAME_CODE, Outcome.OPEN):
            change = " ".join(f"{mutant.old} => {mutant.new}".split())
            print(f"{book.outcome(mutant)}: {mutant.file}:{mutant.line} {mutant.mutator} | {change}")
    compiled = len(mutants) - outcomes[Outcome.NO_CODE] - outcomes[Outcome.OPEN]
    score = outcomes[Outcome.KILLED] / compiled if compiled else 0.0
    counts = ", ".join(f"{outcomes[each]} {each}" for each in Outcome)
    print(f"{len(mutants)} mutants: {counts}. Of those that compile, {score:.1%} were killed.")
    return score


@click.command()
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="How many mutants at a time.")
@click.option("--only", default="", help="Only mutants whose file:line begins so, such as contracts/Head.sol:")
def main(jobs: int, only: str) -> None:
    """Try every mutant that is not known yet, and print the score."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that chains and compilers are ended with us
    os.chdir(ROOT)
    RESULTS.parent.mkdir(exist_ok=True)
    mutants = [each for each in generated() if f"{each.file}:{each.line}".startswith(only)]
    book = Book()
    ignored = [f"--ignore={TESTS}/test_{name}.py" for name in LEFT_OUT]
    pytest.main(["-q", "-s", "-p", "no:cacheprovider", *ignored, str(TESTS)], plugins=[Campaign(mutants, book, jobs)])
    if report(mutants, book) < TO_REACH:
        sys.exit(1)


if __name__ == "__main__":
    main()
