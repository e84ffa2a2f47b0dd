"""The count of lines and branches that `make coverage` makes, on a contract with every kind of branch."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from ape.api import ProviderAPI, TestAccountAPI
from eth_abi.abi import encode
from eth_utils import keccak

from .coverage import ONLY_STEPS, ROOT, Code, Coverage

FORKS = "tests/contracts/sources/Forks.sol"
ADDRESS = "0x" + "77" * 20
WALK = range(8, 20)  # the lines of the function


@pytest.fixture(scope="module")
def compiled() -> Coverage:
    return Coverage([FORKS])


@pytest.fixture
def coverage(compiled: Coverage) -> Coverage:
    return deepcopy(compiled)


@pytest.fixture
def provider(owner: TestAccountAPI) -> ProviderAPI:
    return owner.provider


def steps(provider: ProviderAPI, code: Code, call: str, *arguments: int) -> list[dict[str, Any]]:
    provider.make_request("anvil_setCode", [ADDRESS, "0x" + code.runtime])
    data = keccak(text=call)[:4] + encode(["uint256"] * len(arguments), arguments)
    asked = {"to": ADDRESS, "data": "0x" + data.hex()}
    return list(provider.make_request("debug_traceCall", [asked, "latest", ONLY_STEPS])["structLogs"])


def run(coverage: Coverage, provider: ProviderAPI, call: str, *arguments: int) -> None:
    code = coverage.codes["Forks"]
    code.record(steps(provider, code, call, *arguments))


def missed(coverage: Coverage, lines: range = WALK) -> list[str]:
    """What is missed on these lines, each after the first word of its line."""
    source = (ROOT / FORKS).read_text().splitlines()
    points = [point for point in coverage.points() if not point.covered and point.line in lines]
    return [f"{source[point.line - 1].split()[0]} {point.missed}" for point in points]


def test_points__one_way_through__tell_the_others(coverage: Coverage, provider: ProviderAPI) -> None:
    run(coverage, provider, "walk(uint256)", 0)

    assert missed(coverage) == [
        "require(n `require` never false",
        "assert(n `assert` never false",
        "for not all run",
        "for `for` never true",
        "while not all run",
        "while `while` never true",
        "if `if` never true",
        "if `&&` never true",
        "steps not all run",
        "if `if` never false",
        "if `||` never false",
        "return not all run",
        "return `?:` never true",
        "return `?:` never false",
    ]


def test_points__another_way_through__tell_the_others(coverage: Coverage, provider: ProviderAPI) -> None:
    run(coverage, provider, "walk(uint256)", 5)

    assert missed(coverage) == [
        "require(n `require` never false",
        "assert(n `assert` never false",
        "do `do` never true",
        "if `if` never true",
        "if `&&` never false",
        "steps not all run",
        "if not all run",
        "if `if` never true",
        "if `||` never true",
        "return `?:` never false",
    ]


def test_points__every_way_through__are_covered(coverage: Coverage, provider: ProviderAPI) -> None:
    for n in range(9):
        run(coverage, provider, "walk(uint256)", n)

    assert missed(coverage) == []


def test_points__public_variable__is_covered_once_asked(coverage: Coverage, provider: ProviderAPI) -> None:
    asked = range(6, 7)
    assert missed(coverage, asked) == ["uint256 not all run"]
    run(coverage, provider, "asked()")
    assert missed(coverage, asked) == []


def test_record__own_code_by_delegatecall__counts(coverage: Coverage, provider: ProviderAPI) -> None:
    direct = deepcopy(coverage)
    run(direct, provider, "walk(uint256)", 5)
    run(coverage, provider, "walkByDelegatecall(uint256)", 5)

    assert missed(coverage) == missed(direct)


def test_record__another_call__does_not_count(coverage: Coverage, provider: ProviderAPI) -> None:
    nothing = missed(coverage)
    run(coverage, provider, "walkByCall(uint256)", 5)

    assert missed(coverage) == nothing


def test_record__other_code__is_refused(coverage: Coverage, provider: ProviderAPI) -> None:
    code = coverage.codes["Forks"]
    other = replace(code, runtime="5f" + code.runtime)
    with pytest.raises(RuntimeError, match="is not of the code compiled for the count"):
        code.record(steps(provider, other, "asked()"))


def test_record__no_step__is_refused(coverage: Coverage) -> None:
    with pytest.raises(RuntimeError, match="--steps-tracing"):
        coverage.codes["Forks"].record([])
