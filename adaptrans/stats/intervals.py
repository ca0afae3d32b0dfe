"""Percentile bootstrap over test examples, for one score, a mean over languages, a difference. No torch.

Where fewer than ten examples differ from what most score (all right, or nearly), the interval is another one;
see `adaptrans.stats.edges`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrans.stats.bootstrap import (
    Reduce,
    check_examples,
    check_options,
    check_pairs,
    differing_examples,
    in_order,
    resample,
)
from adaptrans.stats.edges import Sample, Weigh, alike

SIGNIFICANT = 0.05
"""P-values below it are marked."""

SMALLEST = 1e-9
"""No p-value is smaller: a normal tail says nothing so far out."""

TIE = 1e-9
"""Differences closer than this are ties: the same counts can differ by rounding when averaged."""


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
    *,
    weigh: Weigh = alike,
) -> Interval:
    """Percentile bootstrap interval of one score.

    Args:
        statistics: Additive counts, shape (examples, k).
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        weigh: Weight of each example in the value, the score's own.

    Raises:
        AdaptransError: If there are no examples.

    Example:
        >>> from adaptrans.evaluation.metrics import SCORES
        >>> score = SCORES["accuracy"]
        >>> counts = score.statistics([1] * 100, [1] * 80 + [0] * 20)
        >>> interval(counts, score.reduce)
        Interval(value=80.0, low=72.0, high=88.0, n=100)
        >>> perfect = interval(score.statistics([1] * 50, [1] * 50), score.reduce)
        >>> round(perfect.low, 1), perfect.high
        (92.9, 100.0)
    """
    return mean_interval({"": statistics}, reduce, part, samples, level, seed, parallel=False, weigh=weigh)


def mean_interval(
    statistics: Mapping[str, np.ndarray],
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    *,
    parallel: bool,
    weigh: Weigh = alike,
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
        weigh: Weight of each example in the value, the score's own.

    Raises:
        AdaptransError: If there are no examples, or a parallel test set differs in size.
    """
    check_options(samples, level)
    languages = in_order(statistics)
    check_examples(languages, parallel)
    found = resample([languages], reduce, part, samples, seed, parallel=parallel, weigh=weigh).means([0])
    return interval_of(float(found.observed[0]), found.draws[0], found.n, found.sample, level)


def interval_of(value: float, draws: np.ndarray, n: int, sample: Sample, level: float = 0.95) -> Interval:
    """Percentile interval of a value, or that of few differing examples.

    Args:
        value: The value as observed.
        draws: The same in each resample, shape (samples,).
        n: Number of examples.
        sample: What the value was computed from.
        level: Coverage, as a fraction.
    """
    return Interval(value, *ends_of(value, _ends(draws, level), sample, level), n)


def ends_of(
    value: float,
    otherwise: tuple[float, float],
    sample: Sample,
    level: float = 0.95,
    least: float = 0.0,
    *,
    seeds: int = 1,
) -> tuple[float, float]:
    """The ends of an interval: those of few differing examples, otherwise as they are.

    Args:
        value: The value, in points.
        otherwise: The ends by the bootstrap; of several seeds they stand where they lie further out.
        sample: What the value was computed from.
        level: Coverage, as a fraction.
        least: The least that the value can be; the most is 100.
        seeds: Number of seeds.
    """
    reach = sample.reach(level)
    if reach is None:
        return otherwise
    low, high = max(least, value - reach.below), min(100.0, value + reach.above)
    return (low, high) if seeds == 1 else (min(low, otherwise[0]), max(high, otherwise[1]))


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
    weigh: Weigh = alike,
) -> Difference:
    """Mean score of `a` minus that of `b`, both resampled with the same draws.

    The p-value is (k + 1) / (samples + 1), where k counts the resamples whose difference is
    at least as far from the observed one as the observed one is from 0. Where none is (k = 0), a
    thousand resamples cannot tell 0.001 from less, and in a large table no difference could be
    marked after correction: then it is that of a normal distribution as wide as the resamples, if
    this is less, but at least 1e-9. A bootstrap of very
    few examples is overconfident, so the p-value is at least 2^(1-m), with m the number of
    examples on which the systems differ: no paired test can give less. Where fewer than ten differ, it is
    at least that of the exact test that deals out their signs (McNemar's, for right and wrong answers), and
    the interval is that of few examples; a system beside itself has no width.

    Args:
        a: Additive counts of each language, shape (examples, k).
        b: The same of the other system, for the same languages and examples.
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language, see `mean_interval`.
        weigh: Weight of each example in the value, the score's own.

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
    found = resample([first, second], reduce, part, samples, seed, parallel=parallel, weigh=weigh)
    (one, other), means = (found.means([at]) for at in (0, 1)), found.means([0, 1])
    differing = differing_examples([first], [second], parallel)
    value, draws = means.observed[0] - means.observed[1], means.draws[0] - means.draws[1]
    return difference_of(float(value), draws, differing, means.n, one.sample.beside(other.sample), level)


def difference_of(
    value: float, draws: np.ndarray, differing: int, n: int, sample: Sample, level: float = 0.95
) -> Difference:
    """Paired difference of two systems, see `paired_difference`.

    Args:
        value: The difference as observed.
        draws: The same in each resample, shape (samples,).
        differing: Number of examples on which the systems differ.
        n: Number of examples.
        sample: What the difference was computed from.
        level: Coverage, as a fraction.
    """
    low, high = _ends(draws, level)
    extreme = int(np.count_nonzero(np.abs(draws - value) >= abs(value) - TIE))
    p_value = (extreme + 1) / (len(draws) + 1)
    if not extreme:
        p_value = min(p_value, max(SMALLEST, _normal_tails(value, draws)))
    ends, p_value = with_few(value, (low, high), p_value, sample, level)
    return Difference(value, *ends, min(1.0, max(p_value, 2.0 ** (1 - differing))), n)


def with_few(
    value: float,
    otherwise: tuple[float, float],
    p_value: float,
    sample: Sample,
    level: float = 0.95,
    *,
    seeds: int = 1,
) -> tuple[tuple[float, float], float]:
    """Ends and p-value of a difference: those of few differing examples, otherwise as they are."""
    if sample.of_itself:
        return otherwise, p_value
    ends = ends_of(value, otherwise, sample, level, -100.0, seeds=seeds)
    return ends, p_value if ends == otherwise else max(p_value, sample.flipped())


def _normal_tails(value: float, resampled: np.ndarray) -> float:
    """Chance that a normal variable as wide as the resamples lies as far from 0 as a value."""
    width = float(np.std(resampled))
    return math.erfc(abs(value) / (width * math.sqrt(2))) if width else 0.0


def _ends(values: np.ndarray, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm's correction, in the order given.

    With those below 0.05 marked, the chance that any mark of the table is false is at most 5 %.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> [round(value, 3) for value in holm_correction([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found = [1.0] * len(p_values)
    least = 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[index]))
        found[index] = least
    return found
