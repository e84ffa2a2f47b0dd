"""Where the blobs are: the hosts that a home knows beside the one that the chain names."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..errors import InvalidRequest
from ..hosting import Mended, letting_go_of
from ..hosts import Host, Hosts
from ..storage.uris import EVM, EVM_MEANS, whole, without_user
from .app import App, Verbs, blob_cost, blob_data, cost_of, counted, gas_cost, printing, progress_bar, receipt_data
from .completing import vault_names, vault_option
from .owner import vault

_endpoint = click.option(
    "--endpoint", metavar="URL", help="Where its service answers: the RPC of an IPFS node (default: on this computer)."
)


@click.group(cls=Verbs, short_help="Hosts of blobs beside the one on chain, as mirrors.")
def host() -> None:
    """Hosts of blobs beside the one on chain: each is a mirror, written and read like it.

    \b
    memsync host add /media/usb/blobs
    memsync host list
    """


@host.command("add", short_help="Keep blobs on this host too.")
@click.argument("uri")
@_endpoint
@click.option(
    "--vault", "name", metavar="NAME", shell_complete=vault_names, help="For this vault alone (default: for all)."
)
@click.option("--yes", is_flag=True, help="With evm: do not ask.")
@printing
def host_add(app: App, uri: str, endpoint: str | None, name: str | None, yes: bool) -> None:
    """Keep blobs at URI too: a folder's path, ipfs:, https://… (read only), or the base URI of a vault, to say where it
    is reached. What you add may lie in your own network; what a chain names may not.

    \b
    memsync host add /media/usb/blobs
    memsync host add ipfs: --endpoint http://nas.local:5001
    """
    if whole(uri) == EVM:
        app.confirm(f"{EVM_MEANS} Store there too?", yes)
    vault_id = app.home.resolve(name)[1].hex() if name else None
    added = Host(whole(uri), endpoint, vault_id)
    Hosts(app.home).add(added)
    app.result(_data(added), f"Added {added.uri}. Next: memsync repair   (brings there what it lacks)")


@host.command("list")
@printing
def host_list(app: App) -> None:
    """The hosts that this home knows. Asks neither node nor passphrase.

    \b
    memsync host list
    """
    known = Hosts(app.home).listed()
    labels = {vault_id.hex(): label for label, vault_id in app.home.labels().items()}
    lines = [
        "   ".join([line.uri, *([f"at {without_user(line.endpoint)}"] if line.endpoint else []), _whose(line, labels)])
        for line in known
    ]
    app.result([_data(line) for line in known], *lines or ["None beside those that the vaults name on chain."])


@host.command("remove")
@click.argument("uri")
@_endpoint
@printing
def host_remove(app: App, uri: str, endpoint: str | None) -> None:
    """Take URI off the list. What is stored there stays.

    \b
    memsync host remove /media/usb/blobs
    """
    gone = Hosts(app.home).remove(whole(uri), endpoint)
    app.result([_data(line) for line in gone], f"Removed {whole(uri)}. What is stored there stays.")


@host.command("forget", short_help="Let go of an old host that is gone for good.")
@click.argument("uri")
@click.option("--dry-run", is_flag=True, help="Say what is still to be deleted there; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@printing
def host_forget(app: App, uri: str, dry_run: bool, yes: bool) -> None:
    """Let go of the host at URI, from which a `vault move --delete-old` was to delete blobs and could not. Each sync
    tries that again: for a host that is gone for good, end it with this.

    Should the host come back, it still has those blobs: what is sealed in them is as unreadable as it was, and nothing
    deletes them any more. Neither vault nor chain change.

    \b
    memsync host forget https://old.example/ --dry-run
    memsync host forget https://old.example/
    """
    vaults, base_uri = app.client().vaults(), whole(uri)
    waiting = [(target, left) for target in vaults if (left := target.leaving())]
    found = [(target, left) for target, left in waiting if left.base_uri == base_uri]
    if not found:
        known = ", ".join(sorted({left.base_uri for _, left in waiting}))
        next_step = f"Something is left on: {known}" if known else "No vault has anything left on an old host."
        raise InvalidRequest(f"Nothing is to be deleted from {base_uri}.", next_step)
    data = {
        "host": base_uri,
        "vaults": [{"name": target.label, "blobs": list(left.blobs)} for target, left in found],
        "dry_run": dry_run,
    }
    whose = ", ".join(f'{counted(len(left.blobs), "blob", "blobs")} of "{target.label}"' for target, left in found)
    if dry_run:
        app.result(data, f"Would try no more to delete {whose} from {base_uri}. Nothing written.")
        return
    app.confirm(f"Try no more to delete {whose} from {base_uri}?", yes)
    for target, _ in found:
        target.let_host_go(base_uri)
    app.result(data, f"Let go of {base_uri}: {whose}, which it may still have.")


def _data(line: Host) -> dict[str, str | None]:
    return asdict(line) | {"endpoint": without_user(line.endpoint) if line.endpoint else None}


def _whose(line: Host, labels: dict[str, str]) -> str:
    if line.hint:
        return "read from where the others fail, as a sheet or an invitation says"
    return f"for {labels.get(line.vault, line.vault[:8])}" if line.vault else "for all vaults"


@click.command(short_help="Bring back the blobs that a host has lost or changed.")
@vault_option
@click.option("--dry-run", is_flag=True, help="Say what each host lacks; write nothing.")
@printing
def repair(app: App, name: str | None, dry_run: bool) -> None:
    """Look for every blob on every host, and bring back what one has lost or changed.

    It comes from this device's copies, or from another host. On chain nothing changes.

    \b
    memsync repair --dry-run
    memsync repair --vault novel
    """
    client = app.client()
    lost = False
    for target in [client.vault(name)] if name else client.vaults():
        if not name and not target.owned() and not target.closed:
            app.line(f"{target.label}: {target.over}.")  # and opens here no more: that stops none of the others
            continue
        with progress_bar(app, f"looking at {target.label}") as step:
            done = target.repair(dry_run=dry_run, progress=step)
        for host in done.hosts:
            app.line(f"{target.label}: {host.host} {_mended(host, done.blobs, dry_run)}")
            if host.trouble:
                app.line(f"  {host.trouble.cause} {host.trouble.next_step}")
        for blob_hash, what in done.nowhere.items():
            app.line(f"  nowhere: {blob_hash.hex()} ({what})")
        lost = lost or any(host.lacking for host in done.hosts)
        app.done.append(
            {
                "name": target.label,
                "blobs": done.blobs,
                "dry_run": dry_run,
                "nowhere": [{"blob": blob_hash, "what": what} for blob_hash, what in done.nowhere.items()],
                "hosts": [
                    {
                        "host": host.host,
                        "brought": list(host.brought),
                        "bytes": host.size,
                        "lacking": list(host.lacking),
                        "trouble": host.trouble and host.trouble.cause,
                    }
                    for host in done.hosts
                ],
            }
        )
    nothing = [] if client.vaults() else ["No vault yet. Next: memsync vault new NAME"]
    last = ["What is nowhere may be in a backup of a host, or on another device: run repair there."] if lost else []
    app.result(app.done, *nothing, *last)


def _mended(host: Mended, blobs: int, dry_run: bool) -> str:
    if not host.brought and not host.lacking:
        return f"has all {blobs} blobs."
    verb = "would get" if dry_run else "got"
    lacks = f", still lacks {len(host.lacking)}" if host.lacking else ""
    return f"{verb} {counted(len(host.brought), 'blob', 'blobs')} ({host.size:,} bytes) of {blobs}{lacks}."


@vault.command("move", short_help="Copy a vault's blobs to a new host, and name it on chain.")
@click.argument("name", metavar="VAULT", shell_complete=vault_names)
@click.argument("uri")
@click.option("--delete-old", is_flag=True, help="Delete the blobs from the old host once the move is final.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and what it costs; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@printing
def vault_move(app: App, name: str, uri: str, delete_old: bool, dry_run: bool, yes: bool) -> None:
    """Copy a vault's blobs to the host at URI as they are, and name that on chain, where everyone looks for them.

    Killed in between, run it again: a deletion that was not finished goes on, with the next sync too. Readers whose
    tools can't fetch from the new host read no more.

    \b
    memsync vault move novel ipfs: --dry-run
    memsync vault move novel https://blobs.example/ --delete-old
    """
    client = app.client()
    target, base_uri = client.vault(name), whole(uri)
    if dry_run:
        plan = target.plan_move(base_uri)
        cost = f", for {gas_cost(app, plan.gas)} beside the transaction's" if plan.gas else ""
        what = (
            f"The vault is at {plan.base_uri}. Would delete {counted(len(plan.left), 'blob', 'blobs')} from the host"
            " of before."
            if plan.left
            else f"Would bring {counted(plan.blobs, 'blob', 'blobs')} ({plan.size:,} bytes) to {plan.base_uri}{cost}."
        )
        data = {"base_uri": plan.base_uri, "blobs": plan.blobs, "bytes": plan.size, "gas": plan.gas, "dry_run": True}
        app.result(data | {"to_delete": list(plan.left)}, f"{what} Nothing written.")
        return
    meaning = f"{EVM_MEANS} " if base_uri == EVM else ""
    gone = ", and delete them from the old host" if delete_old else ""
    app.confirm(f'{meaning}Move the blobs of "{target.label}" to {base_uri}{gone}?', yes)
    with progress_bar(app, "copying") as step:
        done = target.move(base_uri, delete_old=delete_old, on_chain=base_uri == EVM, progress=step)
    blobs = client.session.blob_receipts
    receipt = receipt_data(done.receipt) if done.receipt else {}
    old = target.leaving()
    later = f" The next sync tries again; if it is gone for good: {letting_go_of(old.base_uri)}" if old else ""
    left = [f"The old host still has {counted(len(done.left), 'blob', 'blobs')}.{later}"] if done.left else []
    app.result(
        {
            "base_uri": base_uri,
            "blobs": done.blobs,
            "bytes": done.size,
            "not_deleted": list(done.left),
            "dry_run": False,
            **receipt,
            **blob_data(blobs),
        },
        f'"{target.label}" is at {base_uri}: {counted(done.blobs, "blob", "blobs")} copied ({done.size:,} bytes), read'
        f" back; {cost_of(app, [done.receipt] if done.receipt else [])}{blob_cost(app, blobs)}.",
        *left,
        "Sheets and invitations that were printed before name the old host: memsync kit sheet prints a new one.",
    )
