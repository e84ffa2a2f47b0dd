"""Compare a live deployment with its record and with the compiler: ``ape run check_deployment --network …``."""

from __future__ import annotations

from pathlib import Path

import click
from ape.api import ProviderAPI
from ape.cli import ConnectedProviderCommand, network_option

from scripts._artifact import compiled
from scripts._deployment import default_path, differences, read_record


@click.command(cls=ConnectedProviderCommand)
@network_option()
@click.option("--record", type=click.Path(path_type=Path), help="The record to read (default: by chain id).")
def cli(provider: ProviderAPI, record: Path | None) -> None:
    """Re-read a deployment; fail with each difference named."""
    path = record or default_path(provider.chain_id)
    try:
        deployment = read_record(path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"can't read the record {path}: {error}") from error
    found = differences(deployment, compiled(), provider)
    for difference in found:
        click.echo(difference, err=True)
    if found:
        raise click.ClickException(f"{deployment.contract} at {deployment.address} differs from its record")
    click.echo(f"{deployment.contract} at {deployment.address} on chain {provider.chain_id} is what its record says.")
