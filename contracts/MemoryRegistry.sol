// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";

import {Head} from "./Head.sol";
import {SignedCalls} from "./SignedCalls.sol";
import {IMemoryRegistry} from "./interfaces/IMemoryRegistry.sol";

/// @title MemoryRegistry
/// @notice The reference for every function, event and error is `IMemoryRegistry`, and `ISignedCalls` for signed calls.
contract MemoryRegistry is SignedCalls, Multicall {
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
        uint256 expiresAt,
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
    function offer(bytes32 vaultId, uint32 expectedVersion, address newOwner, uint256 expiresAt) external {
        _offer(msg.sender, vaultId, expectedVersion, newOwner, expiresAt);
    }

    /// @inheritdoc IMemoryRegistry
    function cancelOffer(bytes32 vaultId) external {
        _cancelOffer(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function accept(bytes32 vaultId) external {
        _accept(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function setRecovery(bytes32 vaultId, address recovery) external {
        _setRecovery(msg.sender, vaultId, recovery);
    }

    /// @inheritdoc IMemoryRegistry
    function startRecovery(bytes32 vaultId, address newOwner) external {
        _startRecovery(msg.sender, vaultId, newOwner);
    }

    /// @inheritdoc IMemoryRegistry
    function vetoRecovery(bytes32 vaultId) external {
        _vetoRecovery(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function finishRecovery(bytes32 vaultId) external {
        _finishRecovery(msg.sender, vaultId);
    }

    /// @inheritdoc IMemoryRegistry
    function close(bytes32 vaultId, uint32 expectedVersion, bytes32 successor) external {
        _close(msg.sender, vaultId, expectedVersion, successor);
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
    function offerOf(bytes32 vaultId) external view returns (Offer memory) {
        _checkExists(vaultId, _vaults[vaultId].head);
        return _offers[vaultId];
    }

    /// @inheritdoc IMemoryRegistry
    function recoveryOf(bytes32 vaultId) external view returns (Recovery memory) {
        _checkExists(vaultId, _vaults[vaultId].head);
        return _recoveries[vaultId];
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
