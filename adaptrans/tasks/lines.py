"""Lines of a plain or gzipped text file, strictly UTF-8, with their numbers. Torch-free."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeAlias, cast

from adaptrans.errors import DataError

Problem: TypeAlias = Callable[[DataError], None]
"""Called for a bad row: raises the error, or notes it so that reading goes on."""

_BOM = b"\xef\xbb\xbf"


def strict(error: DataError) -> None:
    """The problem handler that stops at the first bad row."""
    raise error


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressing it if its name ends in .gz.

    Raises:
        DataError: If the file cannot be opened.
    """
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
    are text.

    Args:
        path: The file.
        problem: What to do with a line that is not UTF-8 or holds a NUL.
        keep_ends: Keep line ends as they are, for readers of quoted fields.

    Raises:
        DataError: If the file is empty, or its gzip data are cut short or damaged; the line is then
            at most 8 KiB of text before the damage.
    """
    number = 0
    try:
        with open_bytes(path) as stream:
            for raw in stream:
                number += 1
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


def read_text(path: Path) -> str:
    """The whole text of a file, under the same rules as `read_lines`."""
    return "".join(line for _, line in read_lines(path, keep_ends=True))
