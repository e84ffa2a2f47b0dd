// SPDX-License-Identifier: MIT
pragma solidity ^0.8.34;

/// @title The record of vaults, their epochs and their grants
/// @notice A vault is one record: an owner, a version, an epoch, three hashes, a base URI and the grants lent by the
/// owner. Blobs themselves are stored elsewhere and are opaque here: a content hash is the SHA-256 of a sealed head, a
/// keyring hash that of a keyring, and the registry looks into neither.
/// @dev There is no admin, pause or upgrade. Every refusal is one of the errors below, but for arguments beyond their
/// type and counters at their end, and leaves the state as it was.
/// Every write emits exactly one event that names vault and actor, and raises the version by one, but for
/// `setRecovery`, `startRecovery` and `vetoRecovery`: they raise the attempt, so that a recovery address can't get in
/// the way of a write that names a version. `multicall` (OpenZeppelin `Multicall`) makes several calls in one
/// transaction; if one is refused, all are, with its error, or `FailedCall` where it has none.
/// Warning: put no revocation into a `multicall` with a call that names a version while another account may commit
/// first: both would be refused. Any account may send any of these calls for another that
/// signed it: `ISignedCalls`.
interface IMemoryRegistry {
    /// @notice One vault as `record` gives it.
    /// @param owner The account that alone may do whatever is said to be the owner's; 0 exactly if the vault is closed.
    /// @param version The write counter: 1 at creation, one more with every write.
    /// @param epoch The key generation: 1 at creation, one more with every rotation.
    /// @param tenure 1 at creation; a grant counts only in the tenure in which it was given.
    /// @param headLag Writes since the last head: the head's version is `version - headLag`. At 255 it stops counting,
    /// and only the log of `Created` and `Committed` tells.
    /// @param epochLag Epochs since the last head: the head is sealed under epoch `epoch - epochLag`. At 255 it stops
    /// counting. The vault is locked exactly while this is not 0.
    /// @param contentHash SHA-256 of the head blob; never 0.
    /// @param memoryRoot Root and size of the memory log (see `memoryRootFrom`); any value, 0 included.
    /// @param keyringHash SHA-256 of the keyring blob; never 0.
    /// @param baseURI What precedes the hex of a hash in a blob's URI; 256 bytes at most, may be empty, and is not
    /// checked to be UTF-8 or a URI.
    struct Record {
        address owner;
        uint32 version;
        uint32 epoch;
        uint16 tenure;
        uint8 headLag;
        uint8 epochLag;
        bytes32 contentHash;
        bytes32 memoryRoot;
        bytes32 keyringHash;
        string baseURI;
    }

    /// @notice Rights lent to an account. All zero where there is no grant.
    /// @param expiresAt Unix time in seconds; the grant is living while `block.timestamp < expiresAt`.
    /// @param rights Bits: 1 read, 2 write, 4 keys. The upper five are stored and not interpreted.
    /// @param version The vault's version that this grant produced.
    /// @param keyId The first 20 bytes of the identity of the reader's encryption key; opaque here, never 0 in a grant.
    struct Grant {
        uint40 expiresAt;
        uint8 rights;
        uint32 version;
        bytes20 keyId;
    }

    /// @notice A vault offered to a new owner. All zero where there is no offer.
    /// @param newOwner The account that may accept it.
    /// @param expiresAt Unix time in seconds; the offer can be accepted while `block.timestamp < expiresAt`.
    /// @param version The vault's version that this offer produced.
    struct Offer {
        address newOwner;
        uint40 expiresAt;
        uint32 version;
    }

    /// @notice How a vault can be recovered, and how far that is.
    /// @param account The recovery address, which may start a recovery; 0 for none.
    /// @param attempt Rises by one with every change of anything here, and with every new owner; 0 at creation
    /// and in a closed vault.
    /// @param readyAt Unix time in seconds from which the pending recovery can be finished, for 30 days; 0 if none is.
    /// @param newOwner The account that alone may finish the pending recovery; 0 if none is pending.
    struct Recovery {
        address account;
        uint32 attempt;
        uint40 readyAt;
        address newOwner;
    }

    /// @notice A vault exists from here on, at version 1, epoch 1, tenure 1, with its first head and keyring.
    /// @dev The first event of every vault, and never emitted again for it. The base URI is in state, and in the call.
    /// @param actor The owner.
    event Created(
        bytes32 indexed vaultId,
        address indexed actor,
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash
    );

    /// @notice A new head stands; the vault is not locked after it.
    /// @dev An epoch that is one more than before says that this commit rotated; no `Rotated` comes with it.
    /// @param actor Who wrote the head: the owner or a writer.
    /// @param version The version that this commit produced.
    /// @param epoch The epoch that the head is sealed under, the vault's current one.
    /// @param keyringHash The new keyring, or 0 where the old one was kept.
    event Committed(
        bytes32 indexed vaultId,
        address indexed actor,
        uint32 version,
        uint32 epoch,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash
    );

    /// @notice Rights were lent, or a living grant was raised.
    /// @dev Replaces what an earlier `Granted` of the same tenure said of this grantee. It counts until `expiresAt`, a
    /// `Revoked` of the grantee, or whatever comes next of `RevokedAll`, `Accepted`, `RecoveryFinished` and `Closed`.
    /// Never emitted while the vault is locked.
    /// @param keyringHash The new keyring, or 0 where the old one was kept.
    event Granted(
        bytes32 indexed vaultId,
        address indexed actor,
        address indexed grantee,
        uint8 rights,
        uint40 expiresAt,
        bytes20 keyId,
        uint32 version,
        bytes32 keyringHash
    );

    /// @notice A grant, living or expired, was taken back, and the epoch raised: the vault is locked until the next
    /// commit.
    event Revoked(
        bytes32 indexed vaultId, address indexed actor, address indexed grantee, uint32 version, uint32 epoch
    );

    /// @notice Every grant of earlier tenures is void for good, and the epoch raised: the vault is locked until the
    /// next commit. No `Revoked` comes with it.
    event RevokedAll(bytes32 indexed vaultId, address indexed actor, uint32 version, uint32 epoch, uint16 tenure);

    /// @notice The epoch was raised and nothing else: the vault is locked until the next commit. Grants stand.
    event Rotated(bytes32 indexed vaultId, address indexed actor, uint32 version, uint32 epoch);

    /// @notice Blobs are to be found under another base URI. Neither head nor keyring changed.
    event BaseURISet(bytes32 indexed vaultId, address indexed actor, uint32 version, string baseURI);

    /// @notice The owner offered the vault to another account. It replaces an earlier offer.
    /// @dev It counts until `expiresAt`, or the next `Offered`, `OfferCancelled`, `Accepted`, `RecoveryFinished` or
    /// `Closed`.
    event Offered(
        bytes32 indexed vaultId, address indexed actor, address indexed newOwner, uint40 expiresAt, uint32 version
    );

    /// @notice The offer, living or expired, was withdrawn.
    event OfferCancelled(bytes32 indexed vaultId, address indexed actor, address indexed newOwner, uint32 version);

    /// @notice The vault has a new owner, who took up an offer. Grants, offer, recovery address and pending recovery of
    /// the former owner are gone, and the vault is locked until the next commit.
    /// @dev No `RevokedAll`, `RecoverySet` or `RecoveryVetoed` comes with it. The attempt rose by one.
    /// @param actor The new owner.
    event Accepted(
        bytes32 indexed vaultId,
        address indexed actor,
        address indexed formerOwner,
        uint32 version,
        uint32 epoch,
        uint16 tenure
    );

    /// @notice The vault has another recovery address, or none (0). A pending recovery is gone.
    event RecoverySet(bytes32 indexed vaultId, address indexed actor, address indexed recovery, uint32 attempt);

    /// @notice The recovery address wants the vault to go to a new owner. It replaces a pending recovery.
    /// @dev An owner who still has the key can veto it until it is finished, which may be at `readyAt`, and should
    /// watch for this event.
    event RecoveryStarted(
        bytes32 indexed vaultId, address indexed actor, address indexed newOwner, uint40 readyAt, uint32 attempt
    );

    /// @notice The owner stopped the pending recovery. The recovery address stands and may start again.
    event RecoveryVetoed(bytes32 indexed vaultId, address indexed actor, address indexed newOwner, uint32 attempt);

    /// @notice The vault has a new owner, by recovery. Everything else is as for `Accepted`.
    /// @param actor The new owner.
    event RecoveryFinished(
        bytes32 indexed vaultId,
        address indexed actor,
        address indexed formerOwner,
        uint32 version,
        uint32 epoch,
        uint16 tenure
    );

    /// @notice The vault is closed. The last event of a vault.
    /// @param successor What the owner named as its successor: the id of a vault, here or elsewhere, or 0.
    event Closed(bytes32 indexed vaultId, address indexed actor, uint32 version, bytes32 successor);

    error UnknownVault(bytes32 vaultId);
    /// @notice The vault can only be read: its owner closed it for good.
    error VaultClosed(bytes32 vaultId);
    error NotOwner(bytes32 vaultId, address account);
    /// @notice The account is neither the owner nor holds a living grant with *write*.
    error NotWriter(bytes32 vaultId, address account);
    /// @notice The account may write but not bring a keyring: it is neither the owner nor holds *keys*.
    error NotKeyBearer(bytes32 vaultId, address account);
    error WrongSalt(uint256 given, uint256 expected);
    /// @notice Another write came in between: read the record again and build on `current`.
    error WrongVersion(bytes32 vaultId, uint32 expected, uint32 current);
    /// @notice A commit names `current` or `current + 1`; `rotateFor` names `current`.
    error WrongEpoch(bytes32 vaultId, uint32 given, uint32 current);
    /// @notice No grant before a commit has brought a keyring for `epoch`.
    error VaultLocked(bytes32 vaultId, uint32 epoch);
    /// @notice A commit to `epoch` has to bring a keyring other than the stored one, and brought none or the same.
    error KeyringRequired(bytes32 vaultId, uint32 epoch);
    /// @notice The keyring is the stored one; 0 keeps it.
    error KeyringUnchanged(bytes32 vaultId, bytes32 keyringHash);
    error ContentUnchanged(bytes32 vaultId, bytes32 contentHash);
    error ZeroContentHash();
    error ZeroKeyringHash();
    error ZeroGrantee();
    error GranteeIsOwner(bytes32 vaultId, address grantee);
    error NoRights();
    error ZeroKeyId();
    error ExpiryNotInFuture(uint256 expiresAt, uint256 currentTime);
    /// @notice The expiry is beyond what is stored of one, 40 bits.
    error ExpiryTooLate(uint256 expiresAt, uint256 latest);
    /// @notice A living grant was given fewer rights, an earlier expiry or another key: revoke it instead.
    error GrantLowered(bytes32 vaultId, address grantee);
    error GrantUnchanged(bytes32 vaultId, address grantee);
    /// @notice Nothing is stored for the grantee in the current tenure, not even an expired grant.
    error NoGrant(bytes32 vaultId, address grantee);
    error BaseURITooLong(uint256 length, uint256 maxLength);
    error BaseURIUnchanged(bytes32 vaultId);
    error ZeroNewOwner();
    error NewOwnerIsOwner(bytes32 vaultId, address newOwner);
    error OfferUnchanged(bytes32 vaultId);
    /// @notice No offer is stored, not even an expired one.
    error NoOffer(bytes32 vaultId);
    /// @notice The vault is not offered to this account.
    error NotOffered(bytes32 vaultId, address account);
    error OfferExpired(bytes32 vaultId, uint40 expiresAt, uint256 currentTime);
    error RecoveryIsOwner(bytes32 vaultId, address recovery);
    error RecoveryUnchanged(bytes32 vaultId);
    /// @notice The account is not the vault's recovery address.
    error NotRecovery(bytes32 vaultId, address account);
    error NoRecoveryPending(bytes32 vaultId);
    /// @notice No recovery is pending that names this account as the new owner.
    error NotNewOwner(bytes32 vaultId, address account);
    error RecoveryNotReady(bytes32 vaultId, uint40 readyAt, uint256 currentTime);
    error RecoveryLapsed(bytes32 vaultId, uint256 lapsedAt, uint256 currentTime);
    error SuccessorIsVault(bytes32 vaultId);
    /// @notice The vault is in tenure 65,535. There is none after it, since to begin anew would revive old grants.
    error LastTenure(bytes32 vaultId);
    /// @notice The index is not below the size, or a proof for them does not have this length.
    error MalformedProof(uint64 index, uint64 size, uint256 length);

    /// @notice Creates a vault that the caller owns.
    /// @dev Checked in this order: `WrongSalt`, `ZeroContentHash`, `ZeroKeyringHash`, `BaseURITooLong`.
    /// @param salt One more than the number of vaults that the caller has created; the first is 1.
    /// @param contentHash SHA-256 of the first head; not 0.
    /// @param memoryRoot Root and size of the memory log.
    /// @param keyringHash SHA-256 of the first keyring; not 0.
    /// @param baseURI What precedes the hex of a hash in a blob's URI; 256 bytes at most, may be empty.
    /// @return vaultId `vaultIdOf(caller, salt)`.
    function create(
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        string calldata baseURI
    ) external returns (bytes32 vaultId);

    /// @notice Puts a new head in place of the old one, for any number of memories, and with it a new keyring if named.
    /// The owner may, and any account with a living grant that has *write*; a new keyring takes *keys* as well.
    /// @dev Naming the next epoch rotates. A commit that rotates, or ends a lock, has to bring a new keyring.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotWriter`, `NotKeyBearer`, `WrongVersion`, `WrongEpoch`,
    /// `ZeroContentHash`, `ContentUnchanged`, `KeyringRequired`, `KeyringUnchanged`.
    /// Warning: new is judged against the stored keyring only; one from before that is taken.
    /// @param expectedVersion The version that this commit builds on, the vault's current one.
    /// @param epoch The epoch that the head is sealed under: the vault's current one or the next.
    /// @param contentHash SHA-256 of the head; neither 0 nor the stored one.
    /// @param memoryRoot Root and size of the memory log; may be the stored one.
    /// @param keyringHash SHA-256 of a new keyring, or 0 to keep the stored one.
    function commit(
        bytes32 vaultId,
        uint32 expectedVersion,
        uint32 epoch,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash
    ) external;

    /// @notice Lends rights to an account until a time. Owner only, and not while the vault is locked.
    /// @dev A living grant can only be raised: all its rights and perhaps more, its expiry or later, its key. An
    /// expired one may be replaced by any. The head stays; a keyring that the reader can open may come with the grant.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `WrongVersion`, `VaultLocked`, `ZeroGrantee`,
    /// `GranteeIsOwner`, `NoRights`, `ZeroKeyId`, `ExpiryNotInFuture`, `ExpiryTooLate`, `GrantLowered`, `GrantUnchanged`,
    /// `KeyringUnchanged`.
    /// Warning: *write* lets the grantee replace the head, and *keys* the keyring, with rubbish too.
    /// @param expectedVersion The vault's current version.
    /// @param grantee The account; neither zero nor the owner.
    /// @param rights Bits: 1 read, 2 write, 4 keys; not 0.
    /// @param expiresAt Unix time in seconds, after the block's.
    /// @param keyId Identity of the reader's encryption key; not 0.
    /// @param keyringHash SHA-256 of a new keyring, or 0 to keep the stored one.
    function grant(
        bytes32 vaultId,
        uint32 expectedVersion,
        address grantee,
        uint8 rights,
        uint256 expiresAt,
        bytes20 keyId,
        bytes32 keyringHash
    ) external;

    /// @notice Takes back a grant, living or expired, raises the epoch and locks the vault. Owner only.
    /// @dev Names neither version nor blob, so that nobody can get in its way. Costs the same for any number of
    /// readers.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `NoGrant`.
    /// Warning: what was sealed until now stays open to whoever could open it.
    function revoke(bytes32 vaultId, address grantee) external;

    /// @notice Takes back every grant at once, raises tenure and epoch and locks the vault. Owner only.
    /// @dev Not refused where there is no grant: the registry does not count them.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `LastTenure`; in the last tenure `revoke` and
    /// `rotate` still work.
    function revokeAll(bytes32 vaultId) external;

    /// @notice Raises the epoch and locks the vault. Owner only. Grants stand.
    function rotate(bytes32 vaultId) external;

    /// @notice Says where blobs are to be found from now on. Owner only.
    /// @dev Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `WrongVersion`, `BaseURITooLong`,
    /// `BaseURIUnchanged`.
    /// @param expectedVersion The vault's current version.
    /// @param baseURI 256 bytes at most, other than the stored one, may be empty.
    function setBaseURI(bytes32 vaultId, uint32 expectedVersion, string calldata baseURI) external;

    /// @notice Offers the vault to a new owner until a time, in place of an earlier offer. Owner only.
    /// @dev In the last tenure nothing can come of it.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `WrongVersion`, `ZeroNewOwner`,
    /// `NewOwnerIsOwner`, `ExpiryNotInFuture`, `ExpiryTooLate`, `OfferUnchanged`.
    /// @param expectedVersion The vault's current version.
    /// @param newOwner The account that may accept; neither zero nor the owner.
    /// @param expiresAt Unix time in seconds, after the block's.
    function offer(bytes32 vaultId, uint32 expectedVersion, address newOwner, uint256 expiresAt) external;

    /// @notice Withdraws the offer, living or expired. Owner only.
    /// @dev Names no version, so that nobody can get in its way but by accepting.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `NoOffer`.
    function cancelOffer(bytes32 vaultId) external;

    /// @notice Makes the caller, to whom the vault is offered, its owner. Raises tenure and epoch, clears offer,
    /// recovery address and pending recovery, and locks the vault.
    /// @dev The vault is listed under `acceptedVault` of the caller.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOffered`, `OfferExpired`, `LastTenure`.
    /// Warning: head and keyring are still the former owner's, and so is every key to them. Until then the owner may
    /// change everything, the tenure and the offer's end too: read the record first, and act on what it says afterwards.
    function accept(bytes32 vaultId) external;

    /// @notice Names the account that may start a recovery, or none. Ends a pending recovery. Owner only.
    /// @dev Names no version and leaves the head alone, as all verbs of recovery but `finishRecovery`. In the last
    /// tenure nothing can come of it.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `RecoveryIsOwner`, `RecoveryUnchanged`.
    /// Warning: the recovery address can take the vault from an owner who does not veto within 21 days.
    /// @param recovery The account, other than the stored one and the owner; 0 for none.
    function setRecovery(bytes32 vaultId, address recovery) external;

    /// @notice Starts moving the vault to a new owner, or starts anew, for the same one or another. Recovery address
    /// only.
    /// @dev Every start puts `readyAt` 21 days after the block. The recovery address can do nothing else.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotRecovery`, `ZeroNewOwner`, `NewOwnerIsOwner`.
    /// @param newOwner The account that may finish; neither zero nor the owner.
    function startRecovery(bytes32 vaultId, address newOwner) external;

    /// @notice Stops the pending recovery, at any time until it is finished. Owner only.
    /// @dev Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `NoRecoveryPending`.
    function vetoRecovery(bytes32 vaultId) external;

    /// @notice Makes the caller, for whom a recovery is pending, the owner, with all that `accept` does.
    /// @dev From `readyAt` on, for 30 days.
    /// Checked in this order: `UnknownVault`, `VaultClosed`, `NotNewOwner`, `RecoveryNotReady`, `RecoveryLapsed`,
    /// `LastTenure`.
    function finishRecovery(bytes32 vaultId) external;

    /// @notice Closes the vault for good: from here on it has no owner, no call changes it, and nobody can read or
    /// write by it. Its record stays, and its id is never used again. Owner only.
    /// @dev Checked in this order: `UnknownVault`, `VaultClosed`, `NotOwner`, `WrongVersion`, `SuccessorIsVault`.
    /// @param expectedVersion The vault's current version.
    /// @param successor The id of the vault that takes its place, here or elsewhere, or 0; not checked to exist.
    function close(bytes32 vaultId, uint32 expectedVersion, bytes32 successor) external;

    /// @notice The whole record of a vault, closed or not. Reverts with `UnknownVault`.
    function record(bytes32 vaultId) external view returns (Record memory);

    /// @notice The grant stored for an account in the current tenure, living or expired. Reverts with `UnknownVault`.
    /// Warning: compare `expiresAt` with the time of the block, or ask `canRead`, which knows of closed vaults too.
    function grantOf(bytes32 vaultId, address grantee) external view returns (Grant memory);

    /// @notice The vault's offer, living or expired. Reverts with `UnknownVault`.
    function offerOf(bytes32 vaultId) external view returns (Offer memory);

    /// @notice The vault's recovery address and pending recovery. Reverts with `UnknownVault`.
    function recoveryOf(bytes32 vaultId) external view returns (Recovery memory);

    /// @notice How many times an account became the owner of another's vault, by `accept` or `finishRecovery`.
    function acceptedCount(address newOwner) external view returns (uint256);

    /// @notice The vault of which an account became the owner then; 0 above `acceptedCount`.
    /// Warning: it may have got another owner since, and may be listed again: compare the owner in its record.
    /// @param number 1 for the first time, up to `acceptedCount`.
    function acceptedVault(address newOwner, uint256 number) external view returns (bytes32);

    /// @notice How many vaults an account has created; their salts are 1 up to this number.
    function vaultCount(address firstOwner) external view returns (uint256);

    /// @notice `keccak256(abi.encode(block.chainid, registry, firstOwner, salt))`, whether or not the vault exists.
    /// Warning: where a chain split and took another id, vaults from before keep theirs.
    function vaultIdOf(address firstOwner, uint256 salt) external view returns (bytes32);

    /// @notice The base URI and the content hash in 64 lower-case hex digits. Reverts with `UnknownVault`.
    /// Warning: the URI is the owner's choice and can name any host. Compare what comes from it with the hash.
    function contentURI(bytes32 vaultId) external view returns (string memory);

    /// @notice The base URI and the keyring hash in 64 lower-case hex digits. Reverts with `UnknownVault`.
    /// Warning: as for `contentURI`.
    function keyringURI(bytes32 vaultId) external view returns (string memory);

    /// @notice Whether an account is the owner or holds a living grant with *read*. Never reverts: false for the zero
    /// address and for a vault that does not exist or is closed. A locked vault answers as any other.
    /// Warning: says what the owner allowed, not who has a key.
    function canRead(bytes32 vaultId, address account) external view returns (bool);

    /// @notice Whether an account is the owner or holds a living grant with *write*. Never reverts, as `canRead`.
    function canWrite(bytes32 vaultId, address account) external view returns (bool);

    /// @notice The memory root that a log entry and its inclusion proof amount to.
    /// @dev RFC 9162, section 2.1.3.2, with keccak256: a leaf is `H(0x00, entry)`, a node `H(0x01, left, right)`, and
    /// the memory root `H(0x02, root, size as 8 bytes, big-endian)`. Reverts with `MalformedProof`.
    /// @param leaf The log's 32-byte entry, a salted commitment to one memory (not yet hashed as a leaf).
    /// @param index The entry's place in the log, from 0.
    /// @param size The number of entries in the log, above `index`.
    /// @param proof The sibling hashes from the leaf upwards, exactly as many as index and size ask for.
    function memoryRootFrom(bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        external
        pure
        returns (bytes32);

    /// @notice Whether the vault's memory log, as of its last commit, has this entry. Reverts with `UnknownVault`, and
    /// with `MalformedProof` for a proof that could be none of any log: false is said of well-formed proofs only.
    /// @dev Parameters as for `memoryRootFrom`.
    /// Warning: the root is the word of the owner or a writer; the registry checks neither it nor that the log only grows.
    function provesMemory(bytes32 vaultId, bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice The version of this contract, as in "1.0.0".
    function version() external pure returns (string memory);
}
