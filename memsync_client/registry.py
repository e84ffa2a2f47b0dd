"""The MemoryRegistry on one chain: what it says of a vault, and the calls that change it.

Vault ids and hashes are 32 bytes, addresses carry their checksum, times are UTC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from eth_abi.abi import encode
from eth_utils import keccak
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError

from . import state_proof
from .addresses import checked_address
from .agreement import agreed, confirm, side_by_side, two_at_least
from .errors import InvalidRequest, MemSyncError, NodeUnreachable, NoRegistry, UnknownVault, WrongChain
from .event_log import EventLog
from .records import Block, CommitEvent, History, Offer, PublicGrant, Receipt, Recovery, VaultRecord
from .refusals import decode_error
from .rpc import Node
from .state_proof import NotProven
from .transactions import Call, to_number, to_time

LAG_MAX = 255  # a lag that stays there counts no further
_NO_HASH = bytes(32)
_NOBODY = "0x" + "00" * 20
_MAX_VAULTS = 100_000  # of one owner; more is a lie of the node
MAX_BASE_URI = 256  # bytes


class Registry(EventLog):
    """The MemoryRegistry. All reads raise NodeUnreachable. ``others`` are other nodes' word for the same one."""

    others: tuple[Registry, ...] = ()
    _offers_proofs = True  # until it has refused one

    @classmethod
    def connect(
        cls, rpc_url: str, *, chain_id: int | None = None, address: str | None = None, timeout: float = 10
    ) -> Registry:
        """Connect and check what is there. ``timeout`` is in seconds, for each request.

        ``rpc_url`` may name several nodes, separated by spaces: the first that answers takes the transactions, and
        the others are compared with it. ``chain_id`` None takes any chain; ``address`` None is the registry's own, the
        same on every chain. Raises NodeUnreachable, WrongChain, NoRegistry, or InvalidRequest.
        """
        nodes = [Node(url, timeout=timeout) for url in rpc_url.split() or [""]]
        if len(nodes) == 1:
            return cls._at(nodes[0], chain_id, address)
        if len({node.url for node in nodes}) < len(nodes):
            raise InvalidRequest("The same RPC node is named twice.", "Name nodes that others run.")
        found = side_by_side(nodes, lambda node: cls._at(node, chain_id, address))
        for error in found:
            if isinstance(error, MemSyncError) and not isinstance(error, NodeUnreachable):
                raise error
        first, *others = two_at_least(found, len(nodes))
        for other in others:
            if other.chain_id != first.chain_id:
                said = f"{other.node.name} serves chain {other.chain_id}, {first.node.name} chain {first.chain_id}."
                raise WrongChain(said, "Name nodes of one chain.")
        first.others = tuple(others)
        return first

    @classmethod
    def _at(cls, node: Node, chain_id: int | None, address: str | None) -> Registry:
        artifact = load_artifact()
        at = checked_address(address or artifact["address"])
        with node.asking():
            served = to_number(node.web3.eth.chain_id)
            code = bytes(node.web3.eth.get_code(at))
        if chain_id is not None and served != chain_id:
            said = f"{node.name} serves chain {served}, not chain {chain_id}."
            raise WrongChain(said, f"Name an RPC node of chain {chain_id}.")
        if not code:
            said = f"There is no MemoryRegistry at {at} on chain {served}."
            raise NoRegistry(said, "Check chain and address, or deploy it there: anyone can.")
        if keccak(code) != bytes.fromhex(artifact["runtimeCodeHash"][2:]):
            said = f"The contract at {at} on chain {served} is not this version's MemoryRegistry."
            raise NoRegistry(said, "Check the address, or use the version of MemSync that the vault was made with.")
        return cls(node, served, at, _with_raw_uri(artifact["abi"]))

    @property
    def abi(self) -> list[dict[str, Any]]:
        """The contract's interface."""
        return self._abi

    # Reads ------------------------------------------------------------------------------------------------------------

    def record(self, vault_id: bytes, block: int | None = None, *, prove: bool = False) -> VaultRecord:
        """A vault's record, all of it as of one block: the newest, or ``block`` (old ones need an archive node).

        The newest is compared with what ``others`` say, and then proven where a node offers that; ``prove`` asks for it
        where there are none. Raises UnknownVault, and NodesDisagree.
        """
        if block is None and self.others:
            return agreed((self, *self.others), vault_id)
        at = self.block(block)
        return self.record_at(vault_id, at if prove else replace(at, header=None))

    def record_at(self, vault_id: bytes, at: Block) -> VaultRecord:
        """What this node says as of a block; if that has its header, proven where the node offers it. Raises
        UnknownVault."""
        found = self._read("record", vault_id, block=at.number)
        owner, version, epoch, tenure, head_lag, epoch_lag, content_hash, memory_root, keyring_hash, base_uri = found
        if not (version > head_lag >= epoch_lag and epoch > epoch_lag and tenure and any(content_hash)):
            raise self._lie("a record that no vault has")
        if len(base_uri) > MAX_BASE_URI:
            raise self._lie(f"a base URI of {len(base_uri):,} bytes, where {MAX_BASE_URI} fit")
        proven = self._prove(at, vault_id, found)
        head_version, head_epoch = version - head_lag, epoch - epoch_lag
        if head_lag == LAG_MAX:
            last = next(iter(self._commits(vault_id, 0, at.number)[-1:]), None)
            if last is None or last.content_hash != content_hash or not version - last.version >= LAG_MAX:
                raise self._lie("logs that lack the vault's last commit")
            head_version, head_epoch = last.version, last.epoch
        return VaultRecord(
            vault_id=vault_id,
            owner=owner,
            version=version,
            epoch=epoch,
            tenure=tenure,
            head_version=head_version,
            head_epoch=head_epoch,
            content_hash=content_hash,
            memory_root=memory_root,
            keyring_hash=keyring_hash,
            base_uri=base_uri.decode(errors="replace"),
            block=at,
            proven=proven,
        )

    def block(self, number: int | None = None) -> Block:
        """The newest block, or that of a number, with its header."""
        with self.node.asking():
            asked = "latest" if number is None else hex(number)
            header = self.node.request("eth_getBlockByNumber", asked, False)
            if header is None:
                raise NodeUnreachable(
                    f"{self.node.name} has no {'newest block' if number is None else f'block {number}'}.",
                    "Try another RPC node.",
                )
            found, block_hash = int(header["number"], 16), bytes(HexBytes(header["hash"]))
            if len(block_hash) != 32 or not 0 <= found < 2**64 or number not in (None, found):
                raise ValueError("another block")
            return Block(found, block_hash, to_time(to_number(int(header["timestamp"], 16))), header)

    def _prove(self, at: Block, vault_id: bytes, record: Any) -> bool:
        """Whether the node proves ``record`` (as the contract returns it) against the state root of ``at``. A node need
        not offer that, nor a chain have blocks that this version can hash; a proof that shows something else is a lie.
        """
        if at.header is None or not self._offers_proofs:
            return False
        expected = state_proof.storage_of(vault_id, record)
        try:
            if state_proof.header_hash(at.header) != at.hash:
                raise NotProven("a block with fields of its own")
            slots = [f"0x{slot:064x}" for slot in expected]
            proof = self.node.request("eth_getProof", self.address, slots, hex(at.number))
            if not isinstance(proof, dict):
                raise NotProven("no proof")
        except (NodeUnreachable, NotProven):
            self._offers_proofs = False
            return False
        code = bytes.fromhex(load_artifact()["runtimeCodeHash"][2:])
        try:
            state_proof.check(at.header, proof, bytes.fromhex(self.address[2:]), code, expected)
        except NotProven as why:
            raise self._lie(f"a proof of state that does not hold ({why})") from None
        return True

    def vault_id_of(self, owner: str, salt: int) -> bytes:
        """The id of the vault that ``owner`` creates as number ``salt`` (from 1). Computed here."""
        place = (self.chain_id, self.address, checked_address(owner), salt)
        return keccak(encode(["uint256", "address", "address", "uint256"], place))

    def vault_count(self, owner: str) -> int:
        """How many vaults an account has created."""
        return int(self._read("vaultCount", checked_address(owner)))

    def vaults(self, owner: str) -> list[bytes]:
        """The ids of the vaults that an account owns, as of one block: those that it created, then those that it took
        over from others, oldest first, each once. Closed vaults have no owner.
        """
        account, at = checked_address(owner), self.latest().number
        created, accepted = (self._read(count, account, block=at) for count in ("vaultCount", "acceptedCount"))
        if created + accepted > _MAX_VAULTS:
            raise self._lie(f"{created + accepted} vaults for one account")
        ids = [self.vault_id_of(account, salt) for salt in range(1, created + 1)]
        ids += [self._read("acceptedVault", account, number, block=at) for number in range(1, accepted + 1)]
        try:
            owners = {vault_id: self._read("record", vault_id, block=at)[0] for vault_id in ids}
        except UnknownVault:
            raise self._lie("a list with vaults that do not exist") from None
        return [vault_id for vault_id, holder in owners.items() if holder == account]

    def grant_of(self, vault_id: bytes, grantee: str) -> PublicGrant | None:
        """An account's grant in the current tenure, expired or not; None if there is none. Raises UnknownVault."""
        return self._grant_at(vault_id, grantee, self.latest())

    def grants(self, vault_id: bytes, from_block: int = 0, known: Iterable[str] = ()) -> list[PublicGrant]:
        """All grants of the current tenure, expired ones too, in the order in which they were first given.

        Found through events, each then confirmed by state, as of one block; with ``from_block`` only events from there
        on, and the grantees ``known`` from before. Raises UnknownVault.
        """
        at = self.latest()
        self._read("record", vault_id, block=at.number)  # the events of an unknown vault would be an empty list
        events = self._events(("Granted",), vault_id, from_block, at.number)
        grantees = dict.fromkeys([*known, *(str(event["args"]["grantee"]) for event in events)])
        found = (self._grant_at(vault_id, grantee, at) for grantee in grantees)
        return [grant for grant in found if grant]

    def offer_of(self, vault_id: bytes) -> Offer | None:
        """The offer to a new owner, expired or not; None if there is none. Raises UnknownVault."""
        new_owner, expires_at, version = self._read("offerOf", vault_id)
        return Offer(new_owner, to_time(expires_at), version) if version else None

    def recovery_of(self, vault_id: bytes) -> Recovery:
        """How the vault can be recovered, and how far that is. Raises UnknownVault."""
        account, attempt, ready_at, new_owner = self._read("recoveryOf", vault_id)
        none = checked_address(_NOBODY)
        pending = new_owner != none
        return Recovery(
            None if account == none else account,
            attempt,
            to_time(ready_at) if pending else None,
            new_owner if pending else None,
        )

    def history(self, vault_id: bytes, progress: Callable[[int, int], None] | None = None) -> History:
        """All events of a vault, as far back as the node gives logs, asked for from the newest on. ``progress`` is told
        how many blocks of how many were looked through. Raises UnknownVault."""
        at = self.latest()
        self._read("record", vault_id, block=at.number)  # the events of an unknown vault would be an empty list
        return self._history(vault_id, at.number, progress)

    def time_of(self, block: int) -> datetime:
        """When a block was made (UTC)."""
        return self.block(block).time

    def commits(self, vault_id: bytes, from_block: int = 0) -> list[CommitEvent]:
        """All commits in blocks from ``from_block`` on, oldest first; empty for an unknown vault."""
        return self._commits(vault_id, from_block, self.latest().number)

    def commits_agreed(self, vault_id: bytes, from_block: int = 0) -> list[CommitEvent]:
        """The same, but only those of which ``others``, where there are some, say the same. Raises NodeUnreachable if
        none of them answers."""
        mine, found = self.commits(vault_id, from_block), self.others
        if not found:
            return mine
        said = side_by_side(found, lambda other: other.commits(vault_id, from_block))
        heard = two_at_least([mine, *said], 1 + len(found))
        told = [[(commit, commit.owner) for commit in answer] for answer in heard]
        return [commit for commit in mine if all((commit, commit.owner) in answer for answer in told)]

    def keyrings(self, vault_id: bytes) -> list[bytes]:
        """The hashes of all keyrings that a vault has had, oldest first; empty for an unknown vault."""
        return [keyring_hash for keyring_hash, _, _ in self.keyring_history(vault_id)]

    def keyring_history(self, vault_id: bytes) -> list[tuple[bytes, int, str]]:
        """The same, each with the epoch that it is of, and the account that brought it."""
        found, epoch = [], 1
        for event in self._events(("Created", "Committed", "Granted"), vault_id, 0, self.latest().number):
            values = event["args"]
            epoch = values.get("epoch", epoch)  # a grant's keyring is of the last commit's
            if any(values["keyringHash"]):
                found.append((bytes(values["keyringHash"]), epoch, str(values["actor"])))
        return found

    def changed_with(self, vault_id: bytes, part: bytes, from_block: int) -> bytes | None:
        """The hash of a transaction that has changed the vault since a block and has ``part`` in its data; None where
        there is none."""
        logs = self._logs([None, vault_id], from_block, self.latest().number)
        for tx_hash in dict.fromkeys(bytes(log["transactionHash"]) for log in logs):
            sent = self._transaction(tx_hash)
            if sent and part in bytes(sent["input"]):
                return tx_hash
        return None

    def can_read(self, vault_id: bytes, account: str) -> bool:
        """Whether an account is the owner or has a living grant to read; False for an unknown vault."""
        return bool(self._read("canRead", vault_id, checked_address(account)))

    def proves_memory(
        self, vault_id: bytes, leaf: bytes, index: int, size: int, proof: list[bytes], block: int | None = None
    ) -> bool:
        """Whether the vault's memory log, as of its last commit, has ``leaf`` (32 bytes) at ``index`` of ``size``.

        False for a proof of the wrong shape too. Raises UnknownVault.
        """
        at = self.block(block)
        return bool(self._read("provesMemory", vault_id, leaf, index, size, proof, block=at.number))

    def wait(self, tx_hash: bytes, timeout: float = 120, confirmations: int = 0) -> Receipt:
        """The same, until another node has the transaction in that block too, where several are named."""
        receipt = super().wait(tx_hash, timeout, confirmations)
        self.confirm(receipt, timeout)
        return receipt

    def confirm(self, receipt: Receipt, timeout: float = 120) -> None:
        """Waits until another node has the transaction in that block too, where several are named."""
        if self.others:
            confirm(self.others, receipt, self.node.name, timeout)

    # Calls ------------------------------------------------------------------------------------------------------------

    def create(self, salt: int, content_hash: bytes, memory_root: bytes, keyring_hash: bytes, base_uri: str) -> Call:
        """Create the sender's vault number ``salt``, which must be its ``vault_count`` + 1."""
        return Call("create", (salt, content_hash, memory_root, keyring_hash, base_uri))

    def commit(
        self,
        vault_id: bytes,
        expected_version: int,
        epoch: int,
        content_hash: bytes,
        memory_root: bytes,
        keyring_hash: bytes | None = None,
    ) -> Call:
        """Commit a head, with a keyring or (None) keeping the old one. The epoch after the current one rotates."""
        keyring = keyring_hash or _NO_HASH
        return Call("commit", (vault_id, expected_version, epoch, content_hash, memory_root, keyring))

    def grant(
        self,
        vault_id: bytes,
        expected_version: int,
        grantee: str,
        rights: int,
        expires: datetime,
        key_id: bytes,
        keyring_hash: bytes | None = None,
    ) -> Call:
        """Grant rights until ``expires`` (with a time zone) to the key of ``key_id`` (20 bytes).

        A keyring may come along, for the new reader to find its envelope in.
        """
        if expires.tzinfo is None:
            raise InvalidRequest("The end of a grant has no time zone.", "Name it in UTC.")
        seconds = int(expires.timestamp())
        keyring = keyring_hash or _NO_HASH
        grantee = checked_address(grantee)
        return Call("grant", (vault_id, expected_version, grantee, rights, seconds, key_id, keyring))

    def revoke(self, vault_id: bytes, grantee: str) -> Call:
        """End a grant and raise the epoch."""
        return Call("revoke", (vault_id, checked_address(grantee)))

    def revoke_all(self, vault_id: bytes) -> Call:
        """End all grants and raise tenure and epoch."""
        return Call("revokeAll", (vault_id,))

    def rotate(self, vault_id: bytes) -> Call:
        """Raise the epoch."""
        return Call("rotate", (vault_id,))

    def set_base_uri(self, vault_id: bytes, expected_version: int, base_uri: str) -> Call:
        """Name another place for the blobs."""
        return Call("setBaseURI", (vault_id, expected_version, base_uri))

    def offer(self, vault_id: bytes, expected_version: int, new_owner: str, expires: datetime) -> Call:
        """Offer the vault to a new owner until ``expires`` (with a time zone)."""
        return Call("offer", (vault_id, expected_version, checked_address(new_owner), int(expires.timestamp())))

    def cancel_offer(self, vault_id: bytes) -> Call:
        """Withdraw the offer."""
        return Call("cancelOffer", (vault_id,))

    def accept(self, vault_id: bytes) -> Call:
        """Take up the offer: the sender is the owner from then on, and every grant is void."""
        return Call("accept", (vault_id,))

    def set_recovery(self, vault_id: bytes, recovery: str | None) -> Call:
        """Name the account that may start a recovery, or none."""
        return Call("setRecovery", (vault_id, checked_address(recovery or _NOBODY)))

    def start_recovery(self, vault_id: bytes, new_owner: str) -> Call:
        """As the recovery address: let the vault go to a new owner, after the delay."""
        return Call("startRecovery", (vault_id, checked_address(new_owner)))

    def veto_recovery(self, vault_id: bytes) -> Call:
        """Stop the pending recovery."""
        return Call("vetoRecovery", (vault_id,))

    def finish_recovery(self, vault_id: bytes) -> Call:
        """As the new owner that a recovery names, once its delay is over: become the owner."""
        return Call("finishRecovery", (vault_id,))

    def close(self, vault_id: bytes, expected_version: int, successor: bytes | None = None) -> Call:
        """End the vault for good, naming another one's id (32 bytes) as its successor, or none."""
        return Call("close", (vault_id, expected_version, successor or _NO_HASH))

    def multicall(self, calls: list[Call]) -> Call:
        """Several calls in one transaction: all take effect or none."""
        return Call("multicall", ([self.encode(call) for call in calls],), tuple(calls))

    # ------------------------------------------------------------------------------------------------------------------

    def _read(self, function: str, *arguments: Any, block: int | None = None) -> Any:
        """What a view function returns at one block; False where it refuses a proof's shape. Raises UnknownVault."""
        try:
            return self.ask(Call(function, arguments), block)
        except ContractLogicError as error:
            name, _ = decode_error(self._abi, error.data)
            if name == "UnknownVault":
                said = f"There is no vault 0x{arguments[0].hex()} on chain {self.chain_id}."
                raise UnknownVault(said, "Check the id, and that the node serves the vault's chain.") from None
            if name == "MalformedProof":
                return False
            raise self._lie(f"a refusal of {function}, which never refuses") from None

    def _grant_at(self, vault_id: bytes, grantee: str, at: Block) -> PublicGrant | None:
        account = checked_address(grantee)
        expires_at, rights, version, key_id = self._read("grantOf", vault_id, account, block=at.number)
        if not rights:
            return None
        expires = to_time(expires_at)
        return PublicGrant(account, rights, expires, version, key_id, living=at.time < expires)

    def _commits(self, vault_id: bytes, first: int, last: int) -> list[CommitEvent]:
        commits: list[CommitEvent] = []
        owner, known = None, 0  # the owner as far as events have said, and how many commits have theirs
        names = ("Created", "Committed", "Accepted", "RecoveryFinished", "Closed")
        for event in self._events(names, vault_id, first, last):
            values, actor = event["args"], str(event["args"]["actor"])
            if "contentHash" not in values:
                former = str(values.get("formerOwner", actor))
                commits[known:] = [replace(commit, owner=commit.owner or former) for commit in commits[known:]]
                owner, known = actor, len(commits)
                continue
            owner = owner if "version" in values else actor
            commits.append(
                CommitEvent(
                    version=values.get("version", 1),
                    epoch=values.get("epoch", 1),
                    content_hash=values["contentHash"],
                    memory_root=values["memoryRoot"],
                    keyring_hash=values["keyringHash"] if any(values["keyringHash"]) else None,
                    block_number=event["blockNumber"],
                    tx_hash=bytes(event["transactionHash"]),
                    actor=actor,
                    owner=owner,
                )
            )
        return commits

    def _lie(self, what: str) -> NodeUnreachable:
        return NodeUnreachable(f"{self.node.name} gives {what}.", "Do not rely on this node; name another one.")


def _with_raw_uri(abi: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ABI in which a record's base URI is bytes (encoded alike): whoever owned a vault before may have put there
    what is no UTF-8, and one such record must not fail as if the node did, nor hide the other vaults."""
    return [_raw_record(entry) if entry.get("name") == "record" else entry for entry in abi]


def _raw_record(entry: dict[str, Any]) -> dict[str, Any]:
    (output,) = entry["outputs"]
    parts = [part | {"type": "bytes"} if part["name"] == "baseURI" else part for part in output["components"]]
    return entry | {"outputs": [output | {"components": parts}]}


@cache
def load_artifact(contract: str = "MemoryRegistry") -> dict[str, Any]:
    """What ``abi/CONTRACT.json`` has: ABI, creation code, address, code hash, salt of the CREATE2 deployment."""
    artifact: dict[str, Any] = json.loads((files(__package__) / "abi" / f"{contract}.json").read_bytes())
    return artifact
