"""``memsync inbox``: what tools have proposed, and the owner's yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from .. import connecting, pricing
from ..errors import InvalidRequest, UnknownMemory
from ..inbox import Proposal
from ..memories import Memory
from ..tools import Tools
from .app import (
    App,
    Verbs,
    cost_of,
    counted,
    day,
    memory_data,
    one_entry,
    price_of,
    printing,
    receipt_data,
    relay_option,
)
from .completing import vault_option

_ids = click.argument("ids", metavar="[ID]…", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="All that wait.")
_from = click.option("--from", "tool", metavar="TOOL", help="All of this tool.")
_yes = click.option("--yes", is_flag=True, help="Answer yes to the question.")


@click.group(cls=Verbs, invoke_without_command=True, short_help="What tools have proposed: it waits here for your yes.")
@vault_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def inbox(context: click.Context, name: str | None, as_json: bool) -> None:
    """What tools have proposed over MCP: it waits here for your yes, sealed, and is recalled by nobody before.

    \b
    memsync inbox
    memsync inbox approve 3f9a
    memsync inbox reject --from claude
    memsync inbox trust cursor
    """
    app = context.find_object(App)
    if app is None:
        raise AssertionError("a command ran outside main()")
    if context.invoked_subcommand is None:
        app.called(context, as_json)
        _list(app, name)
    elif name or as_json:
        raise click.UsageError(f"--vault and --json belong after {context.invoked_subcommand}.")


@inbox.command("list")
@vault_option
@printing
def inbox_list(app: App, name: str | None) -> None:
    """All that waits for your yes, oldest first.

    \b
    memsync inbox list --vault novel
    """
    _list(app, name)


def _list(app: App, name: str | None) -> None:
    vault = app.client().vault(name)
    found = vault.proposals()
    tips = vault.tips() if any(proposal.forget for proposal in found) else {}
    lines = [_line(proposal, tips) for proposal in found]
    if found:
        lines.append("Next: memsync inbox approve ID   or   memsync inbox reject ID   (--all: all of them)")
    app.result([_data(proposal) for proposal in found], *lines or ["Nothing waits for your yes."])


@inbox.command("approve", short_help="Say yes to what was proposed.")
@_ids
@_all
@_from
@_yes
@vault_option
@relay_option
@printing
def inbox_approve(
    app: App, ids: tuple[str, ...], everything: bool, tool: str | None, yes: bool, name: str | None
) -> None:
    """Say yes: what is to be added waits for the next sync, and what is to be forgotten is forgotten for good, in a
    commit of its own. ID is the beginning of an id, as `memsync inbox` shows it.

    \b
    memsync inbox approve 3f9a
    memsync inbox approve --from claude
    """
    vault = app.client().vault(name)
    chosen = _chosen(vault.proposals(), ids, everything, tool)
    forgets = sum(proposal.forget is not None for proposal in chosen)
    if forgets:
        cost = price_of(app, pricing.of_commit(vault))
        app.confirm(f"Forget {counted(forgets, 'memory', 'memories')} for good{cost}?", yes)
    done = vault.approve(chosen)
    receipts = [landed.receipt for landed in done.kept.landed] if done.kept else []
    cost = f" {cost_of(app, receipts)}." if receipts else ""
    left = vault.proposed()
    lines = [f"{counted(done.added, 'memory waits', 'memories wait')} for the next sync. Next: memsync sync"]
    lines = lines if done.added else []
    lines += [f"{counted(done.forgotten, 'memory', 'memories')} forgotten.{cost}"] if forgets else []
    lines += [f"{counted(left, 'proposal waits', 'proposals wait')} on."] if left else []
    app.result(
        {
            "added": done.added,
            "forgotten": done.forgotten,
            "waiting": vault.waiting(),
            "left": left,
            "transactions": [receipt_data(receipt) for receipt in receipts],
        },
        *lines or ["Nothing waits for your yes."],
    )


@inbox.command("reject")
@_ids
@_all
@_from
@vault_option
@printing
def inbox_reject(app: App, ids: tuple[str, ...], everything: bool, tool: str | None, name: str | None) -> None:
    """Say no: what was proposed is dropped. ID is the beginning of an id, as `memsync inbox` shows it.

    \b
    memsync inbox reject 3f9a
    """
    vault = app.client().vault(name)
    chosen = _chosen(vault.proposals(), ids, everything, tool)
    vault.reject(chosen)
    app.result(
        {"rejected": len(chosen), "left": vault.proposed()}, f"{counted(len(chosen), 'proposal', 'proposals')} dropped."
    )


@inbox.command("trust")
@click.argument("tool")
@click.option("--undo", is_flag=True, help="Ask for a yes again.")
@click.option("--yes", is_flag=True, help="Do not ask, where no tool of that name is known.")
@printing
def inbox_trust(app: App, tool: str, undo: bool, yes: bool) -> None:
    """Let what TOOL adds go to the outbox without your yes. What it asks to forget still waits for it.

    Whatever talks to that tool, a page that it reads for one, can then put words into your memory.

    \b
    memsync inbox trust cursor
    memsync inbox trust cursor --undo
    """
    client = app.client()
    tools = Tools(app.home.folder)
    if not undo and tool not in tools.all():
        known = {*tools.all(), *(link.reader or "" for link in connecting.links(client))} - {""}
        if tool not in known:  # it may have proposed something all the same; that takes the passphrase
            known |= {proposal.tool for vault in client.living() for proposal in vault.proposals()}
        if tool not in known:
            others = f"Known: {', '.join(sorted(known))}." if known else "None is."
            app.confirm(
                f"No tool {tool!r} is known here: it was not connected, has no token, and has proposed nothing."
                f" {others} Trust what comes under that name?",
                yes,
            )
    tools.trust(tool, not undo)
    said = "waits for your yes" if undo else "is committed with the next sync, without your yes"
    app.result({"tool": tool, "trusted": not undo}, f"From now on what {tool} adds {said}.")


def _chosen(found: Sequence[Proposal], ids: Sequence[str], everything: bool, tool: str | None) -> list[Proposal]:
    """The proposals that are meant. Raises UnknownMemory for an id that names none, InvalidRequest for no choice."""
    if sum((bool(ids), everything, tool is not None)) != 1:
        raise InvalidRequest("Which of them?", "Name ids, --from TOOL, or --all: `memsync inbox` shows them.")
    if everything:
        return list(found)
    if tool is not None:
        return [proposal for proposal in found if proposal.tool == tool]
    chosen: list[Proposal] = []
    for begin in ids:
        of = {proposal.id for proposal in found if proposal.id.hex().startswith(begin.lower())}
        if len(of) != 1:
            what = "No proposal has" if not of else "More than one proposal has"
            raise UnknownMemory(f"{what} an id that begins with {begin!r}.", "`memsync inbox` shows them.")
        chosen += [proposal for proposal in found if proposal.id in of and proposal not in chosen]
    return chosen


def _line(proposal: Proposal, tips: Mapping[bytes, Sequence[Memory]]) -> str:
    about = [proposal.add] if proposal.add else tips.get(proposal.id, ())
    text = " / ".join(memory.content for memory in about) or "(gone already)"
    mark = "add" if proposal.add else "FORGET"
    return one_entry(f"{proposal.id.hex()[:8]}  {proposal.tool}, {day(proposal.asked)}  {mark}: {text}")


def _data(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.id.hex(),
        "tool": proposal.tool,
        "asked": proposal.asked,
        "wants": "add" if proposal.add else "forget",
        "memory": proposal.add and memory_data(proposal.add),
    }
