"""The owner's command for a vault whose last commits do not open."""

from __future__ import annotations

from typing import Any

import click

from .. import pricing
from ..going_on import Detour
from .app import App, cost_of, counted, price_data, price_of, printing, progress_bar, receipt_data
from .completing import vault_names


@click.command("go-on", short_help="Go on from the last good version, past what does not open.")
@click.argument("name", required=False, shell_complete=vault_names)
@click.option("--from", "version", type=click.IntRange(1), help="Go on from this version, not the last that is whole.")
@click.option("--keep-private/--drop-private", default=None, help="Whether private readers stay.")
@click.option("--dry-run", is_flag=True, help="Say what would be passed over and who would be revoked; write nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@printing
def go_on(app: App, name: str | None, version: int | None, keep_private: bool | None, dry_run: bool, yes: bool) -> None:
    """Go on from the last good version, where a hostile or broken writer has committed what does not open.

    Whoever committed it is revoked, the others get new keys, and every reader and device follows: a commit that passes
    over others counts only from the owner's own account. What was committed before stays.

    \b
    memsync vault go-on novel --dry-run
    memsync vault go-on novel --yes
    """
    target = app.client().vault(name)
    with progress_bar(app, "looking for the last good version") as step:
        plan = target.detour(version, step)
    data, lines = _plan(plan)
    price = pricing.of_going_on(target, [grant.grantee for grant in plan.revoked])
    for line in lines:
        app.line(line)
    if dry_run:
        would = f"Would go on from version {plan.version}{price_of(app, price)}. Nothing written."
        app.result({"name": target.label, **data, "dry_run": True} | price_data(price), would)
        return
    app.confirm(f'Go on with "{target.label}" from version {plan.version}{price_of(app, price)}?', yes)
    with progress_bar(app, "going on") as step:
        done = target.go_on(from_version=version, keep_private=keep_private, progress=step)
    app.result(
        {
            "name": target.label,
            **_plan(done.detour)[0],
            "dry_run": False,
            "made": done.landed.version,
            "gas": sum(receipt.gas_used for receipt in done.receipts),
            "transactions": [receipt_data(receipt) for receipt in done.receipts],
        },
        f'"{target.label}" goes on at version {done.landed.version}, under new keys. {cost_of(app, done.receipts)}.',
        "Next: memsync sync",
    )


def _plan(plan: Detour) -> tuple[dict[str, Any], list[str]]:
    data = {
        "version": plan.version,
        "memories": plan.memories,
        "skipped": [
            {"version": item.version, "account": item.actor, "name": item.name, "why": item.why}
            for item in plan.skipped
        ],
        "left_out_by": plan.left_out_by,
        "revoked": [grant.grantee for grant in plan.revoked],
        "holders": [{"name": holder.name, "role": holder.role.name.lower()} for holder in plan.holders],
        "unsure": list(plan.unsure),
    }
    kept = counted(plan.memories, "memory", "memories")
    lines = [f"The last good version is {plan.version}: {kept}, all of them stay."]
    for item in plan.skipped:
        who = f"{item.name} ({item.actor})" if item.name else item.actor
        lines.append(f"Passed over: version {item.version} by {who}. {item.why}")
    if plan.left_out_by:
        lines.append(f"Replaced: the keyring by {plan.left_out_by}, which leaves this device out or is none.")
    lines += [f"Revoked: {grant.grantee}." for grant in plan.revoked]
    lines.append(f"New keys for: {', '.join(f'{h.name} ({h.role.name.lower()})' for h in plan.holders)}.")
    if plan.skipped:
        lines.append("If the host has only lost a blob of theirs, bring it back instead: other devices have copies.")
    return data, lines
