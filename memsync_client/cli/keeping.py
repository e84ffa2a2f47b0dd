"""The owner's commands that keep a vault clean: rotate its keys, forget memories, give this device a new key."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import click

from .. import pricing
from ..errors import InvalidRequest
from ..keeping import Kept, Level
from ..keyring import Holder
from ..pricing import Price
from .app import (
    App,
    cost_of,
    counted,
    memory_data,
    one_entry,
    price_data,
    price_of,
    printing,
    progress_bar,
    receipt_data,
    relay_option,
)
from .completing import vault_option
from .lending import Duration

_MEANING = {
    Level.GONE: "Gone from the vault. The keys of now still open a copy of the old blobs.",
    Level.SEALED_AWAY: "Gone from the vault, and no key of the new epoch opens a copy of the old blobs.",
    Level.KEYS_REMADE: "Gone from the vault, sealed away from every new key, and this device's old key is destroyed.",
}


class Period(Duration):
    """A duration, or never: zero."""

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> timedelta:
        return timedelta(0) if value == "never" else super().convert(value, param, context)


@click.command(short_help="Make new keys: they alone open what is sealed from now on.")
@vault_option
@click.option("--clean", is_flag=True, help="Seal all of it anew, link nothing, delete the old blobs where possible.")
@click.option("--every", type=Period(), help="Let each sync rotate once the keys are that old: 90d, 12w; or never.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, where it is --clean.")
@relay_option
@printing
def rotate(app: App, name: str | None, clean: bool, every: timedelta | None, dry_run: bool, yes: bool) -> None:
    """Make new keys: what is sealed from now on opens with them alone.

    Old packs stay, and who may read back still reads them. With --clean nothing sealed before opens with a new key.

    \b
    memsync rotate --every 90d
    memsync rotate --clean
    """
    target = app.client().vault(name)
    if dry_run:
        record = target.record()
        epoch = record.epoch if record.locked else record.epoch + 1
        how = "all of it sealed anew, and the old blobs deleted where possible" if clean else "the old packs stay"
        price = pricing.of_commit(target, rotates=True)
        data = {"dry_run": True, "clean": clean, "epoch": epoch, "version": record.version} | price_data(price)
        what = f'Would make the keys of epoch {epoch} for "{target.label}"{price_of(app, price)}'
        app.result(data, f"{what}; {how}. Nothing written.")
        return
    if clean:
        cost = "" if yes else price_of(app, pricing.of_commit(target, rotates=True))
        app.confirm(f'Seal all of "{target.label}" anew, and delete its old blobs from its hosts{cost}?', yes)
    with progress_bar(app, "sealing anew") as step:
        done = target.rotate(clean=clean, every=every, progress=step)
    epoch = target.record().epoch
    policy = [f"Each sync rotates once the keys are {every.days} days old."] if every else []
    if every == timedelta(0):
        policy = ["Their age alone rotates them no more."]
    app.result(
        {"clean": clean, "epoch": epoch, "every": None if every is None else int(every.total_seconds())} | _data(done),
        f'"{target.label}" has the keys of epoch {epoch}. {_cost(app, done)}',
        *policy,
        *_remains(done),
    )


@click.command(short_help="Take memories out of the vault for good.")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@vault_option
@click.option("--source", metavar="PLATFORM", help="All that was imported from it.")
@click.option("--conversation", metavar="NAME", help="All of that conversation.")
@click.option("--all", "everything", is_flag=True, help="All memories of the vault.")
@click.option(
    "--level",
    type=click.IntRange(1, 3),
    default=1,
    show_default=True,
    help="1: gone from the vault. 2: and sealed away from every new key. 3: and your devices' keys and kit made anew.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be forgotten; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@printing
def forget(
    app: App,
    ids: tuple[str, ...],
    name: str | None,
    source: str | None,
    conversation: str | None,
    everything: bool,
    level: int,
    dry_run: bool,
    yes: bool,
) -> None:
    """Take memories out of the vault for good, with all their revisions. ID is the beginning of an id, as `memsync
    list` shows it.

    An import does not bring them back. Whoever has read them can't be made to forget.

    \b
    memsync forget 1f2e3d4c --level 2
    memsync forget --source chatgpt --dry-run
    """
    ways = bool(ids) + everything + (source is not None or conversation is not None)
    if ways > 1:
        raise click.UsageError("Name ids, or a source and a conversation, or --all: one of them.")
    client = app.client()
    target, reach = client.vault(name), Level(level)
    found = target.chosen(ids, source=source, conversation=conversation, everything=everything)
    gone = list(dict.fromkeys(memory.id for memory in found))
    what = {"level": level, "memories": len(gone), "ids": gone, "dry_run": dry_run}
    price: Price | None = None
    if gone and (dry_run or not yes):
        others = [other for other in client.living() if other.place != target.place]
        price = pricing.of_forgetting(target, reach, others)
    if dry_run:
        shown = [one_entry(f"{memory.id.hex()[:8]}  {memory.content}") for memory in found]
        data = what | {"found": [memory_data(memory) for memory in found]}
        would = f"Would forget {_memories(gone)} at level {level}{price_of(app, price)}. Nothing written."
        app.result(data | price_data(price), *shown, would)
        return
    if not gone:
        app.result(what | _data(Kept(())), "Nothing found to forget.")
        return
    if not yes and sys.stdin.isatty():
        for memory in found[:10]:
            app.say(one_entry(f"{memory.id.hex()[:8]}  {memory.content[:200]}"))
        if len(found) > 10:
            app.say(f"… and {len(found) - 10:,} more")
    cost = price_of(app, price)
    app.confirm(f'Forget {_memories(gone)} of "{target.label}" for good, at level {level}{cost}?', yes)
    with progress_bar(app, "sealing anew") as step:
        done = target.forget(gone, reach, step)
    app.result(
        what | _data(done),
        f"Forgot {_memories(gone)} at level {level}. {_MEANING[reach]} {_cost(app, done)}",
        *_remains(done),
    )


@click.command(short_help="Make this device's key anew, and destroy the old one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it costs; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@printing
def rekey(app: App, dry_run: bool, yes: bool) -> None:
    """Make this device's key anew, in every vault, and destroy the old one.

    After a forget at level 3 each of your devices is pending until it has done so, or has been removed.

    \b
    memsync device rekey --dry-run
    memsync device rekey
    """
    client = app.client()
    if not dry_run:
        client.adopt()
    for vault in client.vaults()[:1]:
        vault.check_rekey()  # of all
    vaults = client.living()
    if not vaults:
        raise InvalidRequest("There is no vault here, so no keyring to put a new key into.", "memsync vault new NAME")
    names, old = [vault.label for vault in vaults], client.session.device_public.id
    price = None if yes and not dry_run else pricing.of_rekeying(vaults)
    what = f"ake this device's key ({old.hex()[:16]}) anew in {', '.join(names)}, and destroy the old one"
    if dry_run:
        data = {"dry_run": True, "old_key": old, "vaults": names} | price_data(price)
        app.result(data, f"Would m{what}{price_of(app, price)}. Nothing written.")
        return
    app.confirm(f"M{what}{price_of(app, price)}?", yes)
    receipts = vaults[0].rekey()
    key = client.session.device_public.id
    app.result(
        {"key": key, "transactions": [receipt_data(receipt) for receipt in receipts]},
        f"This device has a new key ({key.hex()[:16]}) in {counted(len(vaults), 'vault', 'vaults')}; the old one is"
        " destroyed. Copies of its file that you made before open what was sealed before: destroy them too.",
    )


def _data(done: Kept) -> dict[str, Any]:
    receipts = [*(landed.receipt for landed in done.landed), *done.receipts]
    return {
        "transactions": [receipt_data(receipt) for receipt in receipts],
        "stored_bytes": sum(landed.stored_bytes for landed in done.landed),
        "not_deleted": list(done.left),
        "old_keys_open_copies": _names(done.openers),
        "more_may": done.cut_before,
        "pending": _names(done.pending),
    }


def _names(holders: Iterable[Holder]) -> list[dict[str, str]]:
    return [{"name": holder.name, "role": holder.role.name.lower()} for holder in holders]


def _remains(done: Kept) -> list[str]:
    """What the person has to know of what is left."""
    lines = []
    if done.left:
        lines.append(f"{counted(len(done.left), 'blob', 'blobs')} could not be deleted from the host:")
        lines += [f"  {blob_hash.hex()}" for blob_hash in done.left]
    if done.openers or done.cut_before:
        who = [f"{item['name']} ({item['role']})" for item in _names(done.openers)]
        who += ["who read before an earlier clean cut"] if done.cut_before else []
        lines.append(f"Should someone have kept a copy of the old blobs, these old keys open it: {', '.join(who)}.")
    for holder in done.pending:
        step = (
            "memsync kit make" if holder.role.name == "KIT" else "memsync device rekey on it, or memsync device remove"
        )
        lines.append(f"Pending: {holder.name} ({holder.role.name.lower()}) still has its old key. Next: {step}")
    return lines


def _cost(app: App, done: Kept) -> str:
    receipts = [*(landed.receipt for landed in done.landed), *done.receipts]
    if not receipts:
        return "No transaction was needed."
    return f"{counted(len(receipts), 'transaction', 'transactions')}, {cost_of(app, receipts)}."


def _memories(ids: Sequence[bytes]) -> str:
    return counted(len(ids), "memory", "memories")
