"""Prediction files in XTREME's layout: one folder per task, one file `test-LANG` per language. No torch.

`adaptrans.evaluation.layouts` says what is in them. Label files lie in a folder of the same
form. Files appear whole or not at all. XTREME's label files of Tatoeba follow its own order of
the English sentences; predictions are brought into it before they are written.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptrans.errors import AdaptransError, DataError
from adaptrans.evaluation.layouts import LAYOUTS, collect_rows
from adaptrans.files import written_whole
from adaptrans.tasks.lines import open_bytes

# Tasks whose folder in XTREME's layout is not their name.
FOLDERS: Mapping[str, str] = {
    "tydiqa_goldp": "tydiqa",
    # The wider language lists of XTREME-R.
    "panx_r": "panx",
    "tatoeba_r": "tatoeba",
    "udpos_r": "udpos",
    "xquad_r": "xquad",
}


def prediction_path(folder: Path, task: str, kind: str, language: str) -> Path:
    """Where the predictions of a task in a language lie.

    Raises:
        UnknownNameError: If no file layout is known for the kind.

    Example:
        >>> prediction_path(Path("out"), "tydiqa", "span_qa", "sw").as_posix()
        'out/tydiqa/test-sw.json'
    """
    for name in (task, language):
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise AdaptransError(
                f'"{name}" cannot be part of a file name', remedy="rename the task or language"
            )
    return Path(folder) / FOLDERS.get(task, task) / f"test-{language}.{LAYOUTS[kind].suffix}"


def write_predictions(folder: Path, task: str, kind: str, language: str, predictions: Any) -> Path:
    """Write the predictions of one task in one language, and return the path.

    Args:
        folder: Folder of the whole submission; made if need be.
        task: Name of the task.
        kind: Kind of the task, see the table of `layouts`.
        language: Language code.
        predictions: Labels (classification), sequences of tags (tagging), a mapping of
            question id to answer (span_qa), choices (multiple_choice), line numbers
            (bitext_retrieval), pairs of ids (bitext_mining) or a mapping of query id to the ids
            of what was found (passage_ranking).

    Raises:
        AdaptransError: If a prediction cannot be read back from such a file, for instance a
            label with a line break.
    """
    path = prediction_path(folder, task, kind, language)
    _write(path, [LAYOUTS[kind].encode(predictions)])
    return path


def write_rows(
    folder: Path,
    task: str,
    kind: str,
    language: str,
    examples: Iterable[Any],
    values: Iterable[Sequence[Any]],
    *,
    gold: bool = False,
) -> Path:
    """Write one value for each example, and return the path; memory is flat where a file is line by line.

    Args:
        folder: Folder of the whole submission, or of the labels.
        task: Name of the task.
        kind: Kind of the task.
        language: Language code.
        examples: The examples, gone through only where the layout names them.
        values: A prediction or a gold value for each, some at a time.
        gold: Whether they are gold values.

    Raises:
        AdaptransError: As for `write_predictions`.
    """
    layout = LAYOUTS[kind]
    path = prediction_path(folder, task, kind, language)
    encode = layout.encode_gold if gold else layout.encode
    if layout.collect is collect_rows:
        _write(path, map(encode, values))
    else:
        every = [value for some in values for value in some]
        _write(path, [encode(layout.collect(list(examples), every))])
    return path


def write_labels(folder: Path, task: str, kind: str, language: str, golds: Any) -> Path:
    """Write the labels of one task in one language, and return the path; see `write_predictions`."""
    path = prediction_path(folder, task, kind, language)
    _write(path, [LAYOUTS[kind].encode_gold(golds)])
    return path


def read_predictions(folder: Path, task: str, kind: str, language: str) -> Any:
    """Read what `write_predictions` or the reference scripts have written.

    Raises:
        DataError: If the file is missing or a line does not fit the kind.
    """
    path = prediction_path(folder, task, kind, language)
    return LAYOUTS[kind].decode(read_file(path, "predict this language first"), path)


def read_file(path: Path, remedy: str) -> str:
    """The text of a file, \\r\\n and \\r as \\n, as in the reference.

    A byte order mark at its beginning is left out, and a file whose name ends in `.gz` is unpacked.

    Raises:
        DataError: If it is missing, damaged, not UTF-8, or holds a NUL.
    """
    if not path.exists():
        raise DataError("no such prediction file", path, remedy=remedy)
    try:
        with open_bytes(path) as stream:
            content = stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the gzip file is damaged ({error})", path, remedy="pack it again") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from None
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        remedy = "save the file as UTF-8"
        raise DataError(f"not UTF-8 text ({error.reason})", path, line, remedy=remedy) from None
    if "\0" in text:
        raise DataError("holds a NUL character", path, 1 + text.count("\n", 0, text.index("\0")))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _write(path: Path, texts: Iterable[str]) -> None:
    """Write a whole file of some pieces of text, or leave what was there."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for text in texts:
            file.write(_encoded(path, text))


def _encoded(path: Path, text: str) -> bytes:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AdaptransError(
            f"predictions for {path} hold {text[error.start]!r}, which is no character",
            remedy="decode the predicted text anew",
        ) from None
    odd = "begin with a byte order mark" if text.startswith("\ufeff") else "hold a NUL character"
    if text.startswith("\ufeff") or "\0" in text:
        raise AdaptransError(f"predictions for {path} {odd}", remedy="clean the predicted text")
    return content
