"""A vault whose blobs are on the chain too: no host is needed by anyone, and nothing is ever deleted."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from memsync_client import keyfile
from memsync_client.blob_log import BlobLog
from memsync_client.client import Client, restore
from memsync_client.errors import AccessEnded, FeeTooHigh, InvalidRequest
from memsync_client.home import Home
from memsync_client.keys import HolderKey
from memsync_client.recovery import kit_sheet, look, renew, restore_with_kit, set_kit
from memsync_client.sealing import sha256
from memsync_client.storage.evm import LIMIT
from memsync_client.storage.uris import EVM_MEANS
from memsync_client.vault import Vault
from tests.e2e.machines import PASSPHRASE, Machine, again, grant, new_machine, new_owner, texts
from tests.nodes import Chain


@pytest.fixture
def owner(chain: Chain, tmp_path: Path) -> Client:
    return new_owner(tmp_path / "owner", chain.rpc_url)


@pytest.fixture
def vault(owner: Client) -> Vault:
    """With two memories committed."""
    made = owner.new_vault("novel", "evm:", on_chain=True).vault
    for text in ("Ines is left-handed.", "The lake is called Thistle."):
        made.remember(text)
        made.sync()
    return made


def without_copies(client: Client) -> Client:
    """As on a machine that has the keys and no blob."""
    for folder in client.home.folder.glob("vaults/*/blobs"):
        shutil.rmtree(folder)
    return again(client)


def test_new_vault__on_the_chain_without_a_yes__refused_with_what_it_means(owner: Client) -> None:
    with pytest.raises(InvalidRequest, match="can be deleted") as caught:
        owner.new_vault("novel", "evm:")
    assert "gas" in caught.value.cause
    assert owner.session.registry.vault_count(owner.session.config.owner) == 0


def test_vault__on_the_chain__read_verified_lent_and_taken_back(vault: Vault, owner: Client, tmp_path: Path) -> None:
    assert vault.record().base_uri == "evm:"
    found = without_copies(owner).vault()
    assert texts(found) == ["Ines is left-handed.", "The lake is called Thistle."]
    assert found.verify().memories == 2
    tool = grant(vault, tmp_path / "tool", "claude").reader
    assert texts(tool) == texts(found)
    vault.revoke("claude")
    with pytest.raises(AccessEnded):
        tool.memories()


def test_forget__on_the_chain__says_that_the_old_blobs_stay(vault: Vault) -> None:
    done = vault.forget([vault.memories()[0].id])
    assert len(done.left) >= 1
    assert len(vault.memories()) == 1


def test_sync__more_than_a_chain_takes_at_once__in_packs_that_fit(vault: Vault, owner: Client) -> None:
    for number in range(3):
        vault.remember(f"{number} " + "long " * 9_000)
    vault.sync()
    vault.rotate(clean=True)
    sizes = [path.stat().st_size for path in owner.home.folder.glob("vaults/*/blobs/*")]
    assert max(sizes) <= LIMIT
    assert sum(size > 60_000 for size in sizes) >= 2
    assert len(without_copies(owner).vault().memories()) == 5


def test_restore__wallet_address_node_and_device_key__all_vaults_on_an_empty_machine(
    vault: Vault, owner: Client, chain: Chain, tmp_path: Path
) -> None:
    owner.new_vault("health", "evm:", on_chain=True).vault.remember("never committed")
    new = Home(tmp_path / "new")
    found = restore(new, PASSPHRASE, owner.home.device_key, owner.session.config.owner.lower(), rpc=chain.rpc_url)
    assert {other.label for other in found} == {"novel", "health"}
    assert texts(Client(new, PASSPHRASE).vault("novel")) == texts(vault)


def test_restore__wallet_and_kit_without_a_sheet__reads_commits_and_needs_no_host(
    vault: Vault, owner: Client, chain: Chain, tmp_path: Path
) -> None:
    kit = HolderKey(bytes(range(32)))
    set_kit(owner, kit.xwing.public)
    sheet = kit_sheet(owner)
    assert sheet.base_uris == ("evm:",)
    assert set(look(kit, sheet).opened) == {vault.place.vault_id}
    new = Home(tmp_path / "new")
    restore_with_kit(new, PASSPHRASE, kit, sheet, wallet=owner.home.wallet, name="new")
    client = Client(new, PASSPHRASE)
    renew(client, None)
    restored = client.vault("novel")
    restored.remember("after the fire")
    restored.sync()
    assert len(texts(restored)) == 3


def test_store__dearer_than_the_home_pays__nothing_is_sent(owner: Client) -> None:
    owner.home.write_config(replace(owner.home.config(), max_fee=1))
    log = again(owner).session.blob_log
    with pytest.raises(FeeTooHigh):
        log.store([b"a blob"])
    assert log.block_of(sha256(b"a blob")) == 0


def test_commands__vault_on_the_chain__asks_first_and_says_what_it_costs(chain: Chain, tmp_path: Path) -> None:
    machine: Machine = new_machine(tmp_path / "machine")
    new_owner(machine.folder, chain.rpc_url)
    error = machine.quick("vault", "new", "novel", "--base-uri", "evm:")
    assert error.code == InvalidRequest.exit_code
    assert "Nothing of it can be deleted" in error.err
    made = machine.quick("vault", "new", "novel", "--base-uri", "evm:", "--yes")
    assert made.code == 0, made.err
    assert "on chain in 2 transactions" in made.err
    assert "gas" in made.err
    machine.quick("remember", "Ines is left-handed.")
    synced = machine.quick("sync")
    assert "on chain in 2 transactions" in synced.err
    assert re.search(
        r"one transaction, [\d,]+ gas, free here; 2 more for the blobs on the chain, 2\d\d,\d{3} gas", synced.out
    )
    machine.quick("remember", "Ines paints.")
    (item,) = json.loads(machine.quick("sync", "--json").out)["data"]
    assert item["blob_gas"] > 4 * item["gas"]
    assert "Ines" in machine.quick("recall", "left hand").out


def test_commands__restore_from_almost_nothing__all_is_back(chain: Chain, tmp_path: Path) -> None:
    """On machines that have nothing: the wallet's address, a node, and a device key or a kit."""
    machine, new, other = (new_machine(tmp_path / name) for name in ("machine", "new", "other"))
    for one in (machine, new, other):
        one.forked = True
    client = new_owner(machine.folder, chain.rpc_url)
    owner, kit = client.session.config.owner, HolderKey(bytes(range(32)))
    set_kit(client, kit.xwing.public)
    for name in ("novel", "health"):
        machine.data("vault", "new", name, "--base-uri", "evm:", "--yes")
        machine.data("remember", f"kept in {name}", "--vault", name)
    machine.data("sync")
    keyfile.create(tmp_path / "usb.key", PASSPHRASE, kit)
    key = shutil.copy(machine.folder / "device.key", tmp_path / "device.key")
    shutil.rmtree(machine.folder)
    back = new.data("restore", str(key), "--owner", owner, "--rpc", chain.rpc_url)
    assert {(item["name"], item["memories"]) for item in back} == {("novel", 1), ("health", 1)}
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode() + b"\n")
    os.close(writing)
    kit_words = ("restore", "--kit-file", str(tmp_path / "usb.key"), "--kit-passphrase-fd", str(reading))
    found = other.data(*kit_words, "--owner", owner, "--rpc", chain.rpc_url)
    os.close(reading)
    assert {(item["name"], item["memories"]) for item in found["vaults"]} == {("novel", 1), ("health", 1)}
    assert "kept in health" in other.quick("recall", "kept", "--vault", "health").out


def test_question__names_the_size_of_a_keyring_and_the_gas_of_a_byte(vault: Vault, owner: Client) -> None:
    ring = owner.session.hosts.blobs("evm:", vault.place.vault_id).fetch(vault.record().keyring_hash, "keyring")
    assert f"{len(ring):,} bytes" in EVM_MEANS
    gas = round(BlobLog.beside(owner.session.registry).gas_for(len(ring)) / len(ring))
    assert f"about {gas} gas" in EVM_MEANS
