"""Lines of plain or gzipped text, strictly UTF-8, and JSON that is none. Torch-free."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from adaptrans.errors import DataError
from adaptrans.utils.io import other_encoding

Problem: TypeAlias = Callable[[DataError], None]
"""Called for a bad row: raises the error, or notes it so that reading goes on."""

STDIN = Path("-")
"""Stands for standard input wherever a file is read; no file below a folder has this path."""

_BOM = b"\xef\xbb\xbf"

# The csv module refuses fields of more than 131,072 characters; the largest number that every C long holds.
csv.field_size_limit(2**31 - 1)


def strict(error: DataError) -> None:
    """The problem handler that stops at the first bad row."""
    raise error


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, or standard input, for reading, decompressing it if its name ends in .gz.

    Raises:
        DataError: If the file cannot be opened.
    """
    if path == STDIN:
        return sys.stdin.buffer
    try:
        if path.suffix == ".gz":
            # A small buffer: what is in it is lost when the data turn out to be cut short.
            return cast("IO[bytes]", io.BufferedReader(cast(io.RawIOBase, gzip.open(path, "rb")), 1 << 13))
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror or error}", path) from None


def read_lines(
    path: Path, problem: Problem = strict, *, keep_ends: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of a text file.

    A byte order mark at the very start and the carriage returns of CRLF line
    ends are removed. Lines end at line feeds only: other Unicode separators
    are text. In a file without any line feed they end at carriage returns.

    Args:
        path: The file.
        problem: What to do with a line that is not UTF-8 or holds a NUL.
        keep_ends: Keep line ends as they are, for readers of quoted fields.

    Raises:
        DataError: If the file is empty, or in UTF-16 or UTF-32, or its gzip data are cut short or damaged;
            the line is then at most 8 KiB of text before the damage.
    """
    number = 0
    try:
        with open_bytes(path) as stream:
            for raw in _raw_lines(stream):
                number += 1
                if number == 1 and (encoding := other_encoding(raw)):
                    raise DataError(f"is in {encoding}, not UTF-8", path, remedy="save it as UTF-8")
                if number == 1 and raw.startswith(_BOM):
                    raw = raw[3:]
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    problem(DataError(f"not UTF-8 at byte {error.start + 1} of the line", path, number))
                    continue
                if "\0" in line:
                    problem(DataError("holds a NUL character", path, number))
                    continue
                yield number, line if keep_ends else line.rstrip("\r\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = "ends too early" if isinstance(error, EOFError) else f"is damaged ({error})"
        raise DataError(f"the gzip file {reason}", path, number + 1, remedy="fetch the file again") from None
    if number == 0:
        raise DataError("the file is empty", path, remedy="fetch the file again")


def _raw_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends."""
    first = stream.readline()
    if first.endswith(b"\n") or b"\r" not in first:
        if first:
            yield first
        yield from stream
    else:
        *lines, last = first.split(b"\r")
        yield from (line + b"\r" for line in lines)
        if last:
            yield last


def read_text(path: Path) -> str:
    """The whole text of a file, under the same rules as `read_lines`."""
    return "".join(line for _, line in read_lines(path, keep_ends=True))


# Escapes that can make a NUL or half a character; most texts have none, and are not looked through.
_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def parsed_json(
    text: str,
    path: Path,
    line: int | None = None,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of a JSON text.

    Args:
        text: The text.
        path: Its file, for messages.
        line: Its line, where it is not the whole file.
        pairs: What makes an object of its keys and values.

    Raises:
        DataError: If it is not valid, with the line and column.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg} at column {error.colno}"
        raise DataError(message, path, line or error.lineno) from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of brackets.
        raise DataError(f"not valid JSON: {error}", path, line or 1) from None


def may_be_damaged(text: str) -> bool:
    """Whether a JSON text has escapes for which `damage` should be asked.

    Example:
        >>> may_be_damaged('{"a": "b"}'), may_be_damaged('{"a": "\\\\u0000"}')
        (False, True)
    """
    return _ESCAPE.search(text) is not None


def damage(value: Any) -> str | None:
    """What is wrong with a text, or with the texts inside lists and mappings; None if nothing is.

    Example:
        >>> damage({"words": ["good", "bad\\0"]}), damage(["good", 1, None])
        ('holds a NUL character', None)
    """
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL character"
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"holds {value[error.start]!a}, which is half a character"
        return None
    inside: Any = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return None
    return next(filter(None, map(damage, inside)), None)
