"""Keeping a vault clean: rotating its keys, cutting off what was before, and taking memories out of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum
from itertools import islice

from .committing import Batch, Landed, NewKeyring, Rewrite
from .errors import AccessEnded, BlobMissing, InvalidRequest, MemSyncError, StorageUnavailable, Tampered
from .heads import PackRef
from .holding import HeldVault
from .keyring import Holder, Role, Roster, open_keyring
from .keys import PublicKey
from .merging import replaced_before
from .reading import Progress, View, read_forgotten
from .records import Receipt
from .rekeying import with_key
from .rewriting import earlier_keyrings, epochs_holding, named_before, resealed, thinned
from .roster import roster_of
from .storage.blobs import Blobs

SHORTEST_PERIOD = timedelta(days=1)  # a keyring has room for some two thousand epochs
_AT_ONCE = 8  # packs made anew, of up to 1 MB
_LONGEST_PERIOD = timedelta(days=36_500)


class Level(IntEnum):
    """How far a memory is forgotten: gone from the vault; also sealed away from every key of the new epoch; also the
    owner's keys made anew, so that nothing that the owner still has opens what was archived before."""

    GONE = 1
    SEALED_AWAY = 2
    KEYS_REMADE = 3


@dataclass(frozen=True)
class Kept:
    """What keeping a vault clean has done, in the commits of ``landed``, and for a new key of this device in those of
    ``receipts`` in other vaults.

    ``left`` are the hashes of blobs that were to be deleted and that the host still has. ``openers`` are those whose
    keys of before would open a copy that someone archived; ``cut_before`` says that more of them may be unknown, since
    the keyrings before an earlier clean cut are gone. ``pending`` are the owner's devices and kits that are still to
    make their keys anew.
    """

    landed: tuple[Landed, ...]
    receipts: tuple[Receipt, ...] = ()
    left: tuple[bytes, ...] = ()
    openers: tuple[Holder, ...] = ()
    cut_before: bool = False
    pending: tuple[Holder, ...] = ()


class KeptVault(HeldVault):
    """An opened vault whose keys and packs can be made anew."""

    def rotate(self, *, clean: bool = False, every: timedelta | None = None, progress: Progress | None = None) -> Kept:
        """Raises the epoch: what is sealed from now on opens with new keys alone.

        Old packs stay, linked for those who may read back. ``clean`` seals all of them anew, links nothing, and deletes
        the old blobs where the host allows it. With ``every`` each sync rotates once the keys are that old; zero ends
        that. Raises InvalidRequest.
        """
        if every and not SHORTEST_PERIOD <= every <= _LONGEST_PERIOD:
            raise InvalidRequest("Keys are rotated every day at the most.", "Name a time such as 30d or 12w.")

        def attempt(view: View) -> Kept:
            ring = self._next_keyring(view, None)
            if every is not None:
                ring = replace(ring, roster=replace(ring.roster, rotate_every=every or None))
            if clean:
                landed = self._cut(view, ring, frozenset(), Batch([]), progress)
            else:
                landed = self._commit(view, Batch([]), ring)
            return Kept((landed,), left=landed.left, pending=pending(ring.roster))

        with self._session.lock():
            done = self._on_newest(attempt)
            return replace(done, landed=done.landed + self._let_in())

    def _forget(
        self,
        ids: frozenset[bytes],
        level: Level,
        change: Callable[[Roster], Roster],
        dropped: list[str],
        progress: Progress | None,
    ) -> Kept:
        """Takes the memories of ``ids`` out of the packs, and then the entries ``dropped`` out of the outbox.
        ``change`` makes the roster of a cut."""
        nothing = Batch([], dropped)

        def attempt(view: View) -> Kept:
            openers, cut_before = self._openers(view, ids), _cut_before(view)
            if level is Level.GONE:
                landed = self._thin(view, ids, nothing, progress)
            else:
                ring = self._next_keyring(view, None)
                landed = self._cut(view, replace(ring, roster=change(ring.roster)), ids, nothing, progress)
            if landed is None:
                self._outbox.remove(dropped)
                return Kept((), openers=openers, cut_before=cut_before)
            return Kept((landed,), left=landed.left, openers=openers, cut_before=cut_before)

        done = self._on_newest(attempt)
        more = self._let_in() if level is not Level.GONE else ()
        left = pending(roster_of(self._reading(self._view).keyring))
        return replace(done, landed=done.landed + more, pending=left)

    def _thin(self, view: View, ids: frozenset[bytes], nothing: Batch, progress: Progress | None) -> Landed | None:
        """Commits a base whose packs are without the memories of ``ids``; None if there is nothing of them and they
        are known as forgotten already."""
        blobs, ring = self._blobs(view.record), self._due_keyring(view, None)
        known = read_forgotten(view, blobs.fetch)
        self._committer(view.record).check(view, ring)
        packs: list[PackRef] = []
        stored = 0
        for some in _batched(thinned(view, ids, blobs.ahead(view.named), progress, self._notes)):
            packs += [ref for ref, _ in some]
            stored += self._committer(view.record).store(some)
        doomed = {ref.hash for ref in view.packs} | set(view.head.forgotten) | replaced_before(view, blobs.fetch)
        if packs == list(view.packs) and ids <= known:
            return None
        rewrite = Rewrite(tuple(packs), known | ids, frozenset(doomed), stored)
        return self._commit(view, nothing, ring, rewrite)

    def _cut(
        self, view: View, ring: NewKeyring, ids: frozenset[bytes], nothing: Batch, progress: Progress | None
    ) -> Landed:
        """Commits the keyring of a new epoch without links and a base whose packs are all sealed under its keys.

        Who may not read all of the vault would with these keys, and so joins an epoch later: see ``_let_in``.
        """
        blobs = self._blobs(view.record)
        oldest = min((ref.epoch for ref in view.packs), default=ring.keys.epoch)
        holders = tuple(
            replace(holder, since=ring.keys.epoch + 1) if holder.since > oldest else holder
            for holder in ring.roster.holders
        )
        ring = NewKeyring(ring.keys, replace(ring.roster, holders=holders), keep_history=False)
        self._committer(view.record).check(view, ring)
        packs: list[PackRef] = []
        stored = 0
        for some in _batched(
            resealed(view, ids, ring.keys, blobs.ahead(view.named), progress, self._notes, blobs.limit)
        ):
            packs += [ref for ref, _ in some]
            stored += self._committer(view.record).store(some)
        known = read_forgotten(view, blobs.fetch)
        doomed = named_before(view, blobs.fetch) | set(self._earlier_keyrings(view, blobs))
        return self._commit(view, nothing, ring, Rewrite(tuple(packs), known | ids, frozenset(doomed), stored))

    def _let_in(self) -> tuple[Landed, ...]:
        """One commit more where a cut has kept a reader waiting who may read from the next epoch on."""

        def attempt(view: View) -> tuple[Landed, ...]:
            holders = roster_of(view.keyring).holders
            if all(holder.since <= view.keyring.keys.epoch for holder in holders):
                return ()
            return (self._commit(view, Batch([]), self._next_keyring(view, None)),)

        return self._on_newest(attempt)

    def rekey(self) -> tuple[Receipt, ...]:
        """Makes this device's key anew in every vault of this home, and destroys the old one. Whoever is pending since
        a forget at level 3 is done with that."""
        with self._session.lock():
            return self._rekey()

    def _rekey(self) -> tuple[Receipt, ...]:
        session = self._session
        self.check_rekey()
        old, new = session.device.xwing.public, session.begin_rekeying().xwing.public
        labels = session.home.labels()
        for vault_id in session.registry.vaults(session.config.owner):
            if vault_id not in labels.values():
                self._refuse_if_ours(vault_id)
        receipts = []
        for label, vault_id in sorted(labels.items()):
            vault = type(self)(session, label, vault_id)
            if vault.over:
                continue  # another's by now: no key of this home's is in it
            try:
                receipt = vault._change_holders(lambda roster: with_key(roster, old, new))
            except MemSyncError as error:
                error.cause = f"{label}: {error.cause}"
                error.args = (error.cause,)
                raise
            receipts += [receipt] if receipt else []
        session.end_rekeying()
        session.say("this device has a new key; the old one is destroyed")
        return tuple(receipts)

    def check_rekey(self) -> None:
        """Raises InvalidRequest where this home has a closed vault: it takes no new key, and would not open here any
        more once the old one is destroyed. Asks the chain for each vault, so that none is passed over as another's that
        is the owner's again. Needs no passphrase."""
        labels = sorted(self._session.home.labels().items())
        vaults = [type(self)(self._session, label, vault_id) for label, vault_id in labels]
        closed = [vault.label for vault in vaults if not vault.owned() and vault.closed]
        if closed:
            raise InvalidRequest(
                f"{', '.join(closed)} is closed for good, and opens with this device's old key alone.",
                f"Export what you want to keep of it, then let go of it: memsync vault let-go {shlex.quote(closed[0])}",
            )

    def _refuse_if_ours(self, vault_id: bytes) -> None:
        """Raises InvalidRequest if this device's key opens a vault that this home does not know: it would lose it."""
        vault, record = type(self)(self._session, vault_id.hex()[:8], vault_id), self._session.registry.record(vault_id)
        try:
            vault._open(record, vault._blobs(record).fetch)
        except AccessEnded:
            return
        except (BlobMissing, StorageUnavailable, Tampered) as error:
            raise InvalidRequest(
                f"Whether vault 0x{vault_id.hex()} on chain needs this device's old key, nobody can say: {error.cause}",
                "Bring its blobs back, or close it or hand it on, then try again.",
            ) from None
        raise InvalidRequest(
            "This device's key opens a vault on chain that this home has not taken in.",
            "Run `memsync sync` first, so that it gets the new key too.",
        )

    def _earlier_keyrings(self, view: View, blobs: Blobs) -> dict[bytes, int]:
        """The keyrings of this vault that the host still has, with their epochs; the present one among them."""
        named = self._session.registry.keyrings(self.place.vault_id)
        return earlier_keyrings(view, {*named, view.record.keyring_hash}, blobs.fetch)

    def _openers(self, view: View, ids: frozenset[bytes]) -> tuple[Holder, ...]:
        """Everyone whose envelope, in a keyring that the host still has, opens a pack with a memory of ``ids``."""
        blobs = self._blobs(view.record)
        epochs = epochs_holding(view, ids, blobs.fetch, self._notes)
        found: dict[bytes, Holder] = {}
        for blob_hash, epoch in self._earlier_keyrings(view, blobs).items():
            for key in self._session.openers:
                with suppress(MemSyncError):  # a keyring of before this device was added
                    ring = open_keyring(self.place, epoch, blobs.fetch(blob_hash, "earlier keyring"), key)
                    for holder in roster_of(ring).holders:
                        if any(holder.since <= sealed <= epoch for sealed in epochs):
                            found[holder.key.id] = holder
        return tuple(found.values())


def _batched(packs: Iterator[tuple[PackRef, bytes | None]]) -> Iterator[list[tuple[PackRef, bytes | None]]]:
    """A few at a time: each storing waits for the disk, and all at once may be much memory."""
    while some := list(islice(packs, _AT_ONCE)):
        yield some


def pending(roster: Roster) -> tuple[Holder, ...]:
    """The devices and kits that are to make their keys anew."""
    return tuple(holder for holder in roster.holders if holder.pending)


def all_pending(roster: Roster, own: PublicKey) -> Roster:
    """The roster in which all devices and kits are to make their keys anew, but the one that has just done so."""
    return replace(
        roster,
        holders=tuple(
            replace(holder, pending=holder.role is not Role.READER and holder.key != own) for holder in roster.holders
        ),
    )


def _cut_before(view: View) -> bool:
    """Whether the oldest epoch that this vault's keyring links is not its first: a clean cut lies before it."""
    first = min((step.epoch for step in view.keyring.succession), default=1)
    return min([view.keyring.keys.epoch, *view.keyring.links]) > first
