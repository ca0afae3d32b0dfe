"""Several seeds: their median, and how far other seeds and other examples may move it. No torch.

A hierarchical bootstrap with two sources of variance. Examples are resampled, the same draw for every seed
and system, as with one seed. Seeds are too few to be resampled (of three, every ninth resample would hold one
three times, and intervals would be too short): their variance is estimated, and Student's t takes care of its
being an estimate, with Satterthwaite's degrees of freedom for the sum of both parts.

A seed that answers other examples right moves the variance between seeds and the resampled one; this
interaction is estimated in each resample and counted once.
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
    System,
    check_examples,
    check_options,
    check_pairs,
    differing_examples,
    in_order,
    resample,
)
from adaptrans.stats.edges import Sample, Weigh, alike
from adaptrans.stats.intervals import (
    SMALLEST,
    TIE,
    Difference,
    Interval,
    difference_of,
    ends_of,
    interval_of,
    with_few,
)


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

    @property
    def freedom(self) -> float:
        """What this spread adds to the denominator of Satterthwaite's degrees of freedom."""
        return self.of_seeds**2 / (self.seeds - 1) if self.seeds > 1 else 0.0


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

    Args:
        systems: One per seed, for the same languages and examples; of one seed it is `mean_interval`.
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples of the examples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language, see `mean_interval`.
        weigh: Weight of each example in the value, the score's own.

    Raises:
        AdaptransError: If there is no seed, or seeds were not scored on the same examples.
    """
    ordered = _checked(_distinct(systems), samples, level, parallel)
    found = resample(ordered, reduce, part, samples, seed, parallel=parallel, weigh=weigh)
    return median_of(spread_of(found.means(range(len(ordered)))), level)


def median_of(own: Spread, level: float = 0.95) -> Interval:
    """The interval of a median over seeds; of one seed the percentile interval.

    Args:
        own: The median.
        level: Coverage, as a fraction.
    """
    if own.seeds == 1:
        return interval_of(own.value, own.draws, own.n, own.sample, level)
    error, freedom = _error([own], own.draws)
    width = t_quantile((1 + level) / 2, freedom) * error
    low, high = max(0.0, own.value - width), min(100.0, own.value + width)
    return Interval(own.value, *ends_of(own.value, (low, high), own.sample, level, seeds=own.seeds), own.n)


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
    """Median over seeds of `a` minus that of `b`, paired by example.

    Seeds of the two systems are independent draws; a baseline without training has one.

    Args:
        a: One system per seed; with one seed on both sides it is `paired_difference`.
        b: The same of the other system, for the same languages and examples.
        reduce: Sums of counts, shape (..., k), to values, shape (..., parts).
        part: Which of the values.
        samples: Number of resamples of the examples.
        level: Coverage, as a fraction.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language, see `mean_interval`.
        weigh: Weight of each example in the value, the score's own.

    Raises:
        AdaptransError: If the systems were not scored on the same languages and examples.
    """
    first, second = _distinct(a), _distinct(b)
    ordered = _checked([*first, *second], samples, level, parallel)
    found = resample(ordered, reduce, part, samples, seed, parallel=parallel, weigh=weigh)
    number = len(first)
    differing = differing_examples(ordered[:number], ordered[number:], parallel)
    own, other = (spread_of(found.means(places)) for places in (range(number), range(number, len(ordered))))
    return difference_of_medians(own, other, differing, level)


def difference_of_medians(a: Spread, b: Spread, differing: int, level: float = 0.95) -> Difference:
    """Difference of two medians over seeds, see `difference_over_seeds`; of one seed each, the paired one.

    Args:
        a: The median of one system.
        b: That of the other one, with the same draws.
        differing: Number of examples on which the systems differ.
        level: Coverage, as a fraction.
    """
    value, draws = a.value - b.value, a.draws - b.draws
    if a.seeds == b.seeds == 1:
        return difference_of(value, draws, differing, a.n, a.sample.beside(b.sample), level)
    error, freedom = _error([a, b], draws)
    width = t_quantile((1 + level) / 2, freedom) * error
    tie = 1.0 if abs(value) < TIE else SMALLEST
    p_value = two_sided_p(value / error, freedom) if error > 0 else tie
    number = max(a.seeds, b.seeds)
    sample = a.sample.beside(b.sample)
    ends, p_value = with_few(value, (value - width, value + width), p_value, sample, level, seeds=number)
    p_value = min(1.0, max(p_value, SMALLEST, 2.0 ** (1 - differing)))
    return Difference(value, *ends, p_value, a.n)


def t_quantile(share: float, freedom: float) -> float:
    """The value below which a share of Student's t lies.

    Args:
        share: The share, a fraction.
        freedom: Degrees of freedom; with infinitely many it is the normal distribution.

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


def _distinct(systems: Sequence[System]) -> list[System]:
    """The systems, or one of them if all are the same: what has no training is one run for every seed."""
    if not systems:
        raise AdaptransError("no seed to take a median over", remedy="evaluate one seed or more")
    return [systems[0]] if all(other is systems[0] for other in systems) else list(systems)


def _checked(
    systems: Sequence[System], samples: int, level: float, parallel: bool
) -> list[dict[str, np.ndarray]]:
    check_options(samples, level)
    ordered = [in_order(system) for system in systems]
    check_examples(ordered[0], parallel)
    for other in ordered[1:]:
        check_pairs(ordered[0], other)
    return ordered


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


def _error(spreads: Sequence[Spread], draws: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom of a median over seeds, or of a difference of two."""
    shared = max(0.0, float(np.var(draws, ddof=1)) - sum(spread.interaction for spread in spreads))
    variance = shared + sum(spread.of_seeds for spread in spreads)
    below = sum(spread.freedom for spread in spreads)
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
