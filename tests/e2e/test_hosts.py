"""A vault on more hosts than one, by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsync_client.errors import BlobMissing
from tests.e2e.disks import run_full, run_read_only
from tests.e2e.machines import Machine, new_machine, new_owner
from tests.nodes import Chain


@pytest.fixture
def machine(chain: Chain, tmp_path: Path) -> Machine:
    """An owner's."""
    made = new_machine(tmp_path / "machine")
    made.forked = True
    new_owner(made.folder, chain.rpc_url)
    return made


def emptied(*folders: Path) -> None:
    for folder in folders:
        for path in folder.iterdir():
            path.unlink()


def test_host__added__has_all_that_is_written_and_serves_what_the_other_forgot(
    machine: Machine, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    refused = machine.refusal("host", "add", str(second))
    assert (refused["name"], refused["cause"]) == ("StorageUnavailable", f"There is no folder {second}.")
    second.mkdir()
    added = machine.data("host", "add", str(second))
    assert added == {"uri": f"{second.as_uri()}/", "endpoint": None, "vault": None, "hint": False}
    assert machine.data("host", "list") == [added]
    machine.data("vault", "new", "novel", "--base-uri", str(first))
    machine.data("remember", "Ines is left-handed.")
    machine.data("sync")
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    (copies,) = machine.folder.glob("vaults/*/blobs")
    emptied(first, copies)
    error = machine.refusal("verify")
    assert error["exit_code"] == BlobMissing.exit_code
    assert f"not in {first}" in error["cause"]
    assert f"{second} has it" in error["next_step"]
    emptied(copies)
    done = machine.quick("recall", "left hand")
    assert "Ines is left-handed." in done.out
    assert f"{second} has it. Next: memsync repair" in done.err
    assert machine.data("host", "remove", str(second)) == [added]
    assert machine.data("host", "list") == []


@pytest.mark.parametrize("pages", [None, 0], ids=["read only", "full"])
def test_sync__mirror_that_takes_nothing__says_so_and_the_next_sync_brings_it_there(
    pages: int | None, machine: Machine, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    machine.data("host", "add", str(second))
    machine.data("vault", "new", "novel", "--base-uri", str(first))
    machine.data("remember", "Ines is left-handed.")
    done = run_read_only(machine, second, "sync") if pages is None else run_full(machine, second, pages, "sync")
    assert done.code == 0, done.err
    assert f"{second} has not taken 2 blobs" in done.err
    assert len(list(second.iterdir())) < len(list(first.iterdir()))
    assert machine.data("sync")[0]["committed"] == 0
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}


def test_host_list__endpoint_with_a_password__is_not_shown(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    machine.data("vault", "new", "novel", "--base-uri", str(tmp_path / "blobs"))
    machine.data("host", "add", "ipfs:", "--endpoint", "http://user:word@nas.example:5001", "--vault", "novel")
    shown = machine.quick("host", "list").out + machine.quick("host", "list", "--json").out
    assert "http://nas.example:5001" in shown
    assert "word" not in shown
    assert "for novel" in shown
