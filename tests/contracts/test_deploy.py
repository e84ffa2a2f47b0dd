"""The scripts that deploy the contracts and check a deployment."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from ape import Contract, networks
from ape.api import ProviderAPI, TestAccountAPI
from ape.managers.accounts import TestAccountManager
from eth_account import Account
from eth_utils import keccak, to_checksum_address

from scripts._artifact import CONTRACTS, CREATE2_DEPLOYER, Artifact
from scripts._deployment import Deployment, code_hash, read_records, record_differences, write_records
from scripts.check_deployment import cli as check_command
from scripts.check_deployment import differences
from scripts.deploy import DeploymentRefused, check_balance, deploy, deploy_all, is_deployed, plan
from scripts.deploy import cli as deploy_command

from .helpers import set_code

Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(provider: ProviderAPI, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a script with options on the chain of this test: exit code, standard output and standard error.

    Past the command line, which would connect to the chain anew and then disconnect the test.
    """

    def call(script: click.Command, **options: Any) -> tuple[int, str, str]:
        absent = {"account": None, "record": None, "dry_run": False, "as_json": False}
        taken = {option.name for option in script.params}
        code = 0
        assert script.callback is not None
        try:
            script.callback(provider=provider, **{name: absent[name] for name in absent if name in taken} | options)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        return code, *capsys.readouterr()

    return call


@contextmanager
def another_chain(chain_id: int, hardfork: str = "osaka") -> Iterator[ProviderAPI]:
    """Connected to an anvil of its own, until the block ends."""
    command = ["anvil", "--port", "0", "--chain-id", str(chain_id), "--hardfork", hardfork]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        ready = next(line for line in node.stdout if line.startswith("Listening on "))
        with networks.parse_network_choice(f"http://{ready.split()[-1]}") as provider:
            yield provider
    finally:
        node.terminate()
        node.wait()


@pytest.mark.parametrize("place", range(len(CONTRACTS)), ids=CONTRACTS)
def test_deploy__fresh_chain__stands_at_derived_address(
    place: int, artifacts: tuple[Artifact, ...], provider: ProviderAPI, stranger: TestAccountAPI
) -> None:
    artifact = artifacts[place]
    # EIP-1014, written out once more: the address depends on the deployer, the salt and the creation code alone.
    salt = f"MemSync {CONTRACTS[place]}".encode().ljust(32, b"\0")
    digest = keccak(hexstr=f"ff{CREATE2_DEPLOYER[2:]}{salt.hex()}{keccak(artifact.creation_code).hex()}")
    address = to_checksum_address(digest[-20:])
    assert code_hash(provider, address) is None

    made = deploy(artifact, stranger)

    assert made is not None
    assert (made.contract, made.address) == (CONTRACTS[place], address)
    assert code_hash(provider, address) == made.runtime_code_hash == artifact.runtime_code_hash
    receipt = provider.get_receipt(made.transaction_hash)
    assert (receipt.receiver, receipt.block_number, receipt.sender) == (CREATE2_DEPLOYER, made.block_number, stranger)
    assert made.chain_id == int(provider.make_request("eth_chainId", []), 16)


def test_deploy__fresh_chain__contracts_answer(
    artifacts: tuple[Artifact, ...], owner: TestAccountAPI, stranger: TestAccountAPI, tmp_path: Path
) -> None:
    deploy_all(artifacts, owner, tmp_path / "records.json")
    registry, keys, blobs = (Contract(each.address, abi=each.abi) for each in artifacts)
    assert registry.vaultCount(stranger) == 0
    assert tuple(keys.keyOf(stranger)) == (bytes(32), 0, 0)
    assert blobs.blockOf(bytes(32)) == 0


def test_deploy__two_chains__same_addresses_and_each_its_own_domain(
    artifacts: tuple[Artifact, ...], accounts: TestAccountManager, tmp_path: Path
) -> None:
    addresses = []
    for chain_id in (7001, 8002):
        with another_chain(chain_id) as provider:
            made = deploy_all(artifacts, accounts[chain_id % 10], tmp_path / f"{chain_id}.json")
            assert [entry.chain_id for entry in made] == [chain_id] * 3
            for artifact, record in zip(artifacts, made, strict=True):
                assert differences(artifact, record, provider) == []
            stated = Contract(artifacts[0].address, abi=artifacts[0].abi).eip712Domain()
            assert (stated[3], stated[4]) == (chain_id, artifacts[0].address)
            addresses.append([entry.address for entry in made])
    assert addresses[0] == addresses[1]


def test_deploy__already_there__sends_nothing(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI, stranger: TestAccountAPI
) -> None:
    assert is_deployed(artifact, provider)
    nonce, height = stranger.nonce, provider.get_block("latest").number
    assert deploy(artifact, stranger) is None
    assert (stranger.nonce, provider.get_block("latest").number) == (nonce, height)


@pytest.mark.parametrize(("code", "found"), [("0x", "no code there"), ("0x00", "other code there")])
def test_deploy__no_deployer_on_chain__refused(
    code: str, found: str, artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI
) -> None:
    set_code(provider, CREATE2_DEPLOYER, code)
    nonce = owner.nonce
    with pytest.raises(DeploymentRefused, match=f"lacks the CREATE2 deployer {CREATE2_DEPLOYER} \\({found}\\)"):
        deploy(artifact, owner)
    assert owner.nonce == nonce


@pytest.mark.parametrize("hardfork", ["paris", "shanghai"])
def test_deploy__chain_older_than_the_code__refused_before_anything_is_sent(
    hardfork: str, artifacts: tuple[Artifact, ...], owner: TestAccountAPI, tmp_path: Path
) -> None:
    """A chain of Shanghai would take the code, whose MCOPY it can't run: each string and signature would fail."""
    with another_chain(7003, hardfork) as provider:
        for attempt in (lambda: plan(artifacts, provider), lambda: deploy_all(artifacts, owner, tmp_path / "r.json")):
            with pytest.raises(DeploymentRefused, match=r"chain 7003 does not run code for Cancun \(MCOPY\)"):
                attempt()
        assert provider.get_block("latest").number == 0


def test_deploy__other_code_at_address__refused(
    artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI
) -> None:
    set_code(provider, artifact.address, "0x00")
    with pytest.raises(DeploymentRefused, match=f"other code stands at {artifact.address}"):
        deploy(artifact, owner)


def test_deploy_all__one_there_already__sends_the_others_and_keeps_its_record(
    artifacts: tuple[Artifact, ...], owner: TestAccountAPI, tmp_path: Path
) -> None:
    path = tmp_path / "records" / "record.json"
    first = deploy_all(artifacts[1:2], owner, path)
    nonce = owner.nonce

    made = deploy_all(artifacts, owner, path)

    assert [entry.contract for entry in made] == ["MemoryRegistry", "BlobLog"]
    assert owner.nonce == nonce + 2
    assert read_records(path) == first + made


def test_deploy_all__refused_half_way__what_was_done_is_recorded(
    artifacts: tuple[Artifact, ...], provider: ProviderAPI, owner: TestAccountAPI, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    set_code(provider, artifacts[2].address, "0x00")
    with pytest.raises(DeploymentRefused, match=f"other code stands at {artifacts[2].address}"):
        deploy_all(artifacts, owner, path)
    assert [entry.contract for entry in read_records(path)] == ["MemoryRegistry", "KeyRegistry"]


def test_plan__each_contract__below_the_cap_of_a_transaction(
    artifacts: tuple[Artifact, ...], provider: ProviderAPI
) -> None:
    for artifact in artifacts:
        # 200 gas a byte of code, 32,000 for CREATE2, 21,000 for the transaction, and its calldata.
        gas = plan((artifact,), provider).all_gas
        assert 200 * len(artifact.runtime_code) + 53_000 < gas < 16_777_216
        assert len(artifact.deployment_calldata) < 128 * 1024


def test_deploy_command__dry_run__sends_nothing_and_says_cost(
    run: Run, artifacts: tuple[Artifact, ...], provider: ProviderAPI, tmp_path: Path
) -> None:
    height = provider.get_block("latest").number
    given = {"dry_run": True, "record": tmp_path / "record.json"}
    code, said, _ = run(deploy_command, **given)
    assert code == 0
    for artifact in artifacts:
        assert f"{artifact.contract}: {artifact.address}, " in said
    *each, total = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) gas", said)]
    assert (len(each), sum(each)) == (3, total)

    code, said, _ = run(deploy_command, **given, as_json=True)
    assert code == 0
    shown = json.loads(said)
    assert [entry["gas"] for entry in shown["contracts"]] == each
    assert [entry["address"] for entry in shown["contracts"]] == [artifact.address for artifact in artifacts]
    assert {entry["was_there"] for entry in shown["contracts"]} == {False}
    assert shown["cost_wei"] == (shown["gas_price_wei"] and total * shown["gas_price_wei"])
    assert {code_hash(provider, artifact.address) for artifact in artifacts} == {None}
    assert provider.get_block("latest").number == height
    assert not list(tmp_path.iterdir())


def test_check_balance__poor_account__refused(artifacts: tuple[Artifact, ...], owner: TestAccountAPI) -> None:
    with another_chain(7001) as provider:
        cost = plan(artifacts, provider).cost
        assert cost is not None
        provider.make_request("anvil_setBalance", [owner.address, hex(cost)])
        check_balance(owner, cost)
        provider.make_request("anvil_setBalance", [owner.address, hex(cost - 1)])
        with pytest.raises(DeploymentRefused, match=f"{owner.address} has .* and needs about 0.0"):
            check_balance(owner, cost)


def test_deploy_command__other_code_at_one_address__nothing_is_sent(
    run: Run, artifacts: tuple[Artifact, ...], provider: ProviderAPI, owner: TestAccountAPI, tmp_path: Path
) -> None:
    set_code(provider, artifacts[2].address, "0x00")
    height = provider.get_block("latest").number
    code, _, said = run(deploy_command, account=owner, record=tmp_path / "record.json")
    assert code == 1
    assert f"other code stands at {artifacts[2].address}" in said
    assert provider.get_block("latest").number == height


def test_deploy_command__no_account__refused(run: Run, provider: ProviderAPI) -> None:
    height = provider.get_block("latest").number
    code, _, said = run(deploy_command)
    assert code == 2
    assert "--account is needed" in said
    assert provider.get_block("latest").number == height


def test_deploy_command__key_file__signs_without_a_prompt(
    artifacts: tuple[Artifact, ...], provider: ProviderAPI, owner: TestAccountAPI, tmp_path: Path
) -> None:
    folder = tmp_path / ".ape" / "accounts"
    folder.mkdir(parents=True)
    key_file = Account.encrypt(owner.private_key, "salt and coal", kdf="pbkdf2", iterations=2)
    (folder / "deployer.json").write_text(json.dumps(key_file))
    given = ("--account", "deployer", "--record", str(tmp_path / "record.json"))
    # A process of its own, as a person starts it: which key files there are is read once, from the home folder.
    command = ["ape", "run", "deploy", "--network", str(provider.http_uri), "--json", *given]
    environment = os.environ | {"HOME": str(tmp_path)}

    def start(**secret: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment | secret,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    refused = start()
    assert refused.returncode == 1
    assert "APE_ACCOUNTS_deployer_PASSPHRASE" in refused.stderr
    assert {code_hash(provider, artifact.address) for artifact in artifacts} == {None}

    done = start(APE_ACCOUNTS_deployer_PASSPHRASE="salt and coal")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["cost_wei"] == shown["gas"] * shown["gas_price_wei"] > 0
    for artifact, entry in zip(artifacts, shown["contracts"], strict=True):
        assert provider.get_receipt(entry["transaction_hash"]).block_number == entry["block_number"]
        assert code_hash(provider, artifact.address) == artifact.runtime_code_hash


def test_commands__deployed__records_are_checked(
    run: Run, artifacts: tuple[Artifact, ...], owner: TestAccountAPI, tmp_path: Path
) -> None:
    path = tmp_path / "records" / "record.json"
    code, _, said = run(check_command, record=path)
    assert code == 1
    assert "can't read the record" in said

    code, said, _ = run(deploy_command, account=owner, record=path)
    assert code == 0
    records = read_records(path)
    assert [entry.address for entry in records] == [artifact.address for artifact in artifacts]
    code, said, _ = run(check_command, record=path)
    assert code == 0
    assert said.count("as compiled, and what its record says") == 3
    assert f"MemoryRegistry at {artifacts[0].address}: code hash and EIP-712 domain as compiled" in said

    before = path.read_bytes()
    code, said, _ = run(deploy_command, account=owner, record=path)
    assert code == 0
    assert "Nothing to do" in said
    assert path.read_bytes() == before

    high = records[1].block_number
    assert high is not None
    write_records(path, [records[0], replace(records[1], block_number=high + 1)])
    code, said, complaints = run(check_command, record=path, as_json=True)
    assert code == 1
    named = f"block of the transaction, recorded and on chain: {high + 1} != {high}"
    assert f"KeyRegistry: {named}\n" in complaints
    assert [(entry["recorded"], entry["differences"]) for entry in json.loads(said)["contracts"]] == [
        (True, []),
        (True, [named]),
        (False, []),
    ]


def test_deploy_command__killed_before_the_record__next_one_writes_it_from_the_chain(
    run: Run, artifacts: tuple[Artifact, ...], owner: TestAccountAPI, stranger: TestAccountAPI, tmp_path: Path
) -> None:
    """Killed when two of three stood and one of them was recorded; the third then came from somebody else."""
    path = tmp_path / "record.json"
    first = deploy_all(artifacts[:1], owner, path)
    second = deploy(artifacts[1], owner)
    third = deploy(artifacts[2], stranger)
    assert second is not None
    assert third is not None
    owner.provider.mine(3)
    nonce = owner.nonce

    code, said, _ = run(deploy_command, record=path, dry_run=True)
    assert code == 0
    assert said.count("its record not written or not whole") == 2
    assert "no record written" in said
    assert read_records(path) == first

    code, said, _ = run(deploy_command, account=owner, record=path, as_json=True)
    assert code == 0
    assert owner.nonce == nonce
    assert read_records(path) == [*first, second, third]
    shown = json.loads(said)
    assert shown["record"] == str(path)
    assert [(entry["was_there"], entry["transaction_hash"]) for entry in shown["contracts"]] == [
        (True, None),
        (True, second.transaction_hash),
        (True, third.transaction_hash),
    ]
    code, said, _ = run(check_command, record=path)
    assert (code, said.count("and what its record says")) == (0, 3)


def test_deploy_command__node_does_not_show_the_transaction__recorded_without(
    run: Run, artifact: Artifact, provider: ProviderAPI, owner: TestAccountAPI, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    set_code(provider, artifact.address, "0x" + artifact.runtime_code.hex())  # without one
    provider.mine(2)
    code, said, _ = run(deploy_command, account=owner, record=path)
    assert code == 0
    assert "Found MemoryRegistry: this node does not show by which transaction." in said
    entry = read_records(path)[0]
    assert (entry.block_number, entry.transaction_hash) == (None, None)
    assert record_differences(entry, artifact, provider) == []
    assert "Nothing to do" in run(deploy_command, account=owner, record=path)[1]


def test_check_command__nothing_there__each_contract_named(run: Run) -> None:
    code, said, complaints = run(check_command)
    assert (code, said) == (1, "")
    for contract in CONTRACTS:
        assert re.search(rf"^{contract}: code hash, compiled and on chain: 0x\w+ != None$", complaints, re.MULTILINE)
    assert complaints.endswith(f": {', '.join(CONTRACTS)}\n")
