"""The scripts that deploy the contract, check a deployment, and export what the client knows of it."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ape import Contract
from ape.api import ProviderAPI, TestAccountAPI
from click.testing import CliRunner
from eth_account import Account
from eth_utils import keccak, to_checksum_address

from scripts import export_abi
from scripts._artifact import CREATE2_DEPLOYER, SALT, Artifact, compiled
from scripts._deployment import Deployment, code_hash, differences, read_record
from scripts.deploy import DeploymentRefused, deploy, is_deployed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return compiled()


@pytest.fixture
def provider(owner: TestAccountAPI) -> ProviderAPI:
    return owner.provider


@pytest.fixture
def deployment(artifact: Artifact, owner: TestAccountAPI) -> Deployment:
    made = deploy(artifact, owner)
    assert made is not None
    return made


def set_code(provider: ProviderAPI, address: str, code: str) -> None:
    provider.make_request("anvil_setCode", [address, code])


def run(script: str, provider: ProviderAPI, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a script as a person does, on the chain of this test; exit code and all that it printed."""
    done = subprocess.run(
        ["ape", "run", script, "--network", str(provider.http_uri), *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_deploy__fresh_chain__stands_at_derived_address(
    artifact: Artifact, provider: ProviderAPI, stranger: TestAccountAPI
) -> None:
    # EIP-1014, written out once more: the address depends on the deployer, the salt and the creation code alone.
    digest = keccak(hexstr=f"ff{CREATE2_DEPLOYER[2:]}{SALT.hex()}{keccak(artifact.creation_code).hex()}")
    address = to_checksum_address(digest[-20:])
    assert code_hash(provider, address) is None

    made = deploy(artifact, stranger)

    assert made is not None
    assert made.address == address
    assert code_hash(provider, address) == made.runtime_code_hash == artifact.runtime_code_hash
    assert Contract(address, abi=artifact.abi).vaultCount(stranger) == 0
    receipt = provider.get_receipt(made.transaction_hash)
    assert (receipt.receiver, receipt.block_number, receipt.sender) == (CREATE2_DEPLOYER, made.block_number, stranger)
    assert made.chain_id == int(provider.make_request("eth_chainId", []), 16)


def test_deploy__already_there__sends_nothing(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI, stranger: TestAccountAPI
) -> None:
    assert is_deployed(artifact, provider)
    nonce, height = stranger.nonce, provider.get_block("latest").number
    assert deploy(artifact, stranger) is None
    assert (stranger.nonce, provider.get_block("latest").number) == (nonce, height)


def test_deploy__no_deployer_on_chain__refused(
    artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI
) -> None:
    set_code(provider, CREATE2_DEPLOYER, "0x")
    nonce = owner.nonce
    with pytest.raises(DeploymentRefused, match=f"lacks the CREATE2 deployer {CREATE2_DEPLOYER} \\(no code there\\)"):
        deploy(artifact, owner)
    assert owner.nonce == nonce


def test_deploy__other_deployer_on_chain__refused(
    artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI
) -> None:
    set_code(provider, CREATE2_DEPLOYER, "0x00")
    with pytest.raises(DeploymentRefused, match=r"\(other code there\)"):
        deploy(artifact, owner)


def test_deploy__other_code_at_address__refused(
    artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI
) -> None:
    set_code(provider, artifact.address, "0x00")
    with pytest.raises(DeploymentRefused, match=f"other code stands at {artifact.address}"):
        deploy(artifact, owner)


def test_deploy_command__dry_run__sends_nothing_and_says_cost(
    artifact: Artifact, provider: ProviderAPI, tmp_path: Path
) -> None:
    height = provider.get_block("latest").number
    code, said = run("deploy", provider, "--dry-run", "--record", str(tmp_path / "record.json"))
    assert code == 0
    assert artifact.address in said
    [gas] = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) gas,", said)]
    # 200 gas a byte of code, 32,000 for CREATE2, 21,000 for the transaction, and its calldata.
    assert 200 * len(artifact.runtime_code) + 53_000 < gas < 16_777_216
    assert code_hash(provider, artifact.address) is None
    assert provider.get_block("latest").number == height
    assert not list(tmp_path.iterdir())


def test_deploy_command__no_account__refused(artifact: Artifact, provider: ProviderAPI) -> None:
    code, said = run("deploy", provider)
    assert code == 2
    assert "--account is needed" in said
    assert code_hash(provider, artifact.address) is None


def test_deploy_command__key_file__signs_without_a_prompt(
    artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI, tmp_path: Path
) -> None:
    folder = tmp_path / ".ape" / "accounts"
    folder.mkdir(parents=True)
    key_file = Account.encrypt(owner.private_key, "salt and coal", kdf="pbkdf2", iterations=2)
    (folder / "deployer.json").write_text(json.dumps(key_file))
    given = ("--account", "deployer", "--record", str(tmp_path / "record.json"))

    code, said = run("deploy", provider, *given, HOME=str(tmp_path))
    assert code == 1
    assert "APE_ACCOUNTS_deployer_PASSPHRASE" in said
    assert code_hash(provider, artifact.address) is None

    code, said = run("deploy", provider, *given, HOME=str(tmp_path), APE_ACCOUNTS_deployer_PASSPHRASE="salt and coal")
    assert code == 0, said
    assert code_hash(provider, artifact.address) == artifact.runtime_code_hash


def test_commands__deployed__record_is_checked(artifact: Artifact, provider: ProviderAPI, tmp_path: Path) -> None:
    path = tmp_path / "records" / "record.json"
    given = ("--record", str(path))
    code, said = run("check_deployment", provider, *given)
    assert code == 1
    assert "can't read the record" in said

    code, said = run("deploy", provider, "--account", "TEST::1", *given)
    assert code == 0, said
    record = read_record(path)
    assert record.address == artifact.address
    code, said = run("check_deployment", provider, *given)
    assert code == 0, said

    path.unlink()
    code, said = run("deploy", provider, "--account", "TEST::1", *given)
    assert code == 0
    assert "Nothing to do" in said
    assert not path.exists()

    replace(record, block_number=record.block_number + 1).write(path)
    code, said = run("check_deployment", provider, *given)
    assert code == 1
    assert (
        f"block of the transaction, recorded and on chain: {record.block_number + 1} != {record.block_number}" in said
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"salt": "0x" + "01" * 32}, {"salt"}),
        ({"compiler": {"version": "0.8.36", "settings": {}}}, {"compiler"}),
        ({"chain_id": 1}, {"chain id"}),
        ({"block_number": 0}, {"block of the transaction"}),
        ({"runtime_code_hash": "0x" + "00" * 32}, {"code hash"}),
        ({"address": CREATE2_DEPLOYER}, {"address", "code hash"}),
        (
            {"transaction_hash": "0x" + "00" * 32},
            {"block of the transaction", "receiver of the transaction", "creation code"},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_differences__one_field_changed__named(
    change: dict[str, Any], named: set[str], artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    assert differences(deployment, artifact, provider) == []
    found = differences(replace(deployment, **change), artifact, provider)
    assert {difference.split(",")[0] for difference in found} == named


def test_differences__code_on_chain_changed__named(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    set_code(provider, artifact.address, "0x")
    assert differences(deployment, artifact, provider) == [
        f"code hash, recorded and on chain: {artifact.runtime_code_hash} != None"
    ]


def test_differences__contract_changed_since__named(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    changed = replace(artifact, runtime_code=artifact.runtime_code[:-1], creation_code=artifact.creation_code[:-1])
    found = differences(deployment, changed, provider)
    assert [difference.split(":")[0] for difference in found] == [
        "address, recorded and derived",
        "code hash, recorded and compiled",
        "creation code, on chain and compiled",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": "0x"}'])
def test_read_record__not_a_record__refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(ValueError, match=r"not a deployment record|Expecting value"):
        read_record(tmp_path / "record.json")


def test_read_record__address_mistyped__refused(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    deployment.write(path)
    assert read_record(path) == deployment
    path.write_text(path.read_text().replace(deployment.address, deployment.address.lower()))
    with pytest.raises(ValueError, match=f"{deployment.address.lower()}' is no address"):
        read_record(path)


def test_export_command__stale_file__check_fails_and_export_mends(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "abi" / "MemoryRegistry.json"
    monkeypatch.setattr(export_abi, "TARGET", target)
    assert CliRunner().invoke(export_abi.cli, ["--check"]).exit_code == 1
    assert not target.exists()
    assert CliRunner().invoke(export_abi.cli, []).exit_code == 0
    assert CliRunner().invoke(export_abi.cli, ["--check"]).exit_code == 0

    content = json.loads(target.read_text())
    assert content["address"] == artifact.address
    assert bytes.fromhex(content["creationCode"][2:]) == artifact.creation_code
    target.write_text(target.read_text().replace(artifact.address, CREATE2_DEPLOYER))
    assert CliRunner().invoke(export_abi.cli, ["--check"]).exit_code == 1


def test_artifact__recompiled_from_its_settings__same_code(artifact: Artifact) -> None:
    """Version and settings, as exported and recorded, are all that a stranger needs to reproduce the code."""
    source = "contracts/MemoryRegistry.sol"
    request = {
        "language": "Solidity",
        "sources": {source: {"content": (ROOT / source).read_text()}},
        "settings": {
            **artifact.compiler_settings,
            "outputSelection": {source: {"MemoryRegistry": ["evm.bytecode.object", "evm.deployedBytecode.object"]}},
        },
    }
    version = artifact.compiler_version.split("+")[0]
    solc = Path(os.environ["SOLCX_BINARY_PATH"]) / f"solc-v{version}"
    command = [str(solc), "--standard-json", "--base-path", str(ROOT)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
    contract = json.loads(done.stdout)["contracts"][source]["MemoryRegistry"]["evm"]
    assert contract["bytecode"]["object"] == artifact.creation_code.hex()
    assert contract["deployedBytecode"]["object"] == artifact.runtime_code.hex()
    assert b"solc" not in artifact.runtime_code  # no metadata, which names the compiler and depends on file names
