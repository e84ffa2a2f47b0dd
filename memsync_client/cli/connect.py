"""``memsync connect``: all that lending a vault to a program on this computer needs, and its undoing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import click

from .. import connecting
from ..access import DEFAULT_GRANT
from ..programs import Edit, names, title
from .app import App, cost_of, day, price_data, price_of, printing, receipt_data, relay_option
from .completing import vault_option
from .lending import from_now_option, lasting_option, private_option
from .owner import HONEST

_program = click.argument("program", type=click.Choice(names()))
_dry = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
_yes = click.option("--yes", is_flag=True, help="Answer yes to the question.")


@click.command(short_help="Let a program on this computer read a vault.")
@_program
@vault_option
@lasting_option(DEFAULT_GRANT)
@click.option("--name", "reader", metavar="NAME", help="What the reader is called (default: as the program is).")
@private_option
@from_now_option
@click.option("--propose", is_flag=True, help="It may also propose what to add: that waits in your `memsync inbox`.")
@click.option("--passphrase-file", "in_file", is_flag=True, help="Keep its passphrase in a file, even with a keyring.")
@_dry
@_yes
@relay_option
@printing
def connect(
    app: App,
    program: str,
    name: str | None,
    lasting: timedelta,
    reader: str | None,
    private: bool,
    from_now: bool,
    propose: bool,
    in_file: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Let a program on this computer read a vault: makes a reader for it, grants, and writes its configuration, so that
    it starts `memsync mcp` by itself. `memsync disconnect` undoes it.

    \b
    memsync connect claude --vault novel --for 90d
    memsync connect cursor --propose --dry-run
    """
    client = app.client()
    vault = client.vault(name)
    plan = connecting.plan(
        client,
        program,
        vault,
        lasting,
        name=reader,
        private=private,
        from_now=from_now,
        in_file=in_file,
        propose=propose,
    )
    scope = f'what is sealed from now on of "{vault.label}"' if from_now else f'ALL of "{vault.label}"'
    data: dict[str, Any] = {
        "program": program,
        "reader": plan.reader,
        "home": str(plan.home.folder),
        "passphrase_in": plan.kept_in,
        "files": [str(edit.path) for edit in plan.edits],
        "diff": _diff(plan.edits),
        "reads_from": list(plan.reads_from),
        "withheld": [host.shown for host in plan.withheld],
        "passwords": [host.shown for host in plan.passwords],
        "dry_run": dry_run,
    }
    app.line(f"{title(program)} will read {scope} for {lasting / timedelta(days=1):g} days, and keeps what it reads.")
    if propose:
        app.line("It may propose what to add or to forget, too: that waits for your yes in `memsync inbox`.")
    app.line(HONEST)
    app.line(f"Its key will stand in {plan.home.folder}, sealed under a passphrase of its own,")
    app.line(
        f"which stands in {plan.kept_in}: who can read your files reads that vault with it, until you revoke."
        if plan.in_file
        else f"which the keyring {plan.kept_in} keeps: every program that you run can ask it."
    )
    app.line(f"It will read the sealed blobs from {', '.join(plan.reads_from)}.")
    for host in plan.passwords:
        app.line(f"It gets the password of {host.shown}: nothing else has the blobs.")
    for host in plan.withheld:
        app.line(f"The password of {host.shown} stays with you.")
    for line in data["diff"]:
        app.line(line)
    stands = connecting.stands_until(plan)
    price = None if stands else connecting.price(plan)
    if dry_run:
        would = f"It is granted until {day(stands)} already." if stands else f"Would grant this{price_of(app, price)}."
        app.result(data | price_data(price), f"{would} Nothing written.")
        return
    if not stands:
        app.confirm(f"Grant this{price_of(app, price)}, and write the configuration?", yes)
    elif data["diff"]:
        app.confirm(f"It is granted until {day(stands)} already. Write the configuration?", yes)
    done = connecting.connect(client, plan)
    sent = receipt_data(done.receipt) if done.receipt else {}
    cost = f" {cost_of(app, [done.receipt])}." if done.receipt else ""
    app.result(
        data | {"expires": done.expires, **sent},
        f"{title(program)} reads {scope} until {day(done.expires)}.{cost}",
        f"Start {title(program)} anew, so that it sees its configuration. Undo all of it: memsync disconnect {program}",
    )


@click.command(short_help="Undo connect: configuration, grant and key.")
@_program
@vault_option
@_dry
@_yes
@relay_option
@printing
def disconnect(app: App, program: str, name: str | None, dry_run: bool, yes: bool) -> None:
    """Undo `memsync connect`: takes the server out of the program's configuration, revokes its reader, and destroys the
    reader's key.

    \b
    memsync disconnect claude --vault novel
    """
    client = app.client()
    vault = client.vault(name)
    link = connecting.link_of(client, program, vault)
    edits = connecting.edits_without(link)
    data: dict[str, Any] = {"program": program, "reader": link.reader, "diff": _diff(edits), "dry_run": dry_run}
    for line in data["diff"]:
        app.line(line)
    price = connecting.price_of_undoing(vault, link)
    who = link.reader or "nobody"
    if dry_run:
        app.result(
            data | price_data(price),
            f"Would write this, and leave {who} no grant{price_of(app, price)}. Nothing written.",
        )
        return
    app.confirm(f'Write this, and leave {who} no grant of "{vault.label}"{price_of(app, price)}?', yes)
    receipts = connecting.disconnect(vault, link, edits)
    app.result(
        data | {"transactions": [receipt_data(receipt) for receipt in receipts]},
        f"{title(program)} is disconnected, and opens nothing sealed from now on. "
        "What was sealed before, it may have kept." + (f" {cost_of(app, receipts)}." if receipts else ""),
    )


def _diff(edits: Iterable[Edit]) -> list[str]:
    """What changes, line by line, with one line around: a configuration may have secrets of other servers in it."""
    lines: list[str] = []
    for edit in edits:
        before = (edit.before or b"").decode("utf-8-sig").splitlines()
        lines += difflib.unified_diff(
            before, edit.after.decode().splitlines(), str(edit.path), str(edit.path), "", "", 1, ""
        )
    return lines
