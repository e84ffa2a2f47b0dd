"""The passphrase of a home: in a keyring that is fit for it and nowhere else, and changed in one step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import eth_account
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked

from memsync_client import keyfile, passphrases, wallet
from memsync_client.errors import HomeBusy, InvalidRequest, NotInitialised, PassphraseNotKept, WrongPassphrase
from memsync_client.home import Home
from tests.e2e.machines import PASSPHRASE, keystore
from tests.keyrings import InMemory, using

NEW = "another pass, across the causeway"


class Locked(InMemory):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("nobody typed the pass over Thistlemoor")


class Losing(InMemory):
    def set_password(self, service: str, username: str, password: str) -> None:
        """Loses it."""


class PlainFile(InMemory):
    """As the backends of keyrings.alt that keep plain text rate themselves."""

    priority = 0.5  # type: ignore[assignment]


@pytest.fixture(scope="module", autouse=True)
def hardly_stretched() -> Iterator[None]:
    """Stretching takes most of a test, and is tested with the key files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyfile, "_MEMORY_KIB", 64)
        patch.setattr(eth_account.Account, "encrypt", partial(eth_account.Account.encrypt, iterations=2))
        yield


@pytest.fixture
def backend() -> Iterator[InMemory]:
    kept = InMemory()
    with using(kept):
        yield kept


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with every secret that one can have."""
    home = Home(tmp_path_factory.mktemp("home"))
    for path in (home.device_key, home.next_key, home.kit_key):
        keyfile.create(path, PASSPHRASE)
    (home.folder / "readers" / "claude").mkdir(parents=True)
    keyfile.create(home.folder / "readers" / "claude" / "reader.key", PASSPHRASE)
    keystore(home.wallet)
    return home.folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    shutil.copytree(made, tmp_path / "home")
    return Home(tmp_path / "home")


def secrets(home: Home, passphrase: str) -> dict[str, bytes]:
    """All secrets that the passphrase opens, by their files."""
    keys = {
        str(path.relative_to(home.folder)): path for path in (*home.folder.glob("*.key*"), *home.folder.glob("r*/*/*"))
    }
    found = {name: keyfile.unlock(path, passphrase).export() for name, path in keys.items()}
    return found | {"wallet.json": bytes(wallet.unlock(home.wallet, passphrase)._account.key)}


# In a keyring ---------------------------------------------------------------------------------------------------------


def test_keep__then_kept__is_the_passphrase_and_the_home_has_none(home: Home, backend: InMemory) -> None:
    assert passphrases.kept(home) is None
    assert passphrases.keep(home, PASSPHRASE).endswith("keyrings.InMemory")
    assert backend.kept == {("memsync", str(home.folder.resolve())): PASSPHRASE}
    assert passphrases.kept(home) == PASSPHRASE
    assert not [p for p in home.folder.rglob("*") if p.is_file() and PASSPHRASE.encode() in p.read_bytes()]
    assert passphrases.forget(home)
    assert backend.kept == {}
    assert passphrases.kept(home) is None
    assert not passphrases.forget(home)


def test_keep__of_two_homes__each_has_its_own(home: Home, made: Path, backend: InMemory, tmp_path: Path) -> None:
    passphrases.keep(home, PASSPHRASE)
    shutil.copytree(made, tmp_path / "other")
    assert passphrases.kept(Home(tmp_path / "other")) is None


def test_keep__in_another_normal_form__is_kept_as_it_opens(tmp_path: Path, backend: InMemory) -> None:
    home = Home(tmp_path)
    keyfile.create(home.device_key, keyfile.ask("caf\u00e9"))
    passphrases.keep(home, "cafe\u0301")
    assert passphrases.kept(home) == "caf\u00e9"


def test_keep__passphrase_that_does_not_open_one_secret__is_refused(home: Home, backend: InMemory) -> None:
    with pytest.raises(WrongPassphrase):
        passphrases.keep(home, NEW)
    own = home.folder / "readers" / "claude" / "reader.key"
    own.unlink()
    keyfile.create(own, NEW)
    with pytest.raises(WrongPassphrase, match=r"claude/reader\.key"):
        passphrases.keep(home, PASSPHRASE)
    assert backend.kept == {}
    assert not passphrases.is_kept(home)


def test_keep__in_an_empty_home__is_refused(tmp_path: Path, backend: InMemory) -> None:
    with pytest.raises(NotInitialised):
        passphrases.keep(Home(tmp_path / "none"), PASSPHRASE)


@pytest.mark.parametrize("unfit", [null.Keyring, fail.Keyring, PlainFile])
def test_keep__keyring_that_keeps_nothing_or_plain_text__is_refused(home: Home, unfit: type[KeyringBackend]) -> None:
    with using(unfit()):
        with pytest.raises(PassphraseNotKept, match="keeps nothing, or plain text"):
            passphrases.keep(home, PASSPHRASE)
        with pytest.raises(PassphraseNotKept):
            passphrases.keyring_name()
    assert not passphrases.is_kept(home)


def test_keep__chain_of_keyrings__uses_the_first_that_is_fit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = InMemory()
    chain = chainer.ChainerBackend()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [fit, PlainFile()])
    with using(chain):
        passphrases.keep(home, PASSPHRASE)
        assert list(fit.kept.values()) == [PASSPHRASE]
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [PlainFile(), fail.Keyring])
    with using(chain), pytest.raises(PassphraseNotKept):
        passphrases.kept(home)


@pytest.mark.parametrize("refusing", [Locked, Losing])
def test_keep__keyring_that_is_locked_or_loses_it__says_so_without_its_message(
    home: Home, refusing: type[InMemory]
) -> None:
    with using(refusing()), pytest.raises(PassphraseNotKept) as refused:
        passphrases.keep(home, PASSPHRASE)
    assert "Thistlemoor" not in refused.value.cause + refused.value.next_step
    assert refused.value.__cause__ is None
    assert not passphrases.is_kept(home)


def test_kept__keyring_that_has_lost_it__says_so(home: Home, backend: InMemory) -> None:
    passphrases.keep(home, PASSPHRASE)
    backend.kept.clear()
    with pytest.raises(PassphraseNotKept, match="any more"):
        passphrases.kept(home)
    assert passphrases.forget(home)


LOADED = """
import sys
from memsync_client import keyfile
from memsync_client.cli import main

keyfile._MEMORY_KIB = 64  # as above
try:
    main()
finally:
    print("keyring" in sys.modules)
"""


def test_keyring__where_nothing_is_kept__is_not_loaded(home: Home) -> None:
    command = [sys.executable, "-c", LOADED, "--home", str(home.folder), "kit", "sheet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("False\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("keyring.backends.null.Keyring", "keeps nothing, or plain text"),
        ("keyring.backends.fail.Keyring", "keeps nothing, or plain text"),
        ("no.such.Keyring", "can't be loaded"),
    ],
)
def test_command__named_keyring_that_is_unfit__is_refused(home: Home, name: str, said: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "--home", home.folder, "--passphrase-fd", str(reading), "passphrase", "keep"],
        env=os.environ | {"PYTHON_KEYRING_BACKEND": name},
        capture_output=True,
        text=True,
        pass_fds=[reading],
        timeout=60,
        check=False,
    )
    os.close(reading)
    assert done.returncode == PassphraseNotKept.exit_code
    assert said in done.stderr
    assert not passphrases.is_kept(home)


# Another one ----------------------------------------------------------------------------------------------------------


def test_change__every_secret_is_the_same_under_the_new_one_alone(home: Home) -> None:
    before = secrets(home, PASSPHRASE)
    assert len(before) == 5
    copy = Path(shutil.copy(home.device_key, home.folder.with_name("copy")))
    files = passphrases.change(home, PASSPHRASE, NEW)
    assert {str(path.relative_to(home.folder)) for path in files} == before.keys()
    assert secrets(home, NEW) == before
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    for path in files:
        with pytest.raises(WrongPassphrase):
            (wallet.unlock if path == home.wallet else keyfile.unlock)(path, PASSPHRASE)
    assert keyfile.unlock(copy, PASSPHRASE).export() == keyfile.unlock(home.device_key, NEW).export()
    left = {path.name for path in home.folder.iterdir()}
    assert left == {"device.key", "device.key.next", "kit.key", "wallet.json", "readers", "lock"}


@pytest.mark.parametrize(
    ("old", "new", "error"), [(NEW, "x", WrongPassphrase), (PASSPHRASE, "", InvalidRequest)], ids=["wrong", "empty"]
)
def test_change__refused__changes_nothing(home: Home, old: str, new: str, error: type[Exception]) -> None:
    before = secrets(home, PASSPHRASE)
    with pytest.raises(error):
        passphrases.change(home, old, new)
    assert secrets(home, PASSPHRASE) == before


def test_change__while_another_process_writes__is_refused(home: Home) -> None:
    with Home(home.folder).lock(), pytest.raises(HomeBusy):
        passphrases.change(home, PASSPHRASE, NEW)


def test_change__of_one_that_is_kept__keeps_the_new_one(home: Home, backend: InMemory) -> None:
    passphrases.keep(home, PASSPHRASE)
    passphrases.change(home, PASSPHRASE, NEW)
    assert passphrases.kept(home) == NEW
    assert list(backend.kept.values()) == [NEW]


def test_command__after_a_change_that_was_killed__ends_it_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = secrets(home, PASSPHRASE)
    steps_of_a_change(home, monkeypatch, at=8)
    assert (home.folder / "passphrase.changed").exists()
    command = [sys.executable, "-c", LOADED, "--home", str(home.folder), "passphrase", "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "The passphrase is asked for." in done.stdout
    assert not (home.folder / "passphrase.changed").exists()
    assert secrets(home, NEW) == before


class Killed(BaseException):
    """Where a process dies: nothing that tidies up after errors sees it."""


def steps_of_a_change(home: Home, monkeypatch: pytest.MonkeyPatch, at: int) -> int:
    """Dies before the renaming number ``at``; how many there were."""
    renamings = 0

    def dying(original: Any) -> Any:
        def rename(*paths: Any) -> Any:
            nonlocal renamings
            if renamings == at:
                raise Killed
            renamings += 1
            return original(*paths)

        return rename

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(os, "rename", dying(os.rename))
        try:
            passphrases.change(home, PASSPHRASE, NEW)
        except Killed:
            return renamings
    return renamings


def test_change__killed_at_any_renaming__all_opens_with_one_of_the_two(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = secrets(Home(made), PASSPHRASE)
    outcomes = []
    for at in range(100):
        home = Home(tmp_path / str(at))
        shutil.copytree(made, home.folder)
        finished = steps_of_a_change(home, monkeypatch, at) < at
        passphrases.finish_change(home)  # what every command begins with
        try:
            assert secrets(home, PASSPHRASE) == before
            outcomes.append("old")
        except WrongPassphrase:
            assert secrets(home, NEW) == before
            outcomes.append("new")
        if outcomes[-1] == "old":
            passphrases.change(home, PASSPHRASE, NEW)  # what a killed one has left is not in its way
            assert secrets(home, NEW) == before
        if finished:
            break
    assert outcomes == ["old"] * 6 + ["new"] * (len(outcomes) - 6)
    assert len(outcomes) == 6 + 5 + 2


# In a file beside readers ---------------------------------------------------------------------------------------------


@pytest.fixture
def lent(tmp_path: Path) -> Home:
    """A home that has a reader and nothing else."""
    home = Home(tmp_path / "lent")
    (home.folder / "readers" / "claude").mkdir(parents=True)
    keyfile.create(home.folder / "readers" / "claude" / "reader.key", PASSPHRASE)
    return home


def test_keep_in_file__home_of_a_reader__only_its_user_reads_it_and_it_can_be_taken_out(lent: Home) -> None:
    path = passphrases.keep_in_file(lent, PASSPHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (passphrases.is_kept(lent), passphrases.kept(lent)) == (True, PASSPHRASE)
    assert passphrases.forget(lent)
    assert (path.exists(), passphrases.is_kept(lent), passphrases.kept(lent)) == (False, False, None)


def test_keep_in_file__home_with_a_devices_key_or_another_passphrase__is_refused(home: Home, lent: Home) -> None:
    with pytest.raises(InvalidRequest, match="are not left open"):
        passphrases.keep_in_file(home, PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        passphrases.keep_in_file(lent, NEW)
    assert not [path for folder in (home, lent) for path in folder.folder.rglob("passphrase*")]


def test_kept__file_that_others_may_read__is_refused(lent: Home) -> None:
    path = passphrases.keep_in_file(lent, PASSPHRASE)
    path.chmod(0o640)
    with pytest.raises(PassphraseNotKept, match="Others may read") as refused:
        passphrases.kept(lent)
    assert "chmod 600" in refused.value.next_step
    path.chmod(0o600)
    path.write_bytes(b"\xff")
    with pytest.raises(PassphraseNotKept, match="holds no passphrase"):
        passphrases.kept(lent)


def test_change__passphrase_in_a_file__the_file_has_the_new_one(lent: Home) -> None:
    passphrases.keep_in_file(lent, PASSPHRASE)
    passphrases.change(lent, PASSPHRASE, NEW)
    assert passphrases.kept(lent) == NEW
    assert keyfile.unlock(lent.folder / "readers" / "claude" / "reader.key", NEW)
