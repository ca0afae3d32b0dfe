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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation import statistics as one_seed
from adaptrans.evaluation.statistics import SMALLEST, Difference, Interval, Reduce
from adaptrans.evaluation.student import quantile, two_sided

System = Mapping[str, np.ndarray]
"""Additive counts of one seed by language, shape (examples, k)."""


@dataclass(frozen=True)
class _Spread:
    """The variance of a median over seeds.

    Args:
        value: The median, in points.
        means: Mean over seeds in each resample, shape (samples,).
        of_seeds: Variance of the median that comes from seeds.
        interaction: Variance of the mean that comes from a seed's own choice of right examples.
        seeds: Number of seeds.
    """

    value: float
    means: np.ndarray
    of_seeds: float
    interaction: float
    seeds: int

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

    Raises:
        AdaptransError: If there is no seed, or seeds were not scored on the same examples.
    """
    found = _distinct(systems)
    if len(found) == 1:
        return one_seed.mean_interval(found[0], reduce, part, samples, level, seed, parallel=parallel)
    ordered = _checked(found, samples, level, parallel)
    draws = one_seed.resampled_mean(ordered, reduce, part, samples, seed, parallel)
    spread = _spread(_observed(ordered, reduce, part), draws)
    width = _width([spread], spread.means, level)
    low, high = max(0.0, spread.value - width), min(100.0, spread.value + width)
    return Interval(spread.value, low, high, one_seed.number_of_items(ordered[0], parallel))


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

    Raises:
        AdaptransError: If the systems were not scored on the same languages and examples.
    """
    first, second = _distinct(a), _distinct(b)
    if len(first) == len(second) == 1:
        return one_seed.paired_difference(
            first[0], second[0], reduce, part, samples, level, seed, parallel=parallel
        )
    ordered = _checked([*first, *second], samples, level, parallel)
    draws = one_seed.resampled_mean(ordered, reduce, part, samples, seed, parallel)
    observed, number = _observed(ordered, reduce, part), len(first)
    spreads = [_spread(observed[:number], draws[:number]), _spread(observed[number:], draws[number:])]
    value = spreads[0].value - spreads[1].value
    error, freedom = _error(spreads, spreads[0].means - spreads[1].means)
    width = quantile((1 + level) / 2, freedom) * error
    if error > 0:
        p_value = two_sided(value / error, freedom)
    else:
        p_value = 1.0 if abs(value) < one_seed.TIE else SMALLEST
    differing = one_seed.differing_examples(_total(ordered[:number]), _total(ordered[number:]), parallel)
    p_value = min(1.0, max(p_value, SMALLEST, 2.0 ** (1 - min(differing, 60))))
    size = one_seed.number_of_items(ordered[0], parallel)
    return Difference(value, value - width, value + width, p_value, size)


def _distinct(systems: Sequence[System]) -> list[System]:
    """The systems, or one of them if all are the same: what has no training is one run for every seed."""
    if not systems:
        raise AdaptransError("no seed to take a median over", remedy="evaluate one seed or more")
    return [systems[0]] if all(other is systems[0] for other in systems) else list(systems)


def _checked(
    systems: Sequence[System], samples: int, level: float, parallel: bool
) -> list[dict[str, np.ndarray]]:
    one_seed.check_options(samples, level)
    ordered = [one_seed.in_order(system) for system in systems]
    one_seed.check_examples(ordered[0], parallel)
    for other in ordered[1:]:
        one_seed.check_pairs(ordered[0], other)
    return ordered


def _observed(systems: Sequence[System], reduce: Reduce, part: int) -> np.ndarray:
    """Mean over languages of each system, shape (systems,)."""
    return np.array(
        [
            one_seed.plain_mean(
                [one_seed.values_of(counts.sum(axis=0), reduce, part) for counts in system.values()]
            )
            for system in systems
        ]
    )


def _spread(observed: np.ndarray, draws: np.ndarray) -> _Spread:
    """The parts of the variance of a median over seeds.

    Args:
        observed: Value of each seed, shape (seeds,).
        draws: The same in each resample of the examples, shape (seeds, samples).
    """
    seeds = len(observed)
    means = draws.mean(axis=0)
    value = float(np.median(observed))
    if seeds == 1:
        return _Spread(value, means, 0.0, 0.0, 1)
    own = float(np.var(draws - means, axis=1, ddof=1).mean()) * seeds / (seeds - 1)
    of_seeds = median_factor(seeds) * float(np.var(observed, ddof=1)) / seeds
    return _Spread(value, means, of_seeds, own / seeds, seeds)


def _error(spreads: Sequence[_Spread], draws: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom of a median over seeds, or of a difference of two."""
    shared = max(0.0, float(np.var(draws, ddof=1)) - sum(spread.interaction for spread in spreads))
    variance = shared + sum(spread.of_seeds for spread in spreads)
    below = sum(spread.freedom for spread in spreads)
    return math.sqrt(variance), variance**2 / below if below > 0 else math.inf


def _width(spreads: Sequence[_Spread], draws: np.ndarray, level: float) -> float:
    error, freedom = _error(spreads, draws)
    return quantile((1 + level) / 2, freedom) * error


def _total(systems: Sequence[System]) -> dict[str, np.ndarray]:
    """Counts of each example, averaged over seeds."""
    return {name: np.mean([system[name] for system in systems], axis=0) for name in systems[0]}


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
