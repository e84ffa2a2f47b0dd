"""Several hosts of one vault: written to all, read from the first whose bytes are right; and the list of a home."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memsync_client.errors import (
    BlobMissing,
    HomeDamaged,
    InvalidRequest,
    MemSyncError,
    StorageReadOnly,
    StorageUnavailable,
    Tampered,
)
from memsync_client.home import Home
from memsync_client.hosts import Host, Hosts
from memsync_client.sealing import MAX_BLOB, sha256
from memsync_client.storage import FileStorage
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.https import HttpsStorage
from memsync_client.storage.owed import Owed
from memsync_client.storage.uris import IPFS, whole
from tests.client.material import flipped
from tests.client.test_storage_https import served
from tests.client.web_servers import new_certificate, serving

BLOB = b"one sealed object"
HASH = sha256(BLOB)
BLOBS = [BLOB, b"another", bytes(3_000)]


@pytest.fixture
def hosts(tmp_path: Path) -> list[FileStorage]:
    """Three folders, the first of which stands on chain."""
    folders = [tmp_path / name for name in ("primary", "second", "third")]
    for folder in folders:
        folder.mkdir()
    return [FileStorage(folder) for folder in folders]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def blobs(hosts: list[FileStorage], tmp_path: Path, said: list[str]) -> Blobs:
    owed = Owed(tmp_path / "home" / "owed.json")
    return Blobs(hosts[0], tmp_path / "home" / "copies", mirrors=hosts[1:], owed=owed, say=said.append)


def names(host: FileStorage) -> set[str]:
    return {path.name for path in host.folder.iterdir()}


def test_store__on_all_hosts_and_told_as_it_goes(blobs: Blobs, hosts: list[FileStorage]) -> None:
    steps: list[tuple[int, int]] = []
    blobs.store(BLOBS, lambda done, total: steps.append((done, total)))
    assert [names(host) for host in hosts] == [{sha256(blob).hex() for blob in BLOBS}] * 3
    assert steps == [(3, 9), (6, 9), (9, 9)]


def test_store__mirror_away__said_and_delivered_with_the_next(
    blobs: Blobs, hosts: list[FileStorage], said: list[str], tmp_path: Path
) -> None:
    away = hosts[1].folder.rename(tmp_path / "away")
    blobs.store(BLOBS[:2])
    assert len(said) == 1
    assert str(hosts[1].folder) in said[0]
    assert names(hosts[0]) == names(hosts[2])
    away.rename(hosts[1].folder)
    blobs.store(BLOBS[2:])
    assert len(said) == 1
    assert names(hosts[1]) == names(hosts[0])
    assert json.loads((tmp_path / "home" / "owed.json").read_bytes()) == {}


def test_store__hosts_that_take_their_time__are_waited_for_side_by_side(hosts: list[FileStorage]) -> None:
    all_here = threading.Barrier(3, timeout=60)

    class Slow(FileStorage):
        def put(self, blobs: Iterable[bytes]) -> list[bytes]:
            all_here.wait()
            return super().put(blobs)

    first, *mirrors = [Slow(host.folder) for host in hosts]
    Blobs(first, mirrors=mirrors).store(BLOBS)
    assert names(hosts[0]) == names(hosts[1]) == names(hosts[2]) == {sha256(blob).hex() for blob in BLOBS}


def test_store__mirrors_that_fail_at_once__are_all_owed(
    hosts: list[FileStorage], said: list[str], tmp_path: Path
) -> None:
    owed = Owed(tmp_path / "owed.json")
    mirrors = [FileStorage(tmp_path / f"gone{number}") for number in range(8)]
    for _ in range(5):
        Blobs(hosts[0], mirrors=mirrors, owed=owed, say=said.append).store(BLOBS)
    assert len(said) == 40
    assert all(owed.of(mirror.name) == {sha256(blob) for blob in BLOBS} for mirror in mirrors)


def test_store__interrupted__mirrors_end_with_what_they_are_just_sending(
    hosts: list[FileStorage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C must not wait until a slow mirror has all of an import; and what it was owed, it is owed still."""
    at_work, waited_for = threading.Event(), threading.Event()
    taken: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __exit__(self, *args: Any) -> Any:
            waited_for.set()
            return super().__exit__(*args)

    class Interrupted(FileStorage):
        def put(self, _: Iterable[bytes]) -> list[bytes]:
            assert at_work.wait(60)
            raise KeyboardInterrupt

    class Slow(FileStorage):
        def put(self, blobs: Iterable[bytes]) -> list[bytes]:
            at_work.set()
            assert waited_for.wait(60)
            stored = super().put(blobs)
            taken.append(len(stored))
            return stored

    monkeypatch.setattr("memsync_client.storage.blobs.ThreadPoolExecutor", Pool)
    many = [str(number).encode() for number in range(100)]
    owed = Owed(tmp_path / "owed.json")
    owed.add(str(hosts[1].folder), {sha256(many[-1])})
    with pytest.raises(KeyboardInterrupt):
        Blobs(Interrupted(hosts[0].folder), mirrors=[Slow(hosts[1].folder)], owed=owed).store(many)
    assert taken == [32]
    assert owed.of(str(hosts[1].folder)) == {sha256(many[-1])}


def test_store__host_on_chain_away__refused_whatever_mirrors_took(blobs: Blobs, hosts: list[FileStorage]) -> None:
    """Everyone else reads from that one alone."""
    hosts[0].folder.rmdir()
    with pytest.raises(StorageUnavailable, match="primary"):
        blobs.store([BLOB])


def test_store__mirror_that_gives_other_bytes_back__said_and_owed(
    hosts: list[FileStorage], said: list[str], tmp_path: Path
) -> None:
    class Mangling(FileStorage):
        def get(self, blob_hash: bytes, limit: int) -> bytes:
            return flipped(super().get(blob_hash, limit), 0)

    owed = Owed(tmp_path / "owed.json")
    mirror = Mangling(hosts[1].folder)
    Blobs(hosts[0], None, mirrors=[mirror], owed=owed, say=said.append).store([BLOB])
    assert "does not come back" in said[0]
    assert owed.of(mirror.name) == {HASH}


@pytest.mark.parametrize("damage", [None, b"", flipped(BLOB, 2), bytes(MAX_BLOB + 1)])
def test_fetch__host_on_chain_without_the_right_bytes__first_mirror_that_has_them(
    hosts: list[FileStorage], said: list[str], damage: bytes | None
) -> None:
    hosts[2].put([BLOB])
    for host in hosts[:2]:
        if damage is not None:
            (host.folder / HASH.hex()).write_bytes(damage)
    blobs = Blobs(hosts[0], mirrors=hosts[1:], say=said.append)
    assert blobs.fetch(HASH, "pack") == BLOB
    assert HASH.hex() in said[0]
    assert hosts[2].name in said[0]
    assert "memsync repair" in said[0]


def test_fetch__nobody_has_it__what_the_host_on_chain_says(hosts: list[FileStorage]) -> None:
    (hosts[0].folder / HASH.hex()).write_bytes(b"other")
    with pytest.raises(Tampered, match="primary"):
        Blobs(hosts[0], mirrors=hosts[1:]).fetch(HASH, "pack")


def test_fetch_from_host__that_forgot_a_blob__names_it_and_who_has_it(blobs: Blobs, hosts: list[FileStorage]) -> None:
    blobs.store([BLOB])
    hosts[0].delete([HASH])
    hosts[1].delete([HASH])
    with pytest.raises(BlobMissing, match=HASH.hex()) as caught:
        blobs.fetch_from_host(HASH, "pack")
    assert caught.value.next_step == f"{hosts[2].name} and this device has it. Bring it back: memsync repair"


def test_ahead__over_a_network__some_at_once_and_each_of_its_hash(
    shown: tuple[HttpsStorage, dict[str, bytes]], hosts: list[FileStorage]
) -> None:
    site, content = shown
    many = [bytes([number]) * 100 for number in range(60)]
    content.update({f"/{sha256(blob).hex()}": blob for blob in many})
    hashes = [sha256(blob) for blob in many]
    begun = threading.active_count()
    fetch = Blobs(site).ahead(hashes)
    assert threading.active_count() == begun  # nothing before the first is asked for
    assert fetch(hashes[0], "pack") == many[0]
    assert threading.active_count() > begun
    assert [fetch(blob_hash, "pack") for blob_hash in hashes[1:]] == many[1:]
    assert fetch(hashes[7], "pack") == many[7]
    del content[f"/{hashes[20].hex()}"]
    fetch = Blobs(site).ahead(hashes)
    assert [fetch(blob_hash, "pack") for blob_hash in hashes[:20]] == many[:20]
    with pytest.raises(BlobMissing, match=hashes[20].hex()):
        fetch(hashes[20], "pack")
    assert fetch(hashes[40], "pack") == many[40]
    near = Blobs(hosts[0])
    assert near.ahead(hashes) == near.fetch  # a folder gives as fast one by one


def test_delete__from_all_hosts__what_one_still_has_is_left(blobs: Blobs, hosts: list[FileStorage]) -> None:
    blobs.store(BLOBS)
    hosts[2].delete([HASH])
    (hosts[2].folder / HASH.hex()).mkdir()
    assert blobs.delete(map(sha256, BLOBS)) == [HASH]
    assert [names(host) for host in hosts] == [set(), set(), {HASH.hex()}]


# A host on chain that only shows --------------------------------------------------------------------------------------


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HttpsStorage, dict[str, bytes]]]:
    """A web server, and what it shows by path."""
    (tmp_path / "certificate.pem").write_bytes(new_certificate())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    content: dict[str, bytes] = {}
    with serving(served(content), tmp_path / "certificate.pem") as url:
        yield HttpsStorage(url, mine=True), content


def test_store__host_on_chain_is_read_only__counts_once_it_shows_what_a_mirror_took(
    shown: tuple[HttpsStorage, dict[str, bytes]], hosts: list[FileStorage]
) -> None:
    site, content = shown

    class Published(FileStorage):
        """The folder that the web server shows."""

        def put(self, blobs: object) -> list[bytes]:
            stored = super().put(blobs)  # type: ignore[arg-type]
            content.update({f"/{path.name}": path.read_bytes() for path in self.folder.iterdir()})
            return stored

    Blobs(site, mirrors=[Published(hosts[0].folder)]).store(BLOBS)
    for others in ([], [hosts[1]]):
        with pytest.raises(StorageReadOnly, match="takes no blobs") as caught:
            Blobs(site, mirrors=others).store([b"fresh"])
        assert "memsync host add" in caught.value.next_step


# The list of a home ---------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path: Path) -> Hosts:
    return Hosts(Home(tmp_path / "home"))


def test_add__then_known__in_order_and_for_its_vault(listed: Hosts, tmp_path: Path) -> None:
    own = Host(tmp_path.as_uri() + "/")
    node = Host(IPFS, "http://127.0.0.1:5001")
    one = Host(IPFS, "http://127.0.0.1:5002", bytes(32).hex())
    for host in (own, node, one):
        listed.add(host)
    assert listed.known() == [own, node, one]
    assert listed.known(bytes(32)) == [own, node, one]
    assert listed.known(HASH) == [own, node]
    blobs = listed.blobs(IPFS, bytes(32))
    assert [storage.name for storage in blobs.hosts] == [
        f"{IPFS} by {node.endpoint}",
        str(tmp_path),
        f"{IPFS} by {one.endpoint}",
    ]
    with pytest.raises(InvalidRequest, match="already"):
        listed.add(node)
    assert listed.remove(IPFS, "http://127.0.0.1:5002") == [one]
    assert listed.remove(IPFS) == [node]
    with pytest.raises(InvalidRequest, match="not in the list"):
        listed.remove(IPFS)


@pytest.mark.parametrize("uri", ["http://example.org/", "gopher://x/", "ipfs://x", "file:///x", ""])
def test_add__what_no_host_has__refused_and_nothing_kept(listed: Hosts, uri: str) -> None:
    with pytest.raises(MemSyncError):
        listed.add(Host(uri))
    assert listed.known() == []


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"format": 2, "hosts": []}', b'{"format": 1, "hosts": [{"url": "x"}]}', b"[" * 99_999]
)
def test_known__damaged_list__says_which_file(listed: Hosts, tmp_path: Path, text: bytes) -> None:
    listed.add(Host(tmp_path.as_uri() + "/"))
    (tmp_path / "home" / "hosts.json").write_bytes(text)
    with pytest.raises(HomeDamaged, match=r"hosts\.json"):
        listed.known()


def test_open__address_in_ones_own_network__only_as_it_stands_in_the_list(
    listed: Hosts, shown: tuple[HttpsStorage, dict[str, bytes]]
) -> None:
    site, content = shown
    content[f"/{HASH.hex()}"] = BLOB
    with pytest.raises(StorageUnavailable, match="private network"):
        listed.blobs(site.name, None).fetch(HASH, "pack")
    listed.add(Host(site.name))
    assert listed.blobs(site.name, None).fetch(HASH, "pack") == BLOB
    with pytest.raises(StorageUnavailable, match="private network"):
        listed.blobs(f"{site.name}other/", bytes(32)).host.get(HASH, MAX_BLOB)


def test_blobs__host_that_can_not_be_opened__says_so_when_needed_and_the_others_serve(
    listed: Hosts, tmp_path: Path
) -> None:
    FileStorage(tmp_path).put([BLOB])
    broken = listed.blobs("gopher://x/", None)
    with pytest.raises(StorageUnavailable, match="gopher"):
        broken.fetch(HASH, "pack")
    listed.add(Host(tmp_path.as_uri() + "/"))
    assert listed.blobs("gopher://x/", None).fetch(HASH, "pack") == BLOB


@pytest.mark.parametrize(
    ("typed", "uri"),
    [
        ("ipfs:", IPFS),
        ("/srv/blobs", "file:///srv/blobs/"),
        ("file:///srv/blobs", "file:///srv/blobs/"),
        ("https://host.example/b", "https://host.example/b/"),
        ("https://gateway.example/ipfs/f01551220", "https://gateway.example/ipfs/f01551220"),
        ("s3://bucket/prefix", "s3://bucket/prefix/"),
        ("evm:", "evm:"),
    ],
)
def test_whole__as_people_type_it(typed: str, uri: str) -> None:
    assert whole(typed) == uri


# What a mirror owes ---------------------------------------------------------------------------------------------------


def test_owed__kept_by_name_until_it_is_there(tmp_path: Path) -> None:
    owed = Owed(tmp_path / "vault" / "owed.json")
    assert owed.of("a") == set()
    owed.add("a", {HASH, bytes(32)})
    owed.add("b", {HASH})
    owed.remove("a", {HASH})
    assert (owed.of("a"), owed.of("b"), owed.of("c")) == ({bytes(32)}, {HASH}, set())
    (tmp_path / "vault" / "owed.json").write_bytes(b"[]")
    with pytest.raises(HomeDamaged):
        owed.of("a")
