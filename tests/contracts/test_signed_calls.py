"""Every call for an account that signed it. Invariants 2, 3, 13 and 20."""

from dataclasses import dataclass
from typing import Any

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.exceptions import CustomError
from ape.managers.chain import ChainManager
from eth_utils import keccak

from .helpers import DAY, URI, assert_event, commit, create, grant, key_id, recovery_of, refused, storage_root, word
from .model import NONE, READ, WRITE, ZERO_ADDRESS
from .signing import BOUND, FIELDS, NO_DEADLINE, digest, direct, names, relay, send, sign, struct, typed_data

VERBS = list(FIELDS)
FAR = 2**40 - 1
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1


@dataclass(frozen=True)
class Scene:
    """Two vaults in which every verb can succeed, at a fixed time: granted, offered, a recovery ready to finish."""

    registry: ContractInstance
    chain: ChainManager
    vault: bytes
    twin: bytes
    now: int
    accounts: dict[str, TestAccountAPI]

    def values(self, verb: str) -> tuple[Any, ...]:
        reader, stranger = self.accounts["reader"].address, self.accounts["stranger"].address
        given: dict[str, tuple[Any, ...]] = {
            "create": (3, word("head 1"), word("log 1"), word("keyring 1"), URI),
            "commit": (self.vault, 3, 1, word("head 2"), word("log 2"), word("keyring 2")),
            "grant": (self.vault, 3, stranger, READ, FAR, key_id("key 2"), NONE),
            "revoke": (self.vault, reader, 2),
            "revokeAll": (self.vault, 1),
            "rotate": (self.vault, 1),
            "setBaseURI": (self.vault, 3, "evm:"),
            "offer": (self.vault, 3, stranger, FAR),
            "cancelOffer": (self.vault, 3),
            "accept": (self.vault, 3),
            "setRecovery": (self.vault, stranger, 2),
            "startRecovery": (self.vault, stranger, 2),
            "vetoRecovery": (self.vault, 2),
            "finishRecovery": (self.vault, 2),
            "close": (self.vault, 3, word("vault 2")),
        }
        return given[verb]

    def signer(self, verb: str) -> TestAccountAPI:
        roles = {"accept": "buyer", "finishRecovery": "buyer", "startRecovery": "rescuer"}
        return self.accounts[roles.get(verb, "owner")]

    def at_its_time(self) -> None:
        self.chain.pending_timestamp = self.now


@pytest.fixture(scope="module")
def prepared(
    registry: ContractInstance,
    chain: ChainManager,
    owner: TestAccountAPI,
    writer: TestAccountAPI,
    reader: TestAccountAPI,
    stranger: TestAccountAPI,
    buyer: TestAccountAPI,
    rescuer: TestAccountAPI,
) -> Scene:
    vault, twin = (bytes(registry.vaultIdOf(owner, salt)) for salt in (1, 2))
    for salt, each in ((1, vault), (2, twin)):
        create(registry, owner, salt=salt)
        grant(registry, each, owner, reader, FAR)
        registry.offer(each, 2, buyer, FAR, sender=owner)
        registry.setRecovery(each, rescuer, sender=owner)
        registry.startRecovery(each, buyer, sender=rescuer)
    now = recovery_of(registry, twin).readyAt + DAY
    accounts = {"owner": owner, "writer": writer, "reader": reader, "stranger": stranger}
    return Scene(registry, chain, vault, twin, now, accounts | {"buyer": buyer, "rescuer": rescuer})


@pytest.fixture
def scene(prepared: Scene) -> Scene:
    prepared.at_its_time()
    return prepared


def invalid(scene: Scene, verb: str, account: str, values: tuple[Any, ...], deadline: int = NO_DEADLINE) -> Any:
    """The refusal of a signature for this call, as the contract should word it."""
    expected = digest(typed_data(scene.registry, verb, account, values, deadline))
    return refused(scene.registry, "InvalidSignature", account=account, digest=expected)


@pytest.mark.parametrize("verb", VERBS)
def test_signed__relayed__does_exactly_what_the_direct_call_does(
    scene: Scene, relayer: TestAccountAPI, verb: str
) -> None:
    registry, signer, values = scene.registry, scene.signer(verb), scene.values(verb)
    with scene.chain.isolate():
        scene.at_its_time()
        expected = getattr(registry, verb)(*direct(verb, values), sender=signer)
        after = storage_root(registry)

    scene.at_its_time()
    receipt = relay(registry, relayer, verb, signer, *values)

    assert storage_root(registry) == after
    [event] = expected.events
    assert event.event_arguments["actor"] == signer.address
    assert_event(registry, receipt, event.event_name, **event.event_arguments)


@pytest.mark.parametrize("verb", VERBS)
def test_signed__sent_twice__is_refused_the_second_time(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    registry, signer, values = scene.registry, scene.signer(verb), scene.values(verb)
    signature = sign(typed_data(registry, verb, signer.address, values, NO_DEADLINE), signer)
    send(registry, relayer, verb, signer.address, values, NO_DEADLINE, signature)

    before = storage_root(registry)
    with pytest.raises(CustomError) as caught:
        send(registry, relayer, verb, signer.address, values, NO_DEADLINE, signature)

    named = {
        "create": "WrongSalt",
        "revoke": "WrongGrant",
        "revokeAll": "WrongTenure",
        "rotate": "WrongEpoch",
        "cancelOffer": "WrongOffer",
        "accept": "NotOffered",
        "setRecovery": "WrongAttempt",
        "startRecovery": "WrongAttempt",
        "vetoRecovery": "WrongAttempt",
        "finishRecovery": "NotNewOwner",
        "close": "VaultClosed",
    }
    assert type(caught.value).__name__ == named.get(verb, "WrongVersion")
    assert storage_root(registry) == before


@pytest.mark.parametrize("verb", VERBS)
def test_signed__deadline__ends_it_after_its_last_second(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    signer, values = scene.signer(verb), scene.values(verb)
    scene.at_its_time()
    with refused(scene.registry, "SignatureExpired", deadline=scene.now - 1, currentTime=scene.now):
        relay(scene.registry, relayer, verb, signer, *values, deadline=scene.now - 1)
    scene.at_its_time()
    relay(scene.registry, relayer, verb, signer, *values, deadline=scene.now)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "domain",
    [{"chainId": 1}, {"verifyingContract": ZERO_ADDRESS}, {"name": "MemSync"}, {"version": "2"}],
    ids=lambda domain: next(iter(domain)),
)
def test_signed__for_another_domain__is_refused(
    scene: Scene, relayer: TestAccountAPI, verb: str, domain: dict[str, Any]
) -> None:
    signer, values = scene.signer(verb), scene.values(verb)
    signature = sign(typed_data(scene.registry, verb, signer.address, values, NO_DEADLINE, **domain), signer)
    with invalid(scene, verb, signer.address, values):
        send(scene.registry, relayer, verb, signer.address, values, NO_DEADLINE, signature)


@pytest.mark.parametrize(("verb", "field"), [(verb, field) for verb in VERBS for field in [*names(verb), "deadline"]])
def test_signed__one_value_changed__is_refused(scene: Scene, relayer: TestAccountAPI, verb: str, field: str) -> None:
    signer, values = scene.signer(verb), scene.values(verb)
    changed = {name: another(v) if name == field else v for name, v in zip(names(verb), values, strict=True)}
    if field == "vaultId":
        changed[field] = scene.twin
    sent, deadline = tuple(changed.values()), NO_DEADLINE - (field == "deadline")
    signature = sign(typed_data(scene.registry, verb, signer.address, values, NO_DEADLINE), signer)
    with invalid(scene, verb, signer.address, sent, deadline):
        send(scene.registry, relayer, verb, signer.address, sent, deadline, signature)


def another(value: Any) -> Any:
    match value:
        case int():
            return value - 1
        case bytes():
            return keccak(value)[: len(value)]
        case str() if value.startswith("0x"):
            return "0x" + "11" * 20
        case _:
            return value + "x"


@pytest.mark.parametrize("verb", VERBS)
def test_signed__for_another_verb__is_refused(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    """Verbs with the same fields are told apart by their names, and where none has them the name counts as well."""
    signer, values = scene.signer(verb), scene.values(verb)
    kinds = [field.split()[0] for field in FIELDS[verb].split(",")]
    messages = [
        typed_data(scene.registry, other, signer.address, values, NO_DEADLINE)
        for other in VERBS
        if other != verb and [field.split()[0] for field in FIELDS[other].split(",")] == kinds
    ]
    with pytest.MonkeyPatch.context() as patch:
        other = VERBS[VERBS.index(verb) - 1]
        patch.setitem(FIELDS, other, FIELDS[verb])
        messages.append(typed_data(scene.registry, other, signer.address, values, NO_DEADLINE))
    for message in messages:
        signature = sign(message, signer)
        with invalid(scene, verb, signer.address, values):
            send(scene.registry, relayer, verb, signer.address, values, NO_DEADLINE, signature)


@pytest.mark.parametrize("verb", VERBS)
def test_signed__by_another_key__is_refused(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    signer, values = scene.signer(verb), scene.values(verb)
    message = typed_data(scene.registry, verb, signer.address, values, NO_DEADLINE)
    with invalid(scene, verb, signer.address, values):
        send(scene.registry, relayer, verb, signer.address, values, NO_DEADLINE, sign(message, relayer))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "create"])
def test_signed__by_an_account_that_may_not__is_refused_before_its_signature_counts(
    scene: Scene, relayer: TestAccountAPI, verb: str
) -> None:
    named = {
        "commit": "NotWriter",
        "accept": "NotOffered",
        "startRecovery": "NotRecovery",
        "finishRecovery": "NotNewOwner",
    }.get(verb, "NotOwner")
    values = scene.values(verb)
    for account in (relayer.address, ZERO_ADDRESS):
        with refused(scene.registry, named, vaultId=scene.vault, account=account):
            send(scene.registry, relayer, verb, account, values, 0, b"")
    unknown = (word("no vault"), *values[1:])
    for account in (relayer.address, ZERO_ADDRESS):
        with refused(scene.registry, "UnknownVault", vaultId=word("no vault")):
            send(scene.registry, relayer, verb, account, unknown, 0, b"")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "create"])
def test_signed__closed_vault__is_refused(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    scene.registry.close(scene.vault, 3, NONE, sender=scene.accounts["owner"])
    with refused(scene.registry, "VaultClosed", vaultId=scene.vault):
        relay(scene.registry, relayer, verb, scene.signer(verb), *scene.values(verb))


@pytest.mark.parametrize("verb", ["create", "accept", "finishRecovery"])
def test_signed__zero_address_where_nobody_is_named__is_refused(
    scene: Scene, relayer: TestAccountAPI, verb: str
) -> None:
    """Recovering a bad signature gives the zero address, and so do an offer and a recovery that are not there."""
    registry, owner = scene.registry, scene.accounts["owner"]
    create(registry, owner, salt=3)
    vault = bytes(registry.vaultIdOf(owner, 3))
    values = (1, word("head 1"), NONE, word("keyring 1"), "") if verb == "create" else (vault, 0)
    for signature in (b"", bytes(65), bytes(64) + b"\x1b"):
        expected = digest(typed_data(registry, verb, ZERO_ADDRESS, values, NO_DEADLINE))
        with refused(registry, "InvalidSignature", account=ZERO_ADDRESS, digest=expected):
            send(registry, relayer, verb, ZERO_ADDRESS, values, NO_DEADLINE, signature)


def test_signed__start_by_the_zero_address_of_a_vault_without_recovery_address__is_refused(
    scene: Scene, relayer: TestAccountAPI
) -> None:
    registry, owner = scene.registry, scene.accounts["owner"]
    create(registry, owner, salt=3)
    vault = bytes(registry.vaultIdOf(owner, 3))
    with refused(registry, "NotRecovery", vaultId=vault, account=ZERO_ADDRESS):
        send(registry, relayer, "startRecovery", ZERO_ADDRESS, (vault, owner.address, 0), NO_DEADLINE, b"")


@pytest.mark.parametrize("form", ["high s", "compact", "longer", "empty", "v 0 or 1", "zeros"])
def test_signed__signature_in_another_form__is_refused(scene: Scene, relayer: TestAccountAPI, form: str) -> None:
    owner, values = scene.accounts["owner"], scene.values("rotate")
    signature = sign(typed_data(scene.registry, "rotate", owner.address, values, NO_DEADLINE), owner)
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    forms = {
        "high s": r + (ORDER - s).to_bytes(32) + bytes([27 + 28 - v]),
        "compact": r + (s | (v - 27) << 255).to_bytes(32),
        "longer": signature + b"\0",
        "empty": b"",
        "v 0 or 1": signature[:64] + bytes([v - 27]),
        "zeros": bytes(65),
    }
    with invalid(scene, "rotate", owner.address, values):
        send(scene.registry, relayer, "rotate", owner.address, values, NO_DEADLINE, forms[form])


@pytest.mark.parametrize("verb", BOUND)
def test_signed__another_number__is_refused(scene: Scene, relayer: TestAccountAPI, verb: str) -> None:
    error = {"revoke": "WrongGrant", "revokeAll": "WrongTenure", "rotate": "WrongEpoch", "cancelOffer": "WrongOffer"}
    error |= {"accept": "WrongOffer"}
    current = scene.values(verb)[-1]
    subject = {"grantee": scene.accounts["reader"].address} if verb == "revoke" else {}
    for number in (0, current - 1, current + 1):
        values = (*scene.values(verb)[:-1], number)
        with refused(
            scene.registry,
            error.get(verb, "WrongAttempt"),
            vaultId=scene.vault,
            **subject,
            given=number,
            current=current,
        ):
            relay(scene.registry, relayer, verb, scene.signer(verb), *values)


def test_signed__writer__commits_without_the_owner(scene: Scene, relayer: TestAccountAPI) -> None:
    registry, vault, owner, writer = scene.registry, scene.vault, scene.accounts["owner"], scene.accounts["writer"]
    grant(registry, vault, owner, writer, FAR, version=3, rights=WRITE)

    relay(registry, relayer, "commit", writer, vault, 4, 1, word("head 2"), NONE, NONE)

    with refused(registry, "NotKeyBearer", vaultId=vault, account=writer.address):
        relay(registry, relayer, "commit", writer, vault, 5, 1, word("head 3"), NONE, word("keyring 2"))


def test_signed__in_a_multicall__comes_from_each_signer(scene: Scene, relayer: TestAccountAPI) -> None:
    registry, writer, stranger = scene.registry, scene.accounts["writer"], scene.accounts["stranger"]
    calls = []
    for signer in (writer, stranger):
        values = (1, word("head 1"), NONE, word("keyring 1"), "")
        signature = sign(typed_data(registry, "create", signer.address, values, NO_DEADLINE), signer)
        calls.append(registry.createFor.encode_input(signer, *values, NO_DEADLINE, signature))
    registry.multicall(calls, sender=relayer)

    assert [registry.vaultCount(account) for account in (writer, stranger, relayer)] == [1, 1, 0]


def test_signed__after_a_commit_in_between__revokes_all_the_same(scene: Scene, relayer: TestAccountAPI) -> None:
    registry, vault, owner, writer = scene.registry, scene.vault, scene.accounts["owner"], scene.accounts["writer"]
    grant(registry, vault, owner, writer, FAR, version=3, rights=WRITE)
    commit(registry, vault, writer, version=4)

    relay(registry, relayer, "revoke", owner, vault, writer.address, 4)

    assert not registry.canWrite(vault, writer)


def test_eip712_domain__asked__is_what_signatures_are_made_for(registry: ContractInstance) -> None:
    chain_id = int(registry.provider.chain_id)

    domain = list(registry.eip712Domain())

    assert domain == [b"\x0f", "MemoryRegistry", "1", chain_id, registry.address, bytes(32), []]


def test_type_strings__in_the_source__are_those_that_tests_sign(registry: ContractInstance) -> None:
    code = bytes(registry.provider.get_code(registry.address))
    for verb, fields in FIELDS.items():
        assert keccak(text=f"{struct(verb)}(address account,{fields},uint256 deadline)") in code
