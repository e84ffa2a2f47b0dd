"""What a device of the owner works with: home, node, keys. Each is opened when it is first needed, and only then."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from . import keyfile
from .errors import NotInitialised
from .home import Home
from .keyfile import Passphrase, ask
from .keys import HolderKey, PublicKey
from .records import Receipt
from .sealing import Place

if TYPE_CHECKING:  # web3 takes half a second to import, and what only waits in the outbox needs none of it
    from .registry import Registry
    from .wallet import Wallet

PRACTICE_CHAIN = 31_337


class Session:
    """``passphrase`` is called at most once a secret, when one is unlocked; ``say`` is told each step of a longer
    work."""

    def __init__(
        self,
        home: Home,
        passphrase: Passphrase,
        *,
        rpc: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = home
        self.config = home.config()
        self.say = say
        self._passphrase = passphrase
        self._rpc = rpc or self.config.rpc

    @cached_property
    def registry(self) -> Registry:
        """Raises NodeUnreachable, WrongChain or NoRegistry."""
        from .registry import Registry

        return Registry.connect(self._rpc, chain_id=self.config.chain_id, address=self.config.registry)

    @cached_property
    def device_public(self) -> PublicKey:
        """The device's public key; needs no passphrase."""
        return keyfile.public_key(self.home.device_key)

    @cached_property
    def device(self) -> HolderKey:
        """Raises WrongPassphrase."""
        return keyfile.unlock(self.home.device_key, ask(self._passphrase))

    @cached_property
    def wallet(self) -> Wallet:
        """Raises WrongPassphrase, or NotInitialised on a device without the wallet's file."""
        from . import wallet

        if not self.home.wallet.exists():
            raise NotInitialised(
                "This home has no wallet file, so it can read and not commit.",
                f"Copy your keystore to {self.home.wallet}.",
            )
        return wallet.unlock(self.home.wallet, ask(self._passphrase))

    @property
    def rpc_hint(self) -> str:
        """The node's address without user, path and query, which may carry an API key."""
        return self.registry.node.name

    def unlock(self) -> None:
        """Opens wallet and device key, so that what is wrong with them is known before anything is stored."""
        _ = self.wallet, self.device

    def wait(self, tx_hash: bytes) -> Receipt:
        """Waits until a transaction is final at the configured depth, and on this home's practice chain saved to disk
        too."""
        from . import practice

        receipt = self.registry.wait(tx_hash, confirmations=self.config.confirmations)
        if self.config.chain_id == PRACTICE_CHAIN and self.home.practice.is_dir():
            practice.wait_saved(self.home.practice, receipt.block.number)
        return receipt

    def place(self, vault_id: bytes) -> Place:
        """Where objects of a vault belong."""
        return Place(self.config.chain_id, bytes.fromhex(self.config.registry[2:]), vault_id)
