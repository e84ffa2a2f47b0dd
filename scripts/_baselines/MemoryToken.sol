// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";

/// @title A memory as a token: OpenZeppelin's ERC721URIStorage, and a hash for each
/// @notice What MemoryRegistry is measured against; not part of what is deployed.
/// @dev It has no grants. What comes nearest is `setApprovalForAll`: for all tokens, without an end or a key, and the
/// operator can take the tokens away. So there is nothing to rotate either.
contract MemoryToken is ERC721URIStorage {
    uint256 public tokenCount;
    mapping(uint256 tokenId => bytes32) public contentHashOf;

    error DifferentLengths();

    constructor() ERC721("Memory", "MEM") {}

    function mint(string calldata uri, bytes32 contentHash) external {
        _mintOne(uri, contentHash);
    }

    function mintMany(string[] calldata uris, bytes32[] calldata contentHashes) external {
        if (uris.length != contentHashes.length) revert DifferentLengths();
        for (uint256 i = 0; i < uris.length; i++) _mintOne(uris[i], contentHashes[i]);
    }

    /// @dev `_mint`, not `_safeMint`: what is cheaper for an account without code.
    function _mintOne(string calldata uri, bytes32 contentHash) private {
        uint256 tokenId = ++tokenCount;
        _mint(msg.sender, tokenId);
        _setTokenURI(tokenId, uri);
        contentHashOf[tokenId] = contentHash;
    }
}
