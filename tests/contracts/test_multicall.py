"""Invariant 13."""

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from eth_utils import keccak
from web3.exceptions import ContractCustomError

from .helpers import URI, assert_events, grant, grant_of, key_id, record_of, refused, word
from .model import NONE, READ, Grant


def test_multicall__several_writes__does_all_as_the_sender(
    registry: ContractInstance, owner: TestAccountAPI, reader: TestAccountAPI, soon: int
) -> None:
    vault = bytes(registry.vaultIdOf(owner, 1))

    receipt = registry.multicall(
        [
            registry.create.encode_input(1, word("head 1"), NONE, word("keyring 1"), URI),
            registry.grant.encode_input(vault, 1, reader, READ, soon, key_id("key 1"), NONE),
            registry.rotate.encode_input(vault),
            registry.commit.encode_input(vault, 3, 2, word("head 2"), NONE, word("keyring 2")),
        ],
        sender=owner,
    )

    assert record_of(registry, vault) == (
        owner.address, 4, 2, 1, 0, 0, word("head 2"), NONE, word("keyring 2"), URI,
    )  # fmt: skip
    assert grant_of(registry, vault, reader) == Grant(soon, READ, 2, key_id("key 1"))
    named = {"vaultId": vault, "actor": owner.address}
    assert_events(
        registry,
        receipt,
        (
            "Created",
            named | {"salt": 1, "contentHash": word("head 1"), "memoryRoot": NONE, "keyringHash": word("keyring 1")},
        ),
        (
            "Granted",
            named
            | {
                "grantee": reader.address,
                "rights": READ,
                "expiresAt": soon,
                "keyId": key_id("key 1"),
                "version": 2,
                "keyringHash": NONE,
            },
        ),
        ("Rotated", named | {"version": 3, "epoch": 2}),
        (
            "Committed",
            named
            | {
                "version": 4,
                "epoch": 2,
                "contentHash": word("head 2"),
                "memoryRoot": NONE,
                "keyringHash": word("keyring 2"),
            },
        ),
    )


def test_multicall__of_reads__gives_their_answers(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    answers = registry.multicall.call(
        [registry.vaultCount.encode_input(owner), registry.canRead.encode_input(vault, owner)]
    )

    assert [int.from_bytes(answer) for answer in answers] == [1, 1]


def test_multicall__one_refused__gives_its_error_and_does_none(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes
) -> None:
    with refused(registry, "KeyringRequired", vaultId=vault, epoch=2):
        registry.multicall(
            [
                registry.rotate.encode_input(vault),
                registry.commit.encode_input(vault, 2, 2, word("head 2"), NONE, NONE),
            ],
            sender=owner,
        )


def test_multicall__of_a_multicall__is_still_the_sender(
    registry: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI, vault: bytes
) -> None:
    nested = [registry.multicall.encode_input([registry.rotate.encode_input(vault)])]

    with refused(registry, "NotOwner", vaultId=vault, account=stranger.address):
        registry.multicall(nested, sender=stranger)
    registry.multicall(nested, sender=owner)

    assert record_of(registry, vault).epoch == 2


def test_multicall__second_grant_on_the_same_version__is_refused(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    with refused(registry, "WrongVersion", vaultId=vault, expected=1, current=2):
        registry.multicall(
            [
                registry.grant.encode_input(vault, 1, account, READ, soon, key_id("key 1"), NONE)
                for account in (reader, writer)
            ],
            sender=owner,
        )


def test_multicall__three_revocations__raise_the_epoch_three_times(
    registry: ContractInstance,
    owner: TestAccountAPI,
    reader: TestAccountAPI,
    writer: TestAccountAPI,
    stranger: TestAccountAPI,
    vault: bytes,
    soon: int,
) -> None:
    accounts = (reader, writer, stranger)
    for version, account in enumerate(accounts, start=1):
        grant(registry, vault, owner, account, soon, version=version)

    registry.multicall([registry.revoke.encode_input(vault, account) for account in accounts], sender=owner)

    assert record_of(registry, vault)[1:6] == (7, 4, 1, 6, 3)
    assert [grant_of(registry, vault, account) for account in accounts] == [Grant()] * 3


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff"], ids=["empty", "no-such-function"])
def test_multicall__no_function__is_refused(
    registry: ContractInstance, owner: TestAccountAPI, vault: bytes, data: bytes
) -> None:
    call = registry.multicall.encode_input([registry.rotate.encode_input(vault), data])
    with pytest.raises(ContractCustomError) as caught:
        registry.provider.web3.eth.call({"from": owner.address, "to": registry.address, "data": call})
    # OpenZeppelin's error for an inner call that gave no reason.
    assert caught.value.data == "0x" + keccak(text="FailedCall()")[:4].hex()
