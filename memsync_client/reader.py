"""The tool's side: a reader has one key and one address, for one vault, and reads it as long as it is granted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import keyfile, memories, passphrases
from .cards import Card, Invitation, check_name
from .errors import AccessEnded, InvalidRequest, NotInitialised, UnknownReader
from .files import make_dir
from .following import Following
from .home import Home, Joined, SealedFile, read_joined, read_seen, write_joined, write_seen
from .hosts import Hosts
from .keyfile import Passphrase, ask
from .keys import Anchor, HolderKey, self_test
from .memories import Memory
from .packs import Entry
from .reading import Fetch, Progress, View, by_newest, open_view, read_entries
from .records import CommitEvent, VaultRecord
from .sealing import HoldsSecret, Place
from .search import EVERYTHING, Filter, Hit, Index
from .storage import SCHEMES
from .storage.blobs import Blobs
from .verifying import Report, verify

if TYPE_CHECKING:  # web3 takes half a second to import
    from .blob_log import BlobLog
    from .registry import Registry

_KEY = "reader.key"


@dataclass(frozen=True)
class Standing:
    """What a reader may open right now: the vault's version, its own expiry, and the block that was asked."""

    version: int
    expires: datetime | None
    block: int


def new_reader(home: Home, name: str, passphrase: Passphrase) -> Card:
    """Makes a key and an address for one vault alone, and returns the card to show to its owner."""
    home.check()
    folder = home.reader_folder(check_name(name, InvalidRequest))
    if name != Path(name).name or name.startswith("."):
        raise InvalidRequest(f"{name!r} can't be the name of a folder.", "Use letters, digits and dashes.")
    if (folder / _KEY).exists():
        raise InvalidRequest(f"There is a reader {name!r} here already.", "Use another name: each vault has its own.")
    passphrase = ask(passphrase)
    if not passphrase:
        raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    self_test()
    make_dir(folder)
    return _card(name, keyfile.create(folder / _KEY, passphrase))


def card_of(home: Home, name: str | None, passphrase: Passphrase) -> Card:
    """The card of a reader made before."""
    self_test()
    name = _resolve(home, name)
    return _card(name, keyfile.unlock(home.reader_folder(name) / _KEY, ask(passphrase)))


def _card(name: str, key: HolderKey) -> Card:
    return Card(name, key.xwing.public, bytes.fromhex(_address(key)[2:]), SCHEMES)


def _connect(rpc: str, chain_id: int, address: str) -> Registry:
    from .registry import Registry

    return Registry.connect(rpc, chain_id=chain_id, address=address)


def _address(key: HolderKey) -> str:
    from .wallet import address_from_key

    return address_from_key(key.account_secret)


def _resolve(home: Home, name: str | None) -> str:
    names = home.readers()
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        known = f"Readers here: {', '.join(names)}." if names else "There is none yet."
        what = f"There is no reader {name!r} here." if name else "Which reader?"
        raise UnknownReader(f"{what} {known}", "Name one with --as NAME, or make one with `memsync reader new NAME`.")
    return name


class Reader(HoldsSecret):
    """A granted reader, opened with its passphrase. It keeps no memory and no blob on disk."""

    def __init__(
        self,
        home: Home,
        name: str | None,
        passphrase: Passphrase,
        *,
        rpc: str | None = None,
        blobs: Path | None = None,
    ) -> None:
        self_test()
        home.check()
        passphrases.finish_change(home)
        self._home = home
        self.name = _resolve(home, name)
        self._folder = home.reader_folder(self.name)
        self._passphrase = passphrase
        self._rpc = rpc
        self._override = blobs

    def join(self, invitation: Invitation) -> Standing:
        """Accepts an invitation, once the vault has been opened with it. Joining again replaces the RPC and blob
        folder."""
        place, rpc = invitation.place, self._rpc or invitation.rpc
        with suppress(NotInitialised):
            if read_joined(self._folder).vault != place.vault_id.hex():
                raise InvalidRequest(
                    f"The reader {self.name!r} belongs to another vault.",
                    "Each vault has a reader of its own: `memsync reader new NAME`.",
                )
        registry = _connect(rpc, place.chain_id, "0x" + place.registry.hex())
        public = registry.grant_of(place.vault_id, _address(self._key)) is not None
        blobs = str(self._override.resolve()) if self._override else None
        joined = Joined(place.chain_id, rpc, registry.address, place.vault_id.hex(), blobs, public)
        self.__dict__ |= {"_joined": joined, "_registry": registry}  # what is cached from now on
        Hosts(self._home).take_hints(invitation.base_uris[1:], place.vault_id)
        standing = self.standing(invitation.anchor)
        write_joined(self._folder, joined)
        return standing

    def standing(self, anchor: Anchor | None = None) -> Standing:
        """Whether this reader can read now. Raises AccessEnded otherwise; ForeignKeyring if the vault's keyring does
        not follow from ``anchor``."""
        view = by_newest(self._record, lambda record: self._view(record, anchor))
        return Standing(view.record.version, view.keyring.expires, view.record.block.number)

    def memories(self, progress: Progress | None = None) -> list[Memory]:
        """All living memories that this reader may open. Raises AccessEnded after revocation or expiry."""

        def read(record: VaultRecord) -> list[Entry]:
            view = self._view(record)
            return read_entries(view, self._blobs(record).ahead(view.named), progress)

        entries = by_newest(self._record, read)
        return [memory for tips in memories.tips(entry.memory for entry in entries).values() for memory in tips]

    def recall(self, query: str, limit: int = 10, only: Filter = EVERYTHING) -> list[Hit]:
        """The memories that answer a query best."""
        return Index(self.memories()).recall(query, limit, only)

    def following(self) -> Following:
        """The vault to be looked at again and again, as long as this reader may read it."""

        def opened(record: VaultRecord) -> tuple[View, Fetch]:
            return self._view(record), self._blobs(record).fetch

        return Following(self._record, opened)

    def verify(self, progress: Progress | None = None) -> Report:
        """The same verification as the owner's, for what this reader may open."""

        def read(record: VaultRecord) -> Report:
            view, blobs = self._view(record), self._blobs(record)
            host = blobs.ahead(view.named, blobs.fetch_from_host)
            return verify(self._registry, record, view, host, progress)

        return by_newest(partial(self._registry.record, self._place.vault_id, prove=True), read)

    @property
    def vault_id(self) -> bytes:
        """The vault that it has joined, 32 bytes. Raises NotInitialised before."""
        return self._place.vault_id

    @cached_property
    def _joined(self) -> Joined:
        return read_joined(self._folder)

    @cached_property
    def _key(self) -> HolderKey:
        return keyfile.unlock(self._folder / _KEY, ask(self._passphrase))

    @cached_property
    def _registry(self) -> Registry:
        return _connect(self._rpc or self._joined.rpc, self._joined.chain_id, self._joined.registry)

    @property
    def _place(self) -> Place:
        return Place(self._joined.chain_id, bytes.fromhex(self._joined.registry[2:]), bytes.fromhex(self._joined.vault))

    def _record(self) -> VaultRecord:
        return self._registry.record(self._place.vault_id)

    def _blobs(self, record: VaultRecord) -> Blobs:
        folder = self._override or (self._joined.blobs and Path(self._joined.blobs))
        first = folder.resolve().as_uri() + "/" if folder else None
        return Hosts(self._home, self._log, owner=False).blobs(first or record.base_uri, record.vault_id)

    def _log(self) -> BlobLog:
        from .blob_log import BlobLog

        return BlobLog.beside(self._registry)

    def _view(self, record: VaultRecord, anchor: Anchor | None = None) -> View:
        if self._joined.public:
            self._must_stand_on_chain(record)
        seen_file = SealedFile(self._folder / "seen", self._key, self._place)
        seen = read_seen(seen_file)

        def commits(from_block: int) -> list[CommitEvent]:
            return self._registry.commits_agreed(self._place.vault_id, from_block)

        view = open_view(self._place, record, self._blobs(record).fetch, self._key.xwing, seen, anchor, commits)
        expires = view.keyring.expires
        if expires is not None and expires <= record.block.time:
            raise AccessEnded(f"The grant ended on {expires:%Y-%m-%d %H:%M} UTC.", "Ask the owner for a new one.")
        now = view.seen(record.block.number)
        if seen is None or (now.version >= seen.version and replace(now, block=seen.block) != seen):
            write_seen(seen_file, now)
        return view

    def _must_stand_on_chain(self, record: VaultRecord) -> None:
        if not self._registry.can_read(record.vault_id, _address(self._key)):
            raise AccessEnded(
                f"The grant of {self.name!r} was revoked or has expired (block {record.block.number}).",
                "What was read before stays readable where it was kept. Ask the owner for a new grant.",
            )
