"""The commands that change who owns a vault: handing it on, recovering it, closing it. Each can be tried first, says
what it will cost, and asks."""

from __future__ import annotations

import shlex
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import click

from .. import owning, pricing
from ..addresses import checksummed, is_address
from ..cards import DeviceCard
from ..client import Client
from ..errors import AccessEnded, InvalidCard
from ..kit import phrase
from ..records import Receipt
from .app import App, Verbs, cost_of, counted, day, price_data, price_of, printing, receipt_data
from .completing import files, vault_names, vault_option
from .given import text_of
from .lending import lasting_option
from .qr import check_qr, qr_options, show_qr

if TYPE_CHECKING:
    from pathlib import Path

    from ..transactions import Call

_HANDED_ON = (
    "Once they accept, every grant ends, and their first commit leaves your devices and your kit out.",
    "What you have read you keep, and your old keys open what was sealed before, wherever a copy survives.",
    "The blobs stay on your host until they move them.",
)
_CLOSED = (
    "It stays readable on your machines that have it now, and comes back on no new one, from no kit.",
    "Export what you want to keep: memsync export --format jsonl",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done and what it costs; write nothing.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_name = click.argument("name", metavar="[VAULT]", required=False, shell_complete=vault_names)


class VaultId(click.ParamType):
    """A vault's id on chain: 64 hex digits, as `memsync vault list` shows it."""

    name = "id"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            found = bytes.fromhex(str(value).removeprefix("0x"))
        except ValueError:
            found = b""
        if len(found) != 32:
            self.fail(f"{value!r} is no vault's id: it has 64 hex digits.", param, context)
        return found


class Address(click.ParamType):
    """An account's address."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> str:
        if not is_address(str(value)):
            self.fail(f"{value!r} is no account's address (0x and 40 hex digits).", param, context)
        return checksummed(str(value))


def _tried(
    app: App, client: Client, call: Call, data: dict[str, Any], what: str, dry_run: bool, yes: bool, *notes: str
) -> bool:
    """Lets the contract refuse first, then says what would be done and asks. False after a dry run, which has been
    answered then."""
    price = pricing.of_call(client.session, call)
    if dry_run:
        data |= {"dry_run": True} | price_data(price)
        app.result(data, f"{what}{price_of(app, price)}.", *notes, "Nothing written.")
        return False
    for note in notes:
        app.say(note)
    app.confirm(f"{what}{price_of(app, price)}?", yes)
    return True


@click.command("card", short_help="Print this machine's card, to be handed a vault.")
@qr_options
@printing
def device_card(app: App, qr: bool, qr_file: Path | None) -> None:
    """Print this machine's card, for somebody who hands a vault on to you: `memsync vault offer CARD`.

    \b
    memsync device card > card.txt
    """
    check_qr(app, qr, qr_file)
    card = owning.own_card(app.client())
    compare = phrase(str(card))
    address = checksummed(card.address) if card.address else None
    data = {"card": str(card), "phrase": compare, "address": address}
    app.result(
        data | show_qr(app, str(card), qr, qr_file),
        str(card),
        "Let them compare these words with you, by voice or by eye:",
        f"  {compare}",
        handed=str(card),
    )


@click.command("offer", short_help="Offer a vault to a new owner.")
@click.argument("to", metavar="CARD|ADDRESS", shell_complete=files)
@vault_option
@lasting_option(owning.DEFAULT_OFFER, "How long it can be accepted.")
@_dry_run
@_yes
@printing
def vault_offer(app: App, to: str, name: str | None, lasting: timedelta, dry_run: bool, yes: bool) -> None:
    """Offer a vault to a new owner, who becomes it by `memsync vault accept`; until then it is yours.

    With the CARD of their machine (`memsync device card`; its text, a file, or -) that machine gets the vault's keys
    for the time of the offer: it reads ALL of it from now on, and can go on from there. With an ADDRESS alone they
    would own the record on chain and open nothing of it.

    \b
    memsync vault offer card.txt --vault novel --dry-run
    """
    client = app.client()
    target = client.vault(name)
    card = None if is_address(to) else DeviceCard.parse(text_of(to, InvalidCard))
    account = owning.account_in(card) if card else checksummed(to)
    until = (target.record().block.time + lasting).astimezone(UTC)
    whom = f"{card.name} ({account})" if card else account
    data: dict[str, Any] = {"vault": target.label, "id": target.place.vault_id, "new_owner": account, "expires": until}
    data |= {"keys": card is not None, "phrase": card and phrase(str(card))}
    notes = (
        [f"{card.name} would read ALL of it at once. Compare these words with them: {phrase(str(card))}"]
        if card
        else ["No key comes with it: they would own the record, and open nothing of the vault."]
    )
    if waiting := target.waiting():
        waits = counted(waiting, "memory waits", "memories wait")
        notes.append(f"{waits} here, and can't become part of it once they have accepted. Before that: memsync sync")
    data["waiting"] = waiting
    what = f'Offer "{target.label}" to {whom} until {day(until)}'
    call = owning.offer(target, account, until)
    if not _tried(app, client, call, data, what, dry_run, yes, *notes, *_HANDED_ON):
        return
    receipts = []
    if card:
        let_in = owning.let_in(target, card, until)
        receipts += [let_in] if let_in else []
        call = owning.offer(target, account, until)
    receipts.append(owning.send(client, call))
    app.result(
        data | _sent(receipts),
        f'"{target.label}" is offered to {whom} until {day(until)}. {_cost(app, receipts)}.',
        f"They accept it with: memsync vault accept {target.place.vault_id.hex()}",
        *(
            ["Should they not: memsync vault cancel-offer, then memsync rotate once their keys have ended."]
            if card
            else []
        ),
    )


@click.command("cancel-offer")
@_name
@_dry_run
@_yes
@printing
def vault_cancel_offer(app: App, name: str | None, dry_run: bool, yes: bool) -> None:
    """Withdraw the offer of a vault. A key that came with it goes with the first sync after the offer's last day, or
    at once with `memsync device remove NAME`.

    \b
    memsync vault cancel-offer novel
    """
    client = app.client()
    target = client.vault(name)
    data: dict[str, Any] = {"vault": target.label, "id": target.place.vault_id}
    call = client.session.registry.cancel_offer(target.place.vault_id)
    if _tried(app, client, call, data, f'Withdraw the offer of "{target.label}"', dry_run, yes):
        receipt = owning.send(client, call)
        app.result(
            data | _sent([receipt]),
            f'"{target.label}" is offered to nobody. {_cost(app, [receipt])}.',
            "If a key came with the offer, take it back: memsync device list, then memsync device remove NAME",
        )


@click.command("accept", short_help="Become the owner of a vault that was offered to you.")
@click.argument("vault_id", metavar="ID", type=VaultId())
@_dry_run
@_yes
@printing
def vault_accept(app: App, vault_id: bytes, dry_run: bool, yes: bool) -> None:
    """Become the owner of the vault ID that was offered to this home's wallet.

    Every grant ends. Where a key of this device came with the offer, new keys are made for you alone; else the record
    is yours, and nothing of it opens. Interrupted, or accepted with another wallet screen: run it again.

    \b
    memsync vault accept 9f2c… --dry-run
    """
    _take(app, vault_id, app.client().session.registry.accept(vault_id), "Become", dry_run, yes)


@click.command("close", short_help="End a vault for good.")
@click.argument("name", metavar="VAULT", shell_complete=vault_names)
@click.option("--successor", type=VaultId(), metavar="ID", help="The vault that takes its place, for all to see.")
@_dry_run
@_yes
@printing
def vault_close(app: App, name: str, successor: bytes | None, dry_run: bool, yes: bool) -> None:
    """End a vault for good: it has no owner any more, and nobody ever writes to it again. It can still be read where it
    was read until now, as long as its blobs are there; grants end.

    It keeps its name here, and is no longer meant where no --vault is named: see `memsync vault let-go`.

    \b
    memsync vault close novel --dry-run
    """
    client = app.client()
    target = client.vault(name)
    data: dict[str, Any] = {"vault": target.label, "id": target.place.vault_id, "successor": successor}
    if _tried(app, client, owning.close(target, successor), data, f'Close "{name}" for good', dry_run, yes, *_CLOSED):
        receipt = owning.send(client, owning.close(target, successor))
        target.record()  # so that it is known here
        named = shlex.quote(name)
        app.result(
            data | _sent([receipt]),
            f'"{name}" is closed for good. {_cost(app, [receipt])}.',
            f"It is read with --vault {named}, and let go of with: memsync vault let-go {named}",
        )


@click.command("let-go", short_help="Take a vault that is closed, or another's now, out of this home.")
@click.argument("name", metavar="VAULT", shell_complete=vault_names)
@_dry_run
@_yes
@printing
def vault_let_go(app: App, name: str, dry_run: bool, yes: bool) -> None:
    """Take a vault that is closed, or another's by now, out of this home: its name, this device's copies of it, and
    what waits here for it. Nothing here opens it from then on. Its blobs stay on their hosts, and the chain as it is.

    \b
    memsync export --format jsonl --vault novel -o novel.jsonl
    memsync vault let-go novel --dry-run
    """
    client = app.client()
    target = client.vault(name)
    owning.check_let_go(client, target)
    waits, proposed, glance = target.waiting(), target.proposed(), target.glance
    saved = glance and glance.memories
    data = {"vault": target.label, "id": target.place.vault_id, "saved": saved, "waiting": waits, "proposed": proposed}
    counts = (f"{saved:,} saved" if saved is not None else "", f"{waits:,} waiting" if waits else "")
    which = " and ".join(filter(None, counts))
    what = f'let go of "{name}"{f", with {which}" if which else ""}: nothing here opens it any more'
    if dry_run:
        app.result(data | {"dry_run": True}, f"Would {what}. Nothing written.")
        return
    app.confirm(f"{what[0].upper()}{what[1:]}. `memsync export` keeps what is in it. Go on?", yes)
    owning.let_go(client, target)
    app.result(data, f'"{name}" is no vault of this home any more. Its name is free.')


@click.group("recovery", cls=Verbs, short_help="The way back to a vault whose wallet is lost.")
def recovery() -> None:
    """The way back to a vault whose wallet is lost: an address that you name may let it go to a new owner, 21 days
    after it said so, unless you veto. It brings the record back, and no keys: these come from the kit or a device.

    \b
    memsync vault recovery set 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --vault novel
    """


@recovery.command("set", short_help="Name the address that may start a recovery.")
@click.argument("address", type=Address(), required=False)
@click.option("--none", "nobody", is_flag=True, help="Name nobody: no recovery is possible then.")
@vault_option
@_dry_run
@_yes
@printing
def recovery_set(app: App, address: str | None, nobody: bool, name: str | None, dry_run: bool, yes: bool) -> None:
    """Name the ADDRESS that may start a recovery: a wallet of yours elsewhere, or somebody whom you trust to be no
    thief. You have 21 days to veto what it starts.

    \b
    memsync vault recovery set 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --vault novel
    """
    if nobody == (address is not None):
        raise click.UsageError("Name an address, or --none.")
    client = app.client()
    target = client.vault(name)
    data: dict[str, Any] = {"vault": target.label, "recovery": address}
    call = client.session.registry.set_recovery(target.place.vault_id, address)
    what = f'Let {address or "nobody"} start a recovery of "{target.label}"'
    if _tried(app, client, call, data, what, dry_run, yes):
        receipt = owning.send(client, call)
        done = f'{address} may start a recovery of "{target.label}".' if address else "No recovery is possible now."
        watch = ["Look at `memsync` now and then: it warns you of one, and you can veto it for 21 days."]
        app.result(data | _sent([receipt]), f"{done} {_cost(app, [receipt])}.", *(watch if address else []))


@recovery.command("start", short_help="Let a vault go to a new owner, in 21 days.")
@click.argument("vault_id", metavar="ID", type=VaultId())
@click.option("--to", "new_owner", type=Address(), required=True, help="Who is to own it.")
@_dry_run
@_yes
@printing
def recovery_start(app: App, vault_id: bytes, new_owner: str, dry_run: bool, yes: bool) -> None:
    """With the wallet of the recovery address: let the vault ID go to a new owner, in 21 days.

    \b
    memsync vault recovery start 9f2c… --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    client = app.client()
    data: dict[str, Any] = {"id": vault_id, "new_owner": new_owner}
    call = client.session.registry.start_recovery(vault_id, new_owner)
    if _tried(app, client, call, data, f"Let {vault_id.hex()[:8]}… go to {new_owner}", dry_run, yes):
        receipt = owning.send(client, call)
        ready = client.session.registry.recovery_of(vault_id).ready
        app.result(
            data | {"ready": ready} | _sent([receipt]),
            f"Started: {new_owner} can take it from {day(ready)} on, for 30 days, unless its owner vetoes."
            f" {_cost(app, [receipt])}.",
            f"Then, with that wallet: memsync vault recovery finish {vault_id.hex()}",
        )


@recovery.command("veto")
@_name
@_dry_run
@_yes
@printing
def recovery_veto(app: App, name: str | None, dry_run: bool, yes: bool) -> None:
    """Stop a recovery that somebody has started. The address may start another: name a new one with `set`.

    \b
    memsync vault recovery veto novel
    """
    client = app.client()
    target = client.vault(name)
    data: dict[str, Any] = {"vault": target.label}
    call = client.session.registry.veto_recovery(target.place.vault_id)
    if _tried(app, client, call, data, f'Stop the recovery of "{target.label}"', dry_run, yes):
        receipt = owning.send(client, call)
        app.result(
            data | _sent([receipt]),
            f'The recovery of "{target.label}" is stopped. {_cost(app, [receipt])}.',
            "Who started it may do so again: memsync vault recovery set ADDRESS, or --none.",
        )


@recovery.command("finish", short_help="Become the owner, once the 21 days are over.")
@click.argument("vault_id", metavar="ID", type=VaultId())
@_dry_run
@_yes
@printing
def recovery_finish(app: App, vault_id: bytes, dry_run: bool, yes: bool) -> None:
    """With the new owner's wallet, once the 21 days are over: become the owner of the vault ID.

    It brings the record. Its memories open with the recovery kit, or with a device key that you kept; then new keys are
    made for you alone. Interrupted, run it again.

    \b
    memsync vault recovery finish ID --dry-run
    """
    _take(app, vault_id, app.client().session.registry.finish_recovery(vault_id), "Become by recovery", dry_run, yes)


def _take(app: App, vault_id: bytes, call: Call, how: str, dry_run: bool, yes: bool) -> None:
    client = app.client()
    data: dict[str, Any] = {"id": vault_id}
    if owning.half_taken(client, vault_id):
        if dry_run:
            begun = next(vault for vault in client.vaults() if vault.place.vault_id == vault_id)
            price = pricing.of_commit(begun, rotates=True)
            said = f"It is yours; new keys for you alone are still to be made{price_of(app, price)}."
            app.result(data | {"dry_run": True} | price_data(price), said)
            return
        done = owning.take_over(client, None, vault_id)
    elif _tried(app, client, call, data, f"{how} the owner of {vault_id.hex()[:8]}…", dry_run, yes):
        done = owning.take_over(client, call, vault_id)
    else:
        return
    data |= {"vault": done.vault and done.vault.label, "opens": done.vault is not None} | _sent(done.receipts)
    if done.vault:
        lines = [
            f'"{done.vault.label}" is yours, and your own keys alone are in it. {_cost(app, done.receipts)}.',
            "Its blobs are still on the former owner's host. Next: memsync recall …",
        ]
    elif done.shut and not isinstance(done.shut, AccessEnded):
        lines = [
            f"The record of {vault_id.hex()[:8]}… is yours, and it does not open now. {_cost(app, done.receipts)}.",
            f"{done.shut.cause} Then finish it: memsync vault accept {vault_id.hex()}",
        ]
    else:
        owner = client.session.config.owner
        lines = [
            f"The record of {vault_id.hex()[:8]}… is yours, and no key here opens it. {_cost(app, done.receipts)}.",
            f"With a recovery kit of it, in an empty home: memsync restore --kit --owner {owner} --wallet WALLET",
        ]
    app.result(data, *lines)


def _sent(receipts: list[Receipt] | tuple[Receipt, ...]) -> dict[str, Any]:
    return {
        "gas": sum(receipt.gas_used for receipt in receipts),
        "transactions": [receipt_data(receipt) for receipt in receipts],
    }


def _cost(app: App, receipts: list[Receipt] | tuple[Receipt, ...]) -> str:
    return cost_of(app, receipts)
