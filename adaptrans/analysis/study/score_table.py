"""Scores in long form, one row per run and language, with the factors that runs differ in. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adaptrans.errors import ConfigError, UnknownNameError

_LOG = re.compile(r"log10\((\w+)\)\Z")


@dataclass(frozen=True)
class ScoreTable:
    """Scores with their factors.

    Args:
        frame: A `pandas.DataFrame`. Columns: `score` in points, `language`, `configuration` (what was run,
            seeds apart), `seed`, `item_error` (standard error over test items, in points; not a number where
            it is not known), and one for each factor and covariate.
        notes: What the reader has to know.
    """

    frame: Any
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def chosen(self, where: dict[str, Any]) -> ScoreTable:
        """The rows whose columns have these values, or one of them.

        Raises:
            UnknownNameError: If there is no such column.
            ConfigError: If no row is left.
        """
        frame = self.frame
        for name, value in where.items():
            wanted = list(value) if isinstance(value, list | tuple) else [value]
            frame = frame[self._known(name).reindex(frame.index).isin(wanted)]
        if not len(frame):
            said = ", ".join(f"{name}: {value}" for name, value in where.items())
            raise ConfigError(f"no row of the table has {said}", remedy="take a value that occurs")
        return replace(self, frame=frame)

    def parts(self, by: Sequence[str]) -> list[tuple[str, ScoreTable]]:
        """The table in parts by the values of some columns, each with its name."""
        if not by:
            return [("", self)]
        for name in by:
            self._known(name)
        groups = self.frame.groupby(list(by), sort=True, dropna=True)
        return [(", ".join(map(_text, key)), replace(self, frame=frame)) for key, frame in groups]

    def column(self, term: str) -> np.ndarray:
        """The numbers of a column, or of `log10(column)`.

        Raises:
            UnknownNameError: If there is no such column.
            ConfigError: If it holds no numbers.
        """
        match = _LOG.match(term)
        values = self._known(match[1] if match else term)
        try:
            found = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise ConfigError(f"column {term} of the table holds no numbers", remedy="name another") from None
        if match and (found <= 0).any():
            raise ConfigError(
                f"{term}: {int((found <= 0).sum())} rows have 0 or less",
                remedy=f"leave them out with where, or take {match[1]} itself",
            )
        return np.log10(found) if match else found

    def texts(self, name: str) -> np.ndarray:
        """The values of a column as text."""
        return np.array([_text(value) for value in self._known(name).tolist()])

    def with_columns(self, values: dict[str, Any]) -> ScoreTable:
        """The table with further columns."""
        return replace(self, frame=self.frame.assign(**values))

    def counts(self, *more: str) -> dict[str, int]:
        """Numbers of rows, languages and configurations, and of the values of other columns."""
        found = {"rows": len(self.frame)}
        for name, said in (("language", "languages"), ("configuration", "configurations"), ("seed", "seeds")):
            if name in self.frame:
                found[said] = int(self.frame[name].nunique())
        return {**found, **{name: int(self.frame[name].nunique()) for name in more}}

    def _known(self, name: str) -> Any:
        if name not in self.frame.columns:
            raise UnknownNameError("column of the table of scores", name, map(str, self.frame.columns))
        return self.frame[name]


def _text(value: Any) -> str:
    """A value of a column as text; a whole number stays whole beside a missing one.

    Example:
        >>> _text(2.0), _text("de")
        ('2', 'de')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class Crossed:
    """Scores of runs that were all scored in the same languages.

    Args:
        languages: Their codes.
        runs: Place of each run's first row in the table.
        scores: Shape (languages, runs).
        errors: Standard errors over test items, 0 where they are not known; of the same shape.
        notes: Languages that were left out, in words.
    """

    languages: tuple[str, ...]
    runs: tuple[Any, ...]
    scores: np.ndarray
    errors: np.ndarray
    notes: tuple[str, ...] = ()


def crossed(table: ScoreTable, run: Sequence[str], outcome: str = "score") -> Crossed:
    """The table as languages by runs; languages that some run lacks are left out, and named.

    Args:
        table: The scores.
        run: Columns that tell runs apart.
        outcome: The column of the values.

    Raises:
        ConfigError: If fewer than two languages were scored in every run.
    """
    frame, values = table.frame, table.column(outcome)
    errors = table.column("item_error") if "item_error" in frame else np.full(len(frame), np.nan)
    codes, row = np.unique(table.texts("language"), return_inverse=True)
    keys = [name for name in run if name in frame]
    column = frame.groupby(keys, dropna=False, sort=True).ngroup().to_numpy()
    first = np.unique(column, return_index=True)[1]
    names = list(frame[keys].iloc[first].itertuples(index=False, name=None))
    shape = len(codes), len(names)
    used = np.isfinite(values)
    counts, sums, spread = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    place = row[used], column[used]
    np.add.at(counts, place, 1)
    np.add.at(sums, place, values[used])
    np.add.at(spread, place, np.nan_to_num(errors[used]))
    there = np.asarray(counts.any(axis=0))
    whole = np.asarray((counts[:, there] > 0).all(axis=1))
    if whole.sum() < 2:
        raise ConfigError(
            f"{whole.sum()} languages were scored in all {there.sum()} runs, two are needed",
            remedy="choose runs of the same languages with where",
        )
    gone = codes[~whole].tolist()
    notes = (f"not scored in every run, left out: {', '.join(gone)}",) if gone else ()
    chosen = np.ix_(whole, there)
    runs = tuple(key for key, own in zip(names, there, strict=True) if own)
    return Crossed(
        tuple(codes[whole].tolist()),
        runs,
        sums[chosen] / counts[chosen],
        spread[chosen] / counts[chosen],
        notes,
    )
