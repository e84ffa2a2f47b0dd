"""Where you stand, and what happened to a vault: the bare command and `memsync log`, which ask for no passphrase."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memsync_client.client import Client
from memsync_client.glance import read_glance
from memsync_client.home import Home
from memsync_client.standing import standing
from memsync_client.vault import Vault
from tests.e2e.machines import Machine, again, grant, new_machine
from tests.nodes import Chain, transact


def asked_nothing(client: Client) -> Client:
    """The same home, where nobody can say the passphrase."""

    def refuse() -> str:
        raise AssertionError("a passphrase was asked for")

    return Client(client.home, refuse)


def shown(machine: Machine) -> dict[str, Any]:
    answer = machine.quick("--json", passphrase=None).answer
    assert answer["command"] == "status"
    data: dict[str, Any] = answer["data"]
    return data


# The bare command -----------------------------------------------------------------------------------------------------


def test_standing__from_the_first_vault_to_a_revocation(
    chain: Chain, desk: Client, novel: Vault, machine: Machine, tmp_path: Path
) -> None:
    before = shown(machine)
    assert (before["vaults"][0]["saved"], before["vaults"][0]["behind"]) == (0, 0)
    novel.remember("Ines is left-handed.")
    novel.remember("Bram is not.")
    assert shown(machine)["next"][0] == "memsync sync"
    novel.sync()
    lent = grant(novel, tmp_path / "tool", "claude")
    now = shown(machine)
    vault = now["vaults"][0]
    assert (vault["saved"], vault["waiting"], vault["behind"], vault["locked"]) == (2, 0, 0, False)
    expires = lent.result.expires.isoformat().replace("+00:00", "Z")
    (address,) = (reader.address for reader in novel.grants())
    assert vault["readers"] == [{"reader": "claude", "address": address, "expires": expires, "living": True}]
    assert (now["owner"], now["account"], now["balance"]) == (desk.session.config.owner,) * 2 + (now["balance"],)
    assert now["balance"] > 10**18
    assert now["node"]["block"] == vault["block"]
    text = machine.quick(passphrase=None)
    assert (text.code, text.err) == (0, "")
    assert f"claude until {lent.result.expires.astimezone():%Y-%m-%d}" in text.out
    assert "novel   2 saved, 0 waiting" in text.out
    novel.revoke("claude")
    after = shown(machine)["vaults"][0]
    assert (after["saved"], after["readers"], after["locked"]) == (2, [], False)


def test_standing__what_others_wrote__is_told_as_not_taken_in(chain: Chain, desk: Client, novel: Vault) -> None:
    """Another device, a wallet's own screen: whatever was written, it is seen, and by a reader's address."""
    registry, wallet, stranger = chain.registry(), desk.session.wallet, chain.wallet().address
    vault_id = novel.place.vault_id
    expires = registry.latest().time + timedelta(hours=1)
    transact(registry, wallet, registry.grant(vault_id, 1, stranger, 1, expires, b"\x07" * 20))
    transact(registry, wallet, registry.rotate(vault_id))
    (seen,) = standing(asked_nothing(desk)).vaults
    assert seen.record is not None
    assert (seen.behind, seen.record.locked) == (2, True)
    (reader,) = seen.readers
    assert (reader.name, reader.address, reader.expires, reader.living) == (None, stranger, expires, True)
    chain.pass_time(7200)
    (seen,) = standing(asked_nothing(desk)).vaults
    assert not seen.readers[0].living


def test_standing__recovery_that_was_started__is_the_first_thing_said(
    chain: Chain, desk: Client, novel: Vault, machine: Machine
) -> None:
    registry, helper, thief = chain.registry(), chain.wallet(), chain.wallet().address
    transact(registry, desk.session.wallet, registry.set_recovery(novel.place.vault_id, helper.address))
    transact(registry, helper, registry.start_recovery(novel.place.vault_id, thief))
    novel.remember("waits")
    data = shown(machine)
    assert data["vaults"][0]["recovery"]["new_owner"] == thief
    assert data["next"][0].startswith("memsync vault recovery veto novel")
    text = machine.quick(passphrase=None).out
    assert f"WARNING: {helper.address} has started a recovery" in text
    assert f"{thief} can take this vault" in " ".join(text.split())
    assert "Next: memsync vault recovery veto novel" in text
    assert max(len(line) for line in text.splitlines() if "file:///" not in line) <= 100


def test_standing__offer_and_closed__are_said(chain: Chain, desk: Client, novel: Vault, machine: Machine) -> None:
    registry, wallet, heir = chain.registry(), desk.session.wallet, chain.wallet().address
    vault_id, day = novel.place.vault_id, registry.latest().time + timedelta(days=1)
    transact(registry, wallet, registry.offer(vault_id, 1, heir, day))
    text = machine.quick(passphrase=None).out
    assert f"offered to {heir} until" in text
    assert max(len(line) for line in text.splitlines() if "file:///" not in line) <= 100
    transact(registry, wallet, registry.close(vault_id, 2))
    assert shown(machine)["vaults"][0]["over"] == "closed for good"
    assert "closed for good" in machine.quick(passphrase=None).out


def test_standing__mirrors__and_what_they_lack(desk: Client, novel: Vault, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    machine.data("host", "add", str(tmp_path / "mirror"))
    (tmp_path / "mirror").rename(tmp_path / "unplugged")
    novel.remember("first")
    machine.data("sync")
    vault = shown(machine)["vaults"][0]
    assert (vault["mirrors"], vault["mirror_lacks"]) == ([(tmp_path / "mirror").as_uri() + "/"], True)
    assert "memsync repair" in machine.quick(passphrase=None).out
    (tmp_path / "unplugged").rename(tmp_path / "mirror")
    machine.data("sync")
    assert shown(machine)["vaults"][0]["mirror_lacks"] is False


def test_standing__node_gone__says_what_is_known_here(desk: Client, novel: Vault, machine: Machine) -> None:
    novel.remember("waits")
    desk.home.write_config(replace(desk.session.config, rpc="http://127.0.0.1:1"))
    data = shown(machine)
    assert "can't be reached" in data["trouble"]
    assert (data["vaults"][0]["saved"], data["vaults"][0]["waiting"]) == (0, 1)
    assert "version" not in data["vaults"][0]
    assert data["next"][0].startswith("memsync node")


def test_standing__damaged_glance__is_only_less_to_show(desk: Client, novel: Vault, machine: Machine) -> None:
    path = desk.home.vault_folder(novel.place.vault_id) / "glance.json"
    for damage in (b"", b"[]", b"\xff", b'{"version": 1}', path.read_bytes().replace(b'"block": ', b'"block": -')):
        path.write_bytes(damage)
        assert shown(machine)["vaults"][0]["saved"] is None
    again(desk).vault().memories()
    assert shown(machine)["vaults"][0]["saved"] == 0


def test_standing__new_device_that_has_not_joined__is_told_how(chain: Chain, tmp_path: Path) -> None:
    laptop = new_machine(tmp_path / "laptop")
    laptop.quick("device", "new", "--name", "laptop", "--rpc", chain.rpc_url)
    assert "memsync device join SHEET" in laptop.quick(passphrase=None).out


# The glance -----------------------------------------------------------------------------------------------------------


def test_glance__counts_memories_through_commits_edits_and_forgetting(desk: Client, novel: Vault) -> None:
    folder = desk.home.vault_folder(novel.place.vault_id)

    def memories() -> int | None:
        glance = read_glance(folder)
        assert glance is not None
        return glance.memories

    first, second = novel.remember("first"), novel.remember("second")
    novel.sync()
    novel.edit(first.id.hex(), "first, edited")
    novel.sync()
    assert memories() == 2
    novel.forget([second.id])
    assert memories() in (None, 1)
    assert len(novel.memories()) == memories() == 1
    novel.rotate()
    assert memories() == 1


def test_glance__of_a_private_reader__says_nothing(novel: Vault, desk: Client, tmp_path: Path) -> None:
    grant(novel, tmp_path / "open", "Pelargonium", private=False)
    grant(novel, tmp_path / "hidden", "Hellebore", private=True)
    novel.sync()
    files = [path.read_bytes() for path in desk.home.folder.rglob("*") if path.is_file()]
    assert any(b"Pelargonium" in data for data in files)
    assert not any(b"Hellebore" in data for data in files)


# The log --------------------------------------------------------------------------------------------------------------


def test_log__names_whom_the_roster_knew__oldest_first(
    chain: Chain, desk: Client, novel: Vault, machine: Machine, tmp_path: Path
) -> None:
    registry, wallet = chain.registry(), desk.session.wallet
    novel.remember("first")
    novel.sync()
    lent = grant(novel, tmp_path / "tool", "claude")
    novel.revoke("claude")
    grant(novel, tmp_path / "private", "private", private=True)
    transact(
        registry, wallet, registry.set_base_uri(novel.place.vault_id, novel.record().version, "https://b.example/")
    )
    done = machine.quick("log", passphrase=None)
    assert (done.code, done.err) == (0, "")
    times, told = zip(*(re.split("  ", line, maxsplit=1) for line in done.out.splitlines()), strict=True)
    assert list(times) == sorted(times)
    end = f"{lent.result.expires.astimezone():%Y-%m-%d}"
    assert list(told) == [
        "version 1: created, by you",
        "version 2: a commit, by you",
        f"version 3: claude may read until {end}, by you",
        "version 4: claude revoked; locked until the next commit, by you",
        "version 5: a commit with new keys, by you",
        "version 6: a commit with a key holder more, or another date of one, by you",
        "version 7: blobs are at https://b.example/, by you",
    ]
    data = machine.data("log", "novel", "--limit", "5", passphrase=None)
    assert (data["complete"], len(data["events"])) == (True, 5)
    granted = data["events"][0]
    address = granted["values"]["grantee"]
    assert (granted["event"], granted["names"]) == ("Granted", {address: "claude"})
    assert granted["values"]["expiresAt"] == lent.result.expires.isoformat().replace("+00:00", "Z")
    assert datetime.fromisoformat(granted["time"]).tzinfo == UTC


def test_log__in_the_zone_of_the_person(desk: Client, novel: Vault, machine: Machine) -> None:
    record = novel.record()
    there = machine_in(machine, "Asia/Tokyo").run("log", passphrase=None).out
    assert there.startswith(f"{record.block.time + timedelta(hours=9):%Y-%m-%d %H:%M}")


def machine_in(machine: Machine, zone: str) -> Machine:
    class There(Machine):
        @property
        def environment(self) -> dict[str, str]:
            return super().environment | {"TZ": zone}

    return There(machine.home)


def test_log__unknown_vault__is_refused(desk: Client, novel: Vault, machine: Machine) -> None:
    assert machine.refusal("log", "nowhere", passphrase=None)["name"] == "UnknownVault"
    assert Home(machine.folder).initialised
