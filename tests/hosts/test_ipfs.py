"""A vault on a real IPFS node: blobs are raw blocks under the names that the chain gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from memsync_client.errors import BlobMissing
from memsync_client.home import Home
from memsync_client.hosts import Host, Hosts
from memsync_client.sealing import MAX_BLOB, sha256
from memsync_client.storage.ipfs import IpfsStorage, cid_of
from memsync_client.storage.uris import IPFS
from tests.e2e.machines import grant, new_owner, texts
from tests.nodes import Chain


def pinned(url: str, blob_hash: bytes) -> bool:
    """Whether the node says that it keeps a block."""
    return requests.post(f"{url}/api/v0/pin/ls?arg={cid_of(blob_hash)}", timeout=60).ok


def test_put__blobs_of_each_size__are_pinned_raw_blocks(ipfs: str) -> None:
    host = IpfsStorage(endpoint=ipfs)
    blobs = [b"x", bytes(2_048), bytes(range(256)) * 3_000, bytes(MAX_BLOB)]
    hashes = host.put(blobs)
    assert hashes == [sha256(blob) for blob in blobs]
    assert host.put(blobs) == hashes
    assert [host.get(blob_hash, MAX_BLOB) for blob_hash in hashes] == blobs
    assert all(pinned(ipfs, blob_hash) for blob_hash in hashes)


def test_get__block_that_nobody_has__missing_and_named(ipfs: str) -> None:
    with pytest.raises(BlobMissing, match=bytes(32).hex()):
        IpfsStorage(endpoint=ipfs, seconds=4).get(bytes(32), MAX_BLOB)


def test_delete__unpinned_and_gone_from_the_node_and_again_no_error(ipfs: str) -> None:
    host = IpfsStorage(endpoint=ipfs, seconds=4)
    (blob_hash,) = host.put([b"to be forgotten"])
    for _ in range(2):
        assert host.delete([blob_hash]) == []
    assert not pinned(ipfs, blob_hash)
    with pytest.raises(BlobMissing):
        host.get(blob_hash, MAX_BLOB)


def test_vault__on_the_node__committed_verified_lent_and_thinned(ipfs: str, chain: Chain, tmp_path: Path) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    owner.session.hosts.add(Host(IPFS, ipfs))
    vault = owner.new_vault("novel", IPFS).vault
    for number in range(3):
        vault.remember(f"memory {number}")
        vault.sync()
    assert vault.record().base_uri == IPFS
    assert vault.verify().memories == 3
    Hosts(Home(tmp_path / "tool")).add(Host(IPFS, ipfs))
    tool = grant(vault, tmp_path / "tool", "claude")
    assert texts(tool.reader) == ["memory 0", "memory 1", "memory 2"]
    vault.forget([vault.memories()[0].id])
    assert texts(tool.reader) == ["memory 1", "memory 2"]
