"""Every direct call is its sender's, whoever began the transaction. Invariants 2 and 3."""

from typing import Any

from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager

from .helpers import URI, key_id, record_of, recovery_of, word
from .model import NONE, READ, ZERO_ADDRESS
from .test_signed_wallets import wallet_from


def test_direct_calls__by_contract_wallets_of_one_key__are_each_wallets_own(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    stranger: TestAccountAPI,
    soon: int,
) -> None:
    first, second = (wallet_from("KeyWallet", stranger, owner) for _ in range(2))
    vault = bytes(registry.vaultIdOf(first, 1))

    def call(wallet: ContractInstance, verb: str, *arguments: Any) -> None:
        receipt = wallet.execute(registry, getattr(registry, verb).encode_input(*arguments), sender=owner)
        assert [log.event_arguments["actor"] for log in receipt.events] == [wallet.address]

    call(first, "create", 1, word("head 1"), NONE, word("keyring 1"), URI)
    call(first, "commit", vault, 1, 1, word("head 2"), NONE, NONE)
    call(first, "grant", vault, 2, reader, READ, soon, key_id("key 1"), NONE)
    call(first, "revoke", vault, reader)
    call(first, "revokeAll", vault)
    call(first, "rotate", vault)
    call(first, "setBaseURI", vault, 6, "evm:")
    call(first, "offer", vault, 7, second, soon)
    call(first, "cancelOffer", vault)
    call(first, "setRecovery", vault, second)
    call(second, "startRecovery", vault, second)
    call(first, "vetoRecovery", vault)
    call(second, "startRecovery", vault, second)
    chain.pending_timestamp = recovery_of(registry, vault).readyAt
    call(second, "finishRecovery", vault)
    call(second, "offer", vault, 10, first, soon)
    call(first, "accept", vault)
    call(first, "close", vault, 12, NONE)

    assert record_of(registry, vault)[:5] == (ZERO_ADDRESS, 13, 6, 4, 11)
