// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AnyState} from "./AnyState.sol";
import {machine, symbolic} from "./Cheats.sol";

/// @dev Rules that are wrong: a run that finds no counterexample to each of them proves nothing.
contract Controls is AnyState {
    /// @dev The counterexamples have to name every function, so that no rule holds because a call can't be made.
    function refute_no_call_succeeds() public {
        Call memory call = _anyCall();
        _assumeWellFormed(_vault(call.vaultId));
        machine.assume(symbolic.createUint(32, "selector") == uint32(call.selector));
        assert(!_send(call));
    }

    function refute_a_rotation_keeps_the_epoch(bytes32 vaultId, address sender) public {
        uint256 before = uint32(_head(vaultId) >> 192);
        machine.prank(sender);
        registry.rotate(vaultId);
        assert(uint32(_head(vaultId) >> 192) == before);
    }

    function refute_no_grant_reads(bytes32 vaultId, address account) public view {
        machine.assume(account != address(uint160(_head(vaultId))));
        assert(!registry.canRead(vaultId, account));
    }

    function refute_whoever_revokes_succeeds(bytes32 vaultId, address sender) public {
        machine.prank(sender);
        (bool done,) = address(registry).call(abi.encodeCall(registry.revoke, (vaultId, anyGrantee)));
        assert(done);
    }
}
