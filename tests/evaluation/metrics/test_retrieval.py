"""F1 of sentence pairs against sets of pairs; ranking scores against exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.retrieval import aligned, average_precision, by_source, reciprocal_rank

PAIRS = st.lists(
    st.tuples(st.integers(0, 4).map("de-{}".format), st.integers(0, 4).map("en-{}".format)), max_size=12
)


def pair_f1(golds, predictions):
    """As prediction files of pairs are scored; the score of no sentence is not defined."""
    rows = aligned(by_source(golds), by_source(predictions))
    return SCORES["bucc_f1"].compute(*rows) if rows[0] else dict.fromkeys(("f1", "precision", "recall"), 0)


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


IDS = st.integers(0, 30).map(str)
GOLDS = st.lists(IDS, min_size=1, max_size=30)
RANKING = st.lists(IDS, max_size=40)


def slow_average_precision(golds, ranking):
    """By asking at every rank which golds stand at or before it."""
    total = Fraction(0)
    for rank in range(1, min(len(ranking), 20) + 1):
        item = ranking[rank - 1]
        if item in golds and item not in ranking[: rank - 1]:
            total += Fraction(len(set(ranking[:rank]) & set(golds)), rank)
    return total / min(len(set(golds)), 20)


@given(GOLDS, RANKING)
@example(["a"], ["b"] * 20 + ["a"])
@example([str(i) for i in range(30)], [str(i) for i in range(30)])
@example(["a", "a"], ["a", "a"])
@example(["a"], [])
def test_average_precision_equals_the_rule(golds, ranking):
    assert average_precision(golds, ranking) == pytest.approx(
        float(slow_average_precision(golds, ranking)), abs=1e-12
    )


@given(GOLDS, RANKING)
def test_reciprocal_rank_equals_the_rule(golds, ranking):
    places = [place for place, item in enumerate(ranking[:20], start=1) if item in golds]
    assert reciprocal_rank(golds, ranking) == (1 / min(places) if places else 0)


@given(IDS, RANKING)
def test_with_one_gold_both_are_the_same(gold, ranking):
    assert average_precision([gold], ranking) == reciprocal_rank([gold], ranking)


@given(st.lists(st.tuples(GOLDS, RANKING), min_size=1, max_size=6))
def test_the_mean_is_over_queries(rows):
    golds, rankings = [gold for gold, _ in rows], [ranking for _, ranking in rows]
    exact = sum(slow_average_precision(*row) for row in rows) / len(rows)
    assert SCORES["map_at_20"].compute(golds, rankings)["map_at_20"] == pytest.approx(
        float(100 * exact), abs=1e-10
    )
    assert SCORES["mrr_at_20"].compute(golds, rankings)["mrr_at_20"] == pytest.approx(
        100 * sum(reciprocal_rank(*row) for row in rows) / len(rows), abs=1e-10
    )


def test_a_perfect_ranking_of_more_golds_than_ranks_scores_100():
    golds = [str(i) for i in range(25)]
    assert SCORES["map_at_20"].compute([golds], [golds]) == {"map_at_20": 100}


def test_a_query_without_gold_is_refused():
    for name in ("map_at_20", "mrr_at_20"):
        with pytest.raises(AdaptransError, match="no gold to rank"):
            SCORES[name].compute([[]], [["a"]])
        with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
            SCORES[name].compute([["a"], ["b"]], [["a"]])
