"""Where the blobs are: the hosts that a home knows beside the one that the chain names."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..hosts import Host, Hosts
from ..storage.uris import EVM, EVM_MEANS, whole, without_user
from .app import App, printing

_endpoint = click.option(
    "--endpoint", metavar="URL", help="Where its service answers: the RPC of an IPFS node (default: on this computer)."
)


@click.group()
def host() -> None:
    """Hosts of blobs beside the one on chain: each is a mirror, written and read like it."""


@host.command("add")
@click.argument("uri")
@_endpoint
@click.option("--vault", "name", metavar="NAME", help="For this vault alone (default: for all).")
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
    """The hosts that this home knows. Asks neither node nor passphrase."""
    known = Hosts(app.home).known()
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
    """Take URI off the list. What is stored there stays."""
    gone = Hosts(app.home).remove(whole(uri), endpoint)
    app.result([_data(line) for line in gone], f"Removed {whole(uri)}. What is stored there stays.")


def _data(line: Host) -> dict[str, str | None]:
    return asdict(line) | {"endpoint": without_user(line.endpoint) if line.endpoint else None}


def _whose(line: Host, labels: dict[str, str]) -> str:
    return f"for {labels.get(line.vault, line.vault[:8])}" if line.vault else "for all vaults"
