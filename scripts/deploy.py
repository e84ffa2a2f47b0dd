"""Deploy the contracts: ``ape run deploy --network ecosystem:network:provider --account ALIAS [--dry-run] [--json]``.

They go through the standard CREATE2 deployer, so their addresses are the same on every chain and nobody's account
matters. A contract that stands there already is left alone and recorded, so a deployment that was interrupted is just
run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape.exceptions import ApeException
from ape_accounts import KeyfileAccount

from memsync_client.errors import MemSyncError
from scripts._artifact import CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE_HASH, Artifact, compiled
from scripts._deployment import (
    Deployment,
    code_hash,
    default_path,
    deployment_of,
    found_on_chain,
    is_recorded,
    recorded,
    write_records,
)
from scripts._options import json_option

# The instruction that an older chain lacks and the compiler uses (MCOPY, of Cancun), and STOP. Code that has it is put
# there all the same, and then fails where it is called.
CANCUN_PROGRAM = "0x5f5f5f5e00"


class DeploymentRefused(Exception):
    """A contract can't be deployed on this chain; the message says why."""


# Not a dataclass: Ape runs a script without listing it among the modules, where a dataclass looks for its types.
class Plan(NamedTuple):
    """What is to be sent: gas for each contract (0: it stands there already), and wei for one gas (None: unknown)."""

    gas: dict[str, int]
    gas_price: int | None

    @property
    def all_gas(self) -> int:
        """Gas of all transactions."""
        return sum(self.gas.values())

    @property
    def cost(self) -> int | None:
        """Wei of all transactions at the price of now; None if it is unknown."""
        return None if self.gas_price is None else self.all_gas * self.gas_price


def is_deployed(artifact: Artifact, provider: ProviderAPI) -> bool:
    """Whether the contract stands at its address. Raises DeploymentRefused if it could not get there, or not run."""
    there = code_hash(provider, artifact.address)
    if there is not None and there != artifact.runtime_code_hash:
        raise DeploymentRefused(f"other code stands at {artifact.address}: {there}, not {artifact.runtime_code_hash}")
    deployer = code_hash(provider, CREATE2_DEPLOYER)
    if there is None and deployer != "0x" + CREATE2_DEPLOYER_CODE_HASH.hex():
        found = "no code there" if deployer is None else "other code there"
        lacks = f"chain {provider.chain_id} lacks the CREATE2 deployer {CREATE2_DEPLOYER} ({found})"
        raise DeploymentRefused(f"{lacks}: have it put there first")
    if there is None:
        check_instructions(provider)
    return there is not None


def check_instructions(provider: ProviderAPI) -> None:
    """Raises DeploymentRefused if the chain is older than what the contracts are compiled for."""
    try:
        provider.make_request("eth_call", [{"data": CANCUN_PROGRAM}, "latest"])
    except ApeException as error:
        lacks = f"chain {provider.chain_id} does not run code for Cancun (MCOPY), as the contracts are"
        raise DeploymentRefused(f"{lacks}: the node says {error}") from error


def plan(artifacts: tuple[Artifact, ...], provider: ProviderAPI) -> Plan:
    """Look at the chain, and send nothing. Raises DeploymentRefused if one of the contracts can't be deployed."""
    gas = {each.contract: 0 if is_deployed(each, provider) else gas_of(each, provider) for each in artifacts}
    try:
        return Plan(gas, provider.gas_price or None)
    except (ApeException, NotImplementedError):
        return Plan(gas, None)


def gas_of(artifact: Artifact, provider: ProviderAPI) -> int:
    """Gas that a deployment takes, as the node estimates it."""
    transaction = provider.network.ecosystem.create_transaction(
        receiver=CREATE2_DEPLOYER, data=artifact.deployment_calldata, gas_limit=provider.max_gas
    )
    return int(provider.estimate_gas_cost(transaction))


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
    return deployment_of(artifact, provider.chain_id, receipt.block_number, receipt.txn_hash)


def deploy_all(artifacts: tuple[Artifact, ...], account: AccountAPI, path: Path) -> list[Deployment]:
    """Deploy what is missing, and write each record when its contract stands. Raises as ``deploy`` and the file do."""
    records = recorded(path)
    made = []
    for artifact in artifacts:
        if deployment := deploy(artifact, account):
            made.append(deployment)
            records[artifact.contract] = deployment
            write_records(path, list(records.values()))
    return made


def record_standing(artifacts: tuple[Artifact, ...], provider: ProviderAPI, path: Path) -> list[Deployment]:
    """Write the record of each contract that stands and has none, or not all of it: whoever put it there was killed
    before, or was somebody else. Returns what was written. Raises as the node and the file do."""
    records = recorded(path)
    found = []
    for artifact in artifacts:
        before = records.get(artifact.contract)
        if is_recorded(before, artifact, provider.chain_id) or not is_deployed(artifact, provider):
            continue
        entry = found_on_chain(artifact, provider)
        if entry != before:
            found.append(entry)
            records[artifact.contract] = entry
    if found:
        write_records(path, list(records.values()))
    return found


def sign_without_asking(account: AccountAPI) -> None:
    """Have a key file's account sign without a prompt; its passphrase comes from the environment."""
    if not isinstance(account, KeyfileAccount):
        return
    variable = f"APE_ACCOUNTS_{account.alias}_PASSPHRASE"
    if variable not in os.environ:
        raise click.ClickException(f"put the passphrase of {account.alias!r} into the environment as {variable}")
    account.set_autosign(True)


def check_balance(account: AccountAPI, cost: int | None) -> None:
    """Raises DeploymentRefused if the account has too little for all of it."""
    if cost is not None and account.balance < cost:
        raise DeploymentRefused(
            f"{account.address} has {coins(account.balance)} and needs about {coins(cost)}: send it some first"
        )


def coins(wei: int) -> str:
    """An amount for a person."""
    return f"{wei / 10**18:.6f} of the native coin"


@click.command(cls=ConnectedProviderCommand)
@network_option()
@account_option(prompt=None)
@click.option("--record", type=click.Path(path_type=Path), help="Where to write the records (default: by chain id).")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would happen and what it costs.")
@json_option()
def cli(provider: ProviderAPI, account: AccountAPI | None, record: Path | None, dry_run: bool, as_json: bool) -> None:
    """Deploy each contract to its one address through the CREATE2 deployer, unless it stands there already."""
    if not dry_run:
        if account is None:
            raise click.UsageError("--account is needed to deploy (or --dry-run)")
        sign_without_asking(account)
    path = record or default_path(provider.chain_id)
    artifacts = compiled()
    made: list[Deployment] = []
    found: list[Deployment] = []
    try:
        planned, records = plan(artifacts, provider), recorded(path)
        lacking = {
            each.contract for each in artifacts if not is_recorded(records.get(each.contract), each, provider.chain_id)
        }
        if not as_json:
            tell(artifacts, planned, provider.chain_id, lacking)
        if account is not None and not dry_run:
            found = record_standing(artifacts, provider, path)
            if planned.all_gas:
                check_balance(account, planned.cost)
                made = deploy_all(artifacts, account, path)
    except (DeploymentRefused, ApeException, MemSyncError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        written = path if made or found else None
        click.echo(json.dumps(shown(artifacts, planned, [*found, *made], provider.chain_id, written), indent=2))
        return
    for deployment in found:
        when = f"in block {deployment.block_number} by {deployment.transaction_hash}"
        known = when if deployment.transaction_hash else "this node does not show by which transaction"
        click.echo(f"Found {deployment.contract}: {known}.")
    for deployment in made:
        click.echo(
            f"Deployed {deployment.contract} in block {deployment.block_number} by {deployment.transaction_hash}."
        )
    if made or found:
        click.echo(f"Record: {path}")
    elif dry_run and (planned.all_gas or lacking):
        click.echo("A dry run: nothing was sent, and no record written.")
    else:
        click.echo("Nothing to do.")


def tell(artifacts: tuple[Artifact, ...], planned: Plan, chain_id: int, lacking: Collection[str]) -> None:
    """What will be done, before it is; the record is ``lacking`` these contracts, or a part of what there is to say."""
    click.echo(f"Chain {chain_id}")
    for artifact in artifacts:
        gas = planned.gas[artifact.contract]
        there = "there already, with the compiler's code"
        unrecorded = ", its record not written or not whole" if artifact.contract in lacking else ""
        does = f"{gas:,} gas" if gas else there + unrecorded
        click.echo(f"  {artifact.contract}: {artifact.address}, {len(artifact.runtime_code):,} bytes, {does}")
    if planned.all_gas:
        price = "; what the chain asks for a gas is unknown" if planned.cost is None else f", {coins(planned.cost)} now"
        click.echo(f"In all {planned.all_gas:,} gas{price}.")


def shown(
    artifacts: tuple[Artifact, ...], planned: Plan, written: list[Deployment], chain_id: int, record: Path | None
) -> dict[str, Any]:
    """The same for ``--json``: gas and wei as they were estimated beforehand, and what was ``written`` to ``record``:
    the transactions sent, and those of before that had no record."""
    sent = {deployment.contract: deployment for deployment in written}
    return {
        "chain_id": chain_id,
        "gas": planned.all_gas,
        "gas_price_wei": planned.gas_price,
        "cost_wei": planned.cost,
        "record": None if record is None else str(record),
        "contracts": [
            {
                "contract": each.contract,
                "address": each.address,
                "code_bytes": len(each.runtime_code),
                "runtime_code_hash": each.runtime_code_hash,
                "was_there": planned.gas[each.contract] == 0,
                "gas": planned.gas[each.contract],
                "transaction_hash": sent[each.contract].transaction_hash if each.contract in sent else None,
                "block_number": sent[each.contract].block_number if each.contract in sent else None,
            }
            for each in artifacts
        ],
    }
