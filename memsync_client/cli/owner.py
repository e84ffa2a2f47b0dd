"""The owner's commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from .. import connecting, pricing
from ..access import DEFAULT_GRANT, ReaderLine
from ..cards import Card
from ..errors import InvalidCard, StorageUnavailable
from ..hosting import PUBLIC_HOSTS
from ..keyring import Holder, Role
from ..storage.uris import EVM, EVM_MEANS
from .app import (
    App,
    Verbs,
    blob_cost,
    blob_data,
    cost_of,
    day,
    price_data,
    price_of,
    printing,
    receipt_data,
    relay_option,
)
from .completing import files, lent_names, vault_names, vault_option
from .given import memory_text, text_of
from .lending import from_now_option, lasting_option, private_option
from .qr import check_qr, qr_options, show_qr

HONEST = (
    "A grant opens everything back to the last clean cut (--from-now: from today on). After a revocation the reader\n"
    "can still open what was sealed until then, read or not, wherever a copy survives, and can't be made to forget."
)


@click.command(short_help="Run the practice chain: free, on this computer only.")
@click.option("--port", default=8545, show_default=True)
@printing
def node(app: App, port: int) -> None:
    """Run the practice chain in the foreground: free, on this computer only, saved in this home.

    Ctrl-C ends it; the next start goes on from where it was.

    \b
    memsync node
    memsync --home elsewhere node --port 8600
    """

    from .. import practice

    def ready(info: practice.Info) -> None:
        app.result(
            {"rpc": info.rpc_url, "chain_id": info.chain_id, "registry": info.registry, "block": info.block_number},
            f"Practice chain at {info.rpc_url}, block {info.block_number}. On this computer only, free, no backup.",
            "Next, in another terminal: memsync init",
        )
        sys.stdout.flush()

    practice.run(app.home.practice, port=port, on_ready=ready)


@click.group(cls=Verbs, short_help="Make, show, move, hand on and close vaults.")
def vault() -> None:
    """Make, show, move, hand on and close vaults.

    \b
    memsync vault new novel
    memsync vault list
    memsync vault show novel
    """


@vault.command("new")
@click.argument("name")
@click.option(
    "--base-uri",
    metavar="URI",
    help="Where its blobs go (default on a practice chain: a folder of this home; else the first of `host list`).",
)
@click.option("--yes", is_flag=True, help="With evm: do not ask.")
@relay_option
@printing
def vault_new(app: App, name: str, base_uri: str | None, yes: bool) -> None:
    """Make a vault. Its name is sealed too.

    \b
    memsync vault new novel --base-uri ipfs:
    memsync vault new novel --base-uri evm:
    """
    client = app.client()
    on_chain = base_uri == EVM
    if on_chain:
        app.confirm(f"{EVM_MEANS} Store on the chain?", yes)
    try:
        made = client.new_vault(name, base_uri, on_chain=on_chain)
    except StorageUnavailable as error:
        if base_uri is None:
            raise
        step = f"Name a host that is there: --base-uri file:///home/ines/blobs/ on a practice chain; {PUBLIC_HOSTS}"
        raise StorageUnavailable(error.cause, step) from None
    holders, others = _holders(made.holders), _holders(made.left_out)
    app.result(
        {
            "name": name,
            "vault": made.vault.place.vault_id,
            "holders": holders,
            "left_out": others,
            "not_opened": sorted(client.shut),
            **receipt_data(made.receipt),
            **blob_data(client.session.blob_receipts),
        },
        f'Vault "{name}" is yours. Its name is sealed too. {cost_of(app, [made.receipt])}'
        f"{blob_cost(app, client.session.blob_receipts)}.",
        f"Who holds its keys: {', '.join(_who(item) for item in holders)}.",
        *(
            f"{_who(item)} is not in every vault, so not in this one. If it is yours: memsync "
            + ("kit make" if item["role"] == "kit" else f'device add "{item["name"]}"')
            for item in others
        ),
        *(
            ["The recovery kit opens it too. Print a new sheet that lists it: memsync kit sheet"]
            if any(holder.role is Role.KIT for holder in made.holders)
            else ["No recovery kit opens it. Make one for all vaults: memsync kit make"]
        ),
        'Next: memsync remember "…"   or   memsync import FILE',
    )


def _holders(lines: Iterable[Holder]) -> list[dict[str, Any]]:
    return [{"name": line.name, "role": line.role.name.lower(), "key_id": line.key.id} for line in lines]


def _who(item: dict[str, Any]) -> str:
    return f"{item['name']} ({item['role']})"


@vault.command("list")
@printing
def vault_list(app: App) -> None:
    """The vaults of this home, with what waits for the next sync. Asks neither node nor passphrase.

    \b
    memsync vault list
    """
    data: list[dict[str, Any]] = [
        {"name": v.label, "vault": v.place.vault_id, "waiting": v.waiting(), "over": v.over}
        for v in app.client().vaults()
    ]
    app.result(
        data,
        *map(_vault_line, data),
        *([] if data else ["No vault yet. Next: memsync vault new NAME"]),
    )


def _vault_line(item: dict[str, Any]) -> str:
    over = f"{item['over']}   " if item["over"] else ""
    return f"{item['name']}   {item['waiting']:,} waiting   {over}{item['vault'].hex()}"


@vault.command("show")
@click.argument("name", required=False, shell_complete=vault_names)
@printing
def vault_show(app: App, name: str | None) -> None:
    """What stands on chain for a vault.

    \b
    memsync vault show novel
    """
    shown = app.client().vault(name)
    record = shown.record()
    data = {
        "name": shown.label,
        "vault": record.vault_id,
        "owner": record.owner,
        "version": record.version,
        "epoch": record.epoch,
        "tenure": record.tenure,
        "locked": record.locked,
        "closed": record.closed,
        "content_hash": record.content_hash,
        "memory_root": record.memory_root,
        "keyring_hash": record.keyring_hash,
        "base_uri": record.base_uri,
        "block": record.block.number,
    }
    width = max(map(len, data))
    app.result(
        data, *[f"{key:<{width}}  {value.hex() if isinstance(value, bytes) else value}" for key, value in data.items()]
    )


@click.command()
@click.argument("text")
@vault_option
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be given several times.")
@printing
def remember(app: App, text: str, name: str | None, tags: tuple[str, ...]) -> None:
    """Keep a memory on this computer, sealed, until the next sync. TEXT may be - for standard input.

    \b
    memsync remember "Ines is left-handed." --tag character
    """
    target = app.client().vault(name)
    memory = target.remember(memory_text(text), tags=tags)
    app.result(
        {"id": memory.id, "waiting": target.waiting()},
        f"{target.waiting():,} waiting on this computer. Next: memsync sync",
    )


@click.command()
@click.argument("memory_id", metavar="ID")
@click.argument("text")
@vault_option
@printing
def edit(app: App, memory_id: str, text: str, name: str | None) -> None:
    """Replace the text of a memory. ID is the beginning of its id, as `memsync list` shows it; TEXT may be - for
    standard input.

    \b
    memsync edit 4f1c "Ines is left-handed, and plays the cello with the right."
    """
    target = app.client().vault(name)
    memory = target.edit(memory_id, memory_text(text))
    data = {"id": memory.id, "revision": memory.revision, "waiting": target.waiting()}
    app.result(data, f"Edited {memory.id.hex()[:8]}. {target.waiting():,} waiting. Next: memsync sync")


@click.command(short_help="Lend a vault to the reader of CARD; prints the invitation.")
@click.argument("card", shell_complete=files)
@vault_option
@lasting_option(DEFAULT_GRANT)
@private_option
@from_now_option
@click.option("--dry-run", is_flag=True, help="Say what would be granted; write nothing.")
@qr_options
@relay_option
@printing
def grant(
    app: App,
    card: str,
    name: str | None,
    lasting: timedelta,
    private: bool,
    from_now: bool,
    dry_run: bool,
    qr: bool,
    qr_file: Path | None,
) -> None:
    """Lend a vault to the reader of CARD (its text, a file, or -), and print the invitation to give back.

    \b
    memsync grant card.txt --vault novel --for 90d > invitation.txt
    """
    check_qr(app, qr, qr_file)
    target = app.client().vault(name)
    parsed = Card.parse(text_of(card, InvalidCard))
    who = f"{parsed.name} (key {parsed.key.id.hex()[:16]}, address 0x{parsed.address.hex()})"
    scope = f'what is sealed from now on of "{target.label}"' if from_now else f'ALL of "{target.label}"'
    if dry_run:
        price = pricing.of_grant(target, parsed, lasting, private=private, from_now=from_now)
        data = {"reader": parsed.name, "key_id": parsed.key.id, "address": f"0x{parsed.address.hex()}", "dry_run": True}
        days = lasting / timedelta(days=1)
        app.result(
            data | price_data(price),
            f"Would let {who} read {scope} for {days:g} days{price_of(app, price)}. Nothing written.",
            HONEST,
        )
        return
    done = target.grant(parsed, lasting, private=private, from_now=from_now)
    drawn = show_qr(app, str(done.invitation), qr, qr_file)
    app.result(
        {
            "reader": done.reader,
            "expires": done.expires,
            "private": private,
            "from_now": from_now,
            "invitation": str(done.invitation),
            **drawn,
            **receipt_data(done.receipt),
        },
        f"{parsed.name} can read {scope} until {day(done.expires)}, and keeps what it reads. "
        f"{cost_of(app, [done.receipt])}.",
        HONEST,
        "Give the reader this invitation, for `memsync reader join`:",
        str(done.invitation),
        handed=str(done.invitation),
    )


@click.command()
@vault_option
@printing
def grants(app: App, name: str | None) -> None:
    """Who reads a vault, and until when.

    \b
    memsync grants --vault novel
    """
    target = app.client().vault(name)
    lines = target.grants()
    names = target.glance.names if target.glance else {}
    data = [
        {"reader": r.name, "address": r.address, "private": r.address is None, "expires": r.expires, "living": r.living}
        for r in lines
    ]
    shown = [
        f"{_called(r, names)}   {'until' if r.living else 'ended'} {day(r.expires)}   {r.address or 'private'}"
        for r in lines
    ]
    app.result(data, *shown or ["No reader."])


def _called(line: ReaderLine, names: Mapping[str, str]) -> str:
    """The reader's name, or that which it had while it was in the roster."""
    if line.name != line.address:
        return line.name
    return f"once {names[line.name]}" if line.name in names else "unknown"


@click.command(short_help="Take back what was granted to a reader, or to everyone.")
@click.argument("reader", required=False, shell_complete=lent_names)
@click.option("--all", "everyone", is_flag=True, help="Every reader, and every other account that may commit.")
@vault_option
@click.option("--dry-run", is_flag=True, help="Say whom it would leave out, and what it costs; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, where it is all.")
@relay_option
@printing
def revoke(app: App, reader: str | None, everyone: bool, name: str | None, dry_run: bool, yes: bool) -> None:
    """Take back what was granted to READER (its name or address), or with --all to everyone: readers, and devices with
    an account of their own. New keys leave them out from now on.

    \b
    memsync revoke claude
    memsync revoke --all --dry-run
    """
    if everyone == (reader is not None):
        raise click.UsageError("Name a reader, or --all.")
    client = app.client()
    target = client.vault(name)
    if dry_run:
        found = target.readers_named(reader) if reader else target.grants()
        price = pricing.of_revocation(target, next((line.address for line in found if line.address), None))
        names = ", ".join(line.name for line in found) or "nobody"
        data = {"readers": [line.name for line in found], "dry_run": True} | price_data(price)
        app.result(
            data,
            f"Would leave out {names}{price_of(app, price)}. Nothing written.",
            *(
                f"The grant of {line.name} ended on {day(line.expires)}: with the next commit its keys end, too."
                for line in found
                if not line.living
            ),
        )
        return
    if everyone:
        app.confirm(f'Take back every grant of "{target.label}", also of devices with an account of their own?', yes)
    receipts = target.revoke(reader) if reader else target.revoke_all()
    left = [
        link.program
        for link in connecting.links(client)
        if link.vault_id == target.place.vault_id and (everyone or link.reader == reader)
    ]
    app.result(
        {
            "reader": reader,
            "gas": sum(receipt.gas_used for receipt in receipts),
            "transactions": [receipt_data(receipt) for receipt in receipts],
        },
        f"{reader or 'Whoever was granted'} opens nothing sealed from now on. What was sealed before, it may have kept."
        f" {cost_of(app, receipts)}.",
        *(f"Its configuration still names this vault. Next: memsync disconnect {program}" for program in left),
    )
