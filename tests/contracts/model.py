"""The registry in Python, written from the interface: what the state machine expects of the contract.

Each verb returns the event that it emits, or changes nothing and raises Refused with the error that the contract gives.
`now` is the time of the block in Unix seconds. Fields are called as in the ABI where they are compared with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eth_abi.abi import encode
from eth_utils import keccak

from .signing import BOUND, direct

READ, WRITE, KEYS = 1, 2, 4
NONE = bytes(32)
ZERO_ADDRESS = "0x0000000000000000000000000000000000000000"
LATEST = 2**40 - 1  # an expiry
RECOVERY_DELAY, RECOVERY_WINDOW = 21 * 86_400, 30 * 86_400

# How the model calls what the contract calls so.
METHODS = {
    "create": "create",
    "commit": "commit",
    "grant": "grant",
    "revoke": "revoke",
    "revokeAll": "revoke_all",
    "rotate": "rotate",
    "setBaseURI": "set_base_uri",
    "offer": "offer",
    "cancelOffer": "cancel_offer",
    "accept": "accept",
    "setRecovery": "set_recovery",
    "startRecovery": "start_recovery",
    "vetoRecovery": "veto_recovery",
    "finishRecovery": "finish_recovery",
    "close": "close",
}
NUMBER_ERRORS = {
    "revoke": "WrongGrant",
    "revokeAll": "WrongTenure",
    "rotate": "WrongEpoch",
    "cancelOffer": "WrongOffer",
    "accept": "WrongOffer",
    "setRecovery": "WrongAttempt",
    "startRecovery": "WrongAttempt",
    "vetoRecovery": "WrongAttempt",
    "finishRecovery": "WrongAttempt",
}


class Event(NamedTuple):
    name: str
    arguments: dict[str, Any]


class Refused(Exception):
    def __init__(self, error: str, **arguments: Any) -> None:
        super().__init__(error, arguments)
        self.error = error
        self.arguments = arguments


class Record(NamedTuple):
    owner: str
    version: int
    epoch: int
    tenure: int
    headLag: int
    epochLag: int
    contentHash: bytes
    memoryRoot: bytes
    keyringHash: bytes
    baseURI: str


class Grant(NamedTuple):
    expiresAt: int = 0
    rights: int = 0
    version: int = 0
    keyId: bytes = bytes(20)


class Offer(NamedTuple):
    newOwner: str = ZERO_ADDRESS
    expiresAt: int = 0
    version: int = 0


class Recovery(NamedTuple):
    account: str = ZERO_ADDRESS
    attempt: int = 0
    readyAt: int = 0
    newOwner: str = ZERO_ADDRESS


@dataclass(frozen=True)
class Vault:
    owner: str
    content_hash: bytes
    memory_root: bytes
    keyring_hash: bytes
    base_uri: str
    version: int = 1
    epoch: int = 1
    tenure: int = 1
    head_version: int = 1
    head_epoch: int = 1
    grants: dict[str, Grant] = field(default_factory=dict)
    offer: Offer = field(default_factory=Offer)
    recovery: Recovery = field(default_factory=Recovery)

    @property
    def locked(self) -> bool:
        return self.epoch != self.head_epoch

    @property
    def record(self) -> Record:
        return Record(
            self.owner,
            self.version,
            self.epoch,
            self.tenure,
            min(self.version - self.head_version, 255),
            min(self.epoch - self.head_epoch, 255),
            self.content_hash,
            self.memory_root,
            self.keyring_hash,
            self.base_uri,
        )

    def rights(self, account: str, now: int) -> int:
        if ZERO_ADDRESS in (account, self.owner):
            return 0
        if account == self.owner:
            return 255
        held = self.grants.get(account, Grant())
        return held.rights if now < held.expiresAt else 0


class RegistryModel:
    def __init__(self, chain_id: int, address: str) -> None:
        self._domain = (chain_id, address)
        self.vaults: dict[bytes, Vault] = {}
        self.counts: dict[str, int] = {}
        self.accepted: dict[str, list[bytes]] = {}

    def vault_id(self, first_owner: str, salt: int) -> bytes:
        return keccak(encode(["uint256", "address", "address", "uint256"], [*self._domain, first_owner, salt]))

    def create(
        self,
        actor: str,
        now: int,
        salt: int,
        content_hash: bytes,
        memory_root: bytes,
        keyring_hash: bytes,
        base_uri: str,
    ) -> Event:
        expected = self.counts.get(actor, 0) + 1
        if salt != expected:
            raise Refused("WrongSalt", given=salt, expected=expected)
        if content_hash == NONE:
            raise Refused("ZeroContentHash")
        if keyring_hash == NONE:
            raise Refused("ZeroKeyringHash")
        _check_length(base_uri)
        vault_id = self.vault_id(actor, salt)
        self.counts[actor] = salt
        self.vaults[vault_id] = Vault(actor, content_hash, memory_root, keyring_hash, base_uri)
        return Event(
            "Created",
            {
                "vaultId": vault_id,
                "actor": actor,
                "salt": salt,
                "contentHash": content_hash,
                "memoryRoot": memory_root,
                "keyringHash": keyring_hash,
            },
        )

    def commit(
        self,
        actor: str,
        now: int,
        vault_id: bytes,
        expected_version: int,
        epoch: int,
        content_hash: bytes,
        memory_root: bytes,
        keyring_hash: bytes,
    ) -> Event:
        vault = self._writable(vault_id, actor, now, keyring_hash)
        _check_version(vault_id, vault, expected_version)
        if epoch not in (vault.epoch, vault.epoch + 1):
            raise Refused("WrongEpoch", vaultId=vault_id, given=epoch, current=vault.epoch)
        if content_hash == NONE:
            raise Refused("ZeroContentHash")
        if content_hash == vault.content_hash:
            raise Refused("ContentUnchanged", vaultId=vault_id, contentHash=content_hash)
        if epoch != vault.head_epoch and keyring_hash in (NONE, vault.keyring_hash):
            raise Refused("KeyringRequired", vaultId=vault_id, epoch=epoch)
        if keyring_hash == vault.keyring_hash:
            raise Refused("KeyringUnchanged", vaultId=vault_id, keyringHash=keyring_hash)
        version = vault.version + 1
        self.vaults[vault_id] = replace(
            vault,
            version=version,
            epoch=epoch,
            head_version=version,
            head_epoch=epoch,
            content_hash=content_hash,
            memory_root=memory_root,
            keyring_hash=vault.keyring_hash if keyring_hash == NONE else keyring_hash,
        )
        return Event(
            "Committed",
            {
                "vaultId": vault_id,
                "actor": actor,
                "version": version,
                "epoch": epoch,
                "contentHash": content_hash,
                "memoryRoot": memory_root,
                "keyringHash": keyring_hash,
            },
        )

    def grant(
        self,
        actor: str,
        now: int,
        vault_id: bytes,
        expected_version: int,
        grantee: str,
        rights: int,
        expires_at: int,
        key_id: bytes,
        keyring_hash: bytes,
    ) -> Event:
        vault = self._owned(vault_id, actor)
        _check_version(vault_id, vault, expected_version)
        if vault.locked:
            raise Refused("VaultLocked", vaultId=vault_id, epoch=vault.epoch)
        if grantee == ZERO_ADDRESS:
            raise Refused("ZeroGrantee")
        if grantee == vault.owner:
            raise Refused("GranteeIsOwner", vaultId=vault_id, grantee=grantee)
        if rights == 0:
            raise Refused("NoRights")
        if key_id == bytes(20):
            raise Refused("ZeroKeyId")
        _check_expiry(expires_at, now)
        held = vault.grants.get(grantee, Grant())
        if now < held.expiresAt:
            if held.rights & ~rights or expires_at < held.expiresAt or key_id != held.keyId:
                raise Refused("GrantLowered", vaultId=vault_id, grantee=grantee)
            if (rights, expires_at) == (held.rights, held.expiresAt):
                raise Refused("GrantUnchanged", vaultId=vault_id, grantee=grantee)
        if keyring_hash == vault.keyring_hash:
            raise Refused("KeyringUnchanged", vaultId=vault_id, keyringHash=keyring_hash)
        version = vault.version + 1
        self.vaults[vault_id] = replace(
            vault,
            version=version,
            keyring_hash=vault.keyring_hash if keyring_hash == NONE else keyring_hash,
            grants=vault.grants | {grantee: Grant(expires_at, rights, version, key_id)},
        )
        return Event(
            "Granted",
            {
                "vaultId": vault_id,
                "actor": actor,
                "grantee": grantee,
                "rights": rights,
                "expiresAt": expires_at,
                "keyId": key_id,
                "version": version,
                "keyringHash": keyring_hash,
            },
        )

    def revoke(self, actor: str, now: int, vault_id: bytes, grantee: str) -> Event:
        vault = self._owned(vault_id, actor)
        if grantee not in vault.grants:
            raise Refused("NoGrant", vaultId=vault_id, grantee=grantee)
        grants = {account: held for account, held in vault.grants.items() if account != grantee}
        return self._rotated("Revoked", vault_id, replace(vault, grants=grants), grantee=grantee)

    def revoke_all(self, actor: str, now: int, vault_id: bytes) -> Event:
        vault = self._owned(vault_id, actor)
        tenure = vault.tenure + 1
        return self._rotated("RevokedAll", vault_id, replace(vault, tenure=tenure, grants={}), tenure=tenure)

    def rotate(self, actor: str, now: int, vault_id: bytes) -> Event:
        return self._rotated("Rotated", vault_id, self._owned(vault_id, actor))

    def set_base_uri(self, actor: str, now: int, vault_id: bytes, expected_version: int, base_uri: str) -> Event:
        vault = self._owned(vault_id, actor)
        _check_version(vault_id, vault, expected_version)
        _check_length(base_uri)
        if base_uri == vault.base_uri:
            raise Refused("BaseURIUnchanged", vaultId=vault_id)
        version = vault.version + 1
        self.vaults[vault_id] = replace(vault, version=version, base_uri=base_uri)
        return Event("BaseURISet", {"vaultId": vault_id, "actor": actor, "version": version, "baseURI": base_uri})

    def offer(
        self, actor: str, now: int, vault_id: bytes, expected_version: int, new_owner: str, expires_at: int
    ) -> Event:
        vault = self._owned(vault_id, actor)
        _check_version(vault_id, vault, expected_version)
        _check_new_owner(vault_id, vault, new_owner)
        _check_expiry(expires_at, now)
        if (new_owner, expires_at) == vault.offer[:2]:
            raise Refused("OfferUnchanged", vaultId=vault_id)
        version = vault.version + 1
        self.vaults[vault_id] = replace(vault, version=version, offer=Offer(new_owner, expires_at, version))
        named = {"vaultId": vault_id, "actor": actor, "newOwner": new_owner}
        return Event("Offered", named | {"expiresAt": expires_at, "version": version})

    def cancel_offer(self, actor: str, now: int, vault_id: bytes) -> Event:
        vault = self._owned(vault_id, actor)
        if vault.offer == Offer():
            raise Refused("NoOffer", vaultId=vault_id)
        version = vault.version + 1
        self.vaults[vault_id] = replace(vault, version=version, offer=Offer())
        named = {"vaultId": vault_id, "actor": actor, "newOwner": vault.offer.newOwner}
        return Event("OfferCancelled", named | {"version": version})

    def accept(self, actor: str, now: int, vault_id: bytes) -> Event:
        vault = self._named_by(vault_id, actor, "accept")
        if now >= vault.offer.expiresAt:
            raise Refused("OfferExpired", vaultId=vault_id, expiresAt=vault.offer.expiresAt, currentTime=now)
        return self._handed_over("Accepted", vault_id, vault, actor)

    def set_recovery(self, actor: str, now: int, vault_id: bytes, recovery: str) -> Event:
        vault = self._owned(vault_id, actor)
        if recovery == vault.owner:
            raise Refused("RecoveryIsOwner", vaultId=vault_id, recovery=recovery)
        if recovery == vault.recovery.account:
            raise Refused("RecoveryUnchanged", vaultId=vault_id)
        attempt = vault.recovery.attempt + 1
        self.vaults[vault_id] = replace(vault, recovery=Recovery(recovery, attempt))
        named = {"vaultId": vault_id, "actor": actor, "recovery": recovery}
        return Event("RecoverySet", named | {"attempt": attempt})

    def start_recovery(self, actor: str, now: int, vault_id: bytes, new_owner: str) -> Event:
        vault = self._named_by(vault_id, actor, "startRecovery")
        _check_new_owner(vault_id, vault, new_owner)
        started = Recovery(actor, vault.recovery.attempt + 1, now + RECOVERY_DELAY, new_owner)
        self.vaults[vault_id] = replace(vault, recovery=started)
        named = {"vaultId": vault_id, "actor": actor, "newOwner": new_owner}
        return Event("RecoveryStarted", named | {"readyAt": started.readyAt, "attempt": started.attempt})

    def veto_recovery(self, actor: str, now: int, vault_id: bytes) -> Event:
        vault = self._owned(vault_id, actor)
        held = vault.recovery
        if held.newOwner == ZERO_ADDRESS:
            raise Refused("NoRecoveryPending", vaultId=vault_id)
        self.vaults[vault_id] = replace(vault, recovery=Recovery(held.account, held.attempt + 1))
        named = {"vaultId": vault_id, "actor": actor, "newOwner": held.newOwner}
        return Event("RecoveryVetoed", named | {"attempt": held.attempt + 1})

    def finish_recovery(self, actor: str, now: int, vault_id: bytes) -> Event:
        vault = self._named_by(vault_id, actor, "finishRecovery")
        ready = vault.recovery.readyAt
        if now < ready:
            raise Refused("RecoveryNotReady", vaultId=vault_id, readyAt=ready, currentTime=now)
        if now >= ready + RECOVERY_WINDOW:
            raise Refused("RecoveryLapsed", vaultId=vault_id, lapsedAt=ready + RECOVERY_WINDOW, currentTime=now)
        return self._handed_over("RecoveryFinished", vault_id, vault, actor)

    def close(self, actor: str, now: int, vault_id: bytes, expected_version: int, successor: bytes) -> Event:
        vault = self._owned(vault_id, actor)
        _check_version(vault_id, vault, expected_version)
        if successor == vault_id:
            raise Refused("SuccessorIsVault", vaultId=vault_id)
        version = vault.version + 1
        self.vaults[vault_id] = replace(vault, owner=ZERO_ADDRESS, version=version, offer=Offer(), recovery=Recovery())
        return Event("Closed", {"vaultId": vault_id, "actor": actor, "version": version, "successor": successor})

    def signed(self, verb: str, actor: str, now: int, deadline: int, *values: Any) -> Event:
        """The call that the actor signed, `values` with the number that the signature names."""
        match verb, values:
            case "create", _:
                pass
            case "commit", (vault_id, *_, keyring_hash):
                self._writable(vault_id, actor, now, keyring_hash)
            case (("accept" | "startRecovery" | "finishRecovery"), (vault_id, *_)):
                self._named_by(vault_id, actor, verb)
            case _, (vault_id, *_):
                self._owned(vault_id, actor)
        if now > deadline:
            raise Refused("SignatureExpired", deadline=deadline, currentTime=now)
        if verb in BOUND:
            *values_before, given = values
            current = self.number(verb, *values_before)
            if given != current:
                subject = {"grantee": values[1]} if verb == "revoke" else {}
                raise Refused(NUMBER_ERRORS[verb], vaultId=values[0], **subject, given=given, current=current)
        expect: Callable[..., Event] = getattr(self, METHODS[verb])
        return expect(actor, now, *direct(verb, values))

    def number(self, verb: str, vault_id: bytes, *rest: Any) -> int:
        """The number that a signature of this verb has to name, where the direct call names none."""
        vault = self.vaults.get(vault_id, Vault(ZERO_ADDRESS, NONE, NONE, NONE, ""))
        return {
            "grantVersion": vault.grants.get(rest[0] if rest else "", Grant()).version,
            "expectedTenure": vault.tenure,
            "expectedEpoch": vault.epoch,
            "offerVersion": vault.offer.version,
            "expectedAttempt": vault.recovery.attempt,
        }[BOUND[verb]]

    def _handed_over(self, event: str, vault_id: bytes, vault: Vault, new_owner: str) -> Event:
        former, tenure = vault.owner, vault.tenure + 1
        vault = replace(
            vault,
            owner=new_owner,
            tenure=tenure,
            grants={},
            offer=Offer(),
            recovery=Recovery(attempt=vault.recovery.attempt + 1),
        )
        self.accepted.setdefault(new_owner, []).append(vault_id)
        return self._rotated(event, vault_id, vault, formerOwner=former, tenure=tenure)

    def _rotated(self, event: str, vault_id: bytes, vault: Vault, **subject: Any) -> Event:
        vault = replace(vault, version=vault.version + 1, epoch=vault.epoch + 1)
        self.vaults[vault_id] = vault
        arguments = {"vaultId": vault_id, "actor": vault.owner, "version": vault.version, "epoch": vault.epoch}
        return Event(event, arguments | subject)

    def _open(self, vault_id: bytes) -> Vault:
        if vault_id not in self.vaults:
            raise Refused("UnknownVault", vaultId=vault_id)
        if self.vaults[vault_id].owner == ZERO_ADDRESS:
            raise Refused("VaultClosed", vaultId=vault_id)
        return self.vaults[vault_id]

    def _owned(self, vault_id: bytes, actor: str) -> Vault:
        vault = self._open(vault_id)
        if actor != vault.owner:
            raise Refused("NotOwner", vaultId=vault_id, account=actor)
        return vault

    def _writable(self, vault_id: bytes, actor: str, now: int, keyring_hash: bytes) -> Vault:
        vault = self._open(vault_id)
        rights = vault.rights(actor, now)
        if not rights & WRITE:
            raise Refused("NotWriter", vaultId=vault_id, account=actor)
        if keyring_hash != NONE and not rights & KEYS:
            raise Refused("NotKeyBearer", vaultId=vault_id, account=actor)
        return vault

    def _named_by(self, vault_id: bytes, actor: str, verb: str) -> Vault:
        """The vault, in whose offer or recovery the actor has to stand for this verb."""
        vault = self._open(vault_id)
        named, error = {
            "accept": (vault.offer.newOwner, "NotOffered"),
            "startRecovery": (vault.recovery.account, "NotRecovery"),
            "finishRecovery": (vault.recovery.newOwner, "NotNewOwner"),
        }[verb]
        if actor != named:
            raise Refused(error, vaultId=vault_id, account=actor)
        return vault


def _check_version(vault_id: bytes, vault: Vault, expected: int) -> None:
    if expected != vault.version:
        raise Refused("WrongVersion", vaultId=vault_id, expected=expected, current=vault.version)


def _check_expiry(expires_at: int, now: int) -> None:
    if expires_at <= now:
        raise Refused("ExpiryNotInFuture", expiresAt=expires_at, currentTime=now)
    if expires_at > LATEST:
        raise Refused("ExpiryTooLate", expiresAt=expires_at, latest=LATEST)


def _check_length(base_uri: str) -> None:
    length = len(base_uri.encode())
    if length > 256:
        raise Refused("BaseURITooLong", length=length, maxLength=256)


def _check_new_owner(vault_id: bytes, vault: Vault, new_owner: str) -> None:
    if new_owner == ZERO_ADDRESS:
        raise Refused("ZeroNewOwner")
    if new_owner == vault.owner:
        raise Refused("NewOwnerIsOwner", vaultId=vault_id, newOwner=new_owner)
