"""``memsync sync``: what waits is committed, and what other devices committed is taken in."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import click

from .. import pricing
from ..access import NewKeys
from ..vault import Vault
from .app import (
    App,
    blob_cost,
    blob_data,
    cost_of,
    counted,
    price_data,
    price_of,
    printing,
    progress_bar,
    receipt_data,
    relay_option,
)
from .completing import vault_option


@click.command(short_help="Commit what waits, and take in what other devices committed.")
@vault_option
@click.option(
    "--keep-private/--drop-private",
    default=None,
    help="Whether private readers stay after a revocation made elsewhere.",
)
@click.option(
    "--keep-edits/--drop-edits",
    default=None,
    help="Whether to commit edits that wait for a yes, since their memories were forgotten meanwhile.",
)
@click.option("--accept-rollback", is_flag=True, help="Accept an older state of the chain than this device has seen.")
@click.option("--dry-run", is_flag=True, help="Say what waits, and what a commit costs; write nothing.")
@relay_option
@printing
def sync(
    app: App,
    name: str | None,
    keep_private: bool | None,
    keep_edits: bool | None,
    accept_rollback: bool,
    dry_run: bool,
) -> None:
    """Seal and commit what waits, in one transaction a vault, and take in what other devices committed.

    \b
    memsync sync --dry-run
    memsync sync
    """
    client = app.client()
    if dry_run:
        _would_sync(app, [client.vault(name)] if name else client.vaults())
        return
    for vault in client.adopt() if name is None else []:
        app.line(f'Found vault "{vault.label}" on chain.')
    for target in [client.vault(name)] if name else client.vaults():
        before = len(client.session.blob_receipts)
        with progress_bar(app, f"storing {target.label}") as step:
            done = target.sync(
                keep_private=keep_private, keep_edits=keep_edits, accept_rollback=accept_rollback, progress=step
            )
        landed = done.landed
        again = f" {done.already:,} were in the vault already." if done.already else ""
        again += f" {done.blocked:,} were forgotten, and stay so." if done.blocked else ""
        if done.held:
            again += (
                f" {counted(done.held, 'edit waits', 'edits wait')} for a yes, since what it edits was forgotten:"
                " memsync sync --keep-edits, or --drop-edits."
            )
        if done.over:
            app.line(f"{target.label}: {done.over}.{_left_waiting(target)}")
        elif landed:
            blobs = client.session.blob_receipts[before:]
            gas = cost_of(app, [landed.receipt]) + blob_cost(app, blobs)
            cost = f"{landed.stored_bytes:,} bytes stored, read back; one transaction, {gas}"
            app.line(f"{target.label}: {done.committed:,} sealed, {cost}.{_why_new_keys(done.keys)}{again}")
        else:
            app.line(f"{target.label}: nothing to commit; version {done.version}.{again}")
        item = {
            "name": target.label,
            "committed": done.committed,
            "already": done.already,
            "held": done.held,
            "blocked": done.blocked,
            "version": done.version,
            "over": done.over,
            "new_keys": done.keys and asdict(done.keys),
        }
        sent = (
            {"stored_bytes": landed.stored_bytes, **receipt_data(landed.receipt)}
            | blob_data(client.session.blob_receipts[before:])
            if landed
            else {}
        )
        app.done.append(item | sent)
    app.result(app.done, *([] if app.done else ["No vault yet. Next: memsync vault new NAME"]))


def _why_new_keys(keys: NewKeys | None) -> str:
    """Said where a sync has brought some: for whose sake."""
    if keys is None:
        return ""
    why = [f"the time of {', '.join(keys.ended)} has ended"] if keys.ended else []
    why += [f"{', '.join(keys.revoked)} was revoked"] if keys.revoked else []
    why += ["the old ones were as old as you let them become"] if keys.aged else []
    return f" It has the keys of epoch {keys.epoch}{': ' if why else ''}{', and '.join(why)}."


def _left_waiting(vault: Vault) -> str:
    """What to do with what waits for a vault that is over."""
    if not (waits := vault.waiting()):
        return ""
    export = f"memsync export --format jsonl --vault {shlex.quote(vault.label)} -o FILE"
    kept = f"`{export}` has them, and another vault takes them by `memsync import`."
    return f" It takes none of the {counted(waits, 'memory', 'memories')} waiting here: {kept}"


def _would_sync(app: App, vaults: list[Vault]) -> None:
    """A dry run: what waits, and the price of a commit where one is due."""
    data: list[dict[str, Any]] = []
    lines = []
    for target in vaults:
        record, waiting = target.record(), target.waiting()
        if target.over:
            item = {"name": target.label, "waiting": waiting, "over": target.over, "dry_run": True}
            data.append(item | price_data(None))
            lines.append(f"{target.label}: {target.over}.{_left_waiting(target)}")
            continue
        locked, ended = record.locked, target.glance.ended(record.block.time) if target.glance else []
        new_keys = locked or bool(ended)
        price = pricing.of_commit(target, rotates=new_keys) if waiting or new_keys else None
        item = {"name": target.label, "waiting": waiting, "locked": locked, "ended": ended, "dry_run": True}
        data.append(item | price_data(price))
        keys = ", with new keys" if new_keys else ""
        keys += f" since the time of {', '.join(ended)} has ended" if ended else ""
        due = f"one commit{keys}{price_of(app, price)}" if waiting or new_keys else "nothing to commit"
        lines.append(f"{target.label}: {waiting:,} waiting; {due}.")
    app.result(data, *lines, "Nothing written.")
