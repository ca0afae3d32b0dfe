"""What is known of languages besides their scores: text in CC-100, resource class, distances. Torch-free."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from adaptrans import languages
from adaptrans.errors import ConfigError, DataError, UnknownNameError
from adaptrans.tasks.schema import Names, Strict

URIEL = "uriel/english_distances_urielplus-1.3.2.tsv"
"""Distances from English to 163 languages in a data folder, as urielplus 1.3.2 computes them."""

RECIPE = (
    "urielplus 1.3.2, new_distance(KIND, [ISO 639-3 codes]): (2/pi) arccos of the cosine over known features"
)

KINDS = ("genetic", "geographic", "featural", "syntactic", "inventory", "phonological")


class Distances(Strict):
    """Distances between languages, as columns of the table of scores.

    Without a file: of kinds from English, from the table of the data folder, or computed by `urielplus`
    where it is installed (the extra `typology`). With a file: a square matrix in JSON.
    """

    kinds: Names = Field(default=(), description=f"columns KIND_distance: {', '.join(KINDS)}")
    file: str | None = Field(
        default=None, description="JSON file with a square matrix, below the data folder"
    )
    path: Names = Field(default=(), description="keys that lead to the matrix in the file")
    languages: Names = Field(default=(), description="codes of its rows, in order")

    @model_validator(mode="after")
    def _whole(self) -> Distances:
        if (self.file is None) != (not self.languages):
            raise ValueError("a file needs the languages of its rows, in order")
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(str(UnknownNameError("distance", kind, KINDS)))
        return self

    def matrix(self, data: Path | None) -> Matrix:
        """The matrix of the file.

        Raises:
            DataError: If it is not a square of as many rows as there are languages.
        """
        assert self.file is not None
        path = _below(data, self.file)
        found = read_json_file(path)
        for key in self.path:
            if not isinstance(found, Mapping) or key not in found:
                raise DataError(f'no key "{key}"', path, remedy="mend path of distances")
            found = found[key]
        try:
            values = np.asarray(found, dtype=float)
        except (TypeError, ValueError):
            raise DataError("no matrix of numbers", path, remedy="mend path of distances") from None
        number = len(self.languages)
        if values.shape != (number, number):
            shape = " x ".join(map(str, values.shape))
            raise DataError(f"a matrix of {shape} for {number} languages", path, remedy="mend languages")
        return Matrix({code: at for at, code in enumerate(self.languages)}, values)


class Matrix:
    """Distances between all pairs of some languages.

    Args:
        places: Row of each language.
        values: Shape (languages, languages).
    """

    def __init__(self, places: Mapping[str, int], values: np.ndarray) -> None:
        self.places, self.values = places, values

    def nearest(self, language: str, others: Sequence[str]) -> float:
        """Distance to the nearest of some languages; not a number where none has one.

        Example:
            >>> found = Matrix({"de": 0, "en": 1}, np.array([[0.0, 0.4], [0.4, 0.0]]))
            >>> found.nearest("de", ["en"]), found.nearest("de", ["xx"])
            (0.4, nan)
        """
        known = [self.places[code] for code in others if code in self.places]
        if language not in self.places or not known:
            return math.nan
        return float(self.values[self.places[language], known].min())


def _below(data: Path | None, name: str) -> Path:
    path = Path(name) if Path(name).is_absolute() or data is None else data / name
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", remedy="add --data with the folder that has it")
    return path


def read_json_file(path: Path) -> Any:
    """The content of a JSON file, plain or `.gz`.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return json.loads(content.decode("utf-8-sig"))
    except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"is not JSON: {error}", path) from None


def english_distances(kind: str, codes: Sequence[str], data: Path | None) -> tuple[dict[str, float], str]:
    """Distances of languages from English, and where they are from.

    Args:
        kind: One of `KINDS`.
        codes: The languages.
        data: The data folder.

    Raises:
        ConfigError: If neither the table nor the package is there.
    """
    table = None if data is None else data / URIEL
    if table is not None and table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["distance"] == kind]
        known = {row["language"]: float(row["value"]) for row in rows if row["value"]}
        return {code: known[code] for code in codes if code in known}, f"{kind} distances: {RECIPE}"
    return _computed(kind, codes)


def _computed(kind: str, codes: Sequence[str]) -> tuple[dict[str, float], str]:
    try:
        from importlib.metadata import version

        from urielplus import urielplus
    except ImportError:
        raise ConfigError(
            f"{kind} distances need {URIEL} in the data folder, or the package urielplus",
            remedy="add --data, or: pip install 'adaptrans[typology]'",
        ) from None
    found = {}
    # The package logs every distance at the level of the whole program.
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        source = urielplus.URIELPlus()
        for code in codes:
            iso = _iso3(code)
            # It raises bare errors, and exits, where nothing is known of a language.
            with contextlib.suppress(Exception, SystemExit):
                found[code] = 0.0 if iso == "eng" else float(source.new_distance(kind, ["eng", iso]))
    finally:
        logging.disable(before)
    return found, f"{kind} distances: urielplus {version('urielplus')}, new_distance(kind, [eng, iso3])"


def _iso3(code: str) -> str:
    try:
        return languages.get(code).iso3
    except UnknownNameError:
        return code


def language_columns(codes: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of the table of languages for some codes: family, resource class, gigabytes of CC-100.

    Not a number, or an empty text, where it is not known. Languages outside CC-100 have no size.

    Example:
        >>> language_columns(["sw", "xx"])
        {'family': ['Niger-Congo', ''], 'resource_class': [2, None], 'cc100_gib': [1.6, nan]}
    """
    found: dict[str, list[Any]] = {"family": [], "resource_class": [], "cc100_gib": []}
    for code in codes:
        try:
            own = languages.get(code)
        except UnknownNameError:
            own = None
        found["family"].append(own.family if own else "")
        found["resource_class"].append(own.resource_class if own else None)
        size = own.cc100_gib if own else None
        found["cc100_gib"].append(math.nan if size is None else size)
    return found
