"""Cards, invitations and sheets as QR codes: drawn on the terminal, or written as a picture."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import InvalidRequest, MemSyncError
from ..files import storage_error, write_atomic
from .app import App

MAX_BYTES = 2_953
"""What the largest QR code holds, at the least error correction (version 40-L of ISO/IEC 18004)."""

_BORDER = 4  # light modules around a code, as the standard asks
_WHITE_ON_BLACK, _PLAIN = "\033[97;40m", "\033[0m"  # a code drawn in a terminal's own colours may come out inverted
_KINDS = (".svg", ".png")
_F = TypeVar("_F", bound=Callable[..., Any])


class Picture(click.ParamType):
    """The path of a picture to be made: its ending says of which kind."""

    name = "picture"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Path:
        path = Path(str(value))
        if path.suffix.lower() not in _KINDS:
            self.fail(f"{str(value)!r} ends in neither of: {', '.join(_KINDS)}.", param, context)
        return path


def qr_options(command: _F) -> _F:
    """Adds --qr and --qr-file."""
    picture = click.option(
        "--qr-file", "qr_file", type=Picture(), metavar="PATH", help="Write it as a QR code too: code.svg or code.png."
    )
    drawn = click.option("--qr", is_flag=True, help="Draw it as a QR code too, on the terminal.")
    return drawn(picture(command))


def check_qr(app: App, qr: bool, qr_file: Path | None) -> None:
    """Raises what would keep a code from being shown, before anything else is done."""
    if qr and app.json:
        raise click.UsageError("--qr draws on a terminal; with --json name a picture: --qr-file code.svg.")
    if qr_file and (qr_file.exists() or not qr_file.absolute().parent.is_dir()):
        what = f"{qr_file} is there already." if qr_file.exists() else f"There is no folder {qr_file.parent}."
        raise InvalidRequest(what, "Name another file.")


def show_qr(app: App, text: str, qr: bool, qr_file: Path | None) -> dict[str, str]:
    """Draws and writes what was asked for, and returns what JSON is to say of it. Where it fails, the text itself is
    not lost.

    Raises InvalidRequest for a text that no code holds, and storage errors.
    """
    if not (qr or qr_file):
        return {}
    try:
        code = _code(text)
        if qr_file:
            picture = io.BytesIO()
            code.save(picture, kind=qr_file.suffix.lower()[1:], border=_BORDER, scale=4)
            write_atomic(qr_file, picture.getvalue())
    except (MemSyncError, OSError) as error:
        app.line(text)
        app.done.append({"text": text})
        raise storage_error(error, qr_file or Path()) if isinstance(error, OSError) else error from None
    if qr:
        _draw(app, code)
    return {"qr_file": str(qr_file)} if qr_file else {}


def _code(text: str) -> Any:
    import segno  # here: nothing else needs it

    size = len(text.encode())
    if size > MAX_BYTES:
        raise InvalidRequest(
            f"It has {size:,} bytes, and the largest QR code holds {MAX_BYTES:,}.", "Pass it on as a text, or a file."
        )
    return segno.make_qr(text, error="l", boost_error=False)


def _draw(app: App, code: Any) -> None:
    width = code.symbol_size(border=_BORDER)[0]
    there = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and there < width:
        app.line(
            f"The QR code is {width} columns wide, this terminal {there}: widen it, or write a picture with"
            " --qr-file code.svg."
        )
        return
    drawn = io.StringIO()
    code.terminal(out=drawn, border=_BORDER, compact=True)
    for line in drawn.getvalue().splitlines():
        click.echo(f"{_WHITE_ON_BLACK}{line}{_PLAIN}", color=app.color)
