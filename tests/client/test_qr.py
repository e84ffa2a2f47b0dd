"""Cards and invitations as QR codes: drawn on a terminal, written as pictures, refused where none holds them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest
import segno

from memsync_client.cards import MAX_NAME_BYTES, Card
from memsync_client.cli.app import App
from memsync_client.cli.qr import MAX_BYTES, Picture, check_qr, show_qr
from memsync_client.errors import InvalidRequest, StorageUnavailable
from tests.client.material import holder
from tests.client.test_cli import told

SCHEMES = ("evm", "file", "https", "ipfs", "s3")
LARGEST = str(Card("x" * MAX_NAME_BYTES, holder("claude").xwing.public, bytes(range(20)), SCHEMES))


def drawn(lines: str) -> list[list[bool]]:
    """The dark modules of a code drawn in half blocks, two rows a line."""
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines.splitlines()]
    halves = {" ": (True, True), "▀": (False, True), "▄": (True, False), "█": (False, False)}
    return [[halves[sign][half] for sign in line] for line in plain for half in (0, 1)]


def test_show_qr__largest_card__is_drawn_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_qr(App(), LARGEST, True, None)
    found = drawn(capsys.readouterr().out)
    code = segno.make_qr(LARGEST, error="l", boost_error=False)
    assert code.symbol_size(border=0) == (141, 141)  # version 31 of 40
    expected = [[bool(bit) for bit in row] for row in code.matrix_iter(border=4)]
    assert found[: len(expected)] == expected


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_show_qr__picture__is_written_whole_and_private(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"card.{kind}"
    show_qr(App(), LARGEST, False, path)
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    if kind == "png":
        assert data.startswith(b"\x89PNG\r\n")
        assert data.endswith(b"IEND\xaeB`\x82")
    else:
        assert b"<svg " in data
        assert data.rstrip().endswith(b"</svg>")


def test_show_qr__text_that_no_code_holds__is_refused_and_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    show_qr(App(), "x" * MAX_BYTES, True, None)
    capsys.readouterr()
    app = App()
    with pytest.raises(InvalidRequest, match="2,954 bytes, and the largest QR code holds 2,953"):
        show_qr(app, "x" * (MAX_BYTES + 1), True, None)
    assert "x" * (MAX_BYTES + 1) in capsys.readouterr().out
    assert app.done == [{"text": "x" * (MAX_BYTES + 1)}]


def test_show_qr__picture_that_can_not_be_written__the_text_is_not_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StorageUnavailable):
        show_qr(App(), LARGEST, False, tmp_path / "gone" / "card.svg")
    assert LARGEST in capsys.readouterr().out


def test_show_qr__terminal_too_narrow__says_what_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show_qr(App(), LARGEST, True, None)
    said = capsys.readouterr().out
    assert re.search(r"QR code is 1\d\d columns wide, this terminal 80", said)
    assert "█" not in said


def test_check_qr__what_would_fail__is_said_first(tmp_path: Path) -> None:
    (tmp_path / "there.svg").touch()
    for path in (tmp_path / "there.svg", tmp_path / "no folder" / "code.svg"):
        with pytest.raises(InvalidRequest):
            check_qr(App(), False, path)
    with pytest.raises(click.UsageError, match="--qr-file"):
        check_qr(App(json=True), True, None)
    with pytest.raises(click.BadParameter):
        Picture().convert("card.gif", None, None)


def test_reader_new__with_a_code__prints_both(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a passphrase\n")
    os.close(writing)
    words = ("--passphrase-fd", str(reading), "reader", "new", "claude", "--qr", "--qr-file", "card.svg")
    code, out, err = told(*words, home=tmp_path, pass_fds=[reading], cwd=tmp_path)
    os.close(reading)
    assert (code, err) == (0, "  Next, for the owner of the vault: memsync grant CARD\n")
    *lines, card = out.splitlines()
    assert Card.parse(card).name == "claude"
    assert len(lines) > 60
    assert not any("\x1b" in line for line in lines)  # not a terminal: no colours
    assert (tmp_path / "card.svg").exists()
