"""A relayer: sends what accounts have signed for the registry, and pays for it with the wallet of its home.

It takes signed calls of its own registry and nothing else, each simulated first, so that a signature that is not good
costs nothing and counts for nobody; and no more than ``Terms`` allow. It keeps how many it has taken today, and the one
that is on its way (as any home does), so that it can be killed at any time.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .errors import InvalidRequest, MemSyncError, RelayRefused
from .files import make_dir, write_atomic
from .home import SealedFile
from .registry import Registry
from .relaying import METHOD
from .sending import Sender
from .session import Session
from .transactions import Prepared
from .twins import signed_calls

MAX_BODY = 2**16  # bytes of a request
_MOST_WAITING = 16
_ANSWER_SECONDS = 20  # until a request that is not sent yet is answered all the same
_MOST_CALLERS = 64  # at once; others are turned away
_ASKING_SECONDS = 10.0  # that a caller may take for all of a request


@dataclass(frozen=True)
class Terms:
    """What is paid for: so many calls a day (UTC, by block time) for one account and for all, each with so much gas at
    the most and a deadline no further off than ``longest``; for the accounts of ``only``, if any are named."""

    per_account: int = 50
    per_day: int = 500
    max_gas: int = 500_000
    longest: timedelta = timedelta(hours=1)
    only: frozenset[str] = frozenset()


@dataclass
class _Job:
    data: bytes
    settled: threading.Event = field(default_factory=threading.Event)
    tx_hash: bytes | None = None
    error: MemSyncError | None = None


class Relayer:
    """The relayer of a home. ``say`` is told what it does, by threads of its own."""

    def __init__(self, session: Session, terms: Terms, say: Callable[[str], None] = lambda _: None) -> None:
        session.unlock()
        self._session, self._terms, self._say = session, terms, say
        self._registry = session.registry
        own = Registry.connect(self._registry.rpc_url, address=self._registry.address)  # of the worker's thread
        self._sender = Sender(
            own,
            lambda: session.wallet,
            SealedFile(session.home.sending, session.device, session.place(bytes(32))),
            confirmations=0,  # who has signed waits for more, and comes again
            max_fee=session.config.max_fee,
            within=self._within,
        )
        self._counts = session.home.folder / "relayed.json"
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_MOST_WAITING)
        self._known: dict[bytes, _Job] = {}
        self._one = threading.Lock()  # the node's connection and the counts are for one thread at a time
        self._worker = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begins to send what is taken."""
        self._worker.start()

    def stop(self) -> None:
        """Ends when what is being sent has been."""
        self._jobs.put(None)
        self._worker.join()

    def take(self, chain_id: object, to: object, data: bytes) -> bytes | None:
        """Sends a signed call, and returns the transaction's hash; None if it is still to be sent. The same call is
        taken once. Raises RelayRefused, TransactionRefused with the contract's reason, or NodeUnreachable."""
        with self._one:
            job = self._known.get(data)
            if job is None or (job.settled.is_set() and job.error):
                job = self._taken(chain_id, to, data)
        job.settled.wait(_ANSWER_SECONDS)
        if job.error:
            raise job.error
        return job.tx_hash

    def _taken(self, chain_id: object, to: object, data: bytes) -> _Job:
        registry, terms = self._registry, self._terms
        if (chain_id, str(to).lower()) != (registry.chain_id, registry.address.lower()):
            raise RelayRefused(
                f"This relayer serves the registry {registry.address} on chain {registry.chain_id} only."
            )
        twins = signed_calls(registry.abi, data)
        accounts = {twin.account for twin in twins}
        if len(accounts) > 1:
            raise RelayRefused("A bundle is one account's.")
        (account,) = accounts
        if terms.only and account not in terms.only:
            raise RelayRefused(f"This relayer does not pay for {account}.")
        now = registry.next_time().timestamp()
        if any(not now < twin.deadline <= now + terms.longest.total_seconds() for twin in twins):
            raise RelayRefused(f"The deadline has passed, or is more than {terms.longest} off.")
        self._check_gas(registry.simulate(data, self._session.wallet.address))
        if self._jobs.full():
            raise RelayRefused("This relayer has too much to do just now.")
        self._count(account)
        job = self._known[data] = _Job(data)
        self._jobs.put(job)
        return job

    def _check_gas(self, gas: int) -> None:
        if gas > self._terms.max_gas:
            raise RelayRefused(f"The call needs {gas:,} gas; this relayer pays for {self._terms.max_gas:,}.")

    def _within(self, prepared: Prepared) -> Prepared:
        """The transaction with no more gas than is paid for. Raises RelayRefused where it needs more than it did when
        it was taken."""
        self._check_gas(prepared.gas)
        return replace(prepared, gas_limit=min(prepared.gas_limit, self._terms.max_gas))

    def _count(self, account: str) -> None:
        """Counts one more call for today. Raises RelayRefused."""
        day = f"{self._registry.latest().time:%Y-%m-%d}"
        counts: dict[str, int] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):  # none yet
            kept = json.loads(self._counts.read_bytes())
            counts = {str(name): int(number) for name, number in kept[day].items()}
        if not counts:
            self._known.clear()
        if counts.get(account, 0) >= self._terms.per_account or sum(counts.values()) >= self._terms.per_day:
            raise RelayRefused("This relayer has paid for as many calls today as it does on a day.")
        make_dir(self._counts.parent)
        write_atomic(self._counts, json.dumps({day: counts | {account: counts.get(account, 0) + 1}}).encode())

    def _work(self) -> None:
        with suppress(MemSyncError), self._session.lock():
            self._sender.resume()
        while job := self._jobs.get():
            try:
                with self._session.lock():
                    self._send(job)
            except MemSyncError as error:
                job.error = None if job.tx_hash else error
                self._say(error.cause)
            except Exception as error:  # one call must not end the relayer
                job.error = RelayRefused(f"This relayer failed ({type(error).__name__}).")
                self._say(job.error.cause)
            job.settled.set()

    def _send(self, job: _Job) -> None:
        prepared = self._sender.prepare_data(job.data, self._session.wallet.address)

        def announce(hashes: list[bytes]) -> None:
            job.tx_hash = hashes[-1]

        receipt = self._sender.land(prepared, announce)
        job.tx_hash = receipt.tx_hash
        self._say(f"sent 0x{receipt.tx_hash.hex()}, {receipt.gas_used:,} gas")


class RelayServer(ThreadingHTTPServer):
    """JSON-RPC over HTTP with one method, ``memsync_relay``: an object ``{"chainId", "to", "data"}``, answered with
    ``{"tx"}``: the hash, or null where it is still to be sent."""

    daemon_threads = True

    def __init__(self, host: str, port: int, relayer: Relayer) -> None:
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError):
            raise InvalidRequest(f"{host}:{port} can't be used.", "Name another port, or host.") from None
        self.relayer = relayer
        self._free = threading.BoundedSemaphore(_MOST_CALLERS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Gives a caller a thread of its own, as long as there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers it in that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Says nothing: a caller that breaks off is named nowhere."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.server_address[0]!s}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: RelayServer
    timeout = _ASKING_SECONDS
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Ends a request that is not there in time, however slowly it comes: a time-out of the socket begins anew with
        each byte."""
        super().setup()
        self._asking = threading.Timer(_ASKING_SECONDS, self._give_up)
        self._asking.daemon = True
        self._asking.start()

    def finish(self) -> None:
        """Ends the connection."""
        self._asking.cancel()
        super().finish()

    def _give_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def do_POST(self) -> None:
        """Answers one request, and closes the connection."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get_content_type()
        short = length.isascii() and length.isdigit() and len(length) <= len(str(MAX_BODY))
        if not (short and int(length) <= MAX_BODY) or kind != "application/json":
            self.send_error(400)
            return
        identity: object = None
        try:
            body = self.rfile.read(int(length))
            self._asking.cancel()
            asked = json.loads(body)
            identity, method, (call,) = asked["id"], asked["method"], asked["params"]
            if method != METHOD or call.keys() != {"chainId", "to", "data"} or type(identity) not in (int, str):
                raise ValueError
            data = bytes.fromhex(call["data"].removeprefix("0x"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._reply(identity, "error", {"code": -32600, "message": f"Only {METHOD} with its three fields."})
            return
        try:
            tx_hash = self.server.relayer.take(call["chainId"], call["to"], data)
        except MemSyncError as error:
            self._reply(identity, "error", {"code": -32000, "message": error.cause})
            return
        self._reply(identity, "result", {"tx": f"0x{tx_hash.hex()}" if tx_hash else None})

    def _reply(self, identity: object, name: str, value: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": identity, name: value}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: who asks is nobody's business."""
