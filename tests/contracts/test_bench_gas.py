"""The gas bench, on a chain of its own, with small numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench_gas import BenchError, Row, measured, subjects, summary, table

GAS = json.loads(Path(__file__).with_name("gas.json").read_text())["MemoryRegistry"]
BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench_gas.py"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return measured(memories=(1, 100, 200), readers=(1, 50))


def test_bench_gas__ours__is_what_is_committed(rows: list[Row]) -> None:
    gas = [row.ours for row in rows]
    one, fifty = (GAS[f"rotate_then_commit_{readers}"] for readers in ("1_reader", "50_readers"))
    committed = [GAS["create"], *[GAS["commit_1"]] * 3, GAS["grant"], GAS["revoke"], one, fifty]
    # Another vault id and other hashes than in gas.json, so that memory in the log differs, and nothing else.
    assert gas == pytest.approx(committed, rel=0.01)
    assert gas[-1] == pytest.approx(gas[-2], rel=0.01)


def test_bench_gas__baselines__pay_for_each_memory_and_each_reader(rows: list[Row]) -> None:
    _, one, hundred, two_hundred, *_, one_reader, fifty_readers = rows
    for name in ("structs", "tokens"):
        assert getattr(one, name) > one.ours
        # In a batch each costs less than alone, and twice as many cost twice as much.
        assert getattr(hundred, name) < 100 * getattr(one, name)
        assert getattr(two_hundred, name) == pytest.approx(2 * getattr(hundred, name), rel=0.01)
    assert one_reader.structs is not None
    assert fifty_readers.structs is not None
    assert fifty_readers.structs > 20 * one_reader.structs
    assert (one_reader.tokens, fifty_readers.tokens) == (None, None)


def test_bench_gas__table_and_summary__say_what_was_measured(rows: list[Row]) -> None:
    lines = table(rows).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["gas", *(row.operation for row in rows)]
    hundred = rows[2]
    assert hundred.structs is not None
    assert f"{hundred.structs:,}" in lines[3]
    assert f"{hundred.structs / hundred.ours:,.1f}x" in lines[3]
    assert summary(rows).startswith(f"bench-gas passed: 200 memories for {rows[3].ours:,} gas (")


def test_bench_gas__refused_transaction__ends_it() -> None:
    with subjects() as (_, structs, _tokens), pytest.raises(BenchError, match="a transaction was refused"):
        structs.revoke("0x" + "11" * 20)


def test_bench_gas__no_compiler__says_so(tmp_path: Path) -> None:
    environment = os.environ | {"SOLCX_BINARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, BENCH], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not compile the baselines (run make setup)" in done.stderr
