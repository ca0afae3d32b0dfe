import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples
from adaptrans.tasks.templates import example_rows, task_file, templates, write_new
from adaptrans.tasks.validation import histogram, lengths, shown


@pytest.fixture
def made(tmp_path):
    """`made(kind)`: the template task of a kind, and its examples."""

    def make(kind):
        write_new({tmp_path / f"t/{kind}.yaml": task_file(kind, kind)})
        write_new({tmp_path / name: rows for name, rows in example_rows(kind, kind).items()})
        task = catalogue.get(kind, [tmp_path / "t"])
        split = next(iter(task.splits))
        return task, read_examples(task, split, task.languages_of(split)[0], tmp_path)

    return make


@pytest.mark.parametrize("kind", sorted(templates()))
def test_every_kind_can_be_shown(made, tokenizer, kind):
    task, examples = made(kind)
    items = shown(task, examples, tokenizer, 64)
    assert [item.id for item in items] == [example.id for example in examples]
    for item in items:
        assert item.inputs
        assert all(given.tokens[0] == "<s>" and given.tokens[-1] == "</s>" for given in item.inputs)
    found = lengths(task, examples, tokenizer, 64)
    assert found.longest == max(len(given.tokens) for item in items for given in item.inputs)
    assert found.longer == 0
    assert sum(count for _, _, count in found.bins) == len(examples) == found.examples


def test_tags_stand_at_the_first_pieces(made, tokenizer):
    task, examples = made("tagging")
    (first, *_) = shown(task, examples, tokenizer, 64)
    (given,) = first.inputs
    assert [label for label in given.labels if label] == list(first.fields["tags"])
    assert len(given.labels) == len(given.tokens)


def test_the_span_is_the_answer(made, tokenizer):
    task, examples = made("span_qa")
    (first, *_) = shown(task, examples, tokenizer, 64)
    start, end = first.inputs[0].span
    pieces = first.inputs[0].tokens[start : end + 1]
    assert "".join(pieces).replace("▁", " ").strip() == "1906"


def test_windows_without_the_answer_say_so(made, tokenizer):
    task, examples = made("span_qa")
    items = shown(task, examples, tokenizer, 24)
    notes = [given.note for given in items[0].inputs]
    assert len(notes) > 1
    assert any("the answer is not in it" in note for note in notes)


def test_no_answer_says_so(made, tokenizer):
    task, examples = made("span_qa_null")
    items = shown(task, examples, tokenizer, 64)
    assert items[1].inputs[0].note == "window 1 of 1, no answer"


def test_choices_are_marked(made, tokenizer):
    task, examples = made("multiple_choice")
    items = shown(task, examples, tokenizer, 64)
    assert [given.note for given in items[0].inputs] == ["choice 0, right", "choice 1"]


def test_examples_over_the_limit_are_counted_before_they_are_cut(made, tokenizer):
    task, examples = made("classification")
    found = lengths(task, examples, tokenizer, 8)
    assert found.longer == len(examples)
    assert found.share_longer == 1
    assert found.longest > 8
    assert found.then == "are cut"


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=50), st.integers(1, 20))
def test_histogram_covers_every_value_once(values, most):
    bins = histogram(values, most)
    assert len(bins) <= most
    assert sum(count for _, _, count in bins) == len(values)
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(bins))
    for first, last, count in bins:
        assert count == sum(first <= value <= last for value in values)


def test_every_kind_that_learns_has_a_template():
    assert {name for name in TASK_TYPES if TASK_TYPES[name].trainable} <= set(templates())
