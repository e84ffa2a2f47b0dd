// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AnyState} from "./AnyState.sol";
import {machine} from "./Cheats.sol";

/// @dev What the owner can always do, and what the registry answers whoever asks.
contract Owner is AnyState {
    function check_the_owner_can_always_revoke(bytes32 vaultId, address grantee) public {
        Vault memory before = _ownedVault(vaultId);
        machine.assume(uint8(_grant(vaultId, before.tenure, grantee) >> 40) != 0);
        machine.prank(before.owner);
        (bool done,) = address(registry).call(abi.encodeCall(registry.revoke, (vaultId, grantee)));
        assert(done);
        assert(_grant(vaultId, before.tenure, grantee) == 0);
        assert(_vault(vaultId).epoch == before.epoch + 1);
    }

    function check_the_owner_can_always_revoke_all(bytes32 vaultId) public {
        Vault memory before = _ownedVault(vaultId);
        machine.assume(before.tenure < type(uint16).max);
        machine.prank(before.owner);
        (bool done,) = address(registry).call(abi.encodeCall(registry.revokeAll, (vaultId)));
        assert(done);
        assert(_vault(vaultId).tenure == before.tenure + 1);
        assert(_vault(vaultId).epoch == before.epoch + 1);
    }

    function check_the_owner_can_always_rotate(bytes32 vaultId) public {
        Vault memory before = _ownedVault(vaultId);
        machine.prank(before.owner);
        (bool done,) = address(registry).call(abi.encodeCall(registry.rotate, (vaultId)));
        assert(done);
        assert(_vault(vaultId).epoch == before.epoch + 1);
    }

    /// @dev Void, expired and foreign grants are all that the expression leaves out.
    function check_only_owner_and_living_grants_read_and_write(bytes32 vaultId, address account) public view {
        address owner = address(uint160(_head(vaultId)));
        uint256 rights = _rights(_grant(vaultId, uint16(_head(vaultId) >> 224), account));
        if (account == owner) rights = READ | WRITE;
        if (owner == address(0)) rights = 0;
        assert(_answer(abi.encodeCall(registry.canRead, (vaultId, account))) == (rights & READ != 0));
        assert(_answer(abi.encodeCall(registry.canWrite, (vaultId, account))) == (rights & WRITE != 0));
    }

    function _ownedVault(bytes32 vaultId) private view returns (Vault memory vault) {
        vault = _vault(vaultId);
        machine.assume(vault.owner != address(0));
        machine.assume(vault.version < type(uint32).max);
        machine.assume(vault.epoch < type(uint32).max);
    }

    function _answer(bytes memory question) private view returns (bool) {
        (bool done, bytes memory answer) = address(registry).staticcall(question);
        assert(done);
        return abi.decode(answer, (bool));
    }
}
