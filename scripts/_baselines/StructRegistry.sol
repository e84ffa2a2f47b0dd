// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title A registry of memories as they are usually written: a struct with strings for each, and keys in state
/// @notice What MemoryRegistry is measured against; not part of what is deployed.
/// @dev Written to be cheap where that costs such a contract nothing: packed slots, custom errors, calldata, batches,
/// hashes as words, and a grant for all memories of an owner at once.
contract StructRegistry {
    struct Memory {
        address owner;
        uint64 createdAt;
        bytes32 contentHash;
        string uri;
    }

    struct Grant {
        uint64 expiresAt;
        bool active;
        string wrappedKey;
    }

    uint256 public memoryCount;
    mapping(uint256 id => Memory) public memories;
    mapping(address owner => mapping(address reader => Grant)) public grants;

    event Registered(uint256 indexed id, address indexed owner, string uri, bytes32 contentHash);
    event Granted(address indexed owner, address indexed reader, uint64 expiresAt);
    event Revoked(address indexed owner, address indexed reader);
    event KeyRotated(address indexed owner, uint256 readers);

    error EmptyURI();
    error ZeroContentHash();
    error ZeroReader();
    error ExpiryNotInFuture();
    error NotGranted(address reader);
    error DifferentLengths();

    function register(string calldata uri, bytes32 contentHash) external {
        _register(uri, contentHash);
    }

    function registerMany(string[] calldata uris, bytes32[] calldata contentHashes) external {
        if (uris.length != contentHashes.length) revert DifferentLengths();
        for (uint256 i = 0; i < uris.length; i++) _register(uris[i], contentHashes[i]);
    }

    function grant(address reader, uint64 expiresAt, string calldata wrappedKey) external {
        if (reader == address(0)) revert ZeroReader();
        if (expiresAt <= block.timestamp) revert ExpiryNotInFuture();
        grants[msg.sender][reader] = Grant({expiresAt: expiresAt, active: true, wrappedKey: wrappedKey});
        emit Granted(msg.sender, reader, expiresAt);
    }

    /// @dev The key stays in state and in the chain's history; only the flag falls.
    function revoke(address reader) external {
        Grant storage held = grants[msg.sender][reader];
        if (!held.active) revert NotGranted(reader);
        held.active = false;
        emit Revoked(msg.sender, reader);
    }

    /// @notice A new key for what comes next, wrapped anew for each reader who stays.
    function rotateKey(address[] calldata readers, string[] calldata wrappedKeys) external {
        if (readers.length != wrappedKeys.length) revert DifferentLengths();
        for (uint256 i = 0; i < readers.length; i++) {
            Grant storage held = grants[msg.sender][readers[i]];
            if (!held.active) revert NotGranted(readers[i]);
            held.wrappedKey = wrappedKeys[i];
        }
        emit KeyRotated(msg.sender, readers.length);
    }

    function canRead(address owner, address reader) external view returns (bool) {
        Grant storage held = grants[owner][reader];
        return held.active && block.timestamp < held.expiresAt;
    }

    function _register(string calldata uri, bytes32 contentHash) private {
        if (bytes(uri).length == 0) revert EmptyURI();
        if (contentHash == 0) revert ZeroContentHash();
        uint256 id = ++memoryCount;
        memories[id] =
            Memory({owner: msg.sender, createdAt: uint64(block.timestamp), contentHash: contentHash, uri: uri});
        emit Registered(id, msg.sender, uri, contentHash);
    }
}
