"""What goes wrong, by the real command: one clear error with a next step and an exit code of its own, nothing lost."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memsync_client.cards import Invitation
from memsync_client.client import Client
from memsync_client.errors import (
    HomeDamaged,
    InvalidCard,
    InvalidImport,
    InvalidInvitation,
    InvalidMemory,
    InvalidRequest,
    MemSyncError,
    NodeUnreachable,
    NoRegistry,
    NotInitialised,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    UnknownMemory,
    UnknownReader,
    UnknownVault,
    WrongChain,
    WrongPassphrase,
)
from memsync_client.home import Home
from memsync_client.keys import Anchor
from memsync_client.practice import start_node
from memsync_client.reader import new_reader
from memsync_client.rpc import Node
from tests.e2e.disks import run_full, run_read_only
from tests.e2e.machines import PASSPHRASE, SECONDS, Done, Machine, new_machine, new_owner, new_vault, texts
from tests.nodes import Chain, free_port, running_chain

SAMPLE = Path(__file__).parents[2] / "scripts" / "sample.jsonl"


@dataclass
class Owner:
    """A machine whose home has a vault with one memory committed and one that waits."""

    machine: Machine
    client: Client
    blobs: Path
    chain: Chain

    def state(self) -> dict[str, Any]:
        """All that must not change: the home's files, the blobs, and the vault on chain."""
        record = self.client.vault().record()
        return {
            "home": files(self.machine.folder),
            "blobs": files(self.blobs),
            "chain": (record.version, record.epoch, record.content_hash, record.keyring_hash),
        }


def files(folder: Path) -> dict[str, bytes]:
    """Every file with what is in it. The lock is an empty file that says nothing by being there."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}
    assert not [name for name in found if name.endswith(".tmp")]
    return found


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """Each test leaves it as it was, and that is checked."""
    folder = tmp_path_factory.mktemp("bad-input")
    machine = new_machine(folder / "owner")
    with running_chain() as chain:
        client = new_owner(machine.folder, chain.rpc_url)
        vault = new_vault(client, "novel", folder / "blobs")
        vault.remember("committed")
        vault.sync()
        vault.remember("waiting")
        yield Owner(machine, client, folder / "blobs", chain)
        assert vault.sync().committed == 1
        assert texts(vault) == ["committed", "waiting"]
        assert vault.verify().whole


@pytest.fixture
def unchanged(owner: Owner) -> Iterator[Owner]:
    """The owner; nothing of it may be another afterwards, and it can go on."""
    before = owner.state()
    yield owner
    assert owner.state() == before
    assert owner.client.vault().waiting() == 1


@pytest.fixture
def kept(owner: Owner) -> Iterator[Owner]:
    """The same, but sealed blobs may have been added that nothing names, and the note of what is to be deleted of them:
    a commit that did not come about."""
    before = owner.state()
    yield owner
    after = owner.state()
    for place in ("home", "blobs"):
        noted = {name for name in {*before[place], *after[place]} if re.fullmatch(r"vaults/[0-9a-f]{64}/doomed", name)}
        added = after[place].keys() - before[place].keys() - noted
        assert all(re.fullmatch(r"(vaults/[0-9a-f]{64}/(blobs|packs)/)?[0-9a-f]{64}", name) for name in added)
        for state in (before, after):
            state[place] = {name: data for name, data in state[place].items() if name not in added | noted}
    assert after == before


def refused(done: Done, error: type[MemSyncError], *said: str) -> None:
    """One error: its code, its cause on one line, its next step on the line below, and no trace of Python."""
    assert done.code == error.exit_code, done.err
    lines = [line for line in done.err.splitlines() if not line.startswith("  ") or line.startswith("       ")]
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("       ")
    assert len(lines[1].strip()) > 10
    for text in said:
        assert text in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert PASSPHRASE not in done.err


def test_exit_codes__each_kind_of_bad_input__has_its_own() -> None:
    kinds = (
        *(InvalidMemory, InvalidImport, InvalidCard, UnknownVault, WrongPassphrase, NodeUnreachable, WrongChain),
        *(NoRegistry, StorageUnavailable, StorageReadOnly, StorageFull, InvalidRequest, NotInitialised),
    )
    codes = {kind.exit_code for kind in kinds}
    assert len(codes) == len(kinds)
    assert codes.isdisjoint({0, 1, 2, 130})


# What is given -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_remember__empty__is_refused(unchanged: Owner, text: str) -> None:
    refused(unchanged.machine.quick("remember", text, passphrase=None), InvalidMemory, "empty")


def test_remember__huge__is_refused(unchanged: Owner) -> None:
    done = unchanged.machine.quick("remember", "-", stdin="x" * 65_537, passphrase=None)
    refused(done, InvalidMemory, "65,536 bytes", "Split it")


def test_edit__from_standard_input__is_read_like_a_memory(unchanged: Owner) -> None:
    (memory,) = unchanged.machine.data("list", "--limit", "1")
    done = unchanged.machine.quick("edit", memory["id"], "-", stdin=memory["content"] + "\n")
    refused(done, InvalidRequest, "says just that already")
    done = unchanged.machine.quick("edit", memory["id"], "-", stdin="x" * 65_537)
    refused(done, InvalidMemory, "65,536 bytes", "Split it")


def test_remember__endless_input__is_refused_in_bounded_memory(unchanged: Owner) -> None:
    """A person pipes the wrong file: it ends soon, and in little memory."""
    command = 'ulimit -v 2000000; exec timeout 30 "$@" remember - < /dev/zero'
    done = unchanged.machine.run(passphrase=None, under=("sh", "-c", command, "sh"))
    refused(done, InvalidMemory)


def test_remember__not_text__is_refused(unchanged: Owner) -> None:
    refused(unchanged.machine.quick("remember", "-", stdin=b"\xff\xfe", passphrase=None), InvalidMemory, "UTF-8")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"id": "1", "content": "good"}', '{"id": "2", "content": '], "line 2"),
        (['{"id": "1", "content": "good"}', "", "[]"], "line 3"),
        (['{"id": "1", "content": "good"}', '{"id": "1", "content": "other"}'], "line 2"),
        (['{"id": "1", "content": "good"}', json.dumps({"id": "2", "content": "x" * 70_000})], "line 2"),
        (['{"id": "1", "content": "good"}', '{"id": "2", "content": ""}'], "line 2"),
    ],
)
def test_import__broken_line__is_named_and_nothing_taken_in(
    unchanged: Owner, tmp_path: Path, lines: list[str], said: str
) -> None:
    broken = tmp_path / "notes.jsonl"
    broken.write_text("\n".join(lines))
    done = unchanged.machine.quick("import", str(broken), passphrase=None)
    refused(done, InvalidImport, "notes.jsonl", said, "Nothing was imported")


def test_import__file_that_is_not_there__is_refused(unchanged: Owner, tmp_path: Path) -> None:
    refused(unchanged.machine.quick("import", str(tmp_path / "none"), passphrase=None), InvalidImport, "none")
    refused(unchanged.machine.quick("import", str(tmp_path), passphrase=None), InvalidImport)


def test_grant__card_with_a_wrong_checksum__is_refused(unchanged: Owner, tmp_path: Path) -> None:
    card = str(new_reader(Home(tmp_path / "tool"), "claude", PASSPHRASE))
    for damaged in (card[:-1] + ("0" if card[-1] != "0" else "1"), card[:300] + "AAAA" + card[304:], card[:-40]):
        refused(unchanged.machine.quick("grant", damaged), InvalidCard, "checksum", "Copy the whole card again")
    for other in ("not a card", "x" * 5_000):
        refused(unchanged.machine.quick("grant", other), InvalidCard, "This is not a card")
    missing = str(tmp_path / "card.txt")
    refused(unchanged.machine.quick("grant", missing), InvalidCard, f"There is no file {missing}")
    refused(unchanged.machine.quick("grant", str(tmp_path)), InvalidCard, f"{tmp_path} can't be read")


def test_join__damaged_invitation__is_refused(tmp_path: Path) -> None:
    tool = new_machine(tmp_path / "tool")
    tool.data("reader", "new", "claude")
    before = files(tool.folder)
    refused(tool.quick("reader", "join", "memsync-invitation1:AAAA:00000000"), InvalidInvitation, "checksum")
    assert files(tool.folder) == before


@pytest.mark.parametrize("words", [("remember", "x"), ("sync",), ("recall", "x"), ("grants",), ("verify",)])
def test_unknown_vault__by_name__is_refused(unchanged: Owner, words: tuple[str, ...]) -> None:
    done = unchanged.machine.quick(*words, "--vault", "nobody's")
    refused(done, UnknownVault, "nobody's", "Known here: novel")


def test_unknown_vault__on_a_chain_that_was_begun_anew__is_refused(unchanged: Owner) -> None:
    with running_chain() as other:
        done = unchanged.machine.quick("--rpc", other.rpc_url, "sync")
    refused(done, UnknownVault, "on chain 31337")


def test_unknown_memory_and_reader__are_refused(unchanged: Owner) -> None:
    refused(unchanged.machine.quick("edit", "ffffffffffff", "text"), UnknownMemory, "memsync list")
    refused(unchanged.machine.quick("revoke", "nobody"), UnknownReader, "memsync grants")


# Who asks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("sync",), ("recall", "x"), ("revoke", "x"), ("verify",)])
def test_passphrase__wrong__is_refused(unchanged: Owner, words: tuple[str, ...]) -> None:
    refused(unchanged.machine.quick(*words, passphrase="wrong"), WrongPassphrase, "does not open")


def test_passphrase__none_and_no_terminal__says_how_to_give_one(unchanged: Owner) -> None:
    refused(unchanged.machine.quick("sync", passphrase=None), InvalidRequest, "no terminal", "--passphrase-fd")


def test_passphrase__descriptor_that_is_not_open__is_refused(unchanged: Owner) -> None:
    done = unchanged.machine.quick("--passphrase-fd", "77", "sync", passphrase=None)
    refused(done, InvalidRequest, "77")


def test_passphrase__empty_for_a_new_home__is_refused(tmp_path: Path, owner: Owner) -> None:
    machine = new_machine(tmp_path / "new", " ")
    machine.passphrase = "\n"
    refused(machine.quick("init", "--no-kit", "--rpc", owner.chain.rpc_url), InvalidRequest, "empty")
    assert not machine.folder.exists()
    refused(machine.quick("reader", "new", "claude"), InvalidRequest, "empty")
    refused(machine.quick("reader", "new", "claude", passphrase=None), InvalidRequest, "no terminal")
    assert not machine.folder.exists()


@pytest.mark.parametrize(
    "words", [("remember", "x"), ("sync",), ("recall", "x"), ("vault", "list"), ("verify",), ("grants",)]
)
def test_home__not_initialised__says_how_to_begin(tmp_path: Path, words: tuple[str, ...]) -> None:
    machine = new_machine(tmp_path / "new")
    refused(machine.quick(*words), NotInitialised, "memsync init")
    assert not machine.folder.exists()


def test_home__made_already__is_kept(unchanged: Owner) -> None:
    refused(unchanged.machine.quick("init", "--no-kit", "--rpc", unchanged.chain.rpc_url), InvalidRequest, "already")


@pytest.mark.parametrize("name", ["config.json", "vaults.json", "device.key", "wallet.json"])
def test_home__damaged_file__is_named(unchanged: Owner, name: str) -> None:
    path = unchanged.machine.folder / name
    whole = path.read_bytes()
    for damaged in (b"", b"[]", whole[: len(whole) // 2], b"\xff"):
        path.write_bytes(damaged)
        done = unchanged.machine.quick("sync")
        path.write_bytes(whole)
        refused(done, HomeDamaged, str(path))


def test_interrupt__while_a_node_keeps_silent__ends_with_130(unchanged: Owner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rpc = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = unchanged.machine.start("--rpc", rpc, "vault", "show")
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "interrupted; nothing is lost"


def test_interrupt__in_json__is_the_one_object(unchanged: Owner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rpc = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = unchanged.machine.start("--rpc", rpc, "vault", "show", "--json")
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert Done(130, out, err).answer["error"]["name"] == "Interrupted"


# The node ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("sync",), ("recall", "x"), ("vault", "show"), ("verify",), ("revoke", "x")])
def test_node__down__is_named(unchanged: Owner, words: tuple[str, ...]) -> None:
    port = free_port()
    done = unchanged.machine.quick("--rpc", f"http://127.0.0.1:{port}", *words)
    refused(done, NodeUnreachable, f"127.0.0.1:{port}", "memsync node")


def test_node__down__memories_are_kept_and_status_says_what_to_do(unchanged: Owner) -> None:
    rpc = f"http://127.0.0.1:{free_port()}"
    assert unchanged.machine.quick("--rpc", rpc, passphrase=None).out.splitlines()[-1].startswith("Next: memsync node")
    folder = unchanged.machine.folder / "vaults"
    before = set(folder.rglob("*.sealed"))
    done = unchanged.machine.quick("--rpc", rpc, "remember", "while the node is down", passphrase=None)
    assert done.code == 0
    (added,) = set(folder.rglob("*.sealed")) - before
    added.unlink()


def test_node__of_another_chain__is_refused(unchanged: Owner) -> None:
    with other_chain() as rpc:
        refused(unchanged.machine.quick("--rpc", rpc, "sync"), WrongChain, "31338", "31337")
        refused(unchanged.machine.quick("--rpc", rpc, "recall", "x"), WrongChain, "31338")


@contextmanager
def other_chain() -> Iterator[str]:
    with running_chain() as chain:
        chain.node.request("anvil_setChainId", 31338)
        yield chain.rpc_url


def test_registry__address_without_code__is_refused(unchanged: Owner, tmp_path: Path) -> None:
    port = free_port()
    with start_node(port):
        done = unchanged.machine.quick("--rpc", f"http://127.0.0.1:{port}", "sync")
        refused(done, NoRegistry, "There is no MemoryRegistry at")
    machine = new_machine(tmp_path / "new")
    nowhere = "0x" + "12" * 20
    done = machine.quick("init", "--no-kit", "--rpc", unchanged.chain.rpc_url, "--registry", nowhere)
    refused(done, NoRegistry, nowhere)
    assert not machine.folder.exists()


def test_registry__another_contract__is_refused(unchanged: Owner, tmp_path: Path) -> None:
    other = "0x" + "13" * 20
    Node(unchanged.chain.rpc_url).request("anvil_setCode", other, "0x6001600155")
    machine = new_machine(tmp_path / "new")
    done = machine.quick("init", "--no-kit", "--rpc", unchanged.chain.rpc_url, "--registry", other)
    refused(done, NoRegistry, "not this version's MemoryRegistry")


def test_new_vault__host_that_this_version_cannot_use__names_the_option_there_is(kept: Owner, tmp_path: Path) -> None:
    for base in ("ftp://blobs.example/", "https://127.0.0.1:1/", f"{tmp_path.as_uri()}/none/"):
        done = kept.machine.quick("vault", "new", "elsewhere", "--base-uri", base)
        refused(done, StorageUnavailable, "--base-uri file:///")
        assert "--blobs" not in done.err


def test_new_vault__on_another_chain__no_folder_and_no_host_is_refused_with_the_hosts_there_are(tmp_path: Path) -> None:
    machine = new_machine(tmp_path / "new")
    with other_chain() as rpc:
        done = machine.quick("init", "--no-kit", "--rpc", rpc)
        assert done.code == 0, done.err
        assert "memsync vault new NAME --base-uri URI" in done.out
        for named in ([], ["--base-uri", "file:///srv/blobs/"], ["--base-uri", "/srv/blobs"]):
            refused(machine.quick("vault", "new", "novel", *named), InvalidRequest, "public chain", "ipfs:")


def test_sync__of_two_vaults__what_was_done_is_told_when_the_second_fails(owner: Owner, tmp_path: Path) -> None:
    machine = new_machine(tmp_path / "machine")
    client = new_owner(machine.folder, owner.chain.rpc_url)
    for name in ("a", "b"):
        new_vault(client, name, tmp_path / name).remember(f"waits in {name}")
    (tmp_path / "b").rename(tmp_path / "away")
    told = machine.quick("sync", "--json")
    plain = machine.quick("sync")
    error = json.loads(told.out)["error"]
    assert (told.code, error["name"]) == (StorageUnavailable.exit_code, "StorageUnavailable")
    assert [(item["name"], item["committed"]) for item in error["done"]] == [("a", 1)]
    assert plain.code == StorageUnavailable.exit_code
    assert plain.out.startswith("a: nothing to commit")


# The disk ------------------------------------------------------------------------------------------------------------


def test_blob_folder__gone__is_named_and_not_made_anew(kept: Owner) -> None:
    away = kept.blobs.rename(kept.blobs.with_name("away"))
    try:
        answers = [kept.machine.quick(word) for word in ("sync", "verify")]
        assert not kept.blobs.exists()
    finally:
        away.rename(kept.blobs)
    for done in answers:
        refused(done, StorageUnavailable, str(kept.blobs), "is gone", "Bring it back")


def test_blob_folder__gone__a_reader_is_told(kept: Owner, tmp_path: Path) -> None:
    """Without a copy of its own, and joining for the first time."""
    machine = new_machine(tmp_path / "tool")
    machine.data("reader", "new", "claude")
    invitation = Invitation(
        kept.client.vault().place, kept.chain.rpc_url, (kept.blobs.as_uri() + "/",), Anchor(1, bytes(32), bytes(32))
    )
    away = kept.blobs.rename(kept.blobs.with_name("away"))
    try:
        done = machine.quick("reader", "join", str(invitation))
    finally:
        away.rename(kept.blobs)
    refused(done, StorageUnavailable, str(kept.blobs), "is gone")


def test_blob_folder__read_only__is_named(kept: Owner) -> None:
    refused(run_read_only(kept.machine, kept.blobs, "sync"), StorageReadOnly, str(kept.blobs), "Allow writing")


@pytest.mark.parametrize("pages", [0, 1])
def test_blob_folder__full__is_named(kept: Owner, pages: int) -> None:
    """No room for the first blob, and none for the second."""
    refused(run_full(kept.machine, kept.blobs, pages, "sync"), StorageFull, str(kept.blobs), "Make room")


def test_home__read_only__is_named(unchanged: Owner) -> None:
    folder = unchanged.machine.folder
    for words in (("remember", "text"), ("import", str(SAMPLE)), ("sync",)):
        refused(run_read_only(unchanged.machine, folder, *words), StorageReadOnly, str(folder))
    done = run_read_only(unchanged.machine, folder, "recall", "committed")
    assert (done.code, done.out[:12]) == (0, "1  committed"), done.err


@pytest.mark.parametrize("words", [("remember", "text"), ("import", str(SAMPLE))])
def test_home__full__nothing_is_kept_by_half(unchanged: Owner, words: tuple[str, ...]) -> None:
    folder = unchanged.machine.folder
    refused(run_full(unchanged.machine, folder, 0, *words), StorageFull, str(folder), "Make room")


def test_home__full_at_any_point_of_a_sync__loses_nothing(owner: Owner, tmp_path: Path) -> None:
    """Refused before the transaction, or done; and the next sync brings in order whatever was left."""
    machine, folder = owner.machine, owner.machine.folder
    vault = new_vault(owner.client, "full", tmp_path / "blobs")
    said, codes = [], []
    try:
        for pages in (0, 1, 2, 4, 8):
            said.append(f"with room for {pages} pages")
            vault.remember(said[-1])
            done = run_full(machine, folder, pages, "sync", "--vault", "full")
            codes.append(done.code)
            if done.code:
                refused(done, StorageFull, str(folder))
            vault.sync()
            assert texts(vault) == sorted(said)
            assert vault.waiting() == 0
        assert (codes[0], codes[-1]) == (StorageFull.exit_code, 0)
        assert vault.verify().memories == 5
    finally:
        labels = folder / "vaults.json"
        labels.write_text(json.dumps({k: v for k, v in json.loads(labels.read_text()).items() if k != "full"}))
