"""Key files: a holder's secret under a passphrase."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from memsync_client import keyfile
from memsync_client.errors import (
    HomeDamaged,
    InvalidRequest,
    NotInitialised,
    StorageUnavailable,
    Tampered,
    WrongPassphrase,
)
from memsync_client.keys import HolderKey
from memsync_client.sealing import sha256, unseal_raw
from tests.client.material import flipped, holder

PASSPHRASE = "correct horse \u2713"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HolderKey]:
    path = tmp_path_factory.mktemp("home") / "device.key"
    return path, keyfile.create(path, PASSPHRASE)


def changed(kept: tuple[Path, HolderKey], folder: Path, **fields: Any) -> Path:
    """A copy of the key file with other fields; None leaves one out."""
    value = json.loads(kept[0].read_bytes()) | fields
    path = folder / "device.key"
    path.write_text(json.dumps({name: item for name, item in value.items() if item is not None}))
    return path


def test_create__then_unlock__gives_the_key(kept: tuple[Path, HolderKey]) -> None:
    path, made = kept
    assert keyfile.unlock(path, PASSPHRASE).export() == made.export()
    assert keyfile.public_key(path) == made.xwing.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["device.key"]


def test_create__twice__gives_other_keys_and_salts(kept: tuple[Path, HolderKey], tmp_path: Path) -> None:
    made = keyfile.create(tmp_path / "device.key", PASSPHRASE)
    assert made.export() != kept[1].export()
    assert json.loads((tmp_path / "device.key").read_bytes())["salt"] != json.loads(kept[0].read_bytes())["salt"]


def test_create__there_is_a_file__refused_and_unchanged(kept: tuple[Path, HolderKey]) -> None:
    before = kept[0].read_bytes()
    with pytest.raises(InvalidRequest, match="already"):
        keyfile.create(kept[0], PASSPHRASE)
    assert kept[0].read_bytes() == before


def test_file__shows_neither_secret_nor_passphrase(kept: tuple[Path, HolderKey]) -> None:
    path, made = kept
    text = path.read_text()
    for value in (made.export(), made.state_key, made.account_secret, PASSPHRASE.encode()):
        assert value.hex() not in text
    assert PASSPHRASE not in text


def test_file__is_under_argon2id_with_64_mib_3_passes_4_lanes(kept: tuple[Path, HolderKey]) -> None:
    """By hand, so that weaker parameters would not open it (RFC 9106 §4, second recommendation)."""
    value = json.loads(kept[0].read_bytes())
    salt, sealed, public = (bytes.fromhex(value[name]) for name in ("salt", "sealed", "public"))
    context = b"memsync/v1/key-file\0" + salt + sha256(public)

    def stretched(memory: int, passes: int) -> bytes:
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=4, memory_cost=memory)
        return kdf.derive(PASSPHRASE.encode())

    assert unseal_raw(stretched(65_536, 3), context, sealed, "key") == kept[1].export()
    for memory, passes in ((65_536, 1), (32_768, 3)):
        with pytest.raises(Tampered):
            unseal_raw(stretched(memory, passes), context, sealed, "key")


@pytest.mark.parametrize("passphrase", ["", "Correct horse \u2713", PASSPHRASE + " "])
def test_unlock__wrong_passphrase__says_so_and_shows_none(kept: tuple[Path, HolderKey], passphrase: str) -> None:
    with pytest.raises(WrongPassphrase) as refused:
        keyfile.unlock(kept[0], passphrase)
    assert "horse" not in str(refused.value) + refused.value.next_step
    assert refused.value.__cause__ is None


def test_unlock__public_key_of_another__refused(kept: tuple[Path, HolderKey], tmp_path: Path) -> None:
    path = changed(kept, tmp_path, public=holder("attacker").xwing.public.raw.hex())
    with pytest.raises(WrongPassphrase, match=r"device\.key"):
        keyfile.unlock(path, PASSPHRASE)


@pytest.mark.parametrize("field", ["salt", "sealed"])
def test_unlock__salt_or_seal_changed__refused(kept: tuple[Path, HolderKey], tmp_path: Path, field: str) -> None:
    data = bytes.fromhex(json.loads(kept[0].read_bytes())[field])
    for position in (0, len(data) - 1):
        path = changed(kept, tmp_path, **{field: flipped(data, position).hex()})
        with pytest.raises(WrongPassphrase):
            keyfile.unlock(path, PASSPHRASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "memsync-key-2"},
        {"format": None},
        {"kdf": "scrypt"},
        {"kdf": None},
        {"salt": None},
        {"salt": ""},
        {"salt": "00" * 15},
        {"salt": "zz" * 16},
        {"salt": 5},
        {"sealed": None},
        {"sealed": ["00"]},
        {"public": None},
        {"public": "00" * 1_215},
        {"public": "ff" * 1_216},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_read__damaged_field__home_damaged(kept: tuple[Path, HolderKey], tmp_path: Path, fields: dict) -> None:
    path = changed(kept, tmp_path, **fields)
    with pytest.raises(HomeDamaged):
        keyfile.unlock(path, PASSPHRASE)
    with pytest.raises(HomeDamaged):
        keyfile.public_key(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"5", b'"memsync-key-1"', b"\xff\xfe", b"[" * 8_000, b'{"format": "memsync-key-1"}'],
    ids=lambda content: content[:16],
)
def test_read__not_a_key_file__home_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    with pytest.raises(HomeDamaged):
        keyfile.unlock(path, PASSPHRASE)
    with pytest.raises(HomeDamaged):
        keyfile.public_key(path)


def test_read__every_truncation__home_damaged(kept: tuple[Path, HolderKey], tmp_path: Path) -> None:
    whole = kept[0].read_bytes().rstrip()
    path = tmp_path / "device.key"
    for size in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(HomeDamaged):
            keyfile.public_key(path)


def test_read__no_file__not_initialised(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised):
        keyfile.unlock(tmp_path / "device.key", PASSPHRASE)
    with pytest.raises(NotInitialised):
        keyfile.public_key(tmp_path / "device.key")


def test_read__a_folder_in_its_place__storage_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        keyfile.public_key(tmp_path)


def test_create__folder_gone__storage_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        keyfile.create(tmp_path / "gone" / "device.key", PASSPHRASE)
