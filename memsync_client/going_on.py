"""Going on from the last good version of a vault, after somebody with a right to write has committed what does not
open: a head that is rubbish or whose blobs are missing, or a keyring that leaves the owner out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from .committing import Batch, Landed
from .errors import AccessEnded, BlobMissing, ForeignKeyring, InvalidRequest, Rollback, Tampered
from .heads import MAX_SKIPS
from .home import read_seen
from .hosting import HostedVault
from .keyring import Holder, Keyring, Role, follows, open_keyring
from .memory_log import Frontier
from .opened import left_out
from .packs import Entry
from .reading import Progress, View, read_items, view_of
from .records import CommitEvent, PublicGrant, Receipt, VaultRecord
from .roster import account_of, roster_of, stands
from .storage.blobs import Blobs


@dataclass(frozen=True)
class Skipped:
    """A commit to be passed over: the version it made, the account that sent it, that account's name in the roster
    (None if it has none there), and what is wrong with it."""

    version: int
    actor: str
    name: str | None
    why: str


@dataclass(frozen=True)
class Detour:
    """What going on would do. ``version`` is that of the last good head, with so many ``memories``; ``skipped`` are the
    commits after it, oldest first. ``left_out_by`` is the account whose keyring leaves this device out, None where the
    newest one opens. The grants of ``revoked`` are taken back; ``holders`` have the new keys, if private readers stay;
    ``unsure`` are those private readers that need a yes for it."""

    version: int
    memories: int
    skipped: tuple[Skipped, ...]
    left_out_by: str | None
    revoked: tuple[PublicGrant, ...]
    holders: tuple[Holder, ...]
    unsure: tuple[str, ...]
    view: View
    newest: CommitEvent
    hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class GoneOn:
    """What was done, what it cost, and the version that it made."""

    detour: Detour
    landed: Landed
    receipts: tuple[Receipt, ...]


class GoingOnVault(HostedVault):
    """An opened vault that can do without the commits of a hostile writer."""

    def detour(self, from_version: int | None = None, progress: Progress | None = None) -> Detour:
        """What ``go_on`` would do; writes nothing. With ``from_version`` all commits after that version count as bad.

        A version counts as good if its head and everything that it names opens and is what the chain and the memory log
        vouch for, and it passes over no other. Raises InvalidRequest where the newest one is good, and BlobMissing or
        Tampered where none is.
        """
        record, registry = self.record(), self._session.registry
        commits = registry.commits(self.place.vault_id)
        if not commits or commits[-1].content_hash != record.content_hash:
            raise InvalidRequest("The node's log lacks the vault's last commit.", "Name another node with --rpc.")
        if from_version is not None and all(commit.version != from_version for commit in commits):
            raise InvalidRequest(
                f"No commit made version {from_version}.", "`memsync vault go-on --dry-run` names one."
            )
        keyring_hash, keyring, left_out_by = self._good_keyring(record)
        why: dict[int, str] = {}
        culprits = {left_out_by}
        good: tuple[View, int] | None = None
        for number in reversed(range(len(commits))):
            commit = commits[number]
            try:
                if from_version is not None and commit.version > from_version:
                    raise AccessEnded("It was made after the version that was named.")
                view = self._as_of(record, commit, keyring_hash, keyring)
                good = view, self._whole(view, commit, commits[number - 1] if number else None, progress)
                break
            except (AccessEnded, BlobMissing, Tampered) as error:
                why[commit.version] = error.cause
                if isinstance(error, _BadHead):
                    culprits.add(commit.actor)
        if good is None:
            raise Tampered(
                f"No version of the vault opens. Of the first: {why[commits[0].version]}",
                "Bring its blobs back, from a copy or another device, and try again.",
            )
        after = commits[number + 1 :]
        if not after and keyring_hash == record.keyring_hash:
            raise InvalidRequest(
                f"The newest version, {commits[-1].version}, opens and is whole.", "There is nothing to pass over."
            )
        if len(after) > MAX_SKIPS:
            raise InvalidRequest(
                f"{len(after):,} commits are to be passed over; {MAX_SKIPS:,} fit.", "Begin a new vault."
            )
        if after:
            culprits.add(after[0].actor)  # what comes later may have been built on it in good faith
        view, memories = good
        roster, grants = roster_of(keyring), self.public_grants()
        names = {account_of(holder): holder.name for holder in roster.holders if holder.address}
        revoked = tuple(g for g in grants if g.grantee in culprits - {record.owner} and g.living)
        ours = self._bumps_are_ours(record) and commits[-1].epoch == keyring.keys.epoch
        private = (h.name for h in roster.holders if h.role is Role.READER and h.address is None)
        return Detour(
            version=view.head.version,
            memories=memories,
            skipped=tuple(Skipped(c.version, c.actor, names.get(c.actor), why[c.version]) for c in after),
            left_out_by=left_out_by,
            revoked=revoked,
            holders=tuple(h for h in roster.holders if stands(h, [g for g in grants if g not in revoked])),
            unsure=() if ours else tuple(private),
            view=view,
            newest=commits[-1],
            hashes=tuple(commit.content_hash for commit in after),
        )

    def go_on(
        self,
        *,
        from_version: int | None = None,
        keep_private: bool | None = None,
        progress: Progress | None = None,
    ) -> GoneOn:
        """Revokes who committed what does not open, and commits a head over the last good one that names all that it
        passes over, with keys of a new epoch for those who stay. Only the owner's own account may do that. What this
        device has of the memories that were committed after that waits again, unless a version was named.

        Raises what ``detour`` raises, and InvalidRequest where it is not said whether private readers stay.
        """
        with self._session.home.lock():
            _ = self._session.owner_wallet
            plan = self.detour(from_version, progress)
            if plan.unsure and keep_private is None:
                raise InvalidRequest(
                    f"Another one has renewed the keys, too; may private readers such as {plan.unsure[0]!r} stay?",
                    "`memsync vault go-on --keep-private` keeps them, `memsync vault go-on --drop-private` does not.",
                )
            self._committer(plan.view.record).settle(plan.view, lambda: plan.view)
            receipts = [self._revoke_on_chain(self.record(), grant) for grant in plan.revoked]
            record = self.record()
            if record.content_hash != plan.newest.content_hash:
                raise InvalidRequest(
                    "Another commit has landed meanwhile.", "Look again: memsync vault go-on --dry-run"
                )
            keep = True if keep_private is None else keep_private
            ring = self._next_keyring(replace(plan.view, record=record), keep)
            shown = plan.view.record
            good = replace(
                record,
                head_version=shown.head_version,
                head_epoch=shown.head_epoch,
                content_hash=shown.content_hash,
                memory_root=shown.memory_root,
                keyring_hash=shown.keyring_hash,
            )
            if from_version is None:
                self._take_back(plan.view)  # what was committed over the bad one
            landed = self._commit(replace(plan.view, record=good), Batch([]), ring, skips=plan.hashes)
            return GoneOn(plan, landed, (*receipts, landed.receipt))

    def _good_keyring(self, record: VaultRecord) -> tuple[bytes, Keyring, str | None]:
        """The newest keyring that opens here and follows from the keys that this device holds, with its hash; and the
        account that brought the one after it, if there is one. A device that holds none yet and has not begun from one
        begins with the oldest that opens."""
        history, seen = self._session.registry.keyring_history(self.place.vault_id), read_seen(self._seen)
        blobs = self._blobs(record)
        root = seen.keys.anchor if seen else self._anchor
        if root is None:
            rings = (self._ring(blobs, blob_hash, epoch) for blob_hash, epoch, _ in history)
            root = next((ring.keys.anchor for ring in rings if ring), None)
        left_out_by = None
        for blob_hash, epoch, actor in reversed(history) if root else ():
            ring = self._ring(blobs, blob_hash, epoch)
            with suppress(ForeignKeyring, Rollback):
                if ring and ring.roster and root:
                    follows(ring, root)
                    return blob_hash, ring, left_out_by
            left_out_by = actor
        raise left_out()

    def _ring(self, blobs: Blobs, blob_hash: bytes, epoch: int) -> Keyring | None:
        for key in self._session.openers:
            with suppress(AccessEnded, BlobMissing, Tampered):
                return open_keyring(self.place, epoch, blobs.fetch(blob_hash, "earlier keyring"), key)
        return None

    def _as_of(self, record: VaultRecord, commit: CommitEvent, keyring_hash: bytes, keyring: Keyring) -> View:
        """The vault as of a commit. Raises AccessEnded, or _BadHead."""
        if keyring.keys_of(commit.epoch) is None:
            raise AccessEnded(f"It is sealed under keys of epoch {commit.epoch}, which this device does not have.")
        shown = replace(
            record,
            head_version=commit.version,
            head_epoch=commit.epoch,
            content_hash=commit.content_hash,
            memory_root=commit.memory_root,
            keyring_hash=keyring_hash,
        )
        try:
            return view_of(self.place, shown, keyring, self._blobs(record).fetch)
        except (BlobMissing, Tampered) as error:
            raise _BadHead(error.cause) from None

    def _whole(self, view: View, commit: CommitEvent, before: CommitEvent | None, progress: Progress | None) -> int:
        """How many memories a version has. Raises BlobMissing or Tampered where it is not whole, or passes over the
        commit before it."""
        parent = view.head.parent.hash if view.head.parent else None
        cut_off = before is None and commit.version > 1  # the node's log does not go back so far
        skips = before and before.content_hash in view.head.skips and commit.by_owner(view.record)
        if parent != (before.content_hash if before else None) and not skips and not cut_off:
            raise Tampered("It passes over the commit before it.")
        seen, items = read_seen(self._seen), read_items(view, self._blobs(view.record).fetch, progress)
        if seen and commit.version >= seen.head_version and len(items) == view.head.log.size:
            known = (item.commitment(self.place) for item in items[: seen.log.size])
            if Frontier().extended(known) != seen.log:
                raise _BadHead("Its memory log has not grown from the one that this device has seen.")
        return sum(isinstance(item, Entry) for item in items)


class _BadHead(Tampered):
    """A head that is bad by itself, and not by what it builds on."""
