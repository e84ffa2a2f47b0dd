"""The practice chain: anvil on this computer alone, saved so that it outlives a crash. POSIX only.

In its folder stands ``chain.json.gz``: anvil's own dump of state, blocks, transactions, receipts, logs. The newest
block that the dump surely has is told by the node itself, to all who use it: as an address among its accounts.

What does not survive a restart is the state as of older blocks, so ``Registry.record`` answers for the newest block
only; while the node runs, it answers for the last 64.
"""

from __future__ import annotations

import ctypes
import fcntl
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .addresses import checked_address
from .errors import HomeBusy, HomeDamaged, InvalidRequest, NodeUnreachable, TransactionPending
from .files import make_dir, storage_error, write_atomic
from .registry import Registry, load_artifact
from .rpc import Node, is_loopback
from .transactions import MAX_GAS

CHAIN_ID = 31337
CREATE2_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"  # there on nearly every chain, and in anvil

_STATE, _LOCK = "chain.json.gz", "lock"
_SAVED = "0x" + b"memsync: saved".hex()  # and the number in 6 bytes: the address that says what is saved
_START_SECONDS, _STOP_SECONDS, _SAVE_SECONDS = 30, 5, 60
_MAX_DUMP = 2**30  # bytes
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)
_NEW_CHAIN = "Move the folder away to begin a new practice chain."
_START = "Start it: memsync node"


@dataclass(frozen=True)
class Info:
    """A practice chain that is ready: where it answers, what stands on it, and anvil's process id."""

    rpc_url: str
    chain_id: int
    registry: str
    block_number: int
    pid: int


def run(folder: Path, *, port: int = 8545, on_ready: Callable[[Info], None], poll: float = 0.1) -> None:
    """Run the practice chain of ``folder`` until SIGINT or SIGTERM; call it from the main thread.

    Every ``poll`` seconds it looks for new blocks and saves them; ``wait_saved`` tells another process when. When it
    ends, anvil has ended too, on Linux even if this process is killed. Raises NodeUnreachable (no anvil, or it broke),
    InvalidRequest (the port is in use), HomeBusy, HomeDamaged, StorageFull, StorageReadOnly or StorageUnavailable.
    """
    make_dir(folder)
    with (
        _stop_signal() as stop,
        _locked(folder),
        _unpacked(folder / _STATE) as state,
        start_node(port, state) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        node = Node(url, timeout=_SAVE_SECONDS, max_answer=_MAX_DUMP)
        _tell_saved(node, _newest(node))
        deploy_contracts(node)
        saved = _save(node, folder)
        registry = Registry.connect(url, chain_id=CHAIN_ID)
        on_ready(Info(url, CHAIN_ID, registry.address, saved, process.pid))
        while not stop.wait(poll):
            if process.poll() is not None:
                raise NodeUnreachable("anvil ended by itself.", "Start it again: blocks up to the last save are kept.")
            if _newest(node) > saved:
                saved = _save(node, folder)
        _save(node, folder)


@contextmanager
def start_node(port: int, state: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """anvil on 127.0.0.1, answering, for as long as the block lasts; ``state`` is an unpacked dump to begin with.

    Raises NodeUnreachable (no anvil), InvalidRequest (the port is in use), or HomeDamaged (it can't read the dump).
    """
    command = [
        _anvil(),
        *("--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID), "--quiet"),
        # A block takes what a transaction may take on a chain (EIP-7825), so no transaction takes more.
        *("--hardfork", "osaka", "--gas-limit", str(MAX_GAS)),
        "--no-cors",  # or any web page that this computer shows could use the node
        *("--prune-history", "64"),  # or it keeps a copy of the state a block, in the user's home
        *(("--load-state", str(state)) if state else ()),
    ]
    _check_port(port)
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C is for us: anvil is still needed for the last save
            preexec_fn=_die_with_parent(),
        )
        try:
            _wait_until_up(process, port, state, complaints)
            yield process
        finally:
            _end(process)


def deploy_contracts(node: Node) -> None:
    """Put MemoryRegistry and BlobLog at their own addresses on a practice chain, by the CREATE2 deployer, where they
    are not there."""
    for contract in ("MemoryRegistry", "BlobLog"):
        artifact = load_artifact(contract)
        if node.request("eth_getCode", artifact["address"], "latest") == "0x":
            _deploy(node, artifact)


def _deploy(node: Node, artifact: dict[str, Any]) -> None:
    sender = node.request("eth_accounts")[0]
    data = artifact["salt"] + artifact["creationCode"][2:]
    sent = {"from": sender, "to": CREATE2_DEPLOYER, "data": data, "gas": hex(MAX_GAS)}
    tx_hash = node.request("eth_sendTransaction", sent)
    deadline = time.monotonic() + _START_SECONDS
    while not node.request("eth_getTransactionReceipt", tx_hash):
        if time.monotonic() > deadline:
            raise NodeUnreachable(f"anvil does not put the {artifact['contractName']} into a block.", _NEW_CHAIN)
        time.sleep(0.02)


def fund(rpc_url: str, address: str, wei: int) -> None:
    """Set what an account of a practice chain has, in wei, and mine a block, so that it is saved.

    Raises InvalidRequest for any node that is not one of chain 31337 on this computer, and NodeUnreachable.
    """
    host = urlsplit(rpc_url).hostname or ""
    node = Node(rpc_url)
    if not is_loopback(host) or node.request("eth_chainId") != hex(CHAIN_ID):
        raise InvalidRequest(
            "Only a practice chain on this computer gives coins away.", "Send some from another account."
        )
    node.request("anvil_setBalance", checked_address(address), hex(wei))
    node.request("evm_mine")


def wait_saved(node: Node, block_number: int, timeout: float = 30) -> None:
    """Wait until a block of the practice chain of ``node`` is on the disk; not at all where nobody saves the chain.

    Raises TransactionPending if it isn't after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not is_saved(node, block_number):
        if time.monotonic() > deadline:
            said = f"Block {block_number} of the practice chain is not saved yet."
            raise TransactionPending(said, "See whether memsync node still runs, then run sync.")
        time.sleep(0.02)


def is_saved(node: Node, block_number: int) -> bool:
    """Whether a block is on the disk, or nobody saves this chain. Raises NodeUnreachable."""
    saved = saved_block(node)
    return saved is None or saved >= block_number


def saved_block(node: Node) -> int | None:
    """The newest block of a practice chain that is on the disk, None where nobody saves it. Raises NodeUnreachable."""
    with node.asking():
        told = [str(account).lower() for account in node.web3.eth.accounts]
    return max((int(account[len(_SAVED) :], 16) for account in told if account.startswith(_SAVED)), default=None)


def _tell_saved(node: Node, block_number: int) -> None:
    """Nothing of the chain's state can say it: a state that changes between two blocks has no proof."""
    before = saved_block(node)
    if before != block_number:
        node.request("anvil_impersonateAccount", f"{_SAVED}{block_number:012x}")
    if before is not None and before != block_number:
        node.request("anvil_stopImpersonatingAccount", f"{_SAVED}{before:012x}")


def _save(node: Node, folder: Path) -> int:
    """Dump the chain to the disk, then tell its newest block to those who wait for it. Returns that block's number.

    anvil reads blocks before state and does not stop meanwhile: a dump during which a block came is torn and not used,
    so a chain that is never still is never saved. Clients that wait until they are saved give it the time.
    """
    while True:
        number, dump = _newest(node), node.request("anvil_dumpState")
        if _newest(node) == number:
            break
    write_atomic(folder / _STATE, bytes.fromhex(dump[2:]))
    _tell_saved(node, number)
    return number


def _newest(node: Node) -> int:
    with node.asking():
        return int(node.web3.eth.block_number)


@contextmanager
def _unpacked(packed: Path) -> Iterator[Path | None]:
    """The saved dump as the plain file that anvil loads; None if there is none yet."""
    if not packed.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(dir=packed.parent) as folder:
        plain = Path(folder) / "chain.json"
        try:
            with gzip.open(packed) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise HomeDamaged(f"{packed} is damaged.", _NEW_CHAIN) from None
        except OSError as error:
            raise storage_error(error, packed) from error
        yield plain


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeBusy(f"The practice chain of {folder} runs already.", "Use it, or stop it first.") from None
        yield


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, instead of what they did before."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _anvil() -> str:
    # Beside this interpreter too: a virtual environment's commands can be run without activating it.
    path = shutil.which("anvil") or shutil.which("anvil", path=str(Path(sys.executable).parent))
    if path is None:
        raise NodeUnreachable("The command anvil is not installed.", "Install Foundry's anvil and have it on PATH.")
    return path


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise InvalidRequest(f"Port {port} can't be used: another program has it.", "Name another port.") from None


def _wait_until_up(process: subprocess.Popen[bytes], port: int, state: Path | None, complaints: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None:
            complaints.seek(0)
            said = " ".join(complaints.read(500).decode(errors="replace").split())
            if state and "--load-state" in said:
                raise HomeDamaged("anvil can't read the saved practice chain.", _NEW_CHAIN)
            raise NodeUnreachable(f"anvil does not start: {said}", "Name another port, or install anvil 1.7 or newer.")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise NodeUnreachable(f"anvil does not answer within {_START_SECONDS} s.", _START)
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """What the child runs before it becomes anvil: have Linux end it when this process ends, however that happens."""
    if sys.platform != "linux":
        return None
    library, parent = ctypes.CDLL(None), os.getpid()

    def bind() -> None:
        library.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended just before
            os._exit(1)

    return bind
