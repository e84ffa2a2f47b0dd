"""The BlobLog on one chain: blobs found in its logs by their hash, and stored there by a transaction each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from eth_utils import keccak

from .errors import BlobMissing, InsufficientFunds, NodeUnreachable, StorageReadOnly, StorageUnavailable
from .event_log import EventLog
from .registry import Registry, load_artifact
from .sealing import sha256
from .transactions import Call, to_number

_FULL_NODE = "Use a node that keeps all logs (--rpc), or bring the blob back to a mirror."


class BlobLog(EventLog):
    """``land`` sends a call and waits until it is in a block, ``account`` is the address that pays, and ``say`` is told
    what it will cost: without them it can only be read."""

    others: tuple[BlobLog, ...] = ()
    land: Callable[[BlobLog, Call], object] | None = None
    account: Callable[[], str] = staticmethod(lambda: "0x" + "00" * 20)
    say: Callable[[str], None] = staticmethod(lambda _: None)

    @classmethod
    def beside(cls, registry: Registry) -> BlobLog:
        """The one on a registry's chain, as the same nodes show it. Raises StorageUnavailable where there is none."""
        first, *others = (cls._at(known) for known in (registry, *registry.others))
        first.others = tuple(others)
        return first

    @classmethod
    def _at(cls, registry: Registry) -> BlobLog:
        artifact = load_artifact("BlobLog")
        with registry.node.asking():
            code = bytes(registry.node.web3.eth.get_code(artifact["address"]))
        if keccak(code) != bytes.fromhex(artifact["runtimeCodeHash"][2:]):
            raise StorageUnavailable(
                f"There is no BlobLog at {artifact['address']} on chain {registry.chain_id}.",
                "Name another host for the blobs, or deploy it there: anyone can.",
            )
        return cls(registry.node, registry.chain_id, artifact["address"], artifact["abi"])

    # Reading ----------------------------------------------------------------------------------------------------------

    def block_of(self, blob_hash: bytes) -> int:
        """The number of the block whose log has a blob, as the contract saw it; 0 if it was never stored."""
        with self.node.asking():
            return to_number(self.ask(Call("blockOf", (blob_hash,))))

    def find(self, blob_hash: bytes) -> bytes:
        """The bytes that are logged under a hash, compared with it: from whichever node still has the log. Raises
        BlobMissing and NodeUnreachable."""
        trouble: list[BlobMissing | NodeUnreachable] = []
        for log in (self, *self.others):
            try:
                return log._find(blob_hash)
            except (BlobMissing, NodeUnreachable) as error:
                trouble.append(error)
        raise next((error for error in trouble if isinstance(error, BlobMissing)), trouble[0])

    def _find(self, blob_hash: bytes) -> bytes:
        stored = self.block_of(blob_hash)
        if not stored:
            raise BlobMissing(
                f"Blob {blob_hash.hex()} was never stored on chain {self.chain_id}.", "Store it: memsync repair"
            )
        # On some rollups the contract saw another number than the logs have: there the hash has to do.
        newest = self.latest().number
        for first, last in ((stored, stored), (0, newest)) if stored <= newest else ((0, newest),):
            for blob in self._logged(blob_hash, first, last):
                if sha256(blob) == blob_hash:
                    return blob
        raise BlobMissing(
            f"Blob {blob_hash.hex()} stands in the log of block {stored:,}, which {self.node.name} does not show.",
            _FULL_NODE,
        )

    def _logged(self, blob_hash: bytes, first: int, last: int) -> Iterator[bytes]:
        (kind,) = self._kinds(["Stored"]).values()
        for _, found in self._newest_first([kind.topic, blob_hash], first, last):
            for log in found:
                with self.node.asking():
                    blob = bytes(kind.decode(log)["blob"])
                yield blob

    # Writing ----------------------------------------------------------------------------------------------------------

    def gas_for(self, *sizes: int) -> int:
        """The gas that storing sealed blobs of so many bytes would take now, by the node's word."""
        total = 0
        for size in sizes:
            data: Any = {"to": self.address, "data": self.encode(Call("store", (os.urandom(size),)))}
            with self.node.asking():
                total += to_number(self._eth.estimate_gas(data | {"from": self.account()}, "latest"))
        return total

    def store(self, blobs: Sequence[bytes]) -> None:
        """Stores what is not there yet, one transaction a blob. Says what it will cost before the first is signed.

        Raises StorageReadOnly without a wallet, InsufficientFunds, and what sending raises; done again, it goes on.
        """
        fresh = [blob for blob in dict.fromkeys(blobs) if not self.block_of(sha256(blob))]
        if not fresh:
            return
        if self.land is None:
            raise StorageReadOnly("Nobody here can pay for blobs on the chain.", "Use the owner's home.")
        calls = [Call("store", (blob,)) for blob in fresh]
        prepared = [self.prepare(call, self.account()) for call in calls]
        most, funds = sum(each.max_cost for each in prepared), self.balance(self.account())
        gas, size = sum(each.gas for each in prepared), sum(map(len, fresh))
        if most > funds:
            raise InsufficientFunds(
                f"Storing {size:,} bytes on chain {self.chain_id} may cost {most / 10**18:.9f} coins, and"
                f" {self.account()} has {funds / 10**18:.9f}.",
                "Send it some, or move the vault to another host: memsync vault move",
            )
        self.say(f"storing {size:,} bytes on chain in {len(fresh)} transactions: {gas:,} gas")
        for call in calls:
            self.land(self, call)
