"""Hosts of blobs: what a folder may do to those who read it, and that nothing leaves with another hash."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from memsync_client.errors import BlobMissing, StorageUnavailable, Tampered
from memsync_client.sealing import MAX_BLOB, sha256
from memsync_client.storage import FileStorage, folder_of, open_storage
from memsync_client.storage.blobs import Blobs
from tests.client.material import flipped, secret

BLOB = b"one sealed object"
HASH = sha256(BLOB)
BLOBS = [BLOB, b"", bytes(40_000)]


@pytest.fixture
def host(tmp_path: Path) -> FileStorage:
    (tmp_path / "host").mkdir()
    return FileStorage(tmp_path / "host")


@pytest.fixture
def blobs(host: FileStorage, tmp_path: Path) -> Blobs:
    """With local copies in a folder that is made when it is needed."""
    return Blobs(host, tmp_path / "home" / "copies")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Whatever stands in a folder: a read that blocks fails after 10 seconds."""

    def expired(*_: object) -> None:
        raise TimeoutError("a read of a folder blocks")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def path_of(storage: FileStorage, blob_hash: bytes = HASH) -> Path:
    return storage.folder / blob_hash.hex()


# A folder -------------------------------------------------------------------------------------------------------------


def test_put__blobs_are_files_of_their_hash_that_others_may_read(host: FileStorage) -> None:
    assert host.put(BLOBS) == [sha256(blob) for blob in BLOBS]
    assert {path.name: path.read_bytes() for path in host.folder.iterdir()} == {sha256(b).hex(): b for b in BLOBS}
    assert {path.stat().st_mode & 0o777 for path in host.folder.iterdir()} == {0o644}
    assert [host.get(sha256(blob), MAX_BLOB) for blob in BLOBS] == BLOBS
    assert host.put([]) == []


def test_put__again__is_no_error_and_repairs_what_was_changed(host: FileStorage) -> None:
    host.put([BLOB])
    for damage in (BLOB, BLOB[:-1], b"", flipped(BLOB, 3)):
        path_of(host).write_bytes(damage)
        assert host.put([BLOB]) == [HASH]
        assert host.get(HASH, MAX_BLOB) == BLOB
    assert [path.name for path in host.folder.iterdir()] == [HASH.hex()]


def test_put__where_a_link_stands__replaces_it_and_leaves_what_it_points_to(host: FileStorage, tmp_path: Path) -> None:
    other = tmp_path / "private"
    other.write_bytes(b"private")
    path_of(host).symlink_to(other)
    host.put([BLOB])
    assert other.read_bytes() == b"private"
    assert not path_of(host).is_symlink()
    assert host.get(HASH, MAX_BLOB) == BLOB


def test_get__of_no_blob__missing_and_named(host: FileStorage) -> None:
    with pytest.raises(BlobMissing, match=HASH.hex()) as caught:
        host.get(HASH, MAX_BLOB)
    assert caught.value.next_step


def test_delete__the_blob_only_and_a_missing_one_is_no_error(host: FileStorage) -> None:
    host.put(BLOBS)
    for _ in range(2):
        assert host.delete([HASH]) == []
        with pytest.raises(BlobMissing):
            host.get(HASH, MAX_BLOB)
    assert [host.get(sha256(blob), MAX_BLOB) for blob in BLOBS[1:]] == BLOBS[1:]


def test_delete__on_the_disk_before_it_returns(host: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a crash could bring back what was forgotten."""
    host.put(BLOBS)
    synced: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.listdir(file)))
    host.delete(map(sha256, BLOBS))
    assert synced == [[]]


def test_folder_gone__unavailable_and_never_made_anew(tmp_path: Path) -> None:
    """A disk that is not mounted must not look like a host that has lost its blobs, or like an empty one."""
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "gone", tmp_path / "gone" / "deeper", tmp_path / "file"):
        storage = FileStorage(folder)
        with pytest.raises(StorageUnavailable):
            storage.put([BLOB])
        with pytest.raises(StorageUnavailable):
            storage.get(HASH, MAX_BLOB)
    assert not (tmp_path / "gone").exists()


def test_get__larger_than_the_limit__tampered_and_no_more_is_read(host: FileStorage) -> None:
    host.put([bytes(100)])
    assert host.get(sha256(bytes(100)), 100) == bytes(100)
    with pytest.raises(Tampered, match=sha256(bytes(100)).hex()):
        host.get(sha256(bytes(100)), 99)
    with open(path_of(host), "wb") as file:
        file.truncate(2**40)  # a sparse file: reading all of it would fill the memory
    with pytest.raises(Tampered, match="larger than 1,000,000 bytes"):
        host.get(HASH, MAX_BLOB)


# What may stand under a blob's name -----------------------------------------------------------------------------------


def test_get__of_a_link__is_not_followed(host: FileStorage, tmp_path: Path) -> None:
    """Not even to the right bytes: who may write to the folder says not what this device reads."""
    (tmp_path / "elsewhere").write_bytes(BLOB)
    targets = [tmp_path / "elsewhere", Path("/dev/zero"), tmp_path / "nowhere", path_of(host), tmp_path]
    for target in targets:
        path_of(host).symlink_to(target)
        with pytest.raises(StorageUnavailable, match=HASH.hex()):
            host.get(HASH, MAX_BLOB)
        path_of(host).unlink()


def test_get__of_a_folder__unavailable(host: FileStorage) -> None:
    path_of(host).mkdir()
    with pytest.raises(StorageUnavailable, match=HASH.hex()):
        host.get(HASH, MAX_BLOB)
    with pytest.raises(StorageUnavailable):
        host.put([BLOB])
    assert [path.name for path in host.folder.iterdir()] == [HASH.hex()]


def test_get__of_a_socket__unavailable(host: FileStorage) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(host.folder)  # the name of a socket may have 107 bytes
        try:
            listening.bind(HASH.hex())
        finally:
            os.chdir(here)
        with pytest.raises(StorageUnavailable):
            host.get(HASH, MAX_BLOB)


@pytest.mark.parametrize("written", [None, b"", b"some bytes"], ids=["nobody writes", "writer waits", "writer wrote"])
def test_fetch__of_a_pipe__does_not_block_and_gives_no_bytes(host: FileStorage, written: bytes | None) -> None:
    os.mkfifo(path_of(host))
    writer = None
    try:
        if written is not None:
            writer = os.open(path_of(host), os.O_RDWR | os.O_NONBLOCK)
            os.write(writer, written)
        with pytest.raises((Tampered, StorageUnavailable), match=HASH.hex()):
            Blobs(host).fetch(HASH, "pack")
    finally:
        if writer is not None:
            os.close(writer)


# Base URIs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("file:///srv/blobs/", "/srv/blobs"),
        ("file:///", "/"),
        ("FILE:///srv/", "/srv"),
        ("file:/srv/blobs/", "/srv/blobs"),
        ("file:///home/ines/my%20blobs/", "/home/ines/my blobs"),
        ("file:///home/ines/my blobs/", "/home/ines/my blobs"),
        ("file:///srv/%E2%9C%93%25%3F%23/", "/srv/✓%?#"),
        ("file:///srv/a%2520b/", "/srv/a%20b"),
    ],
)
def test_folder_of__base_uri_of_a_folder(uri: str, folder: str) -> None:
    assert folder_of(uri) == Path(folder)


def test_folder_of__reverses_as_uri(tmp_path: Path) -> None:
    for name in ("blobs", "with space", "per%cent", "que?stion#hash", "Grüße ✓", "%2F", "a;b=c&d+e"):
        assert folder_of((tmp_path / name).as_uri() + "/") == tmp_path / name


@pytest.mark.parametrize(
    "uri",
    [
        *("", "/srv/blobs/", "srv/", "file:", "file://", "file:srv/", "file:///srv/blobs", "file://server/share/"),
        *("file://localhost/srv/", "file://%2Fsrv/", "https://example.org/blobs/", "ipfs://cid/", "files:///srv/"),
        *("file://[/", "file://[::1/srv/"),
    ],
)
def test_folder_of__anything_else__unavailable_and_named(uri: str) -> None:
    """Base URIs come from the chain: nothing but our own error may come of one."""
    with pytest.raises(StorageUnavailable) as caught:
        folder_of(uri)
    assert repr(uri) in caught.value.cause


@pytest.mark.parametrize("uri", ["file:///srv/?x/", "file:///srv/#x/", "file:///srv/%00/", "file:///srv/%FF/"])
def test_folder_of__uri_that_names_no_folder_exactly__unavailable(uri: str) -> None:
    """A query or fragment would be left out in silence, and a NUL or bytes that are no UTF-8 name another folder."""
    with pytest.raises(StorageUnavailable):
        folder_of(uri)


def test_open_storage__by_scheme_and_no_other(host: FileStorage) -> None:
    host.put([BLOB])
    assert open_storage(host.folder.as_uri() + "/").get(HASH, MAX_BLOB) == BLOB
    for uri in ("http://example.org/", "ftp://example.org/", "ipfs://cid/", "/srv/blobs/", "", "gopher"):
        with pytest.raises(StorageUnavailable) as caught:
            open_storage(uri)
        assert caught.value.next_step
    with pytest.raises(StorageUnavailable):
        open_storage("file:///srv/blobs")
    assert "--blobs" in caught.value.next_step


# Blobs of a vault -----------------------------------------------------------------------------------------------------


def test_store__on_the_host_and_in_the_copies(blobs: Blobs, host: FileStorage, tmp_path: Path) -> None:
    blobs.store(BLOBS)
    for folder in (host.folder, tmp_path / "home" / "copies"):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {sha256(b).hex(): b for b in BLOBS}
    assert (tmp_path / "home" / "copies").stat().st_mode & 0o777 == 0o700


def test_store__host_that_gives_other_bytes_back__tampered(tmp_path: Path) -> None:
    """Every blob is read back before anything on chain names it."""

    class Mangling(FileStorage):
        """A host like those that change line ends."""

        def get(self, blob_hash: bytes, limit: int) -> bytes:
            return super().get(blob_hash, limit).replace(b"\n", b"\r\n")

    blobs = Blobs(Mangling(tmp_path))
    blobs.store([b"one line"])
    with pytest.raises(Tampered, match=sha256(b"two\nlines").hex()):
        blobs.store([b"one line", b"two\nlines"])


def test_fetch__from_the_host_once_then_from_the_copy(blobs: Blobs, host: FileStorage) -> None:
    host.put(BLOBS)
    for blob in BLOBS:
        assert blobs.fetch(sha256(blob), "pack") == blob
        host.delete([sha256(blob)])
        assert blobs.fetch(sha256(blob), "pack") == blob
        with pytest.raises(BlobMissing):
            blobs.fetch_from_host(sha256(blob), "pack")


@pytest.mark.parametrize("damage", [b"", BLOB[:-1], flipped(BLOB, 0), bytes(MAX_BLOB + 1)], ids=len)
def test_fetch__damaged_copy__taken_from_the_host_and_repaired(blobs: Blobs, tmp_path: Path, damage: bytes) -> None:
    blobs.store([BLOB])
    copy = tmp_path / "home" / "copies" / HASH.hex()
    copy.write_bytes(damage)
    assert blobs.fetch(HASH, "pack") == BLOB
    assert copy.read_bytes() == BLOB


def test_fetch__copy_is_a_link_or_folder__taken_from_the_host(blobs: Blobs, tmp_path: Path) -> None:
    blobs.store([BLOB])
    copy = tmp_path / "home" / "copies" / HASH.hex()
    (tmp_path / "elsewhere").write_bytes(b"other bytes")
    copy.unlink()
    copy.symlink_to(tmp_path / "elsewhere")
    assert blobs.fetch(HASH, "pack") == BLOB
    assert (tmp_path / "elsewhere").read_bytes() == b"other bytes"
    copy.unlink()
    copy.mkdir()
    assert blobs.fetch(HASH, "pack") == BLOB


@pytest.mark.parametrize("damage", [b"", BLOB[:-1], BLOB + b"\0", flipped(BLOB, 0), bytes(MAX_BLOB + 1)], ids=len)
def test_fetch__changed_on_the_host__tampered_and_named_and_never_kept(
    blobs: Blobs, host: FileStorage, tmp_path: Path, damage: bytes
) -> None:
    path_of(host).write_bytes(damage)
    for copies in (blobs, Blobs(host)):
        for fetch in (copies.fetch, copies.fetch_from_host):
            with pytest.raises(Tampered, match=HASH.hex()):
                fetch(HASH, "pack")
    assert not (tmp_path / "home").exists()


def test_fetch__neither_copy_nor_host_has_it__missing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(BlobMissing, match=HASH.hex()):
        blobs.fetch(HASH, "pack")
    with pytest.raises(StorageUnavailable):
        Blobs(FileStorage(tmp_path / "gone"), tmp_path / "copies").fetch(HASH, "pack")


def test_fetch__no_place_for_a_copy__reads_all_the_same(host: FileStorage, tmp_path: Path) -> None:
    host.put([BLOB])
    (tmp_path / "file").write_bytes(b"")
    assert Blobs(host, tmp_path / "file" / "copies").fetch(HASH, "pack") == BLOB


def test_delete__copies_and_the_hosts_and_what_is_left_is_named(
    blobs: Blobs, host: FileStorage, tmp_path: Path
) -> None:
    blobs.store([BLOB, b"another"])
    assert blobs.delete([HASH, bytes(32)]) == []
    assert not path_of(host).exists()
    assert not (tmp_path / "home" / "copies" / HASH.hex()).exists()
    assert blobs.fetch(sha256(b"another"), "pack") == b"another"
    assert Blobs(FileStorage(tmp_path / "gone")).delete([]) == []
    assert Blobs(FileStorage(tmp_path / "gone")).delete([HASH]) == [HASH]  # a disk not mounted has it still


def test_delete__that_the_host_refuses_or_a_copy_of_ones_own_has__is_left(host: FileStorage, tmp_path: Path) -> None:
    host.put([BLOB])
    backup = tmp_path / "backup"
    backup.mkdir()
    FileStorage(backup).put([BLOB])
    assert Blobs(host, None, FileStorage(backup)).delete([HASH]) == [HASH]
    assert not path_of(host).exists()
    path_of(host).mkdir()  # not to be unlinked
    assert Blobs(host).delete([HASH]) == [HASH]


def test_keep_only__drops_other_copies_and_nothing_on_the_host(blobs: Blobs, host: FileStorage, tmp_path: Path) -> None:
    copies = tmp_path / "home" / "copies"
    blobs.keep_only([HASH])
    assert not copies.exists()
    blobs.store(BLOBS)
    (copies / "being written.tmp").write_bytes(b"")
    blobs.keep_only([HASH, secret("never stored")])
    assert {path.name for path in copies.iterdir()} == {HASH.hex(), "being written.tmp"}
    assert len(list(host.folder.iterdir())) == len(BLOBS)
    Blobs(host).keep_only([])
    assert len(list(host.folder.iterdir())) == len(BLOBS)


def test_keep_only__a_folder_among_the_copies__stays_and_is_no_error(blobs: Blobs, tmp_path: Path) -> None:
    blobs.store(BLOBS)
    (tmp_path / "home" / "copies" / "folder").mkdir()
    blobs.keep_only([HASH])
    assert {path.name for path in (tmp_path / "home" / "copies").iterdir()} == {HASH.hex(), "folder"}
