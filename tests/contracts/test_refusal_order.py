"""The order in which each call checks, as the interfaces say it: of two faults at once the earlier one is told."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from eth_utils import keccak
from web3.exceptions import ContractCustomError

from .helpers import create, end_counter, grant, key_id, word
from .model import NONE, READ, WRITE, ZERO_ADDRESS
from .signing import BOUND, NO_DEADLINE, names, sign, typed_data

FAR = 2**40 - 1
NO_VAULT = ("UnknownVault", {"vaultId": word("no vault")})
CLOSED = ("VaultClosed", {"vaultId": "closed"})
STRANGER = ("NotOwner", {"actor": "stranger"})
VERSION = ("WrongVersion", {"expectedVersion": 9})
OF_OWNER = (NO_VAULT, CLOSED, STRANGER)
LATE = ("ExpiryNotInFuture", {"expiresAt": 1})
TOO_LATE = ("ExpiryTooLate", {"expiresAt": FAR + 1})

# By verb: an account, the arguments of a call that succeeds, and the faults in the order of the interface. A word in
# quotes is a vault or an account of the scene.
CALLS: dict[str, tuple[str, dict[str, Any], tuple[tuple[str, dict[str, Any]], ...]]] = {
    "create": (
        "stranger",
        {"salt": 1, "contentHash": word("a"), "memoryRoot": NONE, "keyringHash": word("b"), "baseURI": ""},
        (
            ("WrongSalt", {"salt": 9}),
            ("ZeroContentHash", {"contentHash": NONE}),
            ("ZeroKeyringHash", {"keyringHash": NONE}),
            ("BaseURITooLong", {"baseURI": "x" * 257}),
        ),
    ),
    "commit": (
        "owner",
        {
            "vaultId": "locked",
            "expectedVersion": 4,
            "epoch": 2,
            "contentHash": word("head 2"),
            "memoryRoot": NONE,
            "keyringHash": word("keyring 2"),
        },
        (
            NO_VAULT,
            CLOSED,
            ("NotWriter", {"actor": "stranger"}),
            ("NotKeyBearer", {"actor": "writer"}),
            VERSION,
            ("WrongEpoch", {"epoch": 9}),
            ("ZeroContentHash", {"contentHash": NONE}),
            ("ContentUnchanged", {"contentHash": word("head 1")}),
            ("KeyringRequired", {"keyringHash": word("keyring 1")}),
        ),
    ),
    "grant": (
        "owner",
        {
            "vaultId": "open",
            "expectedVersion": 4,
            "grantee": "reader",
            "rights": READ | WRITE,
            "expiresAt": FAR - 1,
            "keyId": key_id("key 1"),
            "keyringHash": NONE,
        },
        (
            *OF_OWNER,
            VERSION,
            ("VaultLocked", {"vaultId": "locked"}),
            ("ZeroGrantee", {"grantee": ZERO_ADDRESS}),
            ("GranteeIsOwner", {"grantee": "owner"}),
            ("NoRights", {"rights": 0}),
            ("ZeroKeyId", {"keyId": bytes(20)}),
            LATE,
            TOO_LATE,
            ("GrantLowered", {"keyId": key_id("key 2")}),
            ("GrantUnchanged", {"rights": READ}),
            ("KeyringUnchanged", {"keyringHash": word("keyring 1")}),
        ),
    ),
    "revoke": (
        "owner",
        {"vaultId": "open", "grantee": "reader"},
        (*OF_OWNER, ("NoGrant", {"grantee": "stranger"})),
    ),
    "revokeAll": ("owner", {"vaultId": "open"}, (*OF_OWNER, ("LastTenure", {"vaultId": "last"}))),
    "rotate": ("owner", {"vaultId": "open"}, OF_OWNER),
    "setBaseURI": (
        "owner",
        {"vaultId": "open", "expectedVersion": 4, "baseURI": "evm:"},
        (*OF_OWNER, VERSION, ("BaseURITooLong", {"baseURI": "x" * 257}), ("BaseURIUnchanged", {"baseURI": "a"})),
    ),
    "offer": (
        "owner",
        {"vaultId": "open", "expectedVersion": 4, "newOwner": "stranger", "expiresAt": FAR},
        (
            *OF_OWNER,
            VERSION,
            ("ZeroNewOwner", {"newOwner": ZERO_ADDRESS}),
            ("NewOwnerIsOwner", {"newOwner": "owner"}),
            LATE,
            TOO_LATE,
            ("OfferUnchanged", {"newOwner": "buyer"}),
        ),
    ),
    "cancelOffer": ("owner", {"vaultId": "open"}, (*OF_OWNER, ("NoOffer", {"vaultId": "locked"}))),
    "accept": (
        "buyer",
        {"vaultId": "open"},
        (
            NO_VAULT,
            CLOSED,
            ("NotOffered", {"actor": "stranger"}),
            ("OfferExpired", {"vaultId": "last"}),  # and in its last tenure
        ),
    ),
    "setRecovery": (
        "owner",
        {"vaultId": "open", "recovery": "stranger"},
        (*OF_OWNER, ("RecoveryIsOwner", {"recovery": "owner"}), ("RecoveryUnchanged", {"recovery": "rescuer"})),
    ),
    "startRecovery": (
        "rescuer",
        {"vaultId": "open", "newOwner": "buyer"},
        (
            NO_VAULT,
            CLOSED,
            ("NotRecovery", {"actor": "stranger"}),
            ("ZeroNewOwner", {"newOwner": ZERO_ADDRESS}),
            ("NewOwnerIsOwner", {"newOwner": "owner"}),
        ),
    ),
    "vetoRecovery": ("owner", {"vaultId": "open"}, (*OF_OWNER, ("NoRecoveryPending", {"vaultId": "locked"}))),
    "finishRecovery": (
        "buyer",
        {"vaultId": "open"},
        (
            NO_VAULT,
            CLOSED,
            ("NotNewOwner", {"actor": "stranger"}),
            ("RecoveryNotReady", {"vaultId": "early"}),  # and in its last tenure
            ("RecoveryLapsed", {"vaultId": "last"}),  # the same
        ),
    ),
    "close": (
        "owner",
        {"vaultId": "open", "expectedVersion": 4, "successor": NONE},
        (*OF_OWNER, VERSION, ("SuccessorIsVault", {"successor": "open"})),
    ),
}


@dataclass(frozen=True)
class Scene:
    registry: ContractInstance
    accounts: dict[str, TestAccountAPI]
    vaults: dict[str, bytes]

    def resolved(self, values: dict[str, Any]) -> dict[str, Any]:
        known = self.vaults | {name: account.address for name, account in self.accounts.items()}
        return {
            name: known.get(value, value) if isinstance(value, str) and name != "baseURI" else value
            for name, value in values.items()
        }

    def refusal(self, sender: str, data: bytes) -> str | None:
        """The selector of the error that a call ends with, None if it succeeds."""
        call = {"from": self.accounts[sender].address, "to": self.registry.address, "data": "0x" + data.hex()}
        try:
            self.registry.provider.web3.eth.call(call)
        except ContractCustomError as error:
            return str(error.data)[:10]
        return None

    def selector(self, error: str) -> str:
        [entry] = [each for each in self.registry.contract_type.errors if each.name == error]
        return "0x" + keccak(text=entry.selector)[:4].hex()


@pytest.fixture(scope="module")
def scene(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    reader: TestAccountAPI,
    stranger: TestAccountAPI,
    buyer: TestAccountAPI,
    rescuer: TestAccountAPI,
    relayer: TestAccountAPI,
) -> Scene:
    """Vaults at version 4: one that is granted, offered, its recovery ready; and those in which something is not so."""
    vaults = {}
    for salt, name in enumerate(("open", "locked", "closed", "last", "early"), start=1):
        vault = vaults[name] = bytes(registry.vaultIdOf(owner, salt))
        create(registry, owner, salt=salt, base_uri="b")
        now = int(chain.pending_timestamp)
        if name == "locked":
            grant(registry, vault, owner, reader, FAR - 1)
            grant(registry, vault, owner, writer, FAR, version=2, rights=WRITE)
            registry.rotate(vault, sender=owner)
            continue
        grant(registry, vault, owner, reader, FAR - 1)
        registry.offer(vault, 2, buyer, now + 60 if name == "last" else FAR, sender=owner)
        registry.setBaseURI(vault, 3, "a", sender=owner)
        registry.setRecovery(vault, rescuer, sender=owner)
        registry.startRecovery(vault, buyer, sender=rescuer)
    registry.close(vaults["closed"], 4, NONE, sender=owner)
    chain.mine(timestamp=int(chain.pending_timestamp) + 52 * 86_400)
    registry.startRecovery(vaults["open"], buyer, sender=rescuer)
    chain.mine(timestamp=int(chain.pending_timestamp) + 22 * 86_400)
    registry.startRecovery(vaults["early"], buyer, sender=rescuer)
    for name in ("last", "early"):
        end_counter(registry, vaults[name], lowest_bit=224, bits=16)
    accounts = {"owner": owner, "writer": writer, "reader": reader, "stranger": stranger}
    return Scene(registry, accounts | {"buyer": buyer, "rescuer": rescuer}, vaults)


def conflict(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return bool(first.keys() & second.keys())


def test_refusals__two_faults_at_once__are_told_in_the_documented_order(scene: Scene) -> None:
    for verb in CALLS:
        check_order(scene, verb)


def check_order(scene: Scene, verb: str) -> None:
    actor, sound, faults = CALLS[verb]

    def refusal(*changes: dict[str, Any]) -> str | None:
        values = {"actor": actor} | sound
        for change in changes:
            values |= change
        sender = values.pop("actor")
        arguments = scene.resolved(values)
        return scene.refusal(sender, getattr(scene.registry, verb).encode_input(*arguments.values()))

    assert refusal() is None, verb
    for error, change in faults:
        assert refusal(change) == scene.selector(error), (verb, error)
    pairs = [(one, two) for one, two in combinations(faults, 2) if not conflict(one[1], two[1])]
    for (error, first), (_, second) in pairs:
        assert refusal(first, second) == scene.selector(error), (verb, first, second)


def test_refusals__signed__are_told_in_the_documented_order(scene: Scene, relayer: TestAccountAPI) -> None:
    """Vault and account, deadline, signature, number, then the rest."""
    for verb in CALLS:
        check_signed_order(scene, relayer, verb)


def check_signed_order(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    registry = scene.registry
    actor, sound, faults = CALLS[verb]
    numbers = {"revoke": 2, "revokeAll": 1, "rotate": 1, "cancelOffer": 3, "accept": 3}
    wrong = {"revoke": "WrongGrant", "revokeAll": "WrongTenure", "rotate": "WrongEpoch"}
    wrong |= {"cancelOffer": "WrongOffer", "accept": "WrongOffer"}
    who = {"UnknownVault", "VaultClosed", "NotOwner", "NotWriter", "NotKeyBearer", "NotOffered", "NotRecovery"}
    who |= {"NotNewOwner"}

    def refusal(change: dict[str, Any], number: int = 0, deadline: int = NO_DEADLINE, forged: bool = False) -> Any:
        values = {"actor": actor} | sound | change
        account = scene.accounts[values.pop("actor")]
        given = (*scene.resolved(values).values(), *([numbers.get(verb, 3) + number] if verb in BOUND else []))
        assert len(given) == len(names(verb))
        signature = sign(typed_data(registry, verb, account.address, given, deadline), relayer if forged else account)
        call = getattr(registry, f"{verb}For").encode_input(account.address, *given, deadline, signature)
        return scene.refusal("reader", call)

    assert refusal({}) is None, verb
    for error, change in faults:
        if error in who:
            assert refusal(change, 1, 0, True) == scene.selector(error), (verb, error)
            continue
        assert refusal(change, 1, 0, True) == scene.selector("SignatureExpired"), (verb, error)
        assert refusal(change, 1, NO_DEADLINE, True) == scene.selector("InvalidSignature"), (verb, error)
        if verb in BOUND:
            assert refusal(change, 1) == scene.selector(wrong.get(verb, "WrongAttempt")), (verb, error)
