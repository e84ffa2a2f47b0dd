"""Every decoder on random and on changed input: it reads, or raises an error of ours, and nothing else.

``FUZZ_INPUTS`` says how many inputs each decoder gets. What needs a seal or a signature to be looked at has them.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memsync_client import canonical, keyfile
from memsync_client.cards import Card, DeviceCard, Invitation, Sheet
from memsync_client.errors import (
    AccessEnded,
    HomeDamaged,
    InvalidCard,
    InvalidImport,
    InvalidInvitation,
    InvalidKit,
    MemSyncError,
    Tampered,
)
from memsync_client.forgotten import open_forgotten
from memsync_client.heads import FIRST, open_head, seal_head
from memsync_client.home import SealedFile, read_joined, read_seen, write_seen
from memsync_client.inbox import Inbox
from memsync_client.interchange import jsonl
from memsync_client.keyring import ENVELOPE_BYTES, OwnerKeys, open_keyring
from memsync_client.keys import PublicKey, envelope_info
from memsync_client.kit import combine, split
from memsync_client.memories import from_record, to_record
from memsync_client.memory_log import Frontier
from memsync_client.outbox import Outbox
from memsync_client.packs import Entry, open_pack
from memsync_client.reading import Seen
from memsync_client.sealing import SIGNATURE_BYTES, derive, seal, sealed_size, sha256, sign, unseal
from tests.client.material import PLACE, device, holder, memory, reader, rings, roster, secret
from tests.client.mutation import VALUES, changed_bytes, changed_encoding
from tests.vectors import running

INPUTS = int(os.environ.get("FUZZ_INPUTS", "50"))
SLOTS = 16
FRONT = SLOTS * ENVELOPE_BYTES
BACK = sealed_size(SLOTS * 1_472 + 512)
EPOCH = 2
HOLDERS = roster(device(), reader("claude"))
(_, ONE), (RING, KEYS) = rings((1, HOLDERS), (EPOCH, HOLDERS))
HEAD_KEY, HEAD_CONTEXT = derive(KEYS.secret, "epoch/head"), PLACE.context("head", EPOCH)
TRAILER_KEY, TRAILER_CONTEXT = derive(KEYS.secret, "epoch/trailer"), PLACE.context("trailer", EPOCH)
ROSTER_KEY, ROSTER_CONTEXT = derive(KEYS.owner_secret, "owner/roster"), PLACE.context("roster", EPOCH)

fuzzed = settings(
    max_examples=INPUTS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def read(decoder: Callable[[], Any], *refusals: type[MemSyncError]) -> Any:
    """What it reads, None where it refuses with one of these. Whatever else it raises fails the test."""
    try:
        return decoder()
    except refusals:
        return None


def frozen(name: str, field: str) -> Any:
    """A field of one of the vectors."""
    value = running.load(name)[field]
    return bytes.fromhex(value) if field in ("blob", "record") else value


def value_of(data: bytes) -> Any:
    return canonical.decode(data)


# CBOR, records, packs -------------------------------------------------------------------------------------------------

RECORD = frozen("record-full", "record")
ENTRIES = [[bytes(16), to_record(memory(1))], [bytes(16), RECORD], secret("forgotten")]


@fuzzed
@given(st.binary(max_size=300) | changed_bytes(RECORD) | VALUES.map(repr).map(str.encode))
def test_canonical__of_any_bytes__one_value_has_one_encoding(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except Tampered:
        return
    assert canonical.encode(value) == data


@fuzzed
@given(changed_encoding(value_of(RECORD)) | st.binary(max_size=300))
def test_record__changed__is_a_memory_of_the_same_bytes_or_tampered(data: bytes) -> None:
    found = read(lambda: from_record(data), Tampered)
    assert found is None or to_record(found) == data


@fuzzed
@given(changed_encoding(ENTRIES) | st.binary(max_size=300))
def test_pack__changed_and_sealed__is_entries_or_tampered(body: bytes) -> None:
    blob = seal(derive(KEYS.secret, "epoch/pack"), PLACE.context("pack", EPOCH), body)
    found = read(lambda: open_pack(PLACE, EPOCH, KEYS.secret, blob), Tampered)
    if found is not None:
        again = [[item.salt, item.record] if isinstance(item, Entry) else item.value for item in found]
        assert canonical.encode(again) == body


PACK = running.load("pack-two")
PACK_BLOB = bytes.fromhex(PACK["blob"])


@fuzzed
@given(changed_bytes(PACK_BLOB))
def test_pack__with_its_bytes_changed__tampered(blob: bytes) -> None:
    place, secret = running.place_of(PACK), bytes.fromhex(PACK["secret"])
    found = read(lambda: open_pack(place, PACK["epoch"], secret, blob), Tampered)
    assert (found is None) == (blob != PACK_BLOB)


@fuzzed
@given(changed_encoding([bytes([i] * 16) for i in range(4)]) | st.binary(max_size=100))
def test_forgotten__changed_and_sealed__is_ids_or_tampered(body: bytes) -> None:
    blob = seal(derive(KEYS.owner_secret, "owner/forgotten"), PLACE.context("forgotten", EPOCH), body)
    found = read(lambda: open_forgotten(PLACE, KEYS, [blob]), Tampered)
    assert found is None or canonical.encode(sorted(found)) == body


# Heads and the memory log ---------------------------------------------------------------------------------------------

HEAD = value_of(
    unseal(
        derive(bytes.fromhex(frozen("head-later", "secret")), "epoch/head"),
        PLACE.context("head", 3),
        frozen("head-later", "blob"),
        "head",
    )[SIGNATURE_BYTES:]
)


@fuzzed
@given(changed_encoding(HEAD) | st.binary(max_size=300))
def test_head__changed_signed_and_sealed__is_the_same_head_or_tampered(body: bytes) -> None:
    blob = seal(HEAD_KEY, HEAD_CONTEXT, sign(KEYS.writer_key, HEAD_CONTEXT, body) + body)
    found = read(lambda: open_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_public, blob), Tampered)
    if found is not None:
        again = seal_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_key, found)
        assert unseal(HEAD_KEY, HEAD_CONTEXT, again, "head")[SIGNATURE_BYTES:] == body


HEAD_BLOB = seal_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_key, FIRST)


@fuzzed
@given(changed_bytes(HEAD_BLOB))
def test_head__with_its_bytes_changed__tampered(blob: bytes) -> None:
    found = read(lambda: open_head(PLACE, EPOCH, KEYS.secret, KEYS.writer_public, blob), Tampered)
    assert (found is None) == (blob != HEAD_BLOB)


@fuzzed
@given(st.integers(-2, 2**70), st.lists(st.binary(max_size=33) | st.just(bytes(32)), max_size=6))
def test_frontier__of_anything__is_one_or_tampered(size: int, peaks: list[bytes]) -> None:
    found = read(lambda: Frontier(size, tuple(peaks)), Tampered)
    assert found is None or found.size.bit_count() == len(peaks)


# Keyrings -------------------------------------------------------------------------------------------------------------

KEY = holder("laptop").xwing
INFO = envelope_info(PLACE, EPOCH, KEY.public.id)
PLAINS = [KEY.open(INFO, RING[i * ENVELOPE_BYTES : (i + 1) * ENVELOPE_BYTES]) for i in range(SLOTS)]
OWN = next(slot for slot, plain in enumerate(PLAINS) if plain)
TRAILER = value_of(unseal(TRAILER_KEY, TRAILER_CONTEXT, RING[FRONT:-BACK], "trailer")[SIGNATURE_BYTES:])
ROSTER = value_of(unseal(ROSTER_KEY, ROSTER_CONTEXT, RING[-BACK:], "roster"))


def with_trailer(body: bytes, front: bytes = RING[:FRONT], back: bytes = RING[-BACK:]) -> bytes:
    signed = sign(KEYS.writer_key, TRAILER_CONTEXT, body) + body
    return front + seal(TRAILER_KEY, TRAILER_CONTEXT, signed) + back


def open_ring(blob: bytes, *refusals: type[MemSyncError]) -> Any:
    ring = read(lambda: open_keyring(PLACE, EPOCH, blob, KEY), *refusals)
    assert ring is None or ring.keys == KEYS
    return ring


@fuzzed
@given(changed_encoding(TRAILER) | st.binary(max_size=600))
def test_trailer__changed_signed_and_sealed__opens_or_tampered(body: bytes) -> None:
    open_ring(with_trailer(body), Tampered)


@fuzzed
@given(changed_encoding(ROSTER) | st.binary(max_size=600))
def test_roster__changed_signed_and_sealed__opens_or_tampered(body: bytes) -> None:
    back = seal(ROSTER_KEY, ROSTER_CONTEXT, body[: SLOTS * 1_472], size=SLOTS * 1_472 + 512)
    open_ring(with_trailer(canonical.encode(TRAILER | {"roster": sha256(back)}), back=back), Tampered)


@fuzzed
@given(changed_bytes(PLAINS[OWN] or b""))
def test_envelope__changed_and_signed__opens_or_is_refused(plain: bytes) -> None:
    envelope = KEY.public.enclose(INFO, plain)[:ENVELOPE_BYTES].ljust(ENVELOPE_BYTES, b"\0")
    front = RING[: OWN * ENVELOPE_BYTES] + envelope + RING[(OWN + 1) * ENVELOPE_BYTES : FRONT]
    open_ring(with_trailer(canonical.encode(TRAILER | {"envelopes": sha256(front)}), front), Tampered, AccessEnded)


@fuzzed
@given(changed_bytes(RING) | st.binary(max_size=2_000))
def test_keyring__with_its_bytes_changed__refused(blob: bytes) -> None:
    assert (open_ring(blob, Tampered, AccessEnded) is None) == (blob != RING)


@fuzzed
@given(changed_bytes(KEY.public.enclose(INFO, bytes(128))))
def test_envelope__with_its_bytes_changed__gives_bytes_or_nothing(envelope: bytes) -> None:
    assert KEY.open(INFO, envelope) in (None, bytes(128))


@fuzzed
@given(changed_bytes(KEY.public.raw) | st.binary(min_size=1_216, max_size=1_216))
def test_public_key__of_any_bytes__is_a_key_or_invalid(raw: bytes) -> None:
    found = read(lambda: PublicKey(raw), InvalidCard)
    assert found is None or found.raw == raw


# Texts ----------------------------------------------------------------------------------------------------------------


def values(text: str) -> Any:
    payload = text.split(":")[1]
    return value_of(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def line(kind: str, data: bytes) -> str:
    head = f"{kind}1:{base64.urlsafe_b64encode(data).decode().rstrip('=')}"
    return f"{head}:{sha256(head.encode()).hex()[:8]}"


CARD, INVITATION = frozen("card-plain", "text"), frozen("invitation-plain", "text")
DEVICE_CARD = {"name": "phone", "key": KEY.public.raw, "chain": 31_337, "address": bytes(20)}
SHEET = {
    "holder": KEY.public.id,
    "chain": 31_337,
    "registry": bytes(20),
    "owner": bytes(20),
    "rpc": "http://127.0.0.1:8545",
    "bases": ["file:///blobs/"],
    "anchors": [[bytes(32), 1, bytes(32), bytes(32)], [secret("vault"), 2, bytes(32), bytes(32)]],
    "made": 1_795_000_000,
}
TEXTS: dict[str, tuple[Any, Any, type[MemSyncError]]] = {
    "memsync-card": (Card, values(CARD), InvalidCard),
    "memsync-invitation": (Invitation, values(INVITATION), InvalidInvitation),
    "memsync-device": (DeviceCard, DEVICE_CARD, InvalidCard),
    "memsync-sheet": (Sheet, SHEET, InvalidKit),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text__unchanged__is_read(kind: str) -> None:
    parser, value, _ = TEXTS[kind]
    text = line(kind, canonical.encode(value))
    assert str(parser.parse(text)) == text


@pytest.mark.parametrize("kind", TEXTS)
@fuzzed
@given(st.data())
def test_text__changed_under_the_right_checksum__is_the_same_text_or_refused(kind: str, data: st.DataObject) -> None:
    parser, value, refusal = TEXTS[kind]
    text = line(kind, data.draw(changed_encoding(value) | st.binary(max_size=100)))
    found = read(lambda: parser.parse(text), refusal)
    assert found is None or str(found) == text


@pytest.mark.parametrize("kind", TEXTS)
@fuzzed
@given(st.data())
def test_text__with_its_characters_changed__refused(kind: str, data: st.DataObject) -> None:
    parser, value, refusal = TEXTS[kind]
    whole = line(kind, canonical.encode(value))
    changed = data.draw(
        changed_bytes(whole.encode()).map(lambda text: text.decode("utf-8", "surrogateescape")) | st.text()
    )
    found = read(lambda: parser.parse(changed), refusal)
    assert (found is None) == ("".join(changed.split()) != whole)


WORDS = split(holder("kit"))


@fuzzed
@given(st.data())
def test_kit__lists_with_words_changed__give_the_key_or_invalid(data: st.DataObject) -> None:
    lists = [words.split() for words in data.draw(st.lists(st.sampled_from(WORDS), max_size=4))]
    for words in lists[: data.draw(st.integers(0, 2))]:
        at = data.draw(st.integers(0, len(words) - 1))
        words[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.lists(st.sampled_from(words) | st.text(max_size=5), max_size=2)
        )
    found = read(lambda: combine([" ".join(words) for words in lists]), InvalidKit)
    assert found is None or found.export() == holder("kit").export()


# Files ----------------------------------------------------------------------------------------------------------------

LINES: list[dict[str, Any]] = [
    {"id": "7", "content": "Ines is left-handed.", "created": "2026-01-31T12:00:00Z", "tags": ["a"], "source": "app"},
    {"id": "8", "content": "x", "type": "fact", "source": {"platform": "chatgpt", "conversation": "c"}},
]
JSONL = b"".join(json.dumps(item).encode() + b"\n" for item in LINES)
KEYS_OF_LINES = sorted({key for item in LINES for key in item})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS_OF_LINES, "x"]), inner, max_size=6)
    ),
)


@fuzzed
@given(
    changed_bytes(JSONL) | st.binary(max_size=300) | st.lists(JSON.map(json.dumps)).map(lambda x: "\n".join(x).encode())
)
def test_jsonl__of_any_bytes__is_read_or_invalid(data: bytes) -> None:
    read(lambda: jsonl.read(io.BytesIO(data), "fuzz.jsonl"), InvalidImport)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("keys") / "device.key"
    keyfile.create(path, "a quiet pass")
    return path, path.read_bytes()


@fuzzed
@given(st.data())
def test_key_file__changed__is_read_or_damaged(key_file: tuple[Path, bytes], data: st.DataObject) -> None:
    path, whole = key_file
    value = json.loads(whole)
    name = data.draw(st.sampled_from(sorted(value)))
    field = data.draw(changed_bytes(value[name].encode()).map(lambda text: text.decode("utf-8", "replace")) | JSON)
    path.write_bytes(data.draw(changed_bytes(whole) | st.just(json.dumps(value | {name: field}).encode())))
    read(lambda: keyfile.public_key(path), HomeDamaged)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


OUTBOX = {"import": False, "records": [to_record(memory(1)), RECORD]}


@fuzzed
@given(changed_encoding(OUTBOX) | st.binary(max_size=300))
def test_outbox__entry_changed_and_sealed_by_whoever_has_the_public_key__is_read_or_damaged(
    state: Path, body: bytes
) -> None:
    context, key = PLACE.context("outbox", 0), secret("outbox")
    data = KEY.public.enclose(context + KEY.public.id, key) + seal(key, context, body)
    (state / "000000000001-1-00000000.sealed").write_bytes(data)
    read(lambda: Outbox(state, PLACE).read(holder("laptop")), HomeDamaged)


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proposed")


ADDING = {"tool": "claude", "asked": 1_790_000_000, "add": RECORD, "forget": None}
FORGETTING = ADDING | {"add": None, "forget": bytes(16)}


@fuzzed
@given(
    changed_encoding(ADDING) | changed_encoding(ADDING | {"add": None, "forget": bytes(16)}) | st.binary(max_size=300)
)
def test_inbox__entry_changed_and_sealed_by_whoever_has_the_public_key__is_read_or_damaged(
    proposed: Path, body: bytes
) -> None:
    context, key = PLACE.context("inbox", 0), secret("inbox")
    data = KEY.public.enclose(context + KEY.public.id, key) + seal(key, context, body)
    (proposed / "000000000001-1-00000000.sealed").write_bytes(data)
    read(lambda: Inbox(proposed, PLACE).read(holder("laptop")), HomeDamaged)


JOINED = {
    "chain_id": 31_337,
    "rpc": "http://127.0.0.1:8545",
    "registry": "0x" + "11" * 20,
    "vault": "22" * 32,
    "blobs": None,
    "public": True,
    "format": 1,
}


@fuzzed
@given(st.data())
def test_joined__changed__is_read_or_damaged(state: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(JOINED)))
    changed = json.dumps(JOINED | {name: data.draw(JSON)}).encode()
    (state / "joined.json").write_bytes(data.draw(st.just(changed) | changed_bytes(json.dumps(JOINED).encode())))
    read(lambda: read_joined(state), HomeDamaged)


@fuzzed
@given(st.data())
def test_seen__changed_and_sealed__is_read_or_damaged(state: Path, data: st.DataObject) -> None:
    """The key is the holder's own: this is what another version of the program could have left."""
    file, own = SealedFile(state / "seen", holder("laptop"), PLACE), holder("laptop").state_key
    context = PLACE.context("seen", 0)
    write_seen(file, Seen(4, 4, secret("head"), 9, OwnerKeys(2, secret("a"), secret("b"), secret("c")), FIRST.log))
    value = value_of(unseal(own, context, (state / "seen").read_bytes(), "seen"))
    (state / "seen").write_bytes(seal(own, context, data.draw(changed_encoding(value) | st.binary(max_size=100))))
    read(lambda: read_seen(file), HomeDamaged)
