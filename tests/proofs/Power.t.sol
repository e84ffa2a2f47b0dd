// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MemoryRegistry} from "../../contracts/MemoryRegistry.sol";
import {ISignedCalls} from "../../contracts/interfaces/ISignedCalls.sol";
import {AnyState} from "./AnyState.sol";
import {machine, symbolic} from "./Cheats.sol";

/// @dev Who may change a vault, and what of it: the table of contracts/README.md for all but the owner.
contract Power is AnyState {
    function check_only_those_with_the_power_change_a_vault() public {
        Call memory call = _anyCall();
        Vault memory before = _vault(call.vaultId);
        uint256 rights = _rights(_grant(call.vaultId, before.tenure, call.actor));
        machine.assume(_send(call));
        Vault memory later = _vault(call.vaultId);

        if (_isCreate(call)) {
            assert(before.version == 0);
            assert(later.owner == call.actor);
            return;
        }
        if (_difference(before, later) == 0) return;
        assert(before.owner != address(0));
        if (call.actor == before.owner) return;
        if (_isCommit(call)) {
            assert(rights & WRITE != 0);
            if (before.keyringHash != later.keyringHash) assert(rights & KEYS != 0);
            assert((uint160(before.owner) ^ uint160(later.owner)) | (before.tenure ^ later.tenure) == 0);
            assert(_baseURIDifference(before, later) | _recoveryDifference(before, later) == 0);
            assert((before.offer ^ later.offer) | (before.grant ^ later.grant) == 0);
        } else if (_is(call, MemoryRegistry.startRecovery.selector, ISignedCalls.startRecoveryFor.selector)) {
            assert(call.actor == address(uint160(before.recovery)));
            before.recovery = later.recovery;
            before.recoveryOwner = later.recoveryOwner;
            assert(_difference(before, later) == 0);
        } else if (_is(call, MemoryRegistry.accept.selector, ISignedCalls.acceptFor.selector)) {
            assert(call.actor == address(uint160(before.offer)));
            assert(block.timestamp < _offerExpiry(before.offer));
        } else {
            assert(_is(call, MemoryRegistry.finishRecovery.selector, ISignedCalls.finishRecoveryFor.selector));
            assert(call.actor == address(uint160(before.recoveryOwner)));
            assert(block.timestamp >= _readyAt(before.recovery));
            assert(block.timestamp < _readyAt(before.recovery) + 30 days);
        }
    }
}

/// @dev The same for a call inside a `multicall`: each of many is a step by the same sender.
contract PowerInMulticall is Power {
    function _send(Call memory call) internal override returns (bool done) {
        bytes[] memory calls = new bytes[](1);
        calls[0] = call.data;
        machine.prank(call.isSigned ? symbolic.createAddress("relayer") : call.actor);
        (done,) = address(registry).call(abi.encodeCall(registry.multicall, (calls)));
    }
}
