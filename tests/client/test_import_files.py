"""What an import is given: files, folders and archives, however they lie about themselves."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from memsync_client import import_files
from memsync_client.errors import InvalidImport
from memsync_client.import_files import ImportFiles, opened
from memsync_client.interchange import formats
from tests.client.exports import CHATGPT, CLAUDE, chatgpt_zip, claude_zip, read, zipped


def names_and_texts(given: Path | str) -> dict[str, bytes]:
    with opened(str(given)) as files:
        found = {}
        for name in files.names:
            with files.open(name) as stream:
                found[name] = stream.read()
        return found


def refusal(given: Path | str) -> str:
    with pytest.raises(InvalidImport) as refused:
        names_and_texts(given)
    assert refused.value.next_step
    return refused.value.cause


def test_opened__of_a_chatgpt_zip__is_read_like_its_files(tmp_path: Path) -> None:
    with opened(str(chatgpt_zip(tmp_path / "export.zip"))) as files:
        assert all(not name.startswith("__MACOSX") for name in files.names)
        assert formats.read(files) == ("chatgpt", read(CHATGPT))


def test_opened__of_a_claude_zip_of_zips__is_read_like_its_files(tmp_path: Path) -> None:
    with opened(str(claude_zip(tmp_path / "export.zip"))) as files:
        format, report = formats.read(files)
    assert format == "claude"
    assert [draft.content for draft in report.drafts] == [draft.content for draft in read(CLAUDE).drafts]


def test_opened__of_a_folder__has_what_a_person_put_there(tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text("outside")
    folder = tmp_path / "notes"
    for name in ("a.md", "b/c.md", ".obsidian/x.md", "__MACOSX/y.md", ".hidden.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "link.md").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "shards.zip").write_bytes(zipped({"d.md": "d"}))
    assert names_and_texts(folder) == {"a.md": b"a.md", "b/c.md": b"b/c.md", "shards.zip/d.md": b"d"}


def test_opened__of_standard_input__reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[2024-05-01] - a")))
    assert names_and_texts("-") == {"standard input": b"[2024-05-01] - a"}


def test_opened__with_progress__says_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[]" * 500_000)
    (tmp_path / "picture.png").write_bytes(b"x" * 5_000_000)
    steps: list[tuple[int, int]] = []
    with (
        opened(str(tmp_path), lambda done, total: steps.append((done, total))) as files,
        files.open("a.json") as stream,
    ):
        stream.read()
    assert steps[-1] == (1_000_000, 1_000_000)
    assert steps == sorted(steps)
    assert len(steps) > 1


def test_opened__of_nothing__says_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"There is no file {tmp_path / 'none'}."


def with_lie(data: bytes, declared: int) -> bytes:
    """An archive whose directory gives another size for its one entry."""
    at = data.rindex(b"PK\x01\x02") + 24
    return data[:at] + declared.to_bytes(4, "little") + data[at + 4 :]


def test_open__of_a_bomb__stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "MAX_BYTES", 2_000_000)
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(zipped({"conversations.json": b" " * 10_000_000}))
    assert refusal(bomb) == "conversations.json is larger than anything to be imported."
    bomb.write_bytes(zipped({f"{number}.json": b" " * 1_500_000 for number in range(3)}))
    assert refusal(bomb) == "1.json is larger than anything to be imported."


@pytest.mark.parametrize("declared", [0, 5])
def test_open__of_a_lie_about_the_size__gives_no_more_than_was_declared(tmp_path: Path, declared: int) -> None:
    path = tmp_path / "lie.zip"
    path.write_bytes(with_lie(zipped({"a.md": b"salt " * 1_000}), declared))
    assert refusal(path) == "a.md is damaged."


def test_open__of_too_many_files__is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "MAX_FILES", 3)
    path = tmp_path / "many.zip"
    path.write_bytes(zipped({f"{number}.md": "x" for number in range(4)}))
    assert refusal(path) == "many.zip has more than 3 files."
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.md").write_text("x")
    assert refusal(folder) == "many has more than 3 files."


def test_open__of_archives_in_archives_without_end__stops(tmp_path: Path) -> None:
    data = zipped({"a.md": "a"})
    for _ in range(10):
        data = zipped({"inner.zip": data})
    (tmp_path / "deep.zip").write_bytes(data)
    (name,) = names_and_texts(tmp_path / "deep.zip")
    assert name.count("inner.zip") <= 4


def test_open__of_a_locked_archive__says_so(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.md": "a"}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    data[data.index(b"PK\x03\x04") + 6] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    assert refusal(tmp_path / "locked.zip") == "a.md is locked by a password."


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_open__of_two_files_of_one_name__is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.md", "one")
        archive.writestr("a.md", "two")
    assert refusal(tmp_path / "two.zip") == "two.zip has two files of the name a.md."


def test_names__are_sorted() -> None:
    files = ImportFiles("x")
    for name in ("b", "a"):
        files.add(name, io.BytesIO, 0)
    assert list(files.names) == ["a", "b"]
