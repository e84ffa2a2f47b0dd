"""The history of a vault, as the chain tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from ..records import VaultEvent
from ..roster import KEYS, READ, WRITE
from .app import App, day, printing, progress_bar
from .completing import vault_names

_RIGHTS = {READ: "read", WRITE: "write", KEYS: "bring keyrings"}


@click.command(short_help="What happened to a vault on chain, oldest first.")
@click.argument("name", metavar="[VAULT]", required=False, shell_complete=vault_names)
@click.option("--limit", type=click.IntRange(1), help="Only the last so many.")
@printing
def log(app: App, name: str | None, limit: int | None) -> None:
    """What happened to a vault on chain, oldest first: commits, who was granted until when, revocations, and more.

    It comes from the chain's events and asks no passphrase. Names are those that this device knows; on chain there are
    addresses alone. A private grant looks like any commit there.

    \b
    memsync log novel --limit 20
    """
    client = app.client()
    vault = client.vault(name)
    registry = client.session.registry
    with progress_bar(app, "reading the chain") as step:
        history = registry.history(vault.place.vault_id, step)
        events = list(_with_epochs(history.events))[-(limit or 0) :]
        times: dict[int, datetime] = {}
        for event in events:
            if event.block_number not in times:
                times[event.block_number] = registry.time_of(event.block_number)
    names = vault.glance.names if vault.glance else {}
    owner = client.session.config.owner

    def who(address: str) -> str:
        return names.get(address) or ("you" if address == owner else address)

    lines = [f"{_moment(times[event.block_number])}  {_told(event, who)}" for event in events]
    note = (
        []
        if history.complete
        else [
            f"The node gives no events of before block {history.from_block:,}: what came earlier is missing here. "
            "An archive node has it: --rpc URL."
        ]
    )
    app.result(
        {
            "vault": vault.place.vault_id,
            "name": vault.label,
            "complete": history.complete,
            "from_block": history.from_block,
            "events": [_data(event, times[event.block_number], names) for event in events],
        },
        *note,
        *lines,
    )


def _moment(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def _told(event: VaultEvent, who: Callable[[str], str]) -> str:
    values = event.values
    subject = {key: who(str(value)) for key, value in values.items() if key in _ADDRESSES}
    said = _SAID[event.name](values, subject)
    return f"{said}, by {who(event.actor)}"


_ADDRESSES = ("grantee", "newOwner", "formerOwner", "recovery")
_Said = Callable[[Any, dict[str, str]], str]


def _committed(values: Any, _: dict[str, str]) -> str:
    if not any(values["keyringHash"]):
        return f"version {values['version']}: a commit"
    brings = "new keys" if values["epoch"] != values["before"] else "a key holder more, or another date of one"
    return f"version {values['version']}: a commit with {brings}"


def _with_epochs(events: Iterable[VaultEvent]) -> Iterator[VaultEvent]:
    """The events, of which each commit says under ``before`` what epoch the one before it was sealed in."""
    epoch: int | None = None
    for event in events:
        if event.name in ("Created", "Committed"):
            yield replace(event, values={**event.values, "before": epoch})
            epoch = event.values.get("epoch", 1)
        else:
            yield event


def _at(seconds: int) -> datetime:
    from ..transactions import to_time  # web3 takes half a second to import, and other commands need none of it

    return to_time(seconds)


def _granted(values: Any, subject: dict[str, str]) -> str:
    rights = " and ".join(name for bit, name in _RIGHTS.items() if values["rights"] & bit) or "nothing known here"
    end = day(_at(values["expiresAt"]))
    return f"version {values['version']}: {subject['grantee']} may {rights} until {end}"


def _owned(how: str) -> _Said:
    return lambda v, s: (
        f"version {v['version']}: {how}, from {s['formerOwner']}; every grant is void, locked until the next commit"
    )


def _recovery_set(_: Any, subject: dict[str, str]) -> str:
    nobody = not int(subject["recovery"], 16) if subject["recovery"].startswith("0x") else False
    return "no recovery address any more" if nobody else f"recovery address {subject['recovery']}"


_SAID: dict[str, _Said] = {
    "Created": lambda v, s: "version 1: created",
    "Committed": _committed,
    "Granted": _granted,
    "Revoked": lambda v, s: f"version {v['version']}: {s['grantee']} revoked; locked until the next commit",
    "RevokedAll": lambda v, s: f"version {v['version']}: every grant revoked; locked until the next commit",
    "Rotated": lambda v, s: f"version {v['version']}: epoch {v['epoch']} begun; locked until the next commit",
    "BaseURISet": lambda v, s: f"version {v['version']}: blobs are at {v['baseURI'] or 'no place'}",
    "Offered": lambda v, s: f"version {v['version']}: offered to {s['newOwner']} until {day(_at(v['expiresAt']))}",
    "OfferCancelled": lambda v, s: f"version {v['version']}: offer to {s['newOwner']} withdrawn",
    "Accepted": _owned("taken over"),
    "RecoverySet": _recovery_set,
    "RecoveryStarted": lambda v, s: (
        f"recovery started: {s['newOwner']} can take the vault from {day(_at(v['readyAt']))} on"
    ),
    "RecoveryVetoed": lambda v, s: f"recovery by {s['newOwner']} stopped",
    "RecoveryFinished": _owned("recovered"),
    "Closed": lambda v, s: (
        f"version {v['version']}: closed for good"
        + (f", successor {v['successor'].hex()}" if any(v["successor"]) else "")
    ),
}


def _data(event: VaultEvent, time: datetime, names: Any) -> dict[str, Any]:
    """An event in JSON: the contract's own words, and the names that this device knows."""
    values: dict[str, Any] = dict(event.values)
    values.pop("before", None)
    for field in ("expiresAt", "readyAt"):
        if field in values:
            values[field] = _at(values[field])
    known = {a: names[a] for a in (event.actor, *map(str, values.values())) if a in names}
    return {
        "event": event.name,
        "time": time,
        "block": event.block_number,
        "tx": event.tx_hash,
        "actor": event.actor,
        "values": values,
        "names": known,
    }
