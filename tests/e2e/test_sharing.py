"""Lending a vault and taking it back: what each of the parties can do, with the library."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from memsync_client.errors import (
    AccessEnded,
    InsufficientFunds,
    InvalidRequest,
    Rollback,
    Tampered,
    UnknownReader,
    VaultLocked,
)
from memsync_client.heads import open_head
from memsync_client.home import Home
from memsync_client.packs import Entry, open_pack
from memsync_client.reader import Reader, card_of, new_reader
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, Machine, grant, new_owner, new_vault, texts
from tests.nodes import Chain, running_chain, transact


def lock_from_elsewhere(vault: Vault) -> None:
    """As another wallet screen would, that knows nothing of this program."""
    registry, wallet = vault._session.registry, vault._session.wallet
    transact(registry, wallet, registry.rotate(vault.place.vault_id))


def test_grant__same_card_for_longer__prolongs(vault: Vault, tmp_path: Path) -> None:
    granted = grant(vault, tmp_path / "tool", "claude")
    card = card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)
    longer = vault.grant(card, timedelta(days=120))
    assert longer.expires >= granted.result.expires + timedelta(days=29)
    (line,) = vault.grants()
    assert (line.name, line.expires, line.living) == ("claude", longer.expires, True)
    assert granted.reader.standing().expires == longer.expires


@pytest.mark.parametrize("private", [False, True])
def test_grant__same_card_for_shorter__is_refused(vault: Vault, tmp_path: Path, private: bool) -> None:
    granted = grant(vault, tmp_path / "tool", "claude", private=private)
    card = card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)
    version = vault.record().version
    with pytest.raises(InvalidRequest, match=r"'claude' is granted until .* already"):
        vault.grant(card, timedelta(days=1), private=private)
    assert vault.record().version == version
    assert granted.reader.standing().expires == granted.result.expires


def test_grant__private_for_longer__prolongs(vault: Vault, tmp_path: Path) -> None:
    granted = grant(vault, tmp_path / "tool", "claude", private=True)
    card = card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE)
    longer = vault.grant(card, timedelta(days=120), private=True)
    assert granted.reader.standing().expires == longer.expires
    assert [line.living for line in vault.grants()] == [True]


def test_grant__another_reader_of_that_name__is_refused(vault: Vault, tmp_path: Path) -> None:
    grant(vault, tmp_path / "tool", "claude")
    other = new_reader(Home(tmp_path / "other"), "claude", PASSPHRASE)
    with pytest.raises(InvalidRequest, match="Another reader is named 'claude'"):
        vault.grant(other)
    assert len(vault.grants()) == 1


def test_grant__locked_vault__waits_for_the_next_sync(vault: Vault, tmp_path: Path) -> None:
    lock_from_elsewhere(vault)
    with pytest.raises(VaultLocked) as refused:
        grant(vault, tmp_path / "tool", "claude")
    assert "memsync sync" in refused.value.next_step
    vault.sync()
    assert texts(grant(vault, tmp_path / "second", "claude").reader) == ["first"]


def test_revoke__unknown_reader__changes_nothing(vault: Vault, tmp_path: Path) -> None:
    grant(vault, tmp_path / "tool", "claude")
    before = vault.record()
    with pytest.raises(UnknownReader, match=r"No reader 'nobody'\. Readers of this vault: claude"):
        vault.revoke("nobody")
    assert vault.record().version == before.version


@pytest.mark.parametrize("private", [False, True])
def test_revoke__one_of_two__shuts_out_that_one_alone(vault: Vault, tmp_path: Path, private: bool) -> None:
    leaving = grant(vault, tmp_path / "leaving", "leaving", private=private)
    staying = grant(vault, tmp_path / "staying", "staying", private=not private)
    assert texts(leaving.reader) == texts(staying.reader) == ["first"]

    assert len(vault.revoke("leaving")) == (1 if private else 2)
    vault.remember("second")
    vault.sync()
    with pytest.raises(AccessEnded):
        leaving.reader.memories()
    with pytest.raises(AccessEnded):
        leaving.reader.verify()
    assert texts(staying.reader) == ["first", "second"]
    assert [line.name for line in vault.grants()] == ["staying"]
    assert vault.verify().whole


@pytest.mark.parametrize("private", [False, True])
def test_revoke__reader_that_does_not_ask_the_contract__is_refused_by_the_keys(
    vault: Vault, tmp_path: Path, private: bool
) -> None:
    """With all that it ever held: its own key, and the secret of the epoch in which it could read."""
    reader = grant(vault, tmp_path / "tool", "claude", private=private).reader
    held = reader._view(reader._record()).keyring.keys
    vault.revoke("claude")
    vault.remember("second")
    vault.sync()
    reader.__dict__["_joined"] = replace(reader._joined, public=False)
    with pytest.raises(AccessEnded, match="opens nothing"):
        reader.memories()

    record, place = vault.record(), vault.place
    blobs = vault._blobs(record)
    view = vault._view(record)
    head = blobs.fetch_from_host(record.content_hash, "head")
    newest = blobs.fetch_from_host(view.packs[-1].hash, "pack")
    for epoch in (held.epoch, record.epoch):
        with pytest.raises(Tampered):
            open_head(place, epoch, held.secret, held.writer_public, head)
        with pytest.raises(Tampered):
            open_pack(place, epoch, held.secret, newest)
    before = blobs.fetch_from_host(view.packs[0].hash, "pack")
    (entry,) = open_pack(place, held.epoch, held.secret, before)  # what it could open it still can: the honest sentence
    assert isinstance(entry, Entry)
    assert entry.memory.content == "first"


def test_rollback__node_that_shows_an_older_state__is_refused(tmp_path: Path) -> None:
    """On a chain of its own, which is set back."""
    with running_chain() as chain:
        vault = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
        vault.remember("first")
        vault.sync()
        reader = grant(vault, tmp_path / "tool", "claude").reader
        snapshot = chain.node.request("evm_snapshot")
        vault.remember("second")
        vault.sync()
        assert texts(reader) == ["first", "second"]
        assert chain.node.request("evm_revert", snapshot)

        vault.remember("third")
        for look in (reader.memories, reader.verify, vault.memories, vault.verify, vault.grants):
            with pytest.raises(Rollback, match="version 3 of the vault; this device has seen version 4"):
                look()
        assert vault.waiting() == 1
        vault.sync()  # a practice chain gets again what it lost, from this device's own copies
        assert texts(vault) == ["first", "second", "third"]
        assert vault.verify().whole
        with pytest.raises(Rollback, match="another head"):
            reader.memories()


def test_revoke__by_address_in_any_case__is_the_same(vault: Vault, tmp_path: Path) -> None:
    grant(vault, tmp_path / "tool", "claude")
    (line,) = vault.grants()
    assert line.address is not None
    vault.revoke("0x" + line.address[2:].lower())
    assert vault.grants() == []


def test_revoke__then_grant_again__opens_all(vault: Vault, tmp_path: Path) -> None:
    granted = grant(vault, tmp_path / "tool", "claude")
    vault.revoke("claude")
    vault.remember("second")
    vault.sync()
    vault.grant(card_of(Home(tmp_path / "tool"), "claude", PASSPHRASE))
    assert texts(granted.reader) == ["first", "second"]


def test_revoke__from_a_wallet_screen__next_sync_leaves_the_reader_out(vault: Vault, tmp_path: Path) -> None:
    public = grant(vault, tmp_path / "public", "public")
    private = grant(vault, tmp_path / "private", "private", private=True)
    registry, wallet = vault._session.registry, vault._session.wallet
    address = vault.grants()[0].address
    assert address is not None
    transact(registry, wallet, registry.revoke(vault.place.vault_id, address))
    with pytest.raises(AccessEnded):
        public.reader.memories()

    vault.remember("second")
    with pytest.raises(InvalidRequest, match="may private readers such as 'private' stay") as refused:
        vault.sync()
    assert "--keep-private" in refused.value.next_step
    assert vault.waiting() == 1
    vault.sync(keep_private=True)
    assert texts(private.reader) == ["first", "second"]
    assert [line.name for line in vault.grants()] == ["private"]


def test_bump_from_elsewhere__after_a_grant__is_not_taken_for_ours(vault: Vault, tmp_path: Path) -> None:
    """A private reader stays without a question only after a revocation that was made here."""
    grant(vault, tmp_path / "private", "private", private=True)
    grant(vault, tmp_path / "public", "public")
    vault.revoke("public")
    assert [line.name for line in vault.grants()] == ["private"]
    lock_from_elsewhere(vault)
    with pytest.raises(InvalidRequest, match="may private readers"):
        vault.sync()


def test_expired__grant__ends_by_block_time(tmp_path: Path) -> None:
    """On a chain of its own, whose clock runs ahead."""
    with running_chain() as chain:
        vault = new_vault(new_owner(tmp_path / "owner", chain.rpc_url), "novel", tmp_path / "blobs")
        vault.remember("first")
        vault.sync()
        public = grant(vault, tmp_path / "public", "public").reader
        private = grant(vault, tmp_path / "private", "private", private=True).reader
        chain.pass_time(89 * 86_400)
        assert texts(public) == texts(private) == ["first"]
        chain.pass_time(2 * 86_400)
        for reader in (public, private):
            with pytest.raises(AccessEnded, match=r"expired|ended"):
                reader.memories()
        assert [line.living for line in vault.grants()] == [False, False]

        vault.remember("second")
        machine = Machine(tmp_path, PASSPHRASE)
        home = ("--home", str(tmp_path / "owner"))
        assert "of public ended on " in machine.quick(*home, "revoke", "public", "--dry-run").out
        assert "with new keys since the time of public has ended" in machine.quick(*home, "sync", "--dry-run").out
        said = machine.quick(*home, "sync").out
        assert "It has the keys of epoch 2: the time of public, private has ended." in said
        assert vault.record().epoch == 2
        assert not any(line.living for line in vault.grants())
        shown = machine.quick(*home, "grants").out
        assert shown.startswith("once public   ended ")
        for words in (("revoke", "public"), ("revoke", "public", "--dry-run")):
            assert "The grant of 'public' ended on " in machine.quick(*home, *words).err
        vault.remember("third")
        vault.sync()
        assert vault.record().epoch == 2
        assert texts(vault) == ["first", "second", "third"]


def test_stranger__with_the_invitation_and_a_key_of_its_own__is_refused(vault: Vault, tmp_path: Path) -> None:
    granted = grant(vault, tmp_path / "tool", "claude")
    stranger = Home(tmp_path / "stranger")
    new_reader(stranger, "mallory", PASSPHRASE)
    with pytest.raises(AccessEnded, match="opens nothing"):
        Reader(stranger, "mallory", PASSPHRASE).join(granted.result.invitation)
    assert not (stranger.reader_folder("mallory") / "joined.json").exists()


def test_owner__wallet_without_coins__says_so_and_keeps_all(vault: Vault, chain: Chain) -> None:
    vault.remember("second")
    wallet = vault._session.wallet.address
    balance = chain.node.request("eth_getBalance", wallet, "latest")
    chain.node.request("anvil_setBalance", wallet, "0x0")
    try:
        with pytest.raises(InsufficientFunds, match="lacks"):
            vault.sync()
        assert vault.waiting() == 1
    finally:
        chain.node.request("anvil_setBalance", wallet, balance)
    assert vault.sync().committed == 1
