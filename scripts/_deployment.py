"""Deployment records: what a deployment left behind, as a file, and what of it still stands on a chain."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ape.api import ProviderAPI
from eth_typing import ChecksumAddress
from eth_utils import is_checksum_address, keccak

from scripts._artifact import CREATE2_DEPLOYER, SALT, Artifact

FOLDER = Path(__file__).parent / "_deployments"


@dataclass(frozen=True)
class Deployment:
    """One deployment. Hashes, address and salt are 0x hex; ``compiler`` has solc's version and settings."""

    contract: str
    address: ChecksumAddress
    chain_id: int
    block_number: int
    transaction_hash: str
    runtime_code_hash: str
    compiler: dict[str, Any]
    salt: str

    def write(self, path: Path) -> None:
        """Write the record as JSON, making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def read_record(path: Path) -> Deployment:
    """Read what ``Deployment.write`` wrote. Raises ValueError for anything else, OSError if there is no such file."""
    try:
        record = Deployment(**json.loads(path.read_text()))
    except TypeError as error:
        raise ValueError(f"not a deployment record: {error}") from error
    if not is_checksum_address(record.address):
        raise ValueError(f"not a deployment record: {record.address!r} is no address with a checksum (ERC-55)")
    return record


def default_path(chain_id: int) -> Path:
    """Where the record of a chain's deployment stands."""
    return FOLDER / f"{chain_id}.json"


def code_hash(provider: ProviderAPI, address: ChecksumAddress) -> str | None:
    """The keccak256 hash of the code at ``address`` (0x hex), or None if there is none."""
    code = bytes(provider.get_code(address))
    return "0x" + keccak(code).hex() if code else None


def differences(record: Deployment, artifact: Artifact, provider: ProviderAPI) -> list[str]:
    """Compare a record with the compiler's output and with the chain; one line a difference, none if all is equal."""
    expected: dict[str, tuple[Any, Any]] = {
        "address, recorded and derived": (record.address, artifact.address),
        "salt, recorded and ours": (record.salt, "0x" + SALT.hex()),
        "code hash, recorded and compiled": (record.runtime_code_hash, artifact.runtime_code_hash),
        "compiler, recorded and used": (record.compiler, artifact.compiler),
        "chain id, recorded and connected": (record.chain_id, provider.chain_id),
        "code hash, recorded and on chain": (record.runtime_code_hash, code_hash(provider, record.address)),
    }
    sent = provider.make_request("eth_getTransactionByHash", [record.transaction_hash]) or {}
    block = sent.get("blockNumber")
    expected |= {
        "block of the transaction, recorded and on chain": (record.block_number, int(block, 16) if block else None),
        "receiver of the transaction, on chain and deployer": (sent.get("to"), CREATE2_DEPLOYER.lower()),
        "creation code, on chain and compiled": (sent.get("input"), "0x" + artifact.deployment_calldata.hex()),
    }
    return [f"{what}: {brief(one)} != {brief(other)}" for what, (one, other) in expected.items() if one != other]


def brief(value: Any) -> str:
    """A value in at most 100 characters."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text)} characters)"
