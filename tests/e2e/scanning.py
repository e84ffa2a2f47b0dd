"""Looking for plain text: all that a chain holds and all that a folder of blobs holds, searched for given things."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from memsync_client.rpc import Node

WORD = re.compile(r"[^\W\d_]{5,}")


def on_chain(node: Node) -> dict[str, bytes]:
    """All bytes that users of a chain put there, by where they stand: calldata, logs, and the storage of all accounts.

    Storage is joined in order of its slots, so that a text that is longer than a slot is found too.
    """
    found = {}
    for number in range(int(node.request("eth_blockNumber"), 16) + 1):
        for transaction in node.request("eth_getBlockByNumber", hex(number), True)["transactions"]:
            ends = _bytes(transaction["from"]) + _bytes(transaction["to"] or "0x")
            found[f"calldata of {transaction['hash']}"] = ends + _bytes(transaction["input"])
    for log in node.request("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}):
        name = f"log {log['logIndex']} of {log['transactionHash']}"
        found[name] = b"".join(map(_bytes, (log["address"], *log["topics"], log["data"])))
    state = json.loads(gzip.decompress(_bytes(node.request("anvil_dumpState"))))
    for address, account in state["accounts"].items():
        slots = sorted((int(slot, 16), int(value, 16)) for slot, value in account["storage"].items())
        if slots:
            found[f"storage of {address}"] = b"".join(value.to_bytes(32, "big") for _, value in slots)
    return found


def in_folder(folder: Path) -> dict[str, bytes]:
    """All files of a folder and of those below it, with their names as part of what they hold."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {f"blob {path.name}": str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() for path in files}


def words_of(*texts: str) -> set[str]:
    """All words of five letters or more, in lower case."""
    return {word.lower() for text in texts for word in WORD.findall(text)}


def scan(places: Mapping[str, bytes], words: Iterable[str], secrets: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """What is found, as (word or name of a secret, kind of place).

    Words (given in lower case) as UTF-8 in any case; as hex digits, and those of eight letters or more in base64, in
    small letters, capitals, and with a capital. Secrets (names, passphrases, keys) as bytes, hex digits and base64.
    """
    needles: dict[bytes, str] = {}
    for word in words:
        needles[word.encode()] = word
        for form in (word.encode(), word.capitalize().encode(), word.upper().encode()):
            needles[form.hex().encode()] = word
            needles |= {needle.lower(): word for needle in _in_base64(form) if len(word) >= 8}
    for name, secret in secrets.items():
        forms = (secret, secret.hex().encode(), *_in_base64(secret))
        needles |= {needle.lower(): name for needle in forms}
    kinds: dict[str, bytearray] = {}
    for place, data in places.items():
        kinds.setdefault(place.partition(" ")[0], bytearray()).extend(data.lower() + b"\n")
    return {(name, kind) for needle, name in needles.items() for kind, data in kinds.items() if needle in data}


def _in_base64(data: bytes) -> set[bytes]:
    """How ``data`` looks inside base64 of something longer, in both alphabets, wherever it begins."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        whole = encoded[(8 * before + 5) // 6 : (8 * (before + len(data))) // 6]
        found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
