import pytest
import torch

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.inputs import IGNORED
from adaptrans.task_types.span_qa import NEVER_ANSWERED, NULL_ANSWER, Answer, SpanQAExample

KIND = TASK_TYPES["span_qa_null"]
CONTEXT = "The library was opened in 1906."


def example(*answers):
    return SpanQAExample("q", "When?", CONTEXT, answers)


def encoded(given, tokenizer, task, training=True):
    return KIND.encode([given], tokenizer, task(), 384, training)


def logits(features, start=(), end=()):
    """Zero logits with values put at (position, value)."""
    shape = (len(features), max(feature["length"] for feature in features))
    pair = torch.zeros(shape), torch.zeros(shape)
    for values, places in zip(pair, (start, end), strict=True):
        for position, value in places:
            values[:, position] = value
    return pair


def test_no_answer_is_learnt_at_the_first_position(tokenizer, task):
    (none,) = encoded(example(NULL_ANSWER), tokenizer, task)
    assert (none["start"], none["end"]) == (0, 0)
    (some,) = encoded(example(Answer("1906", CONTEXT.index("1906"))), tokenizer, task)
    assert some["start"] > 0


def test_an_answer_without_a_place_is_not_learnt(tokenizer, task):
    (feature,) = encoded(example(Answer("1907", -1)), tokenizer, task)
    assert (feature["start"], feature["end"]) == (IGNORED, IGNORED)
    batch = KIND.collate([feature], 1)
    total, terms = KIND.loss(logits([feature]), batch)
    assert (float(total), terms) == (0.0, 0)
    placed = example(Answer("1907", -1), Answer("1906", CONTEXT.index("1906")))
    assert encoded(placed, tokenizer, task)[0]["start"] > 0


@pytest.mark.parametrize(("null", "difference"), [(1.0, -6.0), (9.0, 10.0)])
def test_prediction_is_the_best_span_and_how_much_better_none_is(tokenizer, task, null, difference):
    given = example(Answer("1906", CONTEXT.index("1906")))
    features = encoded(given, tokenizer, task)
    at, to = features[0]["start"], features[0]["end"]
    values = logits(features, [(0, null), (at, 4.0)], [(0, null), (to, 4.0)])
    prediction = KIND.predict(given, KIND.decode(values, features), ())
    assert prediction["text"].strip(".") == "1906"
    assert prediction["no_answer"] == pytest.approx(difference)


def test_score_of_no_answer_is_the_lowest_of_all_windows():
    outputs = [((3.0, 0, 3), 5.0), (None, 2.0)]
    assert KIND.predict(example(), outputs, ()) == {"text": "The", "no_answer": -1.0}


def test_without_a_valid_span_there_is_no_answer():
    assert KIND.predict(example(), [(None, 2.0)], ()) == {"text": "", "no_answer": NEVER_ANSWERED}


def test_gold():
    assert KIND.reference(example(NULL_ANSWER)) == [""]
    assert KIND.reference(example()) == []
