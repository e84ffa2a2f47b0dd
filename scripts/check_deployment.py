"""Compare what stands on a chain with the compiler and with its record: ``ape run check_deployment --network …``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from ape.api import ProviderAPI
from ape.cli import ConnectedProviderCommand, network_option

from scripts._artifact import Artifact, compiled
from scripts._deployment import Deployment, code_differences, default_path, read_records, record_differences
from scripts._domain import NAME, domain_differences
from scripts._options import json_option


def differences(artifact: Artifact, record: Deployment | None, provider: ProviderAPI) -> list[str]:
    """All that is not as it has to be, one line each: code, record where there is one, the registry's domain."""
    found = code_differences(artifact, provider)
    if record is not None:
        found += record_differences(record, artifact, provider)
    if artifact.contract == NAME:
        found += domain_differences(artifact.address, provider)
    return found


@click.command(cls=ConnectedProviderCommand)
@network_option()
@click.option("--record", type=click.Path(path_type=Path), help="The record to read (default: by chain id, if any).")
@json_option()
def cli(provider: ProviderAPI, record: Path | None, as_json: bool) -> None:
    """Compare the code hash of each contract and the registry's EIP-712 domain; fail with each difference named.

    Anyone can deploy the contracts, so what stands on a chain is checked with or without a record.
    """
    path = record or default_path(provider.chain_id)
    try:
        recorded = {entry.contract: entry for entry in read_records(path)} if record or path.exists() else {}
    except (OSError, ValueError) as error:
        raise click.ClickException(f"can't read the record {path}: {error}") from error
    checked = [
        (each, recorded.get(each.contract), differences(each, recorded.get(each.contract), provider))
        for each in compiled()
    ]
    if as_json:
        click.echo(
            json.dumps({"chain_id": provider.chain_id, "contracts": [shown(*each) for each in checked]}, indent=2)
        )
    for artifact, entry, found in checked:
        for line in found:
            click.echo(f"{artifact.contract}: {line}", err=True)
        if not found and not as_json:
            held = "code hash and EIP-712 domain" if artifact.contract == NAME else "code hash"
            also = ", and what its record says" if entry else ""
            click.echo(f"{artifact.contract} at {artifact.address}: {held} as compiled{also}")
    different = [artifact.contract for artifact, _, found in checked if found]
    if different:
        raise click.ClickException(f"not as compiled or recorded on chain {provider.chain_id}: {', '.join(different)}")


def shown(artifact: Artifact, record: Deployment | None, found: list[str]) -> dict[str, Any]:
    """One contract for ``--json``."""
    return {
        "contract": artifact.contract,
        "address": artifact.address,
        "runtime_code_hash": artifact.runtime_code_hash,
        "recorded": record is not None,
        "differences": found,
    }
