"""What the contract's custom errors mean to a person: a cause and a next step for each. Pure."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from .errors import TransactionRefused, VersionTaken

_SYNC = "Run sync, then try again."
_FAULT = "Nothing was sent. This is a fault of the program that made the call."
_SIGN_ANEW = "Look at the vault again, and sign anew if it still is to be done."
_OWNER = "Use the wallet that owns the vault."

# Fields in braces are the error's own arguments.
MEANINGS: dict[str, tuple[str, str]] = {
    "UnknownVault": ("The registry has no such vault.", "Check the vault's id, and that the node is on its chain."),
    "NotOwner": ("Account {account} does not own the vault.", _OWNER),
    "NotWriter": ("Account {account} may not write to the vault (any more).", "Ask the owner for a grant to write."),
    "NotKeyBearer": ("Account {account} may not bring a keyring.", "Ask the owner to run sync, or for that right."),
    "WrongSalt": ("The account's next vault is number {expected}, not {given}.", "Try again: another one came first."),
    "WrongVersion": ("Another writer was first: the vault is at version {current}, this builds on {expected}.", _SYNC),
    "WrongEpoch": ("The vault is at epoch {current}, this was made for epoch {given}.", _SYNC),
    "VaultLocked": ("The vault is locked: epoch {epoch} has no keyring yet.", _SYNC),
    "KeyringRequired": ("Epoch {epoch} of the vault needs a new keyring.", _SYNC),
    "KeyringUnchanged": ("The vault has this keyring already.", _SYNC),
    "ContentUnchanged": ("The vault has this head already.", _SYNC),
    "ZeroContentHash": ("A head needs a hash.", _FAULT),
    "ZeroKeyringHash": ("A new vault needs a keyring.", _FAULT),
    "ZeroGrantee": ("The zero address can't be granted anything.", "Ask the reader for a new card."),
    "GranteeIsOwner": ("Account {grantee} owns the vault and needs no grant.", "Name the reader's own account."),
    "NoRights": ("A grant needs at least one right.", "Name what the reader may do."),
    "ZeroKeyId": ("A grant needs the id of the reader's key.", "Ask the reader for a new card."),
    "ExpiryNotInFuture": ("It would have ended before it began.", "Name a later date."),
    "ExpiryTooLate": ("No date so far away can be stored.", "Name an earlier date."),
    "GrantLowered": ("Account {grantee} has a grant that this one would lower.", "Revoke it first, then grant anew."),
    "GrantUnchanged": ("Account {grantee} has exactly this grant already.", "There is nothing to do."),
    "NoGrant": ("Account {grantee} has no grant in this vault.", "There is nothing to revoke."),
    "BaseURITooLong": ("The base URI has {length} bytes; {maxLength} fit.", "Use a shorter address for the blobs."),
    "BaseURIUnchanged": ("The vault has this base URI already.", "There is nothing to do."),
    "VaultClosed": ("The vault was closed by its owner, for good.", "Use another vault; this one can only be read."),
    "ZeroNewOwner": ("The zero address can't own a vault.", "Name the new owner's account; to end a vault, close it."),
    "NewOwnerIsOwner": ("Account {newOwner} owns the vault already.", "Name the new owner's account."),
    "OfferUnchanged": ("The vault is offered to this account until this time already.", "There is nothing to do."),
    "NoOffer": ("The vault is not offered to anyone.", "There is nothing to cancel."),
    "NotOffered": ("The vault is not offered to account {account}.", "Ask the owner for an offer to this account."),
    "OfferExpired": ("The offer of the vault has expired.", "Ask the owner for a new offer."),
    "RecoveryIsOwner": ("Account {recovery} owns the vault and can't recover it.", "Name another account, or none."),
    "RecoveryUnchanged": ("The vault has this recovery address already.", "There is nothing to do."),
    "NotRecovery": ("Account {account} is not the vault's recovery address.", "Use the wallet of that address."),
    "NoRecoveryPending": ("No recovery of the vault is pending.", "There is nothing to veto."),
    "NotNewOwner": ("No recovery for account {account} is pending.", "Ask the recovery address to start one."),
    "RecoveryNotReady": ("The owner still has time to veto this recovery.", "Finish it 21 days after its last start."),
    "RecoveryLapsed": ("The recovery was not finished in its 30 days.", "Ask the recovery address to start it again."),
    "SuccessorIsVault": ("A vault can't be its own successor.", "Name another vault, or none."),
    "LastTenure": ("The vault has been handed over or cut off 65,534 times, and no more fits.", "Create a new vault."),
    "SignatureExpired": ("The signature was good up to a time that has passed.", "Ask the account to sign anew."),
    "InvalidSignature": ("Account {account} did not sign exactly this.", "Ask the account to sign anew."),
    "WrongGrant": ("Account {grantee} has another grant than the one to be revoked.", _SIGN_ANEW),
    "WrongTenure": ("The vault is in tenure {current}, this was signed in tenure {given}.", _SIGN_ANEW),
    "WrongOffer": ("The vault's offer is another than the one that was meant, or is gone.", _SIGN_ANEW),
    "WrongAttempt": ("The vault's recovery is at attempt {current}, this was signed at {given}.", _SIGN_ANEW),
    "FailedCall": ("A call in the bundle failed without a reason.", _FAULT),
    "AddressEmptyCode": ("There is no contract at {target}.", _FAULT),
    "MalformedProof": ("No log has a proof of this shape.", "Ask for the proof again."),
}


def refused(abi: list[dict[str, Any]], data: object) -> TransactionRefused:
    """The error for what a reverted call returned (0x hex): named and explained if it is one of the ABI's errors."""
    name, arguments = decode_error(abi, data)
    if name is None:
        return TransactionRefused("The contract refused the transaction without a reason that can be read.", _SYNC)
    cause, next_step = MEANINGS[name]
    kind = VersionTaken if name == "WrongVersion" else TransactionRefused
    return kind(cause.format(**arguments), next_step, error=name)


def decode_error(abi: list[dict[str, Any]], data: object) -> tuple[str | None, dict[str, Any]]:
    """Name and arguments of a custom error in ``data`` (0x hex); no name if it is none of the ABI's."""
    if not isinstance(data, str):
        return None, {}
    for entry in abi:
        if entry["type"] != "error":
            continue
        types = [argument["type"] for argument in entry["inputs"]]
        selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
        if data[2:10].lower() != selector.hex():
            continue
        try:
            values = decode(types, bytes.fromhex(data[10:]))
        except (ValueError, DecodingError):
            break
        return entry["name"], dict(zip((argument["name"] for argument in entry["inputs"]), values, strict=True))
    return None, {}
