"""The owner's side of a home: making it, making vaults, finding them again on a new machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import keyfile
from .cards import check_name
from .errors import (
    AccessEnded,
    BlobMissing,
    InvalidRequest,
    MemSyncError,
    StorageUnavailable,
    Tampered,
    UnknownVault,
)
from .files import make_dir, write_atomic
from .heads import FIRST, seal_head
from .home import Config, Home
from .keyfile import Passphrase, ask
from .keyring import Holder, OwnerKeys, Role, Roster, new_import_key, open_keyring, seal_keyring
from .keys import self_test
from .records import Receipt
from .sealing import sha256
from .session import PRACTICE_CHAIN, Session
from .storage import open_storage
from .storage.blobs import Blobs
from .vault import Vault

PRACTICE_RPC = "http://127.0.0.1:8545"
_PRACTICE_FUNDS = 10 * 10**18  # wei


@dataclass(frozen=True)
class NewVault:
    """A vault just made, with what its transaction cost."""

    vault: Vault
    receipt: Receipt


class Client:
    """An initialised home. ``passphrase`` is a text, or a function that is called when a secret is unlocked."""

    def __init__(
        self,
        home: Home,
        passphrase: Passphrase,
        *,
        rpc: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self_test()
        self.home = home
        self.session = Session(home, passphrase, rpc=rpc, say=say)

    def new_vault(self, name: str, base_uri: str | None = None) -> NewVault:
        """Makes a vault with one key holder, this device. Its name is sealed in the roster.

        ``base_uri`` is where its blobs go; on a practice chain a folder of this home if not named.
        """
        check_name(name, InvalidRequest)
        home, session = self.home, self.session
        if name in home.labels():
            raise InvalidRequest(f"There is a vault {name!r} here already.", "Give the new one another name.")
        if base_uri is None or base_uri.startswith("file:"):
            if session.config.chain_id != PRACTICE_CHAIN:
                raise InvalidRequest(
                    "A folder can't be the host of blobs on a public chain: its path would stand there for all.",
                    "This version stores in folders only: use a practice chain.",
                )
            if base_uri is None:
                make_dir(home.blobs)
                base_uri = home.blobs.resolve().as_uri() + "/"
        with home.lock():
            registry, owner = session.registry, session.wallet.address
            salt = registry.vault_count(owner) + 1
            vault_id = registry.vault_id_of(owner, salt)
            place = session.place(vault_id)
            keys = OwnerKeys.new(1)
            device = Holder(session.device_public, Role.DEVICE, "this device", 1, None, None, session.device_public.id)
            ring = seal_keyring(place, keys, Roster(name, new_import_key(), (device,)))
            head = seal_head(place, 1, keys.secret, keys.writer_key, FIRST)
            Blobs(open_storage(base_uri), home.vault_folder(vault_id) / "blobs").store([ring, head])
            call = registry.create(salt, sha256(head), FIRST.log.memory_root, sha256(ring), base_uri)
            signed = registry.sign(registry.prepare(call, owner), session.wallet)
            registry.send(signed)
            receipt = session.wait(signed.tx_hash)
            home.label(name, vault_id)
        return NewVault(Vault(session, name, vault_id), receipt)

    def vault(self, name: str | None = None) -> Vault:
        """The vault of that name, or the only one. Raises UnknownVault."""
        label, vault_id = self.home.resolve(name)
        return Vault(self.session, label, vault_id)

    def vaults(self) -> list[Vault]:
        """All vaults that this home knows, by name."""
        return [Vault(self.session, label, vault_id) for label, vault_id in sorted(self.home.labels().items())]

    def adopt(self) -> list[Vault]:
        """Takes in vaults of the owner that stand on chain and are not known here, under the names in their rosters."""
        found, troubles = self._adopt_all()
        for trouble in troubles:
            self.session.say(f"a vault on chain can't be opened: {trouble.cause}")
        return found

    def _adopt_all(self) -> tuple[list[Vault], list[MemSyncError]]:
        known = set(self.home.labels().values())
        found: list[Vault] = []
        troubles: list[MemSyncError] = []
        for vault_id in self.session.registry.vaults(self.session.config.owner):
            if vault_id not in known:
                try:
                    found.append(self._adopt(vault_id))
                except (AccessEnded, BlobMissing, StorageUnavailable, Tampered) as error:  # the others go on
                    troubles.append(error)
        return found, troubles

    def _adopt(self, vault_id: bytes) -> Vault:
        session = self.session
        record = session.registry.record(vault_id)
        blobs = Blobs(open_storage(session.config.blobs or record.base_uri))
        blob = blobs.fetch(record.keyring_hash, "keyring")
        roster = open_keyring(session.place(vault_id), record.head_epoch, blob, session.device.xwing).roster
        if roster is None:
            raise AccessEnded("This key is a reader's, not a device's.", "Restore from a device key file of the owner.")
        labels, label = self.home.labels(), roster.name
        while label in labels:
            label += "+"
        self.home.label(label, vault_id)
        return Vault(session, label, vault_id)


def init(
    home: Home,
    passphrase: Passphrase,
    *,
    rpc: str = PRACTICE_RPC,
    registry: str | None = None,
    keystore: Path | None = None,
) -> Config:
    """Makes a home: a device key, a wallet (or ``keystore``, a standard Ethereum keystore file, copied), and where
    the chain is.

    On a practice chain the wallet gets practice money. Killed in between, it can be run again with the same passphrase.
    """
    self_test()
    if home.initialised:
        raise InvalidRequest(f"There is a home in {home.folder} already.", "Use it, or name another with --home.")
    from . import practice, wallet
    from .registry import Registry

    node = Registry.connect(rpc, address=registry)
    if keystore:
        wallet.load_address(keystore)  # that there is one is known before anything is asked or written
    passphrase = ask(passphrase)
    if not passphrase:
        raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    make_dir(home.folder)
    if keystore and not home.wallet.exists():
        wallet.unlock(keystore, passphrase)
        write_atomic(home.wallet, keystore.read_bytes())
    owner = (wallet.unlock if home.wallet.exists() else wallet.create)(home.wallet, passphrase).address
    (keyfile.unlock if home.device_key.exists() else keyfile.create)(home.device_key, passphrase)
    if node.chain_id == PRACTICE_CHAIN:
        practice.fund(rpc, owner, _PRACTICE_FUNDS)
    config = Config(node.chain_id, rpc, node.address, owner, confirmations=0 if node.chain_id == PRACTICE_CHAIN else 2)
    home.write_config(config)
    return config


def restore(
    home: Home,
    passphrase: Passphrase,
    device_key: Path,
    owner: str,
    *,
    rpc: str = PRACTICE_RPC,
    registry: str | None = None,
    keystore: Path | None = None,
    blobs: Path | None = None,
) -> list[Vault]:
    """Brings everything back into an empty home from a copied device key file, the owner's address, an RPC node and
    the blobs.

    Without ``keystore`` the home can read and not commit. Returns the vaults found on chain; raises UnknownVault if
    there is none.
    """
    self_test()
    if home.initialised:
        raise InvalidRequest(f"There is a home in {home.folder} already.", "Restore into an empty one with --home.")
    from . import wallet
    from .registry import Registry

    for mine, given in ((home.device_key, device_key), (home.wallet, keystore)):
        if given and mine.exists() and mine.read_bytes() != given.read_bytes():
            raise InvalidRequest(f"There is another {mine.name} in {home.folder} already.", "Name an empty home.")
    node = Registry.connect(rpc, address=registry)
    passphrase = ask(passphrase)
    keyfile.unlock(device_key, passphrase)  # that the passphrase is right is known before anything is written
    if keystore and wallet.unlock(keystore, passphrase).address.lower() != owner.lower():
        raise InvalidRequest(f"The wallet in {keystore} is not {owner}'s.", "Name the owner's own, or none.")
    if not node.vaults(owner):
        raise UnknownVault(f"{owner} owns no vault on chain {node.chain_id}.", "Check the address and the RPC node.")
    make_dir(home.folder)
    write_atomic(home.device_key, device_key.read_bytes())
    if keystore:
        write_atomic(home.wallet, keystore.read_bytes())
    folder = blobs.resolve().as_uri() + "/" if blobs else None
    home.write_config(
        Config(node.chain_id, rpc, node.address, owner, 0 if node.chain_id == PRACTICE_CHAIN else 2, folder)
    )
    try:
        vaults, troubles = Client(home, passphrase)._adopt_all()
        if not vaults:
            raise troubles[0]
    except MemSyncError:
        home.abandon()
        raise
    return vaults
