// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev What a proof asks of Halmos: values that stand for all values of their type, and storage that stands for all.
interface Symbolic {
    function createAddress(string calldata name) external pure returns (address);
    function createBool(string calldata name) external pure returns (bool);
    function createBytes32(string calldata name) external pure returns (bytes32);
    function createUint(uint256 bits, string calldata name) external pure returns (uint256);
    function createUint256(string calldata name) external pure returns (uint256);
    /// @dev One path for each function of `target` that is not a view, with arbitrary arguments; one for calldata that
    /// names no function; one for no calldata.
    function createCalldata(address target) external pure returns (bytes memory);
    function enableSymbolicStorage(address target) external;
}

/// @dev What a proof asks of the machine.
interface Machine {
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function prank(address sender) external;
    function store(address target, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
}

Symbolic constant symbolic = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));
Machine constant machine = Machine(address(uint160(uint256(keccak256("hevm cheat code")))));
