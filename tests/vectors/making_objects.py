"""Vectors of what everything else is made of: derived keys, sealed objects, envelopes, the memory log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memsync_client import sealing
from memsync_client.keys import envelope_info
from memsync_client.memory_log import MemoryLog, commitment
from tests.client.material import OTHER_PLACES, PLACE, flipped, holder, secret
from tests.vectors.running import load
from tests.vectors.writing import at, put

KEY, CONTEXT = secret("key"), PLACE.context("pack", 3)


def make() -> None:
    _derived()
    _sealed()
    _envelopes()
    _log()


def _derived() -> None:
    for label in (
        "epoch/pack",
        "epoch/head",
        "epoch/trailer",
        "epoch/check",
        "owner/roster",
        "owner/writer",
        "owner/forgotten",
    ):
        about = f"the key {label} of a secret"
        put(f"derive-{label.replace('/', '-')}", about, kind="derive", secret=secret("epoch"), label=label)
    put("derive-holder", "all keys of a holder", kind="holder", secret=secret("holder laptop"))
    put("context-pack", "a context", kind="context", place=at(), of="pack", epoch=3)
    far = replace(PLACE, chain_id=2**53 - 1)
    put("context-largest", "the largest numbers", kind="context", place=at(far), of="roster", epoch=2**32 - 1)


def _sealed() -> None:
    def sealed(
        name: str, about: str, blob: bytes, expect: str = "Tampered", key: bytes = KEY, context: bytes = CONTEXT
    ) -> None:
        put(f"sealed-{name}", about, expect, kind="sealed", key=key, context=context, blob=blob)

    small = sealing.seal(KEY, CONTEXT, b"Ines is left-handed.")
    sealed("small", "a small body", small, "success")
    sealed("empty", "no body", sealing.seal(KEY, CONTEXT, b""), "success")
    sealed("full", "a body that fills its 2,048 bytes", sealing.seal(KEY, CONTEXT, b"\xff" * 2_044), "success")
    sealed("one-more", "one byte more takes 4,096", sealing.seal(KEY, CONTEXT, b"\xff" * 2_045), "success")
    two = sealing.seal(KEY, CONTEXT, b"\1" * 16_380)
    sealed("two-chunks", "16,384 bytes of plaintext: a whole chunk and an empty one", two, "success")
    put("sealed-other-key", "under another key", "Tampered", like="sealed-small", key=secret("other"))
    for name, place in OTHER_PLACES.items():
        bound = place.context("pack", 3)
        put(f"sealed-other-{name}", f"sealed for another {name}", "Tampered", like="sealed-small", context=bound)
    bound = PLACE.context("head", 3)
    put("sealed-other-kind", "sealed as something else", "Tampered", like="sealed-small", context=bound)
    bound = PLACE.context("pack", 4)
    put("sealed-other-epoch", "sealed in another epoch", "Tampered", like="sealed-small", context=bound)
    changed = ("salt", 0), ("commitment", 24), ("text", 56), ("padding", 1_000), ("tag", len(small) - 1)
    for name, position in changed:
        put(
            f"sealed-{name}-changed",
            f"a bit of the {name} is another",
            "Tampered",
            like="sealed-small",
            **_flip(position),
        )
    put(
        "sealed-cut",
        "its last byte is missing",
        "Tampered",
        like="sealed-small",
        splices=[(len(small) - 1, len(small), b"")],
    )
    put(
        "sealed-trailing",
        "a byte behind it",
        "Tampered",
        like="sealed-small",
        splices=[(len(small), len(small), b"\0")],
    )
    put("sealed-nothing", "no byte at all", "Tampered", like="sealed-small", splices=[(0, len(small), b"")])
    end = len(two) - 16
    put(
        "sealed-chunk-missing",
        "the empty last chunk is missing",
        "Tampered",
        like="sealed-two-chunks",
        splices=[(end, end + 16, b"")],
    )
    raw = sealing.seal_raw
    body = (4).to_bytes(4, "big") + b"body"
    padded = bytearray(body.ljust(2_048, b"\0"))
    padded[2_047] = 1
    sealed("padding-not-zero", "padding that is not zeros, under the right key", raw(KEY, CONTEXT, padded))
    sealed("length-beyond", "a length beyond the plaintext, under the right key", raw(KEY, CONTEXT, b"\xff" * 2_048))
    sealed("no-length", "three bytes of plaintext, under the right key", raw(KEY, CONTEXT, bytes(3)))


def _flip(position: int) -> dict[str, Any]:
    blob = bytes.fromhex(load("sealed-small")["blob"])
    return {"splices": [(position, position + 1, bytes([blob[position] ^ 1]))]}


def _envelopes() -> None:
    key = holder("claude").xwing
    info = envelope_info(PLACE, 3, key.public.id)
    blob = key.public.enclose(info, bytes(range(128)))
    own: dict[str, Any] = {"kind": "envelope", "secret": secret("holder claude"), "info": info}
    put("envelope-plain", "an envelope, and its plaintext", **own, blob=blob)
    put(
        "envelope-other-holder",
        "to another holder",
        "AccessEnded",
        **(own | {"secret": secret("holder phone")}),
        blob=blob,
    )
    foreign = envelope_info(PLACE, 3, holder("phone").xwing.public.id)
    put(
        "envelope-key-id",
        "to this key, bound to the id of another",
        "AccessEnded",
        **own,
        blob=key.public.enclose(foreign, bytes(128)),
    )
    for name, place in OTHER_PLACES.items():
        bound = envelope_info(place, 3, key.public.id)
        put(f"envelope-other-{name}", f"of another {name}", "AccessEnded", **(own | {"info": bound}), blob=blob)
    bound = envelope_info(PLACE, 4, key.public.id)
    put("envelope-other-epoch", "of another epoch", "AccessEnded", **(own | {"info": bound}), blob=blob)
    for name, position in (("ml-kem", 0), ("x25519", 1_088), ("text", 1_120), ("tag", 1_263)):
        put(
            f"envelope-{name}-changed",
            f"a bit of its {name} part is another",
            "AccessEnded",
            **own,
            blob=flipped(blob, position),
        )
    zero = blob[:1_088] + bytes(32) + blob[1_120:]
    put("envelope-low-order", "an X25519 share of low order", "AccessEnded", **own, blob=zero)
    put("envelope-cut", "its last byte is missing", "AccessEnded", **own, blob=blob[:-1])
    put("envelope-trailing", "a byte behind it", "AccessEnded", **own, blob=blob + b"\0")


def _log() -> None:
    pairs = [(secret(f"salt {i}")[:16], f"record {i}".encode()) for i in range(8)]
    vault = PLACE.vault_id
    for size in (0, 1, 2, 3, 5, 8):
        entries = [[salt.hex(), record.hex()] for salt, record in pairs[:size]]
        put(f"log-of-{size}", f"a log of {size}", kind="log", vault=vault, entries=entries)
    leaves = [commitment(vault, salt, record) for salt, record in pairs]
    for size, index in ((1, 0), (2, 1), (5, 0), (5, 3), (5, 4), (7, 6), (8, 5)):
        log = MemoryLog.of(leaves[:size])
        proof = [node.hex() for node in log.proof(index)]
        given: dict[str, Any] = {"kind": "proof", "entry": leaves[index], "index": index, "size": size}
        name = f"proof-{index}-of-{size}"
        put(name, f"entry {index} of a log of {size}", **given, proof=proof, gives=log.memory_root)
        if size == 5 and index == 3:
            put(f"{name}-short", "a sibling is missing", "MalformedProof", **given, proof=proof[:-1])
            put(f"{name}-long", "a sibling too many", "MalformedProof", **given, proof=[*proof, proof[0]])
            beyond = given | {"index": 5}
            put(f"{name}-beyond", "an index beyond the log", "MalformedProof", **beyond, proof=proof)
    put(
        "proof-of-nothing",
        "an entry of an empty log",
        "MalformedProof",
        kind="proof",
        entry=leaves[0],
        index=0,
        size=0,
        proof=[],
    )
