"""Accuracy against a slow loop, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError, UnknownNameError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.score import ratio


def accuracy(golds, predictions):
    return SCORES["accuracy"].compute(golds, predictions)["accuracy"]


HOSTILE = st.sampled_from(["entailment", "neutral", "O", "", "١", "１", "1", "e\u0301", "é", "\u200fא"])


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1))
def test_equals_equal_pairs_over_predictions(pairs):
    golds, predictions = zip(*pairs, strict=True)
    right = len([1 for gold, prediction in pairs if gold.strip() == prediction.strip()])
    assert accuracy(golds, predictions) == right / len(predictions) * 100


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_numbers(pairs):
    golds, predictions = zip(*pairs, strict=True)
    assert accuracy(golds, predictions) == sum(a == b for a, b in pairs) / len(pairs) * 100


def test_full_width_digits_and_composed_letters_are_other_labels():
    assert accuracy(["1", "é"], ["１", "e\u0301"]) == 0


def test_labels_are_stripped():
    assert accuracy(["yes", " no"], ["yes\t", "no \n"]) == 100


def test_text_never_meets_numbers():
    with pytest.raises(AdaptransError, match="example 1: gold label 1 and prediction '1'"):
        accuracy([0, 1], [0, "1"])


def test_numpy_integers_are_numbers():
    assert accuracy(np.array([3, 1]), np.array([3, 2])) == 50


def test_different_numbers_are_refused():
    with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
        accuracy(["a", "b"], ["a"])


def test_nothing_to_score_is_refused():
    with pytest.raises(AdaptransError, match="no examples"):
        accuracy([], [])


def test_registry_names_and_suggests():
    assert SCORES["accuracy"].primary == "accuracy"
    for name in SCORES:
        score = SCORES[name]
        assert score.name == name
        assert score.higher_is_better
        assert score.source
    with pytest.raises(UnknownNameError, match='did you mean "chunk_f1"'):
        SCORES["chunkf1"]


@pytest.mark.parametrize("name", ["accuracy", "chunk_f1", "token_accuracy", "squad", "squad_characters"])
def test_reduce_takes_any_leading_shape(name):
    score = SCORES[name]
    k = score.statistics([], []).shape[1]
    sums = np.arange(2 * 3 * k, dtype=float).reshape(2, 3, k) + 1
    values = score.reduce(sums)
    assert values.shape == (2, 3, len(score.parts))
    assert values[1, 2].tolist() == score.reduce(sums[1, 2]).tolist()
    assert score.reduce(np.zeros(k)).tolist() == [0.0] * len(score.parts)


def test_ratio_broadcasts():
    assert ratio(np.array([[1.0], [0.0]]), np.array([2.0, 0.0])).tolist() == [[0.5, 0.0], [0.0, 0.0]]
