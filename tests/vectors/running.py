"""What comes of a vector: it is loaded as README.md says, and read by the client. One function a kind."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.bindings._rust import openssl as rust_openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from memsync_client import keyfile, memories, sealing
from memsync_client.cards import Card, DeviceCard, Invitation, Sheet
from memsync_client.errors import AccessEnded, BlobMissing
from memsync_client.forgotten import open_forgotten
from memsync_client.heads import HeadRef, open_head
from memsync_client.keyring import Keyring, OwnerKeys, follows, open_keyring
from memsync_client.keys import Anchor, HolderKey, PrivateKey
from memsync_client.kit import combine
from memsync_client.memories import Memory, from_record
from memsync_client.memory_log import MemoryLog, commitment
from memsync_client.packs import Entry, open_pack
from memsync_client.reading import Fetch, View, open_view, read_items
from memsync_client.records import Block, CommitEvent, VaultRecord
from memsync_client.sealing import Place, sha256

FOLDER = Path(__file__).parent
Vector = dict[str, Any]


def load(name: str) -> Vector:
    """The vector of that file name without ``.json``, with everything that it takes from another one."""
    own = json.loads((FOLDER / f"{name}.json").read_text())
    splices = own.pop("splices", [])
    vector = (load(own.pop("like")) if "like" in own else {}) | own
    for start, end, replacement in splices:
        blob = bytes.fromhex(vector["blob"])
        vector["blob"] = (blob[:start] + bytes.fromhex(replacement) + blob[end:]).hex()
    return vector


def place_of(vector: Vector) -> Place:
    at = vector["place"]
    return Place(at["chain"], bytes.fromhex(at["registry"]), bytes.fromhex(at["vault"]))


def anchor_of(known: Vector) -> Anchor:
    return Anchor(known["epoch"], bytes.fromhex(known["writer"]), bytes.fromhex(known["check"]))


def written(memory: Memory) -> Vector:
    """A memory as the vectors have it; its time in microseconds since 1970, as text."""
    since = None if memory.created is None else memory.created - datetime(1970, 1, 1, tzinfo=UTC)
    source = memory.source
    return {
        "id": memory.id.hex(),
        "revision": memory.revision.hex(),
        "supersedes": [revision.hex() for revision in memory.supersedes],
        "content": memory.content,
        "created": None if since is None else str(since // timedelta(microseconds=1)),
        "type": memory.type,
        "tags": list(memory.tags),
        "source": None if source is None else [source.platform, source.conversation, source.foreign_id],
    }


def _unix(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


def _derive(vector: Vector) -> str:
    return sealing.derive(bytes.fromhex(vector["secret"]), vector["label"]).hex()


def _context(vector: Vector) -> str:
    return place_of(vector).context(vector["of"], vector["epoch"]).hex()


def _holder(vector: Vector) -> Vector:
    secret = bytes.fromhex(vector["secret"])
    key = HolderKey(secret)
    return {
        "seed": sealing.derive(secret, "holder/x-wing").hex(),
        "key_id": key.xwing.public.id.hex(),
        "state": key.state_key.hex(),
        "account": key.account_secret.hex(),
    }


def _x_wing(vector: Vector) -> Vector:
    """``cryptography`` shows no shared secret: an envelope made by hand from the published one has to open."""
    key, encapsulation = PrivateKey(bytes.fromhex(vector["seed"])), bytes.fromhex(vector["encapsulation"])
    stated = vector["gives"]["shared"]
    schedule = key_schedule(bytes.fromhex(stated), b"info", 2, 32)
    sealed = AESGCM(schedule[0]).encrypt(schedule[1], b"opened", b"")
    opened = key.open(b"info", encapsulation + sealed) == b"opened"
    return {"key_id": key.public.id.hex(), "shared": stated if opened else "another"}


def _hpke_schedule(vector: Vector) -> Vector:
    """The whole of it by the library, and the key schedule by hand."""
    seed, aead = bytes.fromhex(vector["seed"]), vector["aead"][0]
    expanded = hashlib.shake_256(seed).digest(96)
    parts = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, _AEADS[aead])
    enc, info, aad, text = (bytes.fromhex(vector[key]) for key in ("encapsulation", "info", "aad", "ciphertext"))
    key = hpke.MLKEM768X25519PrivateKey(*parts)
    opened = rust_openssl.hpke._decrypt_with_aad(suite, enc + text, key, info=info, aad=aad)  # it has no public AAD
    if opened != bytes.fromhex(vector["plaintext"]):
        return {}
    by_hand = key_schedule(bytes.fromhex(vector["shared"]), info, *vector["aead"])
    return {"key": by_hand[0].hex(), "nonce": by_hand[1].hex()}


_AEADS = {2: hpke.AEAD.AES_256_GCM, 3: hpke.AEAD.CHACHA20_POLY1305}


def key_schedule(shared: bytes, info: bytes, aead: int, key_bytes: int) -> tuple[bytes, bytes]:
    """Key and base nonce of HPKE's base mode for X-Wing with HKDF-SHA256 (RFC 9180 §5.1), by hand."""
    suite = b"HPKE-v1HPKE" + bytes.fromhex("647a0001") + aead.to_bytes(2, "big")

    def extract(salt: bytes, label: bytes, key: bytes) -> bytes:
        return hmac.new(salt, suite + label + key, "sha256").digest()

    def expand(label: bytes, bound: bytes, size: int) -> bytes:
        return hmac.new(secret, size.to_bytes(2, "big") + suite + label + bound + b"\1", "sha256").digest()[:size]

    bound = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(b"key", bound, key_bytes), expand(b"base_nonce", bound, 12)


def _hkdf_expand(vector: Vector) -> str:
    prk, info = bytes.fromhex(vector["prk"]), bytes.fromhex(vector["info"])
    return HKDFExpand(SHA256(), vector["length"], info).derive(prk).hex()


def _ed25519(vector: Vector) -> str:
    public, message, signature = (bytes.fromhex(vector[key]) for key in ("public", "message", "signature"))
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"])).sign(message).hex()


def _envelope(vector: Vector) -> str:
    key = HolderKey(bytes.fromhex(vector["secret"])).xwing
    plain = key.open(bytes.fromhex(vector["info"]), bytes.fromhex(vector["blob"]))
    if plain is None:
        raise AccessEnded("The envelope does not open.")
    return plain.hex()


def _sealed(vector: Vector) -> str:
    key, context, blob = (bytes.fromhex(vector[name]) for name in ("key", "context", "blob"))
    return sealing.unseal(key, context, blob, "object").hex()


def _card(vector: Vector) -> Vector:
    card = Card.parse(vector["text"])
    return {
        "name": card.name,
        "key_id": card.key.id.hex(),
        "address": card.address.hex(),
        "schemes": list(card.schemes),
    }


def _invitation(vector: Vector) -> Vector:
    invitation = Invitation.parse(vector["text"])
    place, anchor = invitation.place, invitation.anchor
    return {
        "place": {"chain": place.chain_id, "registry": place.registry.hex(), "vault": place.vault_id.hex()},
        "rpc": invitation.rpc,
        "bases": list(invitation.base_uris),
        "anchor": {"epoch": anchor.epoch, "writer": anchor.writer_public.hex(), "check": anchor.check.hex()},
    }


def _device_card(vector: Vector) -> Vector:
    card = DeviceCard.parse(vector["text"])
    address = None if card.address is None else card.address.hex()
    return {"name": card.name, "key_id": card.key.id.hex(), "chain": card.chain_id, "address": address}


def _sheet(vector: Vector) -> Vector:
    sheet = Sheet.parse(vector["text"])
    anchors = sheet.anchors.items()
    return {
        "holder": sheet.holder.hex(),
        "chain": sheet.chain_id,
        "registry": sheet.registry.hex(),
        "owner": sheet.owner.hex(),
        "rpc": sheet.rpc,
        "bases": list(sheet.base_uris),
        "anchors": [[vault.hex(), a.epoch, a.writer_public.hex(), a.check.hex()] for vault, a in anchors],
        "made": _unix(sheet.made),
    }


def _kit(vector: Vector) -> str:
    return combine(vector["lists"]).export().hex()


def _keyring(vector: Vector) -> Vector:
    key = HolderKey(bytes.fromhex(vector["secret"])).xwing
    ring = open_keyring(place_of(vector), vector["epoch"], bytes.fromhex(vector["blob"]), key)
    if "known" in vector:
        follows(ring, anchor_of(vector["known"]))
    return {
        "role": int(ring.role),
        "expires": _unix(ring.expires),
        "since": ring.since,
        "epoch_secret": ring.keys.secret.hex(),
        "writer": ring.keys.writer_public.hex(),
        "succession": [step.epoch for step in ring.succession],
        "links": {str(epoch): keys.secret.hex() for epoch, keys in ring.links.items()},
        "roster": _roster(ring),
    }


def _roster(ring: Keyring) -> Vector | None:
    if ring.roster is None:
        return None
    lines = [
        {
            "key_id": line.key.id.hex(),
            "role": int(line.role),
            "name": line.name,
            "since": line.since,
            "expires": _unix(line.expires),
            "address": None if line.address is None else line.address.hex(),
            "added_by": line.added_by.hex(),
            "pending": line.pending,
        }
        for line in ring.roster.holders
    ]
    every = ring.roster.rotate_every
    return {
        "name": ring.roster.name,
        "holders": lines,
        "rotated": _unix(ring.roster.rotated),
        "rotate_every": every and int(every.total_seconds()),
    }


def _record(vector: Vector) -> Vector:
    return written(from_record(bytes.fromhex(vector["record"])))


def _pack(vector: Vector) -> list[Any]:
    secret, blob = bytes.fromhex(vector["secret"]), bytes.fromhex(vector["blob"])
    items = open_pack(place_of(vector), vector["epoch"], secret, blob)
    return [written(item.memory) if isinstance(item, Entry) else item.value.hex() for item in items]


def _forgotten(vector: Vector) -> list[str]:
    keys = OwnerKeys(vector["epoch"], b"", b"", bytes.fromhex(vector["owner_secret"]))
    return sorted(item.hex() for item in open_forgotten(place_of(vector), keys, [bytes.fromhex(vector["blob"])]))


def _key_file(vector: Vector) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "some.key"
        path.write_text(vector["text"])
        return keyfile.unlock(path, keyfile.ask(vector["passphrase"])).export().hex()


def _head(vector: Vector) -> Vector:
    secret, writer, blob = (bytes.fromhex(vector[key]) for key in ("secret", "writer", "blob"))
    head = open_head(place_of(vector), vector["epoch"], secret, writer, blob)

    def ref(item: HeadRef | None) -> list[Any] | None:
        return None if item is None else [item.hash.hex(), item.epoch]

    peaks = [peak.hex() for peak in head.log.peaks]
    return {
        "version": head.version,
        "parent": ref(head.parent),
        "base": ref(head.base),
        "age": head.age,
        "packs": [[pack.hash.hex(), pack.epoch, pack.count] for pack in head.packs],
        "new": head.new,
        "log": {"size": head.log.size, "peaks": peaks, "memory_root": head.log.memory_root.hex()},
        "forgotten": [blob_hash.hex() for blob_hash in head.forgotten],
        **({"skips": [blob_hash.hex() for blob_hash in head.skips]} if head.skips else {}),
    }


def _log(vector: Vector) -> Vector:
    vault, pairs = bytes.fromhex(vector["vault"]), vector["entries"]
    leaves = [commitment(vault, bytes.fromhex(salt), bytes.fromhex(record)) for salt, record in pairs]
    return {"entries": [leaf.hex() for leaf in leaves], "memory_root": MemoryLog.of(leaves).memory_root.hex()}


def _fetch_of(vector: Vector) -> Fetch:
    blobs = {sha256(blob): blob for blob in map(bytes.fromhex, [*vector["blobs"], *vector.get("more", [])])}

    def fetch(blob_hash: bytes, what: str) -> bytes:
        if blob_hash not in blobs:
            raise BlobMissing(f"There is no {what} {blob_hash.hex()}.")
        return blobs[blob_hash]

    return fetch


def view_of_vault(vector: Vector) -> View:
    """What the holder of a vault's vector opens."""
    place, at = place_of(vector), vector["record"]
    record = VaultRecord(
        vault_id=place.vault_id,
        owner="0x" + at.get("owner", "11" * 20),
        version=at["head_version"],
        epoch=at["head_epoch"],
        tenure=1,
        head_version=at["head_version"],
        head_epoch=at["head_epoch"],
        content_hash=bytes.fromhex(at["content_hash"]),
        memory_root=bytes.fromhex(at["memory_root"]),
        keyring_hash=bytes.fromhex(at["keyring_hash"]),
        base_uri="",
        block=Block(1, bytes(32), datetime(2026, 11, 1, tzinfo=UTC)),
    )

    def commits(_: int) -> list[CommitEvent]:
        head = record.content_hash, record.memory_root, record.keyring_hash
        return [CommitEvent(record.head_version, record.head_epoch, *head, 1, bytes(32), "0x" + vector["sender"])]

    anchor = anchor_of(vector["known"]) if "known" in vector else None
    key, told = HolderKey(bytes.fromhex(vector["secret"])).xwing, commits if "sender" in vector else None
    return open_view(place, record, _fetch_of(vector), key, anchor=anchor, commits=told)


def _vault(vector: Vector) -> Vector:
    view = view_of_vault(vector)
    items = read_items(view, _fetch_of(vector))
    tips = memories.tips(item.memory for item in items if isinstance(item, Entry))
    return {
        "whole": len(items) == view.head.log.size,
        "memories": [memory.content for several in tips.values() for memory in several],
    }


KINDS: dict[str, Callable[[Vector], Any]] = {
    "derive": _derive,
    "context": _context,
    "holder": _holder,
    "x_wing": _x_wing,
    "hpke_schedule": _hpke_schedule,
    "hkdf_expand": _hkdf_expand,
    "ed25519": _ed25519,
    "envelope": _envelope,
    "sealed": _sealed,
    "card": _card,
    "invitation": _invitation,
    "device_card": _device_card,
    "sheet": _sheet,
    "kit": _kit,
    "keyring": _keyring,
    "record": _record,
    "pack": _pack,
    "head": _head,
    "forgotten": _forgotten,
    "key_file": _key_file,
    "log": _log,
    "vault": _vault,
}
