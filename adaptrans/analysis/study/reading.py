"""Tables of scores that others published, as CSV or JSON, read for analyses. Torch-free."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.covariates import Distances, Matrix, read_json_file
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import ConfigError, DataError
from adaptrans.tasks.schema import Strict

RESERVED = ("configuration", "item_error")


class Results(Strict):
    """Where a table of scores lies, and how its columns are named.

    A CSV file, or a JSON list of flat records, has one row per score. Where each record of a JSON list holds
    the scores of several languages as a mapping, `scores` names it; where it holds the size of the training
    data by language, `mixture` names that. Then there are the columns `size` (of all training data),
    `own_size` (in the language of the row), `zero_shot` (whether that is 0), `training_data` (in words:
    `other languages`, or `also its own`), `sources` (number of training languages) and, with distances,
    `nearest_distance` to a training language.
    """

    files: dict[str, str] = Field(
        min_length=1, description="files below the data folder, each with the name that its rows get in task"
    )
    score: str = Field(default="score", description="column of the scores")
    scale: float = Field(default=1.0, description="what a score is multiplied by to be in points: 100")
    columns: dict[str, str] = Field(default={}, description="new names of columns, as language: target_lang")
    scores: str | None = Field(default=None, description="key of each record with scores by language")
    mixture: str | None = Field(default=None, description="key of each record with sizes by language")


def read_results(
    results: Results, distances: Distances | None, data: Path | None, beside: Path
) -> ScoreTable:
    """Read a table of scores.

    Args:
        results: Where it lies.
        distances: Distances between languages.
        data: The data folder.
        beside: Folder of the file that names them, where files are looked for if the data folder lacks them.

    Raises:
        ConfigError: If a file is missing.
        DataError: If one cannot be read, or a score is no number; names the line or record.
    """
    import pandas

    matrix = distances.matrix(data) if distances is not None and distances.file is not None else None
    rows: list[dict[str, Any]] = []
    for task, name in results.files.items():
        path = _place(name, data, beside)
        for number, record in enumerate(_records(path), start=1):
            rows += _rows(record, results, matrix, task, path, number)
    if not rows:
        raise ConfigError("the table of scores has no row", remedy="check files of results")
    frame = pandas.DataFrame(rows)
    if "configuration" not in frame:
        factors = [name for name in frame if name not in ("score", "language", "seed", "item_error", "task")]
        plain = frame[factors].astype(str).agg(" ".join, axis=1) if factors else "all"
        frame = frame.assign(configuration=plain)
    return ScoreTable(frame)


def _place(name: str, data: Path | None, beside: Path) -> Path:
    for folder in (*([data] if data is not None else []), beside, Path()):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"there is no file {name}", remedy="add --data with the folder that has it")


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a CSV or TSV file, or the records of a JSON list."""
    inner = path.with_suffix("") if path.suffix == ".gz" else path
    if inner.suffix in (".csv", ".tsv"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8 at byte {error.start}", path, remedy="save it as UTF-8") from None
        reader = csv.DictReader(io.StringIO(text), delimiter="\t" if inner.suffix == ".tsv" else ",")
        for row in reader:
            if None in row or None in row.values():
                raise DataError("another number of cells than the heading", path, reader.line_num)
            yield row
        return
    if inner.suffix != ".json":
        raise ConfigError(f"{path} is neither .csv, .tsv nor .json", remedy="save it as one of them")
    found = read_json_file(path)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise DataError("not a list of records", path, remedy="save it as a list of mappings")
    yield from found


def _rows(
    record: Mapping[str, Any], results: Results, matrix: Matrix | None, task: str, path: Path, number: int
) -> Iterator[dict[str, Any]]:
    """The rows of one record: one, or one for each language of its scores."""
    flat = {"task": task}
    names = {old: new for new, old in results.columns.items()}
    for key, value in record.items():
        if key not in (results.score, results.scores, results.mixture):
            flat[names.get(key, key)] = _plain(value)
    if results.scores is None:
        if results.score not in record:
            raise DataError(f'row {number} has no column "{results.score}"', path, remedy="name it as score")
        yield {**flat, "score": _number(record[results.score], results, path, number)}
        return
    scores = record.get(results.scores)
    if not isinstance(scores, Mapping):
        raise DataError(f'record {number} has no mapping "{results.scores}"', path, remedy="mend scores")
    own: dict[str, float] = {}
    if results.mixture is not None:
        given = record.get(results.mixture)
        if not isinstance(given, Mapping):
            raise DataError(
                f'record {number} has no mapping "{results.mixture}"', path, remedy="mend mixture"
            )
        own = {str(code): float(size) for code, size in given.items() if float(size) > 0}
    for code, value in scores.items():
        row = {
            **flat,
            "configuration": f"{task} {number}",
            "language": str(code),
            "score": _number(value, results, path, number),
        }
        if results.mixture is not None:
            row["size"] = sum(own.values())
            row["own_size"] = own.get(str(code), 0.0)
            row["zero_shot"] = str(code) not in own
            row["training_data"] = "also its own" if str(code) in own else "other languages"
            row["sources"] = len(own)
            if matrix is not None:
                row["nearest_distance"] = matrix.nearest(str(code), list(own))
        yield row


def _plain(value: Any) -> Any:
    """A cell as a number where it is one; an empty one as not known.

    Example:
        >>> _plain("3"), _plain("de"), _plain("")
        (3, 'de', nan)
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return np.nan
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _number(value: Any, results: Results, path: Path, number: int) -> float:
    try:
        found = float(value) * results.scale
    except (TypeError, ValueError):
        raise DataError(f'row {number} has the score "{value}", no number', path) from None
    if not math.isfinite(found):
        raise DataError(f"row {number} has the score {value}", path, remedy="leave the row out")
    return found
