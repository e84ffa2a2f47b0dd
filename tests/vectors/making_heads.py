"""Vectors of packs and heads, as they should be and as a faulty or hostile device could sign them."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memsync_client import canonical
from memsync_client.memory_log import Frontier
from memsync_client.sealing import Place, derive, seal, sign
from tests.client.material import OTHER_PLACES, PLACE, secret
from tests.vectors.making_texts import FULL, RECORD
from tests.vectors.writing import at, keys_of, put

EPOCH = 3
KEYS = keys_of(EPOCH)
SALT = secret("salt")[:16]


def make() -> None:
    _packs()
    _heads()
    _forgotten()


def _forgotten() -> None:
    ids = [bytes([i] * 16) for i in range(3)]

    def forgotten(name: str, about: str, body: Any, expect: str = "Tampered", epoch: int = EPOCH) -> None:
        key, context = derive(KEYS.owner_secret, "owner/forgotten"), PLACE.context("forgotten", epoch)
        given: dict[str, Any] = {"place": at(), "epoch": EPOCH, "owner_secret": KEYS.owner_secret}
        blob = seal(key, context, canonical.encode(body))
        put(f"forgotten-{name}", about, expect, kind="forgotten", **given, blob=blob)

    forgotten("three", "three forgotten ids", ids, "success")
    forgotten("none", "none", [], "success")
    forgotten("order", "ids out of order", ids[::-1])
    forgotten("twice", "an id that stands twice", [ids[0], ids[0]])
    forgotten("short", "an id of 15 bytes", [bytes(15)])
    forgotten("other-epoch", "of the epoch before", ids, epoch=EPOCH - 1)


def _packs() -> None:
    def sealed(body: Any, place: Place = PLACE, label: str = "epoch/pack", epoch: int = EPOCH) -> bytes:
        data = body if isinstance(body, bytes) else canonical.encode(body)
        return seal(derive(KEYS.secret, label), place.context("pack", epoch), data)

    def pack(name: str, about: str, blob: bytes, expect: str = "Tampered") -> None:
        put(f"pack-{name}", about, expect, kind="pack", place=at(), epoch=EPOCH, secret=KEYS.secret, blob=blob)

    least, full = canonical.encode(RECORD), canonical.encode(FULL)
    entry = [SALT, least]
    pack("two", "two memories", sealed([entry, [secret("other")[:16], full]]), "success")
    pack("forgotten", "a memory, and one that was forgotten", sealed([entry, secret("commitment")]), "success")
    pack("empty", "no memory", sealed([]), "success")
    for name, place in OTHER_PLACES.items():
        pack(f"other-{name}", f"of another {name}", sealed([entry], place))
    pack("other-epoch", "of another epoch", sealed([entry], epoch=EPOCH - 1))
    pack("key-of-heads", "under the key of heads", sealed([entry], label="epoch/head"))
    pack("no-list", "a map", sealed({}))
    pack("salt-long", "a salt of 17 bytes", sealed([[SALT + b"\0", least]]))
    pack("salt-missing", "a record without a salt", sealed([[least]]))
    pack("commitment-short", "a forgotten memory of 31 bytes", sealed([bytes(31)]))
    pack("record-open", "a record that is not a byte string", sealed([[SALT, {"content": "text"}]]))
    pack(
        "record-malformed",
        "a record without a text",
        sealed([entry, [SALT, canonical.encode(RECORD | {"content": ""})]]),
    )
    pack("not-canonical", "an array of no stated length", sealed(b"\x9f" + canonical.encode(entry) + b"\xff"))
    pack("trailing", "a byte behind the array", sealed(canonical.encode([entry]) + b"\0"))


HEAD: dict[str, Any] = {
    "version": 9,
    "parent": [secret("parent"), EPOCH],
    "base": [secret("base"), 1],
    "age": 4,
    "packs": [[secret("pack 1"), 1, 7], [secret("pack 2"), EPOCH, 1]],
    "new": 1,
    "size": 12,
    "peaks": [secret("peak of eight"), secret("peak of four")],
    "forgotten": [],
}
FIRST: dict[str, Any] = {
    "version": 1,
    "parent": None,
    "base": None,
    "age": 0,
    "packs": [],
    "new": 0,
    "size": 0,
    "peaks": [],
    "forgotten": [],
}


def head_blob(
    body: Any, signer: Ed25519PrivateKey = KEYS.writer_key, place: Place = PLACE, signed_as: str = "head"
) -> bytes:
    """A head whose body may be anything."""
    data = body if isinstance(body, bytes) else canonical.encode(body)
    signature = sign(signer, place.context(signed_as, EPOCH), data)
    return seal(derive(KEYS.secret, "epoch/head"), place.context("head", EPOCH), signature + data)


def _heads() -> None:
    given: dict[str, Any] = {
        "kind": "head",
        "place": at(),
        "epoch": EPOCH,
        "secret": KEYS.secret,
        "writer": KEYS.writer_public,
    }

    def head(name: str, about: str, blob: bytes, expect: str = "Tampered") -> None:
        put(f"head-{name}", about, expect, **given, blob=blob)

    head("first", "the empty head that a vault begins with", head_blob(FIRST), "success")
    head("later", "a head that builds on a base", head_blob(HEAD), "success")
    base = HEAD | {"base": None, "age": 0, "new": 0, "forgotten": [secret("forgotten")]}
    head("base", "a base, with a blob that names forgotten memories", head_blob(base), "success")
    packs = [[secret(f"pack {i}"), 1 + i % 3, i + 1] for i in range(60)]
    head("many-packs", "a base of 60 packs", head_blob(base | {"packs": packs}), "success")
    skipping = HEAD | {"skips": [secret("skipped"), secret("skipped too")]}
    head("skips", "a head that passes over two others", head_blob(skipping), "success")
    reader = Ed25519PrivateKey.from_private_bytes(KEYS.secret)
    head("signed-by-reader", "signed by a key that a reader could have", head_blob(HEAD, reader))
    head("signed-as-trailer", "signed as the trailer of a keyring", head_blob(HEAD, signed_as="trailer"))
    head("signed-before", "signed by the writer key of the epoch before", head_blob(HEAD, keys_of(2).writer_key))
    for name, place in OTHER_PLACES.items():
        head(f"other-{name}", f"of another {name}", head_blob(HEAD, place=place))
    blob = head_blob(HEAD)
    head("cut", "its last byte is missing", blob[:-1])
    head("trailing", "a byte behind it", blob + b"\0")
    no_signature = seal(derive(KEYS.secret, "epoch/head"), PLACE.context("head", EPOCH), canonical.encode(HEAD))
    head("unsigned", "no signature", no_signature)
    for name, about, change in _MALFORMED:
        head(name, about, head_blob(HEAD | change))
    short = {key: value for key, value in HEAD.items() if key != "parent"}
    head("no-parent-field", "a field is missing", head_blob(short))
    data = canonical.encode(HEAD)
    head("no-stated-length", "a map of no stated length", head_blob(b"\xbf" + data[1:] + b"\xff"))
    head("trailing-in-body", "a byte behind the map, signed", head_blob(data + b"\0"))


_MALFORMED: list[tuple[str, str, dict[str, Any]]] = [
    ("version-zero", "version 0", {"version": 0}),
    ("version-large", "a version beyond 32 bits", {"version": 2**32}),
    ("version-true", "true for a version", {"version": True}),
    ("age-sixteen", "16 heads since the base", {"age": 16}),
    ("base-of-age", "a base that names one", {"age": 0}),
    ("no-base-of-age", "no base, and heads since one", {"base": None}),
    ("new-too-many", "more new packs than packs", {"new": 3}),
    ("new-negative", "a negative number of new packs", {"new": -1}),
    ("pack-twice", "a pack that stands twice", {"packs": [HEAD["packs"][0], HEAD["packs"][0]]}),
    ("pack-of-none", "a pack of no entries", {"packs": [[secret("pack 1"), 1, 0]]}),
    ("pack-epoch-zero", "a pack of epoch 0", {"packs": [[secret("pack 1"), 0, 1]]}),
    ("pack-hash-short", "a pack hash of 31 bytes", {"packs": [[bytes(31), 1, 1]]}),
    ("parent-short", "a parent without an epoch", {"parent": [secret("parent")]}),
    ("parent-no-hash", "a parent that is a text", {"parent": ["parent", 1]}),
    ("peaks-too-few", "fewer peaks than the size asks for", {"peaks": [secret("peak of eight")]}),
    ("peak-short", "a peak of 31 bytes", {"peaks": [secret("peak of eight"), bytes(31)]}),
    ("size-negative", "a negative size", {"size": -12}),
    ("forgotten-twice", "a forgotten blob that stands twice", {"forgotten": [bytes(32), bytes(32)]}),
    ("forgotten-short", "a hash of 31 bytes", {"forgotten": [bytes(31)]}),
    ("unknown-field", "a field that is not known", {"note": ""}),
    ("skips-none", "it passes over others, and names none", {"skips": []}),
    ("skips-twice", "it names one twice that it passes over", {"skips": [bytes(32), bytes(32)]}),
    ("skips-short", "it passes over a hash of 31 bytes", {"skips": [bytes(31)]}),
    ("skips-true", "true in place of what it passes over", {"skips": True}),
    ("skips-without-parent", "it passes over one, and builds on none", {"parent": None, "skips": [bytes(32)]}),
]

assert Frontier(12, tuple(HEAD["peaks"])).size == HEAD["size"]
