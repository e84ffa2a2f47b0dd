"""Misuse of heads, packs and envelopes: signed elsewhere, of another algorithm, cut, taken from an older state.

What concerns one object alone stands with its other tests (test_sealing, test_keys, test_heads, test_packs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone128Encryptor
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from memsync_client import canonical
from memsync_client.errors import AccessEnded, BlobMissing, MemSyncError, Rollback, Tampered
from memsync_client.heads import FIRST, Head, HeadRef, open_head, seal_head
from memsync_client.keyring import OwnerKeys
from memsync_client.keys import envelope_info
from memsync_client.memory_log import Frontier
from memsync_client.packs import entries, open_pack, seal_pack
from memsync_client.reading import View, open_view, read_entries
from memsync_client.records import Block, VaultRecord
from memsync_client.sealing import SIGNATURE_BYTES, derive, seal, sha256, unseal, unseal_raw
from tests.client.material import OTHER_PLACES, PLACE, flipped, holder, memory, secret
from tests.vectors.making_vaults import Writer
from tests.vectors.writing import keys_of

EPOCH = 3
KEYS = keys_of(EPOCH)

# Signed in another context --------------------------------------------------------------------------------------------

CONTEXT = PLACE.context("head", EPOCH)
SUITE_AT = len(b"memsync/v1/head\0")
OTHER_CONTEXTS = {
    **{name: place.context("head", EPOCH) for name, place in OTHER_PLACES.items()},
    "kind": PLACE.context("trailer", EPOCH),
    "epoch": PLACE.context("head", EPOCH + 1),
    "suite": flipped(CONTEXT, SUITE_AT, 3),
    "nothing": b"",
}
BODY = unseal(
    derive(KEYS.secret, "epoch/head"), CONTEXT, seal_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_key, FIRST), "head"
)
ENCODED = BODY[SIGNATURE_BYTES:]


def opened_head(signature: bytes) -> Head:
    blob = seal(derive(KEYS.secret, "epoch/head"), CONTEXT, signature + ENCODED)
    return open_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_public, blob)


def test_head__signed_in_its_context__opens() -> None:
    assert CONTEXT[SUITE_AT] == 1
    assert opened_head(KEYS.writer_key.sign(CONTEXT + sha256(ENCODED))) == FIRST


@pytest.mark.parametrize("context", OTHER_CONTEXTS.values(), ids=OTHER_CONTEXTS.keys())
def test_head__signed_in_another_context__tampered(context: bytes) -> None:
    with pytest.raises(Tampered, match="not signed"):
        opened_head(KEYS.writer_key.sign(context + sha256(ENCODED)))


# Another algorithm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signed",
    [
        lambda key: key.sign(CONTEXT + ENCODED),
        lambda key: key.sign(CONTEXT + hashlib.sha512(ENCODED).digest()),
        lambda key: key.sign(sha256(CONTEXT + sha256(ENCODED))),
        lambda key: key.sign(sha256(ENCODED) + CONTEXT),
        lambda key: bytes(SIGNATURE_BYTES),
        lambda key: sha256(ENCODED) * 2,
    ],
    ids=["whole body", "SHA-512", "hashed twice", "the other way round", "zeros", "a hash"],
)
def test_head__signed_another_way__tampered(signed: Callable[[Ed25519PrivateKey], bytes]) -> None:
    with pytest.raises(Tampered, match="not signed"):
        opened_head(signed(KEYS.writer_key))


HOLDER = holder("claude").xwing
INFO = envelope_info(PLACE, EPOCH, HOLDER.public.id)
ML_KEM = MLKEM768PublicKey.from_public_bytes(HOLDER.public.raw[:1_184])
X25519 = X25519PublicKey.from_public_bytes(HOLDER.public.raw[1_184:])
X_WING = hpke.MLKEM768X25519PublicKey(ML_KEM, X25519)
SUITES: dict[str, tuple[tuple[Any, Any, Any], Any]] = {
    "AES-128-GCM": ((hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM), X_WING),
    "ChaCha20": ((hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305), X_WING),
    "HKDF-SHA384": ((hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM), X_WING),
    "HKDF-SHA512": ((hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA512, hpke.AEAD.AES_256_GCM), X_WING),
    "X25519 alone": ((hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM), X25519),
    "ML-KEM alone": ((hpke.KEM.MLKEM768, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM), ML_KEM),
}


@pytest.mark.parametrize("name", SUITES)
def test_envelope__of_another_suite_to_the_right_key__does_not_open(name: str) -> None:
    parts, key = SUITES[name]
    envelope = hpke.Suite(*parts).encrypt(bytes(128), key, info=INFO)
    assert HOLDER.open(INFO, envelope) is None


def test_envelope__of_our_suite_by_the_library_alone__opens() -> None:
    """So the others fail for their suite."""
    ours = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    assert HOLDER.open(INFO, ours.encrypt(bytes(128), X_WING, info=INFO)) == bytes(128)


def test_sealed_object__of_another_algorithm_under_the_same_key__tampered() -> None:
    key, context = secret("key"), PLACE.context("pack", EPOCH)
    small = Cobblestone128Encryptor(key[:16], context)
    plain = AESGCM(key).encrypt(bytes(12), bytes(2_048), context)
    with_sha256 = HKDFExpand(
        SHA256(), 76, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + bytes(24) + context
    ).derive(key)
    cipher = AESGCM(with_sha256[:32])
    others = [
        small.update(bytes(2_048)) + small.finalize(),
        plain,
        bytes(12) + plain,
        bytes(24) + with_sha256[44:] + cipher.encrypt(with_sha256[32:44], bytes(2_048), b""),
    ]
    for blob in others:
        with pytest.raises(Tampered):
            unseal_raw(key, context, blob, "pack")


# Changed and cut ------------------------------------------------------------------------------------------------------

BATCH = entries([memory(1), memory(2)])
PACK = seal_pack(PLACE, EPOCH, KEYS.secret, BATCH)
HEAD = seal_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_key, FIRST)
READ: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "pack": (PACK, lambda blob: open_pack(PLACE, EPOCH, KEYS.secret, blob)),
    "head": (HEAD, lambda blob: open_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_public, blob)),
}


@pytest.mark.parametrize("name", READ)
def test_read__with_any_byte_changed_any_cut_or_bytes_behind__tampered(name: str) -> None:
    blob, read = READ[name]
    read(blob)
    changed = (flipped(blob, position, 1 << position % 8) for position in range(len(blob)))
    cut = (blob[:size] for size in range(len(blob)))
    longer = (blob + tail for tail in (b"\0", bytes(16), bytes(16_400), blob))
    for other in (*changed, *cut, *longer):
        with pytest.raises(Tampered):
            read(other)


# Replay: a record put together from older ones ------------------------------------------------------------------------

FIELDS = ("head_version", "head_epoch", "content_hash", "memory_root", "keyring_hash")


@dataclass
class History:
    """A vault of five commits and two epochs: blobs by hash, and what stood on chain after each."""

    blobs: dict[bytes, bytes]
    records: list[VaultRecord]

    def fetch(self, blob_hash: bytes, what: str) -> bytes:
        if blob_hash not in self.blobs:
            raise BlobMissing(f"There is no {what} of that name.")
        return self.blobs[blob_hash]

    def view(self, record: VaultRecord, **more: Any) -> View:
        return open_view(PLACE, record, self.fetch, holder("laptop").xwing, **more)


@pytest.fixture(scope="module")
def history() -> History:
    writer = Writer()
    writer.new_epoch(1)
    head, records = FIRST, []
    blobs: list[bytes] = []
    ref = writer.publish(head)
    records.append(record_of(writer, ref, head))
    for number in range(1, 5):
        blobs += writer.blobs  # those of the epoch before as well
        if number == 3:
            writer.new_epoch(2)
        batch = entries([memory(number)])
        log: Frontier = head.log.extended(entry.commitment(PLACE) for entry in batch)
        head = head.next(ref, FIRST, number + 1, (writer.pack(batch),), log)
        ref = writer.publish(head)
        records.append(record_of(writer, ref, head))
    return History({sha256(blob): blob for blob in blobs + writer.blobs}, records)


def record_of(writer: Writer, ref: HeadRef, head: Head) -> VaultRecord:
    return VaultRecord(
        vault_id=PLACE.vault_id,
        owner="0x" + "11" * 20,
        version=head.version,
        epoch=ref.epoch,
        tenure=1,
        head_version=head.version,
        head_epoch=ref.epoch,
        content_hash=ref.hash,
        memory_root=head.log.memory_root,
        keyring_hash=writer.keyring_hash,
        base_uri="",
        block=Block(1, bytes(32), datetime(2026, 11, 1, tzinfo=UTC)),
    )


def key_of(record: VaultRecord) -> tuple[object, ...]:
    return tuple(getattr(record, field) for field in FIELDS)


def test_record__with_any_fields_of_an_older_one__refused(history: History) -> None:
    """Without anything remembered: only a whole older record is as sound as the newest."""
    whole = {key_of(record) for record in history.records}
    newest, mixed = history.records[-1], 0
    for older in history.records[:-1]:
        for count in range(1, len(FIELDS)):
            for chosen in combinations(FIELDS, count):
                record = replace(newest, **{field: getattr(older, field) for field in chosen})
                if key_of(record) in whole:
                    continue
                mixed += 1
                with pytest.raises((Tampered, AccessEnded, BlobMissing)):
                    read_entries(history.view(record), history.fetch)
    assert mixed > 90


def test_record__of_any_older_state__rollback_for_who_has_seen_the_newest(history: History) -> None:
    newest = history.records[-1]
    seen = history.view(newest).seen(newest.block.number)
    assert [entry.memory for entry in read_entries(history.view(newest, seen=seen), history.fetch)] == list(
        map(memory, range(1, 5))
    )
    for older in history.records[:-1]:
        for version in (older.version, newest.version, newest.version + 1):
            with pytest.raises(Rollback):
                history.view(replace(older, version=version), seen=seen)


def test_record__older_head_under_the_newest_number__refused_though_its_keys_are_known(history: History) -> None:
    """The writer key that signed it is known, its seal opens, its packs are there: only the number is another."""
    newest, before = history.records[-1], history.records[-2]
    for record in (
        replace(newest, content_hash=before.content_hash),
        replace(newest, content_hash=before.content_hash, memory_root=before.memory_root),
    ):
        with pytest.raises(Tampered, match=before.content_hash.hex()):
            history.view(record)


def test_keys__of_the_epoch_before__open_nothing_that_is_sealed_now(history: History) -> None:
    one, two = keys_of(1), keys_of(2)
    newest = history.fetch(history.records[-1].content_hash, "head")
    for keys in (one, OwnerKeys(2, one.secret, two.writer_public, one.owner_secret)):
        for epoch in (1, 2):
            with pytest.raises(MemSyncError):
                open_head(PLACE, epoch, keys.secret, keys.writer_public, newest)


# Duplicates and other forms of one value ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["salt", "record"])
def test_pack__with_another_form_of_a_value__tampered(name: str) -> None:
    """The commitment is made over the bytes of a record, so a second encoding of one memory would be a second entry."""
    entry = BATCH[0]
    whole = canonical.encode([[entry.salt, entry.record]])
    salt, record = canonical.encode(entry.salt), canonical.encode(entry.record)
    longer = {
        "salt": (salt, b"\x58\x10" + entry.salt),
        "record": (record, b"\x59" + len(entry.record).to_bytes(2, "big") + entry.record),
    }
    body = whole.replace(*longer[name])
    assert len(body) > len(whole)
    blob = seal(derive(KEYS.secret, "epoch/pack"), PLACE.context("pack", EPOCH), body)
    with pytest.raises(Tampered, match="canonical"):
        open_pack(PLACE, EPOCH, KEYS.secret, blob)
