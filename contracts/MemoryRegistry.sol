// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";

import {Head, firstHead} from "./Head.sol";
import {IMemoryRegistry} from "./interfaces/IMemoryRegistry.sol";

/// @title MemoryRegistry
/// @notice The reference for every function, event and error is `IMemoryRegistry`.
contract MemoryRegistry is IMemoryRegistry, Multicall {
    struct Vault {
        Head head;
        bytes32 contentHash;
        bytes32 memoryRoot;
        bytes32 keyringHash;
        string baseURI;
    }

    uint8 private constant READ = 1;
    uint8 private constant WRITE = 2;
    uint8 private constant KEYS = 4;

    uint256 private constant MAX_BASE_URI_LENGTH = 256;

    mapping(bytes32 vaultId => Vault) private _vaults;

    /// @dev Keyed by tenure so that a new tenure voids all grants without touching them.
    mapping(bytes32 vaultId => mapping(uint16 tenure => mapping(address grantee => Grant))) private _grants;

    /// @inheritdoc IMemoryRegistry
    mapping(address firstOwner => uint256) public vaultCount;

    /// @inheritdoc IMemoryRegistry
    function create(
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        string calldata baseURI
    ) external returns (bytes32 vaultId) {
        return _create(msg.sender, salt, contentHash, memoryRoot, keyringHash, baseURI);
    }

    /// @inheritdoc IMemoryRegistry
    function commit(
        bytes32 vaultId,
        uint32 expectedVersion,
        uint32 epoch,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash
    ) external {
        _commit(msg.sender, vaultId, expectedVersion, epoch, contentHash, memoryRoot, keyringHash);
    }

    /// @inheritdoc IMemoryRegistry
    function grant(
        bytes32 vaultId,
        uint32 expectedVersion,
        address grantee,
        uint8 rights,
        uint40 expiresAt,
        bytes20 keyId,
        bytes32 keyringHash
    ) external {
        _grant(msg.sender, vaultId, expectedVersion, grantee, rights, expiresAt, keyId, keyringHash);
    }

    /// @inheritdoc IMemoryRegistry
    function revoke(bytes32 vaultId, address grantee) external {
        _revoke(msg.sender, vaultId, grantee);
    }

    /// @inheritdoc IMemoryRegistry
    function revokeAll(bytes32 vaultId) external {
        _revokeAll(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function rotate(bytes32 vaultId) external {
        _rotate(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function setBaseURI(bytes32 vaultId, uint32 expectedVersion, string calldata baseURI) external {
        _setBaseURI(msg.sender, vaultId, expectedVersion, baseURI);
    }

    /// @inheritdoc IMemoryRegistry
    function record(bytes32 vaultId) external view returns (Record memory) {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkExists(vaultId, head);
        return Record({
            owner: head.owner(),
            version: head.version(),
            epoch: head.epoch(),
            tenure: head.tenure(),
            headLag: head.headLag(),
            epochLag: head.epochLag(),
            contentHash: vault.contentHash,
            memoryRoot: vault.memoryRoot,
            keyringHash: vault.keyringHash,
            baseURI: vault.baseURI
        });
    }

    /// @inheritdoc IMemoryRegistry
    function grantOf(bytes32 vaultId, address grantee) external view returns (Grant memory) {
        Head head = _vaults[vaultId].head;
        _checkExists(vaultId, head);
        return _grants[vaultId][head.tenure()][grantee];
    }

    /// @inheritdoc IMemoryRegistry
    function contentURI(bytes32 vaultId) external view returns (string memory) {
        Vault storage vault = _vaults[vaultId];
        _checkExists(vaultId, vault.head);
        return string.concat(vault.baseURI, _toHex(vault.contentHash));
    }

    /// @inheritdoc IMemoryRegistry
    function keyringURI(bytes32 vaultId) external view returns (string memory) {
        Vault storage vault = _vaults[vaultId];
        _checkExists(vaultId, vault.head);
        return string.concat(vault.baseURI, _toHex(vault.keyringHash));
    }

    /// @inheritdoc IMemoryRegistry
    function canRead(bytes32 vaultId, address account) external view returns (bool) {
        return _rightsOf(vaultId, _vaults[vaultId].head, account) & READ != 0;
    }

    /// @inheritdoc IMemoryRegistry
    function canWrite(bytes32 vaultId, address account) external view returns (bool) {
        return _rightsOf(vaultId, _vaults[vaultId].head, account) & WRITE != 0;
    }

    /// @inheritdoc IMemoryRegistry
    function provesMemory(bytes32 vaultId, bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        Vault storage vault = _vaults[vaultId];
        _checkExists(vaultId, vault.head);
        return memoryRootFrom(leaf, index, size, proof) == vault.memoryRoot;
    }

    /// @inheritdoc IMemoryRegistry
    function version() external pure returns (string memory) {
        return "1.0.0";
    }

    /// @inheritdoc IMemoryRegistry
    function vaultIdOf(address firstOwner, uint256 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), firstOwner, salt));
    }

    /// @inheritdoc IMemoryRegistry
    function memoryRootFrom(bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        public
        pure
        returns (bytes32)
    {
        if (index >= size) revert MalformedProof(index, size, proof.length);

        // The names of RFC 9162: fn and sn are the places, at the level reached, of this node and of the last one.
        uint64 fn = index;
        uint64 sn = size - 1;
        bytes32 node = keccak256(bytes.concat(hex"00", leaf));
        for (uint256 i = 0; i < proof.length; i++) {
            if (sn == 0) revert MalformedProof(index, size, proof.length);
            if (fn % 2 == 1 || fn == sn) {
                node = keccak256(bytes.concat(hex"01", proof[i], node));
                // The last node of a level of odd length has no sibling and moves up as it is.
                while (fn % 2 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                node = keccak256(bytes.concat(hex"01", node, proof[i]));
            }
            fn >>= 1;
            sn >>= 1;
        }
        if (sn != 0) revert MalformedProof(index, size, proof.length);

        return keccak256(bytes.concat(hex"02", node, bytes8(size)));
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
        _checkExists(vaultId, head);
        uint8 rights = _rightsOf(vaultId, head, account);
        if (rights & WRITE == 0) revert NotWriter(vaultId, account);
        if (keyringHash != 0 && rights & KEYS == 0) revert NotKeyBearer(vaultId, account);
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

    function _grant(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        address grantee,
        uint8 rights,
        uint40 expiresAt,
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
        if (expiresAt <= block.timestamp) revert ExpiryNotInFuture(expiresAt, block.timestamp);
        Grant storage held = _grants[vaultId][head.tenure()][grantee];
        if (block.timestamp < held.expiresAt) {
            bool keepsRights = rights & held.rights == held.rights;
            if (!keepsRights || expiresAt < held.expiresAt || keyId != held.keyId) {
                revert GrantLowered(vaultId, grantee);
            }
            if (rights == held.rights && expiresAt == held.expiresAt) revert GrantUnchanged(vaultId, grantee);
        }
        bool keepsKeyring = keyringHash == 0;
        if (!keepsKeyring && keyringHash == vault.keyringHash) revert KeyringUnchanged(vaultId, keyringHash);

        head = head.afterWrite();
        vault.head = head;
        _grants[vaultId][head.tenure()][grantee] =
            Grant({expiresAt: expiresAt, rights: rights, version: head.version(), keyId: keyId});
        if (!keepsKeyring) vault.keyringHash = keyringHash;
        emit Granted(vaultId, account, grantee, rights, expiresAt, keyId, head.version(), keyringHash);
    }

    function _revoke(address account, bytes32 vaultId, address grantee) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
        if (_grants[vaultId][head.tenure()][grantee].rights == 0) revert NoGrant(vaultId, grantee);

        delete _grants[vaultId][head.tenure()][grantee];
        head = head.afterRotation();
        vault.head = head;
        emit Revoked(vaultId, account, grantee, head.version(), head.epoch());
    }

    function _revokeAll(address account, bytes32 vaultId) internal {
        Vault storage vault = _vaults[vaultId];
        Head head = vault.head;
        _checkOwner(vaultId, head, account);
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

    /// @dev All rights for the owner, and none for the zero address, although it stands as the owner in the head of a
    /// vault that does not exist.
    function _rightsOf(bytes32 vaultId, Head head, address account) private view returns (uint8) {
        if (account == address(0)) return 0;
        if (account == head.owner()) return type(uint8).max;
        Grant storage held = _grants[vaultId][head.tenure()][account];
        return block.timestamp < held.expiresAt ? held.rights : 0;
    }

    function _checkExists(bytes32 vaultId, Head head) private pure {
        if (head.version() == 0) revert UnknownVault(vaultId);
    }

    function _checkOwner(bytes32 vaultId, Head head, address account) private pure {
        _checkExists(vaultId, head);
        if (account != head.owner()) revert NotOwner(vaultId, account);
    }

    function _checkVersion(bytes32 vaultId, uint32 expected, uint32 current) private pure {
        if (expected != current) revert WrongVersion(vaultId, expected, current);
    }

    function _checkLength(string calldata baseURI) private pure {
        uint256 length = bytes(baseURI).length;
        if (length > MAX_BASE_URI_LENGTH) revert BaseURITooLong(length, MAX_BASE_URI_LENGTH);
    }

    function _toHex(bytes32 word) private pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory text = new bytes(64);
        for (uint256 i = 0; i < 32; i++) {
            text[2 * i] = digits[uint8(word[i]) >> 4];
            text[2 * i + 1] = digits[uint8(word[i]) & 0x0f];
        }
        return string(text);
    }
}
