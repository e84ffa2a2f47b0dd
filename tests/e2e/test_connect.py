"""`memsync connect` and `disconnect`: a program on this computer reads a vault by what stands in its configuration."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from keyring.backends import fail
from mcp import StdioServerParameters

from memsync_client import connecting, keyfile, owning, passphrases
from memsync_client.client import Client
from memsync_client.connecting import links
from memsync_client.errors import PassphraseNotKept
from memsync_client.home import Home
from memsync_client.hosts import Hosts
from memsync_client.programs import Edit
from memsync_client.reader import Reader
from memsync_client.storage.uris import IPFS
from tests.e2e.machines import MEMSYNC, Machine, again, grant, new_machine, new_owner
from tests.e2e.tools import answer, connected, found_in, process_of, refused, run, texts_found
from tests.keyrings import InMemory, using
from tests.nodes import Chain, free_port

OTHER = {"command": "npx", "env": {"KEY": "sesame-of-another"}}
BEFORE = json.dumps({"mcpServers": {"other": OTHER}}, indent=2) + "\n"


@pytest.fixture(scope="module")
def machine(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A person's computer, with a vault, Cursor and Codex."""
    made = new_machine(tmp_path_factory.mktemp("computer") / "ines")
    made.forked = True
    made.data("init", "--rpc", chain.rpc_url, "--no-kit")
    made.data("vault", "new", "novel")
    made.data("remember", "Ines is left-handed.")
    made.data("sync")
    (made.home / ".cursor").mkdir()
    (made.home / ".cursor" / "mcp.json").write_text(BEFORE)
    (made.home / ".codex").mkdir()
    return made


@pytest.fixture(scope="module", autouse=True)
def no_keyring() -> Iterator[None]:
    """As on a computer without one, whatever the one has that this runs on."""
    with using(fail.Keyring()):  # type: ignore[no-untyped-call]
        yield


def as_started(machine: Machine, entry: dict[str, Any]) -> StdioServerParameters:
    """As the program starts it: by what stands in its configuration, and with little of the environment."""
    return StdioServerParameters(
        command=entry["command"], args=entry["args"], env={"HOME": str(machine.home), **entry.get("env", {})}
    )


def test_connect__dry_run_and_without_a_yes__changes_nothing(machine: Machine) -> None:
    for words in (["--dry-run"], []):
        done = machine.quick("connect", "cursor", "--for", "2w", *words)
        assert done.code == (0 if words else 17), done.err
        assert 'Cursor will read ALL of "novel" for 14 days, and keeps what it reads.' in done.out
        assert "can't be made to forget" in done.out
        assert "who can read your files reads that vault with it, until you revoke" in done.out
        assert '+      "command"' in done.out
        assert "sesame-of-another" not in done.out
    assert "This needs a yes" in done.err
    assert (machine.home / ".cursor" / "mcp.json").read_text() == BEFORE
    assert machine.data("grants") == []
    assert not (machine.folder / "tools").exists()


def test_connect__then_disconnect__the_program_reads_and_then_does_not(machine: Machine) -> None:
    path = machine.home / ".cursor" / "mcp.json"
    done = machine.data("connect", "cursor", "--for", "2w", "--yes")
    (line,) = machine.data("grants")
    assert (line["reader"], line["living"], line["expires"]) == ("cursor", True, done["expires"])
    servers = json.loads(path.read_text())["mcpServers"]
    assert servers["other"] == OTHER
    entry = servers["memsync"]
    assert (entry["command"], entry["args"][-1]) == (str(MEMSYNC), "cursor")

    secret = Path(done["passphrase_in"])
    assert secret.is_relative_to(done["home"])
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in path.read_text() + json.dumps(done)

    dry = machine.data("connect", "cursor", "--for", "2w", "--dry-run")
    assert (dry["gas"], machine.data("connect", "cursor", "--for", "4w", "--dry-run")["gas"] > 0) == (None, True)
    same = machine.data("connect", "cursor", "--for", "2w")  # nothing to ask about
    assert "gas" not in same  # it is granted for long enough
    assert (same["expires"], same["diff"]) == (done["expires"], [])
    longer = machine.data("connect", "cursor", "--for", "4w", "--yes")
    assert longer["expires"] > done["expires"]
    assert len(machine.data("grants")) == 1

    async def talk() -> None:
        async with connected(as_started(machine, entry)) as client:
            assert await texts_found(client, "handed") == ["Ines is left-handed."]
            gone = machine.data("disconnect", "cursor", "--yes")
            assert len(gone["transactions"]) == 2
            assert "revoked" in await refused(client, "memory_search", query="handed")

    run(talk)
    assert path.read_text() == BEFORE
    assert machine.data("grants") == []
    assert not Path(done["home"]).exists()
    assert machine.refusal("disconnect", "cursor", "--yes")["cause"] == "Cursor is not connected to 'novel' here."


def test_connect__host_with_a_password__stays_with_the_owner_unless_nothing_else_has_the_blobs(
    machine: Machine, tmp_path: Path
) -> None:
    url, shown = f"http://ines:sesame@127.0.0.1:{free_port()}", "ipfs://f01551220 at http://127.0.0.1:"
    list_of = machine.folder / "hosts.json"
    machine.data("host", "add", "ipfs:", "--endpoint", url)
    done = machine.quick("connect", "cursor", "--yes")
    assert done.code == 0, done.err
    tool = next((machine.folder / "tools").iterdir())
    assert f"The password of {shown}" in done.out
    assert "It will read the sealed blobs from file:///" in done.out
    assert b"sesame" in list_of.read_bytes()
    assert not [path for path in tool.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]

    Hosts(Home(tool)).add(*Hosts(Home(machine.folder)).listed())  # as it was told before
    again = machine.data("connect", "cursor", "--yes")
    assert b"sesame" not in (tool / "hosts.json").read_bytes()
    assert (again["passwords"], len(again["withheld"]), again["reads_from"][0][:8]) == ([], 1, "file:///")
    machine.data("disconnect", "cursor", "--yes")

    client = Client(Home(machine.folder), machine.passphrase)
    vault, registry = client.vault(), client.session.registry
    before = vault.record()
    owning.send(client, registry.set_base_uri(before.vault_id, before.version, IPFS))
    needs = machine.data("connect", "cursor", "--dry-run")
    assert (needs["withheld"], needs["passwords"], needs["reads_from"]) == ([], *[needs["passwords"]] * 2)
    assert needs["passwords"][0].startswith(shown)
    assert "sesame" not in json.dumps(needs)
    mirror = str(tmp_path / "mirror")
    Path(mirror).mkdir()
    machine.data("host", "add", mirror)
    plain = machine.data("connect", "cursor", "--dry-run")
    assert (plain["passwords"], plain["reads_from"]) == ([], [f"file://{mirror}/"])
    owning.send(client, registry.set_base_uri(before.vault_id, before.version + 1, before.base_uri))
    list_of.unlink()


def test_revoke__of_a_program_that_is_connected__says_how_its_configuration_goes(machine: Machine) -> None:
    machine.data("connect", "cursor", "--yes")
    done = machine.quick("revoke", "cursor")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].endswith("Next: memsync disconnect cursor")
    assert machine.data("disconnect", "cursor", "--yes")["transactions"] == []
    assert (machine.home / ".cursor" / "mcp.json").read_text() == BEFORE


def test_connect__toml_and_to_propose__is_what_codex_reads_and_it_has_no_key_of_the_owners(machine: Machine) -> None:
    path = machine.home / ".codex" / "config.toml"
    path.write_text('model = "x" # why\n')
    made = machine.data("connect", "codex", "--private", "--propose", "--yes")
    entry = tomllib.loads(path.read_text())["mcp_servers"]["memsync"]
    assert entry["args"][-5:] == ["mcp", "--as-reader", "codex", "--propose-to", str(machine.folder)]
    (line,) = machine.data("grants")
    assert (line["reader"], line["private"]) == ("codex", True)
    owners = {
        "passphrase": machine.passphrase.encode(),
        "device key": keyfile.unlock(machine.folder / "device.key", machine.passphrase).export(),
    }

    async def talk() -> None:
        async with connected(as_started(machine, entry)) as client:
            (first,) = (await answer(client, "search", query="handed"))["results"]
            added = await answer(client, "memory_add", text="Ines plays the cello.")
            assert added["status"] == "waits"
            assert (await answer(client, "memory_add", text="- ines plays the cello"))["id"] == added["id"]
            assert (await answer(client, "memory_add", text="Ines is left-handed"))["status"] == "known"
            assert await texts_found(client, "cello") == []
            for _ in range(2):
                assert (await answer(client, "memory_forget", id=first["id"]))["status"] == "waits"
            assert found_in(process_of(Path(made["home"])), owners) == set()
            add, forget = machine.quick("inbox", "--json").answer["data"]
            assert (add["tool"], add["wants"], add["memory"]["source"]["platform"]) == ("codex", "add", "codex")
            assert (forget["tool"], forget["wants"], forget["id"]) == ("codex", "forget", first["id"])

    run(talk)
    assert machine.data("inbox", "reject", "--all")["rejected"] == 2
    machine.data("disconnect", "codex", "--yes")
    assert path.read_text().startswith('model = "x" # why\n')
    assert "memsync" not in path.read_text()


def test_connect__program_that_is_not_here_or_file_that_is_no_json__grants_nothing(machine: Machine) -> None:
    assert "does not seem to be on this computer" in machine.refusal("connect", "vscode", "--yes")["cause"]
    path = machine.home / ".cursor" / "mcp.json"
    path.write_text('{"mcpServers": {}, // mine\n}')
    assert "is left alone" in machine.refusal("connect", "cursor", "--yes")["cause"]
    path.write_text(BEFORE)
    assert machine.data("grants") == []


@pytest.mark.parametrize("step", ["keep_in_file", "grant", "join", "write"])
def test_connect__killed_before_a_step__is_finished_by_the_next_and_undone_whole(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    vault = owner.new_vault("novel").vault
    (tmp_path / ".cursor").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    where: dict[str, object] = {
        "keep_in_file": passphrases,
        "grant": type(vault),
        "join": Reader,
        "write": Edit,
    }
    with monkeypatch.context() as patch:
        patch.setattr(where[step], step, killed)
        with pytest.raises(Killed):
            connecting.connect(owner, connecting.plan(owner, "cursor", vault))
    done = connecting.connect(owner, connecting.plan(owner, "cursor", vault))
    assert done.expires is not None
    assert (done.receipt is None) is (step in ("join", "write"))  # what was granted is not granted again
    assert [(line.name, line.living) for line in vault.grants()] == [("cursor", True)]
    (link,) = links(owner)
    with monkeypatch.context() as patch:
        patch.setattr(connecting, "_remove", killed)
        with pytest.raises(Killed):
            connecting.disconnect(vault, link, connecting.edits_without(link))
    (link,) = links(again(owner))
    assert connecting.disconnect(vault, link, connecting.edits_without(link)) == []
    assert (vault.grants(), links(owner)) == ([], [])
    assert json.loads((tmp_path / ".cursor" / "mcp.json").read_text()) == {"mcpServers": {}}


def test_disconnect__another_reader_has_its_name_by_now__is_left_alone(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    vault = owner.new_vault("novel").vault
    (tmp_path / ".cursor").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    connecting.connect(owner, connecting.plan(owner, "cursor", vault))
    vault.revoke("cursor")
    other = grant(vault, tmp_path / "elsewhere", "cursor").reader
    (link,) = links(owner)
    assert connecting.disconnect(vault, link, connecting.edits_without(link)) == []
    assert other.standing()


def test_connect__there_is_a_keyring__it_keeps_the_passphrase_and_no_file_does(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    vault = owner.new_vault("novel").vault
    (tmp_path / ".cursor").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus")
    backend = InMemory()
    with using(backend):
        plan = connecting.plan(owner, "cursor", vault)
        assert (plan.in_file, plan.kept_in) == (False, passphrases.keyring_name())
        connecting.connect(owner, plan)
        ((_, folder), passphrase) = next(iter(backend.kept.items()))
        assert folder == str(plan.home.folder)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and passphrase.encode() in path.read_bytes()]
        entry = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]["memsync"]
        assert entry["env"]["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/run/user/1000/bus"  # a program passes on little
        (link,) = links(owner)
        connecting.disconnect(vault, link, connecting.edits_without(link))
        assert backend.kept == {}


@pytest.mark.parametrize("lost", [False, True])
def test_connect__again_while_the_keyring_does_not_give_the_passphrase__the_granted_key_stays_to_be_revoked(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """Locked for a moment, or without what it was given."""
    owner = new_owner(tmp_path / "owner", chain.rpc_url)
    vault = owner.new_vault("novel").vault
    (tmp_path / ".cursor").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    backend = InMemory()

    def refuse(*_: str) -> None:
        raise OSError("the keyring is locked")

    with using(backend):
        connecting.connect(owner, connecting.plan(owner, "cursor", vault))
        (link,) = links(owner)
        key = next(link.home.folder.rglob("reader.key"))
        before = key.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(backend, "get_password", (lambda *_: None) if lost else refuse)
            plan = connecting.plan(owner, "cursor", vault, timedelta(days=365))
            with pytest.raises(PassphraseNotKept) as caught:
                connecting.connect(owner, plan)
            assert "memsync disconnect" in caught.value.next_step
        assert key.read_bytes() == before
        if not lost:
            connecting.connect(owner, plan)
        assert connecting.disconnect(vault, link, connecting.edits_without(link))
        assert vault.grants() == []


def test_disconnect__of_a_vault_that_was_closed__destroys_the_key_and_then_it_can_be_let_go(machine: Machine) -> None:
    machine.data("vault", "new", "plans")
    made = machine.data("connect", "cursor", "--vault", "plans", "--yes")
    machine.data("vault", "close", "plans", "--yes")
    refused = machine.refusal("vault", "let-go", "plans", "--yes")
    assert refused["next_step"] == "First: memsync disconnect cursor --vault plans"
    assert machine.data("disconnect", "cursor", "--vault", "plans", "--yes")["transactions"] == []
    assert not Path(made["home"]).exists()
    machine.data("vault", "let-go", "plans", "--yes")
    assert [item["name"] for item in machine.data("vault", "list")] == ["novel"]
