"""Our reading and writing of calls and events, beside web3's own of the same interface."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.exceptions import DecodingError, EncodingError
from web3 import Web3

from memsync_client.interface import Event, Function
from memsync_client.registry import load_artifact

WEB3 = Web3()
CONTRACTS = ("MemoryRegistry", "BlobLog")
ENTRIES = [entry for contract in CONTRACTS for entry in load_artifact(contract)["abi"]]
FUNCTIONS = [entry for entry in ENTRIES if entry["type"] == "function"]
EVENTS = [entry for entry in ENTRIES if entry["type"] == "event"]
ADDRESS = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


def sample(part: Any) -> Any:
    kind = part["type"]
    if kind == "tuple":
        return tuple(sample(inner) for inner in part["components"])
    if kind.endswith("[]"):
        return (sample(part | {"type": kind[:-2]}),) * 2
    if kind.startswith("bytes"):
        return bytes(range(1, 1 + int(kind[5:] or 77)))
    if kind.startswith("uint"):
        return 2 ** int(kind[4:]) - 3
    return {"address": ADDRESS, "string": "Füße", "bool": True}[kind]


@pytest.mark.parametrize("entry", FUNCTIONS, ids=lambda entry: entry["name"])
def test_function__call_and_answer__are_what_web3_makes_of_them(entry: Any) -> None:
    function, theirs = Function(entry, WEB3.codec), WEB3.eth.contract(abi=[entry])
    arguments = [sample(part) for part in entry["inputs"]]
    data = function.encode(arguments)
    assert data == bytes.fromhex(theirs.encode_abi(entry["name"], args=arguments)[2:])
    returned = tuple(sample(part) for part in entry["outputs"])
    answer = Function(entry | {"inputs": entry["outputs"]}, WEB3.codec).encode(returned)[4:]
    assert function.decode(answer) == (returned[0] if len(returned) == 1 else returned)
    if returned:
        with pytest.raises(DecodingError):
            function.decode(answer[:-32])


@pytest.mark.parametrize("entry", EVENTS, ids=lambda entry: entry["name"])
def test_event__its_log__is_what_web3_reads_in_it(entry: Any) -> None:
    values = {part["name"]: sample(part) for part in entry["inputs"]}
    kinds = {part["name"]: part["type"] for part in entry["inputs"]}
    indexed = [part["name"] for part in entry["inputs"] if part["indexed"]]
    others = [name for name in values if name not in indexed]
    event = Event(entry, WEB3.codec)
    log: dict[str, Any] = {
        "address": ADDRESS,
        "topics": [event.topic, *(WEB3.codec.encode([kinds[name]], [values[name]]) for name in indexed)],
        "data": WEB3.codec.encode([kinds[name] for name in others], [values[name] for name in others]),
        **dict.fromkeys(("logIndex", "transactionIndex", "blockNumber"), 0),
        **dict.fromkeys(("transactionHash", "blockHash"), bytes(32)),
    }
    theirs: Any = WEB3.eth.contract(abi=[entry]).events[entry["name"]]().process_log(log)
    assert event.decode(log) == dict(theirs["args"]) == values

    wrong: dict[str, Any]
    for wrong in (
        {"topics": [bytes(32), *log["topics"][1:]]},
        {"topics": log["topics"][:-1]},
        {"topics": [*log["topics"], bytes(32)]},
        {"topics": []},
        {"topics": [log["topics"][0], *(topic[1:] for topic in log["topics"][1:])]},
        {"data": log["data"][:-32]},
    ):
        with pytest.raises((ValueError, DecodingError)):
            event.decode(log | wrong)


@pytest.mark.parametrize(
    "arguments",
    [
        *((bytes(31), ADDRESS), (bytes(33), ADDRESS), (7, ADDRESS)),
        *((bytes(32), ADDRESS[:-1]), (bytes(32), "0x" + ADDRESS[2:].swapcase())),
        *((bytes(32),), (bytes(32), ADDRESS, 1)),
    ],
    ids=["too short", "too long", "a number", "half an address", "wrong checksum", "one too few", "one too many"],
)
def test_function__wrong_arguments__are_refused_and_not_padded(arguments: tuple[Any, ...]) -> None:
    (entry,) = (entry for entry in FUNCTIONS if entry["name"] == "grantOf")
    with pytest.raises((ValueError, TypeError, EncodingError)):
        Function(entry, WEB3.codec).encode(arguments)
