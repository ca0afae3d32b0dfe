"""Any text at all is scored or refused with its file; any part of two files is scored as that part."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.benchmarks import BenchmarkTask
from adaptrans.errors import DataError
from adaptrans.evaluation.scoring import score_file
from adaptrans.evaluation.xtreme_format import layout_of

KINDS = {
    "classification": ("accuracy", ("yes", "no")),
    "tagging": ("chunk_f1", ("O", "B-PER", "I-PER", "B-LOC")),
    "multiple_choice": ("accuracy", ()),
    "bitext_retrieval": ("accuracy", ()),
    "bitext_mining": ("bucc_f1", ()),
    "span_qa": ("squad", ()),
    "span_qa_null": ("squad2", ()),
    "passage_ranking": ("map_at_20", ()),
}

PIECES = """
    yes no Yes O B-PER I-PER B-LOC word 0 1 2 -1 1.5 1e5 000 ２ de-1 en-1
    {"label": 0} {"label": -3} {"label": true}
    {"label": "1"} {} [] {"q": "a"} {"q": null} {"q": ["a"]} {"q": [3]} {"q": {}} {"data": []} null NaN "q"
    {"data": [{"paragraphs": [{"qas": [{"id": 1, "answers": []}]}]}]}
    {"data": [{"paragraphs": [{"qas": [{"id": "q", "answers": [{"text": "a"}]}]}]}]}
"""
PIECE = st.sampled_from([row for row in PIECES.split("\n") if row]).flatmap(
    lambda row: st.sampled_from(row.split(" ")) | st.just(row.strip())
)
BREAK = st.sampled_from(["\n", "\n\n", "\r\n", "\r", "\t", " ", "\u2028", "\ufeff", "\0", "\x85", ""])
TEXT = st.lists(st.tuples(PIECE, BREAK).map("".join), max_size=8).map("".join) | st.text(max_size=20)


def score(kind, predictions, labels):
    name, known = KINDS[kind]
    task = BenchmarkTask(kind=kind, score=name, languages=("de",))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{side}.{layout_of(kind).suffix}" for side in ("predictions", "labels")]
        for path, text in zip(paths, (predictions, labels), strict=True):
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return score_file(task, "de", *paths, known)


def attempted(kind, predictions, labels):
    """What was scored, or the error."""
    try:
        return score(kind, predictions, labels), None
    except DataError as error:
        return None, error


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=150)
@given(predictions=TEXT, labels=TEXT)
def test_any_text_is_scored_or_refused_with_its_file(kind, predictions, labels):
    scored, error = attempted(kind, predictions, labels)
    if error is not None:
        assert error.path.stem in ("predictions", "labels")
        assert len(str(error)) < 700
        return
    assert scored.n > 0
    assert all(0 <= value <= 100 + 1e-9 for value in scored.values.values())


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=60)
@given(text=TEXT)
def test_a_text_that_is_both_scores_100_or_is_refused(kind, text):
    if kind in ("span_qa", "span_qa_null"):
        return
    scored, error = attempted(kind, text, text)
    if error is not None:
        return
    value = next(iter(scored.values.values()))
    assert value == pytest.approx(100) or (kind == "tagging" and value == 0)


LINES = st.integers(0, 40)
ROWS = {
    "classification": (st.sampled_from(["yes", "no"]), str),
    "bitext_retrieval": (LINES, str),
    "multiple_choice": (st.integers(0, 4), lambda choice: json.dumps({"label": choice})),
}


@pytest.mark.parametrize("kind", sorted(ROWS))
@settings(max_examples=80)
@given(data=st.data())
def test_every_part_of_a_file_is_scored_unless_nothing_can_be_right(kind, data):
    value, shown = ROWS[kind]
    rows = data.draw(st.lists(st.tuples(value, value), min_size=1, max_size=12))
    golds, found = ("".join(f"{shown(row[side])}\n" for row in rows) for side in (0, 1))
    right = sum(gold == prediction for gold, prediction in rows)
    scored, error = attempted(kind, found, golds)
    if error is not None:
        assert "can never be right, nor can any other" in str(error)
        assert right == 0
        return
    assert scored.n == len(rows)
    assert scored.values["accuracy"] == pytest.approx(100 * right / len(rows))


@settings(max_examples=80)
@given(data=st.data())
def test_every_part_of_the_ids_is_scored_unless_none_is_asked_for(data):
    ids = st.sampled_from([f"q{i}" for i in range(6)])
    golds = data.draw(st.dictionaries(ids, st.sampled_from("bcd"), min_size=1))
    found = data.draw(st.dictionaries(ids, st.sampled_from("bcd") | st.none()))
    questions = [{"id": id, "answers": [{"text": text}]} for id, text in golds.items()]
    labels = json.dumps({"data": [{"paragraphs": [{"qas": questions}]}]})
    right = sum(found.get(id) == text for id, text in golds.items())
    ranked = {id: [text] if text else [] for id, text in found.items()}
    rankings = json.dumps(ranked), json.dumps({id: [text] for id, text in golds.items()})
    if found and not set(found) & set(golds):
        with pytest.raises(DataError, match="is no id of"):
            score("span_qa", json.dumps(found), labels)
        with pytest.raises(DataError, match="is no id of"):
            score("passage_ranking", *rankings)
        return
    scored = score("span_qa", json.dumps(found), labels)
    assert scored.values["exact_match"] == pytest.approx(100 * right / len(golds))
    assert score("passage_ranking", *rankings).values["map_at_20"] == pytest.approx(100 * right / len(golds))


@settings(max_examples=80)
@given(
    st.lists(st.lists(st.sampled_from(["O", "B-PER", "I-PER"]), max_size=4), min_size=1, max_size=6),
    st.data(),
)
def test_blank_lines_between_sentences_make_no_difference(sentences, data):
    filled = [tags for tags in sentences if tags]
    blank = st.integers(1, 3).map(lambda number: "\n" * number)
    text = "".join("".join(f"{tag}\n" for tag in tags) + data.draw(blank) for tags in filled)
    plain = "".join("".join(f"{tag}\n" for tag in tags) + "\n" for tags in filled)
    if not filled:
        return
    one, other = score("tagging", text, plain), score("tagging", plain, text)
    assert one.values == other.values == score("tagging", plain, plain).values
