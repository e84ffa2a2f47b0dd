"""A home: its files give back what was written or say that they are damaged, and one process at a time writes."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from memsync_client.errors import (
    HomeBusy,
    HomeDamaged,
    HomeForeign,
    HomeNewer,
    NotInitialised,
    StorageUnavailable,
    UnknownVault,
)
from memsync_client.glance import CLOSED, note_owner, over, whose
from memsync_client.home import (
    DEFAULT_MAX_FEE,
    Config,
    Home,
    Joined,
    NewDevice,
    SealedFile,
    read_joined,
    read_seen,
    write_joined,
    write_seen,
)
from memsync_client.keyring import EpochKeys
from memsync_client.keys import Anchor
from memsync_client.memory_log import Frontier
from memsync_client.reading import Seen
from tests.client.material import OTHER_PLACES, PLACE, flipped, holder, secret

ADDRESS = "0x" + "a1" * 20
CONFIG = Config(31_337, "http://127.0.0.1:8545", ADDRESS, "0x" + "b2" * 20)
JOINED = Joined(31_337, "http://127.0.0.1:8545", ADDRESS, "c3" * 32, None, public=True)
NO_JSON = [b"", b"{", b"\xff\xfe", b"null", b"[]", b"7", b'"text"', b"[" * 100_000, b"\x00", b"{}"]
NOVEL, DIARY = secret("novel"), secret("diary")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


# Where it is ----------------------------------------------------------------------------------------------------------


def test_default__the_environments_word_else_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSYNC_HOME", "/srv/memsync")
    assert Home.default() == Path("/srv/memsync")
    monkeypatch.setenv("MEMSYNC_HOME", "")
    assert Home.default().name == "memsync"
    monkeypatch.delenv("MEMSYNC_HOME")
    assert Home.default().is_absolute()
    assert Home.default().name == "memsync"


def test_home__makes_nothing_before_something_is_written(home: Home) -> None:
    assert not home.initialised
    assert (home.labels(), home.readers()) == ({}, [])
    assert home.vault_folder(NOVEL) == home.folder / "vaults" / NOVEL.hex()
    with pytest.raises(NotInitialised) as caught:
        home.config()
    assert str(home.folder) in caught.value.cause
    assert "memsync init" in caught.value.next_step
    assert not home.folder.exists()


def test_home__of_a_device_that_has_not_joined__says_how_it_goes_on(home: Home) -> None:
    home.folder.mkdir()
    home.write_new_device(NewDevice("laptop", 1, "http://127.0.0.1:1", "0x"))
    with pytest.raises(NotInitialised, match="'laptop' has no vault yet") as caught:
        home.config()
    assert "memsync device join" in caught.value.next_step


def test_readers__folders_by_name_in_order(home: Home) -> None:
    for name in ("notes", "claude"):
        home.reader_folder(name).mkdir(parents=True)
    (home.folder / "readers" / "file").write_bytes(b"")
    assert home.readers() == ["claude", "notes"]


# Its configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, confirmations=12, blobs="/srv/blobs ✓")])
def test_config__is_given_back_and_ends_init(home: Home, config: Config) -> None:
    home.write_config(config)
    assert home.initialised
    assert Home(home.folder).config() == config
    assert home.folder.stat().st_mode & 0o777 == 0o700
    assert (home.folder / "config.json").stat().st_mode & 0o777 == 0o600
    home.write_config(replace(config, rpc="http://127.0.0.1:9000"))
    assert home.config().rpc == "http://127.0.0.1:9000"


def test_abandon__takes_back_config_and_labels_and_nothing_else(home: Home) -> None:
    home.write_config(CONFIG)
    home.label("novel", NOVEL)
    home.device_key.write_bytes(b"sealed")
    for _ in range(2):
        home.abandon()
        assert not home.initialised
        assert home.labels() == {}
        assert home.device_key.read_bytes() == b"sealed"


def changed(value: Config | Joined, **changes: object) -> bytes:
    return json.dumps(asdict(value) | changes).encode()


def without(value: Config | Joined, name: str) -> bytes:
    return json.dumps({key: item for key, item in asdict(value).items() if key != name}).encode()


@pytest.mark.parametrize(
    "data",
    [
        *NO_JSON,
        changed(CONFIG, format=0),
        changed(CONFIG, format=None),
        changed(CONFIG, format="1"),
        changed(CONFIG, more=1),
        without(CONFIG, "format"),
        without(CONFIG, "rpc"),
    ],
    ids=lambda data: str(data)[:60],
)
def test_config__damaged__home_damaged(home: Home, data: bytes) -> None:
    home.write_config(CONFIG)
    (home.folder / "config.json").write_bytes(data)
    with pytest.raises(HomeDamaged, match=r"config\.json") as caught:
        home.config()
    assert caught.value.next_step
    assert home.initialised


@pytest.mark.parametrize(
    "change",
    [
        *({"chain_id": "31337"}, {"chain_id": 1.5}, {"chain_id": True}, {"chain_id": None}, {"rpc": 8545}),
        *({"rpc": None}, {"registry": None}, {"owner": 5}, {"confirmations": "0"}, {"blobs": 1}, {"format": True}),
        *({"max_fee": "5"}, {"max_fee": 1.5}),
    ],
    ids=str,
)
def test_config__field_of_another_type__home_damaged(home: Home, change: dict[str, object]) -> None:
    home.write_config(CONFIG)
    (home.folder / "config.json").write_bytes(changed(CONFIG, **change))
    with pytest.raises(HomeDamaged, match=r"config\.json"):
        home.config()


def test_config__of_a_newer_version__is_refused_by_name_whatever_else_it_has(home: Home) -> None:
    home.write_config(CONFIG)
    (home.folder / "config.json").write_bytes(b'{"format": 2, "chains": []}')
    with pytest.raises(HomeNewer, match=r"config\.json is of format 2") as caught:
        home.config()
    assert "Update MemSync" in caught.value.next_step


def test_config__of_an_earlier_version_without_a_field__has_its_default(home: Home) -> None:
    home.write_config(replace(CONFIG, max_fee=5))
    (home.folder / "config.json").write_bytes(without(CONFIG, "max_fee"))
    assert home.config() == replace(CONFIG, max_fee=DEFAULT_MAX_FEE)


def test_config__is_a_folder__storage_unavailable(home: Home) -> None:
    (home.folder / "config.json").mkdir(parents=True)
    with pytest.raises(StorageUnavailable):
        home.config()


def test_check__of_a_newer_version__is_refused_and_a_damaged_one_is_left_to_who_needs_it(home: Home) -> None:
    home.write_config(CONFIG)
    home.check()
    (home.folder / "config.json").write_bytes(b"{")
    home.check()
    (home.folder / "config.json").write_bytes(b'{"format": 2}')
    with pytest.raises(HomeNewer):
        home.check()


def test_check__folder_of_another_user__is_refused_with_both_names(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.check()
    home.folder.mkdir()
    home.check()
    if os.geteuid() == 0:
        os.chown(home.folder, 54_321, -1)
        owner, mine = "54321", "root"
    else:
        owner, mine = pwd.getpwuid(os.geteuid()).pw_name, "54321"
        monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(HomeForeign, match=f"belongs to user {owner}, and this process runs as {mine}") as caught:
        home.check()
    assert "--home" in caught.value.next_step


# A reader's invitation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joined", [JOINED, replace(JOINED, blobs="/srv/blobs", public=False)])
def test_joined__is_given_back(tmp_path: Path, joined: Joined) -> None:
    write_joined(tmp_path, joined)
    assert read_joined(tmp_path) == joined


def test_joined__before_it_joins__not_initialised_naming_the_reader(home: Home) -> None:
    with pytest.raises(NotInitialised, match="'claude'"):
        read_joined(home.reader_folder("claude"))


@pytest.mark.parametrize(
    "data",
    [*NO_JSON, changed(JOINED, format=0), changed(JOINED, more=1), without(JOINED, "public"), changed(CONFIG)],
    ids=lambda data: str(data)[:60],
)
def test_joined__damaged__home_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "joined.json").write_bytes(data)
    with pytest.raises(HomeDamaged, match=r"joined\.json"):
        read_joined(tmp_path)


@pytest.mark.parametrize("change", [{"vault": 5}, {"public": "yes"}, {"chain_id": "31337"}, {"rpc": None}], ids=str)
def test_joined__field_of_another_type__home_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "joined.json").write_bytes(changed(JOINED, **change))
    with pytest.raises(HomeDamaged, match=r"joined\.json"):
        read_joined(tmp_path)


# Labels of vaults -----------------------------------------------------------------------------------------------------


def test_labels__are_given_back_and_a_label_may_move(home: Home) -> None:
    home.folder.mkdir()
    home.label("novel", NOVEL)
    home.label("Grüße ✓", DIARY)
    assert Home(home.folder).labels() == {"novel": NOVEL, "Grüße ✓": DIARY}
    home.label("novel", DIARY)
    assert home.labels() == {"novel": DIARY, "Grüße ✓": DIARY}


@pytest.mark.parametrize(
    "data",
    [data for data in NO_JSON if data != b"{}"]
    + [b'{"novel": 5}', b'{"novel": null}', b'{"novel": "xy"}', b'{"novel": "abc"}', b'{"novel": {}}', b'["novel"]'],
    ids=lambda data: str(data)[:60],
)
def test_labels__damaged__home_damaged_and_not_overwritten(home: Home, data: bytes) -> None:
    home.folder.mkdir()
    file = home.folder / "vaults.json"
    file.write_bytes(data)
    for call in (home.labels, lambda: home.resolve(None), lambda: home.label("diary", DIARY)):
        with pytest.raises(HomeDamaged, match=r"vaults\.json"):
            call()
    assert file.read_bytes() == data


@pytest.mark.parametrize("vault_id", ["", "c3" * 31, "c3" * 33])
def test_labels__id_of_another_length__home_damaged(home: Home, vault_id: str) -> None:
    home.folder.mkdir()
    (home.folder / "vaults.json").write_text(json.dumps({"novel": vault_id}))
    with pytest.raises(HomeDamaged, match=r"vaults\.json"):
        home.labels()


def test_labels__is_a_folder__an_error_of_ours(home: Home) -> None:
    (home.folder / "vaults.json").mkdir(parents=True)
    with pytest.raises((StorageUnavailable, HomeDamaged), match=r"vaults\.json"):
        home.labels()


def test_resolve__by_name_or_the_only_one(home: Home) -> None:
    home.folder.mkdir()
    home.label("novel", NOVEL)
    assert home.resolve(None) == home.resolve("novel") == ("novel", NOVEL)
    home.label("diary", DIARY)
    assert home.resolve("diary") == ("diary", DIARY)
    with pytest.raises(UnknownVault, match="There are 2 vaults: diary, novel") as caught:
        home.resolve(None)
    assert "--vault" in caught.value.next_step
    for name in ("Novel", "", "nov"):
        with pytest.raises(UnknownVault, match=r"Known here: diary, novel\."):
            home.resolve(name)


def test_resolve__closed_and_handed_on__count_where_all_are(home: Home) -> None:
    home.folder.mkdir()
    home.label("novel", NOVEL)
    home.label("diary", DIARY)
    note_owner(home.vault_folder(NOVEL), CLOSED, ours=False)
    assert (home.resolve(None), home.resolve("novel")) == (("diary", DIARY), ("novel", NOVEL))
    note_owner(home.vault_folder(DIARY), "0x" + "ab" * 20, ours=False)
    with pytest.raises(UnknownVault, match="There are 2 vaults, all of them closed or another's: diary, novel"):
        home.resolve(None)
    home.label("diary", None)
    assert home.resolve(None) == ("novel", NOVEL)
    assert over(whose(home.vault_folder(NOVEL))) == "closed for good"
    note_owner(home.vault_folder(NOVEL), "0x" + "cd" * 20, ours=True)  # a reorganisation took it back
    assert home.resolve(None) == ("novel", NOVEL)
    assert whose(home.vault_folder(NOVEL)) is None


def test_resolve__where_there_is_none__says_how_to_make_one(home: Home) -> None:
    for name in (None, "novel"):
        with pytest.raises(UnknownVault) as caught:
            home.resolve(name)
        assert "memsync vault new" in caught.value.next_step


# Sealed state ---------------------------------------------------------------------------------------------------------

SHAPE = {"count": int, "hash": bytes, "names": list}
VALUE = {"count": 3, "hash": NOVEL, "names": ["Ines"]}


def sealed(folder: Path, name: str = "laptop") -> SealedFile:
    return SealedFile(folder / "state" / "seen", holder(name), PLACE)


def test_sealed_file__is_given_back_replaced_and_removed(tmp_path: Path) -> None:
    file = sealed(tmp_path)
    file.remove()
    assert file.read(SHAPE) is None
    file.write(VALUE)
    assert sealed(tmp_path).read(SHAPE) == VALUE
    file.write(VALUE | {"count": 4})
    assert file.read(SHAPE) == VALUE | {"count": 4}
    path = tmp_path / "state" / "seen"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not [text for text in (b"Ines", b"count", NOVEL) if text in path.read_bytes()]
    file.remove()
    assert (file.read(SHAPE), path.exists()) == (None, False)


def test_sealed_file__by_another_key_of_another_vault_or_under_another_name__damaged(tmp_path: Path) -> None:
    sealed(tmp_path).write(VALUE)
    path = tmp_path / "state" / "seen"
    others = [SealedFile(path, holder("phone"), PLACE)]
    others += [SealedFile(path, holder("laptop"), place) for place in OTHER_PLACES.values()]
    (tmp_path / "state" / "journal").write_bytes(path.read_bytes())
    others.append(SealedFile(tmp_path / "state" / "journal", holder("laptop"), PLACE))
    for file in others:
        with pytest.raises(HomeDamaged):
            file.read(SHAPE)
    assert sealed(tmp_path).read(SHAPE) == VALUE


def test_sealed_file__damaged__named_with_what_to_do_and_left_as_it_is(tmp_path: Path) -> None:
    sealed(tmp_path).write(VALUE)
    path = tmp_path / "state" / "seen"
    whole = path.read_bytes()
    damages = [b"", whole[:60], whole[:-1], whole + b"\0", *(flipped(whole, at) for at in (0, 60, len(whole) - 1))]
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(HomeDamaged) as caught:
            sealed(tmp_path).read(SHAPE)
        assert str(path) in caught.value.cause
        assert "Remove it" in caught.value.next_step
        assert path.read_bytes() == damage


@pytest.mark.parametrize("shape", [{"count": int}, SHAPE | {"more": int}, SHAPE | {"count": bytes}], ids=str)
def test_sealed_file__of_another_shape__damaged(tmp_path: Path, shape: dict[str, type]) -> None:
    sealed(tmp_path).write(VALUE)
    with pytest.raises(HomeDamaged):
        sealed(tmp_path).read(shape)


def test_sealed_file__where_a_folder_or_file_is_in_the_way__storage_unavailable(tmp_path: Path) -> None:
    (tmp_path / "state" / "seen").mkdir(parents=True)
    with pytest.raises(StorageUnavailable):
        sealed(tmp_path).read(SHAPE)
    with pytest.raises(StorageUnavailable):
        sealed(tmp_path).write(VALUE)


def test_sealed_file__taken_over__opens_with_the_new_key_alone(tmp_path: Path) -> None:
    new = sealed(tmp_path, "new")
    new.take_over(holder("laptop"))
    assert new.read(SHAPE) is None
    sealed(tmp_path).write(VALUE)
    for _ in range(2):
        new.take_over(holder("laptop"))
        assert new.read(SHAPE) == VALUE
    for stranger in (sealed(tmp_path), sealed(tmp_path, "stranger")):
        with pytest.raises(HomeDamaged):
            stranger.read(SHAPE)
    with pytest.raises(HomeDamaged):
        sealed(tmp_path, "stranger").take_over(holder("laptop"))
    assert new.read(SHAPE) == VALUE


def test_vault_ids__are_the_folders_of_vaults_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.vault_ids() == []
    for name in ("b1" * 32, "a2" * 32, "notes", "a2" * 31):
        (tmp_path / "vaults" / name).mkdir(parents=True)
    assert home.vault_ids() == [bytes.fromhex("a2" * 32), bytes.fromhex("b1" * 32)]


def test_seen__is_given_back(tmp_path: Path) -> None:
    file = sealed(tmp_path)
    assert read_seen(file) is None
    keys, log = EpochKeys(3, secret("epoch"), secret("writer")), Frontier(1, (secret("peak"),))
    before = Anchor(1, secret("writer 1"), secret("check 1")), Anchor(2, secret("writer 2"), secret("check 2"))
    seen = Seen(9, 8, secret("head"), 70, keys, log, before)
    write_seen(file, seen)
    assert read_seen(sealed(tmp_path)) == seen


# One writer -----------------------------------------------------------------------------------------------------------

HOLDING = """
import sys
from pathlib import Path
from memsync_client.home import Home
with Home(Path(sys.argv[1])).lock(wait=0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock__excludes_another_process_until_it_ends_or_dies(home: Home) -> None:
    for dies in (False, True, True):
        command = [sys.executable, "-c", HOLDING, str(home.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout
                assert child.stdout.readline() == b"held\n"
                with pytest.raises(HomeBusy) as caught, home.lock(wait=0):
                    pass
                assert caught.value.next_step
                if not dies:
                    child.communicate(timeout=60)
            finally:
                child.kill()
        with home.lock():
            assert subprocess.run(command, capture_output=True, timeout=60).returncode == 1
    assert os.listdir(home.folder) == ["lock"]
    assert (home.folder / "lock").stat().st_mode & 0o777 == 0o600


def test_lock__after_an_error_inside__is_free_again(home: Home) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), home.lock():
            raise ZeroDivisionError
    with home.lock(), pytest.raises(HomeBusy), home.lock():
        pass


def test_lock__where_it_can_not_stand__storage_unavailable(home: Home) -> None:
    (home.folder / "lock").mkdir(parents=True)
    with pytest.raises(StorageUnavailable), home.lock():
        pass
