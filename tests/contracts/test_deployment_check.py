"""What a deployment is compared with: its record, the compiled code, and the domain that the registry tells."""

import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ape.api import ProviderAPI
from eth_utils import keccak

from memsync_client.errors import MemSyncError
from scripts._artifact import CREATE2_DEPLOYER, Artifact
from scripts._deployment import Deployment, read_records, record_differences, write_records
from scripts._domain import domain_differences
from scripts.check_deployment import differences
from scripts.deploy import record_standing

from .helpers import set_code

DOMAIN_TYPEHASH = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def replaced(code: bytes, old: bytes, new: bytes) -> bytes:
    """The code with a constant, or everywhere an instruction, changed."""
    if len(old) > 1:
        assert code.count(old) == 1
        return code.replace(old, new)
    changed, at = bytearray(code), 0
    while at < len(code):
        if code[at] == old[0]:
            changed[at] = new[0]
        at += 1 + max(0, code[at] - 0x5F) * (code[at] <= 0x7F)  # PUSH1 is 0x60, PUSH32 0x7f
    return bytes(changed)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b"MemoryRegistry", b"RegistryOfMine", ["name", "separator"]),
        (DOMAIN_TYPEHASH, bytes(32), ["separator"]),
        (b"\x46", b"\x3a", ["chain id", "separator"]),  # CHAINID, GASPRICE
        (b"\x30", b"\x33", ["verifying contract", "separator"]),  # ADDRESS, CALLER
    ],
    ids=["name", "typehash", "chain", "contract"],
)
def test_domain_differences__another_domain__named(
    old: bytes, new: bytes, named: list[str], artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    assert domain_differences(artifact.address, provider) == []
    code = replaced(artifact.runtime_code, old, new)
    set_code(provider, artifact.address, "0x" + code.hex())
    found = domain_differences(artifact.address, provider)
    assert [re.sub("^EIP-712 domain,? ", "", line).split(",")[0] for line in found] == named


def test_domain_differences__no_registry__named(artifact: Artifact, provider: ProviderAPI) -> None:
    for code in ("0x", "0x00", "0xfe"):
        set_code(provider, artifact.address, code)
        assert domain_differences(artifact.address, provider) == ["EIP-712 domain: eip712Domain() does not answer"]


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
def test_record_differences__one_field_changed__named(
    change: dict[str, Any], named: set[str], artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    assert record_differences(deployment, artifact, provider) == []
    found = record_differences(replace(deployment, **change), artifact, provider)
    assert {difference.split(",")[0] for difference in found} == named


def test_differences__code_on_chain_changed__named(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    set_code(provider, artifact.address, "0x")
    assert differences(artifact, deployment, provider) == [
        f"code hash, compiled and on chain: {artifact.runtime_code_hash} != None",
        f"code hash, recorded and on chain: {artifact.runtime_code_hash} != None",
        "EIP-712 domain: eip712Domain() does not answer",
    ]


def test_record_differences__contract_changed_since__named(
    artifact: Artifact, deployment: Deployment, provider: ProviderAPI
) -> None:
    changed = replace(artifact, runtime_code=artifact.runtime_code[:-1], creation_code=artifact.creation_code[:-1])
    found = record_differences(deployment, changed, provider)
    assert [difference.split(":")[0] for difference in found] == [
        "address, recorded and derived",
        "code hash, recorded and compiled",
        "creation code, on chain and compiled",
    ]


@pytest.mark.parametrize("text", ["", "{", '["MemoryRegistry"]', "[{}]", '[{"address": "0x"}]', "3"])
def test_read_records__not_records__refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(ValueError, match=r"no list of deployments|Expecting"):
        read_records(tmp_path / "record.json")


def test_read_records__address_mistyped__refused(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_records(path, [deployment])
    assert read_records(path) == [deployment]
    path.write_text(path.read_text().replace(deployment.address, deployment.address.lower()))
    with pytest.raises(ValueError, match=f"{deployment.address.lower()}' is no address"):
        read_records(path)


def test_read_records__contract_unknown_or_named_twice__refused(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for records in ([deployment, deployment], [replace(deployment, contract="Registry")]):
        write_records(path, records)
        with pytest.raises(ValueError, match="at most once"):
            read_records(path)


def test_record_standing__record_without_its_transaction__completed(
    artifacts: tuple[Artifact, ...], deployment: Deployment, provider: ProviderAPI, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    write_records(path, [replace(deployment, block_number=None, transaction_hash=None)])
    assert record_standing(artifacts, provider, path) == [deployment]
    assert read_records(path) == [deployment]
    assert record_standing(artifacts, provider, path) == []


def test_write_records__disk_full_half_way__the_old_file_stays(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_records(path, [deployment])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises((MemSyncError, OSError)):
            write_records(path, [replace(deployment, contract="BlobLog")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
