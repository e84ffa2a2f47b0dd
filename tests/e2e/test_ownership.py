"""A vault in other hands: offered and accepted, recovered, closed. By the command, with a home for each party."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memsync_client import owning
from memsync_client.client import Client
from memsync_client.errors import AccessEnded, InvalidRequest
from memsync_client.glance import CLOSED, note_owner
from memsync_client.keeping import Level
from memsync_client.keyring import Role
from memsync_client.keys import HolderKey, PrivateKey
from memsync_client.recovery import KitLine, check_kit, set_kit
from tests.e2e.machines import Machine, again, grant, keystore, new_machine, new_vault, texts
from tests.nodes import Chain, running_chain, transact


@dataclass
class Person:
    """A machine with a home, and the library's view of it."""

    machine: Machine
    client: Client

    @property
    def address(self) -> str:
        return self.client.session.config.owner

    def data(self, *words: str) -> Any:
        return self.machine.data(*words)


def person(chain: Chain, folder: Path, name: str) -> Person:
    machine = new_machine(folder / name)
    machine.forked = True
    wallet = str(keystore(folder / f"{name}.json"))
    machine.data("init", "--rpc", chain.rpc_url, "--no-kit", "--wallet", wallet, "--name", name)
    from memsync_client.home import Home

    return Person(machine, Client(Home(machine.folder), machine.passphrase))


@pytest.fixture
def ines(chain: Chain, tmp_path: Path) -> Person:
    """An owner with a vault that has a memory and a reader."""
    made = person(chain, tmp_path, "ines")
    vault = new_vault(made.client, "novel", tmp_path / "blobs")
    vault.remember("Ines is left-handed.")
    vault.sync()
    return made


@pytest.fixture
def bram(chain: Chain, tmp_path: Path) -> Person:
    return person(chain, tmp_path, "bram")


def id_of(owner: Person) -> str:
    return owner.client.vault("novel").place.vault_id.hex()


# Handing on -----------------------------------------------------------------------------------------------------------


def test_offer__with_a_card__the_new_owner_reads_goes_on_and_is_alone(
    ines: Person, bram: Person, tmp_path: Path
) -> None:
    reader = grant(ines.client.vault("novel"), tmp_path / "tool", "claude")
    card = bram.data("device", "card")
    assert card["address"] == bram.address
    vault_id, before = id_of(ines), ines.client.vault("novel").record()

    dry = ines.data("vault", "offer", card["card"], "--dry-run")
    assert (dry["dry_run"], dry["keys"], dry["phrase"]) == (True, True, card["phrase"])
    assert 20_000 < dry["gas"] < 200_000
    assert ines.client.vault("novel").record().version == before.version
    assert "needs a yes" in ines.machine.refusal("vault", "offer", card["card"])["cause"]
    offered = ines.data("vault", "offer", card["card"], "--yes")
    assert (offered["new_owner"], len(offered["transactions"])) == (bram.address, 2)
    assert ines.data("vault", "list")[0]["name"] == "novel"  # still hers

    ines.client.vault("novel").remember("She did not sync this.")
    assert bram.data("vault", "accept", vault_id, "--dry-run")["dry_run"] is True
    taken = bram.data("vault", "accept", vault_id, "--yes")
    assert (taken["vault"], taken["opens"], len(taken["transactions"])) == ("novel", True, 2)
    (novel,) = bram.client.vaults()
    assert novel.record().owner == bram.address
    assert [(holder.name, holder.role, holder.expires) for holder in novel.roster().holders] == [
        ("bram", Role.DEVICE, None)
    ]
    assert texts(novel) == ["Ines is left-handed."]
    novel.remember("Bram goes on from here.")
    novel.sync()
    with pytest.raises(AccessEnded):
        texts(reader.reader)
    with pytest.raises(AccessEnded):
        again(ines.client).vault().roster()
    assert texts(again(ines.client).vault()) == ["She did not sync this."]  # and nothing of the vault
    status = ines.machine.quick(passphrase=None).out
    assert f"owned by {bram.address} now" in status
    log = bram.machine.quick("log", passphrase=None).out
    assert f"taken over, from {ines.address}" in log
    diary = new_vault(ines.client, "diary", tmp_path / "diary")
    diary.remember("It rained.")
    assert [(item["committed"], item["over"]) for item in ines.data("sync")] == [
        (1, None),
        (0, f"owned by {bram.address} now"),
    ]
    assert [item["name"] for item in ines.data("repair")] == ["diary"]
    assert len(again(ines.client).vault().rekey()) == 1
    ines.data("vault", "let-go", "novel", "--yes")
    assert list(ines.client.home.labels()) == ["diary"]


def test_accept__killed_before_the_new_keys__former_owner_gets_nothing_new_and_accept_finishes_it(
    ines: Person, bram: Person, tmp_path: Path
) -> None:
    """Or accepted with a wallet's own screen."""
    vault_id = bytes.fromhex(id_of(ines))
    ines.data("vault", "offer", bram.data("device", "card")["card"], "--yes")
    owning.send(bram.client, bram.client.session.registry.accept(vault_id))
    (novel,) = bram.client.adopt()
    assert texts(novel) == ["Ines is left-handed."]
    novel.remember("For Bram alone.")
    for commit in (partial(novel.sync, keep_private=False), novel.rotate):
        with pytest.raises(InvalidRequest, match="the former owner's still") as caught:
            commit()
        assert f"memsync vault accept {vault_id.hex()}" in caught.value.next_step
    other = new_vault(bram.client, "diary", tmp_path / "diary")
    assert [holder.name for holder in other.roster().holders] == ["bram"]

    before = novel.record().version
    assert bram.data("vault", "accept", vault_id.hex(), "--dry-run")["dry_run"] is True
    assert novel.record().version == before
    taken = bram.data("vault", "accept", vault_id.hex(), "--yes")
    assert (taken["opens"], len(taken["transactions"])) == (True, 1)
    novel = again(bram.client).vault("novel")
    assert [(holder.name, holder.expires) for holder in novel.roster().holders] == [("bram", None)]
    assert novel.sync().committed == 1
    with pytest.raises(AccessEnded):
        texts(again(ines.client).vault())
    assert "not offered" in bram.machine.refusal("vault", "accept", vault_id.hex(), "--yes")["cause"]


def test_offer__to_an_address_alone__brings_the_record_and_no_key(ines: Person, bram: Person) -> None:
    vault_id = id_of(ines)
    shown = ines.machine.quick("vault", "offer", bram.address, "--dry-run").out
    assert "open nothing of the vault" in shown
    assert "wait" not in shown
    ines.client.vault("novel").remember("for nobody but Ines yet")
    assert "1 memory waits here" in ines.machine.quick("vault", "offer", bram.address, "--dry-run").out
    ines.data("vault", "offer", bram.address, "--yes")
    taken = bram.data("vault", "accept", vault_id, "--yes")
    assert (taken["vault"], taken["opens"]) == (None, False)
    assert bram.client.vaults() == []
    assert ines.client.vault("novel").record().owner == bram.address


def test_offer__that_nobody_takes__its_key_goes_with_it(ines: Person, bram: Person, tmp_path: Path) -> None:
    ines.data("vault", "offer", bram.data("device", "card")["card"], "--yes", "--for", "7d")
    vault = ines.client.vault("novel")
    guest = next(holder for holder in vault.roster().holders if holder.name == "bram")
    assert guest.expires == vault.session.registry.offer_of(vault.place.vault_id).expires  # type: ignore[union-attr]
    other = new_vault(ines.client, "diary", tmp_path / "diary")  # what is made meanwhile is none of his
    assert [holder.name for holder in other.roster().holders] == ["ines"]
    ines.data("vault", "cancel-offer", "novel", "--yes")
    assert ines.machine.refusal("vault", "cancel-offer", "novel", "--yes")["name"] == "TransactionRefused"
    assert bram.machine.refusal("vault", "accept", id_of(ines), "--yes")["cause"].startswith("The vault is not offered")
    ines.data("device", "remove", "bram", "--yes")
    assert [holder.name for holder in ines.client.vault("novel").roster().holders] == ["ines"]


def test_let_in__who_has_keys_already__is_refused(ines: Person, bram: Person) -> None:
    vault, card = ines.client.vault("novel"), owning.own_card(ines.client)
    with pytest.raises(InvalidRequest, match="has keys of this vault already"):
        owning.let_in(vault, card, vault.record().block.time + timedelta(days=1))
    until = vault.record().block.time + timedelta(days=2)
    assert owning.let_in(vault, owning.own_card(bram.client), until)
    assert owning.let_in(vault, owning.own_card(bram.client), until - timedelta(days=1)) is None


# Closing --------------------------------------------------------------------------------------------------------------


def test_close__asks_costs_and_ends_it__read_on(ines: Person) -> None:
    vault = ines.client.vault("novel")
    vault.remember("waits")
    assert "wait here for a sync" in ines.machine.refusal("vault", "close", "novel", "--yes")["cause"]
    vault.sync()
    dry = ines.data("vault", "close", "novel", "--successor", "11" * 32, "--dry-run")
    assert (dry["dry_run"], dry["gas"] > 20_000, vault.record().owner) == (True, True, ines.address)
    assert "needs a yes" in ines.machine.refusal("vault", "close", "novel")["cause"]
    assert ines.data("vault", "close", "novel", "--yes")["gas"] > 20_000
    assert int(vault.record().owner, 16) == 0
    assert texts(vault) == ["Ines is left-handed.", "waits"]
    assert "closed" in ines.machine.refusal("vault", "close", "novel", "--yes")["cause"]
    with pytest.raises(InvalidRequest, match="closed for good"):
        vault.remember("too late")
    assert ines.data("sync")[0]["over"] == "closed for good"


def test_close__of_one_of_two__the_other_is_the_vault_that_is_meant(ines: Person, bram: Person, tmp_path: Path) -> None:
    diary = new_vault(ines.client, "diary", tmp_path / "diary")
    done = ines.machine.quick("vault", "close", "novel", "--yes")
    assert "--vault novel" in done.out
    assert "comes back on no new one" in done.err
    ines.machine.quick("remember", "It rained.", passphrase=None)
    assert [(item["name"], item["committed"]) for item in ines.data("sync")] == [("diary", 1), ("novel", 0)]
    assert [item["content"] for item in ines.data("list")] == ["It rained."]
    assert [item["content"] for item in ines.data("list", "--vault", "novel")] == ["Ines is left-handed."]
    refused = ines.machine.refusal("remember", "more", "--vault", "novel", passphrase=None)
    assert (refused["name"], "closed for good" in refused["cause"]) == ("InvalidRequest", True)
    assert [item["over"] for item in ines.data("vault", "list")] == [None, "closed for good"]
    status = ines.machine.quick(passphrase=None).out
    assert "novel   closed for good   1 saved" in status.splitlines()
    # What concerns all vaults does not concern this one, which takes no key any more.
    added = ines.data("device", "add", bram.data("device", "card")["card"], "--yes")
    assert added["vaults"] == ["diary"]
    assert [holder.name for holder in new_vault(ines.client, "plans", tmp_path / "plans").roster().holders] == [
        "ines",
        "bram",
    ]
    assert "let-go" in ines.machine.refusal("vault", "new", "novel")["next_step"]
    assert diary.record().version == 3


def test_close__by_another_device__is_known_with_the_first_look_and_what_waits_is_kept(
    chain: Chain, ines: Person, tmp_path: Path
) -> None:
    novel = ines.client.vault("novel")
    new_vault(ines.client, "diary", tmp_path / "diary")
    novel.remember("waits")
    registry = chain.registry()
    transact(registry, ines.client.session.wallet, registry.close(novel.place.vault_id, 2))
    assert "There are 2 vaults" in ines.machine.refusal("list")["cause"]
    done = ines.machine.quick("sync")
    out = tmp_path / "kept.jsonl"
    for said in (done.out, ines.machine.quick(passphrase=None).out):
        assert "memsync export --format jsonl --vault novel" in said
    ines.data("export", "--format", "jsonl", "--vault", "novel", "-o", str(out))
    ines.data("import", str(out))
    assert sorted(item["content"] for item in ines.data("list")) == ["Ines is left-handed.", "waits"]


def test_let_go__of_a_closed_vault__asks_and_frees_its_name_and_the_old_key(ines: Person, tmp_path: Path) -> None:
    novel = ines.client.vault("novel")
    assert "is yours, and open" in ines.machine.refusal("vault", "let-go", "novel", "--yes")["cause"]
    diary = new_vault(ines.client, "diary", tmp_path / "diary")
    ines.data("vault", "close", "novel", "--yes")
    for act in (diary.rekey, partial(diary.forget, [diary.remember("gone").id], Level.KEYS_REMADE)):
        with pytest.raises(InvalidRequest, match="opens with this device's old key alone") as caught:
            act()
        assert caught.value.next_step.endswith("memsync vault let-go novel")
    folder = ines.client.home.vault_folder(novel.place.vault_id)
    dry = ines.data("vault", "let-go", "novel", "--dry-run")
    assert (dry["dry_run"], dry["saved"], texts(novel)) == (True, 1, ["Ines is left-handed."])
    assert "needs a yes" in ines.machine.refusal("vault", "let-go", "novel")["cause"]
    ines.data("vault", "let-go", "novel", "--yes")
    assert (list(ines.client.home.labels()), folder.exists()) == (["diary"], False)
    assert len(diary.rekey()) == 1
    assert ines.client.new_vault("novel").vault.place != novel.place


def test_kit__chain_took_back_that_the_vault_is_anothers__is_put_into_it_and_checked(ines: Person) -> None:
    kit = HolderKey(os.urandom(32))
    folder = ines.client.home.vault_folder(ines.client.vault("novel").place.vault_id)
    note_owner(folder, "0x" + "11" * 20, ours=False)
    set_kit(ines.client, kit.xwing.public)
    note_owner(folder, "0x" + "11" * 20, ours=False)
    assert check_kit(ines.client, kit) == [KitLine("novel", opens=True)]


def test_let_go_and_rekey__chain_took_back_what_it_showed_of_the_owner__the_vault_is_asked_for_anew(
    ines: Person, tmp_path: Path
) -> None:
    novel = ines.client.vault("novel")
    diary = new_vault(ines.client, "diary", tmp_path / "diary")
    novel.remember("waits")
    folder = ines.client.home.vault_folder(novel.place.vault_id)
    for owner in ("0x" + "11" * 20, CLOSED):
        note_owner(folder, owner, ours=False)
        assert "is yours, and open" in ines.machine.refusal("vault", "let-go", "novel", "--yes")["cause"]
        note_owner(folder, owner, ours=False)
        assert len(diary.rekey()) == 2
    assert texts(again(ines.client).vault("novel")) == ["Ines is left-handed.", "waits"]


# Recovery -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def apart() -> Iterator[Chain]:
    """A chain whose time these tests alone let run."""
    with running_chain() as started:
        yield started


def test_recovery__from_its_address_to_the_new_owner(apart: Chain, tmp_path: Path) -> None:
    ines, aunt, heir = (person(apart, tmp_path, name) for name in ("ines", "aunt", "heir"))
    vault = new_vault(ines.client, "novel", tmp_path / "blobs")
    vault_id = id_of(ines)
    assert ines.machine.quick("vault", "recovery", "set").code == 2
    ines.data("vault", "recovery", "set", aunt.address, "--yes")
    assert (
        "not the vault's recovery address"
        in heir.machine.refusal("vault", "recovery", "start", vault_id, "--to", heir.address, "--yes")["cause"]
    )
    aunt.data("vault", "recovery", "start", vault_id, "--to", heir.address, "--yes")
    assert "has started a recovery" in ines.machine.quick(passphrase=None).out
    ines.data("vault", "recovery", "veto", "novel", "--yes")
    assert heir.machine.refusal("vault", "recovery", "finish", vault_id, "--yes")["name"] == "TransactionRefused"
    started = aunt.data("vault", "recovery", "start", vault_id, "--to", heir.address, "--yes")
    assert started["ready"] is not None
    assert "21 days" in heir.machine.refusal("vault", "recovery", "finish", vault_id, "--yes")["next_step"]
    apart.pass_time(21 * 86_400 + 60)
    taken = heir.data("vault", "recovery", "finish", vault_id, "--yes")
    assert (taken["opens"], vault.record().owner) == (False, heir.address)


def test_recovery__killed_before_the_new_keys__former_owner_gets_nothing_new_and_finish_finishes_it(
    apart: Chain, tmp_path: Path
) -> None:
    """By a device that had all keys of the vault before: nothing in the roster tells it from the former owner's."""
    ines, aunt, heir = (person(apart, tmp_path, name) for name in ("ines", "aunt", "heir"))
    vault = new_vault(ines.client, "novel", tmp_path / "blobs")
    vault.remember("Ines is left-handed.")
    vault.sync()
    assert vault.add_device(replace(owning.own_card(heir.client), address=None), timedelta(days=1))
    ines.data("vault", "recovery", "set", aunt.address, "--yes")
    vault_id = vault.place.vault_id
    aunt.data("vault", "recovery", "start", vault_id.hex(), "--to", heir.address, "--yes")
    apart.pass_time(21 * 86_400 + 60)
    owning.send(heir.client, heir.client.session.registry.finish_recovery(vault_id))
    (novel,) = heir.client.adopt()
    novel.remember("For the heir alone.")
    before = novel.record().version
    kit = PrivateKey(bytes(32)).public
    for commit in (novel.sync, novel.rotate, partial(novel.set_kit, kit), novel.revoke_all):
        with pytest.raises(InvalidRequest, match="the former owner's still") as caught:
            commit()
        assert caught.value.next_step == f"Finish taking it over: memsync vault recovery finish {vault_id.hex()}"
    assert novel.record().version == before + 1  # the revocation needs no keys
    other = new_vault(heir.client, "diary", tmp_path / "diary")
    assert [holder.name for holder in other.roster().holders] == ["heir"]

    dry = heir.data("vault", "recovery", "finish", vault_id.hex(), "--dry-run")
    assert (dry["dry_run"], 40_000 < dry["gas"] < 100_000) == (True, True)
    taken = heir.data("vault", "recovery", "finish", vault_id.hex(), "--yes")
    assert (taken["opens"], len(taken["transactions"])) == (True, 1)
    novel = again(heir.client).vault("novel")
    assert [(holder.name, holder.expires) for holder in novel.roster().holders] == [("heir", None)]
    assert novel.sync().committed == 1
    assert texts(novel) == ["For the heir alone.", "Ines is left-handed."]
    with pytest.raises(AccessEnded):
        texts(again(ines.client).vault())
    assert heir.machine.refusal("vault", "recovery", "finish", vault_id.hex(), "--yes")["name"] == "TransactionRefused"


def test_recovery__wallet_lost_and_kit_kept__everything_is_back(apart: Chain, tmp_path: Path) -> None:
    """The same person, with another wallet and the old kit."""
    ines, aunt = (person(apart, tmp_path, name) for name in ("ines", "aunt"))
    kit = tmp_path / "kit.key"
    new_vault(ines.client, "novel", tmp_path / "blobs").remember("kept")
    vault_id = id_of(ines)
    ines.client.vault("novel").sync()
    ines.machine.data("kit", "make", "--file", str(kit), "--kit-passphrase-fd", "0", stdin="of the kit\n")
    ines.data("vault", "recovery", "set", aunt.address, "--vault", "novel", "--yes")
    again_ines = person(apart, tmp_path, "again")
    aunt.data("vault", "recovery", "start", vault_id, "--to", again_ines.address, "--yes")
    apart.pass_time(21 * 86_400 + 60)
    assert again_ines.data("vault", "recovery", "finish", vault_id, "--yes")["opens"] is False
    new = new_machine(tmp_path / "restored")
    wallet = str(again_ines.machine.folder / "wallet.json")
    new.forked = True
    words = ("restore", "--kit-file", str(kit), "--owner", again_ines.address, "--rpc", apart.rpc_url)
    found = new.data(*words, "--wallet", wallet, "--no-kit", "--kit-passphrase-fd", "0", stdin="of the kit\n")
    assert [(vault["name"], vault["memories"]) for vault in found["vaults"]] == [("novel", 1)]
    assert new.data("list")[0]["content"] == "kept"
