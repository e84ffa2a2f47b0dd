// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A contract wallet with one key, as the common ones are (ERC-1271). It can make calls for its key, too.
contract KeyWallet {
    address public immutable key;

    constructor(address key_) {
        key = key_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        return signer == key ? this.isValidSignature.selector : bytes4(0xffffffff);
    }

    function execute(address target, bytes calldata data) external {
        require(msg.sender == key, "not the key");
        (bool done,) = target.call(data);
        require(done, "call failed");
    }
}
