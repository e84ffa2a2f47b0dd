"""Signed twins: a call of the registry that an account signs (EIP-712), for anyone to send and to pay for.

``Commit(address account,…,uint256 deadline)`` has the parameters of ``commitFor`` but for the signature, so all of it
is read from the contract's own interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from .addresses import checksummed
from .errors import InvalidRequest
from .registry import Registry
from .transactions import Call

_MULTICALL = "multicall"
_DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


@dataclass(frozen=True)
class Twin:
    """What one signature is for: a verb of the registry, its account, its other values, and until when it is good (Unix
    time)."""

    verb: str
    account: str
    values: tuple[Any, ...]
    deadline: int

    def typed_data(self, registry: Registry) -> dict[str, Any]:
        """What is signed, as JSON-RPC has it (``eth_signTypedData_v4``)."""
        fields = _fields(registry.abi, self.verb)
        name = self.verb[0].upper() + self.verb[1:]
        values = (self.account, *self.values, self.deadline)
        return {
            "types": {"EIP712Domain": _DOMAIN, name: fields},
            "primaryType": name,
            "domain": {
                "name": "MemoryRegistry",
                "version": "1",
                "chainId": registry.chain_id,
                "verifyingContract": registry.address,
            },
            "message": {field["name"]: _plain(value) for field, value in zip(fields, values, strict=True)},
        }

    def call(self, signature: bytes) -> Call:
        """The call that anyone can send."""
        return Call(f"{self.verb}For", (self.account, *self.values, self.deadline, signature))


def twins_of(registry: Registry, call: Call, account: str, deadline: int) -> list[Twin]:
    """What ``account`` has to sign so that another one can send ``call``; several for a bundle. Each names a number
    that its own effect raises, some of which the direct call does not have. Raises UnknownVault, or InvalidRequest for
    a call without a twin."""
    if call.function == _MULTICALL:
        return [twin for part in call.parts for twin in twins_of(registry, part, account, deadline)]
    values = call.arguments
    if call.function == "revoke":
        granted = registry.grant_of(*values)
        values += (granted.version if granted else 0,)
    elif call.function == "rotate":
        values += (registry.record(values[0]).epoch,)
    elif call.function == "revokeAll":
        values += (registry.record(values[0]).tenure,)
    elif call.function in ("accept", "cancelOffer"):
        offer = registry.offer_of(values[0])
        values += (offer.version if offer else 0,)
    elif call.function.endswith("Recovery"):
        values += (registry.recovery_of(values[0]).attempt,)
    if len(_fields(registry.abi, call.function)) != len(values) + 2:
        raise InvalidRequest(
            f"No relayer can send {call.function}.", "Send it with a wallet that pays: without --relay."
        )
    return [Twin(call.function, account, values, deadline)]


def signed_calls(abi: list[dict[str, Any]], data: bytes) -> list[Twin]:
    """The twins in a call's data, one or a bundle of them, each with its account and deadline. Raises InvalidRequest
    for anything else."""
    selectors = {_selector(entry): entry for entry in abi if entry["type"] == "function"}
    entry = selectors.get(data[:4])
    if entry is None or not (entry["name"] == _MULTICALL or entry["name"].endswith("For")):
        raise InvalidRequest("That is no call of the registry that somebody signed.", "Send one of its …For calls.")
    try:
        values = decode([argument["type"] for argument in entry["inputs"]], data[4:])
    except (DecodingError, OverflowError, ValueError):
        raise InvalidRequest(f"The values of {entry['name']} can't be read.", "Encode them by the ABI.") from None
    if entry["name"] != _MULTICALL:
        return [Twin(entry["name"][:-3], str(checksummed(values[0])), values[1:-2], values[-2])]
    if not values[0] or any(part[:4] == data[:4] for part in values[0]):
        raise InvalidRequest("A bundle has signed calls, and no bundle inside.", "Send them one by one.")
    return [twin for part in values[0] for twin in signed_calls(abi, part)]


def _fields(abi: list[dict[str, Any]], verb: str) -> list[dict[str, str]]:
    """The fields of a verb's struct; none where it has no twin."""
    entry = next((entry for entry in abi if entry.get("name") == f"{verb}For"), {"inputs": ()})
    return [{"name": item["name"], "type": item["type"]} for item in entry["inputs"] if item["name"] != "signature"]


def _selector(entry: dict[str, Any]) -> bytes:
    types = ",".join(_type(argument) for argument in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")[:4]


def _type(argument: dict[str, Any]) -> str:
    if not argument["type"].startswith("tuple"):
        return str(argument["type"])
    inside = ",".join(map(_type, argument["components"]))
    return f"({inside}){argument['type'].removeprefix('tuple')}"


def _plain(value: Any) -> Any:
    return f"0x{value.hex()}" if isinstance(value, bytes) else value
