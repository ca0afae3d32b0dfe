"""SQuAD 2.0 against a slow scorer written from the rules of evaluate-v2.0.py."""

import math
import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.squad2 import answered, best_threshold, shifted, statistics


def slow_normal(text):
    text = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def slow_exact(gold, given):
    return int(slow_normal(gold) == slow_normal(given))


def slow_f1(gold, given):
    expected, found = slow_normal(gold).split(), slow_normal(given).split()
    if not expected or not found:
        return int(expected == found)
    same = sum((Counter(expected) & Counter(found)).values())
    if same == 0:
        return 0
    precision, recall = same / len(found), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def slow_raw(golds, texts):
    exact, f1 = [], []
    for answers, text in zip(golds, texts, strict=True):
        kept = [answer for answer in answers if slow_normal(answer)] or [""]
        exact.append(max(slow_exact(answer, text) for answer in kept))
        f1.append(max(slow_f1(answer, text) for answer in kept))
    return exact, f1


def slow_has(golds):
    return [any(slow_normal(answer) for answer in answers) for answers in golds]


def slow_best(golds, texts, odds):
    """Try every threshold: those of the predictions, and one below all of them."""
    _, f1 = slow_raw(golds, texts)
    has = slow_has(golds)

    def total(threshold):
        return sum(
            (f1[row] if odds[row] <= threshold else 0)
            if has[row]
            else float(odds[row] > threshold or not texts[row])
            for row in range(len(golds))
        )

    return 100 * max(total(threshold) for threshold in [-math.inf, *odds]) / len(golds)


TEXT = st.sampled_from(
    ["", "the", "1906", "Black cats", "two black cats.", "北京，2008年", "«Москва»", "U.S.", "a b"]
)
ITEM = st.tuples(
    st.lists(TEXT, min_size=1, max_size=3), TEXT, st.integers(-6, 6).map(lambda number: number / 2)
)


@given(st.lists(ITEM, min_size=1, max_size=20))
def test_scores_equal_the_slow_ones(items):
    golds = [answers for answers, _, _ in items]
    predictions = [{"text": text, "no_answer": odds} for _, text, odds in items]
    final = ["" if odds > 0 else text for _, text, odds in items]
    exact, f1 = slow_raw(golds, final)
    has = slow_has(golds)
    found = SCORES["squad2"].compute(golds, predictions)
    assert found["f1"] == pytest.approx(100 * sum(f1) / len(f1))
    assert found["exact_match"] == pytest.approx(100 * sum(exact) / len(exact))
    answerable = [row for row, value in enumerate(has) if value]
    others = [row for row, value in enumerate(has) if not value]
    for part, rows, values in (
        ("has_answer_f1", answerable, f1),
        ("has_answer_exact_match", answerable, exact),
        ("no_answer_accuracy", others, f1),
    ):
        expected = 100 * sum(values[row] for row in rows) / len(rows) if rows else 0
        assert found[part] == pytest.approx(expected)


@given(st.lists(ITEM, min_size=1, max_size=12, unique_by=lambda item: item[2]))
def test_best_threshold_is_the_best_of_all(items):
    golds = [answers for answers, _, _ in items]
    predictions = [{"text": text, "no_answer": odds} for _, text, odds in items]
    best = best_threshold(golds, predictions)
    assert best.f1 == pytest.approx(
        slow_best(golds, [item[1] for item in items], [item[2] for item in items])
    )


def test_the_best_threshold_reaches_its_score():
    golds = [["1906"], [""], ["Anna"], [""]]
    odds = [1.0, 3.0, 2.0, 4.0]
    predictions = [
        {"text": text, "no_answer": value}
        for text, value in zip(["1906", "x", "Anna", "y"], odds, strict=True)
    ]
    assert SCORES["squad2"].compute(golds, predictions)["f1"] == 50
    best = best_threshold(golds, predictions)
    assert best == (2.0, 100.0)
    moved = [shifted(prediction, best.value) for prediction in predictions]
    assert SCORES["squad2"].compute(golds, moved)["f1"] == 100
    assert SCORES["squad2_best"].compute(golds, predictions)["f1"] == 100


@pytest.mark.parametrize("odds", [-3.0, 0.0, 2.0])
def test_where_answering_nothing_is_best_nothing_is_answered(odds):
    predictions = [{"text": "oil", "no_answer": odds}]
    best = best_threshold([[""]], predictions)
    assert best.f1 == 100
    assert answered(shifted(predictions[0], best.value)) == ""
    assert SCORES["squad2_best"].compute([[""]], predictions)["f1"] == 100


def test_plain_texts_are_predictions_too():
    assert statistics([[""], ["cat"]], ["", "the cat"]).sum(axis=0).tolist() == [2, 2, 2, 1, 1, 1]
    assert answered(None) == ""
    with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
        statistics([[""], [""]], [""])


def test_a_gold_of_articles_alone_is_no_answer():
    assert SCORES["squad2"].compute([["the"]], [""])["no_answer_accuracy"] == 100
