"""What the client knows of the contracts is what the compiler gives, and anyone can compile it anew."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts import export_abi
from scripts._artifact import CONTRACTS, CREATE2_DEPLOYER, Artifact

ROOT = Path(__file__).resolve().parents[2]


def test_exported__files_of_the_client__are_what_the_compiler_gives(artifacts: tuple[Artifact, ...]) -> None:
    """Otherwise: ape run export_abi."""
    for artifact in artifacts:
        assert (export_abi.FOLDER / f"{artifact.contract}.json").read_text() == export_abi.exported(artifact)


def test_export_command__stale_file__check_fails_and_export_mends(
    artifacts: tuple[Artifact, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "abi"
    monkeypatch.setattr(export_abi, "FOLDER", folder)
    assert CliRunner().invoke(export_abi.cli, ["--check"]).exit_code == 1
    assert not folder.exists()
    assert CliRunner().invoke(export_abi.cli, []).exit_code == 0
    assert CliRunner().invoke(export_abi.cli, ["--check"]).exit_code == 0

    assert {path.name for path in folder.iterdir()} == {f"{contract}.json" for contract in CONTRACTS}
    for artifact in artifacts:
        target = folder / f"{artifact.contract}.json"
        content = json.loads(target.read_text())
        assert content["address"] == artifact.address
        assert bytes.fromhex(content["creationCode"][2:]) == artifact.creation_code
        assert content["abi"] == artifact.abi
        target.write_text(target.read_text().replace(artifact.address, CREATE2_DEPLOYER))
        checked = CliRunner().invoke(export_abi.cli, ["--check"])
        assert checked.exit_code == 1
        assert f"not what the compiler gives: {target.name};" in checked.output
        assert CliRunner().invoke(export_abi.cli, []).exit_code == 0


@pytest.mark.parametrize("place", range(len(CONTRACTS)), ids=CONTRACTS)
def test_artifact__recompiled_from_its_settings__same_code(place: int, artifacts: tuple[Artifact, ...]) -> None:
    """Version and settings, as exported and recorded, are all that a stranger needs to reproduce the code."""
    artifact = artifacts[place]
    source = f"contracts/{artifact.contract}.sol"
    outputs = ["evm.bytecode.object", "evm.deployedBytecode.object"]
    request = {
        "language": "Solidity",
        "sources": {source: {"content": (ROOT / source).read_text()}},
        "settings": {**artifact.compiler_settings, "outputSelection": {source: {artifact.contract: outputs}}},
    }
    version = artifact.compiler_version.split("+")[0]
    solc = Path(os.environ["SOLCX_BINARY_PATH"]) / f"solc-v{version}"
    command = [str(solc), "--standard-json", "--base-path", str(ROOT)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
    contract = json.loads(done.stdout)["contracts"][source][artifact.contract]["evm"]
    assert contract["bytecode"]["object"] == artifact.creation_code.hex()
    assert contract["deployedBytecode"]["object"] == artifact.runtime_code.hex()
    assert b"solc" not in artifact.runtime_code  # no metadata, which names the compiler and depends on file names
