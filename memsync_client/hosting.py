"""Where a vault's blobs are: bringing back what a host has lost, and moving them to another host as they are."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from .bounded import each
from .errors import BlobMissing, InvalidRequest, MemSyncError, StorageReadOnly
from .keeping import KeptVault
from .reading import Progress, View, open_head_of
from .records import Receipt
from .rewriting import named_before
from .session import PRACTICE_CHAIN
from .storage import Storage
from .storage.blobs import Blobs, counting, deliver, has
from .storage.owed import OWED, Owed
from .storage.uris import EVM, EVM_MEANS, is_folder, whole

PUBLIC_HOSTS = (
    "s3://bucket/prefix/ , ipfs: for an IPFS node, https://… for what another host of yours shows, or evm: for the"
    " chain itself."
)
_SLICE = 32  # blobs in memory at once
_EARLIER = "earlier head, for verify alone"
# What is to be deleted from the host ``old`` once the chain names ``new``, noted before that is sent; ``new`` is empty
# when it was seen to name it, whatever another device has it name since.
LEAVING = "leaving"  # in the folder of a vault
_LEAVING = {"old": str, "new": str, "blobs": list}


@dataclass(frozen=True)
class Mended:
    """One host: the hashes of blobs that it lacked and has now (with a dry run: would get), and of those that it still
    lacks, with why the first of them could not be brought (None: nobody has it). ``size`` is what was brought, in
    bytes."""

    host: str
    brought: tuple[bytes, ...]
    lacking: tuple[bytes, ...]
    size: int = 0
    trouble: MemSyncError | None = None


@dataclass(frozen=True)
class Repair:
    """What was found and done, host by host, of so many blobs that the vault names; ``nowhere`` says by hash what of
    them nobody has."""

    blobs: int
    hosts: tuple[Mended, ...]
    nowhere: dict[bytes, str]


@dataclass(frozen=True)
class Move:
    """Blobs brought to another host: how many, of how many bytes, and by which transaction it was named (None: not sent
    yet); the hashes of those that the old host was to delete and still has. ``gas`` is what storing them takes where
    that costs any. Where all of it is done but for that deletion, a plan has its hashes as ``left``."""

    base_uri: str
    blobs: int
    size: int
    gas: int = 0
    receipt: Receipt | None = None
    left: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Leaving:
    """The host of before a move, and the hashes of blobs that are still to be deleted from it."""

    base_uri: str
    blobs: tuple[bytes, ...]


class HostedVault(KeptVault):
    """An opened vault and its hosts."""

    def _leave(self, view: View) -> tuple[bytes, ...] | None:
        """Deletes from the host of before what a move, which is final, was to delete there. Returns what it still has,
        and tries that again the next time; None where nothing was to be deleted.

        Nothing goes that the vault names and its present host does not give back, and nothing at all where the two
        turn out to be one host.
        """
        kept = self._sealed(LEAVING)
        note = kept.read(_LEAVING)
        if note is None or note["new"] not in ("", view.record.base_uri):
            return None
        blobs, doomed = self._blobs(view.record), set(note["blobs"])
        left, again = doomed, True
        try:
            old = self._session.hosts.open(note["old"], view.record.vault_id)
            needed = doomed & self._needed(view, blobs).keys()
            alone = {name for name in needed if not has(blobs.host, name)}
            again = not (old.read_only or old.name == EVM)
            if again and _shows(blobs.host, old):
                again = False
                self._session.say(f"{blobs.host.name} shows what {old.name} has; nothing is deleted there")
            else:
                left = alone | set(old.delete(sorted(doomed - alone)))
        except MemSyncError as error:  # the rest of the work does not hang on it
            gone = f"If it is gone for good: {letting_go_of(note['old'])}"
            self._session.say(f"the host of before still has the vault's blobs: {error.cause} {gone}")
        if left and again:
            kept.write(note | {"new": "", "blobs": sorted(left)})
        else:
            kept.remove()
        if len(left) < len(doomed):
            self._session.say(f"{len(doomed) - len(left)} blobs are deleted from the host of before")
        return tuple(sorted(left))

    def leaving(self) -> Leaving | None:
        """What a move was to delete from the host of before and has not yet. Asks no node and no host."""
        note = self._sealed(LEAVING).read(_LEAVING)
        return Leaving(note["old"], tuple(note["blobs"])) if note else None

    def let_host_go(self, base_uri: str) -> Leaving | None:
        """Tries no more to delete what a move has left on the host at ``base_uri``, and returns that; None where
        nothing is to be deleted there. What is on the host stays as it is, should it come back."""
        with self._session.home.lock():
            left = self.leaving()
            if left is None or left.base_uri != whole(base_uri):
                return None
            self._sealed(LEAVING).remove()
            return left

    def _catch_up(self) -> None:
        """Brings to the mirrors what they could not take before. Only under the home's lock."""
        if Owed(self._folder / OWED):
            self._blobs(self.record()).catch_up()

    def repair(self, *, dry_run: bool = False, progress: Progress | None = None) -> Repair:
        """Compares what each host has with what the vault names, and brings what is missing or changed: from this
        device's copies, or from another host. On chain nothing is changed."""
        with self._session.home.lock():
            view = self._settled_view()
            blobs = self._blobs(view.record)
            needed = self._needed(view, blobs)
            nowhere: dict[bytes, str] = {}
            step = counting(progress, len(needed) * len(blobs.hosts))
            mended = [
                _mended(host, needed, blobs, nowhere, step, dry_run)
                for host in sorted(blobs.hosts, key=lambda host: host.read_only)  # what only shows others comes last
            ]
            if not dry_run:
                for one in mended:
                    blobs.owes(one.host, one.lacking)
            return Repair(len(needed), tuple(mended), nowhere)

    def plan_move(self, base_uri: str) -> Move:
        """What ``move`` would bring to another host. Nothing is written. Raises what it would be refused for."""
        record = self.record()
        view = self._view(record)
        blobs = self._blobs(record)
        note = self._sealed(LEAVING).read(_LEAVING)
        if note and record.base_uri == whole(base_uri) and note["new"] in ("", record.base_uri):
            return Move(whole(base_uri), 0, 0, left=tuple(note["blobs"]))
        target = self._target(view, base_uri)
        needed = self._needed(view, blobs)
        sizes = _sizes(blobs, needed)
        _check_limit(target, sizes)
        missing = [sizes[name] for name in sizes if not has(target, name)]
        gas = self._session.blob_log.gas_for(*missing) if target.name == EVM else 0
        return Move(whole(base_uri), len(missing), sum(missing), gas)

    def move(
        self, base_uri: str, *, delete_old: bool = False, on_chain: bool = False, progress: Progress | None = None
    ) -> Move:
        """Copies all blobs to another host as they are, reads them back, and then names it on chain, where everyone
        looks for them. With ``delete_old`` the old host's are deleted once that is final.

        ``evm:`` needs ``on_chain``, the owner's yes to what EVM_MEANS says. Killed anywhere, it can be done again: what
        is there already is not sent twice, and a deletion that was begun, or could not be done, goes on; so it does
        with the next sync. Raises BlobMissing where a blob that is needed is nowhere, InvalidRequest while the deletion
        of the move before can't be done.
        """
        base_uri = whole(base_uri)
        if base_uri == EVM and not on_chain:
            raise InvalidRequest(EVM_MEANS, "Say yes to that: --yes, or on_chain=True. Or name another host.")
        session, registry = self._session, self._session.registry

        def attempt(view: View) -> Move:
            record, old = view.record, self._blobs(view.record)
            target = self._target(view, base_uri)
            call = registry.set_base_uri(self.place.vault_id, record.version, base_uri)
            prepared = session.prepare(call, session.owner_wallet)  # refused before anything is copied
            if delete_old:
                _check_apart(old.host, target)
            needed = self._needed(view, old)
            if target.limit < old.host.limit:
                _check_limit(target, _sizes(old, needed))
            nowhere: dict[bytes, str] = {}
            done = _mended(target, needed, old, nowhere, counting(progress, len(needed)), dry_run=False)
            lacking = [name for name in done.lacking if needed[name] != _EARLIER]
            if done.trouble and lacking:
                raise done.trouble
            if lacking:
                raise BlobMissing(
                    f"Blob {lacking[0].hex()} ({needed[lacking[0]]}) is nowhere, so the vault stays where it is.",
                    "Bring it back from a backup of the host, or from another device: memsync repair on it.",
                )
            session.say(f"{len(needed) - len(done.lacking)} blobs are on {target.name}, read back")
            if delete_old:
                doomed = {*needed, *self._earlier_keyrings(view, old), *named_before(view, old.fetch)}
                self._sealed(LEAVING).write({"old": record.base_uri, "new": base_uri, "blobs": sorted(doomed)})
            else:
                self._sealed(LEAVING).remove()  # of a move that was not sent
            receipt = session.land(prepared)
            return Move(base_uri, len(done.brought), done.size, 0, receipt)

        with session.home.lock():
            _ = session.owner_wallet
            session.unlock()
            landed = session.resume()
            before = self._on_newest(self._leave)
            if (landed or before is not None) and self.record().base_uri == base_uri:  # an earlier process had sent it
                return Move(base_uri, 0, 0, 0, landed, before or ())
            if before and (old := self.leaving()):  # one host of before is kept in mind
                raise InvalidRequest(
                    f"{old.base_uri} still has {len(old.blobs)} blobs that the move before this one was to delete.",
                    "Move on when it answers again, and `memsync repair` has brought what only it may still have."
                    f" If it is gone for good: {letting_go_of(old.base_uri)}",
                )
            moved = self._on_newest(attempt)
            after = self._on_newest(self._leave) if delete_old else None
            return replace(moved, left=(*(before or ()), *(after or ())))

    def _target(self, view: View, base_uri: str) -> Storage:
        check_base_uri(whole(base_uri), self._session.config.chain_id)
        if whole(base_uri) == view.record.base_uri:
            raise InvalidRequest(
                f"The vault's blobs are at {base_uri} already.", "Bring back what it lacks: memsync repair"
            )
        return self._session.hosts.open(whole(base_uri), view.record.vault_id)

    def _needed(self, view: View, blobs: Blobs) -> dict[bytes, str]:
        """What reading and verifying the vault needs, by hash, with what it is; the heads before the present one as far
        as they are to be had."""
        record = view.record
        needed = {record.keyring_hash: "keyring", record.content_hash: "head"}
        needed |= dict.fromkeys(view.named, "list of what is forgotten")
        needed |= {pack.hash: "pack" for pack in view.packs}
        if view.head.base:
            needed[view.head.base.hash] = "base"
        head = view.head
        while head.parent and view.keyring.keys_of(head.parent.epoch):
            ref = head.parent
            needed.setdefault(ref.hash, _EARLIER)
            data = blobs.anywhere(ref.hash)
            if data is None:
                break  # it names those before it
            head = open_head_of(view.place, view.keyring, ref, partial(_given, data))
        return needed


def letting_go_of(base_uri: str) -> str:
    """The command for an old host that is gone for good."""
    return f"memsync host forget {shlex.quote(base_uri)}"


def _given(data: bytes, _: bytes, __: str) -> bytes:
    return data


def check_base_uri(base_uri: str, chain_id: int) -> str:
    """``base_uri`` if it may stand on this chain; raises InvalidRequest for a folder on a public one."""
    if chain_id != PRACTICE_CHAIN and is_folder(base_uri):
        raise InvalidRequest(
            "A folder can't be the host of blobs on a public chain: its path would stand there for all.",
            f"Name another host: {PUBLIC_HOSTS}",
        )
    return base_uri


def _mended(
    host: Storage,
    needed: dict[bytes, str],
    blobs: Blobs,
    nowhere: dict[bytes, str],
    step: Callable[[int], None],
    dry_run: bool,
) -> Mended:
    """Brings to a host what it lacks of ``needed``, as far as anyone has it."""
    there = list(each(lambda name: has(host, name), list(needed)))
    missing = [name for name, present in zip(needed, there, strict=True) if not present]
    step(len(needed) - len(missing))
    brought: list[bytes] = []
    trouble: MemSyncError | None = None
    size = 0
    waiting = iter(missing)
    while some := list(islice(waiting, _SLICE)):
        found = {name: data for name in some if (data := blobs.anywhere(name)) is not None}
        nowhere |= {name: needed[name] for name in some if name not in found}
        try:
            if not (dry_run or host.read_only):
                deliver(host, found.values())
            if not host.read_only:
                brought += found
                size += sum(map(len, found.values()))
        except MemSyncError as error:
            trouble = trouble or error
        step(len(some))
    if host.read_only and missing:
        trouble = StorageReadOnly(
            f"{host.name} takes no blobs and does not show {len(missing)} of them.",
            "Bring them to the folder or bucket that it shows.",
        )
    return Mended(host.name, tuple(brought), tuple(name for name in missing if name not in set(brought)), size, trouble)


def _sizes(blobs: Blobs, needed: Iterable[bytes]) -> dict[bytes, int]:
    """The size of each blob that is to be had."""
    found = ((name, blobs.anywhere(name)) for name in needed)
    return {name: len(data) for name, data in found if data is not None}


def _check_limit(target: Storage, sizes: dict[bytes, int]) -> None:
    if too_large := [size for size in sizes.values() if size > target.limit]:
        larger = "1 is" if len(too_large) == 1 else f"{len(too_large):,} are"
        raise InvalidRequest(
            f"{target.name} takes no blob above {target.limit:,} bytes, and {larger} larger.",
            f"Seal them anew, smaller: `memsync host add {target.name}`, `memsync rotate --clean`, then move.",
        )


def _check_apart(old: Storage, new: Storage) -> None:
    """Raises InvalidRequest where ``new`` shows what ``old`` is given. What is deleted there would be gone from
    both."""
    if old.read_only or old.name == EVM:
        return
    try:
        same = _shows(new, old)
    except MemSyncError:  # one takes nothing, or is gone: while that is so, nothing is deleted there
        return
    if same:
        raise InvalidRequest(
            f"{new.name} shows what {old.name} has: deleted there, the blobs would be gone from both.",
            "Leave the old ones where they are: without --delete-old.",
        )


def _shows(new: Storage, old: Storage) -> bool:
    """Whether ``new`` shows what ``old`` is given: a bucket by the address of its public side, or a folder by another
    path. Raises what keeps one of them from saying."""
    probe = os.urandom(64)
    (name,) = old.put([probe])
    try:
        new.get(name, len(probe))
        return True
    except BlobMissing:
        return False
    finally:
        with suppress(MemSyncError):
            old.delete([name])
