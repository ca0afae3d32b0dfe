"""F1 of sentence pairs against sets of pairs."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.retrieval import aligned, by_source, pair_f1

PAIRS = st.lists(
    st.tuples(st.integers(0, 4).map("de-{}".format), st.integers(0, 4).map("en-{}".format)), max_size=12
)


@given(PAIRS, PAIRS)
@example([], [])
@example([("de-1", "en-1")], [])
@example([("de-1", "en-1")] * 3, [("de-1", "en-1")] * 2)
def test_equals_the_rule_to_the_last_bit(golds, predictions):
    gold, found = set(golds), set(predictions)
    correct = len(gold & found)
    precision = correct / len(found) if correct else 0
    recall = correct / len(gold) if correct else 0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0
    expected = {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}
    assert pair_f1(golds, predictions) == expected
    assert expected["f1"] == pytest.approx(float(100 * Fraction(2 * correct, max(len(gold) + len(found), 1))))


@given(PAIRS, PAIRS)
def test_counts_add_up_over_sentences(golds, predictions):
    counts = SCORES["bucc_f1"].statistics(*aligned(by_source(golds), by_source(predictions)))
    gold, found = set(golds), set(predictions)
    assert counts.sum(axis=0).tolist() == [len(gold & found), len(found), len(gold)]


def test_different_numbers_are_refused():
    with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
        SCORES["bucc_f1"].compute([[], []], [[]])
