"""The owner's devices: a new machine, the ones that have the keys, and leaving one out again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from .. import devices as library
from .. import pricing
from ..addresses import checksummed
from ..cards import DeviceCard
from ..client import PRACTICE_RPC, Client
from ..errors import InvalidCard
from ..keyring import Holder
from ..kit import phrase
from ..pricing import Price
from ..records import Receipt
from ..vault import Vault
from .app import App, Verbs, cost_of, counted, price_data, price_of, printing, rpc_option
from .completing import device_names, files
from .given import text_of
from .kit import sheet_given
from .lending import lasting_option
from .qr import check_qr, qr_options, show_qr

_COMPARE = "Compare these words with those on the other machine, by voice or by eye:"


@click.group(cls=Verbs)
def device() -> None:
    """Add, list and remove your own machines.

    \b
    memsync device new --name laptop --commit > card.txt
    memsync device add card.txt > sheet.txt
    memsync device join sheet.txt
    """


@device.command("new", short_help="On a new machine: make its key, and print its card.")
@click.option("--name", required=True, metavar="NAME", help="What to call this machine, seen by you alone.")
@rpc_option
@click.option("--registry", metavar="ADDRESS", help="The MemoryRegistry (default: the same on every chain).")
@click.option("--commit", is_flag=True, help="Make it an account of its own, so that it can sync by itself.")
@qr_options
@printing
def device_new(
    app: App,
    name: str,
    node_url: str | None,
    registry: str | None,
    commit: bool,
    qr: bool,
    qr_file: Path | None,
) -> None:
    """On a new machine: make its key, and print the card to give to a machine that has the vaults' keys.

    \b
    memsync device new --name laptop --commit > card.txt
    """
    check_qr(app, qr, qr_file)
    rpc = node_url or app.rpc or PRACTICE_RPC
    card = library.new_device(app.home, app.new_passphrase, name, rpc=rpc, registry=registry, commit=commit)
    compare = phrase(str(card))
    drawn = show_qr(app, str(card), qr, qr_file)
    app.result(
        {"card": str(card), "phrase": compare, "address": _address(card)} | drawn,
        str(card),
        _COMPARE,
        f"  {compare}",
        "Next, on the other machine: memsync device add CARD",
        handed=str(card),
    )


@device.command("add", short_help="Give the machine of CARD every vault's keys; prints the sheet.")
@click.argument("card", shell_complete=files)
@lasting_option(library.DEFAULT_RIGHT, "How long its account may commit.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it costs; write nothing.")
@click.option("--yes", is_flag=True, help="The words were compared.")
@qr_options
@printing
def device_add(
    app: App, card: str, lasting: timedelta, dry_run: bool, yes: bool, qr: bool, qr_file: Path | None
) -> None:
    """Give the machine of CARD (its text, a file, or -) the keys of every vault, and print the sheet to give back.

    A machine with an account of its own gets the right to commit. CARD may be the name of one that was added before:
    for vaults made since, and for longer.

    \b
    memsync device add card.txt > sheet.txt
    """
    check_qr(app, qr, qr_file)
    client = app.client()
    known = library.known_card(client, card) if "memsync-" not in card else None
    parsed = known or DeviceCard.parse(text_of(card, InvalidCard))
    compare = phrase(str(parsed))
    opened = client.opened()
    vaults = [vault.label for vault, _ in opened]
    may = f", and {_address(parsed)} could commit to them for {lasting.days} days" if parsed.address else ""
    what = f"{parsed.name!r} would open all of {counted(len(vaults), 'vault', 'vaults')}{may}"
    data: dict[str, Any] = {"device": parsed.name, "address": _address(parsed), "phrase": compare, "vaults": vaults}
    data |= {"not_opened": sorted(client.shut)}
    if dry_run:
        price = pricing.summed(pricing.of_device(vault, roster, parsed, lasting) for vault, roster in opened)
        data |= {"dry_run": True} | price_data(price)
        app.result(data, f"{what}{price_of(app, price)}.", _COMPARE, f"  {compare}", "Nothing written.")
        return
    if not known:
        app.say(f"{what}.")
        app.say(f"{_COMPARE} {compare}")
        app.confirm("Are they the same?", yes)
    sent: list[Receipt] = []

    def count(vault: Vault, receipt: Receipt | None) -> None:
        sent.extend([receipt] if receipt else [])
        app.say(f"{vault.label}: {'added' if receipt else 'had it already'}")

    sheet = library.add_device(client, parsed, lasting, done=count)
    again = phrase(str(sheet))
    drawn = show_qr(app, str(sheet), qr, qr_file)
    app.result(
        data | {"gas": _gas(sent), "sheet": str(sheet), "sheet_phrase": again} | drawn,
        f"{parsed.name} has the keys of {counted(len(vaults), 'vault', 'vaults')}. {cost_of(app, sent)}.",
        "Give it this sheet, for `memsync device join`:",
        str(sheet),
        _COMPARE,
        f"  {again}",
        handed=str(sheet),
    )


@device.command("join", short_help="On the new machine: take in the vaults, by the sheet.")
@click.argument("sheet", shell_complete=files)
@click.option("--yes", is_flag=True, help="The words were compared.")
@printing
def device_join(app: App, sheet: str, yes: bool) -> None:
    """On the new machine: take in the vaults, by the SHEET that `device add` printed (its text, a file, or -).

    \b
    memsync device join sheet.txt
    """
    parsed = sheet_given(sheet)
    compare = phrase(str(parsed))
    app.say(f"The vaults of {checksummed(parsed.owner)}. {_COMPARE} {compare}")
    app.confirm("Are they the same?", yes)
    found = library.join(app.home, app.passphrase, parsed)
    names = [vault.label for vault in found]
    unlisted = [vault.label for vault in found if vault.place.vault_id not in parsed.anchors]
    missing = sorted(set(parsed.anchors) - {vault.place.vault_id for vault in found})
    commits = app.home.wallet.exists()
    app.result(
        {"vaults": names, "phrase": compare, "commits": commits, "unlisted": unlisted, "missing": missing},
        *(
            f"{name} is not on the sheet: made since, or invented by the node. Ask the other machine."
            for name in unlisted
        ),
        *(f"Vault {vault_id.hex()[:8]}… of the sheet was not found, or can't be opened." for vault_id in missing),
        f"Joined: {', '.join(names)}. "
        + ("This machine reads, and syncs by itself." if commits else "This machine reads; it has no account to sync."),
        "Next: memsync recall …",
    )


@device.command("list", short_help="Your machines, and which vaults they open.")
@printing
def device_list(app: App) -> None:
    """Your machines: which vaults they open, which they may commit to, and who added them.

    \b
    memsync device list
    """
    client = app.client()
    lines = library.devices(client)
    owner = client.session.config.owner
    data = [
        {
            "device": line.name,
            "key_id": line.key_id,
            "key_phrase": phrase(line.key_id.hex()),
            "address": line.address,
            "added_by": line.added_by,
            "this": line.this,
            "reads": list(line.reads),
            "commits": list(line.commits),
            "pending": list(line.pending),
        }
        for line in lines
    ]
    app.result(
        data, *map(_line, lines), *([] if lines else ["No vault yet, so no roster."]), f"Owner's wallet: {owner}"
    )


@device.command("remove", short_help="Leave a machine out of every vault that it could read.")
@click.argument("name", shell_complete=device_names)
@click.option("--keep-added", is_flag=True, help="Those whom it has added keep their keys.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it costs; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@printing
def device_remove(app: App, name: str, keep_added: bool, dry_run: bool, yes: bool) -> None:
    """Leave the machine NAME out of every vault that it could read: new keys, a new epoch, and no right to commit.

    What was sealed until then it can still open, wherever a copy survives, and can't be made to forget. Whom it had
    added goes with it, unless you keep them. NAME may be the beginning of its key id.

    Look through those who would stay: a hostile machine may have added one in the name of another.

    \b
    memsync device remove "old laptop" --dry-run
    """
    client = app.client()
    plan = library.plan_removal(client, name)
    added = sorted({f"{h.name} ({h.role.name.lower()})" for holders in plan.added.values() for h in holders})
    goes = f" With it: {', '.join(added)}." if added and not keep_added else ""
    price = _price(client, plan, keep_added) if dry_run and not plan.last else None
    of = f"{', '.join(plan.added)}{price_of(app, price)}"
    what = f"{plan.name!r}{' (this machine)' if plan.this else ''} would be left out of {of}.{goes}"
    remaining = _remaining(plan, keep_added)
    stay = [
        "Who would still hold keys; leave out whom you do not know:",
        *(f"  {_who(item)}   key {item['key_id'].hex()[:16]}: {item['key_phrase']}" for item in remaining),
    ]
    data: dict[str, Any] = {"device": plan.name, "this": plan.this, "vaults": list(plan.added), "added": added}
    data |= {"remaining": remaining, "not_opened": sorted(client.shut)}
    if dry_run:
        data |= {"dry_run": True, "last": plan.last} | price_data(price)
        app.result(data, what, *stay, "Nothing written.")
        return
    for line in stay:
        app.say(line)
    app.confirm(f"{what} {', '.join(map(_who, remaining)) or 'Nobody'} would still hold keys. Go on?", yes)
    sent: list[Receipt] = []

    def count(vault: Vault, receipts: list[Receipt]) -> None:
        sent.extend(receipts)
        app.say(f"{vault.label}: new keys, new epoch")

    library.remove_device(client, plan, keep_added=keep_added, done=count)
    app.result(
        data | {"kept_added": keep_added, "gas": _gas(sent)},
        f"{plan.name} opens nothing sealed from now on. What was sealed before, it may have kept."
        f" {cost_of(app, sent)}.",
        *(["The recovery kit went with it. Next: memsync kit make"] if goes and "(kit)" in goes else []),
    )


def _price(client: Client, plan: library.Removal, keep_added: bool) -> Price | None:
    return pricing.summed(
        pricing.of_leaving_out(vault, roster, _staying(plan, vault.label, keep_added))
        for vault, roster in client.opened()
        if vault.label in plan.staying
    )


def _staying(plan: library.Removal, vault: str, keep_added: bool) -> tuple[Holder, ...]:
    return plan.staying[vault] + (plan.added[vault] if keep_added else ())


def _remaining(plan: library.Removal, keep_added: bool) -> list[dict[str, Any]]:
    """Whoever still holds keys of one of the vaults, each once, with those vaults."""
    found: dict[bytes, dict[str, Any]] = {}
    for vault in plan.staying:
        for holder in _staying(plan, vault, keep_added):
            key_id = holder.key.id
            line = {"name": holder.name, "role": holder.role.name.lower(), "key_id": key_id}
            line |= {"key_phrase": phrase(key_id.hex()), "vaults": []}
            found.setdefault(key_id, line)["vaults"].append(vault)
    return list(found.values())


def _gas(receipts: list[Receipt]) -> int:
    return sum(receipt.gas_used for receipt in receipts)


def _who(item: dict[str, Any]) -> str:
    return f"{item['name']} ({item['role']})"


def _address(card: DeviceCard) -> str | None:
    return checksummed(card.address) if card.address else None


def _line(line: library.DeviceLine) -> str:
    by = "the first" if line.added_by == line.name else f"added by {line.added_by or 'one that is gone'}"
    who = f"this machine, {by}" if line.this else by
    commits = f"   commits to {', '.join(line.commits)} as {line.address}" if line.commits else ""
    due = f"   still has its old key of {', '.join(line.pending)}: memsync device rekey" if line.pending else ""
    key = f"   key {line.key_id.hex()[:16]}: {phrase(line.key_id.hex())}"
    return f"{line.name}   {who}   reads {', '.join(line.reads)}{commits}{due}{key}"
