"""Who may open a vault: lending it to readers, taking it back, and the keyrings that follow from both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .addresses import checksummed
from .cards import Card, Invitation
from .committing import Batch, NewKeyring
from .errors import InvalidRequest, MemSyncError, UnknownReader, VaultLocked
from .keyring import Holder, OwnerKeys, Role, Roster, seal_keyring
from .keys import Anchor
from .opened import OpenedVault
from .reading import View
from .records import PublicGrant, Receipt, VaultRecord
from .roster import (
    READ,
    account_of,
    expired,
    find_reader,
    first_epoch,
    keys_due,
    roster_of,
    stands,
    staying,
    too_old,
    with_reader,
)
from .sealing import sha256

DEFAULT_GRANT = timedelta(days=90)


@dataclass(frozen=True)
class GrantResult:
    """A grant on chain (or in the keyring alone, if private), with the invitation for the reader."""

    reader: str
    expires: datetime
    invitation: Invitation
    receipt: Receipt


@dataclass(frozen=True)
class ReaderLine:
    """One reader: its name in the roster, address (None if private), first readable epoch, expiry, and whether it can
    read now."""

    name: str
    address: str | None
    since: int
    expires: datetime
    living: bool


@dataclass(frozen=True)
class NewKeys:
    """Why a sync brought the keys of a new ``epoch``: the time of the holders ``ended`` had passed, those of
    ``revoked`` had lost their grants, the keys were as old as the owner lets them become (``aged``); else the vault was
    locked, or somebody is to read from that epoch on."""

    epoch: int
    ended: tuple[str, ...]
    revoked: tuple[str, ...]
    aged: bool


class LentVault(OpenedVault):
    """An opened vault with its key holders."""

    def grant(
        self, card: Card, lasting: timedelta = DEFAULT_GRANT, *, private: bool = False, from_now: bool = False
    ) -> GrantResult:
        """Lends the vault to the reader of ``card``: a new keyring with an envelope for it, in one transaction.

        It opens everything back to the last clean cut, or with ``from_now`` what is sealed after it. A public grant
        stands on chain under the card's address; a private one is an envelope and nothing else. Granting the same card
        again can only prolong it, and without ``from_now`` opens everything.
        """
        with self._session.lock():
            return self._on_newest(lambda view: self._grant(view, card, lasting, private, from_now))

    def _grant(self, view: View, card: Card, lasting: timedelta, private: bool, from_now: bool) -> GrantResult:
        record, roster, keys = view.record, roster_of(view.keyring), view.keyring.owner_keys
        if record.locked or any(expired(holder, record) for holder in roster.holders):
            raise VaultLocked("The vault's keys are to be renewed first.", "Run `memsync sync`, then grant again.")
        if record.base_uri.partition(":")[0] not in card.schemes:
            raise InvalidRequest(
                f"The reader {card.name!r} can't fetch blobs from {record.base_uri}.",
                "It reads " + ", ".join(card.schemes) + ".",
            )
        self._session.check_clock(strict=True)
        expires = (self._session.now() + lasting).replace(microsecond=0)
        address = None if private else card.address
        since = first_epoch(roster, card.key, record) if from_now else 1
        holder = Holder(card.key, Role.READER, card.name, since, expires, address, self._session.device_public.id)
        new = NewKeyring(keys, with_reader(roster, holder))
        if since > record.epoch:  # the epoch rises, so that the reader has no key to what was before
            new = self._next_keyring(view, None)
            new = replace(new, roster=with_reader(new.roster, holder))
        invitation = self._invitation(record, new.keys.anchor)
        account, registry = checksummed(card.address), self._session.registry
        terms = (account, READ, expires, card.key.id[:20])
        if private or since > record.epoch:
            then = [] if private else [registry.grant(self.place.vault_id, record.version + 1, *terms)]
            receipt = self._commit(view, Batch([]), new, then=then).receipt
            return GrantResult(card.name, expires, invitation, receipt)
        self._session.unlock()
        ring = seal_keyring(self.place, keys, new.roster, view.keyring)
        call = registry.grant(self.place.vault_id, record.version, *terms, sha256(ring))
        prepared = self._session.prepare(call, self._session.owner_wallet)  # refused before anything is stored
        receipt = self._committer(record).land_with(ring, prepared)
        self._look(view, record.version + 1, receipt.block.number, new.roster)
        return GrantResult(card.name, expires, invitation, receipt)

    def invitation(self) -> Invitation:
        """What a reader that was granted before joins with."""
        view = self._view(self.record())
        return self._invitation(view.record, view.keyring.keys.anchor)

    def _invitation(self, record: VaultRecord, anchor: Anchor) -> Invitation:
        mirrors = self._session.hosts.for_others(self.place.vault_id)
        bases = tuple(dict.fromkeys((record.base_uri, *mirrors)))
        return Invitation(self.place, self._session.rpc_hint, bases, anchor)

    def grants(self) -> list[ReaderLine]:
        """Every reader in the roster, and every public grant that the roster does not know (named by its address)."""
        view, public = self._reading(self._view), self.public_grants()
        readers = [holder for holder in roster_of(view.keyring).holders if holder.role is Role.READER]
        lines = []
        for holder in readers:
            living = not expired(holder, view.record) and stands(holder, public)
            lines.append(
                ReaderLine(
                    holder.name, account_of(holder), holder.since, holder.expires or view.record.block.time, living
                )
            )
        known = {account_of(holder) for holder in roster_of(view.keyring).holders}
        strangers = [grant for grant in public if grant.grantee not in known]
        return lines + [ReaderLine(g.grantee, g.grantee, 0, g.expires, g.living) for g in strangers]

    def readers_named(self, name: str) -> list[ReaderLine]:
        """The reader of that name or address, as ``revoke`` finds it. Raises UnknownReader."""
        found = [line for line in self.grants() if name == line.name or name.lower() == (line.address or "").lower()]
        if not found:
            try:
                find_reader(roster_of(self._reading(self._view).keyring), self.public_grants(), name)
            except UnknownReader as error:
                raise self._ended(name) or error from None
        return found

    def _ended(self, name: str) -> UnknownReader | None:
        """What to say of a name that is in the roster no more, where its grant has ended and still stands on chain."""
        names = self.glance.names if self.glance else {}
        for grant in self.public_grants():
            if names.get(grant.grantee) == name and not grant.living:
                return UnknownReader(
                    f"The grant of {name!r} ended on {grant.expires:%Y-%m-%d}, and the keys of now leave it out.",
                    f"There is nothing to take back. `memsync revoke {grant.grantee}` takes it off the list, too.",
                )
        return None

    def revoke(self, name: str) -> list[Receipt]:
        """Takes back a grant (a reader's name or address): the epoch rises, and a new keyring leaves the reader out.

        What was sealed until now the reader can still open wherever a copy survives. The revocation on chain needs no
        blob where an address is named, and waits for nothing.
        """
        with self._session.lock():
            self._session.resume()  # it may be this very revocation
            record, holder = self.record(), None
            granted = next((g for g in self.public_grants() if g.grantee.lower() == name.lower()), None)
            if granted is None:
                try:
                    holder, granted = find_reader(roster_of(self._view(record).keyring), self.public_grants(), name)
                except UnknownReader as error:
                    self._settled_view()  # it may be gone by what an earlier process did not finish
                    raise self._ended(name) or error from None
            receipts = [self._revoke_on_chain(record, granted)] if granted else []

            def renew(view: View) -> list[Receipt]:
                holders = roster_of(view.keyring).holders
                gone = holder is None or all(other.key != holder.key for other in holders)
                if not view.record.locked and gone:
                    return []  # another device was faster
                ring = self._next_keyring(view, None, leave_out=holder)
                return [self._commit(view, Batch([]), ring).receipt]

            try:
                return receipts + self._on_newest(renew)
            except MemSyncError as error:
                if receipts:
                    error.cause = f"The revocation stands on chain; the new keys are not there yet. {error.cause}"
                    error.args = (error.cause,)
                raise

    def revoke_all(self) -> list[Receipt]:
        """Takes back every grant, by a new tenure: of readers, private ones too, and of devices with an account of
        their own, which open nothing of the new epoch then."""
        with self._session.lock():
            call = self._session.registry.revoke_all(self.place.vault_id)
            receipts = [self._session.land(self._session.prepare(call, self._session.owner_wallet))]
            self._session.say("revoked on chain; the vault is locked until its new keyring stands")

            def renew(view: View) -> Receipt:
                return self._commit(view, Batch([]), self._next_keyring(view, False)).receipt

            try:
                return [*receipts, self._on_newest(renew)]
            except MemSyncError as error:
                error.cause = f"The revocation stands on chain; the new keys are not there yet. {error.cause}"
                error.args = (error.cause,)
                raise

    def _revoke_on_chain(self, record: VaultRecord, granted: PublicGrant) -> Receipt:
        """Ends a grant, and notes that this rise of the epoch is ours, unless the vault is locked by another's."""
        ours, registry = self._bumps_are_ours(record), self._session.registry
        call = registry.revoke(self.place.vault_id, granted.grantee)
        prepared = self._session.prepare(call, self._session.owner_wallet)

        def announce(hashes: list[bytes]) -> None:
            if ours:
                self._sealed("bump").write({"epoch": record.epoch + 1, "txs": hashes})

        receipt = self._session.land(prepared, announce)
        self._session.say("revoked on chain; the vault is locked until its new keyring stands")
        return receipt

    def _bumps_are_ours(self, record: VaultRecord) -> bool:
        """Whether no epoch has risen since the last commit but by a revocation that this device sent and that
        landed."""
        bump = self._sealed("bump").read({"epoch": int, "txs": list})
        if not record.locked or bump is None or bump["epoch"] != record.epoch:
            return not record.locked
        found = filter(None, map(self._session.registry.included, bump["txs"]))
        return any(succeeded for _, succeeded in found)

    def change_holders(
        self,
        change: Callable[[Roster], Roster],
        *,
        new_epoch: bool = False,
        keep_private: bool | None = None,
        new_owner: bool = False,
    ) -> Receipt | None:
        """Commits a keyring with the roster that ``change`` makes of the present one, and an empty head.

        Who joins gets the keys of the present epoch; leaving somebody out needs ``new_epoch``, so that what is sealed
        from then on is closed to it. On chain both look like any commit with a keyring. ``new_owner`` says that the
        roster is the one of whoever has just come to own the vault. None if nothing was changed.
        """

        with self._session.lock():
            return self._change_holders(change, new_epoch=new_epoch, keep_private=keep_private, new_owner=new_owner)

    def _change_holders(
        self,
        change: Callable[[Roster], Roster],
        *,
        new_epoch: bool = False,
        keep_private: bool | None = None,
        new_owner: bool = False,
    ) -> Receipt | None:
        def attempt(view: View) -> Receipt | None:
            before = roster_of(view.keyring)
            after = change(before)
            if after == before:
                return None
            if new_epoch or view.record.locked:
                ring = self._next_keyring(view, keep_private)
                ring = replace(ring, roster=change(ring.roster))
            else:
                ring = NewKeyring(view.keyring.owner_keys, after)
            return self._commit(view, Batch([]), ring, new_owner=new_owner).receipt

        return self._on_newest(attempt)

    def _due_keyring(self, view: View, keep_private: bool | None) -> NewKeyring | None:
        due = view.record.locked or keys_due(roster_of(view.keyring), view.record)
        return self._next_keyring(view, keep_private) if due else None

    def _new_keys(self, view: View, ring: NewKeyring) -> NewKeys:
        """Why ``ring`` was due after ``view``."""
        before, staying = roster_of(view.keyring), {holder.key for holder in ring.roster.holders}
        gone = [holder for holder in before.holders if holder.key not in staying]
        ended, revoked = (
            tuple(holder.name for holder in gone if expired(holder, view.record) is passed) for passed in (True, False)
        )
        return NewKeys(ring.keys.epoch, ended, revoked, too_old(before, view.record))

    def _next_keyring(self, view: View, keep_private: bool | None, leave_out: Holder | None = None) -> NewKeyring:
        """Keys of a new epoch for those who stay: private readers only after a bump that this device made, or by a
        yes."""
        record = view.record
        if keep_private is None and self._bumps_are_ours(record):
            keep_private = True
        who = staying(
            roster_of(view.keyring), record, self.public_grants(), keep_private=keep_private, leave_out=leave_out
        )
        keys = OwnerKeys.new(record.epoch if record.locked else record.epoch + 1)
        return NewKeyring(keys, replace(who, rotated=record.block.time))
