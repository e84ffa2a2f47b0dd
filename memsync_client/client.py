"""The owner's side of a home: making it, making vaults, finding them again on a new machine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import keyfile
from .addresses import checked_address
from .cards import check_name
from .errors import (
    AccessEnded,
    BlobMissing,
    ForeignKeyring,
    InvalidRequest,
    MemSyncError,
    Rollback,
    StorageUnavailable,
    Tampered,
    UnknownVault,
    WrongPassphrase,
)
from .files import make_dir, write_atomic
from .first_look import open_before, open_first
from .glance import write_glance
from .heads import FIRST, seal_head
from .holding import KIT_NAME
from .home import ANCHOR, Config, Home, KitNote, SealedFile, write_anchor
from .hosting import PUBLIC_HOSTS, check_base_uri
from .keyfile import Passphrase, ask
from .keyring import (
    Holder,
    OwnerKeys,
    Role,
    Roster,
    new_import_key,
    seal_keyring,
)
from .keys import Anchor, PublicKey, self_test
from .reading import Fetch
from .records import Receipt, VaultRecord
from .roster import is_guest
from .sealing import sha256
from .session import PRACTICE_CHAIN, Session
from .storage.uris import EVM, EVM_MEANS, is_folder, whole
from .vault import Vault

if TYPE_CHECKING:
    from .registry import Registry
    from .wallet import Account

PRACTICE_RPC = "http://127.0.0.1:8545"
PRACTICE_FUNDS = 10 * 10**18  # wei
_SHUT = (AccessEnded, BlobMissing, ForeignKeyring, Rollback, StorageUnavailable, Tampered)


@dataclass(frozen=True)
class NewVault:
    """A vault just made, with what its transaction cost, its key holders, and the devices and kits of other vaults that
    got no key of it."""

    vault: Vault
    receipt: Receipt
    holders: tuple[Holder, ...]
    left_out: tuple[Holder, ...]


class Client:
    """An initialised home. ``passphrase`` is a text, or a function that is called when a secret is unlocked."""

    def __init__(
        self,
        home: Home,
        passphrase: Passphrase,
        *,
        rpc: str | None = None,
        say: Callable[[str], None] = lambda _: None,
        ask: Callable[[str], bool] = lambda _: False,
        relay: str | None = None,
        config: Config | None = None,
    ) -> None:
        self_test()
        self.home = home
        self.session = Session(home, passphrase, rpc=rpc, say=say, ask=ask, relay=relay, config=config)
        self.shut: dict[str, MemSyncError] = {}  # vaults that ``opened`` has passed over, and why

    def new_vault(self, name: str, base_uri: str | None = None, *, on_chain: bool = False) -> NewVault:
        """Makes a vault. Its key holders are this device, and the other devices and the recovery kit that hold keys of
        every vault that opens here: a line that somebody planted in one goes no further. Its name is sealed in the
        roster.

        ``base_uri`` is where its blobs go. If not named, on a practice chain a folder of this home, elsewhere the first
        host of this home's list that may stand on a public chain. ``evm:`` needs ``on_chain``, the owner's yes to what
        EVM_MEANS says.
        """
        check_name(name, InvalidRequest)
        home, session = self.home, self.session
        if name in home.labels():
            raise _taken(name, self.vault(name).over)
        base_uri = self._base_uri(base_uri)
        if base_uri == EVM and not on_chain:
            raise InvalidRequest(EVM_MEANS, "Say yes to that: --yes, or on_chain=True. Or name another host.")
        owner = session.owner_wallet.address
        with session.lock():
            session.resume()  # it may be this vault's creation
        if begun := self._begun(name, base_uri):
            return begun
        holders, others = self.own_holders()
        with session.lock():
            registry = session.registry
            salt = registry.vault_count(owner) + 1
            vault_id = registry.vault_id_of(owner, salt)
            place = session.place(vault_id)
            keys = OwnerKeys.new(1)
            roster = Roster(name, new_import_key(), holders, registry.latest().time)
            ring = seal_keyring(place, keys, roster)
            head = seal_head(place, 1, keys.secret, keys.writer_key, FIRST)
            session.hosts.blobs(base_uri, vault_id, copies=True).store([ring, head])
            call = registry.create(salt, sha256(head), FIRST.log.memory_root, sha256(ring), base_uri)
            receipt = session.land(session.prepare(call))
            write_glance(home.vault_folder(vault_id), 1, receipt.block.number, 1, roster, 0)
            home.label(name, vault_id)  # last: from now on it is there
        return NewVault(Vault(session, name, vault_id), receipt, holders, others)

    def _base_uri(self, named: str | None) -> str:
        """Where a new vault's blobs go. Raises InvalidRequest."""
        if self.session.config.chain_id != PRACTICE_CHAIN:
            listed = (host.uri for host in self.session.hosts.known() if not is_folder(host.uri) and not host.vault)
            named = named or next(listed, None)
            if named is None:
                raise InvalidRequest(
                    "On a public chain a vault needs a host for its blobs.", f"Name one: --base-uri URI, {PUBLIC_HOSTS}"
                )
        elif named is None:
            make_dir(self.home.blobs)
            return self.home.blobs.resolve().as_uri() + "/"
        return check_base_uri(whole(named), self.session.config.chain_id)

    def _begun(self, name: str, base_uri: str) -> NewVault | None:
        """The vault of that name that an earlier process has made on chain, killed before it could say so. Raises
        InvalidRequest where it is not that one."""
        found = {vault.label: vault for vault in self.adopt()}
        if name not in self.home.labels():
            return None
        record = found[name].record() if name in found else None
        if record is None or (record.version, record.base_uri) != (1, base_uri):
            raise _taken(name)
        made, *_ = self.session.registry.commits(record.vault_id)
        receipt = self.session.wait(made.tx_hash)
        return NewVault(found[name], receipt, found[name].roster().holders, ())

    def own_holders(self) -> tuple[tuple[Holder, ...], tuple[Holder, ...]]:
        """This device, with the other devices and the kit that are in the roster of every vault that opens here; and
        those that are in some only. The kit that this home has noted counts where no vault opens: in a roster it may
        have been replaced since. Left out are accounts, whose rights on chain are granted vault by vault, and whoever
        has the keys of a vault for a time, since it is offered to them. Where that is this device, or a vault has
        just come to this account, the roster is another person's."""
        mine, note = self.session.device_public, self.home.kit()
        own = {mine: Holder(mine, Role.DEVICE, self.session.config.device, 1, None, None, mine.id)}
        others: dict[PublicKey, Holder] = {}
        rosters = [
            {holder.key: holder for holder in roster.holders if holder.role is not Role.READER and not holder.expires}
            for vault, roster in self.opened()
            if not is_guest(roster, mine) and vault.handed_over(vault.record()) is None
        ]
        for key, holder in (line for roster in rosters for line in roster.items()):
            everywhere = all(key in roster and roster[key].role is holder.role for roster in rosters)
            if key == mine:
                own[mine] = replace(own[mine], name=holder.name, added_by=holder.added_by)
            elif everywhere:
                own.setdefault(key, replace(holder, since=1, address=None, pending=False))
            else:
                others.setdefault(key, holder)
        if note and not rosters:
            key = PublicKey(bytes.fromhex(note.key))
            own[key] = Holder(key, Role.KIT, KIT_NAME, 1, None, None, mine.id)
        return tuple(own.values()), tuple(others.values())

    def vault(self, name: str | None = None) -> Vault:
        """The vault of that name, or the only one. Raises UnknownVault."""
        label, vault_id = self.home.resolve(name)
        return Vault(self.session, label, vault_id)

    def vaults(self) -> list[Vault]:
        """All vaults that this home knows, by name."""
        return [Vault(self.session, label, vault_id) for label, vault_id in sorted(self.home.labels().items())]

    def living(self) -> list[Vault]:
        """Those of them that are not known to be closed, or another's by now."""
        return [vault for vault in self.vaults() if not vault.over]

    def opened(self) -> list[tuple[Vault, Roster]]:
        """The owner's vaults known here that open, with their rosters. The others are named and passed over, and stand
        in ``shut``: one that is hostile or broken must not stop what concerns all. One that is over, as the chain shows
        it now, takes no key any more, and what concerns all does not concern it."""
        found: list[tuple[Vault, Roster]] = []
        for vault in self.vaults():
            try:
                if vault.over and not vault.owned():
                    continue
                roster = vault.roster()
                found += [] if vault.over else [(vault, roster)]  # the chain has just shown that
                self.shut.pop(vault.label, None)
            except _SHUT as error:
                if vault.label not in self.shut:
                    self.session.say(f"{vault.label} can't be opened, and is passed over: {error.cause}")
                self.shut[vault.label] = error
        return found

    def adopt(self) -> list[Vault]:
        """Takes in vaults of the owner that stand on chain and are not known here, under the names in their rosters."""
        found, shut = self.take_in()
        for trouble in shut.values():
            self.session.say(f"a vault on chain can't be opened: {trouble.cause}")
        return found

    def take_in(
        self, anchors: Mapping[bytes, Anchor] | None = None, *, going_on: bool = False
    ) -> tuple[list[Vault], dict[bytes, MemSyncError]]:
        """The same, compared with the anchors of a sheet; and by vault id why others can't be opened. Of these a home
        that has a kit takes in what its owner can go on with; so does another one that is ``going_on``."""
        going_on = going_on or self.home.kit_key.exists()
        known = set(self.home.labels().values())
        found: list[Vault] = []
        shut: dict[bytes, MemSyncError] = {}
        for vault_id in self.session.registry.vaults(self.session.config.owner):
            if vault_id not in known:
                anchor = (anchors or {}).get(vault_id)
                try:
                    found.append(self.adopt_one(vault_id, anchor))
                except StorageUnavailable as error:  # the others go on
                    shut[vault_id] = error
                except (AccessEnded, BlobMissing, ForeignKeyring, Tampered) as error:
                    begun = going_on and self._adopt_shut(vault_id, anchor)
                    if isinstance(error, ForeignKeyring) and not begun:
                        raise
                    shut[vault_id] = error
        return found, shut

    def adopt_one(self, vault_id: bytes, anchor: Anchor | None = None) -> Vault:
        """Takes in one vault, under the name in its roster. Raises AccessEnded where no key here opens it."""
        record, fetch = self._found(vault_id)
        roster = open_first(self.session.place(vault_id), record, fetch, self.session.openers, anchor).roster
        if roster is None:
            raise AccessEnded("This key is a reader's, not a device's.", "Restore from a device key file of the owner.")
        return self._take(vault_id, roster, anchor)

    def _adopt_shut(self, vault_id: bytes, anchor: Anchor | None) -> bool:
        """Takes in a vault that does not open, where ``open_before`` finds a keyring from which its owner can go on;
        nothing is opened here from then on that does not follow from it. Whether it does."""
        record, fetch = self._found(vault_id)
        keyring = open_before(self.session.registry, record, fetch, self.session.openers, anchor)
        if keyring is None or keyring.roster is None:
            return False
        self._take(vault_id, keyring.roster, keyring.keys.anchor)
        return True

    def _found(self, vault_id: bytes) -> tuple[VaultRecord, Fetch]:
        session = self.session
        record = session.registry.record(vault_id)
        return record, session.hosts.blobs(session.config.blobs or record.base_uri, vault_id).fetch

    def _take(self, vault_id: bytes, roster: Roster, anchor: Anchor | None) -> Vault:
        session = self.session
        with session.lock():
            label, labels = roster.name, self.home.labels()
            if anchor or vault_id not in labels.values():
                sealed = SealedFile(self.home.vault_folder(vault_id) / ANCHOR, session.device, session.place(vault_id))
                write_anchor(sealed, anchor)  # the node may show another vault when it is asked again
            while labels.get(label, vault_id) != vault_id:
                label += "+"
            self.home.label(label, vault_id)
        return Vault(session, label, vault_id)


def _taken(name: str, over: str | None = None) -> InvalidRequest:
    there, step = f"There is a vault {name!r} here already", "Give the new one another name."
    if over:
        there, step = f"{there}, {over}", f"{step[:-1]}, or let go of that one: memsync vault let-go"
    return InvalidRequest(f"{there}.", step)


def init(
    home: Home,
    passphrase: Passphrase,
    *,
    kit: PublicKey | Callable[[], PublicKey | None] | None,
    kit_unseen: bool = False,
    rpc: str = PRACTICE_RPC,
    registry: str | None = None,
    wallet: Path | Account | None = None,
    name: str | None = None,
) -> Config:
    """Makes a home: a device key, a wallet, and where the chain is. ``name`` is this device's in the rosters, by
    default the computer's.

    ``wallet`` is a standard Ethereum keystore file, which is copied, or an account whose key is elsewhere; by default
    a new one is made. ``kit`` is a recovery kit's public key, for every vault made here, or what makes one when the
    rest is done; None declines one: then the memory is gone with the last device. Where its words are still to be given
    out (``kit_unseen``), ``Home.kit_seen`` says that they were. On a practice chain the wallet gets practice
    money. Killed in between, it can be run again with the same passphrase.
    """
    self_test()
    check_empty(home)
    device = check_name(name or platform.node() or "this device", InvalidRequest)
    from . import practice
    from . import wallet as wallets
    from .registry import Registry

    node = Registry.connect(rpc, address=registry)
    if isinstance(wallet, wallets.Account):
        node.check_account(wallet)
    elif wallet:
        wallets.load_address(wallet)  # that there is one is known before anything is asked or written
    passphrase = ask(passphrase)
    if not passphrase:
        raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    make_dir(home.folder)
    signer = None
    if isinstance(wallet, wallets.Account):
        owner, signer = wallet.address, str(wallet)
    else:
        if wallet and not home.wallet.exists():
            wallets.unlock(wallet, passphrase)
            write_atomic(home.wallet, wallet.read_bytes())
        with _begun_before(home):
            owner = (wallets.unlock if home.wallet.exists() else wallets.create)(home.wallet, passphrase).address
    with _begun_before(home):
        (keyfile.unlock if home.device_key.exists() else keyfile.create)(home.device_key, passphrase)
    if node.chain_id == PRACTICE_CHAIN:
        practice.fund(node.rpc_url, owner, PRACTICE_FUNDS)
    home.write_kit(note_of(kit() if callable(kit) else kit, kit_unseen))
    config = Config(
        node.chain_id, rpc, node.address, owner, confirmations(node.chain_id), None, device=device, signer=signer
    )
    home.write_config(config)
    return config


@contextmanager
def _begun_before(home: Home) -> Iterator[None]:
    """Says whose passphrase is meant, where `init` did not come to its end and is run again."""
    try:
        yield
    except WrongPassphrase:
        raise WrongPassphrase(
            f"An earlier `init` has begun a home in {home.folder}, and made its keys under another passphrase.",
            "Give that one. Is it lost, nothing else is yet: begin in another folder (--home), or move this one away.",
        ) from None


def check_empty(home: Home) -> None:
    """Raises InvalidRequest if there is a home already, and what ``Home.check`` raises."""
    home.check()
    if home.initialised:
        raise InvalidRequest(f"There is a home in {home.folder} already.", "Use it, or name another with --home.")


def note_of(kit: PublicKey | None, unseen: bool = False) -> KitNote | None:
    """What a home keeps of a kit that was made today."""
    return KitNote(kit.raw.hex(), datetime.now(UTC).date().isoformat(), unseen) if kit else None


def configure(home: Home, **changes: Any) -> Config:
    """Changes these fields of a home's configuration, and returns it. Needs no passphrase."""
    if not changes:
        return home.config()
    with home.lock():
        config = replace(home.config(), **changes)
        home.write_config(config)
        return config


def confirmations(chain_id: int) -> int:
    """Blocks to wait after a transaction, where nothing else is said."""
    return 0 if chain_id == PRACTICE_CHAIN else 2


def restore(
    home: Home,
    passphrase: Passphrase,
    device_key: Path,
    owner: str,
    *,
    rpc: str = PRACTICE_RPC,
    registry: str | None = None,
    wallet: Path | Account | None = None,
    blobs: Path | None = None,
    shut: Callable[[bytes, MemSyncError], None] = lambda vault_id, error: None,
) -> list[Vault]:
    """Brings everything back into an empty home from a copied device key file, the owner's address, an RPC node and
    the blobs.

    Without ``wallet`` (the owner's keystore file, or account elsewhere) the home can read and not commit. Returns the
    vaults found on chain that open, and tells ``shut`` of each other one; raises UnknownVault if there is none, and why
    the first is shut where none opens. With the wallet it takes in what was shut by a keyring of another account's,
    too, for ``Vault.go_on`` to open again.
    """
    self_test()
    check_empty(home)
    from . import wallet as wallets
    from .registry import Registry

    signer = wallet if isinstance(wallet, wallets.Account) else None
    keystore = wallet if isinstance(wallet, Path) else None
    for mine, given in ((home.device_key, device_key), (home.wallet, keystore)):
        if given and mine.exists() and mine.read_bytes() != given.read_bytes():
            raise InvalidRequest(f"There is another {mine.name} in {home.folder} already.", "Name an empty home.")
    node, owner = Registry.connect(rpc, address=registry), checked_address(owner)
    passphrase = ask(passphrase)
    keyfile.unlock(device_key, passphrase)  # that the passphrase is right is known before anything is written
    check_owners(node, owner, wallet, passphrase)
    if not node.vaults(owner):
        raise UnknownVault(f"{owner} owns no vault on chain {node.chain_id}.", "Check the address and the RPC node.")
    make_dir(home.folder)
    write_atomic(home.device_key, device_key.read_bytes())
    if keystore:
        write_atomic(home.wallet, keystore.read_bytes())
    folder = blobs.resolve().as_uri() + "/" if blobs else None
    config = Config(node.chain_id, rpc, node.address, owner, confirmations(node.chain_id), folder)
    config = replace(config, signer=str(signer) if signer else None)
    try:
        return begin_with_all(home, passphrase, config, going_on=wallet is not None, shut=shut)
    except (AccessEnded, BlobMissing, ForeignKeyring, Tampered) as error:
        if wallet is None:
            error.next_step += (
                " Or did another account than the owner's bring the newest keyring? With the owner's wallet this key"
                " goes on from before it: --wallet WALLET."
            )
        raise


def check_owners(node: Registry, owner: str, wallet: Path | Account | None, passphrase: str) -> None:
    """Raises InvalidRequest unless the wallet, if one is named, is the owner's, and what opening it raises."""
    from . import wallet as wallets

    if wallet is None:
        return
    if isinstance(wallet, wallets.Account):
        node.check_account(wallet)
        address = wallet.address
    else:
        address = wallets.unlock(wallet, passphrase).address
    if address != owner:
        where = wallet if isinstance(wallet, Path) else "the node or signer"
        raise InvalidRequest(f"The wallet in {where} is not {owner}'s.", "Name the owner's own, or none.")


def begin_with_all(
    home: Home,
    passphrase: Passphrase,
    config: Config,
    anchors: Mapping[bytes, Anchor] | None = None,
    *,
    going_on: bool = False,
    shut: Callable[[bytes, MemSyncError], None] = lambda vault_id, error: None,
) -> list[Vault]:
    """Takes all vaults in, and only then makes the home one that counts: killed before, it is begun again, with all of
    them and compared with the anchors. Where none can be opened or gone on with, the first trouble is raised; else
    ``shut`` is told of each. ``going_on``: see ``Client.take_in``."""
    home.abandon()
    try:
        vaults, troubles = Client(home, passphrase, config=config).take_in(anchors, going_on=going_on)
        if not home.labels():
            raise next(iter(troubles.values()), UnknownVault("The owner owns no vault there.", "Check the RPC node."))
    except MemSyncError:
        home.abandon()
        raise
    home.write_config(config)
    for vault_id, error in troubles.items():
        shut(vault_id, error)
    return vaults
