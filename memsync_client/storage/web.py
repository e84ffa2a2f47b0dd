"""HTTP to a host that may be hostile: bounded in time and size as a whole, and into no private network unless the
person has named the host."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from ..bounded import AT_ONCE, jittered, within
from ..errors import MemSyncError, StorageUnavailable, Tampered
from .uris import is_local, is_public, without_user

_CONNECT_SECONDS = 10.0
SECONDS = 60.0  # for one request, whatever the host does with it
_PAUSES = (0.2, 0.8)  # seconds, each varied by half
_TRANSIENT_STATUS = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 3
_CHECK = "Check that the host is up and reachable, then try again."
_PRIVATE = "If it is yours: memsync host add, with this address."


@dataclass(frozen=True)
class Answer:
    """What a host answered: HTTP status and body, which is whole and of the bounded size."""

    status: int
    body: bytes


class Web:
    """Requests to the host of ``url``. ``mine`` lets it lie in a private network, and speak HTTP without TLS: for what
    the person has named, never for what came from a chain, nor for another host that it sends to. ``name`` is fit to be
    shown."""

    def __init__(self, url: str, *, mine: bool, seconds: float = SECONDS) -> None:
        self.name = without_user(url)
        self._mine = mine
        self._host = _host_of(url)
        self._seconds = seconds
        self._public = _session(_PublicAdapter(pool_maxsize=2 * AT_ONCE), mine=False)
        self._named = _session(HTTPAdapter(pool_maxsize=2 * AT_ONCE), mine=True) if mine else self._public

    def ask(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        params: Mapping[str, str] | None = None,
        files: Mapping[str, Any] | None = None,
        again: bool = True,
    ) -> Answer:
        """One request, and where ``again`` twice more if the host was not to be reached or asked for it.

        Raises StorageUnavailable, or Tampered for a body above ``limit`` bytes.
        """
        for pause in (*_PAUSES, None) if again else (None,):
            try:
                return self._once(method, url, limit, params, files)
            except _Transient as error:
                if pause is None:
                    raise StorageUnavailable(str(error), _CHECK) from None
                time.sleep(jittered(pause))
        raise AssertionError("unreachable")

    def _once(self, method: str, url: str, limit: int, params: Any, files: Any) -> Answer:
        try:
            return within(self._seconds, lambda: self._follow(method, url, limit, params, files))
        except (TimeoutError, requests.Timeout):
            raise StorageUnavailable(f"{self.name} does not answer within {self._seconds:g} s.", _CHECK) from None
        except (MemSyncError, _Transient):
            raise
        except requests.exceptions.SSLError:
            said = f"{self.name} has no certificate that this computer trusts."
            raise StorageUnavailable(said, "Check its address.") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
                raise StorageUnavailable(f"{self.name} can't be asked: its address is none.", "Correct it.") from None
            raise _Transient(f"{self.name} can't be reached.") from None
        except Exception as error:  # nothing foreign leaks, whatever an answer breaks
            raise StorageUnavailable(f"{self.name} breaks HTTP ({type(error).__name__}).", _CHECK) from None

    def _follow(self, method: str, url: str, limit: int, params: Any, files: Any) -> Answer:
        deadline = time.monotonic() + self._seconds
        for _ in range(_MOST_REDIRECTS + 1):
            mine = self._mine and _host_of(url) == self._host
            self._check(url, mine)
            bare, credentials = _bare(url), get_auth_from_url(url)
            with (self._named if mine else self._public).request(
                method,
                bare,
                params=params,
                files=files,
                headers={"Accept-Encoding": "identity"},  # so that nothing unpacks to more than it was
                auth=credentials if any(credentials) else lambda request: request,  # .netrc is not for us
                proxies=dict.fromkeys(_schemes(mine), "") if mine and is_local(self._host) else None,  # environment's
                timeout=(min(_CONNECT_SECONDS, self._seconds), self._seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code in _TRANSIENT_STATUS and not self._means_something(response.status_code):
                    raise _Transient(f"{self.name} answers with HTTP status {response.status_code}.")
                if method != "GET" or response.status_code not in _REDIRECTS:
                    return Answer(response.status_code, self._body(response, limit, deadline))
                url = urljoin(bare, response.headers.get("Location", ""))
        raise StorageUnavailable(f"{self.name} only sends from one address to the next.", _CHECK)

    def _means_something(self, status: int) -> bool:
        """A Kubo node answers with 500 whatever is wrong, and says what in the body."""
        return status == 500 and self._mine

    def _body(self, response: requests.Response, limit: int, deadline: float) -> bytes:
        body = bytearray()
        while part := response.raw.read1(2**16, decode_content=False):
            body += part
            if len(body) > limit:
                raise Tampered(f"{self.name} answers with more than {limit:,} bytes.", "Use another copy.")
            if time.monotonic() > deadline:
                raise TimeoutError  # nobody waits for it any more
        return bytes(body)

    def _check(self, url: str, mine: bool) -> None:
        host = _host_of(url)
        if not host or urlsplit(url).scheme not in _schemes(mine):
            raise StorageUnavailable(f"{self.name} sends to where nothing is fetched from.", "Use another copy.")
        if not mine and is_local(host):
            raise _into_private(self.name)


class _Transient(Exception):
    """The host could not be reached, or asked us to come again; says so."""


class _PublicConnection(HTTPSConnection):
    """A connection to no address of a private network, whatever name leads there. The name is looked up once: the
    second time it could be another address."""

    def _new_conn(self) -> socket.socket:
        name, last = self._dns_host, OSError("the name has no address")
        found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        if not all(is_public(address) for address in addresses):
            raise _into_private(name)
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (HTTPError, OSError) as error:
                last = error  # type: ignore[assignment]  # either is caught above
            finally:
                self._dns_host = name
        raise last


class _PublicPool(HTTPSConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"https": _PublicPool}


def _session(adapter: HTTPAdapter, *, mine: bool) -> requests.Session:
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    for scheme in _schemes(mine):
        session.mount(f"{scheme}://", adapter)
    return session


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def _schemes(mine: bool) -> tuple[str, ...]:
    return ("https", "http") if mine else ("https",)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _into_private(name: str) -> StorageUnavailable:
    return StorageUnavailable(f"{name} lies in a private network, where nothing is fetched from.", _PRIVATE)
