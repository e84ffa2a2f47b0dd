"""Every error of MemSync: one root, one exit code a class, a cause and a next step in each.

Nothing foreign leaks from the public functions: errors of libraries, nodes and file systems are turned into these.
No message carries a secret, a passphrase or the text of a memory.
"""

from __future__ import annotations


class MemSyncError(Exception):
    """Root of all errors. ``cause`` says what happened, ``next_step`` what to do about it."""

    exit_code = 1

    def __init__(self, cause: str, next_step: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step


# What was given to us -------------------------------------------------------------------------------------------------


class InvalidMemory(MemSyncError):
    """A memory is empty, too large, or not text."""

    exit_code = 10


class InvalidImport(MemSyncError):
    """An import file can't be read; the message names the line. Nothing of it was taken in."""

    exit_code = 11


class InvalidCard(MemSyncError):
    """A reader's card is damaged, of another version, or not a card."""

    exit_code = 12


class InvalidInvitation(MemSyncError):
    """An invitation is damaged, of another version, or not an invitation."""

    exit_code = 13


class UnknownVault(MemSyncError):
    """No vault of that name here, or none of that id on the chain."""

    exit_code = 14


class UnknownMemory(MemSyncError):
    """No memory has that id, or more than one begins with it."""

    exit_code = 15


class UnknownReader(MemSyncError):
    """No such reader in the roster or in this home."""

    exit_code = 16


class InvalidRequest(MemSyncError):
    """The call contradicts itself or the state of things (a date in the past, a name that is taken)."""

    exit_code = 17


class InvalidKit(MemSyncError):
    """Words or a sheet of a recovery kit are mistyped, of another kit, or of something else."""

    exit_code = 18


class UnknownDevice(MemSyncError):
    """No device of that name in any roster that this one opens."""

    exit_code = 19


# The home on this device ----------------------------------------------------------------------------------------------


class WrongPassphrase(MemSyncError):
    """The passphrase opens neither the device key nor the wallet."""

    exit_code = 20


class NotInitialised(MemSyncError):
    """There is no MemSync home here yet."""

    exit_code = 21


class HomeDamaged(MemSyncError):
    """A file of the home can't be read as what it should be."""

    exit_code = 22


class HomeBusy(MemSyncError):
    """Another MemSync process is writing in this home."""

    exit_code = 23


class UnsupportedCryptography(MemSyncError):
    """The installed ``cryptography`` build lacks a primitive or fails its self-test."""

    exit_code = 24


class PassphraseNotKept(MemSyncError):
    """The operating system's keyring is missing, unfit for a passphrase, locked, or has lost it."""

    exit_code = 25


class HomeForeign(MemSyncError):
    """The home's folder belongs to another user of this computer."""

    exit_code = 26


class HomeNewer(MemSyncError):
    """A file of the home was written by a newer version of MemSync."""

    exit_code = 27


# The chain ------------------------------------------------------------------------------------------------------------


class NodeUnreachable(MemSyncError):
    """The RPC node does not answer, or not in time, or not in JSON-RPC."""

    exit_code = 30


class WrongChain(MemSyncError):
    """The node serves another chain than the one of this home."""

    exit_code = 31


class NoRegistry(MemSyncError):
    """There is no MemoryRegistry, or another contract, at the registry's address."""

    exit_code = 32


class TransactionRefused(MemSyncError):
    """The contract or the node refused a transaction; ``error`` names the contract's own error where there is one."""

    exit_code = 33

    def __init__(self, cause: str, next_step: str = "", *, error: str | None = None) -> None:
        super().__init__(cause, next_step)
        self.error = error


class VersionTaken(TransactionRefused):
    """Another writer committed the version that this commit builds on."""

    exit_code = 34


class InsufficientFunds(MemSyncError):
    """The account can't pay for the transaction."""

    exit_code = 35


class TransactionPending(MemSyncError):
    """A transaction was sent and has not been seen in a block in time; the next sync looks for it."""

    exit_code = 36


class NonceTaken(TransactionRefused):
    """Another transaction of the account took this one's number; nothing of ours stands on chain."""

    exit_code = 37


class NodesDisagree(MemSyncError):
    """Two RPC nodes say different things of the same block, or the one ahead shows less than the one behind."""

    exit_code = 38


class FeeTooHigh(MemSyncError):
    """The chain asks more for gas than the limit that this home has set."""

    exit_code = 39


class RelayRefused(MemSyncError):
    """The relayer does not take what was signed, can't be reached, or has let its time pass. The chain is as it was."""

    exit_code = 60


# The host of the blobs ------------------------------------------------------------------------------------------------


class StorageUnavailable(MemSyncError):
    """The host of the blobs is gone or can't be reached."""

    exit_code = 40


class StorageReadOnly(MemSyncError):
    """The host of the blobs, or the home, takes no writes."""

    exit_code = 41


class StorageFull(MemSyncError):
    """No room is left on the disk or the host."""

    exit_code = 42


class BlobMissing(MemSyncError):
    """The host does not have a blob that the vault names."""

    exit_code = 43


# What was read and is not to be trusted -------------------------------------------------------------------------------


class Tampered(MemSyncError):
    """A blob's bytes, seal, signature or form are not what the chain and the keys vouch for."""

    exit_code = 50


class Rollback(MemSyncError):
    """The node shows an older state than this device has already seen."""

    exit_code = 51


class ForeignKeyring(MemSyncError):
    """A keyring does not follow from the keys that this device holds; nothing is sealed under it."""

    exit_code = 52


class AccessEnded(MemSyncError):
    """This key opens nothing of the vault's current epoch: never granted, revoked, or expired."""

    exit_code = 53


class VaultLocked(MemSyncError):
    """The epoch has risen and no keyring for it is there yet; the owner's next sync brings it."""

    exit_code = 54
