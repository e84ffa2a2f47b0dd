"""Write what the client knows of the contract: ``ape run export_abi``, and ``--check`` to compare only."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scripts._artifact import CONTRACT, SALT, Artifact, compiled

TARGET = Path(__file__).resolve().parents[1] / "memsync_client" / "abi" / f"{CONTRACT}.json"


def exported(artifact: Artifact) -> str:
    """The text of ``memsync_client/abi/MemoryRegistry.json``; byte strings are 0x hex."""
    content = {
        "contractName": CONTRACT,
        "address": artifact.address,
        "salt": "0x" + SALT.hex(),
        "runtimeCodeHash": artifact.runtime_code_hash,
        "compiler": artifact.compiler,
        "creationCode": "0x" + artifact.creation_code.hex(),
    }
    # One line an entry, so that a change of the interface can be read in a comparison.
    fields = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    entries = ",\n".join(f"    {json.dumps(entry)}" for entry in artifact.abi)
    return "{\n" + ",\n".join(fields) + f',\n  "abi": [\n{entries}\n  ]\n}}\n'


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the file is not what the compiler gives.")
def cli(check: bool) -> None:
    """Write ABI, creation code and deterministic address into the client."""
    artifact = compiled()
    new, old = exported(artifact), TARGET.read_text() if TARGET.exists() else ""
    if new == old:
        click.echo(f"{TARGET.name} is what the compiler gives: {artifact.address}")
    elif check:
        raise click.ClickException(f"{TARGET.name} is not what the compiler gives; run: ape run export_abi")
    else:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(new)
        click.echo(f"Wrote {TARGET.name}: {artifact.address}, {len(artifact.runtime_code):,} bytes of code")
