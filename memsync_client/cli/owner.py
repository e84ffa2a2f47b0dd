"""The owner's commands."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from .. import client as library
from ..access import DEFAULT_GRANT
from ..cards import Card
from ..client import PRACTICE_RPC
from ..errors import InvalidCard, InvalidImport, StorageUnavailable
from ..interchange import jsonl
from ..session import PRACTICE_CHAIN
from .app import App, counted, day, printing, progress_bar, receipt_data
from .given import memory_text, text_of

HONEST = (
    "A grant opens everything back to the last clean cut. After a revocation the reader can still open\n"
    "what was sealed until then, read or not, wherever a copy survives, and can't be made to forget."
)

vault_option = click.option("--vault", "name", metavar="NAME", help="Which vault (not needed where there is one).")


class Duration(click.ParamType):
    """Days, weeks or hours: 90d, 12w, 36h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,5})([hdw])", str(value))
        if not match or not int(match[1]):
            self.fail(f"{value!r} is not a time such as 90d, 12w or 36h.", param, context)
        return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]


@click.command()
@click.option("--port", default=8545, show_default=True)
@printing
def node(app: App, port: int) -> None:
    """Run the practice chain in the foreground: free, on this computer only, saved in this home.

    Ctrl-C ends it; the next start goes on from where it was.
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


@click.command()
@click.option(
    "--rpc", "node_url", metavar="URL", help=f"The chain's RPC node (default: the practice chain, {PRACTICE_RPC})."
)
@click.option(
    "--registry", metavar="ADDRESS", help="The MemoryRegistry (default: its address that is the same on every chain)."
)
@click.option(
    "--wallet", type=click.Path(path_type=Path), help="A keystore file of yours to copy, under the same passphrase."
)
@printing
def init(app: App, node_url: str | None, registry: str | None, wallet: Path | None) -> None:
    """Make this home: a device key, a wallet, and where the chain is. One passphrase unlocks both."""
    rpc = node_url or app.rpc or PRACTICE_RPC
    config = library.init(app.home, app.new_passphrase, rpc=rpc, registry=registry, keystore=wallet)
    if config.chain_id == PRACTICE_CHAIN:
        chain = "practice, on this computer only, free. Not a backup."
        steps = ["Next: memsync vault new NAME"]
    else:
        chain = f"{config.chain_id}."
        steps = [
            "This version stores blobs in folders only, so vaults can be made on a practice chain only. They will move",
            "to a public chain by export and import, which are still to come.",
            "Next, to try it out: memsync node, and in another terminal: memsync --home FOLDER init",
        ]
    app.result(
        {"home": str(app.home.folder), "chain_id": config.chain_id, "registry": config.registry, "owner": config.owner},
        f"Chain: {chain}",
        f"Wallet {config.owner}, in {app.home.wallet}",
        f"Device key in {app.home.device_key}",
        "If this computer is lost and you have no copy of the device key, the memory is gone: keep a copy elsewhere.",
        *steps,
    )


@click.group()
def vault() -> None:
    """Make and show vaults."""


@vault.command("new")
@click.argument("name")
@click.option(
    "--base-uri", metavar="URI", help="Where its blobs go (default on a practice chain: a folder of this home)."
)
@printing
def vault_new(app: App, name: str, base_uri: str | None) -> None:
    """Make a vault. Its name is sealed too."""
    try:
        made = app.client().new_vault(name, base_uri)
    except StorageUnavailable as error:
        if base_uri is None:
            raise
        step = "Name a folder that is there, on a practice chain: --base-uri file:///home/ines/blobs/"
        raise StorageUnavailable(error.cause, step) from None
    app.result(
        {"name": name, "vault": made.vault.place.vault_id, **receipt_data(made.receipt)},
        f'Vault "{name}" is yours. Its name is sealed too. {_gas(app, made.receipt.gas_used)}.',
        'Next: memsync remember "…"   or   memsync import FILE',
    )


@vault.command("list")
@printing
def vault_list(app: App) -> None:
    """The vaults of this home, with what waits for the next sync. Asks neither node nor passphrase."""
    vaults = [(v.label, v.place.vault_id.hex(), v.waiting()) for v in app.client().vaults()]
    app.result(
        [{"name": name, "vault": vault_id, "waiting": waiting} for name, vault_id, waiting in vaults],
        *[f"{name}   {waiting} waiting   {vault_id}" for name, vault_id, waiting in vaults],
        *([] if vaults else ["No vault yet. Next: memsync vault new NAME"]),
    )


@vault.command("show")
@click.argument("name", required=False)
@printing
def vault_show(app: App, name: str | None) -> None:
    """What stands on chain for a vault."""
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
        f"{target.waiting()} waiting on this computer. Next: memsync sync",
    )


@click.command()
@click.argument("memory_id", metavar="ID")
@click.argument("text")
@vault_option
@printing
def edit(app: App, memory_id: str, text: str, name: str | None) -> None:
    """Replace the text of a memory. ID is the beginning of its id, as `memsync list` shows it; TEXT may be - for
    standard input."""
    target = app.client().vault(name)
    memory = target.edit(memory_id, memory_text(text))
    data = {"id": memory.id, "revision": memory.revision, "waiting": target.waiting()}
    app.result(data, f"Edited {memory.id.hex()[:8]}. {target.waiting()} waiting. Next: memsync sync")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@vault_option
@click.option("--dry-run", is_flag=True, help="Read and count; write nothing.")
@printing
def import_file(app: App, file: Path, name: str | None, dry_run: bool) -> None:
    """Take in JSON Lines: one object a line with id, content, created, source. All of a file, or nothing of it.

    \b
    memsync import notes.jsonl --dry-run
    memsync import notes.jsonl
    """
    target = app.client().vault(name)
    try:
        with click.open_file(str(file), "rb") as stream:
            found = jsonl.read(stream, file.name)
    except OSError as error:
        raise InvalidImport(f"{file} can't be read: {error.strerror}.", "Check the path.") from None
    left_out = "".join(f"; field {field!r} left out {count} times" for field, count in sorted(found.skipped.items()))
    memories = counted(len(found.drafts), "memory", "memories")
    what = f"{memories} from {counted(found.conversations, 'conversation', 'conversations')}{left_out}."
    if not dry_run:
        target.import_drafts(found.drafts)
    data = {
        "memories": len(found.drafts),
        "conversations": found.conversations,
        "left_out": dict(found.skipped),
        "dry_run": dry_run,
    }
    app.result(
        data | {"waiting": target.waiting()},
        f"{what} Nothing written."
        if dry_run
        else f"{what} {target.waiting()} waiting on this computer. Next: memsync sync",
    )


@click.command()
@vault_option
@click.option(
    "--keep-private/--drop-private",
    default=None,
    help="Whether private readers stay after a revocation made elsewhere.",
)
@click.option("--accept-rollback", is_flag=True, help="Accept an older state of the chain than this device has seen.")
@printing
def sync(app: App, name: str | None, keep_private: bool | None, accept_rollback: bool) -> None:
    """Seal and commit what waits, in one transaction a vault, and take in what other devices committed."""
    client = app.client()
    for vault in client.adopt() if name is None else []:
        app.line(f'Found vault "{vault.label}" on chain.')
    for target in [client.vault(name)] if name else client.vaults():
        done = target.sync(keep_private=keep_private, accept_rollback=accept_rollback)
        landed = done.landed
        again = f" {done.already} were in the vault already." if done.already else ""
        if landed:
            gas = _gas(app, landed.receipt.gas_used)
            cost = f"{landed.stored_bytes:,} bytes stored, read back; one transaction, {gas}"
            app.line(f"{target.label}: {done.committed} sealed, {cost}.{again}")
        else:
            app.line(f"{target.label}: nothing to commit; version {done.version}.{again}")
        item = {"name": target.label, "committed": done.committed, "already": done.already, "version": done.version}
        sent = {"stored_bytes": landed.stored_bytes, **receipt_data(landed.receipt)} if landed else {}
        app.done.append(item | sent)
    app.result(app.done, *([] if app.done else ["No vault yet. Next: memsync vault new NAME"]))


@click.command()
@click.argument("card")
@vault_option
@click.option(
    "--for",
    "lasting",
    type=Duration(),
    default=f"{DEFAULT_GRANT.days}d",
    show_default=True,
    help="How long: 90d, 12w, 36h.",
)
@click.option("--private", is_flag=True, help="An envelope in the keyring and nothing else: no address on chain.")
@click.option("--dry-run", is_flag=True, help="Say what would be granted; write nothing.")
@printing
def grant(app: App, card: str, name: str | None, lasting: timedelta, private: bool, dry_run: bool) -> None:
    """Lend a vault to the reader of CARD (its text, a file, or -), and print the invitation to give back.

    \b
    memsync grant card.txt --vault novel --for 90d > invitation.txt
    """
    target = app.client().vault(name)
    parsed = Card.parse(text_of(card, InvalidCard))
    who = f"{parsed.name} (key {parsed.key.id.hex()[:16]}, address 0x{parsed.address.hex()})"
    if dry_run:
        data = {"reader": parsed.name, "key_id": parsed.key.id, "address": f"0x{parsed.address.hex()}", "dry_run": True}
        days = lasting / timedelta(days=1)
        app.result(data, f'Would let {who} read ALL of "{target.label}" for {days:g} days. Nothing written.', HONEST)
        return
    done = target.grant(parsed, lasting, private=private)
    app.result(
        {
            "reader": done.reader,
            "expires": done.expires,
            "private": private,
            "invitation": str(done.invitation),
            **receipt_data(done.receipt),
        },
        f'{parsed.name} can read ALL of "{target.label}" until {day(done.expires)}, and keeps what it reads. '
        f"{_gas(app, done.receipt.gas_used)}.",
        HONEST,
        "Give the reader this invitation, for `memsync reader join`:",
        str(done.invitation),
    )


@click.command()
@vault_option
@printing
def grants(app: App, name: str | None) -> None:
    """Who reads a vault, and until when."""
    lines = app.client().vault(name).grants()
    data = [
        {"reader": r.name, "address": r.address, "private": r.address is None, "expires": r.expires, "living": r.living}
        for r in lines
    ]
    shown = [
        f"{r.name}   {'until' if r.living else 'ended'} {day(r.expires)}   {r.address or 'private'}" for r in lines
    ]
    app.result(data, *shown or ["No reader."])


@click.command()
@click.argument("reader")
@vault_option
@printing
def revoke(app: App, reader: str, name: str | None) -> None:
    """Take back what was granted to READER (its name or address). New keys leave it out from now on."""
    receipts = app.client().vault(name).revoke(reader)
    gas = sum(receipt.gas_used for receipt in receipts)
    app.result(
        {"reader": reader, "gas": gas, "transactions": [receipt_data(receipt) for receipt in receipts]},
        f"{reader} opens nothing sealed from now on. What was sealed before, it may have kept. {_gas(app, gas)}.",
    )


@click.command()
@click.argument("device_key", type=click.Path(path_type=Path))
@click.option("--owner", required=True, metavar="ADDRESS", help="The wallet's address.")
@click.option("--rpc", "node_url", metavar="URL", help=f"The chain's RPC node (default: {PRACTICE_RPC}).")
@click.option(
    "--registry", metavar="ADDRESS", help="The MemoryRegistry (default: its address that is the same on every chain)."
)
@click.option(
    "--wallet", type=click.Path(path_type=Path), help="Your keystore file; without it this home reads and can't commit."
)
@click.option(
    "--blobs", type=click.Path(path_type=Path), help="A folder that has the blobs, instead of the one on chain."
)
@printing
def restore(
    app: App,
    device_key: Path,
    owner: str,
    node_url: str | None,
    registry: str | None,
    wallet: Path | None,
    blobs: Path | None,
) -> None:
    """Bring every vault back into an empty home, from a copied device key file.

    \b
    memsync --home new restore device.key --owner 0x… --blobs copied-blobs/
    """
    rpc = node_url or app.rpc or PRACTICE_RPC
    found = library.restore(
        app.home, app.passphrase, device_key, owner, rpc=rpc, registry=registry, keystore=wallet, blobs=blobs
    )
    data: list[dict[str, Any]] = []
    for vault in found:
        with progress_bar(app, f"reading {vault.label}") as step:
            data.append({"name": vault.label, "vault": vault.place.vault_id, "memories": len(vault.memories(step))})
    app.result(
        data,
        *[f'Vault "{item["name"]}" is back: {counted(item["memories"], "memory", "memories")}.' for item in data],
        "Next: memsync recall …" if wallet else "This home can read. To commit, copy your keystore file to it.",
    )


def _gas(app: App, gas: int) -> str:
    free = app.home.config().chain_id == PRACTICE_CHAIN
    return f"{gas:,} gas, free here" if free else f"{gas:,} gas"
