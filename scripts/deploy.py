"""Deploy MemoryRegistry: ``ape run deploy --network ecosystem:network:provider --account ALIAS [--dry-run]``.

It goes through the standard CREATE2 deployer, so its address is the same on every chain and nobody's account matters.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape.exceptions import ApeException
from ape_accounts import KeyfileAccount

from scripts._artifact import CONTRACT, CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE_HASH, SALT, Artifact, compiled
from scripts._deployment import Deployment, code_hash, default_path


class DeploymentRefused(Exception):
    """The contract can't be deployed on this chain; the message says why."""


def is_deployed(artifact: Artifact, provider: ProviderAPI) -> bool:
    """Whether the contract stands at its address. Raises DeploymentRefused if it could not get there."""
    there = code_hash(provider, artifact.address)
    if there is not None and there != artifact.runtime_code_hash:
        raise DeploymentRefused(f"other code stands at {artifact.address}: {there}, not {artifact.runtime_code_hash}")
    deployer = code_hash(provider, CREATE2_DEPLOYER)
    if there is None and deployer != "0x" + CREATE2_DEPLOYER_CODE_HASH.hex():
        found = "no code there" if deployer is None else "other code there"
        raise DeploymentRefused(f"chain {provider.chain_id} lacks the CREATE2 deployer {CREATE2_DEPLOYER} ({found})")
    return there is not None


def cost(artifact: Artifact, provider: ProviderAPI) -> tuple[int, int]:
    """Gas that a deployment takes, and its price in wei for one gas now."""
    transaction = provider.network.ecosystem.create_transaction(
        receiver=CREATE2_DEPLOYER, data=artifact.deployment_calldata, gas_limit=provider.max_gas
    )
    return provider.estimate_gas_cost(transaction), provider.gas_price


def deploy(artifact: Artifact, account: AccountAPI) -> Deployment | None:
    """Deploy ``artifact`` from ``account`` on the connected chain; None and no transaction if it stands there already.

    Raises DeploymentRefused, or what Ape raises if the transaction fails.
    """
    provider = account.provider
    if is_deployed(artifact, provider):
        return None
    receipt = account.transfer(CREATE2_DEPLOYER, 0, data=artifact.deployment_calldata)
    if not is_deployed(artifact, provider):
        raise DeploymentRefused(f"transaction {receipt.txn_hash} left no code at {artifact.address}")
    return Deployment(
        contract=CONTRACT,
        address=artifact.address,
        chain_id=provider.chain_id,
        block_number=receipt.block_number,
        transaction_hash=receipt.txn_hash,
        runtime_code_hash=artifact.runtime_code_hash,
        compiler=artifact.compiler,
        salt="0x" + SALT.hex(),
    )


def sign_without_asking(account: AccountAPI) -> None:
    """Have a key file's account sign without a prompt; its passphrase comes from the environment."""
    if not isinstance(account, KeyfileAccount):
        return
    variable = f"APE_ACCOUNTS_{account.alias}_PASSPHRASE"
    if variable not in os.environ:
        raise click.ClickException(f"put the passphrase of {account.alias!r} into the environment as {variable}")
    account.set_autosign(True)


@click.command(cls=ConnectedProviderCommand)
@network_option()
@account_option(prompt=None)
@click.option("--record", type=click.Path(path_type=Path), help="Where to write the record (default: by chain id).")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would happen and what it costs.")
def cli(provider: ProviderAPI, account: AccountAPI | None, record: Path | None, dry_run: bool) -> None:
    """Deploy MemoryRegistry to its one address through the CREATE2 deployer."""
    artifact = compiled()
    click.echo(f"{CONTRACT}: {artifact.address} on chain {provider.chain_id}, {len(artifact.runtime_code):,} bytes")
    try:
        if is_deployed(artifact, provider):
            click.echo("It already stands there with the compiler's code. Nothing to do.")
        elif dry_run:
            gas, price = cost(artifact, provider)
            click.echo(f"Would send one transaction: {gas:,} gas, {gas * price / 10**18:.6f} of the native coin now.")
        elif account is None:
            raise click.UsageError("--account is needed to deploy (or --dry-run)")
        else:
            sign_without_asking(account)
            if deployment := deploy(artifact, account):
                path = record or default_path(provider.chain_id)
                deployment.write(path)
                click.echo(f"Deployed in block {deployment.block_number} by {deployment.transaction_hash}.")
                click.echo(f"Record: {path}")
    except (DeploymentRefused, ApeException) as error:
        raise click.ClickException(str(error)) from error
