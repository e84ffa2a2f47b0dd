// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBlobLog} from "./interfaces/IBlobLog.sol";

/// @title BlobLog
/// @notice The reference for every function, event and error is `IBlobLog`.
contract BlobLog is IBlobLog {
    /// @inheritdoc IBlobLog
    mapping(bytes32 contentHash => uint256) public blockOf;

    /// @inheritdoc IBlobLog
    function store(bytes calldata blob) external returns (bytes32 contentHash) {
        if (blob.length == 0) revert EmptyBlob();
        contentHash = sha256(blob);
        if (blockOf[contentHash] != 0) return contentHash;

        blockOf[contentHash] = block.number;
        emit Stored(contentHash, msg.sender, blob);
    }
}
