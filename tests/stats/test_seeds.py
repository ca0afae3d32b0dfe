"""Medians over seeds: against plain arithmetic, and against what intervals and p-values promise."""

import math

import numpy as np
import pytest

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.stats.intervals import mean_interval, paired_difference
from adaptrans.stats.seeds import (
    difference_over_seeds,
    median_factor,
    median_over_seeds,
    t_quantile,
    two_sided_p,
)

REDUCE = SCORES["accuracy"].reduce


def right(values):
    """Counts of accuracy from 0 and 1."""
    return np.column_stack([values, np.ones(len(values))]).astype(float)


def test_one_seed_is_the_bootstrap_of_one_seed():
    rng = np.random.default_rng(1)
    a, b = ({"de": right(rng.random(80) < 0.6), "sw": right(rng.random(80) < 0.4)} for _ in range(2))
    assert median_over_seeds([a], REDUCE, parallel=True) == mean_interval(a, REDUCE, parallel=True)
    one = paired_difference(a, b, REDUCE, parallel=False)
    assert difference_over_seeds([a], [b], REDUCE, parallel=False) == one
    # What has no training is the same run for every seed, and not three independent ones.
    assert difference_over_seeds([a] * 3, [b] * 3, REDUCE, parallel=False) == one


def test_the_value_is_the_median_and_the_difference_that_of_medians():
    a = [{"x": right([1] * k + [0] * (10 - k))} for k in (3, 9, 6)]
    b = [{"x": right([1] * k + [0] * (10 - k))} for k in (5, 5, 2)]
    assert median_over_seeds(a, REDUCE, parallel=False).value == 60
    assert difference_over_seeds(a, b, REDUCE, parallel=False).value == 10
    assert difference_over_seeds(a, b[:1], REDUCE, parallel=False).value == 10


def test_more_spread_between_seeds_is_a_wider_interval():
    close = [{"x": right([1] * k + [0] * (200 - k))} for k in (120, 121, 122)]
    far = [{"x": right([1] * k + [0] * (200 - k))} for k in (90, 121, 152)]
    narrow, wide = (median_over_seeds(systems, REDUCE, parallel=False) for systems in (close, far))
    assert narrow.value == wide.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert 0 <= wide.low < wide.high <= 100


def test_a_real_difference_is_found():
    rng = np.random.default_rng(4)
    easy = rng.normal(size=400)
    low, high = ([{"x": right(at + easy + rng.normal(size=400) > 0)} for _ in range(3)] for at in (0.0, 0.7))
    found = difference_over_seeds(high, low, REDUCE, parallel=False)
    assert found.low > 0
    assert found.p_value < 0.01


def test_equal_seeds_of_two_runs_have_no_difference():
    one = {"x": right([1, 0, 1, 1])}
    again = {"x": right([1, 0, 1, 1])}
    found = difference_over_seeds([one, again], [one, again], REDUCE, parallel=False)
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_the_median_varies_more_than_the_mean_by_what_is_known():
    # The variance of the median of three normal values is 0.4487 (tables of order statistics).
    assert median_factor(3) == pytest.approx(3 * 0.4487, rel=0.02)
    assert median_factor(101) == pytest.approx(math.pi / 2, rel=0.03)


def test_seeds_on_other_examples_are_refused():
    with pytest.raises(AdaptransError, match="scored on 3 and 2 examples"):
        median_over_seeds([{"x": right([1, 0, 1])}, {"x": right([1, 0])}], REDUCE, parallel=False)
    with pytest.raises(AdaptransError, match="no seed"):
        median_over_seeds([], REDUCE, parallel=False)


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042), (math.inf, 1.960)],
)
def test_quantiles_and_tails_are_those_of_the_printed_tables(freedom, value):
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=6e-4)
    assert two_sided_p(value, freedom) == two_sided_p(-value, freedom) == pytest.approx(0.05, abs=1e-4)
