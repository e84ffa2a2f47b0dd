"""Several RPC nodes, asked side by side: which answer counts, and when they contradict each other.

A node that is a little behind is no contradiction, a shorter answer to the same question is. Versions never fall, and
at one version a record has one content: so of two nodes the one at the later block may not show less. Whatever a node
says of a block that another one has too must be what that one says.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from .errors import MemSyncError, NodesDisagree, NodeUnreachable, TransactionPending, TransactionRefused, UnknownVault
from .records import Block, Receipt, VaultRecord
from .rpc import Node

_PAUSES = (0.3, 1.0, 2.0)  # seconds before nodes that contradict each other are asked again, each varied by half
_CONFIRM_PAUSE = 0.25
_FAR_BEHIND = timedelta(minutes=10)
_JITTER = random.SystemRandom()
_LEAVE_OUT = (
    "One of them is broken, on another fork, or lies. Leave it out (--rpc URL for each of the others), or wait."
)
_T = TypeVar("_T")
_S = TypeVar("_S")


class Source(Protocol):
    """What one node says of the registry."""

    node: Node

    def block(self, number: int | None = None) -> Block:
        """The newest block, or that of a number."""

    def record_at(self, vault_id: bytes, at: Block) -> VaultRecord:
        """A vault's record as of a block. Raises UnknownVault."""

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a transaction, None if it is in no block."""


@dataclass(frozen=True)
class _Answer:
    """What a node says as of its newest block; ``record`` is None where it knows no such vault."""

    source: Source
    block: Block
    record: VaultRecord | None

    @property
    def version(self) -> int:
        return self.record.version if self.record else 0

    def __str__(self) -> str:
        return said_by(self.source.node.name, self.block, self.record)


def side_by_side(sources: Sequence[_S], ask: Callable[[_S], _T]) -> list[_T | MemSyncError]:
    """What ``ask`` gives for each source, or the error that it raises; all at once, in the order of the sources."""

    def one(source: _S) -> _T | MemSyncError:
        try:
            return ask(source)
        except MemSyncError as error:
            return error

    with ThreadPoolExecutor(max_workers=len(sources)) as pool:
        return list(pool.map(one, sources))


def two_at_least(found: Sequence[_T | MemSyncError], count: int) -> list[_T]:
    """What is no error. Raises NodeUnreachable if fewer than two are left of ``count`` nodes."""
    answers = [item for item in found if not isinstance(item, MemSyncError)]
    if len(answers) < 2:
        causes = " ".join(error.cause for error in found if isinstance(error, MemSyncError))
        raise NodeUnreachable(
            f"{len(answers)} of {count} RPC nodes can be compared, and it takes two. {causes}",
            "Wait until they answer, or rely on one of them alone: name it with --rpc.",
        )
    return answers


def agreed(sources: Sequence[Source], vault_id: bytes) -> VaultRecord:
    """The newest record of a vault that no node contradicts. Nodes that do not answer or are far behind are passed
    over, as long as two are left. Raises NodesDisagree (who says what), UnknownVault, or NodeUnreachable."""
    for pause in (*_PAUSES, None):
        found = side_by_side(sources, lambda source: _ask(source, vault_id))
        try:
            return _compared(_near(two_at_least(found, len(sources))), vault_id)
        except NodesDisagree:
            if pause is None:
                raise
        time.sleep(pause * _JITTER.uniform(0.5, 1.5))  # a block may be replaced by another at the tip of a chain
    raise AssertionError("unreachable")


def confirm(others: Sequence[Source], receipt: Receipt, first: str, timeout: float) -> None:
    """Waits until one of ``others`` has the transaction in the same block as ``first`` says. Raises
    TransactionPending."""
    deadline = time.monotonic() + timeout
    while True:
        for source in others:
            try:
                seen = source.receipt(receipt.tx_hash)
            except (NodeUnreachable, TransactionRefused):
                continue
            if seen and seen.block.hash == receipt.block.hash:
                return
        if time.monotonic() > deadline:
            names = ", ".join(source.node.name for source in others)
            raise TransactionPending(
                f"Transaction 0x{receipt.tx_hash.hex()} is in block {receipt.block.number} if {first} is right; "
                f"{names} does not say so.",
                "Run sync later. If it stays so, leave out the node that is wrong: --rpc URL for each of the others.",
            )
        time.sleep(_CONFIRM_PAUSE * _JITTER.uniform(0.5, 1.5))


def said_by(name: str, block: Block, record: VaultRecord | None) -> str:
    """One node's answer in words."""
    what = "no such vault"
    if record:
        what = (
            f"version {record.version}, epoch {record.epoch}, head {record.content_hash.hex()[:12]}…, "
            f"keyring {record.keyring_hash.hex()[:12]}…"
        )
    return f"{name} says at block {block.number} ({block.hash.hex()[:12]}…): {what}"


def _ask(source: Source, vault_id: bytes) -> _Answer:
    block = source.block()
    return _Answer(source, block, _record_at(source, vault_id, block))


def _record_at(source: Source, vault_id: bytes, block: Block) -> VaultRecord | None:
    try:
        return source.record_at(vault_id, block)
    except UnknownVault:
        return None


def _near(answers: list[_Answer]) -> list[_Answer]:
    """Without those far behind: they have nothing to say of what is new. Raises NodeUnreachable if one is left."""
    newest = max(answers, key=lambda answer: answer.block.time)
    near = [answer for answer in answers if newest.block.time - answer.block.time <= _FAR_BEHIND]
    if len(near) < 2:
        late = "; ".join(f"{a.source.node.name} is at block {a.block.number}" for a in answers if a is not newest)
        raise NodeUnreachable(
            f"{newest.source.node.name} is at block {newest.block.number} of {newest.block.time:%Y-%m-%d %H:%M} UTC, "
            f"and nothing so new can be compared: {late}.",
            "Wait for the others, or rely on one of them alone: name it with --rpc.",
        )
    return near


def _compared(answers: list[_Answer], vault_id: bytes) -> VaultRecord:
    first, *later = sorted(answers, key=lambda answer: answer.block.number)
    for answer in later:
        same = answer.block.number == first.block.number
        block = answer.block if same else replace(answer.source.block(first.block.number), header=None)
        try:
            record = answer.record if same else _record_at(answer.source, vault_id, block)
        except NodeUnreachable:
            record = first.record  # it keeps no state of so long ago; what it says now is compared below
        if block.hash != first.block.hash or _facts(record) != _facts(first.record):
            raise _disagreement(str(first), said_by(answer.source.node.name, block, record))
    newest = first
    for answer in later:
        same = answer.version == newest.version and _facts(answer.record) == _facts(newest.record)
        if not same and answer.version <= newest.version:
            raise _disagreement(str(newest), str(answer))
        newest = newest if same else answer
    if newest.record is None:
        raise UnknownVault(
            f"There is no vault 0x{vault_id.hex()} on this chain, as {len(answers)} nodes say.",
            "Check the id, and that the nodes serve the vault's chain.",
        )
    return newest.record


def _facts(record: VaultRecord | None) -> tuple[Any, ...] | None:
    """All that a record says, but as of when."""
    if record is None:
        return None
    return (
        *(record.owner, record.version, record.epoch, record.tenure, record.head_version, record.head_epoch),
        *(record.content_hash, record.memory_root, record.keyring_hash, record.base_uri),
    )


def _disagreement(one: str, other: str) -> NodesDisagree:
    return NodesDisagree(f"The nodes contradict each other. {one}. {other}.", _LEAVE_OUT)
