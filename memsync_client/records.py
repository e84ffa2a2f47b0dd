"""What the chain says, as values: they come from ``registry`` and are used where no node is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Block:
    """A block: number, hash (32 bytes), and its time (UTC, whole seconds). ``header`` are all its fields as the node
    gave them, where they were asked for."""

    number: int
    hash: bytes
    time: datetime
    header: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class VaultRecord:
    """A vault's record as of ``block``. ``head_version`` and ``head_epoch`` are those of the last commit.

    ``owner`` is the zero address exactly if the vault is closed. In ``base_uri`` U+FFFD stands for what is no UTF-8.
    ``proven`` says that the node has proven all of it against the state root of ``block``.
    """

    vault_id: bytes
    owner: str
    version: int
    epoch: int
    tenure: int
    head_version: int
    head_epoch: int
    content_hash: bytes
    memory_root: bytes
    keyring_hash: bytes
    base_uri: str
    block: Block
    proven: bool = field(default=False, compare=False)

    @property
    def closed(self) -> bool:
        """The vault was ended for good: it can be read, and nobody writes to it any more."""
        return int(self.owner, 16) == 0

    @property
    def locked(self) -> bool:
        """The epoch has risen since the last commit: the next one must bring a keyring."""
        return self.head_epoch != self.epoch


@dataclass(frozen=True)
class PublicGrant:
    """A grant of the vault's current tenure. ``rights``: 1 read, 2 write, 4 keys. ``key_id`` is 20 bytes.

    ``version`` is the vault's version that this grant made; ``living``: it had not expired in the newest block.
    """

    grantee: str
    rights: int
    expires: datetime
    version: int
    key_id: bytes
    living: bool


@dataclass(frozen=True)
class CommitEvent:
    """One commit. ``keyring_hash`` is None where the commit kept the keyring. A vault's creation is its version 1.

    ``owner`` is the vault's owner at that time, None where the events that were asked for show no change of it since.
    """

    version: int
    epoch: int
    content_hash: bytes
    memory_root: bytes
    keyring_hash: bytes | None
    block_number: int
    tx_hash: bytes
    actor: str
    owner: str | None = field(default=None, compare=False)

    def by_owner(self, record: VaultRecord) -> bool:
        """Whether the owner of then sent it, if ``record`` is the present one."""
        return self.actor == (self.owner or record.owner)


@dataclass(frozen=True)
class Offer:
    """An offer of a vault to another account, living while block time is before ``expires``."""

    new_owner: str
    expires: datetime
    version: int


@dataclass(frozen=True)
class Recovery:
    """How a vault can be recovered: the ``account`` that may start it, and of a pending one who is to be the owner and
    from when on it can be finished. None where there is none."""

    account: str | None
    attempt: int
    ready: datetime | None
    new_owner: str | None


@dataclass(frozen=True)
class VaultEvent:
    """One event of a vault: the contract's name for it (``Granted``), who did it, and its other arguments by name, as
    ``contracts/interfaces/IMemoryRegistry.sol`` has them: numbers, addresses, bytes."""

    name: str
    actor: str
    values: Mapping[str, Any]
    block_number: int
    tx_hash: bytes


@dataclass(frozen=True)
class History:
    """A vault's events, oldest first. ``from_block`` is the first block that was looked through: 0, or a later one
    where the node gave no more; ``complete`` says that the vault's creation is among them."""

    events: tuple[VaultEvent, ...]
    from_block: int

    @property
    def complete(self) -> bool:
        return bool(self.events) and self.events[0].name == "Created"


@dataclass(frozen=True)
class Receipt:
    """A transaction that took effect in a block. ``fee`` is what was paid for it, in wei; None where a node does not
    say."""

    tx_hash: bytes
    gas_used: int
    block: Block
    fee: int | None = None
