"""Percentile bootstrap over test examples, for one score, a mean over languages, a difference. No torch.

Counts of a score add up over examples (see `adaptrans.evaluation.metrics`), so a resample
is a matrix product of how often each example was drawn with the counts. All results are
the same for the same seed, whatever the order of the languages.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrans.errors import AdaptransError

SIGNIFICANT = 0.05
"""P-values below it are marked."""

Reduce = Callable[[np.ndarray], np.ndarray]

SMALLEST = 1e-9
"""No p-value is smaller: a normal tail says nothing so far out."""

# Draws held at a time: 8 MB, whatever the number of examples and samples.
_DRAWS = 2**20

# Test sets whose draws are remembered: 130 MB at most.
_KEPT = 16

# Differences closer than this are ties: the same counts can differ by rounding when averaged.
TIE = 1e-9


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval.

    Attributes:
        value: The score of the whole test set, in points.
        low: Lower end, in points.
        high: Upper end, in points.
        n: Number of examples (of items, if languages share them).
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """The score of one system minus that of another on the same examples.

    Attributes:
        value: Difference in points.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: Two-sided; never 0.
        n: Number of examples (of items, if languages share them).
        corrected: The p-value after Holm's correction over the table it stands in; None outside a table.
    """

    value: float
    low: float
    high: float
    p_value: float
    n: int
    corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the difference is marked: p below 0.05, corrected where it stands in a table.

        Example:
            >>> Difference(1.0, 0.2, 1.8, 0.01, 100).significant
            True
            >>> Difference(1.0, 0.2, 1.8, 0.01, 100, corrected=0.09).significant
            False
        """
        return (self.p_value if self.corrected is None else self.corrected) < SIGNIFICANT


def interval(
    statistics: np.ndarray,
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of one score.

    Args:
        statistics: Additive counts, shape (examples, k).
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.

    Raises:
        AdaptransError: If there are no examples.

    Example:
        >>> from adaptrans.evaluation.metrics import SCORES
        >>> score = SCORES["accuracy"]
        >>> counts = score.statistics([1] * 100, [1] * 80 + [0] * 20)
        >>> interval(counts, score.reduce)
        Interval(value=80.0, low=72.0, high=88.0, n=100)
    """
    return mean_interval({"": statistics}, reduce, part, samples, level, seed, parallel=False)


def mean_interval(
    statistics: Mapping[str, np.ndarray],
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    *,
    parallel: bool,
) -> Interval:
    """Percentile bootstrap interval of the plain mean of a score over languages.

    Args:
        statistics: Additive counts of each language, shape (examples, k).
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language. Items are then drawn
            once for all languages, which keeps their correlation; otherwise each language
            is drawn on its own.

    Raises:
        AdaptransError: If there are no examples, or a parallel test set differs in size.
    """
    check_options(samples, level)
    languages = in_order(statistics)
    check_examples(languages, parallel)
    value = plain_mean([values_of(counts.sum(axis=0), reduce, part) for counts in languages.values()])
    means = resampled_mean([languages], reduce, part, samples, seed, parallel)[0]
    low, high = _ends(means, level)
    return Interval(float(value), low, high, number_of_items(languages, parallel))


def paired_difference(
    a: Mapping[str, np.ndarray],
    b: Mapping[str, np.ndarray],
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    *,
    parallel: bool,
) -> Difference:
    """Mean score of `a` minus that of `b`, both resampled with the same draws.

    The p-value is (k + 1) / (samples + 1), where k counts the resamples whose difference is
    at least as far from the observed one as the observed one is from 0. Where none is (k = 0), a
    thousand resamples cannot tell 0.001 from less, and in a large table no difference could be
    marked after correction: then it is that of a normal distribution as wide as the resamples, if
    this is less, but at least 1e-9. A bootstrap of very
    few examples is overconfident, so the p-value is at least 2^(1-m), with m the number of
    examples on which the systems differ: no paired test can give less.

    Args:
        a: Additive counts of each language, shape (examples, k).
        b: The same of the other system, for the same languages and examples.
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language, see `mean_interval`.

    Raises:
        AdaptransError: If the systems were not scored on the same languages and numbers of
            examples, or there are none.

    Example:
        >>> from adaptrans.evaluation.metrics import SCORES
        >>> score = SCORES["accuracy"]
        >>> one = {"de": score.statistics([1] * 4, [1, 1, 1, 0])}
        >>> paired_difference(one, one, score.reduce, parallel=False)
        Difference(value=0.0, low=0.0, high=0.0, p_value=1.0, n=4, corrected=None)
    """
    check_options(samples, level)
    first, second = in_order(a), in_order(b)
    check_pairs(first, second)
    check_examples(first, parallel)
    observed = [
        plain_mean([values_of(counts.sum(axis=0), reduce, part) for counts in system.values()])
        for system in (first, second)
    ]
    value = float(observed[0] - observed[1])
    means = resampled_mean([first, second], reduce, part, samples, seed, parallel)
    differences = means[0] - means[1]
    low, high = _ends(differences, level)
    extreme = int(np.count_nonzero(np.abs(differences - value) >= abs(value) - TIE))
    least = 2.0 ** (1 - differing_examples(first, second, parallel))
    p_value = (extreme + 1) / (samples + 1)
    if not extreme:
        p_value = min(p_value, max(SMALLEST, _normal_tails(value, differences)))
    return Difference(value, low, high, min(1.0, max(p_value, least)), number_of_items(first, parallel))


def _normal_tails(value: float, resampled: np.ndarray) -> float:
    """Chance that a normal variable as wide as the resamples lies as far from 0 as a value."""
    width = float(np.std(resampled))
    return math.erfc(abs(value) / (width * math.sqrt(2))) if width else 0.0


def resampled_mean(
    systems: Sequence[Mapping[str, np.ndarray]],
    reduce: Reduce,
    part: int,
    samples: int,
    seed: int,
    parallel: bool,
) -> np.ndarray:
    """Mean over languages in each resample, shape (systems, samples), same draws for all systems."""
    names = list(systems[0])
    groups = [names] if parallel else [[name] for name in names]
    totals = np.zeros((len(systems), samples))
    for group in groups:
        # Systems and languages of a group side by side: one product serves them all.
        columns = [system[name] for system in systems for name in group]
        sums = _resampled_sums(np.hstack(columns), samples, seed, "" if parallel else group[0])
        shaped = sums.reshape(samples, len(systems), len(group), -1)
        totals += values_of(shaped, reduce, part).sum(axis=2).T
    return totals / len(names)


def _resampled_sums(statistics: np.ndarray, samples: int, seed: int, language: str) -> np.ndarray:
    """Sums of counts over `samples` resamples of the rows, shape (samples, k)."""
    n = len(statistics)
    step = max(1, _DRAWS // n)
    if samples <= step:
        return _kept_draws(seed, language, n, samples) @ statistics
    generator = _generator(seed, language)
    sums = np.empty((samples, statistics.shape[1]))
    for start in range(0, samples, step):
        stop = min(start + step, samples)
        sums[start:stop] = _draws(generator, n, stop - start) @ statistics
    return sums


@functools.lru_cache(maxsize=_KEPT)
def _kept_draws(seed: int, language: str, n: int, samples: int) -> np.ndarray:
    """The draws of a small test set, which every setup of a table shares."""
    return _draws(_generator(seed, language), n, samples)


def _draws(generator: np.random.Generator, n: int, samples: int) -> np.ndarray:
    """How often each of n rows is drawn in each resample, shape (samples, n)."""
    times = np.empty((samples, n))
    for row in times:
        row[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
    return times


def _generator(seed: int, language: str) -> np.random.Generator:
    """A stream per language, so that adding a language leaves the draws of the others."""
    return np.random.default_rng([seed, *language.encode()])


def values_of(sums: np.ndarray, reduce: Reduce, part: int) -> np.ndarray:
    """One of the values of sums of counts."""
    return np.asarray(reduce(sums))[..., part]


def plain_mean(values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of equal shapes, in their order."""
    return np.asarray(values).sum(axis=0) / len(values)


def _ends(values: np.ndarray, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def in_order(statistics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Languages by name, so that the order in which they were scored has no effect."""
    return {name: np.asarray(statistics[name], dtype=np.float64) for name in sorted(statistics)}


def number_of_items(languages: Mapping[str, np.ndarray], parallel: bool) -> int:
    """Number of examples, of items where languages share them."""
    sizes = [len(counts) for counts in languages.values()]
    return sizes[0] if parallel else sum(sizes)


def differing_examples(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], parallel: bool) -> int:
    """Number of examples (items, if parallel) whose counts differ between two systems."""
    rows = [np.any(a[name] != b[name], axis=1) for name in a]
    return int(np.any(rows, axis=0).sum()) if parallel else int(sum(row.sum() for row in rows))


def check_options(samples: int, level: float) -> None:
    """Refuse options of a bootstrap that cannot be."""
    if samples < 1:
        raise AdaptransError(f"{samples} bootstrap samples", remedy="take one or more, usually 1000")
    if not 0 < level < 1:
        raise AdaptransError(f"level {level} is not between 0 and 1", remedy="0.95 means 95 %")


def check_examples(languages: Mapping[str, np.ndarray], parallel: bool) -> None:
    """Refuse what cannot be resampled."""
    if not languages:
        raise AdaptransError("no language to average over", remedy="score one language or more")
    for name, counts in languages.items():
        place = f" in {name}" if name else ""
        if counts.ndim != 2:
            raise ValueError(f"counts{place} have shape {counts.shape}, expected (examples, k)")
        if len(counts) == 0:
            raise AdaptransError(f"no scored examples{place}", remedy="check the split and limit")
    sizes = {name: len(counts) for name, counts in languages.items()}
    smallest, largest = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if parallel and sizes[smallest] != sizes[largest]:
        raise AdaptransError(
            f"a parallel test set has {sizes[largest]} items in {largest}, {sizes[smallest]} in {smallest}",
            remedy="score every language in full, or state parallel: false in the task",
        )


def check_pairs(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    """Refuse two systems that were not scored on the same examples."""
    if list(a) != list(b):
        only = sorted(set(a) ^ set(b))
        raise AdaptransError(
            f"only one of two compared systems was scored in {', '.join(only)}",
            remedy="score both in the same languages",
        )
    for name in a:
        if a[name].shape != b[name].shape:
            raise AdaptransError(
                f"compared systems were scored on {len(a[name])} and {len(b[name])} examples in {name}",
                remedy="score both on the same examples with the same score",
            )
