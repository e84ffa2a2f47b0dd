// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IKeyRegistry} from "./interfaces/IKeyRegistry.sol";

/// @title KeyRegistry
/// @notice The reference for every function, event and error is `IKeyRegistry`.
contract KeyRegistry is IKeyRegistry {
    uint256 private constant KEY_LENGTH = 1216;

    mapping(address account => Key) private _keys;

    /// @inheritdoc IKeyRegistry
    function register(bytes calldata publicKey, uint256 expiresAt) external returns (bytes32 keyId) {
        if (publicKey.length != KEY_LENGTH) revert WrongKeyLength(publicKey.length, KEY_LENGTH);
        if (expiresAt <= block.timestamp) revert ExpiryNotInFuture(expiresAt, block.timestamp);
        if (expiresAt > type(uint40).max) revert ExpiryTooLate(expiresAt, type(uint40).max);
        keyId = sha256(publicKey);
        Key storage held = _keys[msg.sender];
        if (keyId == held.keyId && expiresAt == held.expiresAt) revert KeyUnchanged(msg.sender, keyId);

        // Safety: no chain has 2^64 blocks.
        _keys[msg.sender] = Key({keyId: keyId, blockNumber: uint64(block.number), expiresAt: uint40(expiresAt)});
        emit Registered(msg.sender, keyId, uint40(expiresAt), publicKey);
    }

    /// @inheritdoc IKeyRegistry
    function withdraw() external {
        bytes32 keyId = _keys[msg.sender].keyId;
        // slither-disable-next-line incorrect-equality
        if (keyId == 0) revert NoKey(msg.sender);

        delete _keys[msg.sender];
        emit Withdrawn(msg.sender, keyId);
    }

    /// @inheritdoc IKeyRegistry
    function keyOf(address account) external view returns (Key memory) {
        return _keys[account];
    }
}
