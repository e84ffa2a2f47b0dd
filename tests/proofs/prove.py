"""Run every proof and every control in this folder, each by Halmos in a process of its own, and say how each went.

``check_…`` is a rule and has to hold on every path. ``refute_…`` is a rule that is wrong, and Halmos has to find that
it is. A counterexample, a timeout, an unknown, a path that was cut off or that Halmos can't follow is a failure.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = Path(".cache/proofs/out")  # foundry.toml, profile proofs
AT_ONCE = os.cpu_count() or 1
LIMIT = 20 * 60  # seconds for one proof; on an idle machine the slowest takes a tenth
OPTIONS = (
    *("--forge-build-out", str(ARTIFACTS), "--no-status", "--solver-timeout-assertion", "120s"),
    # A signature has 65 bytes; a base URI none or a word; a multicall that is drawn at random is empty.
    *("--array-lengths", "data=0,signature=65,baseURI={0,32}", "--loop", "10"),
)
OUTCOMES = ("holds", "has a counterexample", "timed out", "has a path that Halmos can't follow", "was never tried")
PASS, COUNTEREXAMPLE = 0, 1
RUNNING: set[subprocess.Popen[str]] = set()


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    os.chdir(ROOT)
    os.environ["FOUNDRY_PROFILE"] = "proofs"
    subprocess.run(["forge", "build", "--quiet"], check=True)
    compare_code()
    proofs = find_proofs()
    print(f"{len(proofs)} proofs and controls, {AT_ONCE} at a time:", flush=True)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        failures = list(pool.map(prove, proofs)).count(False)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            end(process)
        return 130
    took = time.monotonic() - started
    if failures:
        print(f"{failures} of {len(proofs)} failed, after {took:.0f} s", file=sys.stderr)
        return 1
    print(f"All rules hold and all controls are refuted: {took:.0f} s")
    return 0


def compare_code() -> None:
    """Refuse to prove anything of another code than the one that is deployed."""
    built = artifact("MemoryRegistry.sol", "MemoryRegistry")["bytecode"]["object"]
    known = json.loads((ROOT / "memsync_client/abi/MemoryRegistry.json").read_text())["creationCode"]
    if built != known:
        raise SystemExit("forge compiles another code than memsync_client/abi has: run `ape run export_abi`")


def artifact(file: str, contract: str) -> Any:
    return json.loads((ARTIFACTS / file / f"{contract}.json").read_text())


def find_proofs() -> list[tuple[str, str]]:
    """Contract and function of everything to run."""
    return [
        (contract, function.split("(")[0])
        for file in sorted(Path("tests/proofs").glob("*.t.sol"))
        for contract in re.findall(r"^contract (\w+)", file.read_text(), re.MULTILINE)
        for function in artifact(file.name, contract)["methodIdentifiers"]
        if function.startswith(("check_", "refute_"))
    ]


def prove(proof: tuple[str, str]) -> bool:
    """Run one proof, print one line, and what Halmos said where it did not go as it should."""
    contract, function = proof
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        which = ("--contract", contract, "--match-test", rf"^{function}\(", "--json-output", str(report))
        said = run("halmos", *OPTIONS, *which)
        results = json.loads(report.read_text())["test_results"] if report.is_file() else {}
    outcome = judge(function, next(iter(results.values()), []))
    wanted = "is refuted" if function.startswith("refute_") else OUTCOMES[PASS]
    print(f"  {time.monotonic() - started:6.1f} s  {contract}.{function} {outcome}", flush=True)
    if outcome != wanted:
        print(said, file=sys.stderr, flush=True)
    return outcome == wanted


def judge(function: str, results: list[dict[str, Any]]) -> str:
    """Say how the one result of a run is to be read."""
    if len(results) != 1:
        return "did not run"
    [result] = results
    if result["num_bounded_loops"]:
        return "has a loop that was cut off"
    exitcode = result["exitcode"]
    if function.startswith("refute_") and exitcode == COUNTEREXAMPLE:
        missing = unreached(result["models"]) if function == "refute_no_call_succeeds" else set()
        return f"is refuted, but not by {', '.join(sorted(missing))}" if missing else "is refuted"
    return OUTCOMES[exitcode] if exitcode < len(OUTCOMES) else "made Halmos fail"


def unreached(models: list[dict[str, Any]]) -> set[str]:
    """The functions that change state and that no counterexample calls."""
    reached = {
        variable["value"]
        for found in models
        for variable in found["model"].values()
        if variable["variable_name"] == "selector"
    }
    registry = artifact("MemoryRegistry.sol", "MemoryRegistry")
    views = {item["name"] for item in registry["abi"] if item.get("stateMutability") in ("view", "pure")}
    return {
        signature
        for signature, selector in registry["methodIdentifiers"].items()
        if signature.split("(")[0] not in views and int(selector, 16) not in reached
    }


def run(*command: str) -> str:
    """Run a command for as long as it may take; return what it said."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    RUNNING.add(process)
    try:
        return process.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        end(process)
        return f"no end after {LIMIT} s"
    finally:
        RUNNING.discard(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a process and the solvers that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
