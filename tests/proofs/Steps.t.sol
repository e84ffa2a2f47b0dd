// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MemoryRegistry} from "../../contracts/MemoryRegistry.sol";
import {ISignedCalls} from "../../contracts/interfaces/ISignedCalls.sol";
import {AnyState} from "./AnyState.sol";
import {machine} from "./Cheats.sol";

/// @dev What one call, by anyone, can do. By the first rule a call changes no vault but the one it names; the others
/// speak of that one.
contract Steps is AnyState {
    function check_no_call_changes_another_vault(bytes32 other) public {
        Call memory call = _anyCall();
        machine.assume(other != call.vaultId);
        Vault memory before = _vault(other);
        machine.assume(_send(call));
        assert(_difference(before, _vault(other)) == 0);
    }

    function check_counters_rise_by_one_and_never_fall() public {
        (Call memory call, Vault memory before, Vault memory later) = _anyStep();
        if (_isCreate(call)) {
            assert(later.version == 1);
            assert(later.epoch == 1);
            assert(later.tenure == 1);
            assert(later.headLag | later.epochLag == 0);
            return;
        }
        if (_difference(before, later) == 0) return;
        if (_isRecoveryOnly(call)) {
            assert(_attempt(later.recovery) == _attempt(before.recovery) + 1);
            before.recovery = later.recovery;
            before.recoveryOwner = later.recoveryOwner;
            assert(_difference(before, later) == 0);
            return;
        }
        if (_namesVersion(call)) assert(uint256(_argument(call, call.isSigned ? 2 : 1)) == before.version);
        // In these sums a fall would be a panic.
        assert(later.version == before.version + 1);
        assert(later.epoch - before.epoch <= 1);
        assert(later.tenure - before.tenure <= 1);
        if (later.grant != before.grant && later.grant != 0) assert(_grantVersion(later.grant) == later.version);
        if (later.offer != before.offer && uint160(later.offer) != 0) {
            assert(_offerVersion(later.offer) == later.version);
        }
        if (
            _is(call, MemoryRegistry.accept.selector, ISignedCalls.acceptFor.selector)
                || _is(call, MemoryRegistry.finishRecovery.selector, ISignedCalls.finishRecoveryFor.selector)
        ) {
            assert(later.owner == call.actor);
            assert(later.epoch == before.epoch + 1);
            assert(later.tenure == before.tenure + 1);
            assert(later.epochLag != 0);
            assert(uint232(later.offer) | uint160(later.recovery) | _readyAt(later.recovery) == 0);
            assert(uint160(later.recoveryOwner) == 0);
            assert(_attempt(later.recovery) == _attempt(before.recovery) + 1);
        } else if (_is(call, MemoryRegistry.close.selector, ISignedCalls.closeFor.selector)) {
            assert(later.owner == address(0));
        } else {
            assert((uint160(later.owner) ^ uint160(before.owner)) | _recoveryDifference(before, later) == 0);
        }
        if (_isCommit(call)) {
            assert(later.headLag | later.epochLag == 0);
        } else {
            if (later.headLag < 255) assert(later.version - later.headLag == before.version - before.headLag);
            if (later.epochLag < 255) assert(later.epoch - later.epochLag == before.epoch - before.epochLag);
        }
    }

    /// @dev And a commit names the epoch under which it stands: none before the last revocation's.
    function check_only_a_new_keyring_ends_a_lock() public {
        (Call memory call, Vault memory before, Vault memory later) = _anyStep();
        if (_isCreate(call)) return;
        if (
            _is(call, MemoryRegistry.revoke.selector, ISignedCalls.revokeFor.selector)
                || _is(call, MemoryRegistry.revokeAll.selector, ISignedCalls.revokeAllFor.selector)
                || _is(call, MemoryRegistry.rotate.selector, ISignedCalls.rotateFor.selector)
        ) {
            assert(later.epoch == before.epoch + 1);
            assert(later.epochLag != 0);
        }
        if (_isCommit(call)) {
            assert(uint256(_argument(call, call.isSigned ? 3 : 2)) == later.epoch);
            assert(later.epoch >= before.epoch);
            assert(later.contentHash != before.contentHash);
        }
        if (before.keyringHash == later.keyringHash) {
            if (before.epochLag != 0) assert(later.epochLag != 0);
            if (before.epoch != later.epoch) assert(later.epochLag != 0);
        }
        if (before.epochLag != 0 && before.grant != later.grant) assert(later.grant == 0);
    }

    /// @dev So that what `Power` reads from storage is what the last call said: who and until when, and from when.
    function check_offer_recovery_and_grant_are_as_last_said() public {
        (Call memory call, Vault memory before, Vault memory later) = _anyStep();
        uint256 first = call.isSigned ? 2 : 1;
        uint256 named = uint256(_argument(call, first));
        if (_is(call, MemoryRegistry.grant.selector, ISignedCalls.grantFor.selector)) {
            uint256 grant = _grant(call.vaultId, before.tenure, address(uint160(uint256(_argument(call, first + 1)))));
            assert(uint8(grant >> 40) == uint256(_argument(call, first + 2)));
            assert(uint40(grant) == uint256(_argument(call, first + 3)));
            assert(uint40(grant) > block.timestamp);
        } else if (_is(call, MemoryRegistry.offer.selector, ISignedCalls.offerFor.selector)) {
            assert(uint160(later.offer) == uint256(_argument(call, first + 1)));
            assert(_offerExpiry(later.offer) == uint256(_argument(call, first + 2)));
            assert(_offerExpiry(later.offer) > block.timestamp);
        } else if (_is(call, MemoryRegistry.cancelOffer.selector, ISignedCalls.cancelOfferFor.selector)) {
            assert(uint232(later.offer) == 0);
        } else if (_is(call, MemoryRegistry.setRecovery.selector, ISignedCalls.setRecoveryFor.selector)) {
            assert(uint160(later.recovery) == named);
            assert(_readyAt(later.recovery) | uint160(later.recoveryOwner) == 0);
        } else if (_is(call, MemoryRegistry.startRecovery.selector, ISignedCalls.startRecoveryFor.selector)) {
            assert(uint160(later.recovery) == uint160(before.recovery));
            assert(uint160(later.recoveryOwner) == named);
            assert(named != 0);
            assert(_readyAt(later.recovery) == block.timestamp + 21 days);
        } else if (_is(call, MemoryRegistry.vetoRecovery.selector, ISignedCalls.vetoRecoveryFor.selector)) {
            assert(uint160(later.recovery) == uint160(before.recovery));
            assert(_readyAt(later.recovery) | uint160(later.recoveryOwner) == 0);
        } else if (_is(call, MemoryRegistry.close.selector, ISignedCalls.closeFor.selector)) {
            assert(uint232(later.offer) | uint232(later.recovery) | uint160(later.recoveryOwner) == 0);
        }
    }

    /// @dev What every rule may assume of the vault that a call names.
    function check_well_formed_vaults_stay_so() public {
        (,, Vault memory later) = _anyStep();
        if (later.version == 0) {
            assert(_all(later) == 0);
            return;
        }
        assert(later.headLag < later.version);
        assert(later.epochLag < later.epoch);
        assert(later.tenure != 0);
        assert(later.contentHash != 0);
        assert(later.keyringHash != 0);
        if (anyTenure > later.tenure) assert(later.grant == 0);
        assert(_grantVersion(later.grant) <= later.version);
        assert(_offerVersion(later.offer) <= later.version);
    }

    /// @dev A salt that has not come up yet has no vault, whoever's it is.
    function check_salts_are_taken_in_order(address account, uint256 salt) public {
        bytes32 vaultId = keccak256(abi.encode(block.chainid, address(registry), account, salt));
        uint256 count = _vaultCount(account);
        machine.assume(salt > count);
        machine.assume(_head(vaultId) == 0);
        Call memory call = _anyCall();
        machine.assume(_send(call));
        uint256 laterCount = _vaultCount(account);
        if (laterCount == count) {
            assert(_head(vaultId) == 0);
            return;
        }
        assert(laterCount == count + 1);
        assert(_isCreate(call));
        assert(call.actor == account);
        if (salt != laterCount) assert(_head(vaultId) == 0);
    }

    /// @dev Rights come from the owner's grant, from becoming the owner, and from nothing else: no grant comes back.
    function check_rights_come_from_a_grant_alone() public {
        Call memory call = _anyCall();
        Vault memory before = _vault(call.vaultId);
        uint256 given = _rights(_grant(call.vaultId, before.tenure, anyGrantee));
        machine.assume(_grant(call.vaultId, before.tenure + 1, anyGrantee) == 0); // as in `_assumeWellFormed`
        machine.assume(_send(call));
        uint256 held = _rights(_grant(call.vaultId, _vault(call.vaultId).tenure, anyGrantee));
        if (_isCreate(call) || held & ~given == 0) return;
        assert(_is(call, MemoryRegistry.grant.selector, ISignedCalls.grantFor.selector));
        assert(call.actor == before.owner);
        assert(address(uint160(uint256(_argument(call, call.isSigned ? 3 : 2)))) == anyGrantee);
    }

    function _namesVersion(Call memory call) private pure returns (bool) {
        return _isCommit(call) || _is(call, MemoryRegistry.grant.selector, ISignedCalls.grantFor.selector)
            || _is(call, MemoryRegistry.setBaseURI.selector, ISignedCalls.setBaseURIFor.selector)
            || _is(call, MemoryRegistry.offer.selector, ISignedCalls.offerFor.selector)
            || _is(call, MemoryRegistry.close.selector, ISignedCalls.closeFor.selector);
    }

    function _isRecoveryOnly(Call memory call) private pure returns (bool) {
        return _is(call, MemoryRegistry.setRecovery.selector, ISignedCalls.setRecoveryFor.selector)
            || _is(call, MemoryRegistry.startRecovery.selector, ISignedCalls.startRecoveryFor.selector)
            || _is(call, MemoryRegistry.vetoRecovery.selector, ISignedCalls.vetoRecoveryFor.selector);
    }
}
