"""What owner and granted tool have in common (reading), and the tool's own commands."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ..cards import Invitation
from ..errors import InvalidInvitation, InvalidRequest
from ..memories import Memory
from ..reader import Reader, card_of, new_reader
from ..search import Filter, Hit, Part
from ..vault import Vault
from .app import App, Verbs, counted, day, memory_data, one_entry, printing, progress_bar, when
from .completing import files, reader_names, vault_option
from .given import text_of
from .qr import check_qr, qr_options, show_qr

_as = click.option(
    "--as",
    "reader_name",
    metavar="READER",
    shell_complete=reader_names,
    help="Read as this reader, made here with `memsync reader new`.",
)
_blobs = click.option(
    "--blobs", type=click.Path(path_type=Path), help="A folder that has the blobs, instead of the one on chain."
)

_PARTS = {
    Part.ITSELF: "in it",
    Part.BEFORE: "said before it",
    Part.AFTER: "said after it",
    Part.CONVERSATION: "in the whole conversation",
}
_SETTLE = "settle each with `memsync edit ID TEXT`"
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def _source(app: App, name: str | None, reader_name: str | None) -> Vault | Reader:
    """The owner's vault; a reader where one is named, or where this home is no owner's."""
    if reader_name or (not app.home.initialised and app.home.readers()):
        return Reader(app.home, reader_name, app.passphrase, rpc=app.rpc)
    return app.client().vault(name)


@click.command("list")
@vault_option
@_as
@click.option("--limit", type=click.IntRange(1), help="Only the last so many.")
@printing
def list_memories(app: App, name: str | None, reader_name: str | None, limit: int | None) -> None:
    """All memories, in the order of their commits. Each has the beginning of its id before it.

    \b
    memsync list --limit 20
    memsync list --as claude
    """
    with progress_bar(app, "reading") as step:
        found = _source(app, name, reader_name).memories(step)
    shown = found[-limit:] if limit else found
    edits = Counter(memory.id for memory in found)
    contradicting = [memory_id.hex()[:8] for memory_id, times in edits.items() if times > 1]
    data = [memory_data(memory) | {"conflict": edits[memory.id] > 1} for memory in shown]
    note = [f"Edits of {', '.join(contradicting)} contradict each other: {_SETTLE}."] if contradicting else []
    app.result(data, *[_line(memory) for memory in shown], *note)


@click.command()
@click.argument("query")
@vault_option
@_as
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--tag", help="Only what has this tag.")
@click.option("--source", help="Only what comes from this platform.")
@click.option("--type", "kind", help="Only what is of this type.")
@click.option("--after", type=_TIME, help="Only what was made then or later, in your zone.")
@click.option("--before", type=_TIME, help="Only what was made earlier, in your zone.")
@click.option("--why", is_flag=True, help="Show which words counted, and where they stood.")
@printing
def recall(
    app: App,
    query: str,
    name: str | None,
    reader_name: str | None,
    limit: int,
    tag: str | None,
    source: str | None,
    kind: str | None,
    after: datetime | None,
    before: datetime | None,
    why: bool,
) -> None:
    """The memories that answer QUERY best, by keywords.

    \b
    memsync recall "which hand does Ines use"
    memsync recall "salt" --after 2026-01-01 --before 2026-02-01 --why
    """
    only = Filter(tag, source, kind, _in_zone(after), _in_zone(before))
    hits = _source(app, name, reader_name).recall(query, limit, only)
    app.result(
        [_hit_data(hit, why) for hit in hits],
        *[one_entry(_hit_line(rank, hit, why)) for rank, hit in enumerate(hits, 1)],
        *([] if hits else ["Nothing found. Try other words."]),
        *([f"What is marked ≠ contradicts another edit of it: {_SETTLE}."] if any(h.conflict for h in hits) else []),
    )


@click.command(short_help="Fetch every blob from its host, and check all of it.")
@vault_option
@_as
@printing
def verify(app: App, name: str | None, reader_name: str | None) -> None:
    """Fetch every blob from its host and check all of it: hashes, signatures, links, and one proof on chain.

    \b
    memsync verify --vault novel
    """
    with progress_bar(app, "verifying") as step:
        report = _source(app, name, reader_name).verify(step)
    scope = "all of the vault" if report.whole else "all that this key opens"
    proof = "" if report.proven is None else f" The contract confirmed the proof of entry {report.proven}."
    state = (
        f" The node has proven the record against the state root of block {report.block}."
        if report.state_proven
        else " The node offers no proof of state for the record: that is its word."
    )
    app.result(
        {field: getattr(report, field) for field in report.__dataclass_fields__},
        f"Verified at block {report.block}: {scope}, version {report.version}, epoch {report.epoch}. "
        f"{counted(report.memories, 'entry', 'entries')}, {counted(report.packs, 'pack', 'packs')}, "
        f"{counted(report.heads, 'head', 'heads')}, {report.blobs} blobs, "
        f"{report.bytes:,} bytes.{proof}{state}",
    )


@click.group(cls=Verbs)
def reader() -> None:
    """The tool's side: make a key, show its card, join a vault.

    \b
    memsync reader new claude > card.txt
    memsync reader join invitation.txt --as claude
    """


@reader.command("new", short_help="Make a key and an address for one vault, and print the card.")
@click.argument("name")
@qr_options
@printing
def reader_new(app: App, name: str, qr: bool, qr_file: Path | None) -> None:
    """Make a key and an address for one vault alone, and print the card to give to its owner.

    \b
    memsync reader new claude > card.txt
    memsync reader new claude --qr-file card.svg
    """
    check_qr(app, qr, qr_file)
    card = new_reader(app.home, name, lambda: app.new_passphrase("Passphrase for this reader's key"))
    _show_card(app, str(card), qr, qr_file)


@reader.command("card")
@_as
@qr_options
@printing
def reader_card(app: App, reader_name: str | None, qr: bool, qr_file: Path | None) -> None:
    """Print the card of a reader made before.

    \b
    memsync reader card --as claude > card.txt
    """
    check_qr(app, qr, qr_file)
    _show_card(app, str(card_of(app.home, reader_name, app.passphrase())), qr, qr_file)


@reader.command("join", short_help="Accept the invitation that the owner's grant printed.")
@click.argument("invitation", shell_complete=files)
@_as
@_blobs
@printing
def reader_join(app: App, invitation: str, reader_name: str | None, blobs: Path | None) -> None:
    """Accept the invitation that the owner's grant printed (its text, a file, or -).

    \b
    memsync reader join invitation.txt --as ana
    """
    joining = Reader(app.home, reader_name, app.passphrase, rpc=app.rpc, blobs=blobs)
    standing = joining.join(Invitation.parse(text_of(invitation, InvalidInvitation)))
    app.result(
        {"reader": joining.name, "version": standing.version, "expires": standing.expires, "block": standing.block},
        f"Joined as {joining.name}: may read until {day(standing.expires)}. Next: memsync recall …",
    )


def _show_card(app: App, card: str, qr: bool, qr_file: Path | None) -> None:
    data = {"card": card} | show_qr(app, card, qr, qr_file)
    app.result(data, card)
    app.say("Next, for the owner of the vault: memsync grant CARD")


def _line(memory: Memory) -> str:
    source = f"      {memory.source.platform}" if memory.source else ""
    return one_entry(f"{memory.id.hex()[:8]}  {day(memory.created)}  {memory.content}{source}")


def _in_zone(time: datetime | None) -> datetime | None:
    try:
        return time and time.astimezone()
    except (OverflowError, ValueError):
        raise InvalidRequest(f"{time} lies outside the years 1 to 9999 in your zone.", "Leave it out.") from None


def _hit_data(hit: Hit, why: bool) -> dict[str, Any]:
    data = memory_data(hit.memory) | {"score": round(hit.score, 4), "conflict": hit.conflict}
    if why:
        reasons = [{"word": reason.word, "in": reason.part, "score": round(reason.score, 4)} for reason in hit.reasons]
        data |= {"why": reasons}
    return data


def _hit_line(rank: int, hit: Hit, why: bool) -> str:
    mark = f" ≠ {hit.memory.id.hex()[:8]}" if hit.conflict else ""
    line = f"{rank}{mark}  {hit.memory.content}      {_origin(hit.memory)}"
    if why:
        shares = [f"{reason.word} {reason.score:.2f} ({_PARTS[reason.part]})" for reason in hit.reasons]
        line += f"\nscore {hit.score:.2f} = {' + '.join(shares)}"
    return line


def _origin(memory: Memory) -> str:
    parts: list[Any] = [memory.source.platform if memory.source else "you", when(memory.created)]
    return ", ".join(parts)
