"""Reads files: lines of plain or gzipped text, strictly UTF-8, JSON, tables, and rows of them. Torch-free.

A reader takes a path and a handler for bad rows and yields `Row`s with their line numbers, streaming where
the format allows. `.gz` files are read as their content. Damage that spoils the whole file raises
`DataError`; a bad row goes to the handler, which raises too unless bad rows are skipped.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, cast

from adaptrans.errors import DataError, NoRowError
from adaptrans.utils.io import other_encoding
from adaptrans.utils.registry import Registry

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


def open_bytes(path: Path, member: str | None = None) -> IO[bytes]:
    """Open a file, or standard input, for reading, decompressing it if its name ends in .gz.

    Args:
        path: The file.
        member: The file inside it to read, if it is a zip archive.

    Raises:
        DataError: If the file cannot be opened, or the archive has no such file.
    """
    if path == STDIN:
        return sys.stdin.buffer
    try:
        if path.suffix == ".zip" and member is not None:
            return zipfile.ZipFile(path).open(member)
        if path.suffix == ".gz":
            # A small buffer: what is in it is lost when the data turn out to be cut short.
            return cast("IO[bytes]", io.BufferedReader(cast(io.RawIOBase, gzip.open(path, "rb")), 1 << 13))
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror or error}", path) from None
    except KeyError:
        raise DataError(f'the archive holds no file "{member}"', path) from None
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"is no zip archive that can be read: {error}", path) from None


def read_lines(
    path: Path, problem: Problem = strict, *, keep_ends: bool = False, member: str | None = None
) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of a text file.

    A byte order mark at the very start and the carriage returns of CRLF line
    ends are removed. Lines end at line feeds only: other Unicode separators
    are text. In a file without any line feed they end at carriage returns.

    Args:
        path: The file.
        problem: What to do with a line that is not UTF-8 or holds a NUL.
        keep_ends: Keep line ends as they are, for readers of quoted fields.
        member: The file inside it to read, if it is a zip archive.

    Raises:
        DataError: If the file is empty, or in UTF-16 or UTF-32, or its gzip data are cut short or damaged;
            the line is then at most 8 KiB of text before the damage.
    """
    number = 0
    try:
        with open_bytes(path, member) as stream:
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
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        reason = "ends too early" if isinstance(error, EOFError) else f"is damaged ({error})"
        form = "gzip" if member is None else "zip"
        raise DataError(
            f"the {form} file {reason}", path, number + 1, remedy="fetch the file again"
        ) from None
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


class Row(NamedTuple):
    """One row of a file.

    Args:
        line: Line it begins on, counted from 1; in parquet, the row's number.
        values: Column names to raw values; None for a row that the format's rules leave out.
    """

    line: int
    values: dict[str, Any] | None


Reader: TypeAlias = Callable[..., Iterator[Row]]
"""Reads one file: (path, problem handler, options of the format by name) to rows."""

FORMATS: Registry[Reader] = Registry("file format")


@FORMATS.register("tsv")
def read_tsv(
    path: Path,
    problem: Problem = strict,
    *,
    columns: list[str] | None = None,
    header: bool = False,
    separator: str | list[str] = "\t",
) -> Iterator[Row]:
    """Rows of a tab-separated file without quoting.

    Args:
        path: The file.
        problem: Handler of bad rows.
        columns: Column names in order; every row must have exactly these.
        header: Whether the first line names the columns; given columns must then be among them.
        separator: What stands between two columns; of a list, any of its items does.

    Raises:
        DataError: If neither columns nor a header say what the columns are.
    """
    expected = columns
    faults: list[DataError] = []
    several = None if isinstance(separator, str) else re.compile("|".join(map(re.escape, separator)))
    for number, line in read_lines(path, problem):
        cells = several.split(line) if several else line.split(str(separator))
        if header and number == 1:
            _check_header(cells, columns, path)
            expected = cells
            continue
        if expected is None:
            raise DataError("neither columns nor a header name its columns", path)
        if len(cells) != len(expected):
            # Blank lines may end a file; what stands after one says whether it does.
            faults.append(_other_columns(len(expected), line, len(cells), path, number))
            if not line.strip():
                continue
        while faults:
            problem(faults.pop(0))
        if len(cells) != len(expected):
            continue
        yield Row(number, dict(zip(expected, cells, strict=True)))


SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
"""What stands between the columns of files in use, in words."""


def other_separator(line: str, columns: int | None = None) -> str | None:
    """What divides a line that was taken for one column: into so many columns, or else into several.

    Example:
        >>> other_separator("text;label"), other_separator("a, b;c", 2), other_separator("text")
        (';', ',', None)
    """
    found = {sign: line.count(sign) + 1 for sign in SEPARATORS if sign in line}
    if columns is not None:
        return next((sign for sign, parts in found.items() if parts == columns), None)
    return max(found, key=lambda sign: found[sign]) if found else None


def separator_remedy(sign: str | None) -> str | None:
    """What to do about columns that another sign divides, if one does."""
    if sign is None:
        return None
    return f"its columns seem to be divided by {SEPARATORS[sign]}: set the option separator to {sign!r}"


def _other_columns(expected: int, line: str, found: int, path: Path, number: int) -> DataError:
    remedy = separator_remedy(other_separator(line, expected)) if found == 1 else None
    return DataError(f"expected {expected} columns, found {found}", path, number, remedy=remedy)


def _check_header(cells: list[str], wanted: Iterable[str] | None, path: Path) -> None:
    # Columns without a name, as tables with row numbers have, can be named by no task.
    doubled = next((name for name in cells if name and cells.count(name) > 1), None)
    if doubled is not None:
        raise DataError(f'the header names the column "{doubled}" twice', path, 1)
    for name in wanted or ():
        if name not in cells:
            raise DataError(f'the header has no column "{name}", it has {", ".join(cells)}', path, 1)


@FORMATS.register("csv")
def read_csv(
    path: Path,
    problem: Problem = strict,
    *,
    columns: list[str] | None = None,
    header: bool = True,
    separator: str = ",",
) -> Iterator[Row]:
    """Rows of a comma-separated file; quoted fields may hold line ends.

    Args:
        path: The file.
        problem: Handler of bad rows; a line that is no text is never left out.
        columns: Column names where there is no header.
        header: Whether the first line names the columns.
        separator: What stands between two columns.
    """
    # A line may be the middle of a field, so that none can be left out.
    lines = (line for _, line in read_lines(path, keep_ends=True))
    reader = csv.reader(lines, strict=True, delimiter=separator)
    expected = None if header else columns
    start = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"not valid CSV: {error}", path, start) from None
        line, start = start, reader.line_num + 1
        if not cells:
            continue
        if expected is None:
            _check_header(cells, columns, path)
            expected = cells
        elif len(cells) != len(expected):
            problem(_other_columns(len(expected), cells[0], len(cells), path, line))
        else:
            yield Row(line, dict(zip(expected, cells, strict=True)))


@FORMATS.register("jsonl")
def read_jsonl(path: Path, problem: Problem = strict, *, member: str | None = None) -> Iterator[Row]:
    """Rows of a file with one JSON object per line; blank lines carry nothing.

    Args:
        path: The file.
        problem: Handler of bad lines.
        member: The file inside it to read, if it is a zip archive.
    """
    for number, line in read_lines(path, problem, member=member):
        if not line.strip():
            continue
        try:
            values = parsed_json(line, path, number)
        except DataError as error:
            problem(error)
            continue
        if _is_row(values, may_be_damaged(line), path, number, problem):
            yield Row(number, values)


def _is_row(values: Any, doubtful: bool, path: Path, line: int, problem: Problem) -> bool:
    """Whether a value of a JSON file is an object of usable texts; what is wrong goes to the handler."""
    fault = "expected a JSON object" if not isinstance(values, dict) else damage(values) if doubtful else None
    if fault is not None:
        problem(DataError(fault, path, line))
    return fault is None


@FORMATS.register("json")
def read_json(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Rows of a file that is one JSON array of objects."""
    text = read_text(path)
    doubtful = may_be_damaged(text)
    decoder = json.JSONDecoder()
    blank = re.compile(r"[ \t\r\n]*")
    position = blank.match(text).end()  # type: ignore[union-attr]
    if text[position : position + 1] != "[":
        raise DataError("expected a JSON array of objects", path, 1)
    separator, line, counted = "[", 1, 0
    while True:
        position = blank.match(text, position + len(separator)).end()  # type: ignore[union-attr]
        line += text.count("\n", counted, position)
        counted = position
        if separator == "[" and text[position : position + 1] == "]":
            break
        try:
            values, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DataError(f"not valid JSON: {error.msg}", path, error.lineno) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"not valid JSON: {error}", path, line) from None
        if _is_row(values, doubtful, path, line, problem):
            yield Row(line, values)
        position = blank.match(text, position).end()  # type: ignore[union-attr]
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            last = 1 + text.count("\n", 0, position)
            raise DataError('not valid JSON: expected "," or "]"', path, last)
        separator = ","
    if text[position + 1 :].strip():
        raise DataError("something follows the JSON array", path, 1 + text.count("\n", 0, position))


_QUESTION_ID = re.compile(r'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')


@FORMATS.register("squad")
def read_squad(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """One row per question of a SQuAD file: id, title, context, question, answers, is_impossible.

    The line of a row is that of its id. In a file of one line `path` in the
    row (`data[3].paragraphs[0].qas[2]`) tells where it stands.
    """
    text = read_text(path)
    document, doubtful = parsed_json(text, path), may_be_damaged(text)
    articles = document.get("data") if isinstance(document, Mapping) else document
    if not isinstance(articles, list):
        raise DataError('the file has no list "data"', path, 1)
    lines = IdLines(text)
    for number, article in enumerate(articles):
        for index, paragraph in enumerate(_listed(article, "paragraphs")):
            for place, question in enumerate(_listed(paragraph, "qas")):
                where = f"data[{number}].paragraphs[{index}].qas[{place}]"
                if not isinstance(question, Mapping) or "id" not in question:
                    problem(DataError(f"{where} has no id", path, 1))
                    continue
                values = {
                    "title": article.get("title", ""),
                    "context": paragraph.get("context"),
                    "question": question.get("question"),
                    "answers": question.get("answers"),
                    "is_impossible": question.get("is_impossible"),
                    "id": str(question["id"]),
                    "path": where,
                }
                line = lines(question["id"])
                if _is_row(values, doubtful, path, line, problem):
                    yield Row(line, values)


def _listed(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


class IdLines:
    """Line of each question id; ids are asked for in the order of the file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.matches = _QUESTION_ID.finditer(text)
        self.position, self.line = 0, 1

    def __call__(self, wanted: Any) -> int:
        """The line of the next id that equals this one; the last line found if none does."""
        for match in self.matches:
            if json.loads(match[1]) == wanted:
                self.line += self.text.count("\n", self.position, match.start())
                self.position = match.start()
                break
        return self.line


@FORMATS.register("bitext")
def read_bitext(path: Path, problem: Problem = strict, *, beside: Path) -> Iterator[Row]:
    """Pairs of line i of a file and line i of the file beside it.

    Args:
        path: The language's side.
        problem: Handler of bad lines.
        beside: The English side.

    Raises:
        DataError: If one file has more lines than the other.
    """
    ours = read_lines(path, problem)
    theirs = read_lines(beside, problem)
    number = 0
    while True:
        left, right = next(ours, None), next(theirs, None)
        if left is None and right is None:
            return
        if left is None or right is None:
            longer, shorter = (beside, path) if left is None else (path, beside)
            raise DataError(f"has no line beside this one, {shorter.name} ends", longer, number + 1)
        number = left[0]
        if left[0] != right[0]:
            raise DataError(f"line {right[0]} of {beside.name} would stand beside this one", path, number)
        yield Row(number, {"text": left[1], "english": right[1]})


@FORMATS.register("parquet")
def read_parquet(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Rows of a parquet file; the line is the row's number, from 1.

    Class labels of the hub are numbers there; the task's label map names them.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    number += 1
                    fault = damage(values)
                    if fault is None:
                        yield Row(number, values)
                    else:
                        problem(DataError(fault, path, number))
    except UnicodeDecodeError as error:
        last = number + batch.num_rows
        message = f"not UTF-8 in one of the rows up to {last} ({error.reason})"
        raise DataError(message, path, number + 1) from None
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"not a readable parquet file: {reason}", path, remedy="fetch the file again"
        ) from None
    if number == 0:
        raise NoRowError("the file holds no row", path)


@FORMATS.register("lines")
def read_plain(path: Path, problem: Problem = strict, *, language: str = "") -> Iterator[Row]:
    """Lines of plain text as `text`; blank lines carry nothing.

    Args:
        path: The file.
        problem: Handler of bad lines.
        language: What to give as `language`.
    """
    for number, line in read_lines(path, problem):
        if line.strip():
            yield Row(number, {"text": line, "language": language})


FORMATS.add("conllu", "adaptrans.tasks.readers.conll:read_conllu")
for _name, _reader in (
    ("columns", "read_columns"),
    ("characters", "read_characters"),
    ("supertags", "read_supertags"),
    ("ccgbank", "read_derivations"),
):
    FORMATS.add(_name, f"adaptrans.tasks.readers.conll:{_reader}")
FORMATS.add("bucc", "adaptrans.tasks.readers.retrieval:read_bucc")
FORMATS.add("lareqa", "adaptrans.tasks.readers.retrieval:read_lareqa")
FORMATS.add("mewsli", "adaptrans.tasks.readers.retrieval:read_mewsli")
FORMATS.add("winograd", "adaptrans.tasks.readers.choices:read_winograd")
FORMATS.add("bmlama", "adaptrans.tasks.readers.choices:read_bmlama")
FORMATS.add("copa_xml", "adaptrans.tasks.readers.choices:read_copa_xml")
