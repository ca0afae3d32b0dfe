"""Intervals over languages and runs: against slow twins, and how often they hold."""

import math

import numpy as np
import pytest

from adaptrans.errors import AdaptransError
from adaptrans.stats.correlations import coefficient, correlation
from adaptrans.stats.crossed import crossed_regression, weights_of
from adaptrans.stats.hierarchical import hierarchical_draws

SIZES = np.log10([250, 1000, 4000])
DOSE = np.repeat(SIZES, 3)
DESIGN = np.column_stack([np.ones(9), DOSE])


def scores(generator, slope=0.0, languages=10, of_languages=1.0, of_runs=0.5):
    """Scores of 10 languages at three sizes and three seeds, languages and runs as random effects."""
    own = slope + of_languages * generator.standard_normal((languages, 1))
    level = 10 * generator.standard_normal((languages, 1))
    runs = of_runs * generator.standard_normal(len(DOSE))
    return level + own * DOSE + runs + 0.7 * generator.standard_normal((languages, len(DOSE)))


def test_weights_are_those_of_least_squares():
    design = np.random.default_rng(0).standard_normal((12, 4))
    expected = np.linalg.inv(design.T @ design) @ design.T
    for term in range(4):
        assert weights_of(design, term) == pytest.approx(expected[term])


def test_what_the_runs_do_not_tell_apart_is_refused():
    with pytest.raises(AdaptransError, match="from its other terms"):
        weights_of(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]), 1)


def test_the_parts_of_the_variance_are_those_of_a_slow_twin():
    values = scores(np.random.default_rng(1), slope=2.0)
    found = crossed_regression(values, DESIGN, 1)
    spread = sum((x - DOSE.mean()) ** 2 for x in DOSE)
    weights = [(x - DOSE.mean()) / spread for x in DOSE]
    slopes = [sum(w * y for w, y in zip(weights, row, strict=True)) for row in values]
    mean = sum(slopes) / 10
    assert found.value == pytest.approx(mean)
    of_languages = sum((slope - mean) ** 2 for slope in slopes) / 9 / 10
    rests = [
        [y - row.mean() - slope * (x - DOSE.mean()) for x, y in zip(DOSE, row, strict=True)]
        for row, slope in zip(values, slopes, strict=True)
    ]
    run_means = [sum(rest[r] for rest in rests) / 10 for r in range(9)]
    of_runs = sum(rest**2 for rest in run_means) / 7 / spread
    shared = sum((rest[r] - run_means[r]) ** 2 for rest in rests for r in range(9)) / (9 * 7) / spread / 10
    assert found.se == pytest.approx(math.sqrt(of_languages + of_runs - shared))
    freedom = found.se**4 / (of_languages**2 / 9 + of_runs**2 / 7 + shared**2 / 63)
    assert found.freedom == pytest.approx(freedom)


def test_intervals_of_slopes_hold_for_ten_languages_and_three_seeds():
    generator = np.random.default_rng(2)
    for of_languages, of_runs in ((1.0, 0.2), (0.3, 1.0), (1.0, 1.0)):
        found = [
            crossed_regression(scores(generator, 1.0, of_languages=of_languages, of_runs=of_runs), DESIGN, 1)
            for _ in range(1500)
        ]
        covered = np.mean([item.low <= 1.0 <= item.high for item in found])
        # 95 % of 1,500 with a standard error of 0.6.
        assert 0.93 <= covered <= 0.972, (of_languages, of_runs, covered)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_intervals_of_correlations_hold_for_ten_languages(kind):
    generator = np.random.default_rng(3)
    for rho in (0.0, 0.6):
        true = rho if kind == "pearson" else 6 / math.pi * math.asin(rho / 2)
        x = generator.standard_normal((1500, 10))
        y = rho * x + math.sqrt(1 - rho**2) * generator.standard_normal((1500, 10))
        found = [correlation(a, b, kind) for a, b in zip(x, y, strict=True)]
        covered = np.mean([item.low <= true <= item.high for item in found])
        assert 0.93 <= covered <= 0.975, (rho, covered)
        if rho == 0:
            assert np.mean([item.p_value < 0.05 for item in found]) < 0.07


def test_correlations_are_scipys():
    from scipy.stats import pearsonr, spearmanr

    generator = np.random.default_rng(4)
    x, y = generator.standard_normal((2, 12)).round(1)
    assert coefficient(x, y) == pytest.approx(pearsonr(x, y).statistic)
    assert coefficient(x, y, "spearman") == pytest.approx(spearmanr(x, y).statistic)
    assert correlation(x, y).p_value == pytest.approx(pearsonr(x, y).pvalue)
    low, high = pearsonr(x, y).confidence_interval()
    assert (correlation(x, y).low, correlation(x, y).high) == pytest.approx((low, high), abs=1e-6)


def test_correlations_that_say_nothing_are_refused():
    with pytest.raises(AdaptransError, match="over 4 languages"):
        correlation(np.arange(4.0), np.arange(4.0))
    with pytest.raises(AdaptransError, match="does not vary"):
        correlation(np.ones(6), np.arange(6.0))


def test_the_hierarchical_bootstrap_is_as_wide_as_its_sources_of_variance():
    generator = np.random.default_rng(5)
    languages, seeds = 400, 3
    level = 2.0 * generator.standard_normal((languages, 1))
    values = level + generator.standard_normal((languages, seeds))
    errors = np.full(values.shape, 1.5)
    draws = hierarchical_draws(values, errors, lambda means, places: means.mean(axis=1), 2000)
    # Languages with what is within them; seeds drawn again; items drawn again.
    of_seeds = np.var(values, axis=1).mean() / seeds
    expected = np.var(values.mean(axis=1)) + of_seeds + 1.5**2 / seeds
    assert np.var(draws) * languages == pytest.approx(expected, rel=0.1)


def test_p_values_hold_far_out_in_the_tail_for_three_runs():
    generator = np.random.default_rng(6)
    design, found = np.ones((3, 1)), []
    for _ in range(4000):
        runs = 1.4 * generator.standard_normal(3)
        values = 0.2 * generator.standard_normal((10, 1)) + runs + 0.4 * generator.standard_normal((10, 3))
        found.append(crossed_regression(values, design, 0).p_value)
    # 0.0083 of 4,000 are 33; Satterthwaite's degrees alone give 54.
    assert sum(p < 0.05 / 6 for p in found) <= 44
