"""The frozen vectors, read by the client."""

from __future__ import annotations

import pytest
from web3.exceptions import ContractCustomError

from memsync_client import errors
from memsync_client.refusals import decode_error
from memsync_client.registry import Registry, load_artifact
from tests.nodes import contract_of
from tests.vectors import running

NAMES = sorted(path.stem for path in running.FOLDER.glob("*.json"))
MAX_BYTES = 2_000_000


def test_vectors__are_of_known_kinds_and_classes_and_few_enough_to_keep() -> None:
    kinds = set(running.KINDS) | {"proof"}
    classes = {"success", "MalformedProof", *(name for name in vars(errors) if name[0].isupper())}
    for name in NAMES:
        vector = running.load(name)
        assert vector["kind"] in kinds, name
        assert vector["expect"] in classes, name
        assert ("gives" in vector) >= (vector["expect"] == "success"), name
    assert {running.load(name)["kind"] for name in NAMES} == kinds
    assert sum(path.stat().st_size for path in running.FOLDER.iterdir() if path.is_file()) < MAX_BYTES


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("proof-")])
def test_vector__read_by_the_client__has_its_outcome(name: str) -> None:
    vector = running.load(name)
    read, expect = running.KINDS[vector["kind"]], vector["expect"]
    if expect == "success":
        assert read(vector) == vector["gives"]
        return
    with pytest.raises(errors.MemSyncError) as refused:
        read(vector)
    assert type(refused.value).__name__ == expect
    assert refused.value.cause


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("proof-")])
def test_proof__read_by_the_contract__has_its_outcome(registry: Registry, name: str) -> None:
    vector = running.load(name)
    proof = [bytes.fromhex(node) for node in vector["proof"]]
    given = bytes.fromhex(vector["entry"]), vector["index"], vector["size"], proof
    call = contract_of(registry).functions.memoryRootFrom(*given)
    if vector["expect"] == "success":
        assert call.call().hex() == vector["gives"]
        return
    with pytest.raises(ContractCustomError) as refused:
        call.call()
    assert vector["expect"] in str(decode_error(load_artifact()["abi"], refused.value.data))
