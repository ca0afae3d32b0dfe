"""Intervals and paired differences of scores, of one seed or the median of several. No torch.

Of one seed the interval is the percentile bootstrap's over test examples. Of several it is a hierarchical
bootstrap with two sources of variance. Examples are resampled, the same draw for every seed and system. Seeds
are too few to be resampled (of three, every ninth resample would hold one three times, and intervals would be
too short): their variance is estimated, and Student's t takes care of its being an estimate, with
Satterthwaite's degrees of freedom for the sum of both parts. A seed that answers other examples right moves
the variance between seeds and the resampled one; this interaction is estimated in each resample and counted
once.

Where fewer than ten examples differ from what most score (all right, or nearly), the interval is another one;
see `adaptrans.stats.edges`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.stats.bootstrap import (
    Means,
    Reduce,
    Resampled,
    System,
    check_examples,
    check_options,
    check_pairs,
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


@dataclass(frozen=True)
class Spread:
    """A median over seeds and the parts of its variance.

    Attributes:
        value: The median, in points.
        draws: Mean over seeds in each resample of the examples, shape (samples,).
        of_seeds: Variance of the median that comes from seeds.
        interaction: Variance of the mean that comes from a seed's own choice of right examples.
        seeds: Number of seeds.
        n: Number of examples.
        sample: What the scores were computed from.
    """

    value: float
    draws: np.ndarray
    of_seeds: float
    interaction: float
    seeds: int
    n: int
    sample: Sample


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
    return median_over_seeds(
        [{"": statistics}], reduce, part, samples, level, seed, parallel=False, weigh=weigh
    )


def median_over_seeds(
    systems: Sequence[System],
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    *,
    parallel: bool,
    weigh: Weigh = alike,
) -> Interval:
    """Median over seeds of the mean over languages, with an interval over seeds and examples.

    There is one system per seed, for the same languages and examples. Where row i is the same item in every
    language (`parallel`), items are drawn once for all languages, which keeps their correlation; otherwise
    each language is drawn on its own. The other arguments are those of `interval`.

    Raises:
        AdaptransError: If there is no seed, language or example, seeds were not scored on the same examples,
            or a parallel test set differs in size.
    """
    own = _distinct(systems)
    found = _resampled(own, reduce, part, samples, level, seed, parallel, weigh)
    return median_of(spread_of(found.means(range(len(own)))), level)


def difference_over_seeds(
    a: Sequence[System],
    b: Sequence[System],
    reduce: Reduce,
    part: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    *,
    parallel: bool,
    weigh: Weigh = alike,
) -> Difference:
    """Median over seeds of `a` minus that of `b`, both resampled with the same draws.

    Seeds of the two systems are independent draws; a baseline without training has one. The arguments are
    those of `median_over_seeds`.

    Raises:
        AdaptransError: If the systems were not scored on the same languages and examples, or there are none.

    Example:
        >>> from adaptrans.evaluation.metrics import SCORES
        >>> score = SCORES["accuracy"]
        >>> one = {"de": score.statistics([1] * 4, [1, 1, 1, 0])}
        >>> difference_over_seeds([one], [one], score.reduce, parallel=False)
        Difference(value=0.0, low=0.0, high=0.0, p_value=1.0, n=4, corrected=None)
    """
    first, second = _distinct(a), _distinct(b)
    every = [*first, *second]
    found = _resampled(every, reduce, part, samples, level, seed, parallel, weigh)
    places = range(len(first)), range(len(first), len(every))
    own, other = (spread_of(found.means(at)) for at in places)
    return difference_of_medians(own, other, level)


def _distinct(systems: Sequence[System]) -> list[System]:
    """The systems, or one of them if all are the same: what has no training is one run for every seed."""
    if not systems:
        raise AdaptransError("no seed to take a median over", remedy="evaluate one seed or more")
    return [systems[0]] if all(other is systems[0] for other in systems) else list(systems)


def _resampled(
    systems: Sequence[System],
    reduce: Reduce,
    part: int,
    samples: int,
    level: float,
    seed: int,
    parallel: bool,
    weigh: Weigh,
) -> Resampled:
    check_options(samples, level)
    ordered = [
        {name: np.asarray(system[name], dtype=np.float64) for name in sorted(system)} for system in systems
    ]
    check_examples(ordered[0], parallel)
    for other in ordered[1:]:
        check_pairs(ordered[0], other)
    return resample(ordered, reduce, part, samples, seed, parallel=parallel, weigh=weigh)


def spread_of(seeds: Means) -> Spread:
    """The median over seeds and the parts of its variance.

    Args:
        seeds: Scores of each seed, as observed and in each resample of the examples.
    """
    number = len(seeds.observed)
    if number == 1:
        return Spread(float(seeds.observed[0]), seeds.draws[0], 0.0, 0.0, 1, seeds.n, seeds.sample)
    draws = seeds.draws.mean(axis=0)
    own = float(np.var(seeds.draws - draws, axis=1, ddof=1).mean()) * number / (number - 1)
    of_seeds = median_factor(number) * float(np.var(seeds.observed, ddof=1)) / number
    value = median(seeds.observed.tolist())
    return Spread(value, draws, of_seeds, own / number, number, seeds.n, seeds.sample)


def median_of(own: Spread, level: float = 0.95) -> Interval:
    """The interval of a median over seeds; of one seed the percentile interval.

    Args:
        own: The median.
        level: Coverage, as a fraction.
    """
    if own.seeds == 1:
        ends = _percentiles(own.draws, level)
    else:
        error, freedom = _error([own], own.draws)
        width = t_quantile((1 + level) / 2, freedom) * error
        ends = max(0.0, own.value - width), min(100.0, own.value + width)
    return Interval(own.value, *ends_of(own.value, ends, own.sample, level, seeds=own.seeds), own.n)


def difference_of_medians(a: Spread, b: Spread, level: float = 0.95) -> Difference:
    """Difference of two medians over seeds, paired by example.

    Of one seed each, the p-value is (k + 1) / (samples + 1), where k counts the resamples whose difference
    is at least as far from the observed one as the observed one is from 0. Where none is (k = 0), a thousand
    resamples cannot tell 0.001 from less, and in a large table no difference could be marked after
    correction: then it is that of a normal distribution as wide as the resamples, if this is less, but at
    least 1e-9. A bootstrap of very few examples is overconfident, so the p-value is at least 2^(1-m), with m
    the number of examples on which the systems differ: no paired test can give less. Where fewer than ten
    differ, it is at least that of the exact test that deals out their signs (McNemar's, for right and wrong
    answers), and the interval is that of few examples; a system beside itself has no width.

    Args:
        a: The median of one system.
        b: That of the other one, with the same draws.
        level: Coverage, as a fraction.
    """
    value, draws = float(a.value - b.value), a.draws - b.draws
    if a.seeds == b.seeds == 1:
        ends = _percentiles(draws, level)
        extreme = int(np.count_nonzero(np.abs(draws - value) >= abs(value) - TIE))
        p_value = (extreme + 1) / (len(draws) + 1)
        if not extreme:
            width = float(np.std(draws))
            tails = math.erfc(abs(value) / (width * math.sqrt(2))) if width else 0.0
            p_value = min(p_value, max(SMALLEST, tails))
    else:
        error, freedom = _error([a, b], draws)
        width = t_quantile((1 + level) / 2, freedom) * error
        ends = value - width, value + width
        p_value = 1.0 if abs(value) < TIE else SMALLEST
        if error > 0:
            p_value = max(SMALLEST, two_sided_p(value / error, freedom))
    sample = a.sample.beside(b.sample)
    if not sample.of_itself:
        few = ends_of(value, ends, sample, level, -100.0, seeds=max(a.seeds, b.seeds))
        if few != ends:
            ends, p_value = few, max(p_value, sample.flipped())
    return Difference(value, *ends, min(1.0, max(p_value, 2.0 ** (1 - sample.differing()))), a.n)


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


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _error(spreads: Sequence[Spread], draws: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom of a median over seeds, or of a difference of two."""
    shared = max(0.0, float(np.var(draws, ddof=1)) - sum(spread.interaction for spread in spreads))
    variance = shared + sum(spread.of_seeds for spread in spreads)
    below = sum(spread.of_seeds**2 / (spread.seeds - 1) for spread in spreads if spread.seeds > 1)
    return math.sqrt(variance), variance**2 / below if below > 0 else math.inf


@functools.cache
def median_factor(seeds: int) -> float:
    """How much more a median of so many normal values varies than their mean.

    Example:
        >>> median_factor(1), median_factor(2), round(median_factor(3), 1), round(median_factor(5), 1)
        (1.0, 1.0, 1.3, 1.4)
    """
    if seeds < 3:
        return 1.0
    values = np.random.default_rng(seeds).standard_normal((200_000, seeds))
    return float(np.var(np.median(values, axis=1)) * seeds)


def t_quantile(share: float, freedom: float) -> float:
    """The value below which a share of Student's t lies; with infinite freedom it is the normal distribution.

    Example:
        >>> round(t_quantile(0.975, 2), 3), round(t_quantile(0.975, math.inf), 3)
        (4.303, 1.96)
    """
    from scipy.special import stdtrit

    # Four figures of the degrees of freedom are more than an estimate of them has.
    return float(stdtrit(float(f"{freedom:.4g}"), share))


def two_sided_p(t: float, freedom: float) -> float:
    """Probability that Student's t is at least as far from 0.

    Example:
        >>> round(two_sided_p(2.0, 10), 4), round(two_sided_p(-1.96, math.inf), 4)
        (0.0734, 0.05)
    """
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(t)))


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
