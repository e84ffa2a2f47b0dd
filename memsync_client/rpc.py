"""Talking to an RPC node: JSON-RPC over HTTP, bounded in time and size, with nothing foreign leaking out.

A node is trusted with nothing here: whatever it answers ends as a valid value or as an error of ours.
"""

from __future__ import annotations

import ipaddress
import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_auth_from_url
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from .errors import InvalidRequest, MemSyncError, NodeUnreachable

MAX_ANSWER = 16 * 2**20  # bytes, unpacked
_RETRY_PAUSES = (0.1, 0.4)  # seconds, each varied by half
_TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
_NOT_REPEATED = ("eth_sendRawTransaction", "eth_sendTransaction", "eth_signTypedData_v4")
_JITTER = random.SystemRandom()
_CHECK_URL = "Check the address of the RPC node and that the node is running, then try again."
_CHECK_HERE = "Check that the node runs on this computer (the practice chain: memsync node), then try again."
_OTHER_NODE = "Try another RPC node."


class RequestRefused(NodeUnreachable):
    """The node is there and does not serve this request, or only with more than a bounded answer holds."""


class Node:
    """One RPC node. ``timeout`` (seconds) holds for a whole request: name look-up, connection, and answer to its end.

    ``name`` is the URL without user, path and query, which may carry an API key; only it stands in errors.
    """

    def __init__(self, url: str, *, timeout: float = 10, max_answer: int = MAX_ANSWER) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            raise InvalidRequest(
                "An RPC node's address begins with http:// or https:// and names a host.", "Correct it."
            )
        self.url = url
        self.name = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        here = is_loopback(host)
        self.web3 = Web3(_Provider(url, self.name, timeout, max_answer, here), middleware=[])

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around anything that asks the node: NodeUnreachable for a refusal and for an answer that can't be read.

        A revert (web3's ContractLogicError) passes: what it means is for the caller to say.
        """
        try:
            yield
        except (MemSyncError, ContractLogicError):
            raise
        except Web3RPCError as error:
            raise RequestRefused(f"{self.name} refuses a request: {refusal(error)}", _OTHER_NODE) from error
        except Exception as error:  # web3 and its decoders raise nearly anything over a malformed answer
            said = f"{self.name} gave an answer that can't be read ({type(error).__name__})."
            raise NodeUnreachable(said, _OTHER_NODE) from error

    def request(self, method: str, *params: object) -> Any:
        """The result of a method that web3 has no name for."""
        with self.asking():
            return self.web3.manager.request_blocking(RPCEndpoint(method), list(params))


def refusal(error: Web3RPCError) -> str:
    """What a node says when it refuses, fit for a terminal: one printable line, 200 characters at most."""
    detail = (error.rpc_response or {}).get("error")
    said = detail.get("message") if isinstance(detail, dict) else None
    line = " ".join(str(said or "no reason given").split())
    return "".join(character for character in line if character.isprintable())[:200]


def is_loopback(host: str) -> bool:
    """Whether a host is this computer, by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Transient(Exception):
    """The node could not be reached, or asked us to come again; carries the error to raise if that stays so."""


class _Provider(JSONBaseProvider):
    # Otherwise a contract could make this device fetch URLs of its choice (EIP-3668).
    global_ccip_read_enabled = False

    def __init__(self, url: str, name: str, timeout: float, max_answer: int, here: bool) -> None:
        super().__init__()
        self._url, self._name, self._timeout, self._max_answer, self._here = url, name, timeout, max_answer, here
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        """The environment may name a proxy for hosts elsewhere. It gives no password: .netrc is not for us."""
        session = requests.Session()
        session.trust_env = not self._here
        credentials = get_auth_from_url(self._url)
        session.auth = credentials if any(credentials) else lambda request: request
        return session

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        request = self.encode_rpc_request(method, params)
        for pause in () if method in _NOT_REPEATED else _RETRY_PAUSES:
            try:
                return self._exchange(request)
            except _Transient:
                time.sleep(pause * _JITTER.uniform(0.5, 1.5))
        try:
            return self._exchange(request)
        except _Transient as error:
            raise NodeUnreachable(str(error), _CHECK_HERE if self._here else _CHECK_URL) from None

    def _exchange(self, request: bytes) -> RPCResponse:
        # In a thread, because time-outs of sockets start anew with every byte and don't cover the look-up of names.
        outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._post, args=(self._session, request, outcome), daemon=True).start()
        try:
            answer = outcome.get(timeout=self._timeout)
        except queue.Empty:
            self._session = self._new_session()  # the other one is still in use
            raise NodeUnreachable(f"{self._name} does not answer within {self._timeout:g} s.", _CHECK_URL) from None
        if isinstance(answer, Exception):
            raise answer
        try:
            response = json.loads(answer)
        except (ValueError, RecursionError):
            response = None
        if not isinstance(response, dict) or response.get("id") != json.loads(request)["id"]:
            raise NodeUnreachable(f"{self._name} does not answer in JSON-RPC.", _CHECK_URL)
        return response  # type: ignore[return-value]  # web3 checks the rest

    def _post(self, session: requests.Session, request: bytes, outcome: queue.SimpleQueue[bytes | Exception]) -> None:
        deadline = time.monotonic() + self._timeout
        try:
            with session.post(
                self._url,
                data=request,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code in _TRANSIENT_STATUS:
                    raise _Transient(f"{self._name} answers with HTTP status {response.status_code}.")
                body = bytearray()
                for part in response.iter_content(2**16):
                    body += part
                    if time.monotonic() > deadline:
                        return  # nobody waits for it any more
                    if len(body) > self._max_answer:
                        raise RequestRefused(f"{self._name} gives an answer without end.", _OTHER_NODE)
                if response.status_code >= 400 and not body.lstrip().startswith(b"{"):
                    raise NodeUnreachable(f"{self._name} answers with HTTP status {response.status_code}.", _CHECK_URL)
            outcome.put(bytes(body))
        except (_Transient, NodeUnreachable) as error:
            outcome.put(error)
        except requests.Timeout:
            outcome.put(NodeUnreachable(f"{self._name} does not answer within {self._timeout:g} s.", _CHECK_URL))
        except requests.exceptions.SSLError:
            outcome.put(NodeUnreachable(f"{self._name} has no certificate that this computer trusts.", _CHECK_URL))
        except (requests.RequestException, OSError):
            outcome.put(_Transient(f"{self._name} can't be reached."))
        except Exception as error:  # a broken answer must not leave the caller waiting
            outcome.put(NodeUnreachable(f"{self._name} breaks HTTP ({type(error).__name__}).", _CHECK_URL))
