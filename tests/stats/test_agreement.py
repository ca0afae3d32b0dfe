"""Measures of agreement against slow twins written from their definitions."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.stats.agreement import (
    agreement,
    bundle_accuracy,
    cohens_kappa,
    consistency_rate,
    expected_agreement,
    rank_consistency,
)
from adaptrans.stats.intervals import interval

LABELS = 3
two = st.lists(st.tuples(st.integers(0, LABELS - 1), st.integers(0, LABELS - 1)), min_size=1, max_size=40)


@st.composite
def rankings(draw):
    choices = draw(st.integers(2, 5))
    order = st.permutations(range(choices))
    rows = draw(st.lists(st.tuples(order, order), min_size=1, max_size=15))
    return np.array([a for a, _ in rows]), np.array([b for _, b in rows])


@given(two)
def test_agreement_and_kappa(pairs):
    a, b = np.array(pairs).T
    seen = sum(x == y for x, y in pairs) / len(pairs)
    assert agreement(a, b).value == pytest.approx(seen)
    chance = sum((list(a).count(label) / len(a)) * (list(b).count(label) / len(b)) for label in range(LABELS))
    kappa = cohens_kappa(a, b, LABELS).value
    if chance == 1:
        assert math.isnan(kappa)
    else:
        assert kappa == pytest.approx((seen - chance) / (1 - chance))


@given(rankings())
def test_rank_consistency(pair):
    a, b = pair
    choices = a.shape[1]
    powers = [math.exp(choices - place) for place in range(choices)]
    total = 0.0
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        for depth in range(1, choices + 1):
            total += powers[depth - 1] / sum(powers) * len(set(x[:depth]) & set(y[:depth])) / depth
    assert rank_consistency(a, b).value == pytest.approx(total / len(a))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_with_two_choices_rank_consistency_is_a_line_of_the_agreement(pairs):
    a, b = (np.array([[0, 1] if first else [1, 0] for first in side]) for side in zip(*pairs, strict=True))
    alike = agreement(a[:, 0], b[:, 0]).value
    assert rank_consistency(a, b).value == pytest.approx(0.26894142 + 0.73105858 * alike, abs=1e-7)


def test_weights_at_four_choices_and_ten_items_by_hand():
    # Alike in the first place alone: .6439, and half of .2369, 2/3 of .0871, all of .0321.
    a = np.array([[0, 1, 2, 3]] * 10)
    b = np.array([[0, 2, 3, 1]] * 5 + [[0, 1, 2, 3]] * 5)
    one = 0.64391 + 0.23688 / 2 + 0.08714 * 2 / 3 + 0.03206
    assert rank_consistency(a, b).value == pytest.approx((one + 1) / 2, abs=2e-5)


@given(
    st.integers(2, 4).flatmap(
        lambda ways: st.lists(st.lists(st.integers(0, 2), min_size=ways, max_size=ways), min_size=1)
    )
)
def test_consistency_rate(rows):
    pairs = [pair for row in rows for pair in combinations(row, 2)]
    assert consistency_rate(np.array(rows)).value == pytest.approx(sum(x == y for x, y in pairs) / len(pairs))


def test_consistency_of_ten_items_by_hand():
    rows = [[0, 0, 0]] * 4 + [[0, 0, 1]] * 3 + [[0, 1, 2]] * 3
    assert consistency_rate(np.array(rows)).value == pytest.approx((4 * 3 + 3 * 1) / 30)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_bundle_accuracy(rows):
    names = {name for _, name in rows}
    whole = sum(all(right for right, own in rows if own == name) for name in names)
    measure = bundle_accuracy(np.array([right for right, _ in rows]), [name for _, name in rows])
    assert measure.value == pytest.approx(whole / len(names))
    assert len(measure.counts) == len(names)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 5))
def test_expected_agreement_is_that_of_independent_answers(a, b, choices):
    def shares(right):
        return [right] + [(1 - right) / (choices - 1)] * (choices - 1)

    by_choice = sum(x * y for x, y in zip(shares(a), shares(b), strict=True))
    assert expected_agreement(a, b, choices) == pytest.approx(by_choice, abs=1e-9)


def test_a_choice_only_model_gets_half_of_the_items_and_no_mirrored_pair():
    right = np.array([True, False] * 20)
    assert bundle_accuracy(right, [str(place // 2) for place in range(40)]).value == 0


def test_resampled_like_a_score():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 200)
    b = np.where(rng.random(200) < 0.8, a, 1 - a)
    measure = agreement(a, b)
    found = interval(measure.counts, measure.reduce, samples=500)
    assert found.low < measure.value < found.high
    assert 0.08 < found.high - found.low < 0.15
    kappa = cohens_kappa(a, b, 2)
    found = interval(kappa.counts, kappa.reduce, samples=500)
    assert found.low < kappa.value < found.high


def test_what_is_not_of_the_same_items_is_refused():
    for measure in (agreement, rank_consistency, lambda a, b: cohens_kappa(a, b, 2)):
        with pytest.raises(AdaptransError, match="cannot be compared"):
            measure(np.zeros(2, dtype=int), np.zeros(3, dtype=int))
    with pytest.raises(AdaptransError, match="2 answers and 1 names"):
        bundle_accuracy(np.array([True, True]), ["a"])
    with pytest.raises(AdaptransError, match="one way"):
        consistency_rate(np.zeros((3, 1)))
