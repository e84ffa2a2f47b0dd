"""The practice chain as a process of its own: what it keeps, and that it leaves nothing running."""

import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from memsync_client import practice
from memsync_client.errors import (
    HomeBusy,
    HomeDamaged,
    InvalidRequest,
    NodeUnreachable,
    TransactionPending,
)
from memsync_client.registry import Registry
from memsync_client.rpc import Node
from memsync_client.transactions import MAX_GAS
from memsync_client.wallet import Wallet
from tests.client.bad_nodes import lying, result_of
from tests.nodes import COIN, Chain, free_port, running_chain, transact

SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from memsync_client import practice
from memsync_client.errors import MemSyncError

def ready(info):
    print(json.dumps(asdict(info)), flush=True)

try:
    practice.run(Path(sys.argv[1]), port=int(sys.argv[2]), on_ready=ready)
except MemSyncError as error:
    print(type(error).__name__, error, error.next_step, flush=True)
    sys.exit(error.exit_code)
print("ended", flush=True)
"""
OWNER = Wallet(b"\x01" * 32)


@dataclass
class Running:
    process: subprocess.Popen[str]
    info: practice.Info

    def registry(self) -> Registry:
        return Registry.connect(self.info.rpc_url, chain_id=31337)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and last words."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def started(folder: Path, port: int | None = None) -> Iterator[Running]:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(port or free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("{"), line
            yield Running(process, practice.Info(**json.loads(line)))
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)


def refused(folder: Path, port: int | None = None) -> str:
    """What it says when it does not start."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(port or free_port())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode != 0
    return done.stdout


def gone(pid: int) -> bool:
    """Whether a process ends within five seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/status")
        if status.exists() and "\nState:\tZ" in status.read_text():  # ended, and nobody has asked how
            return True
        time.sleep(0.05)
    return False


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def create_vault(registry: Registry) -> bytes:
    practice.fund(registry.rpc_url, OWNER.address, COIN)
    transact(registry, OWNER, registry.create(1, digest("head 1"), digest("root"), digest("keyring"), ""))
    return registry.vault_id_of(OWNER.address, 1)


def commit(registry: Registry, vault: bytes, version: int) -> int:
    """Commit on top of a version; the block's number."""
    call = registry.commit(vault, version, 1, digest(f"head {version + 1}"), digest("root"))
    return transact(registry, OWNER, call).block.number


def test_run__ready__registry_is_at_its_address_and_only_on_loopback(tmp_path):
    with started(tmp_path / "chain") as running:
        registry = running.registry()
        assert (running.info.chain_id, running.info.registry) == (31337, registry.address)
        assert (tmp_path / "chain").stat().st_mode & 0o777 == 0o700
        port = int(running.info.rpc_url.rsplit(":", 1)[1])
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", port))  # fails if anvil listens on every address
        node = Node(running.info.rpc_url)
        [sender, *_] = node.request("eth_accounts")
        with pytest.raises(NodeUnreachable, match="gas"):
            node.request("eth_sendTransaction", {"from": sender, "to": sender, "gas": hex(MAX_GAS + 1)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run__signal__saves_the_last_block_and_ends_anvil(tmp_path, number):
    with started(tmp_path) as running:
        vault = create_vault(running.registry())
        last = commit(running.registry(), vault, 1)
        assert running.stop(number) == (0, "ended\n")
    assert gone(running.info.pid)
    with started(tmp_path) as running:
        assert running.registry().latest().number == last


def test_run__again__everything_is_still_there(tmp_path):
    with started(tmp_path) as running:
        before = running.registry()
        vault = create_vault(before)
        for version in range(1, 4):
            commit(before, vault, version)
        transact(before, OWNER, before.rotate(vault))
        record, commits, latest = before.record(vault), before.commits(vault), before.latest()
        receipts = [before.receipt(event.tx_hash) for event in commits]
        balance = before.balance(OWNER.address)
        running.stop()
    with started(tmp_path) as running:
        after = running.registry()
        assert running.info.block_number == latest.number
        assert (after.latest(), after.record(vault), after.commits(vault)) == (latest, record, commits)
        assert [after.receipt(event.tx_hash) for event in commits] == receipts
        assert after.balance(OWNER.address) == balance
        call = after.commit(vault, 5, 2, digest("head 6"), digest("root"), digest("keyring 2"))
        transact(after, OWNER, call)
        assert [event.version for event in after.commits(vault)] == [1, 2, 3, 4, 6]
        assert abs(after.latest().time.timestamp() - time.time()) < 60  # block time follows the clock again


def test_run__anvil_killed__marked_blocks_are_kept(tmp_path):
    with started(tmp_path) as running:
        registry = running.registry()
        vault = create_vault(registry)
        for version in range(1, 12):
            last = commit(registry, vault, version)
        practice.wait_saved(registry.node, last)
        os.kill(running.info.pid, signal.SIGKILL)
        said, _ = running.process.communicate(timeout=60)
        assert running.process.returncode == NodeUnreachable.exit_code
        assert said
    with started(tmp_path) as running:
        registry = running.registry()
        assert registry.latest().number == last
        assert registry.record(vault).version == 12
        assert len(registry.commits(vault)) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_run__killed_itself__anvil_ends_too_and_marked_blocks_are_kept(tmp_path):
    with started(tmp_path) as running:
        registry = running.registry()
        vault = create_vault(registry)
        last = commit(registry, vault, 1)
        practice.wait_saved(registry.node, last)
        running.process.kill()
        running.process.wait(60)
        assert gone(running.info.pid)
    with started(tmp_path) as running:
        assert running.registry().record(vault).version == 2


def test_run__port_in_use__says_so(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(tmp_path, taken.getsockname()[1])
    assert said.startswith("InvalidRequest Port ")


def test_run__same_folder_twice__home_busy(tmp_path):
    with started(tmp_path):
        assert refused(tmp_path).startswith(HomeBusy.__name__)


@pytest.mark.parametrize(
    "damaged",
    [gzip.compress(bytes(9999))[:-9], b"", b"text", gzip.compress(b"{text"), gzip.compress(b"{}")],
    ids=["cut", "empty", "no gzip", "no JSON", "no chain"],
)
def test_run__saved_chain_is_damaged__says_so_and_keeps_it(tmp_path, damaged):
    path = tmp_path / "chain.json.gz"
    path.write_bytes(damaged)
    assert refused(tmp_path).startswith(HomeDamaged.__name__)
    assert path.read_bytes() == damaged
    assert {entry.name for entry in tmp_path.iterdir()} == {"chain.json.gz", "lock"}


def test_start_node__no_anvil__says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(NodeUnreachable, match="not installed") as error, practice.start_node(free_port()):
        pass
    assert "anvil" in error.value.next_step


def test_start_node__anvil_breaks_at_start__its_words(monkeypatch, tmp_path):
    (tmp_path / "anvil").write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    (tmp_path / "anvil").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NodeUnreachable, match="no such luck"), practice.start_node(free_port()):
        pass


def test_start_node__exception_inside__anvil_ends():
    with pytest.raises(ZeroDivisionError), practice.start_node(free_port()) as process:
        raise ZeroDivisionError
    assert process.poll() is not None


def test_wait_saved__not_saved__transaction_pending(tmp_path):
    with started(tmp_path) as running:
        node = running.registry().node
        saved = practice.saved_block(node)
        assert saved == running.info.block_number
        practice.wait_saved(node, saved)
        with pytest.raises(TransactionPending):
            practice.wait_saved(node, saved + 1, timeout=0.1)


def test_wait_saved__chain_that_nobody_saves__waits_for_nothing():
    with running_chain() as chain:
        assert practice.saved_block(chain.node) is None
        practice.wait_saved(chain.node, 10**9)


def test_fund__not_this_computer__refused_before_asking():
    with pytest.raises(InvalidRequest):
        practice.fund("http://192.0.2.1:8545", OWNER.address, COIN)


def test_fund__another_chain__refused(chain: Chain):
    with lying(chain.rpc_url, result_of("eth_chainId", "0x1")) as url, pytest.raises(InvalidRequest):
        practice.fund(url, OWNER.address, COIN)
