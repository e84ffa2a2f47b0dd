"""JSON from files that nobody vouches for: bounded in depth and size, and streamed where a file is a long array."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any

from ..errors import InvalidImport

MAX_DEPTH = 128
MAX_ELEMENT_BYTES = 64 * 2**20
"""The largest element of a streamed array (a conversation), and the only part of the file that is in memory."""
MAX_DOCUMENT_BYTES = 256 * 2**20
"""The largest file that has to be parsed in one piece."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CHUNK = 2**18
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_UP_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)


def elements(stream: IO[bytes], where: str) -> Iterator[dict[str, Any]]:
    """The objects of the JSON array that a stream holds, one after the other. ``where`` names it in messages.

    Only one element is in memory at a time. Raises InvalidImport for whatever is no array of objects; what came before
    is not to be used then.
    """
    number, depth, start, buffer, position = 0, 0, 0, b"", 0
    while True:
        match = _UP_TO_BRACKET.match(buffer, position)
        if match is None:
            # More than there was, so that a long text is not scanned once for each chunk of it.
            chunk = stream.read(max(_CHUNK, len(buffer) - start))
            if not chunk:
                break
            buffer, position, start = buffer[start:] + chunk, position - start, 0
            if depth == 0:
                buffer = buffer.removeprefix(BYTE_ORDER_MARK)
            if len(buffer) > MAX_ELEMENT_BYTES:
                raise _broken(where, number, f"It has more than {MAX_ELEMENT_BYTES:,} bytes.")
            continue
        sign, end = match[1], match.end()
        between, position = buffer[start : end - 1], end
        if sign in b"[{":
            depth += 1
            if depth == 1 and (sign != b"[" or between.strip()):
                raise InvalidImport(f"{where} is not a JSON array.", "Name the format with --format.")
            if depth == 2 and (sign != b"{" or between.strip() != (b"," if number else b"")):
                raise _broken(where, number, "It is not a JSON object.")
            if depth == 1:
                start = end
            elif depth == 2:
                start = end - 1
            elif depth > MAX_DEPTH:
                raise _broken(where, number, "It is nested too deeply.")
            continue
        depth -= 1
        if depth < 0:
            raise InvalidImport(f"{where} is not a JSON array.", "Name the format with --format.")
        if depth == 1:
            yield parsed(buffer[start:end], partial(_broken, where, number))
            number, start = number + 1, end
        elif depth == 0:
            if sign != b"]" or between.strip():
                raise _broken(where, number, "It is not a JSON object.")
            _refuse_rest(buffer[end:], stream, where)
            return
    raise InvalidImport(f"{where} is cut short, or no JSON array.", "Get the export again.")


def document(stream: IO[bytes], where: str) -> Any:
    """The JSON value that a stream holds. Raises InvalidImport."""
    data = stream.read(MAX_DOCUMENT_BYTES + 1).removeprefix(BYTE_ORDER_MARK)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidImport(f"{where} has more than {MAX_DOCUMENT_BYTES:,} bytes.", "Split it into several files.")

    def broken(cause: str) -> InvalidImport:
        return InvalidImport(f"{where}: {cause}", "Get the export again.")

    refuse_depth(data, MAX_DEPTH, broken)
    return parsed(data, broken)


def parsed(
    data: bytes, broken: Callable[[str], InvalidImport], hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value of JSON (RFC 8259) whose depth is known. What ``broken`` makes of the cause is raised where it is none;
    no cause quotes the text."""

    def refuse_constant(constant: str) -> None:
        raise broken(f"{constant} is not JSON.")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=hook)
    except UnicodeDecodeError as error:
        raise broken(f"Byte {error.start + 1} is not UTF-8.") from None
    except json.JSONDecodeError as error:
        line = f" of line {error.lineno}" if error.lineno > 1 else ""
        raise broken(f"It is not JSON from character {error.colno}{line} on.") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise broken("It has a number that is too long.") from None


def refuse_depth(data: bytes, limit: int, broken: Callable[[str], InvalidImport]) -> None:
    """Raises what ``broken`` makes of a cause where ``data`` is nested deeper than ``limit``."""
    # Not left to the parser: where another library has raised the recursion limit of Python, its stack ends in a crash.
    depth = 0
    for sign in _STRING.sub(b"", data):
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
        if depth > limit:
            raise broken("It is nested too deeply.")


def _refuse_rest(rest: bytes, stream: IO[bytes], where: str) -> None:
    while rest or (rest := stream.read(_CHUNK)):
        if rest.strip():
            raise InvalidImport(f"{where} goes on after the end of its array.", "Get the export again.")
        rest = b""


def _broken(where: str, number: int, cause: str) -> InvalidImport:
    return InvalidImport(f"{where}, entry {number + 1}: {cause}", "Get the export again.")
