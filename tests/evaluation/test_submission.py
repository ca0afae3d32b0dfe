"""Prediction files: round trips, the reading rules line by line, and nothing half-written."""

import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import read_predictions, write_labels, write_one

from adaptrans.errors import AdaptransError, DataError, UnknownNameError
from adaptrans.evaluation import xtreme_format
from adaptrans.evaluation.xtreme_format import layout_of, prediction_path, read_file, tatoeba_in_xtreme_order

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
HOSTILE = st.sampled_from(
    ["e\u0301", "\u200fשלום", "１２", "a\u2028b", "a\x0bb", "a\x85b", "x\ufeff", '"', "O"]
)
LABEL = (TEXT | HOSTILE).filter(
    lambda text: text == text.strip() and text.strip("\ufeff") and not set(text) & set("\r\n\t")
)
LABEL = LABEL.filter(lambda text: not text.startswith("\ufeff") and "\0" not in text)
IDS = LABEL.filter(lambda text: "\t" not in text)
NUMBERS = st.lists(st.integers(0, 10**6))


def round_trip(kind, predictions):
    with tempfile.TemporaryDirectory() as folder:
        write_one(Path(folder), "task", kind, "de", predictions)
        return read_predictions(Path(folder), "task", kind, "de")


def read(tmp_path, kind, content):
    path = prediction_path(tmp_path, "task", kind, "de")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode())
    return read_predictions(tmp_path, "task", kind, "de")


@given(st.lists(LABEL))
def test_labels_round_trip(labels):
    assert round_trip("classification", labels) == labels


@given(st.lists(st.lists(LABEL, max_size=4), max_size=5))
def test_tags_round_trip_with_empty_sentences(sentences):
    assert round_trip("tagging", sentences) == sentences


@given(st.dictionaries(TEXT | HOSTILE, TEXT | HOSTILE))
def test_answers_round_trip(answers):
    assert round_trip("span_qa", answers) == answers


@given(NUMBERS)
def test_numbers_round_trip(numbers):
    assert round_trip("bitext_retrieval", numbers) == numbers
    assert round_trip("multiple_choice", numbers) == numbers


@given(st.lists(st.tuples(IDS, IDS)))
def test_pairs_round_trip(pairs):
    assert round_trip("bitext_mining", pairs) == pairs


@given(st.dictionaries(TEXT, st.lists(TEXT, min_size=1, max_size=3)))
def test_rankings_and_gold_answers_round_trip(values):
    assert round_trip("passage_ranking", values) == values
    for kind in ("passage_ranking", "span_qa"):
        with tempfile.TemporaryDirectory() as folder:
            path = write_labels(Path(folder), "task", kind, "de", values)
            assert layout_of(kind).decode_gold(read_file(path, ""), path) == values


def test_layout_on_disk(tmp_path):
    write_one(tmp_path, "xnli", "classification", "sw", ["neutral", "entailment"])
    write_one(tmp_path, "udpos", "tagging", "ar", [["NOUN", "VERB"], ["X"]])
    write_one(tmp_path, "tydiqa_goldp", "span_qa", "te", {"q": "హైదరాబాద్"})
    write_one(tmp_path, "tatoeba", "bitext_retrieval", "th", [4, 0])
    write_one(tmp_path, "xcopa", "multiple_choice", "qu", [1, 0])
    files = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.*")}
    assert json.loads(files.pop("tydiqa/test-te.json")) == {"q": "హైదరాబాద్"}
    assert files == {
        "xnli/test-sw.tsv": "neutral\nentailment\n",
        "udpos/test-ar.tsv": "NOUN\nVERB\n\nX\n\n",
        "tatoeba/test-th.tsv": "4\n0\n",
        "xcopa/test-qu.jsonl": '{"label": 1}\n{"label": 0}\n',
    }


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ("", []),
        ("A\nB\n\nC\n\n", [["A", "B"], ["C"]]),
        ("A\nB\n\nC", [["A", "B"], ["C"]]),
        ("\nA\n\n\nB\n\n", [[], ["A"], [], ["B"]]),
        ("\n", [[]]),
        ("A \n \t \n B\n", [["A"], ["B"]]),
        ("A\r\nB\r\n\r\nC\r\n", [["A", "B"], ["C"]]),
    ],
)
def test_each_blank_line_closes_a_sentence(tmp_path, content, sentences):
    assert read(tmp_path, "tagging", content) == sentences


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("", []),
        ("a\nb", ["a", "b"]),
        (" a \n\nb\n", ["a", "", "b"]),
        ("a b \t\n", ["a b"]),
        ("a\u2028b\n", ["a\u2028b"]),
    ],
)
def test_labels_are_stripped_lines(tmp_path, content, labels):
    assert read(tmp_path, "classification", content) == labels


@given(st.text("ab \t\n\x0b\u2028\u3000", max_size=30))
def test_labels_equal_python_lines(text):
    rows = [line.strip() for line in io.StringIO(text)]
    columns = next((number for number, row in enumerate(rows, start=1) if "\t" in row), None)
    with tempfile.TemporaryDirectory() as folder:
        if columns is not None:
            with pytest.raises(DataError, match="holds columns") as info:
                read(Path(folder), "classification", text)
            assert info.value.line == columns
            return
        labels = read(Path(folder), "classification", text)
        with prediction_path(Path(folder), "task", "classification", "de").open(encoding="utf-8") as file:
            assert labels == [line.strip() for line in file]


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("bitext_retrieval", "1\nx\n", r"test-de.tsv:2: expected a line number, found 'x'"),
        ("bitext_retrieval", "1\n\n2\n", r"test-de.tsv:2: expected a line number, found ''"),
        ("bitext_retrieval", "1.0\n", r"test-de.tsv:1: "),
        ("bitext_retrieval", "１\n", r"test-de.tsv:1: "),
        ("multiple_choice", '{"label": 0}\n{"label": "0"}\n', r"test-de.jsonl:2: "),
        ("multiple_choice", '{"label": true}\n', r"test-de.jsonl:1: "),
        ("multiple_choice", '{"choice": 1}\n', r"test-de.jsonl:1: "),
        ("multiple_choice", "[1]\n", r"test-de.jsonl:1: "),
        ("multiple_choice", "{\n", r"test-de.jsonl:1: not valid JSON"),
        ("span_qa", '{"a": \n', r"test-de.json:2: not valid JSON"),
        ("span_qa", "[]", r"expected one object"),
        ("span_qa", '{"a": 3}', r"the answer to 'a' is not text but 3"),
        ("span_qa", '{"a": "x", "a": "y"}', r"'a' is answered twice"),
        ("bitext_mining", "de-1\ten-1\nde-2\n", r"test-de.tsv:2: expected two ids"),
        ("bitext_mining", "de-1\t\n", r"test-de.tsv:1: expected two ids"),
        ("passage_ranking", '{"q": "a"}', r"the ranking of 'q' is no list of ids"),
        ("passage_ranking", '{"q": [1.5]}', r"the ranking of 'q' is no list of ids"),
        ("passage_ranking", '{"q": [], "q": []}', r"'q' is ranked twice"),
        ("classification", "a\nb\t0.5\n", r"test-de.tsv:2: holds columns, 'b\\t0.5'"),
        ("tagging", "\nword\tO\n", r"test-de.tsv:2: holds columns"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path, kind, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, kind, content)


def test_other_encodings_are_refused(tmp_path):
    path = prediction_path(tmp_path, "task", "classification", "de")
    path.parent.mkdir()
    path.write_bytes(b"a\nb\n\xff\xfe")
    with pytest.raises(DataError, match=r"test-de.tsv:3: not UTF-8"):
        read_predictions(tmp_path, "task", "classification", "de")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such prediction file; predict"):
        read_predictions(tmp_path, "xnli", "classification", "de")


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("span_qa", '{"data": [{"paragraphs": [{"qas": [{"id": 1}]}]}]}', "not in SQuAD's form"),
        ("span_qa", '{"data": 3}', "not in SQuAD's form"),
        ("span_qa", '{"data": [{"paragraphs": [{"qas": [{"id": 1, "answers": []}]}]}]}', "no right answer"),
        ("span_qa", '{"data": \n[}', r"labels:2: not valid JSON"),
        ("classification", "a\nb\tc\n", r"labels:2: holds columns"),
        ("passage_ranking", '{"q": []}', "'q' has no gold"),
    ],
)
def test_bad_label_files_are_named(kind, content, message):
    with pytest.raises(DataError, match=message):
        layout_of(kind).decode_gold(content, Path("labels"))


@pytest.mark.parametrize("label", ["", " a", "a ", "a\nb", "a\rb", "a\tb", "\u3000"])
def test_labels_that_would_not_come_back_are_refused(tmp_path, label):
    with pytest.raises(AdaptransError, match="cannot be written"):
        write_one(tmp_path, "xnli", "classification", "de", ["ok", label])
    with pytest.raises(AdaptransError, match="cannot be written"):
        write_one(tmp_path, "panx", "tagging", "de", [["O", label]])
    assert list(tmp_path.rglob("*.*")) == []


def test_answers_must_be_text(tmp_path):
    with pytest.raises(AdaptransError, match="question 'q' has the answer None"):
        write_one(tmp_path, "xquad", "span_qa", "de", {"q": None})


def test_half_a_character_is_refused(tmp_path):
    with pytest.raises(AdaptransError, match="no character"):
        write_one(tmp_path, "xquad", "span_qa", "de", {"q": "\ud800"})


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_one(tmp_path, "xnli", "classification", "de", ["old"])

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(xtreme_format.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_one(tmp_path, "xnli", "classification", "de", ["new"])
    assert path.read_text() == "old\n"
    assert [file.name for file in path.parent.iterdir()] == ["test-de.tsv"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "../x"])
def test_names_stay_inside_the_folder(tmp_path, name):
    with pytest.raises(AdaptransError, match="cannot be part of a file name"):
        prediction_path(tmp_path, name, "tagging", "de")
    with pytest.raises(AdaptransError, match="cannot be part of a file name"):
        prediction_path(tmp_path, "panx", "tagging", name)


def test_kinds():
    from adaptrans.tasks import catalogue

    tasks = [catalogue.get(name) for name in catalogue.names()]
    targets = {task.kind for task in tasks if "target" in task.roles}
    for kind in targets:
        assert layout_of(kind).suffix, "every type of target can be submitted"
    with pytest.raises(UnknownNameError, match='did you mean "tagging"'):
        prediction_path(Path(), "panx", "taging", "de")


@given(st.lists(st.tuples(TEXT, st.integers(0, 99)), max_size=30))
def test_tatoeba_follows_the_sorted_english_sentences(pairs):
    english, predictions = [text for text, _ in pairs], [line for _, line in pairs]
    # Decorated with its row, a sentence sorts as by a stable sort.
    expected = [predictions[row] for _, row in sorted((text, row) for row, text in enumerate(english))]
    assert tatoeba_in_xtreme_order(english, predictions) == expected
    assert predictions == [line for _, line in pairs], "the predictions themselves are left alone"


def test_right_answers_for_tatoeba_stay_right_in_its_order():
    english = ["the cat", "An apple", "a cat", "An apple", "école"]
    # XTREME's label of a query is the line at which its sentence stood before it was sorted.
    ours = tatoeba_in_xtreme_order(english, [0, 1, 2, 3, 4])
    assert ours == [1, 3, 2, 0, 4]
    assert [english[line] for line in ours] == sorted(english)


def test_tatoeba_needs_one_prediction_per_sentence():
    with pytest.raises(AdaptransError, match="1 predictions for 2 English sentences; give one"):
        tatoeba_in_xtreme_order(["a", "b"], [0])
