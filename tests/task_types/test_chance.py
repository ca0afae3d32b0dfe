"""Chance levels against cases worked out by hand, and against answers drawn at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans import samples
from adaptrans.evaluation.metrics import SCORES, chance
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.bitext_retrieval import BitextExample
from adaptrans.task_types.multiple_choice import MultipleChoiceExample
from adaptrans.task_types.span_qa import passages
from adaptrans.tasks import catalogue, loading


def sample(name, language="en", limit=200):
    task = catalogue.get(f"sample_{name}", (samples.TASKS,))
    examples = loading.read_examples(task, "test", language, samples.DATA)[:limit]
    kind = TASK_TYPES[task.kind]
    golds = list(range(len(examples))) if not kind.trainable else [kind.reference(item) for item in examples]
    return task, examples, golds


def test_labels_that_are_even_give_one_part_and_uneven_ones_the_largest():
    task, examples, _ = sample("nli", limit=6)
    three = list(task.labels)
    assert chance(task, examples, [*three, *three]) == pytest.approx(100 / 3)
    assert chance(task, examples, [three[0]] * 5 + [three[1]]) == pytest.approx(500 / 6)
    # A test set that lacks a label is no easier than one label in three.
    assert chance(task, examples[:3], three) == pytest.approx(100 / 3)


def test_what_luck_makes_uneven_is_even():
    task, examples, _ = sample("copa", limit=600)
    assert chance(task, examples, [0] * 316 + [1] * 284) == 50
    assert chance(task, examples, [0] * 330 + [1] * 270) == pytest.approx(55)


def test_choices():
    task, _, _ = sample("copa", limit=2)
    four = [MultipleChoiceExample(str(i), "p", ("a", "b", "c", "d"), None) for i in range(4)]
    assert chance(task, four, [0, 1, 2, 3]) == 25
    assert chance(task, four, [0, 0, 0, 3]) == 75


def test_tags_by_the_task_s_own_score():
    pos, examples, _ = sample("pos", limit=2)
    assert chance(pos, examples, [["NOUN", "VERB"], ["NOUN", "PUNCT"]]) == 50
    ner, examples, _ = sample("ner", limit=2)
    # Everything B-PER: one of four chunks is right, and the only one is found.
    assert chance(ner, examples, [["B-PER", "O"], ["O", "O"]]) == pytest.approx(100 * 2 * 0.25 / 1.25)


def test_tags_dealt_out_at_random_count_where_one_tag_makes_one_long_chunk():
    task = catalogue.get("udpos")
    golds = [["NOUN", "VERB"] * 20 for _ in range(20)]
    # Half of the words are right by luck, and a chunk needs its neighbors to be right as well.
    assert 5 < chance(task, [None] * 20, golds) < 30


def test_retrieval_is_one_of_the_candidates():
    task, _, _ = sample("retrieval", "de", limit=1)
    pairs = [BitextExample(str(i), "x", "y") for i in range(500)]
    assert chance(task, pairs, list(range(500))) == pytest.approx(0.2)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_are_near_what_random_spans_of_that_length_score(language):
    task, examples, golds = sample("qa", language)
    rule, draw = SCORES["squad"], np.random.default_rng(0)
    level = chance(task, examples, golds)
    drawn = []
    for _ in range(5):
        answers = []
        for example, gold in zip(examples, golds, strict=True):
            many = passages(example.context, gold[0], places=1000)
            answers.append(many[draw.integers(len(many))])
        drawn.append(rule.compute(golds, answers)[rule.primary])
    assert level == pytest.approx(np.mean(drawn), abs=3)
    assert 1 < level < 25


def test_without_gold_there_is_no_level():
    task, examples, _ = sample("nli", limit=2)
    assert chance(task, examples, [None, None]) is None
    assert chance(task, [], []) is None


@pytest.mark.parametrize("name", ["nli", "paraphrase", "pos", "ner", "qa", "copa", "retrieval"])
@pytest.mark.parametrize("language", ["de", "zh"])
def test_every_task_of_the_suite_has_a_level(name, language):
    assert 0 < chance(*sample(name, language, limit=50)) < 75


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=30), st.integers(1, 6))
def test_passages_are_of_the_context_and_of_the_answer_s_length(found, wanted):
    context = "  ".join(found)
    cut = passages(context, "x " * wanted)
    assert 1 <= len(cut) <= 8
    for passage in cut:
        assert passage in context
        assert len(passage.split()) == min(wanted, len(found))
