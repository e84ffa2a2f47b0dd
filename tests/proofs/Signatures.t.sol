// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISignedCalls} from "../../contracts/interfaces/ISignedCalls.sol";
import {AnyState} from "./AnyState.sol";
import {machine, symbolic} from "./Cheats.sol";

/// @dev A contract wallet that has approved of whatever digests.
contract Wallet {
    mapping(bytes32 digest => bool) public approved;

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return approved[digest] ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @dev What makes a signed call good. To Halmos `ecrecover` is a function of which nothing is known, so what holds,
/// holds whatever any key has signed.
contract Signatures is AnyState {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    Wallet private wallet;

    function setUp() public override {
        super.setUp();
        wallet = new Wallet();
        symbolic.enableSymbolicStorage(address(wallet));
    }

    /// @dev A call succeeds only for the EIP-712 digest of this verb, all its arguments, this chain and this registry.
    function check_a_signed_call_needs_its_own_signature() public {
        Call memory call = _anyCall();
        if (!call.isSigned) return;
        machine.assume(_send(call));
        (string memory types, uint256 deadlineAt) = _types(call.selector);
        assert(block.timestamp <= uint256(_argument(call, deadlineAt)));

        bytes memory words = abi.encodePacked(keccak256(bytes(types)));
        for (uint256 i = 0; i <= deadlineAt; i++) {
            words = abi.encodePacked(words, _isString(call.selector, i) ? _stringHash(call, i) : _argument(call, i));
        }
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", _domain(), keccak256(words)));
        uint256 signatureAt = uint256(_argument(call, deadlineAt + 1)) / 32 + 1;
        bytes32 r = _argument(call, signatureAt);
        bytes32 s = _argument(call, signatureAt + 1);
        uint8 v = uint8(_argument(call, signatureAt + 2)[0]);
        if (call.actor == ecrecover(digest, v, r, s) && uint256(s) <= HALF_ORDER) return;
        assert(call.actor == address(wallet));
        assert(wallet.approved(digest));
    }

    /// @dev A call names the number that stands, and leaves a higher one. As none ever falls (`Steps`), and a closed
    /// vault takes no call (`Power`), the same call is refused from then on.
    function check_a_signed_call_works_once() public {
        Call memory call = _anyCall();
        if (!call.isSigned) return;
        Vault memory before = _vault(call.vaultId);
        _assumeWellFormed(before);
        (uint256 named, uint256 current) = _number(call, before);
        machine.assume(_send(call));
        assert(named == current);
        Vault memory later = _vault(call.vaultId);
        if (later.owner == address(0)) return;
        (, current) = _number(call, later);
        assert(named < current);
    }

    /// @dev The number that the call names, and the one that stands. Of a grant or an offer that is no version when it
    /// is gone, and the version of the vault, which is a later one by then, when there is another.
    function _number(Call memory call, Vault memory vault) private view returns (uint256 named, uint256 current) {
        bytes4 selector = call.selector;
        named = uint256(_argument(call, 2));
        current = vault.version;
        if (selector == ISignedCalls.createFor.selector) {
            return (uint256(_argument(call, 1)), _vaultCount(call.actor) + 1);
        }
        if (selector == ISignedCalls.revokeFor.selector) {
            uint256 grant = _grant(call.vaultId, vault.tenure, address(uint160(named)));
            named = uint256(_argument(call, 3));
            current = uint8(grant >> 40) == 0 ? type(uint256).max : _grantVersion(grant);
        } else if (_is(call, ISignedCalls.cancelOfferFor.selector, ISignedCalls.acceptFor.selector)) {
            current = uint160(vault.offer) == 0 ? type(uint256).max : _offerVersion(vault.offer);
        } else if (selector == ISignedCalls.revokeAllFor.selector) {
            current = vault.tenure;
        } else if (selector == ISignedCalls.rotateFor.selector) {
            current = vault.epoch;
        } else if (_is(call, ISignedCalls.setRecoveryFor.selector, ISignedCalls.startRecoveryFor.selector)) {
            named = uint256(_argument(call, 3));
            current = _attempt(vault.recovery);
        } else if (_is(call, ISignedCalls.vetoRecoveryFor.selector, ISignedCalls.finishRecoveryFor.selector)) {
            current = _attempt(vault.recovery);
        }
    }

    function _domain() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("MemoryRegistry"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
    }

    function _isString(bytes4 selector, uint256 place) private pure returns (bool) {
        return selector == ISignedCalls.createFor.selector && place == 5
            || selector == ISignedCalls.setBaseURIFor.selector && place == 3;
    }

    /// @dev A base URI here has no or 32 bytes, see `prove.py`.
    function _stringHash(Call memory call, uint256 place) private pure returns (bytes32) {
        uint256 start = uint256(_argument(call, place)) / 32;
        uint256 length = uint256(_argument(call, start));
        if (length == 0) return keccak256("");
        assert(length == 32);
        return keccak256(abi.encodePacked(_argument(call, start + 1)));
    }

    /// @dev The type that is signed, and the place of the deadline among the arguments.
    function _types(bytes4 selector) private pure returns (string memory, uint256) {
        if (selector == ISignedCalls.createFor.selector) {
            return (
                "Create(address account,uint256 salt,bytes32 contentHash,bytes32 memoryRoot,bytes32 keyringHash,"
                "string baseURI,uint256 deadline)",
                6
            );
        }
        if (selector == ISignedCalls.commitFor.selector) {
            return (
                "Commit(address account,bytes32 vaultId,uint32 expectedVersion,uint32 epoch,bytes32 contentHash,"
                "bytes32 memoryRoot,bytes32 keyringHash,uint256 deadline)",
                7
            );
        }
        if (selector == ISignedCalls.grantFor.selector) {
            return (
                "Grant(address account,bytes32 vaultId,uint32 expectedVersion,address grantee,uint8 rights,"
                "uint256 expiresAt,bytes20 keyId,bytes32 keyringHash,uint256 deadline)",
                8
            );
        }
        if (selector == ISignedCalls.revokeFor.selector) {
            return ("Revoke(address account,bytes32 vaultId,address grantee,uint32 grantVersion,uint256 deadline)", 4);
        }
        if (selector == ISignedCalls.revokeAllFor.selector) {
            return ("RevokeAll(address account,bytes32 vaultId,uint16 expectedTenure,uint256 deadline)", 3);
        }
        if (selector == ISignedCalls.rotateFor.selector) {
            return ("Rotate(address account,bytes32 vaultId,uint32 expectedEpoch,uint256 deadline)", 3);
        }
        if (selector == ISignedCalls.setBaseURIFor.selector) {
            return (
                "SetBaseURI(address account,bytes32 vaultId,uint32 expectedVersion,string baseURI,uint256 deadline)", 4
            );
        }
        if (selector == ISignedCalls.offerFor.selector) {
            return (
                "Offer(address account,bytes32 vaultId,uint32 expectedVersion,address newOwner,uint256 expiresAt,"
                "uint256 deadline)",
                5
            );
        }
        if (selector == ISignedCalls.cancelOfferFor.selector) {
            return ("CancelOffer(address account,bytes32 vaultId,uint32 offerVersion,uint256 deadline)", 3);
        }
        if (selector == ISignedCalls.acceptFor.selector) {
            return ("Accept(address account,bytes32 vaultId,uint32 offerVersion,uint256 deadline)", 3);
        }
        if (selector == ISignedCalls.setRecoveryFor.selector) {
            return (
                "SetRecovery(address account,bytes32 vaultId,address recovery,uint32 expectedAttempt,"
                "uint256 deadline)",
                4
            );
        }
        if (selector == ISignedCalls.startRecoveryFor.selector) {
            return (
                "StartRecovery(address account,bytes32 vaultId,address newOwner,uint32 expectedAttempt,"
                "uint256 deadline)",
                4
            );
        }
        if (selector == ISignedCalls.vetoRecoveryFor.selector) {
            return ("VetoRecovery(address account,bytes32 vaultId,uint32 expectedAttempt,uint256 deadline)", 3);
        }
        if (selector == ISignedCalls.finishRecoveryFor.selector) {
            return ("FinishRecovery(address account,bytes32 vaultId,uint32 expectedAttempt,uint256 deadline)", 3);
        }
        return ("Close(address account,bytes32 vaultId,uint32 expectedVersion,bytes32 successor,uint256 deadline)", 4);
    }
}
