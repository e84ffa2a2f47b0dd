"""MemSync: an AI memory that its owner holds. Sealed on the device, registered on an EVM chain, lent to tools and
taken back.

    home = Home(folder)
    init(home, passphrase, kit=None)                # a device key, a wallet, and where the chain is
    vault = Client(home, passphrase).new_vault("novel").vault
    vault.remember("Ines is left-handed.")
    vault.sync()                                    # one transaction for all that waits
    vault.grant(Card.parse(card))                   # and vault.revoke(name)
    vault.forget([memory.id], Level.SEALED_AWAY)    # and vault.rotate(clean=True)

All errors are subclasses of ``MemSyncError``; see ``memsync_client.errors``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cards import Card, Invitation
    from .client import Client, init, restore
    from .errors import AccessEnded, MemSyncError, Tampered
    from .home import Home
    from .keeping import Level
    from .memories import Memory, Source
    from .reader import Reader, new_reader
    from .vault import Vault

_WHERE = {
    "AccessEnded": "errors",
    "Card": "cards",
    "Client": "client",
    "Home": "home",
    "Invitation": "cards",
    "Level": "keeping",
    "MemSyncError": "errors",
    "Memory": "memories",
    "Reader": "reader",
    "Source": "memories",
    "Tampered": "errors",
    "Vault": "vault",
    "init": "client",
    "new_reader": "reader",
    "restore": "client",
}

__all__ = [
    "AccessEnded",
    "Card",
    "Client",
    "Home",
    "Invitation",
    "Level",
    "MemSyncError",
    "Memory",
    "Reader",
    "Source",
    "Tampered",
    "Vault",
    "init",
    "new_reader",
    "restore",
]


def __getattr__(name: str) -> Any:
    """Loads what is asked for (PEP 562): importing the package does no work."""
    if name not in _WHERE:
        raise AttributeError(name)
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
