"""Lending a vault to a program on this computer: a reader of its own in a home of its own, the grant, and the
program's configuration. Each step can be done again after an interruption, and undone."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from . import keyfile, passphrases, pricing
from .access import DEFAULT_GRANT
from .cards import Card, check_name
from .client import Client
from .errors import HomeDamaged, InvalidRequest, MemSyncError, PassphraseNotKept, UnknownReader
from .files import make_dir, storage_error
from .home import Home
from .hosts import Host, Hosts
from .keys import HolderKey, PublicKey
from .pricing import Price
from .programs import ConfigFile, Edit, Entry, config_files, memsync_command, title, with_server, without_server
from .reader import Reader, card_of, new_reader
from .records import Receipt
from .sealing import SECRET_BYTES
from .storage import SCHEMES
from .vault import Vault

_PASSPHRASE_BYTES = 32
_NEARLY = 0.99  # of the time that is asked for: to connect again a moment later needs no other grant
_FOLDER = re.compile(r"([a-z-]+)-([0-9a-f]{16})")

# What a program's server needs to reach the keyring: programs pass little of their environment on.
_KEYRING_NEEDS = ("DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND")


@dataclass(frozen=True)
class Plan:
    """What connecting a program would do: the vault, the reader's name and its home, for how long, where the passphrase
    of its key is kept, and the changes of configuration files. It is told of ``hosts``, beside the one that the chain
    names; those with a password are ``withheld`` where others have the blobs, too. ``reads_from`` names all."""

    vault: Vault
    reader: str
    home: Home
    lasting: timedelta
    private: bool
    from_now: bool
    in_file: bool
    kept_in: str
    edits: tuple[Edit, ...]
    hosts: tuple[Host, ...]
    withheld: tuple[Host, ...]
    reads_from: tuple[str, ...]

    @property
    def passwords(self) -> tuple[Host, ...]:
        """The hosts whose passwords the program's home gets: nobody else has the blobs."""
        return tuple(host for host in self.hosts if host.secret)


@dataclass(frozen=True)
class Connected:
    """Until when the program reads, and the grant's transaction (None: it was granted for long enough already)."""

    expires: datetime | None
    receipt: Receipt | None


@dataclass(frozen=True)
class Link:
    """A program that was connected to a vault by this home; ``reader`` is None where that did not get far."""

    program: str
    vault_id: bytes
    home: Home

    @property
    def reader(self) -> str | None:
        """The reader's name."""
        return next(iter(self.home.readers()), None)


def plan(
    client: Client,
    program: str,
    vault: Vault,
    lasting: timedelta = DEFAULT_GRANT,
    *,
    name: str | None = None,
    private: bool = False,
    from_now: bool = False,
    in_file: bool = False,
    propose: bool = False,
) -> Plan:
    """What ``connect`` would do; writes nothing. ``name`` is the reader's in the roster, by default the program's;
    ``in_file`` keeps the passphrase of its key in a file, where a keyring would do; ``propose`` lets the program put
    proposals into the inbox of this home.

    Raises InvalidRequest where the program is not here, or a file of its can't be changed without a loss.
    """
    files = config_files(program)
    home = _home(client, program, vault.place.vault_id)
    link = Link(program, vault.place.vault_id, home)
    reader = link.reader or check_name(name or program, InvalidRequest)
    if name and name != reader:
        raise InvalidRequest(
            f"{title(program)} reads this vault as {reader!r} already.", f"memsync disconnect {program}"
        )
    kept_in = str(home.folder / "passphrase")
    if not in_file:
        try:
            kept_in = passphrases.keyring_name()
        except PassphraseNotKept:
            in_file = True
    env = {} if in_file else {key: os.environ[key] for key in _KEYRING_NEEDS if key in os.environ}
    ours = str(home.folder)
    proposing = ("--propose-to", str(client.home.folder.resolve())) if propose else ()
    entry = Entry(memsync_command(), ("--home", ours, "mcp", "--as-reader", reader, *proposing), env)
    edits = [with_server(file, entry, ours) for file in files]
    return Plan(vault, reader, home, lasting, private, from_now, in_file, kept_in, tuple(edits), *_hosts(client, vault))


def stands_until(plan: Plan) -> datetime | None:
    """Until when the program reads already, where that is long enough and nothing is to be granted."""
    path = plan.home.reader_folder(plan.reader) / "reader.key"
    if not path.exists():
        return None
    try:
        return _long_enough(plan, keyfile.public_key(path))
    except HomeDamaged:  # it is made anew
        return None


def price(plan: Plan) -> Price | None:
    """What the grant would take, tried with a card that nobody has."""
    card = Card(plan.reader, HolderKey(os.urandom(SECRET_BYTES)).xwing.public, os.urandom(20), SCHEMES)
    return pricing.of_grant(plan.vault, card, plan.lasting, private=plan.private, from_now=plan.from_now)


def price_of_undoing(vault: Vault, link: Link) -> Price | None:
    """What revoking its reader would take; None where there is nobody to revoke, too, or no way any more."""
    if not vault.owned():
        return None
    lines = [line for line in vault.grants() if line.name == link.reader]
    return pricing.of_revocation(vault, lines[0].address) if lines else None


def connect(client: Client, plan: Plan) -> Connected:
    """Does it: makes the reader, grants, joins, and changes the configuration last, so that nothing stands in it which
    opens nothing."""
    passphrase, vault = _reader_of(plan), plan.vault
    _tell_hosts(plan)
    card = card_of(plan.home, plan.reader, passphrase)
    receipt = None
    if _long_enough(plan, card.key):
        invitation = vault.invitation()
    else:
        granted = vault.grant(card, plan.lasting, private=plan.private, from_now=plan.from_now)
        invitation, receipt = granted.invitation, granted.receipt
    config = client.session.config
    folder = Path(unquote(urlsplit(config.blobs).path)) if config.blobs else None
    joining = Reader(plan.home, plan.reader, passphrase, rpc=config.rpc, blobs=folder)
    expires = joining.join(invitation).expires
    for edit in plan.edits:
        edit.write()
    return Connected(expires, receipt)


def links(client: Client) -> list[Link]:
    """The programs that this home has connected."""
    folder = _folder(client)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    vaults = {vault_id.hex()[:16]: vault_id for vault_id in client.home.labels().values()}
    matches = [(path, match) for path in found if (match := _FOLDER.fullmatch(path.name)) and match[2] in vaults]
    return [Link(match[1], vaults[match[2]], Home(path)) for path, match in matches]


def link_of(client: Client, program: str, vault: Vault) -> Link:
    """How ``program`` is connected to ``vault``. Raises UnknownReader if it is not."""
    for link in links(client):
        if (link.program, link.vault_id) == (program, vault.place.vault_id):
            return link
    raise UnknownReader(
        f"{title(program)} is not connected to {vault.label!r} here.", "`memsync grants` shows all readers."
    )


def edits_without(link: Link) -> list[Edit]:
    """The changes that take a program's server out of its configuration."""
    found: Sequence[ConfigFile] = ()
    with suppress(InvalidRequest):  # the program is gone, and its configuration with it
        found = config_files(link.program)
    return [edit for file in found if (edit := without_server(file, str(link.home.folder)))]


def disconnect(vault: Vault, link: Link, edits: Sequence[Edit]) -> list[Receipt]:
    """Undoes it: takes the server out of the configuration, revokes the reader, and destroys its key. Of a vault that
    is closed, or another's by now, every grant has ended."""
    for edit in edits:
        edit.write()
    receipts: list[Receipt] = []
    key = link.home.reader_folder(link.reader) / "reader.key" if link.reader else None
    if key and key.exists() and vault.owned():
        mine = keyfile.public_key(key)
        for holder in vault.roster().holders:  # by its key: another reader may have its name by now
            if holder.key == mine:
                receipts += vault.revoke(holder.name)
    with suppress(PassphraseNotKept):  # a keyring that has gone keeps a passphrase that opens nothing any more
        passphrases.forget(link.home)
    _remove(link.home.folder)
    return receipts


def _reader_of(plan: Plan) -> str:
    """The passphrase of the reader's key; both are made where they are not there, or not whole. Raises what a keyring
    says that does not give it, once the key is granted: made anew, nobody could find the old one to revoke it."""
    if plan.reader in plan.home.readers():
        try:
            passphrase = passphrases.kept(plan.home)
            if passphrase is not None:
                card_of(plan.home, plan.reader, passphrase)
                return passphrase
            trouble: MemSyncError = PassphraseNotKept("The passphrase of the program's key is kept nowhere any more.")
        except MemSyncError as error:
            trouble = error
        if _key_granted(plan):
            trouble.next_step = f"{trouble.next_step} Or begin anew: memsync disconnect PROGRAM".strip()
            raise trouble
        _remove(plan.home.folder)  # whatever was begun here, nobody was given anything
    passphrase = secrets.token_urlsafe(_PASSPHRASE_BYTES)
    make_dir(plan.home.folder)
    new_reader(plan.home, plan.reader, passphrase)
    keep: Callable[[Home, str], object] = passphrases.keep_in_file if plan.in_file else passphrases.keep
    keep(plan.home, passphrase)
    return passphrase


def _key_granted(plan: Plan) -> bool:
    """Whether the reader's key is in the vault's roster, where its file can still be read."""
    with suppress(HomeDamaged):
        mine = keyfile.public_key(plan.home.reader_folder(plan.reader) / "reader.key")
        return any(holder.key == mine for holder in plan.vault.roster().holders)
    return False


def _hosts(client: Client, vault: Vault) -> tuple[tuple[Host, ...], tuple[Host, ...], tuple[str, ...]]:
    """The hosts of this home that the reader is told of, those that it is not, and the names of all that it reads from.
    Who reads needs no password that may write and delete, too, unless nothing else has the blobs."""
    known, folder = Hosts(client.home).known(vault.place.vault_id), client.session.config.blobs
    told = tuple(host for host in known if not host.secret)
    chains = vault.record().base_uri
    if not told and not folder and any(host.uri == chains for host in known):
        told = tuple(known)
    withheld = tuple(host for host in known if host not in told)
    names = [host.shown for host in told]
    if all(host.uri != chains for host in known):  # reached as by anyone
        names.insert(0, chains)
    return told, withheld, (*([folder] if folder else []), *names)


def _tell_hosts(plan: Plan) -> None:
    """Lets the reader reach the vault's blobs where this home does: a host in a private network, or a mirror."""
    hosts = Hosts(plan.home)
    for host in plan.withheld:
        with suppress(InvalidRequest):  # it was never told of it
            hosts.remove(host.uri, host.endpoint)
    for host in plan.hosts:
        with suppress(MemSyncError):  # it is known there, or down: the others serve without it
            hosts.add(host)


def _long_enough(plan: Plan, key: PublicKey) -> datetime | None:
    """Until when the reader of ``key`` may read; None where it may not, or not as long as the plan has it."""
    vault = plan.vault
    names = {holder.name for holder in vault.roster().holders if holder.key == key}
    until = next((line.expires for line in vault.grants() if line.living and line.name in names), None)
    return until if until and until >= vault.record().block.time + plan.lasting * _NEARLY else None


def _folder(client: Client) -> Path:
    return client.home.folder.resolve() / "tools"


def _home(client: Client, program: str, vault_id: bytes) -> Home:
    return Home(_folder(client) / f"{program}-{vault_id.hex()[:16]}")


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, folder) from None
