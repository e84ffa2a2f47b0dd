"""The recovery kit: making it, checking it, printing its sheet."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .. import keyfile, pricing, recovery
from .. import kit as words
from ..addresses import checksummed
from ..cards import Sheet
from ..client import Client
from ..errors import InvalidKit, InvalidRequest
from ..keyfile import ask
from ..keyring import Role
from ..keys import HolderKey, PublicKey
from ..records import Receipt
from ..sealing import SECRET_BYTES
from ..vault import Vault
from .app import App, Verbs, ask_secret, cost_of, counted, lines_of, price_data, price_of, printing
from .given import text_of
from .qr import check_qr, qr_options, show_qr

KIT_FD = "--kit-passphrase-fd"
shares_option = click.option(
    "--shares-fd", type=int, metavar="N", help="Read two lists of words, one a line, from this file descriptor."
)
kit_passphrase_option = click.option(
    KIT_FD, type=int, metavar="N", help="Read the kit file's passphrase from this file descriptor."
)


@dataclass(frozen=True)
class NewKit:
    """A kit just made: its public key, and what the answer says of it. ``unseen``: its words are in that answer, and
    nobody has seen them before."""

    public: PublicKey
    data: dict[str, Any] = field(repr=False)
    lines: list[str] = field(default_factory=list, repr=False)
    unseen: bool = False


def new_kit(app: App, path: Path | None, passphrase_fd: int | None) -> NewKit:
    """Three lists of words, or a file. Nothing of the lists is kept; they are shown before anything is committed, so
    that no kit is in the keyrings that nobody has seen. With --json they are in the one object at the end, whether that
    is an answer or an error."""
    if path:
        passphrase = ask(lambda: ask_secret("Passphrase of the kit file", passphrase_fd, KIT_FD, confirm=True))
        if not passphrase:
            raise InvalidRequest("The passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
        public = keyfile.create(path, passphrase).xwing.public
        where = str(path.absolute())
        return NewKit(public, {"file": where}, [f"Recovery kit in {where}: keep it, and its passphrase, elsewhere."])
    key = HolderKey(os.urandom(SECRET_BYTES))
    shares = words.split(key)
    lines = ["Recovery kit: any 2 of these 3 lists restore. Write each on paper, and keep them in different places."]
    for number, share in enumerate(shares, 1):
        lines += ["", f"List {number} of 3", *_numbered(share.split())]
    data: dict[str, Any] = {"shares": list(shares)}
    if app.json:
        app.done.append({"kit": data})
        return NewKit(key.xwing.public, data, unseen=True)
    for line in [*lines, ""]:
        app.line(line)
    sys.stdout.flush()
    if sys.stdin.isatty() and not click.confirm("Have you written them down?", err=True):
        raise click.Abort("no kit was made of these lists; run it again with paper at hand, and it shows others")
    return NewKit(key.xwing.public, data)


def kit_at_hand(path: Path | None, shares_fd: int | None, passphrase_fd: int | None) -> HolderKey:
    """The kit's key, from its file or from two lists of words: on a file descriptor, or typed. Raises InvalidKit,
    WrongPassphrase, or what reading raises."""
    if path:
        return keyfile.unlock(path, ask(lambda: ask_secret("Passphrase of the kit file", passphrase_fd, KIT_FD)))
    if shares_fd is not None:
        return words.combine([line for line in lines_of(shares_fd, 8, "lists of words") if line.strip()])
    if not sys.stdin.isatty():
        raise InvalidRequest("Two lists of words are needed, and there is no terminal to ask on.", "Use --shares-fd N.")
    shares: list[str] = []
    while len(shares) < words.NEEDED:
        try:
            shares.append(words.checked(click.prompt(f"List {len(shares) + 1} of {words.NEEDED}", err=True)))
        except InvalidKit as error:
            click.echo(f"{error.cause} {error.next_step}", err=True)
    return words.combine(shares)


def sheet_given(text: str) -> Sheet:
    """A sheet that was given as its text, in a file, or as -."""
    return Sheet.parse(text_of(text, InvalidKit))


def sheet_lines(client: Client) -> list[str]:
    """The sheet for people: what to keep beside the kit. It is no secret."""
    sheet = recovery.kit_sheet(client)
    return [
        "The sheet, to keep with each list. It is no secret (as a QR code: memsync kit sheet --qr-file sheet.svg):",
        f"  chain {sheet.chain_id}   registry {checksummed(sheet.registry)}",
        f"  wallet {checksummed(sheet.owner)}",
        f"  RPC node {sheet.rpc}   blobs {', '.join(sheet.base_uris) or 'none yet'}",
        f"  {counted(len(sheet.anchors), 'vault', 'vaults')}, as of {sheet.made:%Y-%m-%d}",
        str(sheet),
    ]


@click.group(cls=Verbs, short_help="Make and check the recovery kit.")
def kit() -> None:
    """Make and check the recovery kit: what brings everything back when every device is lost.

    \b
    memsync kit make
    memsync kit check
    memsync kit sheet > sheet.txt
    """


@kit.command("make")
@click.option("--file", "path", type=click.Path(path_type=Path), help="A file under a passphrase, not word lists.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--yes", is_flag=True, help="Replace an older kit without asking.")
@kit_passphrase_option
@printing
def kit_make(app: App, path: Path | None, dry_run: bool, yes: bool, kit_passphrase_fd: int | None) -> None:
    """Make a recovery kit and add it to every vault. It takes the place of an older one, which is void from then on.

    The words are shown before any vault has the kit. With --json they are in the one object at the end: should the
    command fail before, in its error, under "done"; should it be killed, nobody has them. `memsync` says so then, and
    you make another kit.

    \b
    memsync kit make
    memsync kit make --file /media/usb/memsync-kit.key
    """
    client = app.client()
    opened = client.opened()
    vaults = [vault for vault, _ in opened]
    old = [v.label for v, roster in opened if any(holder.role is Role.KIT for holder in roster.holders)]
    replaces = f"The kit of {', '.join(old)} would be void from then on" if old else "There is no kit to replace"
    if dry_run:
        data: dict[str, Any] = {"dry_run": True, "vaults": [vault.label for vault in vaults], "replaces": old}
        price = pricing.summed(pricing.of_commit(vault, keyring=True, rotates=vault.label in old) for vault in vaults)
        data |= {"not_opened": sorted(client.shut)} | price_data(price)
        where = f"{counted(len(vaults), 'vault', 'vaults')}{price_of(app, price)}"
        app.result(data, f"Would add a new kit to {where}. {replaces}.")
        return
    client.session.unlock()
    if old:
        app.confirm(f"{replaces}. Go on?", yes)
    made = new_kit(app, path, kit_passphrase_fd)
    sent: list[Receipt] = []

    def count(vault: Vault, receipts: list[Receipt]) -> None:
        sent.extend(receipts)
        app.say(f"{vault.label}: the kit has its keys")

    recovery.set_kit(client, made.public, count, unseen=made.unseen)
    app.result(
        made.data
        | {
            "sheet": str(recovery.kit_sheet(client)),
            "vaults": [v.label for v in vaults],
            "gas": sum(receipt.gas_used for receipt in sent),
        }
        | {"not_opened": sorted(client.shut)},
        *made.lines,
        *sheet_lines(client),
        f"In {counted(len(vaults), 'vault', 'vaults')}, and in those that you make here. {cost_of(app, sent)}.",
        *(["The kit before it is void from now on: destroy it."] if old else []),
        "Next, with the paper in your hands: memsync kit check",
    )
    client.home.kit_seen()


@kit.command("check", short_help="Say whether two lists of words open every vault.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="The kit's file, where it is one.")
@shares_option
@kit_passphrase_option
@printing
def kit_check(app: App, path: Path | None, shares_fd: int | None, kit_passphrase_fd: int | None) -> None:
    """Say whether two lists of words (or the kit's file) open the present keyring of every vault. Commits nothing.

    \b
    memsync kit check
    memsync kit check --shares-fd 3 3<lists.txt
    """
    client = app.client()
    key = kit_at_hand(path, shares_fd, kit_passphrase_fd)
    lines = recovery.check_kit(client, key)
    note = client.home.kit()
    ours = note is not None and note.key == key.xwing.public.raw.hex()
    if not lines and not ours:
        raise InvalidKit("This is not the kit that this home has noted.", "It may be an older one: memsync kit make")
    shut = [line.vault for line in lines if not line.opens]
    if shut and note and note.unseen and not ours:
        raise InvalidKit(
            f"The lists do not open {', '.join(shut)}. A newer kit has taken their place, made by a command that did"
            " not come to its end: unless it left its words in an error, nobody has them.",
            "Make another kit: memsync kit make",
        )
    if shut:
        raise InvalidKit(
            f"The lists belong together, and do not open {', '.join(shut)}: they are of an older kit, or another's.",
            "Find the newest lists, or make a new kit: memsync kit make",
        )
    if ours:
        client.home.kit_seen()
    app.result(
        [{"vault": line.vault, "opens": line.opens} for line in lines],
        f"Good: this kit opens {counted(len(lines), 'vault', 'vaults')}"
        + (f" ({', '.join(line.vault for line in lines)})." if lines else "; those that you make here will have it."),
    )


@kit.command("sheet", short_help="Print the kit's sheet as of now.")
@qr_options
@printing
def kit_sheet(app: App, qr: bool, qr_file: Path | None) -> None:
    """Print the kit's sheet as of now: again after a new vault, since it lists the vaults. It is no secret.

    \b
    memsync kit sheet > sheet.txt
    memsync kit sheet --qr-file sheet.svg
    """
    check_qr(app, qr, qr_file)
    client = app.client()
    sheet = str(recovery.kit_sheet(client))
    app.result({"sheet": sheet} | show_qr(app, sheet, qr, qr_file), *sheet_lines(client), handed=sheet)


def _numbered(share: list[str]) -> list[str]:
    cells = [f"{place:>2} {word:<9}" for place, word in enumerate(share, 1)]
    return ["  " + " ".join(cells[start : start + 6]).rstrip() for start in range(0, len(cells), 6)]
