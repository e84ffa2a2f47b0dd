// SPDX-License-Identifier: MIT
pragma solidity ^0.8.34;

/// @title The calls of `IMemoryRegistry` for an account that signed them, whoever sends them
/// @notice Each has the parameters of the call that it is named after, and does and refuses what that does: the actor
/// in the event is the account. What is said here of parameters is what they have in addition: `account` is the account
/// that signed; `deadline` the last second, in Unix time, in which the signature is good; and `signature` its EIP-712
/// signature over all other parameters, in their order, in a struct called as the verb, with a capital: `Commit(address
/// account,bytes32 vaultId,…,uint256 deadline)`.
/// @dev Every signature names a number that its own effect raises, or clears for good, so that it works once: the salt,
/// the version, the grant's or offer's version, the tenure, the epoch, the attempt.
/// A signature is 65 bytes of secp256k1 with a low s, from the account's key; or, if the account has code, whatever its
/// `isValidSignature` (ERC-1271) takes. It is asked statically, and only after it is known that the account may do
/// this (anyone may `create`).
/// Checked in this order: that vault and account are what the call needs (`UnknownVault`, `VaultClosed`, `NotOwner`,
/// `NotWriter`, `NotKeyBearer`, `NotOffered`, `NotRecovery`, `NotNewOwner`); `SignatureExpired`; `InvalidSignature`;
/// the number, where the call itself has none; the rest as in the call itself.
/// Warning: a relayer may hold a signature back until its deadline, or send it in an order of its own. Keep deadlines
/// short; and sign nothing that names a version, epoch, tenure or attempt still to come: it outlives what happens until
/// then, a revocation too.
interface ISignedCalls {
    error SignatureExpired(uint256 deadline, uint256 currentTime);
    /// @notice Neither the account's key nor the account's code takes the signature.
    /// @param digest What had to be signed, under EIP-712.
    error InvalidSignature(address account, bytes32 digest);
    /// @notice The grantee's grant is another than the one that was to be revoked; `current` is 0 if there is none.
    error WrongGrant(bytes32 vaultId, address grantee, uint32 given, uint32 current);
    error WrongTenure(bytes32 vaultId, uint16 given, uint16 current);
    /// @notice The vault's offer is another than the one that was meant; `current` is 0 if there is none.
    error WrongOffer(bytes32 vaultId, uint32 given, uint32 current);
    error WrongAttempt(bytes32 vaultId, uint32 given, uint32 current);

    /// @notice `create` for an account that signed it. The salt, which `vaultCount` follows, makes it good for one
    /// time.
    /// @return vaultId `vaultIdOf(account, salt)`.
    function createFor(
        address account,
        uint256 salt,
        bytes32 contentHash,
        bytes32 memoryRoot,
        bytes32 keyringHash,
        string calldata baseURI,
        uint256 deadline,
        bytes calldata signature
    ) external returns (bytes32 vaultId);

    /// @notice `commit` for an owner or writer that signed it.
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
    ) external;

    /// @notice `grant` for an owner that signed it. Any write ends one that was not sent yet and names the vault's
    /// current version; `rotate` is one that is never refused, while `revoke` of someone not granted yet is (`NoGrant`).
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
    ) external;

    /// @notice `revoke` for an owner that signed it, of exactly the grant that `grantVersion` tells from others.
    /// @dev Nothing but another grant (a raise too) or revocation for this grantee gets in its way: a commit does not.
    /// @param grantVersion `grantOf(vaultId, grantee).version`; else `WrongGrant`.
    function revokeFor(
        address account,
        bytes32 vaultId,
        address grantee,
        uint32 grantVersion,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `revokeAll` for an owner that signed it.
    /// @param expectedTenure The vault's current tenure; else `WrongTenure`.
    function revokeAllFor(
        address account, bytes32 vaultId, uint16 expectedTenure, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `rotate` for an owner that signed it.
    /// @dev A commit that brings the keyring of a new epoch gets in its way, and a writer with `KEYS` may send one;
    /// `rotate` names nothing.
    /// @param expectedEpoch The vault's current epoch; else `WrongEpoch`.
    function rotateFor(
        address account, bytes32 vaultId, uint32 expectedEpoch, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `setBaseURI` for an owner that signed it.
    function setBaseURIFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        string calldata baseURI,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `offer` for an owner that signed it.
    function offerFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        address newOwner,
        uint256 expiresAt,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `cancelOffer` for an owner that signed it.
    /// @param offerVersion `offerOf(vaultId).version`; else `WrongOffer`.
    function cancelOfferFor(
        address account, bytes32 vaultId, uint32 offerVersion, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `accept` for the new owner that signed it, of exactly the offer that `offerVersion` tells from others.
    /// @param offerVersion `offerOf(vaultId).version`; else `WrongOffer`.
    function acceptFor(
        address account, bytes32 vaultId, uint32 offerVersion, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `setRecovery` for an owner that signed it.
    /// @dev A start gets in its way; `setRecovery` names nothing.
    /// @param expectedAttempt `recoveryOf(vaultId).attempt`; else `WrongAttempt`.
    function setRecoveryFor(
        address account,
        bytes32 vaultId,
        address recovery,
        uint32 expectedAttempt,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `startRecovery` for the recovery address that signed it.
    /// @param expectedAttempt As for `setRecoveryFor`.
    function startRecoveryFor(
        address account,
        bytes32 vaultId,
        address newOwner,
        uint32 expectedAttempt,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `vetoRecovery` for an owner that signed it.
    /// @dev A restart gets in its way, and puts off the end of the recovery by 21 days; `vetoRecovery` names nothing.
    /// @param expectedAttempt As for `setRecoveryFor`.
    function vetoRecoveryFor(
        address account, bytes32 vaultId, uint32 expectedAttempt, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `finishRecovery` for the new owner that signed it.
    /// @param expectedAttempt As for `setRecoveryFor`.
    function finishRecoveryFor(
        address account, bytes32 vaultId, uint32 expectedAttempt, uint256 deadline, bytes calldata signature
    ) external;

    /// @notice `close` for an owner that signed it.
    function closeFor(
        address account,
        bytes32 vaultId,
        uint32 expectedVersion,
        bytes32 successor,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice The EIP-712 domain of the signatures, as ERC-5267 says: name "MemoryRegistry", version "1", chain id and
    /// address; neither salt nor extensions.
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );
}
