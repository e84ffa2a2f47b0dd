"""Vectors of cards, invitations and records: what is text, or small."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from memsync_client import canonical, keyfile
from memsync_client.sealing import sha256
from tests.client.material import PLACE, flipped, holder
from tests.vectors.writing import keys_of, put

PASSPHRASE = "a quiet pass over Thistlemoor \u2014 cafe\u0301"
KEY = holder("claude").xwing.public.raw
CARD = {"name": "claude", "key": KEY, "address": b"\x22" * 20, "schemes": ["file", "https"]}
ANCHOR = keys_of(3).anchor
INVITATION = {
    "chain": PLACE.chain_id,
    "registry": PLACE.registry,
    "vault": PLACE.vault_id,
    "rpc": "https://rpc.example/v1",
    "bases": ["https://blobs.example/novel/", "evm:"],
    "anchor": [ANCHOR.epoch, ANCHOR.writer_public, ANCHOR.check],
}


def line(kind: str, value: Any) -> str:
    """The text of a card or an invitation, whose value may be anything."""
    data = value if isinstance(value, bytes) else canonical.encode(value)
    head = f"{kind}:{base64.urlsafe_b64encode(data).decode().rstrip('=')}"
    return checked(head)


def checked(head: str) -> str:
    return f"{head}:{sha256(head.encode()).hex()[:8]}"


def make() -> None:
    _key_files()
    _cards()
    _invitations()
    _records()


def _key_files() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "some.key"
        keyfile.create(path, keyfile.ask(PASSPHRASE))
        text = path.read_text()

    def key_file(name: str, about: str, text: str, expect: str = "HomeDamaged") -> None:
        put(f"key-file-{name}", about, expect, kind="key_file", text=text, passphrase=PASSPHRASE)

    key_file("plain", "a key file; its letters are composed before they are stretched", text, "success")
    key_file("version", "of a version that is not there yet", text.replace("memsync-key-1", "memsync-key-2"))
    key_file("kdf", "under another function", text.replace("argon2id", "scrypt"))
    value = json.loads(text)
    key_file("salt", "a salt of 15 bytes", json.dumps(value | {"salt": value["salt"][2:]}))
    key_file("public", "a public key of 1,215 bytes", json.dumps(value | {"public": value["public"][2:]}))
    key_file("cut", "its second half is missing", text[: len(text) // 2])


def _cards() -> None:
    text = line("memsync-card1", CARD)

    def card(name: str, about: str, text: str, expect: str = "InvalidCard") -> None:
        put(f"card-{name}", about, expect, kind="card", text=text)

    card("plain", "a reader's card", text, "success")
    wrapped = " " + "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)) + "\n\t"
    card("wrapped", "the same, as a mail program breaks it", wrapped, "success")
    spaced = "\ufeff" + "".join(map("".join, zip(text, "\t\n\r \u00a0\ufeff" * len(text), strict=False)))
    card("space", "the same with all that counts as white space between its characters", spaced, "success")
    for name, other in {"separator": "\x1f", "next-line": "\x85", "thin": "\u2009", "vertical-tab": "\x0b"}.items():
        card(f"space-{name}", f"U+{ord(other):04X} is no white space here", text[:50] + other + text[50:])
    named = line("memsync-card1", CARD | {"name": "Ines’ 書記 🦉"})
    card("name-of-all-scripts", "a name beyond ASCII", named, "success")
    card("checksum", "the checksum is another", text[:-1] + ("0" if text[-1] != "0" else "1"))
    card("cut", "the last character is missing", text[:-1])
    card("version", "of a version that is not there yet", line("memsync-card2", CARD))
    card("invitation", "an invitation", line("memsync-invitation1", INVITATION))
    card("padding", "base64 with its padding", checked("memsync-card1:" + _base64(CARD | {"name": "claudes"})))
    kind, payload, _ = text.split(":")
    card("other-alphabet", "base64 with + and /", checked(f"{kind}:{payload.replace('-', '+').replace('_', '/')}"))
    card("field-missing", "no address", line("memsync-card1", {k: v for k, v in CARD.items() if k != "address"}))
    card("field-unknown", "a field that is not known", line("memsync-card1", CARD | {"version": 2}))
    card("key-short", "a key of 1,215 bytes", line("memsync-card1", CARD | {"key": KEY[:-1]}))
    card(
        "key-coefficient", "an ML-KEM coefficient of q", line("memsync-card1", CARD | {"key": _with_coefficient(3_329)})
    )
    low = KEY[:1_184] + bytes(32)
    card("key-low-order", "an X25519 half of low order", line("memsync-card1", CARD | {"key": low}))
    card("address-short", "an address of 19 bytes", line("memsync-card1", CARD | {"address": bytes(19)}))
    card("name-empty", "an empty name", line("memsync-card1", CARD | {"name": ""}))
    card("name-long", "a name of 65 bytes", line("memsync-card1", CARD | {"name": "n" * 65}))
    card("name-steers", "a name that steers a terminal", line("memsync-card1", CARD | {"name": "a\x1b[2Jb"}))
    card("name-address", "a name like an address", line("memsync-card1", CARD | {"name": "0X 7099A9…"}))
    card("not-canonical", "a map of no stated length", line("memsync-card1", _of_no_length(CARD)))


def _base64(value: Any) -> str:
    text = base64.urlsafe_b64encode(canonical.encode(value)).decode()
    assert text.endswith("=")
    return text


def _with_coefficient(value: int) -> bytes:
    first = int.from_bytes(KEY[:3], "little") & ~0xFFF | value
    return first.to_bytes(3, "little") + KEY[3:]


def _of_no_length(value: dict[str, Any]) -> bytes:
    return b"\xbf" + canonical.encode(value)[1:] + b"\xff"


def _invitations() -> None:
    kind = "memsync-invitation1"

    def invitation(name: str, about: str, text: str, expect: str = "InvalidInvitation") -> None:
        put(f"invitation-{name}", about, expect, kind="invitation", text=text)

    invitation("plain", "an invitation", line(kind, INVITATION), "success")
    invitation("checksum", "one character of it is another", line(kind, INVITATION).replace("A", "B", 1))
    invitation("card", "a card", line("memsync-card1", CARD))
    invitation("chain-zero", "on chain 0", line(kind, INVITATION | {"chain": 0}))
    invitation("vault-short", "a vault id of 31 bytes", line(kind, INVITATION | {"vault": bytes(31)}))
    invitation("anchor-missing", "an anchor of nothing", line(kind, INVITATION | {"anchor": []}))
    zero = [0, ANCHOR.writer_public, ANCHOR.check]
    invitation("anchor-epoch-zero", "an anchor of epoch 0", line(kind, INVITATION | {"anchor": zero}))
    invitation("bases-no-text", "a base URI that is no text", line(kind, INVITATION | {"bases": [b"evm:"]}))


RECORD: dict[str, Any] = {
    "id": bytes.fromhex("00112233445566778899aabbccddeeff"),
    "revision": bytes.fromhex("00112233445566778899aabbccddeeff"),
    "supersedes": [],
    "content": "Ines is left-handed.",
    "created": None,
    "type": None,
    "tags": [],
    "source": None,
}
FULL = RECORD | {
    "revision": bytes.fromhex("0f" * 16),
    "supersedes": [RECORD["id"]],
    "content": "The lighthouse keeper’s name is Aurel — 灯台守.\n\0\tHe is 61.",
    "created": 1_767_268_800_123_456,
    "type": "fact",
    "tags": ["character", "", "ä" * 128],
    "source": ["chatgpt", "conversation 7", None],
}


def _records() -> None:
    def record(name: str, about: str, value: Any, expect: str = "Tampered") -> None:
        data = value if isinstance(value, bytes) else canonical.encode(RECORD | value)
        put(f"record-{name}", about, expect, kind="record", record=data)

    record("least", "the least that a memory is", RECORD, "success")
    record("full", "every field, of several scripts", FULL, "success")
    record("time-first", "the first instant of the year 1", {"created": -62_135_596_800_000_000}, "success")
    record("time-last", "the last microsecond of the year 9999", {"created": 253_402_300_799_999_999}, "success")
    record(
        "supersedes-most", "64 superseded revisions", {"supersedes": [bytes([i] * 16) for i in range(64)]}, "success"
    )
    record("bom", "a byte order mark is text like any other", {"content": "\ufeff"}, "success")
    record("content-empty", "no text", {"content": ""})
    spaces = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
    record("content-blank", "white space alone", {"content": spaces})
    record("content-no-text", "bytes for a text", {"content": b"text"})
    record("id-short", "an id of 15 bytes", {"id": bytes(15)})
    record("revision-empty", "an empty revision", {"revision": b""})
    record("supersedes-too-many", "65 superseded revisions", {"supersedes": [bytes([i] * 16) for i in range(65)]})
    record("supersedes-short", "a superseded revision of 15 bytes", {"supersedes": [bytes(15)]})
    record("time-too-early", "a microsecond before the year 1", {"created": -62_135_596_800_000_001})
    record("time-too-late", "the first instant of the year 10000", {"created": 253_402_300_800_000_000})
    record("time-true", "true for a time", {"created": True})
    record("tags-too-many", "33 tags", {"tags": ["t"] * 33})
    record("tag-too-long", "a tag of 257 bytes", {"tags": ["t" * 257]})
    record("type-too-long", "a type of 257 bytes", {"type": "t" * 257})
    record("source-without-platform", "a source without a platform", {"source": [None, None, None]})
    record("source-short", "a source of two fields", {"source": ["chatgpt", None]})
    record("unknown-field", "a field that is not known", {"mood": None})
    record("trailing-byte", "a byte behind it", canonical.encode(RECORD) + b"\0")
    record("cut", "its last byte is missing", canonical.encode(RECORD)[:-1])
    record("no-stated-length", "a map of no stated length", _of_no_length(RECORD))
    record("key-twice", "a key that stands twice", _key_twice())
    record("keys-unsorted", "keys out of order", _unsorted())
    record("length-too-wide", "a length in more bytes than it needs", _wide_length())
    not_utf8 = canonical.encode(RECORD).replace(b"left", b"\xff\xfe\xfd\xfc")
    record("no-utf-8", "text that is not UTF-8", not_utf8)
    surrogate = canonical.encode(RECORD).replace(b"lef", b"\xed\xa0\x80")
    record("surrogate", "half of a surrogate pair", surrogate)
    record("float", "a float", canonical.encode(RECORD).replace(b"created\xf6", b"created\xf9\x3c\x00"))
    record("tag", "a tagged value", canonical.encode(RECORD).replace(b"created\xf6", b"created\xc1\x01"))
    record("no-map", "an array", canonical.encode([]))
    record("flipped-type", "another type of value", flipped(canonical.encode(RECORD), 0, 0x20))


def _items() -> list[bytes]:
    """Keys and values of RECORD, each pair encoded."""
    keys = sorted(RECORD, key=lambda key: (len(key), key))
    return [canonical.encode(key) + canonical.encode(RECORD[key]) for key in keys]


def _key_twice() -> bytes:
    items = _items()
    return bytes([0xA0 | 9]) + b"".join([*items[:1], *items])


def _unsorted() -> bytes:
    items = _items()
    return bytes([0xA0 | 8]) + b"".join([items[1], items[0], *items[2:]])


def _wide_length() -> bytes:
    data = canonical.encode(RECORD)
    at = data.index(b"\x50", data.index(b"id"))
    return data[:at] + b"\x58\x10" + data[at + 1 :]
