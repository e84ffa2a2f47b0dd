"""The contracts as the compiler gives them, and where the standard CREATE2 deployer puts them on every chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ape import compilers, project
from eth_typing import ChecksumAddress
from eth_utils import keccak, to_bytes, to_checksum_address

CONTRACTS = ("MemoryRegistry", "KeyRegistry", "BlobLog")

# The deployer of many projects, at this address on most chains: it calls CREATE2 with the first 32 bytes of what it is
# sent as the salt and the rest as creation code. The hash is that of its 69 bytes.
CREATE2_DEPLOYER: ChecksumAddress = to_checksum_address("0x4e59b44847b379578588920cA78FbF26c0B4956C")
CREATE2_DEPLOYER_CODE_HASH = bytes.fromhex("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989")


@dataclass(frozen=True)
class Artifact:
    """What the compiler makes of a contract, and with which settings (those of solc's standard JSON input)."""

    contract: str
    abi: list[dict[str, Any]]
    creation_code: bytes
    runtime_code: bytes
    compiler_version: str
    compiler_settings: dict[str, Any]

    @property
    def runtime_code_hash(self) -> str:
        """What EXTCODEHASH returns for the deployed contract (keccak256, 0x hex): it has no immutables."""
        return "0x" + keccak(self.runtime_code).hex()

    @property
    def salt(self) -> bytes:
        """32 bytes. Another salt gives another address; creation code that changes gives one by itself."""
        return f"MemSync {self.contract}".encode().ljust(32, b"\0")

    @property
    def address(self) -> ChecksumAddress:
        """Where the CREATE2 deployer puts this creation code under this salt (EIP-1014)."""
        preimage = b"\xff" + bytes.fromhex(CREATE2_DEPLOYER[2:]) + self.salt + keccak(self.creation_code)
        return to_checksum_address(keccak(preimage)[12:])

    @property
    def deployment_calldata(self) -> bytes:
        """What the deployer is sent."""
        return self.salt + self.creation_code

    @property
    def compiler(self) -> dict[str, Any]:
        """Version and settings, as they stand in exported files and in deployment records."""
        return {"version": self.compiler_version, "settings": self.compiler_settings}


@cache
def compiled() -> tuple[Artifact, ...]:
    """Compile the project, once a process, and return CONTRACTS. Raises what Ape raises if it doesn't compile."""
    # Ape compiles a contract anew when its own file has changed, but not when only a file that it imports has.
    contracts = project.load_contracts(use_cache=False)
    return tuple(_artifact(contracts[name]) for name in CONTRACTS)


def _artifact(contract: Any) -> Artifact:
    [(version, settings)] = compilers.solidity.get_compiler_settings([project.path / contract.source_id]).items()
    settings = {key: value for key, value in settings.items() if key != "outputSelection"}
    return Artifact(
        contract=contract.name,
        abi=[entry.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in contract.abi],
        creation_code=to_bytes(hexstr=contract.deployment_bytecode.bytecode),
        runtime_code=to_bytes(hexstr=contract.runtime_bytecode.bytecode),
        compiler_version=str(version),
        # Ape doesn't know of this one: the compiler's command in scripts/_setup sets it.
        compiler_settings={**settings, "metadata": {"appendCBOR": False, "bytecodeHash": "none"}},
    )
