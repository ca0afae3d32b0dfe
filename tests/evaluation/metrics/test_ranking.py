"""Ranking scores against exact fractions counted from the rules."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.retrieval import average_precision, map_at_20, mrr_at_20, reciprocal_rank

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
    assert map_at_20(golds, rankings) == pytest.approx(float(100 * exact), abs=1e-10)
    assert mrr_at_20(golds, rankings) == pytest.approx(
        100 * sum(reciprocal_rank(*row) for row in rows) / len(rows), abs=1e-10
    )


def test_a_perfect_ranking_of_more_golds_than_ranks_scores_100():
    golds = [str(i) for i in range(25)]
    assert map_at_20([golds], [golds]) == 100


def test_a_query_without_gold_is_refused():
    for name in ("map_at_20", "mrr_at_20"):
        with pytest.raises(AdaptransError, match="no gold to rank"):
            SCORES[name].compute([[]], [["a"]])
        with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
            SCORES[name].compute([["a"], ["b"]], [["a"]])
