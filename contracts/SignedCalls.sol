// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {Vaults} from "./Vaults.sol";
import {ISignedCalls} from "./interfaces/ISignedCalls.sol";

/// @dev The second door to each writer of `Vaults`: for an account that signed the call, whoever sends it.
abstract contract SignedCalls is ISignedCalls, Vaults {
    string private constant NAME = "MemoryRegistry";
    string private constant VERSION = "1";

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant CREATE_TYPEHASH = keccak256(
        "Create(address account,uint256 salt,bytes32 contentHash,bytes32 memoryRoot,bytes32 keyringHash,"
        "string baseURI,uint256 deadline)"
    );
    bytes32 private constant COMMIT_TYPEHASH = keccak256(
        "Commit(address account,bytes32 vaultId,uint32 expectedVersion,uint32 epoch,bytes32 contentHash,"
        "bytes32 memoryRoot,bytes32 keyringHash,uint256 deadline)"
    );
    bytes32 private constant GRANT_TYPEHASH = keccak256(
        "Grant(address account,bytes32 vaultId,uint32 expectedVersion,address grantee,uint8 rights,"
        "uint256 expiresAt,bytes20 keyId,bytes32 keyringHash,uint256 deadline)"
    );
    bytes32 private constant REVOKE_TYPEHASH = keccak256(
        "Revoke(address account,bytes32 vaultId,address grantee,uint32 grantVersion,uint256 deadline)"
    );
    bytes32 private constant REVOKE_ALL_TYPEHASH = keccak256(
        "RevokeAll(address account,bytes32 vaultId,uint16 expectedTenure,uint256 deadline)"
    );
    bytes32 private constant ROTATE_TYPEHASH = keccak256(
        "Rotate(address account,bytes32 vaultId,uint32 expectedEpoch,uint256 deadline)"
    );
    bytes32 private constant SET_BASE_URI_TYPEHASH = keccak256(
        "SetBaseURI(address account,bytes32 vaultId,uint32 expectedVersion,string baseURI,uint256 deadline)"
    );
    bytes32 private constant OFFER_TYPEHASH = keccak256(
        "Offer(address account,bytes32 vaultId,uint32 expectedVersion,address newOwner,uint256 expiresAt,"
        "uint256 deadline)"
    );
    bytes32 private constant CANCEL_OFFER_TYPEHASH = keccak256(
        "CancelOffer(address account,bytes32 vaultId,uint32 offerVersion,uint256 deadline)"
    );
    bytes32 private constant ACCEPT_TYPEHASH = keccak256(
        "Accept(address account,bytes32 vaultId,uint32 offerVersion,uint256 deadline)"
    );
    bytes32 private constant SET_RECOVERY_TYPEHASH = keccak256(
        "SetRecovery(address account,bytes32 vaultId,address recovery,uint32 expectedAttempt,uint256 deadline)"
    );
    bytes32 private constant START_RECOVERY_TYPEHASH = keccak256(
        "StartRecovery(address account,bytes32 vaultId,address newOwner,uint32 expectedAttempt,uint256 deadline)"
    );
    bytes32 private constant VETO_RECOVERY_TYPEHASH = keccak256(
        "VetoRecovery(address account,bytes32 vaultId,uint32 expectedAttempt,uint256 deadline)"
    );
    bytes32 private constant FINISH_RECOVERY_TYPEHASH = keccak256(
        "FinishRecovery(address account,bytes32 vaultId,uint32 expectedAttempt,uint256 deadline)"
    );
    bytes32 private constant CLOSE_TYPEHASH = keccak256(
        "Close(address account,bytes32 vaultId,uint32 expectedVersion,bytes32 successor,uint256 deadline)"
    );

    /// @inheritdoc ISignedCalls
    function createFor(
        address account,
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        string calldata baseURI,
        uint256 deadline,
        bytes calldata signature
    ) external returns (bytes32 vaultId) {
        _checkSigned(
            account,
            keccak256(
                abi.encode(
                    CREATE_TYPEHASH,
                    account,
                    salt,
                    contentHash,
                    memoryRoot,
                    keyringHash,
                    keccak256(bytes(baseURI)),
                    deadline
                )
            ),
            deadline,
            signature
        );
        return _create(account, salt, contentHash, memoryRoot, keyringHash, baseURI);
    }

    /// @inheritdoc ISignedCalls
    function commitFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        uint32 epoch,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkWriter(vaultId, _vaults[vaultId].head, account, keyringHash);
        _checkSigned(
            account,
            keccak256(
                abi.encode(
                    COMMIT_TYPEHASH,
                    account,
                    vaultId,
                    expectedVersion,
                    epoch,
                    contentHash,
                    memoryRoot,
                    keyringHash,
                    deadline
                )
            ),
            deadline,
            signature
        );
        _commit(account, vaultId, expectedVersion, epoch, contentHash, memoryRoot, keyringHash);
    }

    /// @inheritdoc ISignedCalls
    function grantFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        address grantee,
        uint8 rights,
        uint256 expiresAt,
        bytes20 keyId,
        bytes32 keyringHash,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(
                abi.encode(
                    GRANT_TYPEHASH,
                    account,
                    vaultId,
                    expectedVersion,
                    grantee,
                    rights,
                    expiresAt,
                    keyId,
                    keyringHash,
                    deadline
                )
            ),
            deadline,
            signature
        );
        _grant(account, vaultId, expectedVersion, grantee, rights, expiresAt, keyId, keyringHash);
    }

    /// @inheritdoc ISignedCalls
    function revokeFor(
        address account,
        bytes32 vaultId,
        address grantee,
        uint32 grantVersion,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(REVOKE_TYPEHASH, account, vaultId, grantee, grantVersion, deadline)),
            deadline,
            signature
        );
        _checkGrant(vaultId, grantee, grantVersion);
        _revoke(account, vaultId, grantee);
    }

    /// @inheritdoc ISignedCalls
    function revokeAllFor(
        address account, bytes32 vaultId, uint16 expectedTenure, uint256 deadline, bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(REVOKE_ALL_TYPEHASH, account, vaultId, expectedTenure, deadline)),
            deadline,
            signature
        );
        _checkTenure(vaultId, expectedTenure);
        _revokeAll(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function rotateFor(
        address account, bytes32 vaultId, uint32 expectedEpoch, uint256 deadline, bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(ROTATE_TYPEHASH, account, vaultId, expectedEpoch, deadline)),
            deadline,
            signature
        );
        _checkEpoch(vaultId, expectedEpoch);
        _rotate(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function setBaseURIFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        string calldata baseURI,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(
                abi.encode(
                    SET_BASE_URI_TYPEHASH,
                    account,
                    vaultId,
                    expectedVersion,
                    keccak256(bytes(baseURI)),
                    deadline
                )
            ),
            deadline,
            signature
        );
        _setBaseURI(account, vaultId, expectedVersion, baseURI);
    }

    /// @inheritdoc ISignedCalls
    function offerFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        address newOwner,
        uint256 expiresAt,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(
                abi.encode(
                    OFFER_TYPEHASH,
                    account,
                    vaultId,
                    expectedVersion,
                    newOwner,
                    expiresAt,
                    deadline
                )
            ),
            deadline,
            signature
        );
        _offer(account, vaultId, expectedVersion, newOwner, expiresAt);
    }

    /// @inheritdoc ISignedCalls
    function cancelOfferFor(
        address account, bytes32 vaultId, uint32 offerVersion, uint256 deadline, bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(CANCEL_OFFER_TYPEHASH, account, vaultId, offerVersion, deadline)),
            deadline,
            signature
        );
        _checkOfferVersion(vaultId, offerVersion);
        _cancelOffer(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function acceptFor(
        address account, bytes32 vaultId, uint32 offerVersion, uint256 deadline, bytes calldata signature
    ) external {
        _checkOffered(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(ACCEPT_TYPEHASH, account, vaultId, offerVersion, deadline)),
            deadline,
            signature
        );
        _checkOfferVersion(vaultId, offerVersion);
        _accept(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function setRecoveryFor(
        address account,
        bytes32 vaultId,
        address recovery,
        uint32 expectedAttempt,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(SET_RECOVERY_TYPEHASH, account, vaultId, recovery, expectedAttempt, deadline)),
            deadline,
            signature
        );
        _checkAttempt(vaultId, expectedAttempt);
        _setRecovery(account, vaultId, recovery);
    }

    /// @inheritdoc ISignedCalls
    function startRecoveryFor(
        address account,
        bytes32 vaultId,
        address newOwner,
        uint32 expectedAttempt,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkRecovery(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(START_RECOVERY_TYPEHASH, account, vaultId, newOwner, expectedAttempt, deadline)),
            deadline,
            signature
        );
        _checkAttempt(vaultId, expectedAttempt);
        _startRecovery(account, vaultId, newOwner);
    }

    /// @inheritdoc ISignedCalls
    function vetoRecoveryFor(
        address account, bytes32 vaultId, uint32 expectedAttempt, uint256 deadline, bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(VETO_RECOVERY_TYPEHASH, account, vaultId, expectedAttempt, deadline)),
            deadline,
            signature
        );
        _checkAttempt(vaultId, expectedAttempt);
        _vetoRecovery(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function finishRecoveryFor(
        address account, bytes32 vaultId, uint32 expectedAttempt, uint256 deadline, bytes calldata signature
    ) external {
        _checkRecovering(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(FINISH_RECOVERY_TYPEHASH, account, vaultId, expectedAttempt, deadline)),
            deadline,
            signature
        );
        _checkAttempt(vaultId, expectedAttempt);
        _finishRecovery(account, vaultId);
    }

    /// @inheritdoc ISignedCalls
    function closeFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        bytes32 successor,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _checkOwner(vaultId, _vaults[vaultId].head, account);
        _checkSigned(
            account,
            keccak256(abi.encode(CLOSE_TYPEHASH, account, vaultId, expectedVersion, successor, deadline)),
            deadline,
            signature
        );
        _close(account, vaultId, expectedVersion, successor);
    }

    /// @inheritdoc ISignedCalls
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version_,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        )
    {
        // Bits 0 to 3: name, version, chain id and verifying contract.
        return (hex"0f", NAME, VERSION, block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    /// @dev Call it after the check that the account may do what it signed, so that no other account is ever asked.
    function _checkSigned(address account, bytes32 structHash, uint256 deadline, bytes calldata signature)
        private
        view
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline, block.timestamp);
        // Computed at each call: a chain that splits has another chain id from then on.
        bytes32 domainSeparator = keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), block.chainid, address(this)
            )
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(domainSeparator, structHash);

        // The key first: an account of EIP-7702 has code, and a key that signs for it all the same.
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (failure == ECDSA.RecoverError.NoError && signer == account) return;
        if (account.code.length == 0) revert InvalidSignature(account, digest);
        if (!SignatureChecker.isValidERC1271SignatureNowCalldata(account, digest, signature)) {
            revert InvalidSignature(account, digest);
        }
    }

    function _checkGrant(bytes32 vaultId, address grantee, uint32 given) private view {
        uint32 current = _grants[vaultId][_vaults[vaultId].head.tenure()][grantee].version;
        if (given != current) revert WrongGrant(vaultId, grantee, given, current);
    }

    function _checkTenure(bytes32 vaultId, uint16 given) private view {
        uint16 current = _vaults[vaultId].head.tenure();
        if (given != current) revert WrongTenure(vaultId, given, current);
    }

    function _checkEpoch(bytes32 vaultId, uint32 given) private view {
        uint32 current = _vaults[vaultId].head.epoch();
        if (given != current) revert WrongEpoch(vaultId, given, current);
    }

    function _checkOfferVersion(bytes32 vaultId, uint32 given) private view {
        uint32 current = _offers[vaultId].version;
        if (given != current) revert WrongOffer(vaultId, given, current);
    }

    function _checkAttempt(bytes32 vaultId, uint32 given) private view {
        uint32 current = _recoveries[vaultId].attempt;
        if (given != current) revert WrongAttempt(vaultId, given, current);
    }
}
