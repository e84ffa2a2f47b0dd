// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Head, firstHead} from "./Head.sol";
import {IMemoryRegistry} from "./interfaces/IMemoryRegistry.sol";

/// @dev The storage of the registry and every change of it, one internal writer a change. An account that is handed to
/// a writer is the sender of the call or has signed it.
abstract contract Vaults is IMemoryRegistry {
    struct Vault {
        Head head;
        bytes32 contentHash;
        bytes32 memoryRoot;
        bytes32 keyringHash;
        string baseURI;
    }

    uint8 internal constant READ = 1;
    uint8 internal constant WRITE = 2;
    uint8 internal constant KEYS = 4;

    uint256 private constant MAX_BASE_URI_LENGTH = 256;

    uint256 private constant RECOVERY_DELAY = 21 days;
    uint256 private constant RECOVERY_WINDOW = 30 days;

    mapping(bytes32 vaultId => Vault) internal _vaults;

    /// @dev Keyed by tenure so that a new tenure voids all grants without touching them.
    mapping(bytes32 vaultId => mapping(uint16 tenure => mapping(address grantee => Grant))) internal _grants;

    /// @inheritdoc IMemoryRegistry
    mapping(address firstOwner => uint256) public vaultCount;

    mapping(bytes32 vaultId => Offer) internal _offers;
    mapping(bytes32 vaultId => Recovery) internal _recoveries;

    /// @inheritdoc IMemoryRegistry
    mapping(address newOwner => uint256) public acceptedCount;

    /// @inheritdoc IMemoryRegistry
    mapping(address newOwner => mapping(uint256 number => bytes32 vaultId)) public acceptedVault;

    /// @inheritdoc IMemoryRegistry
    function vaultIdOf(address firstOwner, uint256 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), firstOwner, salt));
    }

    function _create(
        address account,
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        string calldata baseURI
    ) internal returns (bytes32 vaultId) {
        uint256 expectedSalt = vaultCount[account] + 1;
        if (salt != expectedSalt) revert WrongSalt(salt, expectedSalt);
        if (contentHash == 0) revert ZeroContentHash();
        if (keyringHash == 0) revert ZeroKeyringHash();
        _checkLength(baseURI);

        vaultId = vaultIdOf(account, salt);
        vaultCount[account] = salt;
        _vaults[vaultId] = Vault({
            head: firstHead(account),
            contentHash: contentHash,
            memoryRoot: memoryRoot,
            keyringHash: keyringHash,
            baseURI: baseURI
        });
        emit Created(vaultId, account, salt, contentHash, memoryRoot, keyringHash);
    }

    function _commit(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        uint32 epoch,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash
    ) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkWriter(vaultId, head, account, keyringHash);
        _checkVersion(vaultId, expectedVersion, head.version());
        bool rotates = epoch != head.epoch();
        if (rotates && epoch != uint256(head.epoch()) + 1) revert WrongEpoch(vaultId, epoch, head.epoch());
        if (contentHash == 0) revert ZeroContentHash();
        if (contentHash == vault.contentHash) revert ContentUnchanged(vaultId, contentHash);
        bool keepsKeyring = keyringHash == 0;
        bool sameKeyring = !keepsKeyring && keyringHash == vault.keyringHash;
        bool needsKeyring = rotates || head.isLocked();
        if (needsKeyring && (keepsKeyring || sameKeyring)) revert KeyringRequired(vaultId, epoch);
        if (sameKeyring) revert KeyringUnchanged(vaultId, keyringHash);

        head = head.afterCommit(epoch);
        vault.head = head;
        vault.contentHash = contentHash;
        vault.memoryRoot = memoryRoot;
        if (!keepsKeyring) vault.keyringHash = keyringHash;
        emit Committed(vaultId, account, head.version(), epoch, contentHash, memoryRoot, keyringHash);
    }

    // slither-disable-next-line cyclomatic-complexity
    function _grant(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        address grantee,
        uint8 rights,
        uint256 expiresAt,
        bytes20 keyId,
        bytes32 keyringHash
    ) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        _checkVersion(vaultId, expectedVersion, head.version());
        if (head.isLocked()) revert VaultLocked(vaultId, head.epoch());
        if (grantee == address(0)) revert ZeroGrantee();
        if (grantee == head.owner()) revert GranteeIsOwner(vaultId, grantee);
        if (rights == 0) revert NoRights();
        if (keyId == 0) revert ZeroKeyId();
        uint40 ends = _checkExpiry(expiresAt);
        mapping(address grantee => Grant) storage grants = _grants[vaultId][head.tenure()];
        Grant storage held = grants[grantee];
        if (block.timestamp < held.expiresAt) {
            bool keepsRights = rights & held.rights == held.rights;
            if (!keepsRights || ends < held.expiresAt || keyId != held.keyId) {
                revert GrantLowered(vaultId, grantee);
            }
            if (rights == held.rights && ends == held.expiresAt) revert GrantUnchanged(vaultId, grantee);
        }
        bool keepsKeyring = keyringHash == 0;
        if (!keepsKeyring && keyringHash == vault.keyringHash) revert KeyringUnchanged(vaultId, keyringHash);

        head = head.afterWrite();
        vault.head = head;
        grants[grantee] = Grant({expiresAt: ends, rights: rights, version: head.version(), keyId: keyId});
        if (!keepsKeyring) vault.keyringHash = keyringHash;
        emit Granted(vaultId, account, grantee, rights, ends, keyId, head.version(), keyringHash);
    }

    function _revoke(address account, bytes32 vaultId, address grantee) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        mapping(address grantee => Grant) storage grants = _grants[vaultId][head.tenure()];
        if (grants[grantee].rights == 0) revert NoGrant(vaultId, grantee);

        delete grants[grantee];
        head = head.afterRotation();
        vault.head = head;
        emit Revoked(vaultId, account, grantee, head.version(), head.epoch());
    }

    function _revokeAll(address account, bytes32 vaultId) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        _checkTenure(vaultId, head);

        head = head.afterRevokeAll();
        vault.head = head;
        emit RevokedAll(vaultId, account, head.version(), head.epoch(), head.tenure());
    }

    function _rotate(address account, bytes32 vaultId) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        head = head.afterRotation();
        vault.head = head;
        emit Rotated(vaultId, account, head.version(), head.epoch());
    }

    function _setBaseURI(address account, bytes32 vaultId, uint32 expectedVersion, string calldata baseURI) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        _checkVersion(vaultId, expectedVersion, head.version());
        _checkLength(baseURI);
        if (keccak256(bytes(baseURI)) == keccak256(bytes(vault.baseURI))) revert BaseURIUnchanged(vaultId);

        head = head.afterWrite();
        vault.head = head;
        vault.baseURI = baseURI;
        emit BaseURISet(vaultId, account, head.version(), baseURI);
    }

    function _offer(address account, bytes32 vaultId, uint32 expectedVersion, address newOwner, uint256 expiresAt)
        internal
    {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        _checkVersion(vaultId, expectedVersion, head.version());
        _checkNewOwner(vaultId, head, newOwner);
        uint40 ends = _checkExpiry(expiresAt);
        Offer storage held = _offers[vaultId];
        if (newOwner == held.newOwner && ends == held.expiresAt) revert OfferUnchanged(vaultId);

        head = head.afterWrite();
        vault.head = head;
        _offers[vaultId] = Offer({newOwner: newOwner, expiresAt: ends, version: head.version()});
        emit Offered(vaultId, account, newOwner, ends, head.version());
    }

    function _cancelOffer(address account, bytes32 vaultId) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        address newOwner = _offers[vaultId].newOwner;
        if (newOwner == address(0)) revert NoOffer(vaultId);

        delete _offers[vaultId];
        head = head.afterWrite();
        vault.head = head;
        emit OfferCancelled(vaultId, account, newOwner, head.version());
    }

    function _accept(address account, bytes32 vaultId) internal {
        Head head = _vaults[vaultId].head;
        _checkOffered(vaultId, head, account);
        uint40 expiresAt = _offers[vaultId].expiresAt;
        if (block.timestamp >= expiresAt) revert OfferExpired(vaultId, expiresAt, block.timestamp);

        address formerOwner = head.owner();
        head = _handOver(vaultId, head, account);
        emit Accepted(vaultId, account, formerOwner, head.version(), head.epoch(), head.tenure());
    }

    function _setRecovery(address account, bytes32 vaultId, address recovery) internal {
        Head head = _vaults[vaultId].head;
        _checkOwner(vaultId, head, account);
        if (recovery == head.owner()) revert RecoveryIsOwner(vaultId, recovery);
        Recovery storage held = _recoveries[vaultId];
        if (recovery == held.account) revert RecoveryUnchanged(vaultId);

        uint32 attempt = _newAttempt(held, recovery, address(0), 0);
        emit RecoverySet(vaultId, account, recovery, attempt);
    }

    function _startRecovery(address account, bytes32 vaultId, address newOwner) internal {
        Head head = _vaults[vaultId].head;
        _checkRecovery(vaultId, head, account);
        _checkNewOwner(vaultId, head, newOwner);

        // Safety: a time in seconds, which 40 bits hold for 30,000 years.
        uint40 readyAt = uint40(block.timestamp + RECOVERY_DELAY);
        uint32 attempt = _newAttempt(_recoveries[vaultId], account, newOwner, readyAt);
        emit RecoveryStarted(vaultId, account, newOwner, readyAt, attempt);
    }

    function _vetoRecovery(address account, bytes32 vaultId) internal {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        Recovery storage held = _recoveries[vaultId];
        address newOwner = held.newOwner;
        if (newOwner == address(0)) revert NoRecoveryPending(vaultId);

        uint32 attempt = _newAttempt(held, held.account, address(0), 0);
        emit RecoveryVetoed(vaultId, account, newOwner, attempt);
    }

    function _finishRecovery(address account, bytes32 vaultId) internal {
        Head head = _vaults[vaultId].head;
        _checkRecovering(vaultId, head, account);
        uint40 readyAt = _recoveries[vaultId].readyAt;
        if (block.timestamp < readyAt) revert RecoveryNotReady(vaultId, readyAt, block.timestamp);
        uint256 lapsesAt = readyAt + RECOVERY_WINDOW;
        if (block.timestamp >= lapsesAt) revert RecoveryLapsed(vaultId, lapsesAt, block.timestamp);

        address formerOwner = head.owner();
        head = _handOver(vaultId, head, account);
        emit RecoveryFinished(vaultId, account, formerOwner, head.version(), head.epoch(), head.tenure());
    }

    function _close(address account, bytes32 vaultId, uint32 expectedVersion, bytes32 successor) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        _checkVersion(vaultId, expectedVersion, head.version());
        if (successor == vaultId) revert SuccessorIsVault(vaultId);

        head = head.afterClose();
        vault.head = head;
        delete _offers[vaultId];
        delete _recoveries[vaultId];
        emit Closed(vaultId, account, head.version(), successor);
    }

    /// @dev The one way in which a vault gets another owner. Nothing that the former one prepared outlives it.
    function _handOver(bytes32 vaultId, Head head, address newOwner) private returns (Head) {
        _checkTenure(vaultId, head);

        head = head.afterHandOver(newOwner);
        _vaults[vaultId].head = head;
        delete _offers[vaultId];
        _newAttempt(_recoveries[vaultId], address(0), address(0), 0);
        uint256 number = acceptedCount[newOwner] + 1;
        acceptedCount[newOwner] = number;
        acceptedVault[newOwner][number] = vaultId;
        return head;
    }

    /// @dev The one way in which a recovery changes in an open vault, so that the attempt rises with every change.
    function _newAttempt(Recovery storage held, address account, address newOwner, uint40 readyAt)
        private
        returns (uint32 attempt)
    {
        attempt = held.attempt + 1;
        held.account = account;
        held.attempt = attempt;
        held.readyAt = readyAt;
        held.newOwner = newOwner;
    }

    /// @dev All rights for the owner, and none in a vault without one: it is closed, or does not exist. So the zero
    /// address has none either.
    function _rightsOf(bytes32 vaultId, Head head, address account) internal view returns (uint8) {
        if (head.owner() == address(0)) return 0;
        if (account == head.owner()) return type(uint8).max;
        Grant storage held = _grants[vaultId][head.tenure()][account];
        return block.timestamp < held.expiresAt ? held.rights : 0;
    }

    function _checkExists(bytes32 vaultId, Head head) internal pure {
        if (head.version() == 0) revert UnknownVault(vaultId);
    }

    function _checkOpen(bytes32 vaultId, Head head) private pure {
        if (head.owner() == address(0)) {
            _checkExists(vaultId, head);
            revert VaultClosed(vaultId);
        }
    }

    function _checkOwner(bytes32 vaultId, Head head, address account) internal pure {
        _checkOpen(vaultId, head);
        if (account != head.owner()) revert NotOwner(vaultId, account);
    }

    function _checkWriter(bytes32 vaultId, Head head, address account, bytes32 keyringHash) internal view {
        _checkOpen(vaultId, head);
        uint8 rights = _rightsOf(vaultId, head, account);
        if (rights & WRITE == 0) revert NotWriter(vaultId, account);
        if (keyringHash != 0 && rights & KEYS == 0) revert NotKeyBearer(vaultId, account);
    }

    function _checkOffered(bytes32 vaultId, Head head, address account) internal view {
        _checkOpen(vaultId, head);
        if (account != _offers[vaultId].newOwner) revert NotOffered(vaultId, account);
    }

    function _checkRecovery(bytes32 vaultId, Head head, address account) internal view {
        _checkOpen(vaultId, head);
        // Where nobody is named, account 0 is: no key has it, but a chain may let its own calls come from there.
        if (account != _recoveries[vaultId].account || account == address(0)) revert NotRecovery(vaultId, account);
    }

    function _checkRecovering(bytes32 vaultId, Head head, address account) internal view {
        _checkOpen(vaultId, head);
        if (account != _recoveries[vaultId].newOwner) revert NotNewOwner(vaultId, account);
    }

    function _checkNewOwner(bytes32 vaultId, Head head, address newOwner) private pure {
        if (newOwner == address(0)) revert ZeroNewOwner();
        if (newOwner == head.owner()) revert NewOwnerIsOwner(vaultId, newOwner);
    }

    function _checkVersion(bytes32 vaultId, uint32 expected, uint32 current) private pure {
        if (expected != current) revert WrongVersion(vaultId, expected, current);
    }

    function _checkTenure(bytes32 vaultId, Head head) private pure {
        if (head.tenure() == type(uint16).max) revert LastTenure(vaultId);
    }

    /// The time, of which 40 bits are stored.
    function _checkExpiry(uint256 expiresAt) private view returns (uint40) {
        if (expiresAt <= block.timestamp) revert ExpiryNotInFuture(expiresAt, block.timestamp);
        if (expiresAt > type(uint40).max) revert ExpiryTooLate(expiresAt, type(uint40).max);
        return uint40(expiresAt);
    }

    function _checkLength(string calldata baseURI) private pure {
        uint256 length = bytes(baseURI).length;
        if (length > MAX_BASE_URI_LENGTH) revert BaseURITooLong(length, MAX_BASE_URI_LENGTH);
    }
}
