"""Vectors of what brings a machine in or back: device cards, sheets, and the words of a recovery kit."""

from __future__ import annotations

from typing import Any

from shamir_mnemonic import generate_mnemonics

from memsync_client.kit import split
from tests.client.material import holder, secret
from tests.vectors.making_texts import KEY, line
from tests.vectors.running import FOLDER
from tests.vectors.writing import keys_of, put

DEVICE = {"name": "phone", "key": KEY, "chain": 31_337, "address": b"\x33" * 20}


def _anchor(vault: bytes, epoch: int) -> list[Any]:
    keys = keys_of(epoch).anchor
    return [vault, epoch, keys.writer_public, keys.check]


ANCHORS = [_anchor(b"\x11" * 32, 1), _anchor(b"\xb2" * 32, 3)]
SHEET: dict[str, Any] = {
    "holder": holder("kit").xwing.public.id,
    "chain": 31_337,
    "registry": b"\xa1" * 20,
    "owner": b"\x44" * 20,
    "rpc": "https://rpc.example/v1",
    "bases": ["https://blobs.example/novel/", "evm:"],
    "anchors": ANCHORS,
    "made": 1_795_251_600,
}


def make() -> None:
    _device_cards()
    _sheets()
    _words()


def _device_cards() -> None:
    def card(name: str, about: str, change: dict[str, Any], expect: str = "InvalidCard") -> None:
        text = line("memsync-device1", DEVICE | change)
        put(f"device-card-{name}", about, expect, kind="device_card", text=text)

    card("plain", "a new device that is to commit by itself", {}, "success")
    card("no-account", "one that is not", {"address": None}, "success")
    card("chain-zero", "on chain 0", {"chain": 0})
    card("address-long", "an address of 21 bytes", {"address": bytes(21)})
    card("key-low-order", "an X25519 half of low order", {"key": KEY[:1_184] + bytes(32)})
    card("name-blank", "a name that begins with a space", {"name": " phone"})
    text = line("memsync-device1", DEVICE)
    put("device-card-as-card", "a reader's card", "InvalidCard", kind="card", text=text)


def _sheets() -> None:
    def sheet(name: str, about: str, change: dict[str, Any], expect: str = "InvalidKit") -> None:
        put(f"sheet-{name}", about, expect, kind="sheet", text=line("memsync-sheet1", SHEET | change))

    sheet("plain", "the sheet of a kit, with two vaults", {}, "success")
    sheet("empty", "before there is a vault", {"anchors": [], "bases": []}, "success")
    sheet("anchors-order", "vaults out of order", {"anchors": ANCHORS[::-1]})
    sheet("anchors-twice", "a vault that stands twice", {"anchors": [ANCHORS[0], ANCHORS[0]]})
    sheet("anchor-short", "an anchor without its check", {"anchors": [ANCHORS[0][:3]]})
    sheet("holder-short", "a key id of 31 bytes", {"holder": bytes(31)})
    sheet("made-late", "made after the year 9999", {"made": 253_402_300_800})
    sheet("unknown-field", "a field that is not known", {"note": ""})


def _words() -> None:
    def words(name: str, about: str, *lists: str, expect: str = "InvalidKit") -> None:
        put(f"kit-{name}", about, expect, kind="kit", lists=list(lists))

    if list(FOLDER.glob("kit-*.json")):  # all are made together, so that they belong together
        return
    one, two, three = split(holder("kit"))
    words("first-and-second", "two of three lists", one, two, expect="success")
    words("third-and-first", "another two", three, one, expect="success")
    words("all", "all three", one, two, three, expect="success")
    short = " ".join(word[:4].upper() for word in two.split())
    words("abbreviated", "the first four letters of each word, in capitals", one, short, expect="success")
    words("one-list", "one list alone", one)
    words("one-list-twice", "the same list twice", one, one)
    changed = two.split()
    changed[20], changed[21] = changed[21], changed[20]
    words("words-exchanged", "two words have changed places", one, " ".join(changed))
    words("word-unknown", "a word that is not in the list", one, " ".join([*two.split()[:-1], "lighthouse"]))
    words("word-missing", "32 words", one, " ".join(two.split()[:-1]))
    words("of-two-kits", "lists of two kits", one, split(holder("other kit"))[1])
    ((backup, second),) = generate_mnemonics(1, [(2, 2)], secret("wallet"), extendable=True, iteration_exponent=1)
    words("of-a-wallet", "the backup of a wallet: it is stretched", backup, second)
