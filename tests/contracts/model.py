"""The registry in Python, written from the interface: what the state machine expects of the contract.

Each verb returns the event that it emits, or changes nothing and raises Refused with the error that the contract gives.
`now` is the time of the block in Unix seconds. Fields are called as in the ABI where they are compared with it.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eth_abi.abi import encode
from eth_utils import keccak

READ, WRITE, KEYS = 1, 2, 4
NONE = bytes(32)
ZERO_ADDRESS = "0x0000000000000000000000000000000000000000"
RECOVERY_DELAY, RECOVERY_WINDOW = 21 * 86_400, 30 * 86_400


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
        if account == ZERO_ADDRESS:
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
        vault = self._existing(vault_id)
        rights = vault.rights(actor, now)
        if not rights & WRITE:
            raise Refused("NotWriter", vaultId=vault_id, account=actor)
        if keyring_hash != NONE and not rights & KEYS:
            raise Refused("NotKeyBearer", vaultId=vault_id, account=actor)
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
        if expires_at <= now:
            raise Refused("ExpiryNotInFuture", expiresAt=expires_at, currentTime=now)
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

    def _rotated(self, event: str, vault_id: bytes, vault: Vault, **subject: Any) -> Event:
        vault = replace(vault, version=vault.version + 1, epoch=vault.epoch + 1)
        self.vaults[vault_id] = vault
        arguments = {"vaultId": vault_id, "actor": vault.owner, "version": vault.version, "epoch": vault.epoch}
        return Event(event, arguments | subject)

    def _existing(self, vault_id: bytes) -> Vault:
        if vault_id not in self.vaults:
            raise Refused("UnknownVault", vaultId=vault_id)
        return self.vaults[vault_id]

    def _owned(self, vault_id: bytes, actor: str) -> Vault:
        vault = self._existing(vault_id)
        if actor != vault.owner:
            raise Refused("NotOwner", vaultId=vault_id, account=actor)
        return vault


def _check_version(vault_id: bytes, vault: Vault, expected: int) -> None:
    if expected != vault.version:
        raise Refused("WrongVersion", vaultId=vault_id, expected=expected, current=vault.version)


def _check_length(base_uri: str) -> None:
    length = len(base_uri.encode())
    if length > 256:
        raise Refused("BaseURITooLong", length=length, maxLength=256)
