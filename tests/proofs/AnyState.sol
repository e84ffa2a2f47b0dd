// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MemoryRegistry} from "../../contracts/MemoryRegistry.sol";
import {ISignedCalls} from "../../contracts/interfaces/ISignedCalls.sol";
import {machine, symbolic} from "./Cheats.sol";

/// @dev A registry in any state, at any time, on any chain, and any call of it. A rule that holds for a step from here
/// holds for every history of calls. Storage is read by its layout (contracts/README.md), so that no rule depends on
/// the code it speaks of.
abstract contract AnyState {
    /// @dev One vault as storage has it, and one grant and one word of its base URI, whichever those are.
    struct Vault {
        address owner;
        uint256 version;
        uint256 epoch;
        uint256 tenure;
        uint256 headLag;
        uint256 epochLag;
        bytes32 contentHash;
        bytes32 memoryRoot;
        bytes32 keyringHash;
        bytes32 baseURI;
        bytes32 baseURIWord;
        uint256 offer;
        uint256 recovery;
        uint256 recoveryOwner;
        uint256 grant;
    }

    struct Call {
        bytes data;
        bytes4 selector;
        /// @dev Who acts: the sender, or for a signed call the account that is said to have signed it.
        address actor;
        bool isSigned;
        /// @dev The vault that it names, or would create.
        bytes32 vaultId;
    }

    uint256 internal constant READ = 1;
    uint256 internal constant WRITE = 2;
    uint256 internal constant KEYS = 4;

    MemoryRegistry internal immutable registry = new MemoryRegistry();

    // Which grant and which word of the base URI a `Vault` shows: any.
    uint256 internal anyTenure;
    address internal anyGrantee;
    uint256 internal anyWord;

    function setUp() public virtual {
        symbolic.enableSymbolicStorage(address(registry));
        machine.warp(symbolic.createUint(39, "time")); // 17,000 years; times have 40 bits
        machine.assume(block.timestamp >= 30 days); // after January 1970
        machine.chainId(symbolic.createUint(64, "chain"));
        anyTenure = symbolic.createUint(16, "tenure");
        anyGrantee = symbolic.createAddress("grantee");
        anyWord = symbolic.createUint(8, "word");
    }

    /// @dev Any function with any arguments, done by whoever it may be, and the vault it names before and after it.
    function _anyStep() internal returns (Call memory call, Vault memory before, Vault memory later) {
        call = _anyCall();
        before = _vault(call.vaultId);
        _assumeWellFormed(before);
        machine.assume(_send(call));
        later = _vault(call.vaultId);
    }

    /// @dev Any function with any arguments. `multicall` is empty here, see `PowerInMulticall`.
    function _anyCall() internal returns (Call memory call) {
        call.data = symbolic.createCalldata(address(registry));
        call.selector = bytes4(call.data);
        call.isSigned = _isSigned(call.selector);
        call.actor = call.isSigned ? address(uint160(uint256(_argument(call, 0)))) : symbolic.createAddress("sender");
        if (_isCreate(call)) {
            uint256 salt = uint256(_argument(call, call.isSigned ? 1 : 0));
            call.vaultId = keccak256(abi.encode(block.chainid, address(registry), call.actor, salt));
            if (salt > _vaultCount(call.actor)) machine.assume(_head(call.vaultId) == 0); // see `_assumeWellFormed`
        } else {
            call.vaultId = _argument(call, call.isSigned ? 1 : 0);
        }
        _fixLength(call);
    }

    /// @dev Halmos reads no string of unknown length: of a vault that is created there is none, as was assumed already,
    /// and one that is replaced has either form that Solidity stores.
    function _fixLength(Call memory call) private {
        bytes32 slot = _plus(_slot(call.vaultId, 0), 4);
        if (_isCreate(call)) {
            machine.store(address(registry), slot, 0);
        } else if (_is(call, MemoryRegistry.setBaseURI.selector, ISignedCalls.setBaseURIFor.selector)) {
            uint256 short = symbolic.createUint(248, "baseURI") << 8 | 2 * 20;
            machine.store(address(registry), slot, bytes32(symbolic.createBool("long") ? 2 * 33 + 1 : short));
        }
    }

    /// @dev Whoever sends a signed call: the relayer has no part in any rule.
    function _send(Call memory call) internal virtual returns (bool done) {
        machine.prank(call.isSigned ? symbolic.createAddress("relayer") : call.actor);
        (done,) = address(registry).call(call.data);
    }

    function _vault(bytes32 vaultId) internal view returns (Vault memory vault) {
        bytes32 slot = _slot(vaultId, 0);
        uint256 head = uint256(_load(slot));
        vault.owner = address(uint160(head));
        vault.version = uint32(head >> 160);
        vault.epoch = uint32(head >> 192);
        vault.tenure = uint16(head >> 224);
        vault.headLag = uint8(head >> 240);
        vault.epochLag = uint8(head >> 248);
        vault.contentHash = _load(_plus(slot, 1));
        vault.memoryRoot = _load(_plus(slot, 2));
        vault.keyringHash = _load(_plus(slot, 3));
        vault.baseURI = _load(_plus(slot, 4));
        vault.baseURIWord = _load(_plus(keccak256(abi.encode(_plus(slot, 4))), anyWord));
        vault.offer = uint256(_load(_slot(vaultId, 3)));
        vault.recovery = uint256(_load(_slot(vaultId, 4)));
        vault.recoveryOwner = uint256(_load(_plus(_slot(vaultId, 4), 1)));
        vault.grant = _grant(vaultId, anyTenure, anyGrantee);
    }

    function _head(bytes32 vaultId) internal view returns (uint256) {
        return uint256(_load(_slot(vaultId, 0)));
    }

    function _grant(bytes32 vaultId, uint256 tenure, address grantee) internal view returns (uint256) {
        bytes32 tenures = _slot(vaultId, 1);
        bytes32 grants = keccak256(abi.encode(tenure, tenures));
        return uint256(_load(keccak256(abi.encode(grantee, grants))));
    }

    function _vaultCount(address account) internal view returns (uint256) {
        return uint256(_load(keccak256(abi.encode(account, uint256(2)))));
    }

    /// @dev The rights that a grant gives now.
    function _rights(uint256 grant) internal view returns (uint256) {
        return block.timestamp < uint40(grant) ? uint8(grant >> 40) : 0;
    }

    function _grantVersion(uint256 grant) internal pure returns (uint256) {
        return uint32(grant >> 48);
    }

    function _offerExpiry(uint256 offer) internal pure returns (uint256) {
        return uint40(offer >> 160);
    }

    function _offerVersion(uint256 offer) internal pure returns (uint256) {
        return uint32(offer >> 200);
    }

    function _attempt(uint256 recovery) internal pure returns (uint256) {
        return uint32(recovery >> 160);
    }

    function _readyAt(uint256 recovery) internal pure returns (uint256) {
        return uint40(recovery >> 192);
    }

    /// @dev What no history of calls can break, as `check_well_formed_vaults_stay_so` shows.
    function _assumeWellFormed(Vault memory vault) internal view {
        if (vault.version == 0) {
            machine.assume(_all(vault) == 0);
        } else {
            machine.assume(vault.headLag < vault.version);
            machine.assume(vault.epochLag < vault.epoch);
            machine.assume(vault.tenure != 0);
            machine.assume(vault.contentHash != 0);
            machine.assume(vault.keyringHash != 0);
            if (anyTenure > vault.tenure) machine.assume(vault.grant == 0);
            machine.assume(_grantVersion(vault.grant) <= vault.version);
            machine.assume(_offerVersion(vault.offer) <= vault.version);
        }
    }

    /// @dev 0 exactly if all of the vault is. Here and below bits are compared rather than conditions joined: each
    /// `&&` would be two paths.
    function _all(Vault memory vault) internal pure returns (uint256) {
        Vault memory none;
        return _difference(vault, none);
    }

    function _difference(Vault memory a, Vault memory b) internal pure returns (uint256) {
        return _headDifference(a, b) | _contentDifference(a, b) | uint256(a.keyringHash ^ b.keyringHash)
            | _baseURIDifference(a, b) | (a.offer ^ b.offer) | _recoveryDifference(a, b) | (a.grant ^ b.grant);
    }

    function _headDifference(Vault memory a, Vault memory b) internal pure returns (uint256) {
        return uint160(a.owner) ^ uint160(b.owner) | (a.version ^ b.version) | (a.epoch ^ b.epoch)
            | (a.tenure ^ b.tenure) | (a.headLag ^ b.headLag) | (a.epochLag ^ b.epochLag);
    }

    function _contentDifference(Vault memory a, Vault memory b) internal pure returns (uint256) {
        return uint256(a.contentHash ^ b.contentHash) | uint256(a.memoryRoot ^ b.memoryRoot);
    }

    function _baseURIDifference(Vault memory a, Vault memory b) internal pure returns (uint256) {
        return uint256(a.baseURI ^ b.baseURI) | uint256(a.baseURIWord ^ b.baseURIWord);
    }

    function _recoveryDifference(Vault memory a, Vault memory b) internal pure returns (uint256) {
        return (a.recovery ^ b.recovery) | (a.recoveryOwner ^ b.recoveryOwner);
    }

    function _is(Call memory call, bytes4 direct, bytes4 signed) internal pure returns (bool) {
        return call.selector == direct || call.selector == signed;
    }

    function _isCreate(Call memory call) internal pure returns (bool) {
        return _is(call, MemoryRegistry.create.selector, ISignedCalls.createFor.selector);
    }

    function _isCommit(Call memory call) internal pure returns (bool) {
        return _is(call, MemoryRegistry.commit.selector, ISignedCalls.commitFor.selector);
    }

    function _isSigned(bytes4 selector) internal pure returns (bool) {
        return selector == ISignedCalls.createFor.selector || selector == ISignedCalls.commitFor.selector
            || selector == ISignedCalls.grantFor.selector || selector == ISignedCalls.revokeFor.selector
            || selector == ISignedCalls.revokeAllFor.selector || selector == ISignedCalls.rotateFor.selector
            || selector == ISignedCalls.setBaseURIFor.selector || selector == ISignedCalls.offerFor.selector
            || selector == ISignedCalls.cancelOfferFor.selector || selector == ISignedCalls.acceptFor.selector
            || selector == ISignedCalls.setRecoveryFor.selector || selector == ISignedCalls.startRecoveryFor.selector
            || selector == ISignedCalls.vetoRecoveryFor.selector || selector == ISignedCalls.finishRecoveryFor.selector
            || selector == ISignedCalls.closeFor.selector;
    }

    /// @dev The word at `place` in the arguments; 0 beyond their end.
    function _argument(Call memory call, uint256 place) internal pure returns (bytes32 word) {
        bytes memory data = call.data;
        if (data.length < 4 + 32 * (place + 1)) return 0;
        assembly ("memory-safe") {
            word := mload(add(add(data, 36), mul(place, 32)))
        }
    }

    /// @dev Where a mapping from `key` at `slot` has its value.
    function _slot(bytes32 key, uint256 slot) internal pure returns (bytes32) {
        return keccak256(abi.encode(key, slot));
    }

    function _plus(bytes32 slot, uint256 offset) internal pure returns (bytes32) {
        unchecked {
            return bytes32(uint256(slot) + offset);
        }
    }

    function _load(bytes32 slot) private view returns (bytes32) {
        return machine.load(address(registry), slot);
    }
}
