"""The hosts that a home knows: mirrors of its vaults, and where the services of hosts answer.

They stand in ``hosts.json`` of the home and on no chain. What a person has named there may lie in a private network;
what a chain names may not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from .errors import HomeDamaged, InvalidRequest, MemSyncError, StorageUnavailable
from .files import make_dir, storage_error, write_atomic
from .home import Home
from .sealing import MAX_BLOB
from .storage import Log, Storage, open_storage
from .storage.blobs import Blobs
from .storage.file import folder_of
from .storage.owed import OWED, Owed
from .storage.uris import EVM, for_others, has_secret, is_folder, without_user

_FORMAT = 1


@dataclass(frozen=True)
class Host:
    """One line of a home's list: base URI, where its service answers (None: where it usually does), and the vault
    (hex) that it is for (None: all). A ``hint`` is not the person's own, but a sheet's or an invitation's: read from
    last, trusted no more than what a chain names, and never written."""

    uri: str
    endpoint: str | None = None
    vault: str | None = None
    hint: bool = False

    @property
    def secret(self) -> bool:
        """Whether it is reached with a password, or a key, that stands in the line."""
        return has_secret(self.uri) or has_secret(self.endpoint or "")

    @property
    def shown(self) -> str:
        """What to call it before a person: without what is secret."""
        return without_user(self.uri) + (f" at {without_user(self.endpoint)}" if self.endpoint else "")


class Hosts:
    """Opens hosts for a home, or for nobody's. ``log`` connects to the blobs on the chain itself; ``say`` is told, once
    each, of a host that lacks what another has. An ``owner``'s credentials go to the host of a vault; a reader's only
    to one in the list."""

    def __init__(
        self,
        home: Home | None,
        log: Callable[[], Log] | None = None,
        say: Callable[[str], None] = lambda _: None,
        *,
        owner: bool = True,
    ) -> None:
        self._owner = owner
        self._home = home
        self._log = log
        self._say = say
        self._said: set[str] = set()

    def listed(self) -> list[Host]:
        """The whole list. Raises HomeDamaged."""
        return self._read()

    def known(self, vault_id: bytes | None = None) -> list[Host]:
        """What the person has named: all, or what is for a vault."""
        return [host for host in self._for(vault_id) if not host.hint]

    def for_others(self, vault_id: bytes) -> tuple[str, ...]:
        """The base URIs of mirrors of a vault that others may be told of."""
        return tuple(dict.fromkeys(host.uri for host in self.known(vault_id) if for_others(host.uri)))

    def _for(self, vault_id: bytes | None) -> list[Host]:
        return [host for host in self._read() if vault_id is None or host.vault in (None, vault_id.hex())]

    def take_hints(self, uris: Iterable[str], vault_id: bytes | None = None) -> None:
        """Keeps base URIs of a sheet, or of an invitation to a vault."""
        before = self._read()
        hints = [Host(uri, None, vault_id.hex() if vault_id else None, hint=True) for uri in dict.fromkeys(uris)]
        if fresh := [host for host in hints if host not in before]:
            self._write([*before, *fresh])

    def add(self, host: Host) -> None:
        """Adds a line, after it was seen that the host can be opened. Raises InvalidRequest where it stands already,
        and StorageUnavailable where it is a folder that is not there."""
        if host.uri != EVM:
            self.opened(host)
        if is_folder(host.uri) and not (folder := folder_of(host.uri)).is_dir():
            raise StorageUnavailable(f"There is no folder {folder}.", "Make it first, or connect the disk that has it.")
        before = self._read()
        if host in before:
            raise InvalidRequest(f"{host.uri} is in the list already.", "`memsync host list` shows it.")
        self._write([*before, host])

    def remove(self, uri: str, endpoint: str | None = None) -> list[Host]:
        """Takes the lines of a URI off the list, and returns them. Nothing on the host is changed."""
        before = self._read()
        gone = [host for host in before if host.uri == uri and endpoint in (None, host.endpoint)]
        if not gone:
            known = ", ".join(host.uri for host in before) or "none"
            raise InvalidRequest(f"{uri} is not in the list. In it: {known}.", "`memsync host list` shows it.")
        self._write([host for host in before if host not in gone])
        return gone

    def opened(self, host: Host) -> Storage:
        """A host that the person has named. Raises StorageUnavailable."""
        return open_storage(host.uri, endpoint=host.endpoint, mine=True, log=self._log)

    def open(self, base_uri: str, vault_id: bytes | None = None) -> Storage:
        """The host of a vault's base URI, as the list has it or as anyone would reach it. Raises StorageUnavailable."""
        mine = next((host for host in self.known(vault_id) if host.uri == base_uri), None)
        return self.opened(mine) if mine else open_storage(base_uri, signed=self._owner, log=self._log)

    def on(self, log: Callable[[], Log]) -> Hosts:
        """The same with the blobs of a chain."""
        return Hosts(self._home, log, self._say, owner=self._owner)

    def blobs(
        self,
        base_uri: str,
        vault_id: bytes | None,
        *,
        copies: bool = False,
        first: str | None = None,
        hints: Iterable[str] = (),
    ) -> Blobs:
        """The blobs of a vault. ``copies`` keeps some on this device; ``first`` is a base URI to read from before all
        hosts, ``hints`` are some to read from after them. A host that can't be opened says so when it is needed, and
        the others serve without it."""
        known = self.known(vault_id)
        primary = next((host for host in known if host.uri == base_uri), None)
        folder = self._home.vault_folder(vault_id) if self._home and vault_id and copies else None
        return Blobs(
            self._or_broken(base_uri, partial(self.open, base_uri, vault_id)),
            folder / "blobs" if folder else None,
            open_storage(first) if first else None,
            [self._or_broken(host.uri, partial(self.opened, host)) for host in known if host != primary],
            [
                self._or_broken(uri, partial(open_storage, uri, log=self._log))
                for uri in dict.fromkeys([*(host.uri for host in self._for(vault_id) if host.hint), *hints])
                if uri != base_uri
            ],
            owed=Owed(folder / OWED) if folder else None,
            say=self._say_once,
        )

    def _or_broken(self, uri: str, opened: Callable[[], Storage]) -> Storage:
        try:
            return opened()
        except MemSyncError as error:
            return _Broken(uri, error)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    @property
    def _path(self) -> Path:
        if self._home is None:
            raise AssertionError("there is no home to keep hosts in")
        return self._home.folder / "hosts.json"

    def _read(self) -> list[Host]:
        if self._home is None:
            return []
        try:
            value = json.loads(self._path.read_bytes())
            if value["format"] != _FORMAT:
                raise ValueError
            hosts = [Host(**line) for line in value["hosts"]]
            if any(type(host.uri) is not str or type(host.hint) is not bool for host in hosts):
                raise ValueError
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, self._path) from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise HomeDamaged(
                f"{self._path} can't be read, or is of another version.", "Remove it, then add the hosts again."
            ) from None
        return hosts

    def _write(self, hosts: list[Host]) -> None:
        make_dir(self._path.parent)
        value: dict[str, Any] = {"format": _FORMAT, "hosts": [asdict(host) for host in hosts]}
        write_atomic(self._path, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n")


class _Broken:
    """A host that can't be opened."""

    limit = MAX_BLOB
    read_only = False

    def __init__(self, uri: str, error: MemSyncError) -> None:
        self.name = uri
        self._error = error

    def put(self, blobs: Iterable[bytes]) -> NoReturn:
        raise self._error

    def get(self, blob_hash: bytes, limit: int) -> NoReturn:
        raise self._error

    def delete(self, hashes: Iterable[bytes]) -> NoReturn:
        raise self._error
