"""Scores of an evaluation as they lie in its run: per language value, n and interval. Torch-free."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from adaptrans.evaluation.edges import Sample
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.statistics import ends_of, interval
from adaptrans.files import read_json, write_json, written_whole
from adaptrans.hub.store import Run
from adaptrans.runs.evaluations import EvaluateSpec

INTERVALS = 2
"""Raised when intervals get another rule; what an older one stored is brought up to it when it is read."""


@dataclass(frozen=True)
class LanguageResult:
    """What a setup scored in one language.

    Args:
        language: The language.
        n: Examples scored; 0 where the data has no gold.
        values: Values x 100 by `<score>` or `<score>.<part>`, the primary one first.
        low: Lower end of the primary value's 95 % bootstrap interval.
        high: Upper end.
        data: Fingerprint of the data it was scored on.
        precision: Precision it was computed in.
        whole: Whether no bad row was left out, so that row i is the data's item i.
        notes: What the reader of the number has to know.
        layers: For retrieval, the primary value at every layer, 0 = embeddings.
        half: The same on the first half of the sentences, on which a layer may be chosen.
        chance: The primary value without reading the text, see `adaptrans.evaluation.chance`.
    """

    language: str
    n: int
    values: dict[str, float]
    low: float | None
    high: float | None
    data: str
    precision: str
    whole: bool = True
    notes: tuple[str, ...] = ()
    layers: tuple[float, ...] = ()
    chance: float | None = None
    half: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """The primary value x 100, None without gold."""
        return next(iter(self.values.values()), None)

    @property
    def above_chance(self) -> bool | None:
        """Whether the whole interval lies above chance; None where one of them is not known."""
        if self.low is None or self.chance is None:
            return None
        return self.low > self.chance


@dataclass(frozen=True)
class Scored:
    """Predictions of one language, counted.

    Args:
        statistics: Additive counts by score name, shape (examples, k).
        notes: What the reader has to know.
        layers: For retrieval, the primary value at every layer.
        half: The same on the first half of the sentences.
        whole: Whether no bad row was left out.
        chance: The primary value without reading the text.
    """

    statistics: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()
    whole: bool = True
    layers: Sequence[float] = field(default=())
    half: Sequence[float] = field(default=())
    chance: float | None = None


def language_result(
    spec: EvaluateSpec, language: str, scored: Scored, data: str, precision: str
) -> LanguageResult:
    """Values of all scores of a task, and the interval of the primary one."""
    values: dict[str, float] = {}
    for name, statistics in scored.statistics.items():
        for part, value in SCORES[name].values(statistics).items():
            values[name if part == name else f"{name}.{part}"] = value
    low = high = None
    n = 0
    if values:
        name = spec.task.scores[0]
        primary = scored.statistics[name]
        rule = SCORES[name]
        bounds = interval(primary, rule.reduce, samples=spec.config.samples, weigh=rule.weigh)
        low, high, n = bounds.low, bounds.high, len(primary)
    return LanguageResult(
        language,
        n,
        values,
        low,
        high,
        data,
        precision,
        scored.whole,
        scored.notes,
        tuple(scored.layers),
        scored.chance,
        tuple(scored.half),
    )


def save_language(run: Run, result: LanguageResult, scored: Scored) -> None:
    """Write one language's statistics, then its scores, whose presence says it is done."""
    for name, statistics in scored.statistics.items():
        with (
            written_whole(statistics_path(run, result.language, name)) as temporary,
            temporary.open("wb") as file,
        ):
            np.save(file, statistics, allow_pickle=False)
    values = {**asdict(result), "intervals": INTERVALS}
    write_json(run.path / "scores" / f"{result.language}.json", values)


def statistics_path(run: Run, language: str, score: str) -> Path:
    """Where the counts of a language lie."""
    return run.path / "statistics" / f"{language}.{score}.npy"


def load_statistics(run: Run, language: str, score: str) -> np.ndarray:
    """Counts of one language, shape (examples, k); they cannot be written to."""
    data = statistics_path(run, language, score).read_bytes()
    start = 10 + int.from_bytes(data[8:10], "little")
    shape, by_columns, kind = _layout(data[:start])
    return np.frombuffer(data, kind, offset=start).reshape(shape, order="F" if by_columns else "C")


@lru_cache(maxsize=256)
def _layout(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array file; its header is Python, and slow to parse again and again."""
    file = io.BytesIO(header)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"array file of format {version}, expected 1.0")
    return np.lib.format.read_array_header_1_0(file)


def load_language(run: Run, language: str) -> LanguageResult | None:
    """The scores of a language, None if it was not evaluated."""
    path = run.path / "scores" / f"{language}.json"
    if not path.is_file():
        return None
    values: dict[str, Any] = read_json(path)
    made_by = values.pop("intervals", 1)
    lists = {name: tuple(values.get(name, ())) for name in ("notes", "layers", "half")}
    found = LanguageResult(**{**values, **lists})
    return found if made_by >= INTERVALS else _brought_up(run, found)


def _brought_up(run: Run, found: LanguageResult) -> LanguageResult:
    """A result with the interval it would get now: the first rule was the bootstrap for all."""
    if found.value is None or found.low is None or found.high is None:
        return found
    rule = SCORES[next(iter(found.values)).partition(".")[0]]
    if not statistics_path(run, found.language, rule.name).is_file():
        return found
    counts = load_statistics(run, found.language, rule.name)
    sample = Sample([[counts]], rule.reduce, 0, parallel=False, weigh=rule.weigh)
    low, high = ends_of(found.value, (found.low, found.high), sample)
    return replace(found, low=low, high=high)


def load_results(run: Run) -> dict[str, LanguageResult]:
    """All evaluated languages of a run, in alphabetical order."""
    found = (load_language(run, path.stem) for path in sorted((run.path / "scores").glob("*.json")))
    return {result.language: result for result in found if result is not None}
