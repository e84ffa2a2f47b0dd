"""Deployment records: what a deployment left behind, as a file, and what of it still stands on a chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ape.api import ProviderAPI
from ape.exceptions import ApeException
from eth_typing import ChecksumAddress
from eth_utils import is_checksum_address, keccak, to_bytes

from memsync_client.files import write_atomic
from scripts._artifact import CONTRACTS, CREATE2_DEPLOYER, Artifact

FOLDER = Path(__file__).parent / "_deployments"


@dataclass(frozen=True)
class Deployment:
    """One contract's deployment. Hashes, address and salt are 0x hex; ``compiler`` has solc's version and settings.

    Block and transaction are None where the contract was found on the chain and the node does not show how it came
    there: it has forgotten the state of then, or a contract called the deployer.
    """

    contract: str
    address: ChecksumAddress
    chain_id: int
    block_number: int | None
    transaction_hash: str | None
    runtime_code_hash: str
    compiler: dict[str, Any]
    salt: str


def write_records(path: Path, records: Sequence[Deployment]) -> None:
    """Write the records of one chain as a JSON list, whole or not at all, making its folder. Raises OSError, or the
    client's StorageFull, StorageReadOnly or StorageUnavailable; the old file stays then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(record) for record in records], indent=2) + "\n"
    write_atomic(path, text.encode(), mode=0o644)


def read_records(path: Path) -> list[Deployment]:
    """Read what ``write_records`` wrote. Raises ValueError for anything else, OSError if there is no such file."""
    try:
        records = [Deployment(**entry) for entry in json.loads(path.read_text())]
    except TypeError as error:
        raise ValueError(f"no list of deployments: {error}") from error
    for record in records:
        if not is_checksum_address(record.address):
            raise ValueError(f"{record.address!r} is no address with a checksum (ERC-55)")
    names = [record.contract for record in records]
    if not set(names) <= set(CONTRACTS) or len(set(names)) < len(names):
        raise ValueError(f"it has to name each of {', '.join(CONTRACTS)} at most once, not {names}")
    return records


def default_path(chain_id: int) -> Path:
    """Where the records of a chain's deployments stand."""
    return FOLDER / f"{chain_id}.json"


def recorded(path: Path) -> dict[str, Deployment]:
    """The records of a file by contract; none if there is no such file. Raises ValueError naming the file."""
    try:
        return {entry.contract: entry for entry in read_records(path)} if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"can't read the record {path}: {error}; move it away, and it is written anew") from error


def is_recorded(record: Deployment | None, artifact: Artifact, chain_id: int) -> bool:
    """Whether ``record`` says all there is to say of the contract on this chain."""
    return (
        record is not None
        and (record.address, record.chain_id) == (artifact.address, chain_id)
        and record.transaction_hash is not None
    )


def found_on_chain(artifact: Artifact, provider: ProviderAPI) -> Deployment:
    """The record of a contract that stands at its address, whoever put it there and whenever."""
    block_number, transaction_hash = creation(artifact, provider) or (None, None)
    return deployment_of(artifact, provider.chain_id, block_number, transaction_hash)


def deployment_of(
    artifact: Artifact, chain_id: int, block_number: int | None, transaction_hash: str | None
) -> Deployment:
    """The record of a contract as it is compiled."""
    return Deployment(
        contract=artifact.contract,
        address=artifact.address,
        chain_id=chain_id,
        block_number=block_number,
        transaction_hash=transaction_hash,
        runtime_code_hash=artifact.runtime_code_hash,
        compiler=artifact.compiler,
        salt="0x" + artifact.salt.hex(),
    )


def creation(artifact: Artifact, provider: ProviderAPI) -> tuple[int, str] | None:
    """The block and the transaction to the deployer that put a contract at its address, where the node shows them."""

    def stands(block: int) -> bool:
        try:
            return len(to_bytes(hexstr=provider.make_request("eth_getCode", [artifact.address, hex(block)]))) > 0
        except ApeException:  # a state that the node has forgotten; whether it was the block is seen below
            return False

    missing, there = -1, int(provider.make_request("eth_blockNumber", []), 16)
    while there - missing > 1:
        middle = (missing + there) // 2
        missing, there = (missing, middle) if stands(middle) else (middle, there)
    block = provider.make_request("eth_getBlockByNumber", [hex(there), True]) or {}
    expected = (CREATE2_DEPLOYER.lower(), "0x" + artifact.deployment_calldata.hex())
    for sent in block.get("transactions", []):
        if ((sent.get("to") or "").lower(), sent.get("input")) == expected:
            receipt = provider.make_request("eth_getTransactionReceipt", [sent["hash"]]) or {}
            if receipt.get("status") == "0x1":
                return there, str(sent["hash"])
    return None


def code_hash(provider: ProviderAPI, address: ChecksumAddress) -> str | None:
    """The keccak256 hash of the code at ``address`` (0x hex), or None if there is none."""
    code = bytes(provider.get_code(address))
    return "0x" + keccak(code).hex() if code else None


def code_differences(artifact: Artifact, provider: ProviderAPI) -> list[str]:
    """Compare the code at the contract's address with the compiler's; one line, or none if it is equal."""
    return named(
        {"code hash, compiled and on chain": (artifact.runtime_code_hash, code_hash(provider, artifact.address))}
    )


def record_differences(record: Deployment, artifact: Artifact, provider: ProviderAPI) -> list[str]:
    """Compare a record with the compiler's output and with the chain; one line a difference, none if all is equal."""
    expected: dict[str, tuple[Any, Any]] = {
        "address, recorded and derived": (record.address, artifact.address),
        "salt, recorded and ours": (record.salt, "0x" + artifact.salt.hex()),
        "code hash, recorded and compiled": (record.runtime_code_hash, artifact.runtime_code_hash),
        "compiler, recorded and used": (record.compiler, artifact.compiler),
        "chain id, recorded and connected": (record.chain_id, provider.chain_id),
        "code hash, recorded and on chain": (record.runtime_code_hash, code_hash(provider, record.address)),
    }
    if record.transaction_hash is None:
        return named(expected)
    sent = provider.make_request("eth_getTransactionByHash", [record.transaction_hash]) or {}
    block = sent.get("blockNumber")
    expected |= {
        "block of the transaction, recorded and on chain": (record.block_number, int(block, 16) if block else None),
        "receiver of the transaction, on chain and deployer": (sent.get("to"), CREATE2_DEPLOYER.lower()),
        "creation code, on chain and compiled": (sent.get("input"), "0x" + artifact.deployment_calldata.hex()),
    }
    return named(expected)


def named(expected: dict[str, tuple[Any, Any]]) -> list[str]:
    """One line for each pair that is not equal."""
    return [f"{what}: {brief(one)} != {brief(other)}" for what, (one, other) in expected.items() if one != other]


def brief(value: Any) -> str:
    """A value in at most 100 characters."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text)} characters)"
