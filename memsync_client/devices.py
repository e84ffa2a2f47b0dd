"""The owner's machines: a new one shows a card, one that has the keys adds it, and removes it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import keyfile
from .addresses import checksummed
from .cards import DeviceCard, Sheet, check_name
from .client import PRACTICE_FUNDS, PRACTICE_RPC, Client, begin_with_all, check_empty, confirmations
from .errors import InvalidKit, InvalidRequest, MemSyncError, NotInitialised, UnknownDevice
from .files import make_dir
from .holding import added_by, may_commit
from .home import Config, Home, NewDevice
from .hosts import Hosts
from .keyfile import Passphrase, ask
from .keyring import Holder, Role, Roster
from .keys import self_test
from .records import Receipt
from .roster import account_of
from .session import PRACTICE_CHAIN
from .vault import Vault

DEFAULT_RIGHT = timedelta(days=730)
_SHORTEST_ID = 8  # hex digits of a key id that stand for a device


@dataclass(frozen=True)
class DeviceLine:
    """One device over all vaults that this one opens: its name, key id, address (None without an account of its own),
    who added it (a name; None if that one is gone), the vaults that it reads, those that it may commit to, and those in
    which it is to make its key anew."""

    name: str
    key_id: bytes
    address: str | None
    added_by: str | None
    this: bool
    reads: tuple[str, ...]
    commits: tuple[str, ...]
    pending: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """What removing a device would do: the vaults that get keys of a new epoch, and, by vault, the holders that it has
    added, and all the others that stay. ``last`` if no device and no kit would be left somewhere.

    Who has added a holder is what the device wrote that sealed the roster: a hostile one may have planted a holder
    under another's id. So those who stay are for a person to look through.
    """

    name: str
    key_id: bytes
    this: bool
    last: bool
    added: dict[str, tuple[Holder, ...]]
    staying: dict[str, tuple[Holder, ...]]


# On the new machine ---------------------------------------------------------------------------------------------------


def new_device(
    home: Home,
    passphrase: Passphrase,
    name: str,
    *,
    rpc: str = PRACTICE_RPC,
    registry: str | None = None,
    commit: bool = False,
) -> DeviceCard:
    """Makes a device key, and with ``commit`` an account of its own, and returns the card to show to a device that has
    the vaults' keys. Done again, it returns the same card."""
    self_test()
    check_empty(home)
    check_name(name, InvalidRequest)
    from . import wallet
    from .registry import Registry

    node = Registry.connect(rpc, address=registry)
    asked = NewDevice(name, node.chain_id, rpc, node.address)
    before = home.new_device()
    if before and (before.name, before.chain_id) != (asked.name, asked.chain_id):
        raise InvalidRequest(
            f"A device {before.name!r} on chain {before.chain_id} was begun here.",
            "Go on with it, or name another home.",
        )
    passphrase = ask(passphrase)
    if not passphrase:
        raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    make_dir(home.folder)
    (keyfile.unlock if home.device_key.exists() else keyfile.create)(home.device_key, passphrase)
    if commit or home.wallet.exists():
        (wallet.unlock if home.wallet.exists() else wallet.create)(home.wallet, passphrase)
    home.write_new_device(asked)
    return _own_card(home, asked)


def join(home: Home, passphrase: Passphrase, sheet: Sheet) -> list[Vault]:
    """Takes in all vaults after another device has added this one. Every keyring must follow from the sheet's anchor.

    Raises InvalidKit for a sheet made for another key, AccessEnded where this device was not added.
    """
    check_empty(home)
    begun = home.new_device()
    if begun is None:
        raise NotInitialised(f"No device was begun in {home.folder}.", "Begin with: memsync device new --name NAME")
    if sheet.holder != keyfile.public_key(home.device_key).id:
        raise InvalidKit("This sheet was made for another device.", "Give the one that `memsync device add` printed.")
    owner, registry = checksummed(sheet.owner), checksummed(sheet.registry)
    if (begun.chain_id, begun.registry) != (sheet.chain_id, registry):
        raise InvalidKit(
            f"The sheet is of chain {sheet.chain_id}, and this device was begun on chain {begun.chain_id}.",
            "Begin the device with an RPC node of that chain: memsync device new --rpc URL",
        )
    keyfile.unlock(home.device_key, ask(passphrase))  # a wrong passphrase is known before anything is written
    config = Config(begun.chain_id, begun.rpc, registry, owner, confirmations(begun.chain_id), device=begun.name)
    Hosts(home).take_hints(sheet.base_uris)
    return begin_with_all(home, passphrase, config, sheet.anchors)


def _own_card(home: Home, begun: NewDevice) -> DeviceCard:
    from . import wallet

    address = bytes.fromhex(wallet.load_address(home.wallet)[2:]) if home.wallet.exists() else None
    return DeviceCard(begun.name, keyfile.public_key(home.device_key), begun.chain_id, address)


# On a machine that has the keys ---------------------------------------------------------------------------------------


def add_device(
    client: Client,
    card: DeviceCard,
    lasting: timedelta = DEFAULT_RIGHT,
    *,
    done: Callable[[Vault, Receipt | None], None] = lambda vault, receipt: None,
) -> Sheet:
    """Gives a device all keys of every vault that opens here, and its account, if it has one, the right to commit to
    them for so long; ``done`` is told after each vault. Returns the sheet for the new device to join with.

    Interrupted, it can be done again. Raises InvalidRequest for a card of another chain or a name that is taken.
    """
    session = client.session
    if card.chain_id != session.config.chain_id:
        raise InvalidRequest(
            f"The card is of chain {card.chain_id}, and this home of chain {session.config.chain_id}.",
            "Begin the device with an RPC node of this chain: memsync device new --rpc URL",
        )
    if not client.living():
        raise InvalidRequest("There is no vault that a device could be added to.", "Make one: memsync vault new NAME")
    if card.address is not None:
        _ = session.owner_wallet
        if session.config.chain_id == PRACTICE_CHAIN:
            from . import practice

            practice.fund(session.registry.rpc_url, checksummed(card.address), PRACTICE_FUNDS)
    for vault, _ in _opened(client):
        with naming(vault):
            receipt = vault.add_device(card, lasting)
        done(vault, receipt)
    return sheet_for(client, card.key.id)


def sheet_for(client: Client, key_id: bytes) -> Sheet:
    """Where everything is, for the holder of that key."""
    session = client.session
    vaults = [vault for vault, _ in client.opened()]
    bases = {vault.record().base_uri for vault in vaults}
    bases.update(*(session.hosts.for_others(vault.place.vault_id) for vault in vaults))
    return Sheet(
        key_id,
        session.config.chain_id,
        bytes.fromhex(session.config.registry[2:]),
        bytes.fromhex(session.config.owner[2:]),
        session.rpc_hint,
        tuple(sorted(bases)),
        {vault.place.vault_id: vault.anchor() for vault in vaults},
        datetime.now(UTC).replace(microsecond=0),
    )


def devices(client: Client) -> list[DeviceLine]:
    """The owner's devices in the rosters of the vaults that open here. Raises why where none does."""
    found: dict[bytes, Holder] = {}
    names: dict[bytes, str] = {}
    reads: dict[bytes, list[str]] = {}
    commits: dict[bytes, list[str]] = {}
    pending: dict[bytes, list[str]] = {}
    for vault, roster in _opened(client):
        grants = vault.public_grants()
        for holder in roster.holders:
            names[holder.key.id] = holder.name
            if holder.role is Role.DEVICE:
                if holder.key.id not in found or holder.address:
                    found[holder.key.id] = holder
                reads.setdefault(holder.key.id, []).append(vault.label)
                if holder.pending:
                    pending.setdefault(holder.key.id, []).append(vault.label)
                if holder.address and may_commit(holder, grants):
                    commits.setdefault(holder.key.id, []).append(vault.label)
    mine = client.session.device_public.id
    return [
        DeviceLine(
            holder.name,
            key_id,
            account_of(holder),
            names.get(holder.added_by),
            key_id == mine,
            tuple(reads[key_id]),
            tuple(commits.get(key_id, ())),
            tuple(pending.get(key_id, ())),
        )
        for key_id, holder in found.items()
    ]


def known_card(client: Client, name: str) -> DeviceCard | None:
    """The card of a device that is in a roster already, None if no device has that name. Raises UnknownDevice where
    several have it: one of them may have been planted."""
    cards = [
        DeviceCard(holder.name, holder.key, client.session.config.chain_id, holder.address)
        for _, roster in client.opened()
        for holder in roster.holders
        if holder.role is Role.DEVICE and holder.name == name
    ]
    if len({card.key for card in cards}) > 1:
        raise UnknownDevice(f"More than one device is named {name!r}.", "`memsync device list` shows their keys.")
    return next((card for card in cards if card.address), next(iter(cards), None))


def plan_removal(client: Client, name: str) -> Removal:
    """What removing the device would do that has this name, or whose key id begins so (8 hex digits or more, where two
    have one name). Nothing is changed. Raises UnknownDevice."""
    lines = devices(client)
    by_key = [line for line in lines if len(name) >= _SHORTEST_ID and line.key_id.hex().startswith(name.lower())]
    found = by_key or [line for line in lines if line.name == name]
    if len(found) != 1:
        names = ", ".join(f"{line.name} ({line.key_id.hex()[:16]})" for line in lines) or "none"
        what = "No device is" if not found else "More than one device is"
        raise UnknownDevice(f"{what} named {name!r}. Devices: {names}.", "`memsync device list` shows them.")
    line, added, staying, last = found[0], {}, {}, False
    for vault, roster in client.opened():
        holders = roster.holders
        removed = next((holder for holder in holders if holder.key.id == line.key_id), None)
        if removed:
            added[vault.label] = tuple(added_by(holders, removed, client.session.device_public.id))
            gone = (removed, *added[vault.label])
            staying[vault.label] = tuple(holder for holder in holders if holder not in gone)
            left = [h for h in holders if h is not removed and h.role is not Role.READER]
            last = last or not left
    return Removal(line.name, line.key_id, line.this, last, added, staying)


def remove_device(
    client: Client,
    removal: Removal,
    *,
    keep_added: bool = False,
    done: Callable[[Vault, list[Receipt]], None] = lambda vault, receipts: None,
) -> None:
    """Ends the right of a device's account to commit, and brings keys of a new epoch without the device, and without
    whom it has added unless ``keep_added``, to every vault that it could read; ``done`` is told after each.

    What was sealed until then it can still open. Raises InvalidRequest where nobody would be left to open a vault, and
    where only the owner's wallet can do it.
    """
    if removal.last:
        raise InvalidRequest(
            "This is the last device, and there is no recovery kit: nobody could open the memory any more.",
            "Make a kit first (memsync kit make), or add another device.",
        )
    for vault in client.vaults():
        if vault.label in removal.added:
            others = () if keep_added else removal.added[vault.label]
            leaving = {removal.key_id, *(holder.key.id for holder in others)}
            if all(h.role is Role.READER or h.key.id in leaving for h in vault.roster().holders):
                raise InvalidRequest(
                    f"Nobody would be left to open {vault.label!r}: all others were added by {removal.name!r}.",
                    "Keep them (--keep-added), or make a new kit first: memsync kit make",
                )
            with naming(vault):
                receipts = vault.leave_out(leaving)
            done(vault, receipts)


def _opened(client: Client) -> list[tuple[Vault, Roster]]:
    """The vaults that open; raises what keeps the first one shut where none does."""
    found = client.opened()
    if client.shut and not found:
        raise next(iter(client.shut.values()))
    return found


@contextmanager
def naming(vault: Vault) -> Iterator[None]:
    """An error in one of several vaults says in which."""
    try:
        yield
    except MemSyncError as error:
        error.cause = f"{vault.label}: {error.cause}"
        error.args = (error.cause,)
        raise
