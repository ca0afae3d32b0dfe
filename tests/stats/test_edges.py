"""Intervals where nearly all items score the same: against exact ones, and against what they promise."""

import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.special import betaincinv

from adaptrans.evaluation.metrics import SCORES
from adaptrans.stats import edges
from adaptrans.stats.bootstrap import resample
from adaptrans.stats.intervals import difference_over_seeds, interval, median_over_seeds

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from edge_coverage import CASES, coverage

REDUCE = SCORES["accuracy"].reduce


def right(number, n):
    """Counts of accuracy with so many right."""
    return np.column_stack([np.arange(n) < number, np.ones(n)]).astype(float)


@pytest.mark.parametrize(("number", "n"), [(50, 50), (49, 50), (45, 50), (0, 20), (3, 20), (991, 1000)])
def test_few_wrong_or_few_right_have_the_interval_of_clopper_and_pearson(number, n):
    found = interval(right(number, n), REDUCE)
    below = betaincinv(number, n - number + 1, 0.025) if number else 0
    above = betaincinv(number + 1, n - number, 0.975) if number < n else 1
    assert (found.low, found.high) == pytest.approx((100 * below, 100 * above), abs=1e-6)
    # There the tails of the binomial are 2.5 % each.
    tail = sum(comb(n, k) * below**k * (1 - below) ** (n - k) for k in range(number, n + 1))
    assert tail == pytest.approx(0.025 if number else 1)


def test_fifty_of_fifty():
    found = interval(right(50, 50), REDUCE)
    assert (found.low, found.high) == (pytest.approx(92.9, abs=0.05), 100)


@pytest.mark.parametrize(("number", "n"), [(10, 20), (90, 100), (300, 400), (990, 1000)])
def test_away_from_the_edges_it_is_the_bootstrap_to_the_last_bit(number, n):
    counts = right(number, n)
    draws = resample([{"": counts}], REDUCE, 0, 1000, 0, parallel=False).draws[0, 0]
    found = interval(counts, REDUCE)
    assert (found.low, found.high) == tuple(np.quantile(draws, [0.05 / 2, 1 - 0.05 / 2]))


def test_a_mean_over_languages_has_as_much_width_as_its_smallest_perfect_language_asks_for():
    large = {"a": right(990, 1000), "b": right(50, 50)}
    found = median_over_seeds([large], REDUCE, parallel=False)
    # The second language's own interval begins at 92.9, half of which counts.
    assert 3.3 < found.value - found.low < 5
    alike = median_over_seeds([{code: right(50, 50) for code in "abcde"}], REDUCE, parallel=False)
    # Languages of their own are 250 items, shared items are 50.
    assert alike.low == pytest.approx(100 * 0.025 ** (1 / 250), abs=0.01)
    joint = median_over_seeds([{code: right(50, 50) for code in "abcde"}], REDUCE, parallel=True)
    assert joint.low == pytest.approx(100 * 0.025 ** (1 / 50), abs=0.01)


def test_many_nearly_perfect_languages_are_no_edge():
    languages = {str(at): right(97, 100) for at in range(40)}
    draws = resample([languages], REDUCE, 0, 1000, 0, parallel=False).means([0]).draws[0]
    found = median_over_seeds([languages], REDUCE, parallel=False)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=1e-9)


def test_two_systems_that_agree_on_every_item_may_differ_on_others():
    a, b = {"x": right(50, 50)}, {"x": right(50, 50)}
    found = difference_over_seeds([a], [b], REDUCE, parallel=False)
    assert (found.value, found.p_value) == (0, 1)
    assert (found.low, found.high) == (pytest.approx(-7.1, abs=0.05), pytest.approx(7.1, abs=0.05))
    itself = difference_over_seeds([a], [a], REDUCE, parallel=False)
    assert (itself.low, itself.high) == (0, 0)


def test_marks_of_few_differing_items_are_those_of_the_exact_test():
    base = np.column_stack([np.r_[np.ones(7), np.zeros(1), np.ones(92)] == 0, np.ones(100)]).astype(float)
    better = np.column_stack([np.r_[np.ones(7), np.zeros(93)], np.ones(100)])
    found = difference_over_seeds([{"x": better}], [{"x": base}], REDUCE, parallel=False)
    # Seven for, one against: 2 x (1 + 8) / 2^8.
    assert found.p_value == pytest.approx(18 / 256)
    assert not found.significant
    assert found.low < 0


def test_several_seeds_that_are_all_right_have_a_width():
    seeds = [{"x": right(50, 50)} for _ in range(3)]
    found = median_over_seeds(seeds, REDUCE, parallel=False)
    assert (found.low, found.high) == (pytest.approx(92.9, abs=0.05), 100)


@pytest.mark.parametrize(
    "name", ["chunk_f1", "bucc_f1", "token_accuracy", "masked_pieces", "squad2", "squad"]
)
def test_a_value_is_the_mean_of_its_examples_by_their_weights(name):
    rule = SCORES[name]
    rng = np.random.default_rng(3)
    right, more = rng.integers(0, 4, 60), rng.integers(0, 3, (60, 2))
    counts = {
        "chunk_f1": np.stack([right, right + more[:, 0], right + more[:, 1]], axis=1),
        "token_accuracy": np.stack([right, right + more[:, 0]], axis=1),
        "squad": np.stack([right / 4, right // 4, np.ones(60)], axis=1),
        "squad2": np.stack([right / 4, right // 4, np.ones(60), right / 4, right // 4, np.ones(60)], axis=1),
    }
    counts |= {"bucc_f1": counts["chunk_f1"], "masked_pieces": counts["token_accuracy"]}
    own = counts[name].astype(float)
    (items,) = edges.Sample([[own]], rule.reduce, 0, parallel=False, weigh=rule.weigh).items()
    assert 100 * (items.values @ items.weights) == pytest.approx(rule.reduce(own.sum(axis=0))[0])


def test_every_score_says_how_its_examples_weigh():
    for name in SCORES.names():
        rule = SCORES[name]
        quotient = {"chunk_f1", "entity_f1", "bucc_f1", "token_accuracy", "masked_pieces"}
        assert (rule.weigh is not edges.alike) == (name in quotient or name.startswith("span")), name


POINTS = [
    ("accuracy", 0.98, 50),
    ("accuracy", 0.99, 100),
    ("accuracy", 0.97, 200),
    ("accuracy", 1.0, 20),
    ("five languages", 0.99, 50),
    ("unequal languages", 0.98, 50),
    ("parallel languages", 0.98, 100),
    ("parallel languages", 0.98, 200),
    ("question F1", 0.98, 50),
    ("chunk F1", 0.99, 50),
    ("chunk F1 of bad sentences", 0.98, 100),
    ("reciprocal rank", 0.98, 50),
    ("three seeds", 0.98, 50),
    ("equal systems", 0.98, 100),
    ("better system", 0.98, 100),
]


@pytest.mark.parametrize(("case", "rate", "n"), POINTS)
def test_intervals_near_the_edge_hold_the_truth(case, rate, n):
    held, _, marked = coverage(case, rate, n, trials=400, samples=200)
    assert held >= 0.93
    if case == "equal systems":
        assert marked <= 0.05
    assert case in CASES


def test_the_bootstrap_alone_would_not(monkeypatch):
    monkeypatch.setattr(edges.Sample, "reach", lambda *_: None)
    assert coverage("accuracy", 0.98, 50, trials=200, samples=200)[0] < 0.75
