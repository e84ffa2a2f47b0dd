"""Rules over a roster: who may be added, who stays when an epoch ends, who is meant by a name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .addresses import checksummed
from .errors import AccessEnded, InvalidRequest, UnknownReader
from .keyring import Holder, Keyring, Role, Roster
from .keys import PublicKey
from .records import PublicGrant, VaultRecord

READ, WRITE, KEYS = 1, 2, 4  # rights bits of a grant (contracts/interfaces/IMemoryRegistry.sol)


def roster_of(keyring: Keyring) -> Roster:
    """The roster of a keyring. Raises AccessEnded for a reader, who has none."""
    if keyring.roster is None:
        raise AccessEnded("This key may read the vault, and not write to it.", "Write from a device of the owner.")
    return keyring.roster


def account_of(holder: Holder) -> str | None:
    """The address of a public reader, with its checksum; None for all others."""
    return None if holder.address is None else checksummed(holder.address)


def expired(holder: Holder, record: VaultRecord) -> bool:
    """Whether a holder's time had passed in the record's block."""
    return holder.expires is not None and holder.expires <= record.block.time


def is_guest(roster: Roster, key: PublicKey) -> bool:
    """Whether the device of ``key`` has the vault's keys for a time only, since the vault was offered to it."""
    return any(h.key == key and h.role is Role.DEVICE and h.expires is not None for h in roster.holders)


def keys_due(roster: Roster, record: VaultRecord) -> bool:
    """Whether the next commit is to bring the keys of a new epoch: a holder's time has passed, a holder waits for its
    first epoch, or the keys are as old as the owner lets them become."""
    late = any(expired(holder, record) or holder.since > record.epoch for holder in roster.holders)
    return late or too_old(roster, record)


def too_old(roster: Roster, record: VaultRecord) -> bool:
    """Whether the keys are as old as the owner lets them become."""
    return roster.rotate_every is not None and roster.rotated + roster.rotate_every <= record.block.time


def first_epoch(roster: Roster, key: PublicKey, record: VaultRecord) -> int:
    """The first epoch of a reader who is granted from now on: the next one, or the one it has had until now. Raises
    InvalidRequest for one that may read everything."""
    known = next((holder.since for holder in roster.holders if holder.key == key), record.epoch + 1)
    if known == 1:
        raise InvalidRequest(
            "This reader may read everything already, so not from now on only.",
            "Revoke it first, or grant it without --from-now.",
        )
    return known


def stands(holder: Holder, grants: Iterable[PublicGrant]) -> bool:
    """Whether the chain still has the grant of a public reader, for the same key. Other holders have none to lose, but
    for a device with an account of its own: revoked from whatever wallet, it is out; expired, it only commits no more.
    """
    account = account_of(holder)
    own = [grant for grant in grants if grant.grantee == account]
    if holder.role is Role.READER:
        same_key = [grant for grant in own if grant.key_id == holder.key.id[:20]]
        return account is None or any(grant.living and grant.rights & READ for grant in same_key)
    return account is None or bool(own)


def staying(
    roster: Roster,
    record: VaultRecord,
    grants: list[PublicGrant],
    *,
    keep_private: bool | None,
    leave_out: Holder | None,
) -> Roster:
    """The roster of the next epoch. It fails closed: own devices and kit stay; public readers only where the chain says
    so; private readers as ``keep_private`` says, and where it is None InvalidRequest asks for a yes or no."""
    holders = []
    for holder in roster.holders:
        if (leave_out and holder.key == leave_out.key) or expired(holder, record) or not stands(holder, grants):
            continue
        private = holder.role is Role.READER and holder.address is None
        if private and keep_private is None:
            raise InvalidRequest(
                f"The vault was locked elsewhere; may private readers such as {holder.name!r} stay?",
                "`memsync sync --keep-private` keeps them, `memsync sync --drop-private` does not.",
            )
        if keep_private or not private:
            holders.append(holder)
    return replace(roster, holders=tuple(holders))


def with_reader(roster: Roster, reader: Holder) -> Roster:
    """The roster with ``reader``, who may have been in it until an earlier date. Raises InvalidRequest if the two
    contradict, or another reader has its name or address."""
    others = []
    for other in roster.holders:
        if other.key != reader.key:
            same = other.name == reader.name or (other.address and other.address == reader.address)
            if other.role is Role.READER and same:
                raise InvalidRequest(
                    f"Another reader is named {other.name!r}.",
                    f"`memsync revoke {other.name}` first, or have a card made with another name.",
                )
            others.append(other)
        elif other.role is not Role.READER or other.address != reader.address:
            raise InvalidRequest(
                "This key holds another kind of access already.", f"First `memsync revoke {other.name}`."
            )
        elif other.expires and reader.expires and other.expires >= reader.expires:
            raise InvalidRequest(
                f"{other.name!r} is granted until {other.expires:%Y-%m-%d} already.",
                "Name a longer time, or revoke it first.",
            )
    return replace(roster, holders=(*others, reader))


def find_reader(roster: Roster, grants: list[PublicGrant], name: str) -> tuple[Holder | None, PublicGrant | None]:
    """The reader of that name or address, in the roster and on chain. Raises UnknownReader if it is in neither."""
    readers = [holder for holder in roster.holders if holder.role is Role.READER]
    for holder in readers:
        account = account_of(holder)
        if holder.name == name or (account and account.lower() == name.lower()):
            return holder, next((grant for grant in grants if grant.grantee == account), None)
    for grant in grants:
        if grant.grantee.lower() == name.lower():
            return None, grant
    names = ", ".join(holder.name for holder in readers) or "none"
    raise UnknownReader(f"No reader {name!r}. Readers of this vault: {names}.", "`memsync grants` shows them.")
