import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.rows import RowError, Rules
from adaptrans.task_types.span_qa import NULL_ANSWER, Answer

build_bitext = TASK_TYPES["bitext_retrieval"].build
build_classification = TASK_TYPES["classification"].build
build_multiple_choice = TASK_TYPES["multiple_choice"].build
build_span_qa = TASK_TYPES["span_qa"].build
build_tagging = TASK_TYPES["tagging"].build

NLI = Rules(labels=("entailment", "neutral"), label_map={"e": "entailment", "0": "entailment"})


def test_examples_are_frozen():
    example = build_classification("1", {"text": "a", "label": "neutral"}, NLI)
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.text = "b"


def test_classification_strips_ends_and_keeps_inner_spaces():
    example = build_classification("1", {"text": " a  b ", "pair": "c ", "label": "e"}, NLI)
    assert (example.text, example.pair, example.label) == ("a  b", "c", "entailment")
    assert build_classification("1", {"text": "a", "pair": "b", "label": 0}, NLI).label == "entailment"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "a", "label": "maybe"}, 'unknown label "maybe"'),
        ({"text": "a", "label": ""}, "label is missing"),
        ({"text": "a", "label": None}, "label is missing"),
        ({"text": "a", "label": -1}, "label is missing"),
        ({"text": None, "label": "e"}, '"text" is missing'),
        ({"text": 3, "label": "e"}, "not a text"),
        ({"text": " ", "label": "e"}, "no text"),
    ],
)
def test_classification_refuses(fields, message):
    with pytest.raises(RowError, match=message):
        build_classification("1", fields, NLI)


def test_a_label_may_be_absent_only_where_the_split_is_unlabeled():
    rules = Rules(labels=NLI.labels, labeled=False)
    assert build_classification("1", {"text": "a", "label": ""}, rules).label is None


TAGS = Rules(labels=("O", "B-PER"), label_map={"0": "O", "1": "B-PER"})


def test_tagging_maps_numbers_and_refuses_unknown_tags_with_their_line():
    assert build_tagging("1", {"words": ["a", "b"], "tags": [0, 1]}, TAGS).tags == ("O", "B-PER")
    with pytest.raises(RowError, match='unknown tag "B-XXX" of word 2 "b"') as info:
        build_tagging("1", {"words": ["a", "b"], "tags": ["O", "B-XXX"], "lines": range(7, 9)}, TAGS)
    assert info.value.line == 8
    with pytest.raises(RowError, match='no tag for word 1 "a"'):
        build_tagging("1", {"words": ["a", "b"], "tags": ["", "O"]}, TAGS)
    with pytest.raises(RowError, match="2 words but 1 tags"):
        build_tagging("1", {"words": ["a", "b"], "tags": ["O"]}, TAGS)
    with pytest.raises(RowError, match="no tags"):
        build_tagging("1", {"words": ["a"], "tags": [None]}, TAGS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, '"words" is missing'),
        ([], "the sentence has no words"),
        (5, '"words" is 5, not a list of words'),
        ("a b", "\"words\" is 'a b', not a list"),
        ([1, 2], "word 1 is 1, not a text"),
        (["a", None], "word 2 is None, not a text"),
    ],
)
@pytest.mark.parametrize("labeled", [True, False])
def test_tagging_refuses_what_is_no_list_of_words(words, message, labeled):
    rules = Rules(labels=TAGS.labels, labeled=labeled)
    with pytest.raises(RowError, match=message):
        build_tagging("1", {"words": words, "tags": ["O", "O"] if labeled else None}, rules)


def test_tagging_refuses_tags_that_are_no_list():
    with pytest.raises(RowError, match='"tags" is 7, not a list'):
        build_tagging("1", {"words": ["a"], "tags": 7}, TAGS)


CONTEXT = "  Anna met Anna in Rome.  "


def test_span_qa_takes_both_forms_of_answers_and_cuts_white_space():
    listed = {"question": " who? ", "context": CONTEXT, "answers": [{"text": "Anna ", "answer_start": 11}]}
    columns = {**listed, "answers": {"text": ["Anna "], "answer_start": [11]}}
    example = build_span_qa("1", listed, Rules())
    assert example == build_span_qa("1", columns, Rules())
    assert example.answers == (Answer("Anna", 9),)
    assert example.question == "who?"
    assert example.context[9:13] == "Anna"


@given(st.text(alphabet=" ab\n\u3000", min_size=1), st.integers(0, 20), st.integers(1, 5))
def test_span_qa_offsets_always_match_after_cutting(context, start, length):
    text = context[start : start + length]
    if not text.strip():
        return
    fields = {"question": "q", "context": context, "answers": [{"text": text, "answer_start": start}]}
    example = build_span_qa("1", fields, Rules())
    answer = example.answers[0]
    assert example.context[answer.start : answer.start + len(answer.text)] == answer.text


def test_span_qa_refuses_wrong_offsets_and_corrects_them_only_on_demand():
    fields = {"question": "q", "context": "x Anna y Anna z", "answers": [{"text": "Anna", "answer_start": 8}]}
    with pytest.raises(RowError, match='answer "Anna" is not at offset 8'):
        build_span_qa("1", fields, Rules())
    assert build_span_qa("1", fields, Rules(approximate_offsets=True)).answers == (Answer("Anna", 9),)
    fields["answers"] = [{"text": "Bert", "answer_start": 0}]
    with pytest.raises(RowError, match="Bert"):
        build_span_qa("1", fields, Rules(approximate_offsets=True))


def test_span_qa_needs_an_answer_where_the_split_is_labeled():
    fields = {"question": "q", "context": "c", "answers": []}
    with pytest.raises(RowError, match="no answer"):
        build_span_qa("1", fields, Rules())
    assert build_span_qa("1", fields, Rules(labeled=False)).answers == ()


def test_multiple_choice():
    letters = Rules(label_map={"A": 0, "B": 1})
    assert (
        build_multiple_choice("1", {"prompt": "p", "choices": [" x", "y"], "label": "B"}, letters).label == 1
    )
    assert (
        build_multiple_choice("1", {"prompt": "p", "choices": ["x", "y"], "label": "1"}, Rules()).label == 1
    )
    for label, message in [("C", 'label "C" is not'), (2, "does not name one of 2"), (None, "missing")]:
        with pytest.raises(RowError, match=message):
            build_multiple_choice("1", {"prompt": "p", "choices": ["x", "y"], "label": label}, letters)
    with pytest.raises(RowError, match="two choices"):
        build_multiple_choice("1", {"prompt": "p", "choices": ["x"], "label": 0}, letters)
    with pytest.raises(RowError, match="not a text"):
        build_multiple_choice("1", {"prompt": "p", "choices": ["x", None], "label": 0}, letters)


def test_bitext_refuses_an_empty_side():
    assert build_bitext("1", {"text": "a\n", "english": " b"}, Rules()).english == "b"
    with pytest.raises(RowError, match="empty"):
        build_bitext("1", {"text": "a", "english": " "}, Rules())


def nullable(**fields):
    return TASK_TYPES["span_qa_null"].build("1", {"question": "?", "context": "The cat.", **fields}, Rules())


def test_a_question_without_an_answer():
    assert nullable(answers=[]).answers == (NULL_ANSWER,)
    assert nullable(answers={"text": [], "answer_start": []}, impossible=True).answers == (NULL_ANSWER,)
    assert nullable(answers=[{"text": "cat", "answer_start": 4}], impossible=False).answers[0].start == 4
    with pytest.raises(RowError, match="marked impossible but has answers"):
        nullable(answers=[{"text": "cat", "answer_start": 4}], impossible=True)
    with pytest.raises(RowError, match="no answer but is not marked"):
        nullable(answers=[], impossible=False)
    with pytest.raises(RowError, match="is not at offset 3"):
        nullable(answers=[{"text": "cat", "answer_start": 3}])
    assert (
        TASK_TYPES["span_qa_null"].build("1", {"question": "?", "context": "c"}, Rules(labeled=False)).answers
        == ()
    )


def test_answers_that_stand_nowhere_are_kept_without_a_place():
    rules = Rules(approximate_offsets="or-none")
    given = [
        {"text": "dog", "answer_start": 4},
        {"text": "cat", "answer_start": 9},
        {"text": "", "answer_start": 0},
    ]
    example = TASK_TYPES["span_qa"].build(
        "1", {"question": "?", "context": "The cat.", "answers": given}, rules
    )
    assert [(answer.text, answer.start) for answer in example.answers] == [("dog", -1), ("cat", 4)]
    lone = TASK_TYPES["span_qa"].build("1", {"question": "?", "context": "c", "answers": [[0, ""]]}, rules)
    assert [(answer.text, answer.start) for answer in lone.answers] == [("", -1)]


def test_answers_as_pairs_of_start_and_text():
    example = build_span_qa("1", {"question": "?", "context": "The cat.", "answers": [[4, "cat"]]}, Rules())
    assert example.answers[0].start == 4


def test_open_labels_need_a_tag_all_the_same():
    rules = Rules(labels=("N",), open_labels=True)
    assert TASK_TYPES["tagging"].build("1", {"words": ["a"], "tags": ["Z"]}, rules).tags == ("Z",)
    with pytest.raises(RowError, match=r'no tag for word 2 "b"$'):
        TASK_TYPES["tagging"].build("1", {"words": ["a", "b"], "tags": ["N", ""]}, rules)


NUMBERED = Rules(labels=("0", "1", "2"))
BINARY = Rules(labels=("false", "true"))


@pytest.mark.parametrize(
    ("label", "rules", "name"),
    [
        (1, NUMBERED, "1"),
        (1.0, NUMBERED, "1"),
        (0, NUMBERED, "0"),
        (" 2 ", NUMBERED, "2"),
        ("1.0", Rules(labels=("1.0", "1")), "1.0"),
        (1.0, Rules(labels=("1.0", "1")), "1.0"),
        (True, BINARY, "true"),
        ("True", BINARY, "true"),
        (False, BINARY, "false"),
        (True, Rules(labels=("yes", "no"), label_map={"True": "yes", "False": "no"}), "yes"),
        ("true", Rules(labels=("yes", "no"), label_map={"True": "yes", "False": "no"}), "yes"),
        (1.0, Rules(labels=("yes", "no"), label_map={"1": "yes", "0": "no"}), "yes"),
        (0, Rules(labels=("1", "2"), label_map={"0": 1}), "1"),
    ],
)
def test_numbers_and_truth_values_are_labels_by_their_text(label, rules, name):
    assert build_classification("1", {"text": "a", "label": label}, rules).label == name
    assert build_tagging("1", {"words": ["a", "b"], "tags": [label, label]}, rules).tags == (name, name)


@pytest.mark.parametrize("raw", [0, 1.0, "2"])
def test_numbers_without_a_name_ask_for_a_label_map(raw):
    rules = Rules(labels=("O", "B-PER", "I-PER", "B-LOC"))
    asked = r"label_map: \{0: O, 1: B-PER, 2: I-PER, \.\.\.\}"
    with pytest.raises(RowError, match=rf'unknown tag "{raw}" of word 1 "a", .*{asked}'):
        build_tagging("1", {"words": ["a"], "tags": [raw]}, rules)
    with pytest.raises(RowError, match=rf'unknown label "{raw}", .*{asked}'):
        build_classification("1", {"text": "a", "label": raw}, rules)
    with pytest.raises(RowError, match="label_map does not have 7"):
        build_tagging("1", {"words": ["a"], "tags": [7]}, TAGS)


def test_labels_that_are_words_do_not_ask_for_a_label_map():
    for build, fields in (
        (build_classification, {"text": "a", "label": "maybe"}),
        (build_tagging, {"words": ["a"], "tags": ["maybe"]}),
    ):
        with pytest.raises(RowError) as info:
            build("1", fields, NLI)
        assert "label_map" not in str(info.value)


def test_a_tag_that_is_a_list_or_missing_is_refused():
    with pytest.raises(RowError, match=r"a tag is \['O'\], not a text"):
        build_tagging("1", {"words": ["a"], "tags": [["O"]]}, Rules(labels=("O", "B")))
    with pytest.raises(RowError, match='no tag for word 2 "b"'):
        build_tagging("1", {"words": ["a", "b"], "tags": ["O", None]}, TAGS)


def test_open_labels_take_numbers_as_text():
    rules = Rules(labels=(), open_labels=True)
    assert build_tagging("1", {"words": ["a", "b"], "tags": [3, 0]}, rules).tags == ("3", "0")


@pytest.mark.parametrize("label", [1, 1.0, "1", " 1"])
def test_choices_may_be_written_as_any_number(label):
    assert (
        build_multiple_choice("1", {"prompt": "p", "choices": ["x", "y"], "label": label}, Rules()).label == 1
    )


@pytest.mark.parametrize("label", [True, "B", 0.5, "1.5"])
def test_choices_that_are_no_numbers_ask_for_a_label_map(label):
    with pytest.raises(RowError, match=rf"not the number of a choice; .* label_map: \{{{label}: 0\}}"):
        build_multiple_choice("1", {"prompt": "p", "choices": ["x", "y"], "label": label}, Rules())


def test_a_gap_in_a_column_of_numbers_is_no_label():
    unlabeled = Rules(labels=("0", "1"), labeled=False)
    assert build_classification("1", {"text": "a", "label": float("nan")}, unlabeled).label is None


@pytest.mark.parametrize(("text", "start"), [("1906", 3.0), ("1906", "3"), (1906, 3), ("1906", 3)])
def test_answers_may_be_numbers(text, start):
    fields = {"question": "?", "context": "in 1906", "answers": {"text": [text], "answer_start": [start]}}
    (answer,) = build_span_qa("1", fields, Rules()).answers
    assert (answer.text, answer.start) == ("1906", 3)


@pytest.mark.parametrize("start", [3.5, True, None, "x", "3.0"])
def test_offsets_that_are_no_whole_numbers_are_refused(start):
    fields = {"question": "?", "context": "in 1906", "answers": {"text": ["1906"], "answer_start": [start]}}
    with pytest.raises(RowError, match="is not a text with an offset"):
        build_span_qa("1", fields, Rules())


@pytest.mark.parametrize("raw", ["False", "false", "0", "no", " "])
def test_impossible_may_be_written_as_text(raw):
    fields = {"question": "?", "context": "in 1906", "impossible": raw}
    answers = {"text": ["1906"], "answer_start": [3]}
    build = TASK_TYPES["span_qa_null"].build
    assert build("1", {**fields, "answers": answers}, Rules()).answers[0].text == "1906"
    assert build("1", {**fields, "answers": [], "impossible": "True"}, Rules()).answers[0].text == ""
    with pytest.raises(RowError, match="is not marked so"):
        build("1", {**fields, "answers": []}, Rules())
