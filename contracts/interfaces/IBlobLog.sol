// SPDX-License-Identifier: MIT
pragma solidity ^0.8.34;

/// @title Blobs in the log of a chain
/// @notice For a blob of which only the SHA-256 is known, state has the block and that block's log the bytes.
/// @dev Anyone stores anything, so what comes from the log is to be compared with its hash like a blob from any host.
/// Warning: nodes may prune old logs. A blob is there as long as some archive has it; storing it again does not bring
/// it back.
interface IBlobLog {
    /// @notice The blob is in this log and, by the same call, its block in state. At most one for a hash.
    event Stored(bytes32 indexed contentHash, address indexed actor, bytes blob);

    error EmptyBlob();

    /// @notice Stores a blob. A known one keeps its block, and there is no second log: nobody can get in the way of a
    /// blob by storing it first.
    /// @param blob Not empty; what fits into a transaction.
    /// @return contentHash SHA-256 of the blob.
    function store(bytes calldata blob) external returns (bytes32 contentHash);

    /// @notice The number of the block in whose log the blob with this SHA-256 is; 0 if it was never stored.
    /// Warning: the number as contracts see it; on some rollups that is the parent chain's. There the log is to be
    /// searched by the hash.
    function blockOf(bytes32 contentHash) external view returns (uint256);
}
