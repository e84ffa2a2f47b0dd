"""What a device of the owner works with: home, node, keys. Each is opened when it is first needed, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import keyfile, passphrases
from .errors import HomeDamaged, InvalidRequest, NotInitialised, TransactionPending
from .home import Config, Home, SealedFile
from .hosts import Hosts
from .keyfile import Passphrase, ask
from .keys import HolderKey, PrivateKey, PublicKey
from .records import Receipt
from .rekeying import clear_copies, make_ready, put_in_place
from .sealing import HoldsSecret, Place

if TYPE_CHECKING:  # web3 takes half a second to import, and what only waits in the outbox needs none of it
    from .blob_log import BlobLog
    from .registry import Registry
    from .relaying import Relayed
    from .sending import Announce, Sender
    from .transactions import Call, ContractClient, Prepared
    from .wallet import Account, Wallet

PRACTICE_CHAIN = 31_337
_APART, _FAR_APART = timedelta(minutes=10), timedelta(days=1)  # the clock here and the newest block


class Session(HoldsSecret):
    """``passphrase`` is called at most once a secret, when one is unlocked; ``say`` is told each step of a longer
    work; ``ask`` is asked where something costs more than the limit that was set; a ``relay`` sends and pays."""

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
        home.check()
        passphrases.finish_change(home)
        self.home = home
        self.config = config or home.config()  # the first while a home is still being made
        self.say = say
        self._ask = ask
        self._passphrase = passphrase
        self._files: list[tuple[int, int] | None] | None = None  # those of the keys, when they were looked at last
        self.rpc = rpc or self.config.rpc
        self.relay = relay or self.config.relay
        self.blob_receipts: list[Receipt] = []  # of the transactions that have stored blobs on the chain itself

    @cached_property
    def registry(self) -> Registry:
        """Raises NodeUnreachable, WrongChain or NoRegistry."""
        from .registry import Registry

        return Registry.connect(self.rpc, chain_id=self.config.chain_id, address=self.config.registry)

    @cached_property
    def hosts(self) -> Hosts:
        """The hosts of blobs that this home knows, beside those that the chain names."""
        return Hosts(self.home, lambda: self.blob_log, lambda text: self.say(text))

    @cached_property
    def blob_log(self) -> BlobLog:
        """Blobs on the chain itself, stored there at the wallet's cost. Raises StorageUnavailable."""
        from .blob_log import BlobLog

        log = BlobLog.beside(self.registry)
        log.account, log.land, log.say = (lambda: self.wallet.address), self._land_blob, lambda text: self.say(text)
        return log

    def _land_blob(self, log: BlobLog, call: Call) -> None:
        """Sends it, and waits for its block alone: what names the blob comes after it by the account's own order."""
        sender = self.blob_sender
        self.blob_receipts.append(sender.land(sender.prepare(call, self.wallet.address)))

    @cached_property
    def device_public(self) -> PublicKey:
        """The device's public key; needs no passphrase."""
        return keyfile.public_key(self.home.device_key)

    @cached_property
    def device(self) -> HolderKey:
        """Raises WrongPassphrase. A key made anew that all vaults have takes its place first."""
        key = keyfile.unlock(self.home.device_key, ask(self._passphrase))
        if not self.home.ready_key.exists():
            return key
        try:
            new = keyfile.unlock(self.home.ready_key, ask(self._passphrase))
        except NotInitialised:  # another process has put it in place
            return keyfile.unlock(self.home.device_key, ask(self._passphrase))
        put_in_place(self.home, self.place, key, new)
        return new

    @cached_property
    def next_device(self) -> HolderKey | None:
        """The key that this device is getting, while not all vaults have it yet."""
        return keyfile.unlock(self.home.next_key, ask(self._passphrase)) if self.home.next_key.exists() else None

    def begin_rekeying(self) -> HolderKey:
        """Makes the next key of this device, or takes the one that was made before."""
        _ = self.device  # so that the passphrase is known to be the right one
        if self.next_device is None:
            self.next_device = keyfile.create(self.home.next_key, ask(self._passphrase))
        return self.next_device

    def end_rekeying(self) -> None:
        """Makes the next key this device's own, and destroys the old one."""
        clear_copies(self.home)
        make_ready(self.home)
        for name in ("device", "device_public", "next_device", "sender", "blob_sender", "relayed"):
            self.__dict__.pop(name, None)
        _ = self.device
        self.__dict__.pop("device_public", None)

    @property
    def openers(self) -> tuple[PrivateKey, ...]:
        """What keyrings are opened with: the device's key, the one that it is getting while not all vaults have that,
        and the kit's while a restore with it is not done."""
        kit = self._kit if self.home.kit_key.exists() else None
        return tuple(key.xwing for key in (self.device, self.next_device, kit) if key)

    @cached_property
    def _kit(self) -> HolderKey:
        return keyfile.unlock(self.home.kit_key, ask(self._passphrase))

    @property
    def owner_wallet(self) -> Wallet | Account:
        """The wallet, where it is the owner's: for what only the owner may do. Raises InvalidRequest, and what
        ``wallet`` raises."""
        if self.wallet.address != self.config.owner:
            raise InvalidRequest(
                f"Only the owner {self.config.owner} may do this; this device commits as {self.wallet.address}.",
                "Do it on the machine that has the owner's wallet.",
            )
        return self.wallet

    @property
    def account(self) -> str | None:
        """The address that this device commits with, None if it has none. Needs no passphrase."""
        from . import wallet

        if self.config.signer:
            signer = wallet.Account.parse(self.config.signer)
            return signer.address if signer else None
        return wallet.load_address(self.home.wallet) if self.home.wallet.exists() else None

    @cached_property
    def wallet(self) -> Wallet | Account:
        """The owner's, or an account of this device's own that may commit. Raises WrongPassphrase, or NotInitialised on
        a device with neither."""
        from . import wallet

        if self.config.signer:
            account = wallet.Account.parse(self.config.signer)
            if account is None:
                raise HomeDamaged("The home names no account that signs.", "Bring config.json back from a copy.")
            return account
        if not self.home.wallet.exists():
            raise NotInitialised(
                "This home has no wallet file, so it can read and not commit.",
                f"Copy your keystore to {self.home.wallet}.",
            )
        return wallet.unlock(self.home.wallet, ask(self._passphrase))

    @property
    def rpc_hint(self) -> str:
        """The nodes' addresses without user, path and query, which may carry an API key."""
        registries = (self.registry, *self.registry.others)
        return " ".join(dict.fromkeys(registry.node.name for registry in registries))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The home's lock; where another process holds it, that is said and waited for. Raises HomeBusy."""
        with self.home.lock(say=self.say):
            self.refresh()
            self.home.clear_temporaries()
            yield

    def refresh(self) -> None:
        """Lets go of keys that another process has replaced in this home since they were opened."""
        files = [_state_of(path) for path in self.home.key_files]
        if self._files not in (files, None):
            for name in ("device", "device_public", "next_device", "_kit", "sender", "blob_sender", "relayed"):
                self.__dict__.pop(name, None)
        self._files = files

    def unlock(self) -> None:
        """Opens wallet and device key, so that what is wrong with them is known before anything is stored."""
        _ = self.wallet, self.device

    # Transactions -----------------------------------------------------------------------------------------------------

    @cached_property
    def sender(self) -> Sender:
        """What sends transactions that this home's wallet pays. Raises what ``registry`` and ``device`` raise."""
        return self._sender(self.registry, self.home.sending, self.config.confirmations)

    @cached_property
    def blob_sender(self) -> Sender:
        """The same for blobs that are stored on the chain itself."""
        return self._sender(self.blob_log, self.home.sending_blob, 0)

    def _sender(self, contract: ContractClient, kept: Path, confirmations: int) -> Sender:
        from .sending import Sender

        return Sender(
            contract,
            lambda: self.wallet,
            SealedFile(kept, self.device, self.place(bytes(32))),
            confirmations=confirmations,
            max_fee=self.config.max_fee,
            ask=self._ask,
            say=self.say,
        )

    @cached_property
    def relayed(self) -> Relayed:
        """What has a relayer send them. Raises what ``registry`` and ``device`` raise, and InvalidRequest."""
        from .relaying import Relayed

        return Relayed(
            self.registry,
            lambda: self.wallet,
            SealedFile(self.home.relayed, self.device, self.place(bytes(32))),
            self.relay,
            confirmations=self.config.confirmations,
            say=self.say,
        )

    def prepare(self, call: Call, wallet: Wallet | Account | None = None) -> Prepared:
        """Simulates and prices a call of this wallet, by default of the one that this device commits with, after what
        was left on its way has come to its end. See ``Sender.prepare``."""
        self.resume()
        way = self.relayed if self.relay else self.sender
        return way.prepare(call, (wallet or self.wallet).address)

    def land(self, prepared: Prepared, announce: Announce = lambda _: None) -> Receipt:
        """Sends it, and waits until it is final, and on a practice chain saved to disk too. See
        ``Sender.land``."""
        way = self.relayed if self.relay else self.sender
        return self._saved(way.land(prepared, announce))

    def resume(self) -> Receipt | None:
        """Brings transactions that an earlier process has left to their end. Returns the receipt of one that landed."""
        landed = self.relayed.resume() if self.home.relayed.exists() else None
        if self.home.sending_blob.exists():
            self.blob_sender.resume()
        return (self.sender.resume() if self.home.sending.exists() else None) or landed

    def wait(self, tx_hash: bytes) -> Receipt:
        """Waits until a transaction is final at the configured depth, and on a practice chain saved to disk too. Raises
        TransactionPending if it is not, or no longer is."""
        return self._saved(self.registry.wait(tx_hash, confirmations=self.config.confirmations))

    def _saved(self, receipt: Receipt) -> Receipt:
        from . import practice

        if self.config.chain_id == PRACTICE_CHAIN:
            practice.wait_saved(self.registry.node, receipt.block.number)
            if self.registry.receipt(receipt.tx_hash) != receipt:
                raise TransactionPending("The practice chain has lost the transaction's block.", "Run sync.")
        return receipt

    def check_clock(self, *, strict: bool = False) -> None:
        """Says where this computer's clock and the chain's newest block are far apart: one of the two is wrong. With
        ``strict``, before a date is written, raises InvalidRequest if they are a day apart. A practice chain makes
        blocks only when something is sent."""
        if self.config.chain_id == PRACTICE_CHAIN:
            return
        here, there = datetime.now(UTC), self.registry.latest().time
        form = "%Y-%m-%d %H:%M"
        said = f"This computer's clock says {here:{form}} (UTC), and the chain's newest block {there:{form}}"
        if strict and abs(here - there) > _FAR_APART:
            step = "Set the clock, or name another node with --rpc: this one may be behind."
            raise InvalidRequest(f"{said}: one of the two is wrong.", step)
        if abs(here - there) > _APART:
            self.say(f"{said}: one of the two is wrong. Grants end by the chain's time")

    def now(self) -> datetime:
        """The chain's time, for dates that begin now. A practice chain's newest block may be of last week."""
        registry = self.registry
        return registry.next_time() if self.config.chain_id == PRACTICE_CHAIN else registry.latest().time

    def place(self, vault_id: bytes) -> Place:
        """Where objects of a vault belong."""
        return Place(self.config.chain_id, bytes.fromhex(self.config.registry[2:]), vault_id)


def _state_of(path: Path) -> tuple[int, int] | None:
    """What changes with a file that is replaced; None where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None
