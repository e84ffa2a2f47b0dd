"""A vault in a bucket: committed, verified, lent, and restored on an empty machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from memsync_client.client import Client, restore
from memsync_client.home import Home
from memsync_client.hosts import Host, Hosts
from tests.e2e.machines import PASSPHRASE, grant, new_owner, texts
from tests.nodes import Chain
from tests.object_stores import object_store, use_credentials

BUCKET = "s3://ines-blobs/memsync/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    use_credentials(monkeypatch)
    with object_store() as url:
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="ines-blobs")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield url


def test_vault__in_a_bucket__committed_verified_lent_and_restored(server: str, chain: Chain, tmp_path: Path) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    vault = owner.new_vault("novel", BUCKET).vault
    for number in range(3):
        vault.remember(f"memory {number}")
        vault.sync()
    assert vault.verify().memories == 3
    Hosts(Home(tmp_path / "tool")).add(Host(BUCKET, server))
    tool = grant(vault, tmp_path / "tool", "claude")
    assert len(texts(tool.reader)) == 3
    vault.forget([vault.memories()[0].id])
    assert len(texts(tool.reader)) == 2
    new = Home(tmp_path / "new")
    restore(new, PASSPHRASE, owner.home.device_key, owner.session.config.owner, rpc=chain.rpc_url)
    restored = Client(new, PASSPHRASE).vault()
    assert texts(restored) == texts(vault)
    vault.move(f"{BUCKET}moved/", delete_old=True)
    assert texts(Client(new, PASSPHRASE).vault()) == texts(vault)
    listed = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"]).list_objects_v2(Bucket="ines-blobs")
    assert {found["Key"].rpartition("/")[0] for found in listed["Contents"]} == {"memsync/moved"}
