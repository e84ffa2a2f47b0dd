"""Signed calls: the structs that are signed, written out from the interface, and how a test signs one."""

from typing import Any

from ape.api import ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils import keccak

FIELDS = {
    "create": "uint256 salt,bytes32 contentHash,bytes32 memoryRoot,bytes32 keyringHash,string baseURI",
    "commit": "bytes32 vaultId,uint32 expectedVersion,uint32 epoch,bytes32 contentHash,bytes32 memoryRoot,"
    "bytes32 keyringHash",
    "grant": "bytes32 vaultId,uint32 expectedVersion,address grantee,uint8 rights,uint256 expiresAt,bytes20 keyId,"
    "bytes32 keyringHash",
    "revoke": "bytes32 vaultId,address grantee,uint32 grantVersion",
    "revokeAll": "bytes32 vaultId,uint16 expectedTenure",
    "rotate": "bytes32 vaultId,uint32 expectedEpoch",
    "setBaseURI": "bytes32 vaultId,uint32 expectedVersion,string baseURI",
    "offer": "bytes32 vaultId,uint32 expectedVersion,address newOwner,uint256 expiresAt",
    "cancelOffer": "bytes32 vaultId,uint32 offerVersion",
    "accept": "bytes32 vaultId,uint32 offerVersion",
    "setRecovery": "bytes32 vaultId,address recovery,uint32 expectedAttempt",
    "startRecovery": "bytes32 vaultId,address newOwner,uint32 expectedAttempt",
    "vetoRecovery": "bytes32 vaultId,uint32 expectedAttempt",
    "finishRecovery": "bytes32 vaultId,uint32 expectedAttempt",
    "close": "bytes32 vaultId,uint32 expectedVersion,bytes32 successor",
}
# The number that a signature names and the direct call does not, by verb: always the last field.
BOUND = {
    "revoke": "grantVersion",
    "revokeAll": "expectedTenure",
    "rotate": "expectedEpoch",
    "cancelOffer": "offerVersion",
    "accept": "offerVersion",
    "setRecovery": "expectedAttempt",
    "startRecovery": "expectedAttempt",
    "vetoRecovery": "expectedAttempt",
    "finishRecovery": "expectedAttempt",
}
NO_DEADLINE = 2**256 - 1


def names(verb: str) -> list[str]:
    return [field.split()[1] for field in FIELDS[verb].split(",")]


def direct(verb: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of the direct call that a signed one with these values amounts to."""
    return values[:-1] if verb in BOUND else values


def struct(verb: str) -> str:
    return verb[0].upper() + verb[1:]


def typed_data(
    registry: ContractInstance, verb: str, account: str, values: tuple[Any, ...], deadline: int, **domain: Any
) -> SignableMessage:
    """What is signed, for the registry's own domain but for the fields given."""
    fields = f"address account,{FIELDS[verb]},uint256 deadline"
    kinds = [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields.split(",")]
    message = zip((kind["name"] for kind in kinds), (account, *values, deadline), strict=True)
    own = {
        "name": "MemoryRegistry",
        "version": "1",
        "chainId": int(registry.provider.chain_id),
        "verifyingContract": registry.address,
    }
    return encode_typed_data(own | domain, {struct(verb): kinds}, dict(message))


def digest(message: SignableMessage) -> bytes:
    return keccak(b"\x19" + message.version + message.header + message.body)


def sign(message: SignableMessage, signer: TestAccountAPI) -> bytes:
    return bytes(Account.sign_message(message, signer.private_key).signature)


def relay(
    registry: ContractInstance,
    relayer: TestAccountAPI,
    verb: str,
    signer: TestAccountAPI,
    *values: Any,
    deadline: int = NO_DEADLINE,
) -> ReceiptAPI:
    """Makes the call that the signer signs, from the relayer's account."""
    signature = sign(typed_data(registry, verb, signer.address, values, deadline), signer)
    return send(registry, relayer, verb, signer.address, values, deadline, signature)


def send(
    registry: ContractInstance,
    relayer: TestAccountAPI,
    verb: str,
    account: str,
    values: tuple[Any, ...],
    deadline: int,
    signature: bytes,
) -> ReceiptAPI:
    receipt: ReceiptAPI = getattr(registry, f"{verb}For")(account, *values, deadline, signature, sender=relayer)
    return receipt
