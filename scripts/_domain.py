"""The registry's EIP-712 domain as a deployment states it (ERC-5267), and as it checks signatures by it."""

from __future__ import annotations

from typing import Any

from ape.api import ProviderAPI
from ape.exceptions import ApeException
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_typing import ChecksumAddress
from eth_utils import function_signature_to_4byte_selector, keccak, to_checksum_address

from scripts._deployment import named

NAME, VERSION = "MemoryRegistry", "1"
DOMAIN = ("bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]")
FOUR_FIELDS = b"\x0f"  # name, version, chain id and verifying contract; no salt
CREATE = {
    "account": "address",
    "salt": "uint256",
    "contentHash": "bytes32",
    "memoryRoot": "bytes32",
    "keyringHash": "bytes32",
    "baseURI": "string",
    "deadline": "uint256",
}
FOR_EVER = 2**256 - 1


def domain_differences(registry: ChecksumAddress, provider: ProviderAPI) -> list[str]:
    """Compare the domain of the registry with what it has to be on this chain; one line a difference.

    ``eip712Domain()`` is read, and a signed call under the right domain is tried, without sending anything: it gives
    the id of the signer's first vault exactly if the contract computes the same domain separator.
    """
    expected = (FOUR_FIELDS, NAME, VERSION, provider.chain_id, registry, bytes(32), ())
    fields = ("fields", "name", "version", "chain id", "verifying contract", "salt", "extensions")
    stated = _call(provider, registry, "eip712Domain()", b"", DOMAIN)
    if stated is None:
        return ["EIP-712 domain: eip712Domain() does not answer"]
    stated = (*stated[:4], to_checksum_address(stated[4]), *stated[5:])
    signer, call = _signed_create(registry, provider.chain_id)
    signature = "createFor(address,uint256,bytes32,bytes32,bytes32,string,uint256,bytes)"
    made = _call(provider, registry, signature, call, ("bytes32",))
    own = keccak(encode(("uint256", "address", "address", "uint256"), (provider.chain_id, registry, signer, 1)))
    pairs: dict[str, tuple[Any, Any]] = {
        f"EIP-712 domain, {field}, right and stated": (_shown(right), _shown(given))
        for field, right, given in zip(fields, expected, stated, strict=True)
    }
    pairs["EIP-712 domain separator, vault of a signed call, right and given"] = (own.hex(), made and made[0].hex())
    return named(pairs)


def _shown(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _call(
    provider: ProviderAPI, to: ChecksumAddress, function: str, arguments: bytes, answer: tuple[str, ...]
) -> tuple[Any, ...] | None:
    """What a call gives, from the newest block's state; None if it reverts or gives something else."""
    data = function_signature_to_4byte_selector(function) + arguments
    try:
        given = provider.make_request("eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"])
        return tuple(decode(answer, bytes.fromhex(given[2:])))
    except (ApeException, DecodingError, UnicodeDecodeError):
        return None


def _signed_create(registry: ChecksumAddress, chain_id: int) -> tuple[ChecksumAddress, bytes]:
    """A new account, and the encoded arguments of ``createFor`` that it signed."""
    account = Account.create()
    hashes = [keccak(text=name) for name in ("content", "log", "keyring")]
    values = (account.address, 1, *hashes, "", FOR_EVER)
    signed = account.sign_message(
        encode_typed_data(
            {"name": NAME, "version": VERSION, "chainId": chain_id, "verifyingContract": registry},
            {"Create": [{"name": name, "type": kind} for name, kind in CREATE.items()]},
            dict(zip(CREATE, values, strict=True)),
        )
    )
    return account.address, encode((*CREATE.values(), "bytes"), (*values, bytes(signed.signature)))
