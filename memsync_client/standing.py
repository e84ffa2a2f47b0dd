"""Where a home stands, as far as that is known without its passphrase: what waits here, what stands on chain, and who
may read until when. A vault or node that is in trouble does not hide the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from .client import Client
from .errors import MemSyncError
from .glance import Glance, over
from .home import KitNote
from .records import Block, Offer, Recovery, VaultRecord
from .roster import READ
from .storage.owed import OWED, Owed
from .storage.uris import without_user
from .vault import Vault

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class ReaderStanding:
    """A public grant to read: the name that the owner gave (None where this device has not seen it), and its end."""

    name: str | None
    address: str
    expires: datetime
    living: bool


@dataclass(frozen=True)
class VaultStanding:
    """One vault: how many memories wait for a sync, and how many proposals of tools for a yes; ``over`` says in
    words that it is closed, or another's, where that was so when the chain was last asked. ``glance`` is what this
    device knew when it last opened it; ``mirrors`` are the hosts beside the one on chain, and ``owed`` says that one of
    them lacks blobs; the rest stands on chain, and is None or empty where ``trouble`` kept it from
    being asked."""

    name: str
    vault_id: bytes
    waiting: int
    proposed: int
    glance: Glance | None
    mirrors: tuple[str, ...] = ()
    owed: bool = False
    record: VaultRecord | None = None
    readers: tuple[ReaderStanding, ...] = ()
    offer: Offer | None = None
    recovery: Recovery | None = None
    trouble: MemSyncError | None = None
    over: str | None = None

    @property
    def behind(self) -> int | None:
        """How many writes on chain this device has not opened yet; None where either is not known."""
        return self.record.version - self.glance.version if self.record and self.glance else None


@dataclass(frozen=True)
class Standing:
    """A home. ``account`` is who commits here (None: nobody), with ``balance`` in wei; ``rekeying`` says that this
    device's key is being made anew, ``restoring`` that a restore with a kit is not finished, ``on_its_way`` that a
    transaction was sent, or handed to a relayer, and not seen to its end."""

    device: str
    key_id: bytes
    rekeying: bool
    restoring: bool
    on_its_way: bool
    kit: KitNote | None
    owner: str
    account: str | None
    chain_id: int
    node: str
    registry: str
    block: Block | None
    balance: int | None
    vaults: tuple[VaultStanding, ...]
    trouble: MemSyncError | None


def standing(client: Client) -> Standing:
    """Asks the node for what is cheap to ask, and no passphrase. Raises HomeDamaged."""
    from .rpc import Node

    session, home, config = client.session, client.home, client.session.config
    account, block, balance, trouble = session.account, None, None, None
    try:
        block = session.registry.latest()
        balance = session.registry.balance(account) if account else None
    except MemSyncError as error:
        trouble = error
    return Standing(
        device=config.device,
        on_its_way=any(path.exists() for path in (home.sending, home.sending_blob, home.relayed)),
        key_id=session.device_public.id,
        rekeying=home.next_key.exists() or home.ready_key.exists(),
        restoring=home.kit_key.exists(),
        kit=home.kit(),
        owner=config.owner,
        account=account,
        chain_id=config.chain_id,
        node=" ".join(Node(url).name for url in session.rpc.split()),
        registry=config.registry,
        block=block,
        balance=balance,
        vaults=tuple(_vault(session, vault, trouble) for vault in client.vaults()),
        trouble=trouble,
    )


def _vault(session: Session, vault: Vault, trouble: MemSyncError | None) -> VaultStanding:
    vault_id, glance = vault.place.vault_id, vault.glance
    mirrors = tuple(without_user(host.uri) for host in session.hosts.known(vault_id))
    owed = bool(Owed(session.home.vault_folder(vault_id) / OWED))
    here = VaultStanding(
        vault.label, vault_id, vault.waiting(), vault.proposed(), glance, mirrors, owed, over=vault.over
    )
    if trouble:
        return replace(here, trouble=trouble)
    try:
        record = vault.record()
        return replace(
            here,
            record=record,
            over=None if record.owner == session.config.owner else over(record.owner),
            readers=_readers(session, record, glance),
            offer=session.registry.offer_of(vault_id),
            recovery=session.registry.recovery_of(vault_id),
        )
    except MemSyncError as error:
        return replace(here, trouble=error)


def _readers(session: Session, record: VaultRecord, glance: Glance | None) -> tuple[ReaderStanding, ...]:
    """The readers with a public grant. Where nothing was written since this device looked, it knows them all: every
    write raises the version. Else only what came since is looked for."""
    if glance and glance.version == record.version:
        ends = {address: glance.until(address) for address in glance.readers}
    else:
        known, start = (glance.readers, glance.block) if glance else ((), 0)
        grants = session.registry.grants(record.vault_id, start, known)
        ends = {grant.grantee: grant.expires for grant in grants if grant.rights & READ}
    names = glance.names if glance else {}
    return tuple(ReaderStanding(names.get(a), a, end, record.block.time < end) for a, end in ends.items())
