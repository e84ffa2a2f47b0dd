"""All mutants of the registry that slither-mutate knows, as JSON lines. It runs where Slither is, beside the tests'
environment, and imports nothing of theirs.

slither-mutate itself mutates contracts alone and would pass over the free functions of `Head.sol`, so its mutators are
handed those functions as if a contract had them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crytic_compile import CryticCompile
from crytic_compile.platform.solc_standard_json import SolcStandardJson
from slither import Slither
from slither.tools.mutator.mutators import all_mutators

MAIN = "contracts/MemoryRegistry.sol"
FILES = ("contracts/Head.sol", "contracts/Vaults.sol", "contracts/SignedCalls.sol", MAIN)
SOLC = Path(os.environ["SOLCX_BINARY_PATH"]) / "solc-v0.8.37"
REMAPPINGS = ["@openzeppelin/=node_modules/@openzeppelin/"]


def parsed() -> Any:
    """Slither's view of the registry."""
    logging.getLogger("CryticCompile").setLevel(logging.ERROR)  # it repeats the compiler's warnings
    request = {"sources": {MAIN: {"urls": [MAIN]}}, "settings": {"evmVersion": "cancun", "remappings": REMAPPINGS}}
    return Slither(CryticCompile(SolcStandardJson(request | {"language": "Solidity"}), solc=str(SOLC)))


def free_functions(unit: Any, file: str) -> Any:
    functions = [each for each in unit.functions_top_level if each.source_mapping.filename.absolute == file]
    return SimpleNamespace(
        name=Path(file).stem,
        functions_and_modifiers_declared=functions,
        state_variables_declared=[],
        source_mapping=functions[0].source_mapping,
    )


def contract_of(unit: Any, file: str) -> Any:
    own = [each for each in unit.contracts if each.source_mapping.filename.absolute == file]
    return own[0] if own else free_functions(unit, file)


def mutants() -> Iterator[dict[str, Any]]:
    """One a changed text: what several mutators make alike counts once."""
    unit = parsed().compilation_units[0]
    # Slither-mutate's own order: what throws a statement out comes first.
    known: list[Any] = [each for each in vars(all_mutators).values() if isinstance(each, type)]
    mutators = sorted(known, key=lambda each: ({"RR": 0, "CR": 1}.get(each.NAME, 2), each.NAME))
    for name in FILES:
        file = str(Path(name).resolve())
        source = Path(file).read_bytes()
        contract = contract_of(unit, file)
        seen = {source}
        for mutator in mutators:
            patches = mutator(unit, 0, "", "", contract, None, False, Path(), [])._mutate().get("patches", {})
            for patch in patches.get(file, []):
                text = source[: patch["start"]] + patch["new_string"].encode() + source[patch["end"] :]
                if text in seen:
                    continue
                seen.add(text)
                yield {
                    "file": name,
                    "line": source.count(b"\n", 0, patch["start"]) + 1,
                    "mutator": mutator.NAME,
                    "old": source[patch["start"] : patch["end"]].decode(),
                    "new": patch["new_string"],
                    "start": patch["start"],
                    "end": patch["end"],
                }


if __name__ == "__main__":
    for mutant in mutants():
        print(json.dumps(mutant))
