"""What someone with an account that may commit, and without the vault's keys, gets the holders to believe: nothing.
And what an onlooker on the chain can tell commits apart by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hexbytes import HexBytes

from memsync_client.errors import ForeignKeyring, Tampered
from memsync_client.heads import FIRST, Head, HeadRef, seal_head
from memsync_client.keyring import OwnerKeys, Roster, new_import_key, seal_keyring
from memsync_client.keys import HolderKey
from memsync_client.sealing import sha256
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault
from memsync_client.wallet import Wallet
from tests.e2e.machines import grant, new_owner, new_vault, texts
from tests.nodes import Chain, transact

ALL_RIGHTS = 7  # read, write, keys


@pytest.fixture
def own_vault(chain: Chain, tmp_path: Path) -> Vault:
    """Of an owner of its own, with one memory: it does not open any more after the test."""
    made = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
    made.remember("first")
    made.sync()
    return made


def wallet_of(vault: Vault) -> Wallet:
    wallet = vault._session.wallet
    assert isinstance(wallet, Wallet)
    return wallet


def holders_of(vault: Vault) -> Roster:
    """The public keys of all holders, as cards show them; nothing else in it is true."""
    record = vault.record()
    roster = vault._view(record).keyring.roster
    assert roster
    return Roster("another name", new_import_key(), roster.holders, record.block.time)


def bring(vault: Vault, chain: Chain, blobs: Path, *, rotating: bool) -> None:
    """A stranger whom the owner gave all rights on chain, and no key, commits a head and a keyring to all holders."""
    registry, stranger = chain.registry(), chain.wallet()
    record, owner = vault.record(), wallet_of(vault)
    until = record.block.time + timedelta(days=1)
    key = HolderKey(bytes(range(32))).xwing.public
    granted = registry.grant(vault.place.vault_id, record.version, stranger.address, ALL_RIGHTS, until, key.id[:20])
    transact(registry, owner, granted)
    record = vault.record()
    epoch = record.epoch + rotating
    keys = OwnerKeys.new(epoch)
    ring = seal_keyring(vault.place, keys, holders_of(vault))
    own = HeadRef(record.content_hash, record.head_epoch)
    head = Head(record.version + 1, own, None, 0, (), 0, FIRST.log)
    blob = seal_head(vault.place, epoch, keys.secret, keys.writer_key, head)
    FileStorage(blobs).put([ring, blob])
    call = registry.commit(
        vault.place.vault_id, record.version, epoch, sha256(blob), head.log.memory_root, sha256(ring)
    )
    transact(registry, stranger, call)


@pytest.mark.parametrize("rotating", [False, True], ids=["same epoch", "next epoch"])
def test_keyring__by_an_account_that_may_bring_one_and_has_no_key__is_followed_by_nobody(
    own_vault: Vault, chain: Chain, tmp_path: Path, rotating: bool
) -> None:
    tool = grant(own_vault, tmp_path / "tool", "claude")
    assert texts(tool.reader) == ["first"]
    bring(own_vault, chain, tmp_path / "blobs", rotating=rotating)
    own_vault.remember("must not be sealed under a stranger's keys")
    before, stored = own_vault.record(), set((tmp_path / "blobs").iterdir())
    for read in (own_vault.memories, own_vault.sync, tool.reader.memories, tool.reader.standing):
        with pytest.raises(ForeignKeyring):
            read()
    assert own_vault.waiting() == 1
    assert own_vault.record().version == before.version
    assert set((tmp_path / "blobs").iterdir()) == stored


def test_head__by_an_account_that_may_write_and_has_no_key__is_read_by_nobody(
    own_vault: Vault, chain: Chain, tmp_path: Path
) -> None:
    tool = grant(own_vault, tmp_path / "tool", "claude")
    registry, record = chain.registry(), own_vault.record()
    keys = OwnerKeys.new(record.epoch)
    head = Head(record.version + 1, None, None, 0, (), 0, FIRST.log)
    secret = own_vault._view(record).keyring.keys.secret  # as a granted reader has it
    blob = seal_head(own_vault.place, record.epoch, secret, keys.writer_key, head)
    FileStorage(tmp_path / "blobs").put([blob])
    call = registry.commit(own_vault.place.vault_id, record.version, record.epoch, sha256(blob), head.log.memory_root)
    transact(registry, wallet_of(own_vault), call)
    for read in (own_vault.memories, tool.reader.memories):
        with pytest.raises(Tampered, match=sha256(blob).hex()):
            read()


# Seen from outside ----------------------------------------------------------------------------------------------------


def shape(chain: Chain, tx_hash: bytes) -> dict[str, Any]:
    """What a transaction shows but for its hashes and numbers."""
    web3 = chain.node.web3
    sent, receipt = web3.eth.get_transaction(HexBytes(tx_hash)), web3.eth.get_transaction_receipt(HexBytes(tx_hash))
    return {
        "to": sent["to"],
        "value": sent["value"],
        "type": sent["type"],
        "selector": bytes(sent["input"][:4]),
        "bytes": len(sent["input"]),
        "logs": [(bytes(log["topics"][0]), len(log["topics"]), len(log["data"])) for log in receipt["logs"]],
    }


def newest(vault: Vault, chain: Chain) -> tuple[dict[str, Any], bool]:
    """The shape of the last commit, and whether it brought a keyring."""
    event = chain.registry().commits(vault.place.vault_id)[-1]
    return shape(chain, event.tx_hash), event.keyring_hash is not None


def test_commits__with_a_keyring__look_alike_whatever_they_are_for(vault: Vault, chain: Chain, tmp_path: Path) -> None:
    grant(vault, tmp_path / "private", "private", private=True)
    keyring_only, brought = newest(vault, chain)
    assert brought
    transact(chain.registry(), wallet_of(vault), chain.registry().rotate(vault.place.vault_id))
    vault.remember("with a new epoch")
    vault.sync(keep_private=True)
    with_memories, brought = newest(vault, chain)
    assert brought
    vault.remember("without a keyring")
    vault.sync()
    without_keyring, brought = newest(vault, chain)
    assert not brought
    assert keyring_only == with_memories == without_keyring  # a keyring is one hash among others


def test_blobs__of_commits_of_one_memory__have_one_size(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    sizes = []
    for content in ("x", "Ines is left-handed.", "y" * 1_000):
        before = set(folder.iterdir())
        vault.remember(content)
        vault.sync()
        sizes.append(sorted(path.stat().st_size for path in set(folder.iterdir()) - before))
    assert sizes == [[2_120, 2_120]] * 3
