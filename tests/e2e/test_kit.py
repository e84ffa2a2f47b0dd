"""The recovery kit from end to end: everything comes back with it, and with it alone, and then it is void."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from memsync_client.cards import Sheet
from memsync_client.client import Client, init
from memsync_client.devices import sheet_for
from memsync_client.errors import (
    AccessEnded,
    ForeignKeyring,
    InvalidKit,
    InvalidRequest,
    NotInitialised,
    UnknownVault,
    WrongPassphrase,
)
from memsync_client.home import Home
from memsync_client.keyring import Role
from memsync_client.keys import Anchor, HolderKey
from memsync_client.recovery import (
    check_kit,
    give_wallet,
    kit_sheet,
    look,
    renew,
    restore_with_kit,
    set_kit,
    sheet_of,
)
from memsync_client.registry import Registry
from memsync_client.vault import Vault
from tests.e2e.machines import (
    MEMSYNC,
    PASSPHRASE,
    SECONDS,
    Machine,
    again,
    grant,
    keystore,
    new_machine,
    new_owner,
    new_vault,
    texts,
)
from tests.nodes import Chain


def a_kit() -> HolderKey:
    return HolderKey(os.urandom(32))


class Lost:
    """An owner with a kit, a vault and a reader, as they were when the computer was lost."""

    def __init__(self, folder: Path, chain: Chain, vaults: int = 1) -> None:
        self.folder, self.rpc = folder, chain.rpc_url
        self.client = new_owner(folder / "owner", chain.rpc_url)
        self.kit = a_kit()
        set_kit(self.client, self.kit.xwing.public)
        self.vaults = [new_vault(self.client, f"vault {n}", folder / f"blobs {n}") for n in range(vaults)]
        for vault in self.vaults:
            vault.remember(f"kept in {vault.label}")
            vault.sync()
        self.sheet = kit_sheet(self.client)
        self.wallet = self.client.home.wallet

    def restored(self, *, wallet: bool = True, name: str = "new", sheet: Sheet | None = None) -> Client:
        home = Home(self.folder / name)
        given = self.wallet if wallet else None
        vault, *_ = restore_with_kit(home, PASSPHRASE, self.kit, sheet or self.sheet, wallet=given, name="phoenix")
        return like(Client(home, PASSPHRASE), vault)


def like(client: Client, vault: Vault) -> Client:
    """A client of the vault's home that need not stretch the passphrase again."""
    client.session.__dict__.update(device=vault._session.device, _kit=vault._session._kit)
    return client


def roles(vault: Vault) -> list[tuple[Role, str]]:
    return [(holder.role, holder.name) for holder in vault.roster().holders]


# Making ---------------------------------------------------------------------------------------------------------------


def test_set_kit__before_and_after_vaults__every_vault_has_it(chain: Chain, tmp_path: Path) -> None:
    owner, kit = new_owner(tmp_path / "owner", chain.rpc_url), a_kit()
    early = new_vault(owner, "early", tmp_path / "early")
    assert [line.opens for line in check_kit(owner, kit)] == [False]
    set_kit(owner, kit.xwing.public)
    assert early.record().epoch == 1  # who joins takes nothing from anyone: no new epoch
    new_vault(owner, "late", tmp_path / "late")
    assert [(line.vault, line.opens) for line in check_kit(owner, kit)] == [("early", True), ("late", True)]
    version = early.record().version
    set_kit(owner, kit.xwing.public)
    assert early.record().version == version


def test_set_kit__in_place_of_another__the_old_one_opens_nothing_new(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (vault,) = lost.vaults
    newer = a_kit()
    set_kit(lost.client, newer.xwing.public)
    assert vault.record().epoch == 2
    assert [line.opens for line in check_kit(lost.client, lost.kit)] == [False]
    assert [line.opens for line in check_kit(lost.client, newer)] == [True]
    assert roles(vault).count((Role.KIT, "recovery kit")) == 1
    with pytest.raises(AccessEnded):
        look(lost.kit, lost.sheet)
    with pytest.raises(InvalidKit, match="another kit"):
        look(newer, lost.sheet)
    assert set(look(newer, kit_sheet(lost.client)).opened) == {vault.place.vault_id}


def test_new_vault__on_a_home_without_a_note__takes_the_kit_of_the_rosters(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    lost.client.home.write_kit(None)
    other = new_vault(lost.client, "other", tmp_path / "other")
    assert (Role.KIT, "recovery kit") in roles(other)


def test_kit_sheet__without_a_kit__says_how_to_make_one(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(InvalidKit, match="no recovery kit"):
        kit_sheet(new_owner(tmp_path / "owner", chain.rpc_url))


# Restoring ------------------------------------------------------------------------------------------------------------


def test_restore__with_the_wallet__new_keys_kit_and_epoch_and_the_old_ones_void(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    reader = grant(before, tmp_path / "tool", "claude")
    newer, client = a_kit(), lost.restored()
    renew(client, newer.xwing.public)
    (vault,) = client.vaults()
    assert texts(vault) == ["kept in vault 0"]
    assert roles(vault) == [(Role.DEVICE, "phoenix"), (Role.KIT, "recovery kit")]
    assert client.session.device_public != lost.client.session.device_public
    assert vault.public_grants() == []
    vault.remember("after the fire")
    vault.sync()
    for opens_nothing in (lambda: texts(again(lost.client).vault()), lambda: look(lost.kit, lost.sheet)):
        with pytest.raises(AccessEnded):
            opens_nothing()
    with pytest.raises(AccessEnded):
        reader.reader.memories()
    assert [line.opens for line in check_kit(client, newer)] == [True]
    assert not client.home.kit_key.exists()
    with pytest.raises(InvalidRequest, match="No restore with a kit is open"):
        renew(client, None)


def test_restore__without_the_wallet__reads_and_is_finished_with_it(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    client = lost.restored(wallet=False)
    (vault,) = client.vaults()
    assert texts(vault) == ["kept in vault 0"]
    vault.remember("waits for the wallet")
    for needs_it in (vault.sync, lambda: renew(client, None)):
        with pytest.raises(NotInitialised, match="can read and not commit"):
            needs_it()
    assert lost.vaults[0].record().epoch == 1
    give_wallet(client.home, PASSPHRASE, lost.wallet)
    client = Client(client.home, PASSPHRASE)
    renew(client, None)
    client.vault().sync()
    assert texts(client.vault()) == ["kept in vault 0", "waits for the wallet"]
    assert roles(client.vault()) == [(Role.DEVICE, "phoenix")]
    assert client.home.kit() is None


def test_restore__with_the_wallet_of_another__is_refused(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    lost.wallet = new_owner(tmp_path / "other", chain.rpc_url).home.wallet
    with pytest.raises(InvalidRequest, match="is not 0x"):
        lost.restored()
    assert not (tmp_path / "new").exists()
    client = lost.restored(wallet=False)
    with pytest.raises(InvalidRequest, match="is not 0x"):
        give_wallet(client.home, PASSPHRASE, lost.wallet)
    assert not client.home.wallet.exists()


def test_renew__keeping_devices_and_readers__they_go_on(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    public, private = (
        grant(before, tmp_path / name, name, private=name == "private") for name in ("public", "private")
    )
    client = lost.restored()
    renew(client, None, keep_devices=True, keep_readers=True)
    assert len(roles(client.vault())) == 4
    for source in (again(lost.client).vault(), public.reader, private.reader):
        assert texts(source) == ["kept in vault 0"]
    with pytest.raises(AccessEnded):
        look(lost.kit, lost.sheet)


def test_renew__of_a_vault_that_was_locked_elsewhere__drops_private_readers(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (before,) = lost.vaults
    private = grant(before, tmp_path / "private", "private", private=True)
    registry = before._session.registry
    call = registry.rotate(before.place.vault_id)
    before._committer(before.record()).transact(call, registry.prepare(call, before._session.wallet.address))
    client = lost.restored()
    renew(client, None)
    assert roles(client.vault()) == [(Role.DEVICE, "phoenix")]
    assert not client.vault().record().locked
    with pytest.raises(AccessEnded):
        private.reader.memories()


class Killed(BaseException):
    """Where a process dies: nothing that tidies up after errors sees it."""


@pytest.mark.parametrize("another_kit", [True, False])
def test_renew__killed_between_two_vaults__can_be_run_again(chain: Chain, tmp_path: Path, another_kit: bool) -> None:
    lost = Lost(tmp_path, chain, vaults=2)
    client, newer = lost.restored(), a_kit()

    def die(vault: Vault, receipts: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        renew(client, newer.xwing.public, done=die)
    assert sorted(line.opens for line in check_kit(client, lost.kit)) == [False, True]
    half = Client(client.home, PASSPHRASE)
    assert [texts(vault) for vault in half.vaults()] == [["kept in vault 0"], ["kept in vault 1"]]
    newest = a_kit() if another_kit else newer
    renew(half, newest.xwing.public)
    assert [line.opens for line in check_kit(half, newest)] == [True, True]
    assert [line.opens for line in check_kit(half, lost.kit)] == [False, False]
    assert [vault.record().epoch for vault in half.vaults()] == ([3, 2] if another_kit else [2, 2])
    assert not half.home.kit_key.exists()


def test_restore__killed_before_its_end__can_be_run_again(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    home = lost.restored().home
    home.abandon()  # what a process leaves that is killed before it has written where the chain is
    with pytest.raises(WrongPassphrase):
        restore_with_kit(home, "another", lost.kit, lost.sheet)
    restore_with_kit(home, PASSPHRASE, lost.kit, lost.sheet, wallet=lost.wallet)
    client = Client(home, PASSPHRASE)
    renew(client, None)
    assert texts(client.vault()) == ["kept in vault 0"]


# A node that lies, a sheet that is not mine ---------------------------------------------------------------------------


def test_look__vault_that_does_not_follow_from_the_sheet__is_refused(chain: Chain, tmp_path: Path) -> None:
    """What the node shows as the owner's vault has a keyring for this kit, and another history than the sheet's."""
    lost = Lost(tmp_path, chain)
    ((vault_id, anchor),) = lost.sheet.anchors.items()
    for invented in (
        Anchor(anchor.epoch, anchor.writer_public, bytes(32)),
        Anchor(anchor.epoch, bytes(32), anchor.check),
    ):
        sheet = replace(lost.sheet, anchors={vault_id: invented})
        with pytest.raises(ForeignKeyring, match="does not follow from the sheet"):
            look(lost.kit, sheet)
        with pytest.raises(ForeignKeyring):
            lost.restored(sheet=sheet)
        assert not (tmp_path / "new").exists()
    later = replace(lost.sheet, anchors={vault_id: Anchor(2, anchor.writer_public, anchor.check)})
    with pytest.raises(Exception, match="already seen epoch 2"):
        look(lost.kit, later)


def test_look__names_vaults_that_the_node_hides_and_those_that_the_sheet_lacks(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    hidden = bytes.fromhex("77" * 32)
    (anchor,) = lost.sheet.anchors.values()
    late = new_vault(lost.client, "late", tmp_path / "late")
    found = look(lost.kit, replace(lost.sheet, anchors={**lost.sheet.anchors, hidden: anchor}))
    assert [roster.name for roster in found.opened.values()] == ["vault 0", "late"]
    assert (found.missing, found.unlisted) == ((hidden,), (late.place.vault_id,))


def test_look__without_a_sheet__owner_and_node_are_enough(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    owner = lost.client.session.config.owner
    found = look(lost.kit, sheet_of(owner.lower(), chain.rpc_url, None, lost.kit))
    assert (found.owner, found.missing, found.unlisted) == (owner, (), ())
    with pytest.raises(UnknownVault, match="owns no vault"):
        look(lost.kit, sheet_of("0x" + "11" * 20, chain.rpc_url, None, lost.kit))


def test_sheet__follows_every_later_epoch(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    (vault,) = lost.vaults
    for turn in range(3):
        reader = grant(vault, tmp_path / f"reader {turn}", f"reader {turn}")
        vault.revoke(reader.result.reader)
    assert vault.record().epoch == 4
    assert set(look(lost.kit, lost.sheet).opened) == {vault.place.vault_id}


# Accounts whose key is elsewhere --------------------------------------------------------------------------------------


def node_owner(chain: Chain, folder: Path, number: int, *, signer: bool = False) -> Client:
    """A home whose owner is an unlocked account of the node, as itself or as a signer at an address of its own."""
    from memsync_client.wallet import Account

    address = Registry.connect(chain.rpc_url).node.web3.eth.accounts[number]
    home = Home(folder)
    account = Account(str(address), chain.rpc_url if signer else None)
    init(home, PASSPHRASE, kit=None, rpc=chain.rpc_url, wallet=account)
    assert not home.wallet.exists()
    return Client(home, PASSPHRASE)


@pytest.mark.parametrize("signer", [False, True])
def test_node_account__does_all_that_a_wallet_file_does(chain: Chain, tmp_path: Path, signer: bool) -> None:
    owner = node_owner(chain, tmp_path / "owner", 1 + signer, signer=signer)
    vault = new_vault(owner, f"of a node {signer}", tmp_path / "blobs")
    vault.remember("signed elsewhere")
    assert vault.sync().committed == 1
    reader = grant(vault, tmp_path / "tool", "claude")
    assert texts(reader.reader) == ["signed elsewhere"]
    assert len(vault.revoke("claude")) == 2
    with pytest.raises(AccessEnded):
        reader.reader.memories()
    assert vault.record().owner == owner.session.config.owner


def test_node_account__that_the_node_does_not_sign_for__is_refused_at_init(chain: Chain, tmp_path: Path) -> None:
    from memsync_client.wallet import Account

    home = Home(tmp_path / "home")
    with pytest.raises(InvalidRequest, match="does not sign for"):
        init(home, PASSPHRASE, kit=None, rpc=chain.rpc_url, wallet=Account("0x" + "11" * 20))
    assert not home.folder.exists()


def test_node_account__killed_before_it_names_the_hash__the_commit_is_found(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has no transaction's hash then: the chain of heads alone says that it landed."""
    owner = node_owner(chain, tmp_path / "owner", 3)
    vault = new_vault(owner, "killed", tmp_path / "blobs")
    vault.remember("sent, and not known to be")
    send = Registry._send_by

    def die(self: Registry, prepared: object, wallet: object) -> bytes:
        send(self, prepared, wallet)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(Registry, "_send_by", die)
    with pytest.raises(Killed):
        vault.sync()
    monkeypatch.undo()
    assert vault.waiting() == 1
    after = Client(owner.home, PASSPHRASE).vault()
    result = after.sync()
    assert (result.committed, result.version, after.waiting()) == (0, 2, 0)
    assert texts(after) == ["sent, and not known to be"]
    assert after.verify().memories == 1


def test_node_account__killed_in_a_clean_rotation__what_was_to_go_is_deleted(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted before the transaction is final, and which one it was only the chain can tell."""
    owner = node_owner(chain, tmp_path / "owner", 5)
    vault = new_vault(owner, "cut", tmp_path / "blobs")
    vault.remember("kept through the cut")
    vault.sync()
    before = {path.name for path in (tmp_path / "blobs").iterdir()}
    send = Registry._send_by

    def die(self: Registry, prepared: object, wallet: object) -> bytes:
        send(self, prepared, wallet)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(Registry, "_send_by", die)
    with pytest.raises(Killed):
        vault.rotate(clean=True)
    monkeypatch.undo()
    after = Client(owner.home, PASSPHRASE).vault()
    after.sync()
    assert (after.record().epoch, texts(after)) == (2, ["kept through the cut"])
    assert not before & {path.name for path in (tmp_path / "blobs").iterdir()}


def test_node_account__killed_before_it_sends__the_commit_is_made_again(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = node_owner(chain, tmp_path / "owner", 4)
    vault = new_vault(owner, "killed before", tmp_path / "blobs")
    vault.remember("never sent")

    def die(self: Registry, prepared: object, wallet: object) -> bytes:
        raise Killed

    monkeypatch.setattr(Registry, "_send_by", die)
    with pytest.raises(Killed):
        vault.sync()
    monkeypatch.undo()
    after = Client(owner.home, PASSPHRASE).vault()
    assert (after.sync().committed, after.waiting(), texts(after)) == (1, 0, ["never sent"])


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return new_machine(tmp_path / "home")


def fd(machine: Machine, *words: str, lines: list[str], option: str = "--shares-fd") -> dict[str, object]:
    """A command that reads those lines from a file descriptor of their own."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    try:
        return dict(machine.quick(*words, option, str(reading), "--json").answer)
    finally:
        os.close(reading)


def test_init__without_a_terminal_and_a_word_about_a_kit__names_both_ways(chain: Chain, machine: Machine) -> None:
    done = machine.quick("init", "--rpc", chain.rpc_url)
    assert done.code == 2
    assert "--kit " in done.err
    assert "--no-kit" in done.err
    assert "the memory is gone" in done.err
    assert not machine.folder.exists()
    assert machine.quick("init", "--rpc", chain.rpc_url, "--no-kit").code == 0
    assert machine.quick("kit", "sheet").code == InvalidKit.exit_code


def test_commands__kit_of_words_from_init_to_restore(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    quick = ("init", "--rpc", chain.rpc_url, "--wallet", str(keystore(tmp_path / "wallet.json")))
    made = machine.quick(*quick, "--kit", "--name", "desk", "--json").answer["data"]
    shares = made["kit"]["shares"]
    assert made["device"] == "desk"
    assert len(shares) == 3
    for path in filter(Path.is_file, machine.folder.rglob("*")):
        assert not any(word in path.read_text() for word in shares), path
    assert fd(machine, "kit", "check", lines=shares[:2])["ok"]  # before there is any vault
    machine.quick("vault", "new", "novel")
    machine.quick("remember", "Ines is left-handed.")
    assert machine.quick("sync").code == 0
    assert fd(machine, "kit", "check", lines=shares[1:])["data"] == [{"vault": "novel", "opens": True}]
    wrong = fd(machine, "kit", "check", lines=[shares[0], shares[1].replace(shares[1].split()[7], "acid")])
    assert wrong["error"]["name"] == "InvalidKit"  # type: ignore[index]
    sheet = machine.home / "sheet.txt"
    sheet.write_text(machine.quick("kit", "sheet").out)

    dry = machine.quick("kit", "make", "--dry-run", "--json").answer["data"]
    assert (dry["dry_run"], dry["replaces"]) == (True, ["novel"])
    refused = machine.quick("kit", "make", "--json").answer["error"]
    assert "would be void" in refused["cause"]
    assert "--yes" in refused["next_step"]

    new = new_machine(tmp_path / "new", machine.passphrase)
    words = ("restore", "--kit", "--sheet", str(sheet))
    plan = fd(new, *words, "--dry-run", "--keep-devices", lines=shares[1:])["data"]
    assert isinstance(plan, dict)
    assert plan["vaults"][0]["left_out"] == ["recovery kit (kit)"]
    assert [who.partition(", key ")[0] for who in plan["vaults"][0]["kept"]] == ["desk (device)"]
    assert not new.folder.exists()
    without = fd(new, *words, lines=shares[::2])["data"]
    assert isinstance(without, dict)
    assert (without["finished"], without["unlisted"], without["vaults"][0]["memories"]) == (False, [], 1)
    status = new.quick("--json", passphrase=None).answer["data"]
    assert status["restoring"] is True
    wallet = str(machine.folder / "wallet.json")
    done = new.quick("restore", "--kit", "--wallet", wallet, "--json").answer["data"]
    assert (done["finished"], len(done["kit"]["shares"])) == (True, 3)
    assert fd(new, "kit", "check", lines=done["kit"]["shares"][:2])["ok"]
    old = fd(new, "kit", "check", lines=shares[:2])["error"]
    assert isinstance(old, dict)
    assert "do not open novel" in old["cause"]
    assert machine.quick("list").code == AccessEnded.exit_code
    assert "Ines is left-handed." in new.quick("list").out


def test_commands__kit_file(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    assert machine.quick("init", "--rpc", chain.rpc_url, "--no-kit", "--wallet", wallet).code == 0
    machine.quick("vault", "new", "novel")
    path = tmp_path / "usb.key"
    option = "--kit-passphrase-fd"
    made = fd(machine, "kit", "make", "--file", str(path), lines=["a pass of its own"], option=option)["data"]
    assert isinstance(made, dict)
    assert (made["file"], made["vaults"]) == (str(path), ["novel"])
    assert path.stat().st_mode & 0o777 == 0o600
    check = ("kit", "check", "--file", str(path))
    assert fd(machine, *check, lines=["a pass of its own"], option=option)["ok"]
    wrong = fd(machine, *check, lines=["another"], option=option)["error"]
    assert isinstance(wrong, dict)
    assert wrong["name"] == "WrongPassphrase"
    new = new_machine(tmp_path / "new")
    owner = machine.quick("--json", passphrase=None).answer["data"]["owner"]
    words = ["restore", "--kit-file", str(path), "--owner", owner, "--rpc", chain.rpc_url]
    words += ["--wallet", str(machine.folder / "wallet.json"), "--no-kit"]
    found = fd(new, *words, lines=["a pass of its own"], option=option)["data"]
    assert isinstance(found, dict)
    assert (found["finished"], found["kit"]) == (True, None)


@contextmanager
def terminal(machine: Machine, *words: str) -> Iterator[Callable[..., str]]:
    """A command on a terminal of its own: what is called waits for the words of a question, then types the answer, and
    returns all that was shown until then. Without an answer it waits for the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [MEMSYNC, *words], env=machine.environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""

    def said() -> str:
        return shown.decode().replace("\r\n", "\n")

    def until(question: str, answer: str | None = None) -> str:
        nonlocal shown
        deadline = time.monotonic() + SECONDS
        while question not in said():
            assert time.monotonic() < deadline, said()
            if select.select([ours], [], [], 0.5)[0]:
                try:
                    shown += os.read(ours, 65_536)
                except OSError:  # the end of a terminal, on Linux
                    assert question in said(), said()
        while answer == PASSPHRASE and termios.tcgetattr(ours)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "a passphrase is asked for and would be seen"
            time.sleep(0.01)
        before, shown = said(), b""
        if answer is not None:
            os.write(ours, answer.encode() + b"\n")
        return before

    try:
        yield until
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def lists_in(shown: str) -> list[str]:
    """The lists of words on a screen, as a person copies them."""
    parts = re.split(r"List \d of 3\n", shown)[1:]
    return [" ".join(re.findall(r"\d+ ([a-z]+)", part)) for part in parts]


def test_terminal__kit_is_offered_shown_and_checked_by_hand(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    with terminal(machine, "init", "--rpc", chain.rpc_url, "--wallet", wallet) as until:
        until("device key", PASSPHRASE)
        until("confirm", PASSPHRASE)
        assert "the memory is gone" in until("any 2 restore)? [Y/n]", "")
        lists = lists_in(until("written them down? [y/N]", "y"))
        until("Next: memsync vault new NAME")
    assert [len(words.split()) for words in lists] == [33, 33, 33]
    machine.quick("vault", "new", "novel")
    with terminal(machine, "kit", "check") as until:
        until("List 1 of 2", lists[2].replace(" ", "  ", 1).replace(lists[2].split()[6], "notaword"))
        assert "Word 7 is not in the list" in until("List 1 of 2", lists[2])
        until("List 2 of 2", " ".join(word[:4] for word in lists[0].split()))
        until("Good: this kit opens 1 vault (novel).")


def test_terminal__declined__says_that_the_memory_is_gone_then(chain: Chain, machine: Machine, tmp_path: Path) -> None:
    wallet = str(keystore(tmp_path / "wallet.json"))
    with terminal(machine, "init", "--rpc", chain.rpc_url, "--wallet", wallet) as until:
        until("device key", PASSPHRASE)
        until("confirm", PASSPHRASE)
        until("any 2 restore)? [Y/n]", "n")
        assert "No recovery kit: if this computer is lost, the memory is gone." in until("Next: memsync vault new")
    assert Home(machine.folder).kit() is None


def test_restore__usage(machine: Machine) -> None:
    for words in (("restore",), ("restore", "--kit", "x.key"), ("restore", "x.key"), ("restore", "--kit")):
        assert machine.quick(*words).code == 2, words


def test_sheet_for__is_the_same_object_for_kits_and_devices(chain: Chain, tmp_path: Path) -> None:
    lost = Lost(tmp_path, chain)
    sheet = sheet_for(lost.client, lost.kit.xwing.public.id)
    assert replace(kit_sheet(lost.client), made=sheet.made) == sheet
