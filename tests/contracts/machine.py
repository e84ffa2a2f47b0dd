"""The registry beside its model: rules that call both, and an invariant that compares all that can be seen."""

from collections.abc import Callable
from enum import Enum, auto
from functools import cache, partial
from typing import Any

from ape.api import ReceiptAPI, TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from eth_abi.abi import decode
from eth_utils import to_checksum_address
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from

from .helpers import assert_event, key_id, refused, word
from .model import (
    KEYS,
    LATEST,
    METHODS,
    NONE,
    READ,
    RECOVERY_DELAY,
    RECOVERY_WINDOW,
    WRITE,
    ZERO_ADDRESS,
    Event,
    Grant,
    Offer,
    Record,
    Recovery,
    Refused,
    RegistryModel,
    Vault,
)
from .signing import BOUND, sign, typed_data

RECORD_TYPE = "(address,uint32,uint32,uint16,uint8,uint8,bytes32,bytes32,bytes32,string)"
OFFER_TYPE = "(address,uint40,uint32)"
RECOVERY_TYPE = "(address,uint32,uint40,address)"
GRANT_TYPE = "(uint40,uint8,uint32,bytes20)"

# "Who may change what" of contracts/README.md, beside version and headLag. All but a commit is for the owner alone.
HAND_OVER = {"owner", "tenure", "epoch", "epochLag", "offer", "recovery"}
MAY_CHANGE = {
    "commit": {"contentHash", "memoryRoot", "epoch", "epochLag", "keyringHash"},
    "grant": {"grant", "keyringHash"},
    "revoke": {"grant", "epoch", "epochLag"},
    "revokeAll": {"tenure", "epoch", "epochLag"},
    "rotate": {"epoch", "epochLag"},
    "setBaseURI": {"baseURI"},
    "offer": {"offer"},
    "cancelOffer": {"offer"},
    "accept": HAND_OVER,
    "setRecovery": {"recovery"},
    "startRecovery": {"recovery"},
    "vetoRecovery": {"recovery"},
    "finishRecovery": HAND_OVER,
    "close": {"owner", "offer", "recovery"},
}
KEEP_VERSION = {"setRecovery", "startRecovery", "vetoRecovery"}

# Each rule makes a call that is right where the state allows it at all, and gives it at most one of these faults.
NO_FAULT = [""] * 6
faults_of_create = sampled_from([*NO_FAULT, "salt too low", "salt too high", "no content", "no keyring", "long URI"])
faults_of_commit = sampled_from(
    [*NO_FAULT, "stranger", "version", "epoch before", "epoch after", "no content", "content", "no keyring", "keyring"]
)
faults_of_grant = sampled_from(
    [*NO_FAULT, "stranger", "version", "zero", "owner", "no rights", "no key", "key", "expired", "too late", "keyring"]
)
faults_of_revoke = sampled_from([*NO_FAULT, "stranger", "no grant"])
faults_of_set_base_uri = sampled_from([*NO_FAULT, "stranger", "version", "long URI", "URI"])

faults_of_transfer = sampled_from([*NO_FAULT, "stranger", "version", "zero", "owner"])

OWNER, STRANGER = 0, 3
vaults = sampled_from([0, 0, 0, 0, 0, 1])
rights_lent = sampled_from([READ, WRITE, READ | WRITE, WRITE | KEYS, READ | WRITE | KEYS, 0xF8])
periods = sampled_from([1, 30, 100, 1000])
uris = sampled_from(["", "ipfs://f01551220", "x" * 31, "x" * 32, "x" * 256])


class Door(Enum):
    DIRECT = auto()
    SIGNED = auto()
    SIGNED_LATE = auto()  # after its deadline


def by_turns(second: int) -> Door:
    """Which door a call of this second takes: counted from the start, so that every run is the same."""
    if second % 2:
        return Door.DIRECT
    return Door.SIGNED if second % 16 else Door.SIGNED_LATE


class RegistryMachine(RuleBasedStateMachine):
    def __init__(
        self,
        registry: ContractInstance,
        chain: ChainManager,
        accounts: list[TestAccountAPI],
        relayer: TestAccountAPI,
        outcomes: list[str],
        door: Callable[[int], Door] = by_turns,
    ) -> None:
        """`outcomes` takes the name of the event or error of each call."""
        super().__init__()
        self.door = door
        self.registry = registry
        self.chain = chain
        self.accounts = accounts
        self.relayer = relayer
        self.outcomes = outcomes
        self.encode = cache(lambda call, *arguments: getattr(registry, call).encode_input(*arguments))
        self.snapshot = chain.snapshot()
        self.start = self.now = int(chain.pending_timestamp)
        self.model = RegistryModel(int(chain.chain_id), registry.address)
        self.last: tuple[str, str, bytes] | None = None
        self.open_vault()
        self.seen = self.observe()

    def open_vault(self) -> None:
        """A vault in which nearly every verb can succeed."""
        self.now += 1
        self.chain.pending_timestamp = self.now
        owner, writer, rescuer, buyer = (account.address for account in self.accounts)
        vault = self.model.vault_id(owner, 1)
        calls: list[tuple[str, tuple[Any, ...]]] = [
            ("create", (1, word("head 1"), word("log 1"), word("keyring 1"), "")),
            ("grant", (vault, 1, writer, WRITE | KEYS, self.now + 100, key_id("key 1"), NONE)),
            ("grant", (vault, 2, rescuer, READ | WRITE, self.now + 1000, key_id("key 1"), word("keyring 2"))),
            ("offer", (vault, 3, buyer, self.now + 10**7)),
            ("setRecovery", (vault, rescuer)),
        ]
        for verb, arguments in calls:
            getattr(self.model, METHODS[verb])(owner, self.now, *arguments)
        self.registry.multicall([self.encode(verb, *given) for verb, given in calls], sender=self.accounts[OWNER])
        self.now += 1
        self.chain.pending_timestamp = self.now
        self.model.start_recovery(rescuer, self.now, vault, buyer)
        self.registry.startRecovery(vault, buyer, sender=self.accounts[2])

    def teardown(self) -> None:
        self.chain.restore(self.snapshot)

    @rule(seconds=sampled_from([1, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.model.vaults) < 3)
    @rule(fault=faults_of_create, uri=uris)
    def create(self, fault: str, uri: str) -> None:
        salt = self.model.counts.get(self.accounts[OWNER].address, 0) + 1
        salt += {"salt too low": -1, "salt too high": 1}.get(fault, 0)
        head = NONE if fault == "no content" else self.fresh("head")
        keyring = NONE if fault == "no keyring" else self.fresh("keyring")
        uri = "x" * 257 if fault == "long URI" else uri
        self.call("create", OWNER, salt, head, self.fresh("log"), keyring, uri)

    @rule(vault=vaults, fault=faults_of_commit, rotates=booleans(), new_keyring=booleans())
    def commit(self, vault: int, fault: str, rotates: bool, new_keyring: bool) -> None:
        self.commit_as(STRANGER if fault == "stranger" else self.owner(vault), vault, fault, rotates, new_keyring)

    @precondition(lambda self: self.known(0).grants)
    @rule(grantee=integers(0, 1), fault=faults_of_commit, rotates=booleans(), new_keyring=booleans())
    def commit_as_grantee(self, grantee: int, fault: str, rotates: bool, new_keyring: bool) -> None:
        self.commit_as(self.lent(grantee), 0, fault, rotates, new_keyring)

    @precondition(lambda self: not self.known(0).locked)
    @rule(vault=vaults, fault=faults_of_grant, grantee=integers(1, 2), rights=rights_lent, period=periods)
    def grant(self, vault: int, fault: str, grantee: int, rights: int, period: int) -> None:
        whom = {"zero": ZERO_ADDRESS, "owner": self.known(vault).owner}.get(fault, self.accounts[grantee].address)
        self.grant_to(vault, fault, whom, rights, self.now + period)

    @precondition(lambda self: self.known(0).grants)
    @rule(
        fault=faults_of_grant,
        grantee=integers(0, 1),
        rights=sampled_from([0, READ, 0xFF]),
        longer=sampled_from([0, 50]),
    )
    def grant_again(self, fault: str, grantee: int, rights: int, longer: int) -> None:
        account = self.accounts[self.lent(grantee)].address
        held = self.known(0).grants[account]
        self.grant_to(0, fault, account, held.rights | rights, held.expiresAt + longer)

    @precondition(lambda self: self.known(0).grants)
    @rule(fault=faults_of_revoke, grantee=integers(0, 1))
    def revoke(self, fault: str, grantee: int) -> None:
        actor = STRANGER if fault == "stranger" else self.owner(0)
        whom = self.accounts[STRANGER if fault == "no grant" else self.lent(grantee)].address
        self.call("revoke", actor, self.vault_id(0), whom)

    @rule(vault=vaults, actor=sampled_from([None] * 4 + [1, STRANGER]), everyone=sampled_from([False, False, True]))
    def rotate(self, vault: int, actor: int | None, everyone: bool) -> None:
        actor = self.owner(vault) if actor is None else actor
        if everyone:
            self.call("revokeAll", actor, self.vault_id(vault))
        else:
            self.call("rotate", actor, self.vault_id(vault))

    @rule(vault=vaults, fault=faults_of_set_base_uri, uri=uris)
    def set_base_uri(self, vault: int, fault: str, uri: str) -> None:
        known = self.known(vault)
        actor = STRANGER if fault == "stranger" else self.owner(vault)
        version = known.version + (fault == "version")
        uri = {"long URI": "x" * 257, "URI": known.base_uri}.get(fault, uri)
        self.call("setBaseURI", actor, self.vault_id(vault), version, uri)

    @rule(vault=vaults, fault=faults_of_transfer, to=integers(1, 3), period=sampled_from([1, 100, 10**7]))
    def offer(self, vault: int, fault: str, to: int, period: int) -> None:
        known = self.known(vault)
        actor = STRANGER if fault == "stranger" else self.owner(vault)
        whom = {"zero": ZERO_ADDRESS, "owner": known.owner}.get(fault, self.accounts[to].address)
        version = known.version + (fault == "version")
        self.call("offer", actor, self.vault_id(vault), version, whom, self.now + 1 + period)

    @precondition(lambda self: self.known(0).offer != Offer())
    @rule(takes=sampled_from([True, True, False]), stranger=sampled_from([False, False, False, True]))
    def answer_offer(self, takes: bool, stranger: bool) -> None:
        offered = self.number_of(self.known(0).offer.newOwner)
        actor = STRANGER if stranger else offered if takes else self.owner(0)
        self.call("accept" if takes else "cancelOffer", actor, self.vault_id(0))

    @rule(fault=faults_of_transfer, whom=sampled_from([1, 2, 3, None]))
    def set_recovery(self, fault: str, whom: int | None) -> None:
        actor = STRANGER if fault == "stranger" else self.owner(0)
        address = ZERO_ADDRESS if whom is None else self.accounts[whom].address
        self.call("setRecovery", actor, self.vault_id(0), self.known(0).owner if fault == "owner" else address)

    @precondition(lambda self: self.known(0).recovery.account != ZERO_ADDRESS)
    @rule(fault=faults_of_transfer, to=integers(0, 3))
    def start_recovery(self, fault: str, to: int) -> None:
        known = self.known(0)
        actor = STRANGER if fault == "stranger" else self.number_of(known.recovery.account)
        whom = {"zero": ZERO_ADDRESS, "owner": known.owner}.get(fault, self.accounts[to].address)
        self.call("startRecovery", actor, self.vault_id(0), whom)

    @precondition(lambda self: self.known(0).recovery.newOwner != ZERO_ADDRESS)
    @rule(wait=sampled_from([0, RECOVERY_DELAY, RECOVERY_DELAY, RECOVERY_DELAY + RECOVERY_WINDOW]), other=booleans())
    def finish_recovery(self, wait: int, other: bool) -> None:
        self.now += wait
        actor = self.number_of(self.known(0).recovery.newOwner)
        self.call("finishRecovery", STRANGER if other and not wait else actor, self.vault_id(0))

    @rule(stranger=sampled_from([False, False, True]))
    def veto_recovery(self, stranger: bool) -> None:
        self.call("vetoRecovery", STRANGER if stranger else self.owner(0), self.vault_id(0))

    @precondition(lambda self: len(self.model.vaults) > 1)
    @rule(vault=sampled_from([1, 1, 1, 0]), fault=sampled_from(["", "", "stranger", "version", "itself"]))
    def close(self, vault: int, fault: str) -> None:
        actor = STRANGER if fault == "stranger" else self.owner(vault)
        version = self.known(vault).version + (fault == "version")
        successor = self.vault_id(vault) if fault == "itself" else self.fresh("successor")
        self.call("close", actor, self.vault_id(vault), version, successor)

    def commit_as(self, actor: int, vault: int, fault: str, rotates: bool, new_keyring: bool) -> None:
        known = self.known(vault)
        epoch = known.epoch + {"epoch before": -1, "epoch after": 2}.get(fault, int(rotates))
        head = {"no content": NONE, "content": known.content_hash}.get(fault, self.fresh("head"))
        keyring = self.fresh("keyring") if new_keyring or rotates or known.locked else NONE
        keyring = {"no keyring": NONE, "keyring": known.keyring_hash}.get(fault, keyring)
        arguments = (
            self.vault_id(vault),
            known.version + (fault == "version"),
            epoch,
            head,
            self.fresh("log"),
            keyring,
        )
        self.call("commit", actor, *arguments)

    def grant_to(self, vault: int, fault: str, grantee: str, rights: int, expires_at: int) -> None:
        known = self.known(vault)
        actor = STRANGER if fault == "stranger" else self.owner(vault)
        rights = 0 if fault == "no rights" else rights
        expires_at = {"expired": self.now + 1, "too late": LATEST + 1}.get(fault, expires_at)
        key = {"no key": bytes(20), "key": key_id("key 2")}.get(fault, key_id("key 1"))
        keyring = {"keyring": known.keyring_hash}.get(fault, self.fresh("keyring") if rights & READ else NONE)
        version = known.version + (fault == "version")
        arguments = (self.vault_id(vault), version, grantee, rights, expires_at, key, keyring)
        self.call("grant", actor, *arguments)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        now = int(self.chain.blocks.head.timestamp)
        seen = self.observe()
        expected: dict[Any, Any] = {("count", a.address): self.model.counts.get(a.address, 0) for a in self.accounts}
        for account in self.accounts:
            accepted = self.model.accepted.get(account.address, [])
            expected["accepted", account.address] = (len(accepted), [NONE, *accepted, NONE])
        for vault_id, vault in self.model.vaults.items():
            expected |= {(vault_id, "offer"): vault.offer, (vault_id, "recovery"): vault.recovery}
            expected |= {(vault_id, name): value for name, value in vault.record._asdict().items()}
            for address in self.everyone():
                expected[vault_id, "grant", address] = vault.grants.get(address, Grant())
        for vault_id in self.ids:
            for address in self.everyone():
                known = self.model.vaults.get(vault_id)
                rights = known.rights(address, now) if known else 0
                expected[vault_id, "can", address] = (bool(rights & READ), bool(rights & WRITE))
        assert seen == expected
        self.check_table(seen)
        self.seen = seen
        self.last = None

    def call(self, verb: str, actor: int, *arguments: Any) -> None:
        """Makes the call one second on, and compares its event or error with the model's.

        A signed one is sent by a relayer, and again where it succeeded.
        """
        self.now += 1
        door = self.door(self.now - self.start)
        if door is Door.DIRECT:
            expect = getattr(self.model, METHODS[verb])
            self.make(verb, actor, expect, getattr(self.registry, verb), self.accounts[actor], arguments)
            return
        deadline = self.now - 1 if door is Door.SIGNED_LATE else self.now + 100
        values = (*arguments, self.model.number(verb, *arguments)) if verb in BOUND else arguments
        account = self.accounts[actor]
        signature = sign(typed_data(self.registry, verb, account.address, values, deadline), account)

        def expected(actor: str, now: int, *_: Any) -> Event:
            return self.model.signed(verb, actor, now, deadline, *values)

        send = partial(getattr(self.registry, f"{verb}For"), account.address)
        sent = (*values, deadline, signature)
        if self.make(verb, actor, expected, send, self.relayer, sent):
            self.now += 1
            assert not self.make(verb, actor, expected, send, self.relayer, sent)

    def make(
        self,
        verb: str,
        actor: int,
        expect: Callable[..., Event],
        send: Callable[..., ReceiptAPI],
        sender: TestAccountAPI,
        arguments: tuple[Any, ...],
    ) -> bool:
        """Sends, and says whether that was right and succeeded; the actor is whom the model judges."""
        self.chain.pending_timestamp = self.now
        account = self.accounts[actor].address
        try:
            event = expect(account, self.now, *arguments)
        except Refused as refusal:
            with refused(self.registry, refusal.error, **refusal.arguments):
                send(*arguments, sender=sender)
            self.outcomes.append(refusal.error)
            return False
        assert_event(self.registry, send(*arguments, sender=sender), event.name, **event.arguments)
        self.outcomes.append(event.name)
        self.last = (verb, account, event.arguments["vaultId"])
        return True

    def check_table(self, seen: dict[Any, Any]) -> None:
        """The last call changed no more than it may, and its actor may make it."""
        changed = {key for key, value in seen.items() if self.seen.get(key) != value and key[1] != "can"}
        if self.last is None:
            assert not changed
            return
        verb, actor, vault_id = self.last
        if verb != "create":
            rise = 0 if verb in KEEP_VERSION else 1
            assert seen[vault_id, "version"] == self.seen[vault_id, "version"] + rise
        if verb == "create":
            assert changed <= {("count", actor), *(key for key in seen if key[0] == vault_id)}
            return
        needed = WRITE | (KEYS if (vault_id, "keyringHash") in changed else 0)
        held = self.seen[vault_id, "grant", actor]
        lent = verb == "commit" and held.rights & needed == needed and self.now < held.expiresAt
        offer, recovery = self.seen[vault_id, "offer"], self.seen[vault_id, "recovery"]
        named = {"accept": offer.newOwner, "startRecovery": recovery.account, "finishRecovery": recovery.newOwner}
        assert lent or actor == named.get(verb, self.seen[vault_id, "owner"])
        if verb in ("accept", "finishRecovery"):
            assert ("accepted", actor) in changed
            changed.remove(("accepted", actor))
        if verb in ("revokeAll", "accept", "finishRecovery"):
            # Every grant reads as nothing in a new tenure, though its slot stays.
            changed = {key for key in changed if key[1] != "grant"}
        moved = set() if verb in KEEP_VERSION else {"version", "headLag"}
        assert {key[:2] for key in changed} <= {(vault_id, part) for part in MAY_CHANGE[verb] | moved}

    def observe(self) -> dict[Any, Any]:
        """All that the contract tells of the vaults there are, and who may do what with one that there is not."""
        asked: dict[Any, tuple[bytes, str]] = {}
        for account in self.accounts:
            asked["count", account.address] = (self.encode("vaultCount", account.address), "uint256")
            asked["accepted", account.address] = (self.encode("acceptedCount", account.address), "uint256")
            for number in range(len(self.model.accepted.get(account.address, [])) + 2):
                call = self.encode("acceptedVault", account.address, number)
                asked["acceptedVault", account.address, number] = (call, "bytes32")
        for vault_id in self.ids:
            exists = vault_id in self.model.vaults
            if exists:
                asked[vault_id, "record"] = (self.encode("record", vault_id), RECORD_TYPE)
                asked[vault_id, "offer"] = (self.encode("offerOf", vault_id), OFFER_TYPE)
                asked[vault_id, "recovery"] = (self.encode("recoveryOf", vault_id), RECOVERY_TYPE)
            for account in self.everyone():
                if exists:
                    asked[vault_id, "grant", account] = (self.encode("grantOf", vault_id, account), GRANT_TYPE)
                for question in ("canRead", "canWrite"):
                    asked[vault_id, question, account] = (self.encode(question, vault_id, account), "bool")
        answers = self.registry.multicall.call([call for call, _ in asked.values()])
        told = {key: decode([kind], answer)[0] for (key, (_, kind)), answer in zip(asked.items(), answers, strict=True)}
        return self.arranged(told)

    def arranged(self, told: dict[Any, Any]) -> dict[Any, Any]:
        state: dict[Any, Any] = {}
        for key, value in told.items():
            match key:
                case (bytes() as vault_id, "record"):
                    fields = Record(to_checksum_address(value[0]), *value[1:])._asdict()
                    state |= {(vault_id, name): part for name, part in fields.items()}
                case (bytes(), "grant", _):
                    state[key] = Grant(*value)
                case (bytes(), "offer"):
                    state[key] = Offer(to_checksum_address(value[0]), *value[1:])
                case (bytes(), "recovery"):
                    state[key] = Recovery(
                        to_checksum_address(value[0]), value[1], value[2], to_checksum_address(value[3])
                    )
                case (bytes() as vault_id, "canRead", account):
                    state[vault_id, "can", account] = (value, told[vault_id, "canWrite", account])
                case ("count", _):
                    state[key] = value
                case ("accepted", _):
                    state[key] = (value, [])
                case ("acceptedVault", address, _):
                    state["accepted", address][1].append(value)
        return state

    @property
    def ids(self) -> list[bytes]:
        """The vaults there are, and one that there is not."""
        return [*self.model.vaults, word("no vault")]

    def vault_id(self, index: int) -> bytes:
        return self.ids[min(index, len(self.ids) - 1)]

    def everyone(self) -> list[str]:
        return [*(account.address for account in self.accounts), ZERO_ADDRESS]

    def lent(self, index: int) -> int:
        """The number of an account that has a grant of the first vault."""
        holders = [n for n, account in enumerate(self.accounts) if account.address in self.known(0).grants]
        return holders[index % len(holders)]

    def owner(self, index: int) -> int:
        """The number of the account that owns the vault, or of the first where there is no open one."""
        owner = self.known(index).owner
        return OWNER if owner == ZERO_ADDRESS else self.number_of(owner)

    def number_of(self, address: str) -> int:
        return next(n for n, account in enumerate(self.accounts) if account.address == address)

    def known(self, index: int) -> Vault:
        """The vault as the model has it, or one as just created in place of the one that there is not."""
        return self.model.vaults.get(self.vault_id(index), Vault(ZERO_ADDRESS, NONE, NONE, NONE, ""))

    def fresh(self, kind: str) -> bytes:
        return word(f"{kind} at {self.now - self.start}")
