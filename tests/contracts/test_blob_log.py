"""BlobLog: invariants B1 and B2."""

from hashlib import sha256

import pytest
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.project import ProjectManager

from .helpers import assert_event, assert_events, refused, storage_root, word


@pytest.fixture(scope="session")
def blobs(accounts: TestAccountManager, project: ProjectManager) -> ContractInstance:
    return accounts[8].deploy(project.BlobLog)


@pytest.mark.parametrize("length", [1, 31, 32, 55, 56, 64, 2048, 96 * 1024])
def test_store__blob__has_its_block_in_state_and_itself_in_the_log(
    blobs: ContractInstance, owner: TestAccountAPI, length: int
) -> None:
    blob = (word("blob") * (length // 32 + 1))[:length]

    receipt = blobs.store(blob, sender=owner)

    content_hash = sha256(blob).digest()
    assert blobs.blockOf(content_hash) == receipt.block_number
    assert_event(blobs, receipt, "Stored", contentHash=content_hash, actor=owner.address, blob=blob)
    assert receipt.gas_used < 16_777_216


def test_store__stranger_first__keeps_the_first_block_and_refuses_nobody(
    blobs: ContractInstance, owner: TestAccountAPI, stranger: TestAccountAPI
) -> None:
    blob = b"sealed"
    first = blobs.store(blob, sender=stranger)
    before = storage_root(blobs)

    again = blobs.store(blob, sender=owner)

    assert again.block_number > first.block_number
    assert_events(blobs, again)
    assert storage_root(blobs) == before
    assert bytes(blobs.store.call(blob)) == sha256(blob).digest()


def test_store__nothing__is_refused(blobs: ContractInstance, owner: TestAccountAPI) -> None:
    with refused(blobs, "EmptyBlob"):
        blobs.store(b"", sender=owner)


def test_block_of__never_stored__is_0(blobs: ContractInstance, owner: TestAccountAPI) -> None:
    blobs.store(b"sealed", sender=owner)

    assert blobs.blockOf(sha256(b"other").digest()) == 0
