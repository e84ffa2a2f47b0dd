"""Write what the client knows of the contracts: ``ape run export_abi``, and ``--check`` to compare only."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scripts._artifact import Artifact, compiled

FOLDER = Path(__file__).resolve().parents[1] / "memsync_client" / "abi"


def exported(artifact: Artifact) -> str:
    """The text of ``memsync_client/abi/CONTRACT.json``; byte strings are 0x hex."""
    content = {
        "contractName": artifact.contract,
        "address": artifact.address,
        "salt": "0x" + artifact.salt.hex(),
        "runtimeCodeHash": artifact.runtime_code_hash,
        "compiler": artifact.compiler,
        "creationCode": "0x" + artifact.creation_code.hex(),
    }
    # One line an entry, so that a change of the interface can be read in a comparison.
    fields = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    entries = ",\n".join(f"    {json.dumps(entry)}" for entry in artifact.abi)
    return "{\n" + ",\n".join(fields) + f',\n  "abi": [\n{entries}\n  ]\n}}\n'


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not what the compiler gives.")
def cli(check: bool) -> None:
    """Write ABI, creation code and deterministic address of each contract into the client."""
    stale = []
    for artifact in compiled():
        path = FOLDER / f"{artifact.contract}.json"
        new, old = exported(artifact), path.read_text() if path.exists() else ""
        if new == old:
            click.echo(f"{path.name} is what the compiler gives: {artifact.address}")
        elif check:
            stale.append(path.name)
        else:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(new)
            click.echo(f"Wrote {path.name}: {artifact.address}, {len(artifact.runtime_code):,} bytes of code")
    if stale:
        raise click.ClickException(f"not what the compiler gives: {', '.join(stale)}; run: ape run export_abi")
