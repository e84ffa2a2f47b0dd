"""What a node, a fork, a failure in between or another process can't do to an owner's vault."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memsync_client import reading
from memsync_client.client import Client, restore
from memsync_client.devices import add_device, join, new_device
from memsync_client.errors import (
    ForeignKeyring,
    InsufficientFunds,
    InvalidRequest,
    Rollback,
    StorageUnavailable,
    Tampered,
    VersionTaken,
)
from memsync_client.heads import FIRST, seal_head
from memsync_client.home import Home, read_seen
from memsync_client.keyring import Holder, OwnerKeys, Role, Roster, new_import_key, seal_keyring
from memsync_client.keys import HolderKey, PublicKey
from memsync_client.reader import Reader, card_of
from memsync_client.records import CommitEvent
from memsync_client.registry import Registry
from memsync_client.sealing import sha256
from memsync_client.session import Session
from memsync_client.storage.file import FileStorage
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, again, grant, new_owner, new_vault, texts
from tests.nodes import Chain, running_chain, transact


def once(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, error: Exception) -> None:
    """The next call of a method does its work, and then fails."""
    real: Callable[..., Any] = getattr(target, name)

    def failing(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(target, name, real)
        real(*args, **options)
        raise error

    monkeypatch.setattr(target, name, failing)


def test_sync__node_says_that_a_commit_that_landed_did_not__nothing_is_lost_or_doubled(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.remember("second")
    once(monkeypatch, Session, "land", VersionTaken("another was first"))
    vault.sync()
    assert texts(vault) == ["first", "second"]
    assert vault.waiting() == 0
    report = vault.verify()
    assert (report.whole, report.memories) == (True, 2)


def test_grant__node_says_that_one_that_landed_did_not__the_keyring_stays(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(monkeypatch, Session, "land", VersionTaken("another was first"))
    with suppress(InvalidRequest):  # the second attempt may find it granted already
        grant(vault, tmp_path / "tool", "claude")
    assert [line.name for line in vault.grants()] == ["claude"]
    assert texts(vault) == ["first"]
    assert vault.verify().whole


def test_grant__refused_before_it_is_sent__leaves_no_envelope_on_the_host(
    vault: Vault, tmp_path: Path, chain: Chain
) -> None:
    address = vault._session.wallet.address
    before = sorted(os.listdir(tmp_path / "blobs"))
    funds = chain.node.request("eth_getBalance", address, "latest")
    chain.node.request("anvil_setBalance", address, "0x0")
    try:
        with pytest.raises(InsufficientFunds):
            grant(vault, tmp_path / "tool", "claude")
        vault.remember("waits")
        with pytest.raises(InsufficientFunds):
            vault.sync()
    finally:
        chain.node.request("anvil_setBalance", address, funds)
    assert sorted(os.listdir(tmp_path / "blobs")) == before
    assert vault.sync().committed == 1


def test_rollback__interrupted_on_the_way__can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_chain() as chain:
        vault = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
        snapshot = chain.node.request("evm_snapshot")
        vault.remember("lost and found")
        vault.sync()
        chain.node.request("evm_revert", snapshot)
        before = read_seen(vault._seen)
        real = reading.read_entries
        failing = lambda *_: (_ for _ in ()).throw(StorageUnavailable("The disk is gone."))  # noqa: E731
        monkeypatch.setattr("memsync_client.opened.read_entries", failing)
        with pytest.raises(StorageUnavailable):
            vault.sync(accept_rollback=True)
        monkeypatch.setattr("memsync_client.opened.read_entries", real)
        assert read_seen(vault._seen) == before
        assert vault.sync(accept_rollback=True).committed == 1
        assert texts(vault) == ["lost and found"]


def test_fork__another_device_goes_on_without_a_commit__is_noticed_and_healed(tmp_path: Path) -> None:
    with running_chain() as chain:
        client = new_owner(tmp_path / "owner", chain.rpc_url)
        vault = new_vault(client, "novel", tmp_path / "blobs")
        vault.remember("first")
        vault.sync()
        shutil.copytree(tmp_path / "owner", tmp_path / "other")
        other = Client(Home(tmp_path / "other" / client.home.folder.relative_to(tmp_path / "owner")), PASSPHRASE)
        snapshot = chain.node.request("evm_snapshot")
        vault.remember("in the lost branch")
        vault.sync()
        chain.node.request("evm_revert", snapshot)
        for text in ("other branch", "and on"):
            other.vault("novel").remember(text)
            other.vault("novel").sync()
        with pytest.raises(Rollback, match="history has changed"):
            vault.memories()
        vault.sync()  # a practice chain gets it again; elsewhere: --accept-rollback
        assert sorted(texts(vault)) == ["and on", "first", "in the lost branch", "other branch"]


def test_join__vault_that_a_node_invents__does_not_follow_from_the_invitation(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = grant(vault, tmp_path / "tool", "claude")
    card = card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)
    invent(vault, card.key, Role.READER, tmp_path / "blobs", monkeypatch)
    (tmp_path / "tool" / "readers" / "claude" / "seen").unlink()
    with pytest.raises(ForeignKeyring):
        Reader(Home(tmp_path / "tool"), "claude", PASSPHRASE).join(granted.result.invitation)


def invent(vault: Vault, key: PublicKey, role: Role, blobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the node shows another vault in the place of this one, with an envelope for ``key``."""
    keys, mallory = OwnerKeys.new(1), HolderKey(bytes(range(32)))
    holder = Holder(key, role, "claude", 1, None, None, mallory.xwing.public.id)
    invented = Roster("invented", new_import_key(), (holder,), vault.record().block.time)
    ring = seal_keyring(vault.place, keys, invented)
    head = seal_head(vault.place, 1, keys.secret, keys.writer_key, FIRST)
    FileStorage(blobs).put([ring, head])
    real = Registry.record

    def record(self: Registry, vault_id: bytes, block: int | None = None) -> Any:
        return replace(
            real(self, vault_id, block),
            memory_root=FIRST.log.memory_root,
            content_hash=sha256(head),
            keyring_hash=sha256(ring),
            version=1,
            head_version=1,
            epoch=1,
            head_epoch=1,
        )

    monkeypatch.setattr(Registry, "record", record)


def test_join__node_that_invents_a_vault_just_afterwards__does_not_follow_from_the_sheet(
    lone: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new device has looked at nothing yet but the keyring."""
    vault = new_vault(lone, "novel", tmp_path / "blobs")
    home = Home(tmp_path / "laptop")
    sheet = add_device(lone, new_device(home, PASSPHRASE, "laptop", rpc=lone.session.config.rpc))
    join(home, PASSPHRASE, sheet)
    laptop = Client(home, PASSPHRASE)
    with monkeypatch.context() as lying:
        invent(vault, laptop.session.device_public, Role.DEVICE, tmp_path / "blobs", lying)
        with pytest.raises(ForeignKeyring):
            laptop.vault().memories()
    assert texts(Client(home, PASSPHRASE).vault()) == []


def test_join__reader_of_another_vault__is_refused(owner: Client, vault: Vault, tmp_path: Path) -> None:
    granted = grant(vault, tmp_path / "tool", "claude")
    (tmp_path / "more").mkdir()
    second = new_vault(owner, tmp_path.name + " 2", tmp_path / "more blobs")
    invitation = second.grant(card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)).invitation
    with pytest.raises(InvalidRequest, match="belongs to another vault"):
        granted.reader.join(invitation)
    assert texts(again_reader(tmp_path)) == ["first"]


def again_reader(tmp_path: Path) -> Reader:
    return Reader(Home(tmp_path / "tool"), "claude", PASSPHRASE)


def test_list__that_began_before_a_sync__takes_nothing_back(vault: Vault) -> None:
    old = vault.record()
    vault.remember("second")
    vault.sync()
    copies = sorted(path.name for path in (vault._folder / "blobs").iterdir())
    with pytest.raises(Rollback):
        vault._view(old)
    records = iter([old])
    vault.record = lambda: next(records, None) or vault._session.registry.record(vault.place.vault_id)  # type: ignore[method-assign]
    assert texts(vault) == ["first", "second"]
    with vault._session.home.lock():
        vault._keep(replace(vault._view(vault.record()), record=old))
    seen = read_seen(vault._seen)
    assert seen
    assert seen.version == vault.record().version
    assert sorted(path.name for path in (vault._folder / "blobs").iterdir()) == copies


def test_revoke__by_address__needs_no_blob(vault: Vault, tmp_path: Path) -> None:
    grant(vault, tmp_path / "tool", "claude")
    (line,) = vault.grants()
    assert line.address
    shutil.move(tmp_path / "blobs", tmp_path / "away")
    shutil.rmtree(vault._folder / "blobs")
    with pytest.raises(StorageUnavailable, match="The revocation stands on chain"):
        vault.revoke(line.address)
    assert vault.record().locked
    assert not vault._session.registry.can_read(vault.place.vault_id, line.address)
    shutil.move(tmp_path / "away", tmp_path / "blobs")
    vault.sync()
    assert not vault.record().locked
    assert vault.grants() == []


def test_revoke__that_was_refused__does_not_make_a_later_lock_ours(vault: Vault, tmp_path: Path, chain: Chain) -> None:
    grant(vault, tmp_path / "public", "public")
    grant(vault, tmp_path / "one", "one", private=True)
    grant(vault, tmp_path / "two", "two", private=True)
    registry, wallet = vault._session.registry, vault._session.wallet
    funds = chain.node.request("eth_getBalance", wallet.address, "latest")
    chain.node.request("anvil_setBalance", wallet.address, "0x0")
    with pytest.raises(InsufficientFunds):
        vault.revoke("public")
    chain.node.request("anvil_setBalance", wallet.address, funds)
    transact(registry, wallet, registry.rotate(vault.place.vault_id))
    with pytest.raises(InvalidRequest, match="locked elsewhere"):
        vault.sync()
    vault.sync(keep_private=False)
    assert [line.name for line in vault.grants()] == ["public"]


def test_restore__from_another_folder__commits_where_the_chain_says(
    owner: Client, vault: Vault, chain: Chain, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "blobs", tmp_path / "copied")
    home = Home(tmp_path / "restored")
    restore(
        home,
        PASSPHRASE,
        owner.home.device_key,
        owner.session.config.owner,
        rpc=chain.rpc_url,
        wallet=owner.home.wallet,
        blobs=tmp_path / "copied",
    )
    restored = next(v for v in Client(home, PASSPHRASE).vaults() if v.place == vault.place)
    restored.remember("from the new machine")
    restored.sync()
    assert texts(next(v for v in again(owner).vaults() if v.place == vault.place)) == ["first", "from the new machine"]


def test_restore__over_another_key__is_refused_and_changes_nothing(owner: Client, chain: Chain, tmp_path: Path) -> None:
    other = new_owner(tmp_path / "other", chain.rpc_url)
    kept = other.home.device_key.read_bytes()
    (other.home.folder / "config.json").unlink()
    with pytest.raises(InvalidRequest, match=r"There is another device\.key"):
        restore(other.home, PASSPHRASE, owner.home.device_key, owner.session.config.owner, rpc=chain.rpc_url)
    assert other.home.device_key.read_bytes() == kept


def test_verify__commit_that_the_chain_of_heads_passes_over__is_named(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(vault, tmp_path / "tool", "claude")  # makes version 3, without a head
    vault.remember("second")
    vault.sync()
    real = Registry.commits

    def commits(self: Registry, vault_id: bytes, from_block: int = 0) -> list[CommitEvent]:
        found = real(self, vault_id, from_block)
        return [*found, replace(found[-1], version=3)]

    assert vault.verify().whole
    monkeypatch.setattr(Registry, "commits", commits)
    with pytest.raises(Tampered, match="a commit of version 3 that the chain of heads passes over"):
        vault.verify()
