// SPDX-License-Identifier: MIT
pragma solidity ^0.8.34;

/// @title The encryption key of an account, for whoever wants to grant it something
/// @notice An account registers its X-Wing public key (ML-KEM-768 and X25519, 1,216 bytes), one at a time. Only the
/// account itself does; there are no signed calls.
/// @dev The key stands in the log of `Registered`, its identity in state. Compare the two: `keyId` is the SHA-256 of the
/// key, and a `Grant` of the registry of vaults names its first 20 bytes.
interface IKeyRegistry {
    /// @notice An account's key. All zero where there is none.
    /// @param keyId SHA-256 of the public key.
    /// @param blockNumber The block whose log has the key, as contracts see it: on some rollups that is the number of
    /// the parent chain. There the log is to be searched by account and `keyId`.
    /// @param expiresAt Unix time in seconds from which the key is not to be used any more.
    struct Key {
        bytes32 keyId;
        uint64 blockNumber;
        uint40 expiresAt;
    }

    /// @notice An account has this key, in place of an earlier one.
    /// Warning: that the account registered a key does not say that it holds the private half.
    event Registered(address indexed actor, bytes32 indexed keyId, uint40 expiresAt, bytes publicKey);

    /// @notice An account has no key any more.
    event Withdrawn(address indexed actor, bytes32 indexed keyId);

    error WrongKeyLength(uint256 length, uint256 expected);
    error ExpiryNotInFuture(uint256 expiresAt, uint256 currentTime);
    /// @notice The expiry is beyond what is stored of one, 40 bits.
    error ExpiryTooLate(uint256 expiresAt, uint256 latest);
    error KeyUnchanged(address account, bytes32 keyId);
    error NoKey(address account);

    /// @notice Registers the caller's key, in place of an earlier one, or with another expiry.
    /// @dev Checked in this order: `WrongKeyLength`, `ExpiryNotInFuture`, `ExpiryTooLate`, `KeyUnchanged`.
    /// @param publicKey 1,216 bytes: the ML-KEM-768 encapsulation key and the X25519 public key; not looked into.
    /// @param expiresAt Unix time in seconds, after the block's.
    /// @return keyId SHA-256 of the public key.
    function register(bytes calldata publicKey, uint256 expiresAt) external returns (bytes32 keyId);

    /// @notice Takes back the caller's key, living or expired. Reverts with `NoKey`.
    function withdraw() external;

    /// @notice The key of an account, living or expired.
    /// Warning: compare `expiresAt` with the time of the block.
    function keyOf(address account) external view returns (Key memory);
}
