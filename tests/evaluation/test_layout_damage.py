"""Prediction and label files under 12 kinds of damage: file and line are named, nothing counts in silence."""

import gzip
import json
import re
import subprocess
import sys
from functools import partial

import pytest
from support.damaged import (
    KINDS,
    Cannot,
    Read,
    Refused,
    at_line,
    crlf,
    line,
    mark,
    nothing,
    swap,
    without_last_line,
)

from adaptrans.benchmarks import BenchmarkTask
from adaptrans.errors import DataError
from adaptrans.evaluation.scoring import score_file
from adaptrans.evaluation.xtreme_format import LAYOUTS, layout_of
from adaptrans.task_types.base import TASK_TYPES

NO_GZIP = Cannot("these files are plain; packed ones are tried below")
SOME = Cannot("one of some that can never be right is a note")
OFFSETS = Cannot("no offsets are read")
BY_LINE = Cannot("predictions and labels are told apart by their line")
FEWER = "holds 2 predictions for the 3 labels"

KNOWN = {"classification": ("yes", "no"), "tagging": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")}
SCORES = {
    "classification": "accuracy",
    "tagging": "chunk_f1",
    "multiple_choice": "accuracy",
    "bitext_retrieval": "accuracy",
    "bitext_mining": "bucc_f1",
    "span_qa": "squad",
    "span_qa_null": "squad2",
    "passage_ranking": "map_at_20",
}

GOLD_ANSWERS = {
    "data": [
        {"paragraphs": [{"qas": [{"id": f"q{i}", "answers": [{"text": f"answer {i}"}]} for i in range(3)]}]}
    ]
}
CONTENT = {
    "classification": ("yes\nno\nyes\n",) * 2,
    "tagging": ("B-PER\nO\n\nO\nB-LOC\n\n",) * 2,
    "multiple_choice": ('{"label": 0}\n{"label": 1}\n{"label": 1}\n',) * 2,
    "bitext_retrieval": ("1\n0\n2\n",) * 2,
    "bitext_mining": ("de-1\ten-1\nde-2\ten-2\nde-3\ten-3\n",) * 2,
    "span_qa": (
        json.dumps({f"q{i}": f"answer {i}" for i in range(3)}, indent=1) + "\n",
        json.dumps(GOLD_ANSWERS, indent=1) + "\n",
    ),
    "passage_ranking": (json.dumps({f"q{i}": [f"p{i}"] for i in range(3)}, indent=1) + "\n",) * 2,
}
CONTENT["span_qa_null"] = CONTENT["span_qa"]


def usual(number, empty, columns):
    """What is the same in all files; NUL and stray bytes are put in a line."""
    return {
        "truncated gzip": NO_GZIP,
        "column count": columns,
        "answer offset": OFFSETS,
        "byte order mark": Read(mark),
        "CRLF": Read(crlf),
        "NUL": Refused(partial(at_line, number, b"\0"), "holds a NUL character", number),
        "not UTF-8": Refused(partial(at_line, number, b"\xff"), "not UTF-8 text", number),
        "empty": empty,
    }


def none_of(number):
    return Refused(nothing, f"holds 0 predictions for the {number} labels", None)


# Of the file of predictions; the labels below.
DAMAGE = {
    "classification": {
        **usual(2, none_of(3), Refused(partial(line, 2, "no\t0.9"), "holds columns, 'no\\t0.9'", 2)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": SOME,
        "unaligned": Refused(without_last_line, FEWER, None),
        "duplicate id": BY_LINE,
    },
    "tagging": {
        **usual(2, none_of(2), Refused(partial(line, 2, "Nairobi\tO"), "holds columns, 'Nairobi\\tO'", 2)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": Cannot("a tag of another scheme can be right, for chunks count by their type"),
        "unaligned": Refused(partial(swap, "O\n\n", "\n"), "sentence 1 has 1 tags, its label has 2", 1),
        "duplicate id": BY_LINE,
    },
    "multiple_choice": {
        **usual(2, none_of(3), Refused(partial(line, 2, "[1]"), 'whose field "label"', 2)),
        "bad JSON": Refused(partial(line, 2, '{"label": 1'), "not valid JSON", 2),
        "unknown label": SOME,
        "unaligned": Refused(without_last_line, FEWER, None),
        "duplicate id": BY_LINE,
    },
    "bitext_retrieval": {
        **usual(2, none_of(3), Refused(partial(line, 2, "0\t1"), "expected a line number", 2)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": SOME,
        "unaligned": Refused(without_last_line, FEWER, None),
        "duplicate id": BY_LINE,
    },
    "bitext_mining": {
        **usual(
            2,
            Cannot("nothing extracted is an answer"),
            Refused(partial(line, 2, "de-2"), "expected two ids", 2),
        ),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": Cannot("any sentence may be extracted"),
        "unaligned": Cannot("corpora are not aligned"),
        "duplicate id": Cannot("a pair that stands there twice counts once, by the reference's rule"),
    },
    "span_qa": {
        **usual(
            3,
            Refused(nothing, "not valid JSON", 1),
            Refused(partial(swap, '"answer 1"', '["answer 1"]'), "the answer to 'q1' is not text", 3),
        ),
        "bad JSON": Refused(partial(swap, '"answer 1"', 'answer 1"'), "not valid JSON", 3),
        "unknown label": Cannot("any text may be an answer"),
        "unaligned": Cannot("questions go by their ids"),
        "duplicate id": Refused(partial(swap, '"q1"', '"q0"'), "'q0' is answered twice", 3),
    },
    "passage_ranking": {
        **usual(
            3,
            Refused(nothing, "not valid JSON", 1),
            Refused(partial(swap, '"p1"', "1.5"), "the ranking of 'q1' is no list of ids", 5),
        ),
        "bad JSON": Refused(partial(swap, '"p1"', 'p1"'), "not valid JSON", 6),
        "unknown label": Cannot("any candidate may be ranked"),
        "unaligned": Cannot("queries go by their ids"),
        "duplicate id": Refused(partial(swap, '"q1"', '"q0"'), "'q0' is ranked twice", 5),
    },
}
DAMAGE["span_qa_null"] = DAMAGE["span_qa"]

LABEL_DAMAGE = {
    "classification": [
        Refused(partial(line, 2, "no\t0.9"), "holds columns", 2),
        Refused(partial(line, 2, ""), "a label is missing", 2),
        Refused(partial(at_line, 2, b"\xff"), "not UTF-8 text", 2),
        Refused(nothing, "", None),
    ],
    "tagging": [
        Refused(partial(line, 2, "Nairobi\tO"), "holds columns", 2),
        Refused(partial(at_line, 2, b"\0"), "holds a NUL character", 2),
        Refused(nothing, "", None),
    ],
    "multiple_choice": [Refused(partial(line, 2, '{"label": "no"}'), 'whose field "label"', 2)],
    "bitext_retrieval": [
        Refused(partial(line, 3, "x"), "expected a line number", 3),
        Refused(partial(line, 3, "-1"), "expected a line number, found -1", 3),
    ],
    "bitext_mining": [Refused(partial(line, 1, "de-1 en-1"), "expected two ids", 1)],
    "span_qa": [
        Refused(partial(swap, '"q1"', '"q0"'), "question 'q0' is there twice", 16),
        Refused(partial(swap, '"text": "answer 1"', '"texts": "answer 1"'), "KeyError: 'text'", 16),
    ],
    "passage_ranking": [
        Refused(partial(swap, '"p1"', ""), "'q1' has no gold", 5),
        Refused(partial(swap, '"q1"', '"q0"'), "'q0' is ranked twice", 5),
    ],
}
LABEL_DAMAGE["span_qa_null"] = LABEL_DAMAGE["span_qa"]


@pytest.fixture
def files(tmp_path):
    """Writes the two files of a kind, one of them changed; both paths."""

    def written(kind, change=None, place=0):
        suffix = layout_of(kind).suffix
        paths = [tmp_path / f"{name}.{suffix}" for name in ("predictions", "labels")]
        for path, content in zip(paths, CONTENT[kind], strict=True):
            path.write_bytes(content.encode())
        if change is not None:
            before = paths[place].read_bytes()
            paths[place].write_bytes(change(before))
            assert paths[place].read_bytes() != before
        return paths

    return written


def score(kind, predictions, labels):
    task = BenchmarkTask(kind=kind, score=SCORES[kind], languages=("de",))
    return score_file(task, "de", predictions, labels, KNOWN.get(kind, ()))


def test_every_layout_says_what_each_kind_of_damage_does_to_it():
    assert sorted(DAMAGE) == sorted(LABEL_DAMAGE) == sorted(CONTENT)
    assert sorted({TASK_TYPES[kind].layout for kind in CONTENT}) == LAYOUTS.names()
    for kind, outcomes in DAMAGE.items():
        assert sorted(outcomes) == sorted(KINDS), kind
        assert sum(isinstance(outcome, Cannot) for outcome in outcomes.values()) <= 7


@pytest.mark.parametrize("kind", sorted(CONTENT))
def test_the_whole_files_score_100(files, kind):
    scored = score(kind, *files(kind))
    assert next(iter(scored.values.values())) == 100
    assert not scored.notes


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        pytest.param(kind, outcome, id=f"{kind}-{damage}")
        for kind, outcomes in DAMAGE.items()
        for damage, outcome in outcomes.items()
        if not isinstance(outcome, Cannot)
    ],
)
def test_damaged_predictions(files, kind, outcome):
    whole = score(kind, *files(kind))
    predictions, labels = files(kind, outcome.change)
    if isinstance(outcome, Read):
        assert score(kind, predictions, labels) == whole
        return
    with pytest.raises(DataError) as info:
        score(kind, predictions, labels)
    assert outcome.message in str(info.value)
    assert (info.value.path, info.value.line) == (predictions, outcome.line)


@pytest.mark.parametrize(
    ("kind", "outcome"), [(kind, outcome) for kind, outcomes in LABEL_DAMAGE.items() for outcome in outcomes]
)
def test_damaged_labels(files, kind, outcome):
    predictions, labels = files(kind, outcome.change, place=1)
    with pytest.raises(DataError) as info:
        score(kind, predictions, labels)
    assert outcome.message in str(info.value)
    if outcome.message:
        assert (info.value.path, info.value.line) == (labels, outcome.line)


# What is scored though some of it cannot be right: predictions, labels, first value, part of a note.
PARTS_OF_FILES = {
    "tatoeba, three lines of a larger file": ("bitext_retrieval", "7\n5\n12\n", "7\n2\n9\n", 100 / 3, None),
    "tatoeba, no neighbor": (
        "bitext_retrieval", "1\n-1\n", "1\n0\n",
        50, "the first, -1 in line 2, is the number",
    ),
    "tatoeba, beyond the whole": ("bitext_retrieval", "1\n2\n", "1\n0\n", 50, "1 of 2 predictions can never"),
    "a label of neither": (
        "classification", "yes\nYes\n", "yes\nno\n",
        50, "the first, 'Yes' in line 2, is no label",
    ),
    "an empty prediction": ("classification", "yes\n\n", "yes\nno\n", 50, "the first, '' in line 2"),
    "one label alone": ("classification", "no\nyes\n", "yes\nyes\n", 50, None),
    "a choice too many": (
        "multiple_choice", '{"label": 1}\n{"label": 4}\n', '{"label": 1}\n{"label": 0}\n',
        50, "the first, 4 in line 2",
    ),
    "a tag of no type": (
        "tagging", "B-PER\nB-LOC\n\nB-FOO\n", "B-PER\nB-LOC\n\nB-PER\n",
        200 / 3, "'B-FOO' in line 4, has the type of no",
    ),
    "outside alone": ("tagging", "O\nO\n", "B-PER\nO\n", 0, None),
    "a pair the wrong way": (
        "bitext_mining", "d1\te1\ne2\td2\n", "d1\te1\nd2\te2\n",
        50, "1 of 2 predictions can never",
    ),
    "nothing extracted": ("bitext_mining", "", "d1\te1\n", 0, None),
    "other pairs": ("bitext_mining", "d7\te7\nd1\te1\n", "d1\te1\n", 200 / 3, None),
    "a question more": (
        "span_qa", '{"q0": "b", "x": "b"}', "q0=b",
        100, "1 predictions belong to no label, the first is 'x'",
    ),
    "a question less": ("span_qa", '{"q0": "b"}', "q0=b q1=b", 50, "1 of 2 questions are unanswered"),
    "no answer": ("span_qa", '{"q0": "b", "q1": null}', "q0=b q1=b", 50, "1 of 2 questions are unanswered"),
    "an empty answer": ("span_qa", '{"q0": "b", "q1": ""}', "q0=b q1=b", 50, None),
    "none answered": ("span_qa", "{}", "q0=b", 0, "1 of 1 questions are unanswered"),
    "a query less": (
        "passage_ranking", '{"q0": ["p1"]}', '{"q0": ["p1"], "q1": ["p2"]}',
        50, "1 of 2 labels have no prediction",
    ),
    "a query more": (
        "passage_ranking", '{"q0": ["p1"], "x": []}', '{"q0": ["p1"]}',
        100, "belong to no label",
    ),
    "ids as numbers": ("passage_ranking", '{"q0": [7, 8]}', '{"q0": ["7"]}', 100, None),
    "labels as numbers": ("passage_ranking", '{"q0": ["8", "7"]}', '{"q0": [7]}', 50, None),
}  # fmt: skip

# Of nothing that could be right the first line is named.
NOTHING_RIGHT = {
    "another task's labels": ("classification", "1\n0\n", "yes\nno\n", "'1' is no label of", 1),
    "another case": ("classification", "YES\nNO\n", "yes\nno\n", "'YES' is no label of", 1),
    "choices from 5": ("multiple_choice", '\n{"label": 5}\n', '{"label": 1}\n', "5 is no label of", 2),
    "lines from 1000": ("bitext_retrieval", "1000\n1001\n", "1\n0\n", "1000 is the number of no line", 1),
    "words as tags": (
        "tagging", "\nAna\nO\n\nbe\n", "\nB-PER\nO\n\nO\n",
        "'Ana' has the type of no label", 2,
    ),
    "pairs the wrong way": (
        "bitext_mining", "e1\td1\n", "d1\te1\n",
        "('e1', 'd1') has its ids in the other order", 1,
    ),
    "another file's questions": ("span_qa", '{\n"x": "b"}', "q0=b", "'x' is no id of", 2),
    "another file's queries": ("passage_ranking", '{"x": ["p"]}', '{"q": ["p"]}', "'x' is no id of", 1),
}  # fmt: skip

# Shapes that people have: what they mean is read, or what is wrong with them is said with its line.
SAME = {
    "blank line at the end": {
        "classification": "yes\nno\nyes\n\n\n",
        "tagging": "B-PER\nO\n\nO\nB-LOC\n\n\n\n",
        "multiple_choice": '{"label": 0}\n{"label": 1}\n{"label": 1}\n\n',
        "bitext_retrieval": "1\n0\n2\n \n\n",
        "bitext_mining": "de-1\ten-1\nde-2\ten-2\nde-3\ten-3\n\n",
    },
    "no line end at the end": {
        "classification": "yes\nno\nyes",
        "tagging": "B-PER\nO\n\nO\nB-LOC",
        "multiple_choice": '{"label": 0}\n{"label": 1}\n{"label": 1}',
        "bitext_retrieval": "1\n0\n2",
        "bitext_mining": "de-1\ten-1\nde-2\ten-2\nde-3\ten-3",
    },
    "spaces at the end": {
        "classification": "yes \n no\nyes\t\n",
        "tagging": "B-PER \nO\t\n \nO\nB-LOC\n\n",
        "bitext_retrieval": "1 \n0\n2\n",
        "bitext_mining": "de-1\ten-1 \n de-2\t en-2\nde-3\ten-3\n",
    },
    "doubled blank lines": {
        "tagging": "\nB-PER\nO\n\n\n\nO\nB-LOC\n\n",
        "bitext_mining": "de-1\ten-1\n\nde-2\ten-2\nde-3\ten-3\n",
        "multiple_choice": '{"label": 0}\n\n{"label": 1}\n{"label": 1}\n',
    },
    "more fields": {
        "multiple_choice": '{"label": 0, "idx": 3}\n{"premise": "é", "label": 1}\n{"label": 1}\n',
    },
    "another order": {
        "bitext_mining": "de-3\ten-3\nde-1\ten-1\nde-2\ten-2\n",
        "span_qa": '{"q2": "answer 2", "q0": "answer 0", "q1": "answer 1"}',
        "passage_ranking": '{"q2": ["p2"], "q0": ["p0"], "q1": ["p1"]}',
    },
    "escapes": {"span_qa": '{"q\\u0030": "answer 0", "q1": "answer \\u0031", "q2": "answer 2"}'},
}


def answers(text):
    """Labels of questions in SQuAD's form from `id=answer id=answer`."""
    questions = [
        {"id": id, "answers": [{"text": answer}]} for id, answer in (part.split("=") for part in text.split())
    ]
    return json.dumps({"data": [{"paragraphs": [{"qas": questions}]}]})


@pytest.fixture
def score_texts(tmp_path):
    """Scores two texts of a kind."""

    def scored(kind, predictions, labels):
        suffix = layout_of(kind).suffix
        paths = [tmp_path / f"{name}.{suffix}" for name in ("predictions", "labels")]
        labels = answers(labels) if kind == "span_qa" and not labels.startswith("{") else labels
        for path, text in zip(paths, (predictions, labels), strict=True):
            path.write_text(text, encoding="utf-8", newline="")
        return score(kind, *paths)

    return scored


@pytest.mark.parametrize("case", PARTS_OF_FILES)
def test_what_can_be_right_is_scored(score_texts, case):
    kind, predictions, labels, value, note = PARTS_OF_FILES[case]
    scored = score_texts(kind, predictions, labels)
    assert next(iter(scored.values.values())) == pytest.approx(value)
    assert bool(scored.notes) == (note is not None), scored.notes
    assert note is None or note in scored.notes[0]


@pytest.mark.parametrize("case", NOTHING_RIGHT)
def test_what_can_never_be_right_is_refused(score_texts, tmp_path, case):
    kind, predictions, labels, message, line = NOTHING_RIGHT[case]
    with pytest.raises(DataError) as info:
        score_texts(kind, predictions, labels)
    assert message in str(info.value)
    assert (info.value.path.stem, info.value.line) == ("predictions", line)


@pytest.mark.parametrize(
    ("shape", "kind"), [(shape, kind) for shape, kinds in SAME.items() for kind in kinds]
)
@pytest.mark.parametrize("side", ["predictions", "labels", "both"])
def test_other_shapes_of_the_same_are_the_same(score_texts, shape, kind, side):
    whole, other = CONTENT[kind], SAME[shape][kind]
    predictions = whole[0] if side == "labels" else other
    labels = whole[1] if side == "predictions" or kind == "span_qa" else other
    scored = score_texts(kind, predictions, labels)
    assert next(iter(scored.values.values())) == 100
    assert not scored.notes


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("separator", ["\t", " ", "  "])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tagging", "Ana{}B-PER\nruns{}O\n\nin{}O\nNairobi{}B-LOC\n"),
        ("tagging", "1{}Ana{}_{}B-PER\n2{}runs{}_{}O\n\n"),
        ("tagging", "B-PER\nO\n\nO\nNairobi{}B-LOC\n"),
        ("classification", "yes{}0.9\nno{}0.8\nyes{}1e-3\n"),
        ("classification", "a text and{}yes\nb{}no\nc{}yes\n"),
        ("bitext_retrieval", "0{}1\n1{}0\n2{}2\n"),
        ("multiple_choice", '0{}{{"label": 0}}\n'),
        ("bitext_mining", "1.2{}de-1{}en-1\n"),
    ],
)
def test_other_columns_are_refused_with_their_line(files, kind, content, separator, side):
    text = content.replace("{{", "\0").replace("}}", "\1").replace("{}", separator)
    text = text.replace("\0", "{").replace("\1", "}")
    predictions, labels = files(kind, lambda before: text.encode(), place=side)
    with pytest.raises(DataError) as info:
        score(kind, predictions, labels)
    first = next(
        number for number, row in enumerate(text.split("\n"), start=1) if len(re.split(r"[\t ]+", row)) > 1
    )
    assert (info.value.path, info.value.line) == ((predictions, labels)[side], first)


def test_labels_may_hold_spaces(tmp_path):
    for name in ("predictions", "labels"):
        (tmp_path / name).write_text("not so\nso\n", encoding="utf-8")
    task = BenchmarkTask(kind="classification", score="accuracy", languages=("de",))
    scored = score_file(task, "de", tmp_path / "predictions", tmp_path / "labels", ("so", "not so"))
    assert scored.values == {"accuracy": 100}


def test_labels_without_answers_are_those_of_squad_2(score_texts, tmp_path):
    none = answers("q0=b").replace('[{"text": "b"}]', "[]")
    (tmp_path / "labels").write_text(none, encoding="utf-8")
    (tmp_path / "predictions").write_text('{"q0": ""}', encoding="utf-8")
    paths = tmp_path / "predictions", tmp_path / "labels"
    assert score("span_qa_null", *paths).values["f1"] == 100
    with pytest.raises(DataError, match="'q0' has no right answer"):
        score("span_qa", *paths)


def test_long_values_are_cut_in_messages(score_texts):
    with pytest.raises(DataError, match="the answer to 'data' is not text but") as info:
        score_texts("span_qa", answers(" ".join(f"q{i}=b" for i in range(500))), "q0=b")
    assert len(str(info.value)) < 400
    with pytest.raises(DataError, match="expected a line number") as info:
        score_texts("bitext_retrieval", "9" * 6000, "1\n")
    assert len(str(info.value)) < 400


def test_packed_files_are_read(files, tmp_path):
    predictions, labels = files("classification")
    packed = tmp_path / "predictions.tsv.gz"
    packed.write_bytes(gzip.compress(predictions.read_bytes()))
    assert score("classification", packed, labels).values == {"accuracy": 100}
    packed.write_bytes(gzip.compress(predictions.read_bytes())[:-9])
    with pytest.raises(DataError, match="the gzip file is damaged"):
        score("classification", packed, labels)


def test_the_command_line_says_one_line_and_exits_with_2(tmp_path):
    for folder, content in (("predictions", "1\n0\n"), ("labels", "entailment\nneutral\n")):
        (tmp_path / folder / "xnli").mkdir(parents=True)
        (tmp_path / folder / "xnli/test-de.tsv").write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "adaptrans_cli.main", "score", "--predictions", tmp_path / "predictions",
         "--labels", tmp_path / "labels"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert re.match(r"error: .*/predictions/xnli/test-de\.tsv:1: '1' is no label of ", told)
