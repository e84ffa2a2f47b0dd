"""The owner's own key holders of a vault: devices, and the recovery kit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from .access import LentVault
from .addresses import checksummed
from .cards import DeviceCard
from .committing import Batch, NewKeyring
from .errors import InvalidRequest, MemSyncError, VaultLocked
from .keyring import Holder, Role, Roster, seal_keyring
from .keys import Anchor, PublicKey
from .reading import View
from .records import PublicGrant, Receipt
from .roster import KEYS, WRITE, account_of, roster_of
from .sealing import sha256

KIT_NAME = "recovery kit"


class HeldVault(LentVault):
    """An opened vault with the owner's own key holders."""

    def roster(self) -> Roster:
        """Who holds keys. Raises AccessEnded where this device does not."""
        return roster_of(self._reading(self._view).keyring)

    def anchor(self) -> Anchor:
        """What a machine that knows nothing yet is to compare the vault's keyring with."""
        return self._reading(self._view).keyring.keys.anchor

    def add_device(self, card: DeviceCard, lasting: timedelta) -> Receipt | None:
        """Gives a device of the owner all keys of the vault, and its account, if it has one, the right to commit and
        to bring keyrings for so long: in one transaction. None where all of that stands already."""

        def attempt(view: View) -> Receipt | None:
            before, record = roster_of(view.keyring), view.record
            after = with_device(before, card, self._session.device_public.id)
            ring = NewKeyring(view.keyring.owner_keys, after)
            if record.locked:
                raise VaultLocked("The vault's keys are to be renewed first.", "Run `memsync sync`, then try again.")
            if card.address is None:
                return None if after == before else self._commit(view, Batch([]), ring).receipt
            account, expires = checksummed(card.address), self._session.now() + lasting
            standing = next((grant for grant in self.public_grants() if grant.grantee == account), None)
            if after == before and lasts(standing, expires, lasting):
                return None
            registry, rights = self._session.registry, WRITE | KEYS
            key_id = standing.key_id if standing and standing.living else card.key.id[:20]  # an older key's, may be
            blob = seal_keyring(self.place, ring.keys, after, view.keyring) if after != before else None
            call = registry.grant(
                self.place.vault_id, record.version, account, rights, expires, key_id, blob and sha256(blob)
            )
            prepared = self._session.prepare(call, self._session.owner_wallet)
            committer = self._committer(record)
            receipt = committer.land_with(blob, prepared) if blob else self._session.land(prepared)
            self._look(view, record.version + 1, receipt.block.number, after)
            return receipt

        with self._session.lock():
            if card.address is not None:
                _ = self._session.owner_wallet
            self._session.unlock()
            return self._on_newest(attempt)

    def set_kit(self, kit: PublicKey) -> list[Receipt]:
        """Makes ``kit`` the vault's only recovery kit. Another one opens nothing that is sealed from then on."""

        def change(roster: Roster) -> Roster:
            return with_kit(roster, kit, self._session.device_public.id)

        if any(holder.role is Role.KIT and holder.key != kit for holder in self.roster().holders):
            return self.exchange(change)
        receipt = self.change_holders(change)
        return [receipt] if receipt else []

    def leave_out(self, key_ids: Collection[bytes]) -> list[Receipt]:
        """Ends the public grants of these holders, then brings keys of a new epoch without them."""
        return self.exchange(
            lambda roster: replace(roster, holders=tuple(h for h in roster.holders if h.key.id not in key_ids))
        )

    def exchange(
        self, change: Callable[[Roster], Roster], *, keep_private: bool | None = None, new_owner: bool = False
    ) -> list[Receipt]:
        """Ends the public grants of those whom ``change`` leaves out, then brings the roster that it makes, under keys
        of a new epoch. Done again after an interruption, it does what is left. ``new_owner``: see ``change_holders``.
        """
        with self._session.lock():
            before = roster_of(self._settled_view().keyring)
            kept = {holder.key for holder in change(before).holders}
            gone = {account_of(holder) for holder in before.holders if holder.key not in kept}
            receipts = [
                self._revoke_on_chain(self.record(), grant) for grant in self.public_grants() if grant.grantee in gone
            ]
        try:
            last = self.change_holders(change, new_epoch=True, keep_private=keep_private, new_owner=new_owner)
        except MemSyncError as error:
            if receipts:
                error.cause = f"The revocation stands on chain; the new keys are not there yet. {error.cause}"
                error.args = (error.cause,)
            raise
        return receipts + ([last] if last else [])


def with_device(roster: Roster, card: DeviceCard, added_by: bytes) -> Roster:
    """The roster with the device of ``card``. Raises InvalidRequest if its name or key is somebody else's."""
    mine = Holder(card.key, Role.DEVICE, card.name, 1, None, card.address, added_by)
    for holder in roster.holders:
        if holder.key == card.key and holder.role is Role.DEVICE and holder.name == card.name:
            same = replace(holder, address=card.address)
            return replace(roster, holders=tuple(same if other is holder else other for other in roster.holders))
        if holder.key == card.key or holder.name == card.name:
            what = "key" if holder.key == card.key else "name"
            raise InvalidRequest(
                f"There is a {holder.role.name.lower()} {holder.name!r} with this {what} already.",
                "Give the new device another name: memsync device new --name NAME",
            )
    return replace(roster, holders=(*roster.holders, mine))


def with_kit(roster: Roster, kit: PublicKey | None, added_by: bytes) -> Roster:
    """The roster with ``kit`` as its only recovery kit, or with none."""
    if kit and [holder.key for holder in roster.holders if holder.role is Role.KIT] == [kit]:
        return roster
    others = tuple(holder for holder in roster.holders if holder.role is not Role.KIT)
    mine = (Holder(kit, Role.KIT, KIT_NAME, 1, None, None, added_by),) if kit else ()
    return replace(roster, holders=(*others, *mine))


def added_by(holders: Collection[Holder], removed: Holder, myself: bytes) -> list[Holder]:
    """Whom ``removed`` has added, they in turn, and so on; never the device of key id ``myself``."""
    suspects, found = {removed.key.id}, []
    for _ in holders:
        for holder in holders:
            if holder.added_by in suspects and holder.key.id not in suspects | {myself}:
                suspects.add(holder.key.id)
                found.append(holder)
    return found


def lasts(standing: PublicGrant | None, expires: datetime, lasting: timedelta) -> bool:
    """Whether the grant of a device that is asked to last for so long, until ``expires``, needs no renewal."""
    return standing is not None and standing.living and standing.expires >= expires - lasting / 2


def may_commit(holder: Holder, grants: Collection[PublicGrant]) -> bool:
    """Whether a device's own account has a living grant to write."""
    account = account_of(holder)
    return any(g.grantee == account and g.living and g.rights & WRITE for g in grants)
