"""Prediction and label files under 12 kinds of damage: file and line are named, nothing counts in silence."""

import json
import re
import subprocess
import sys
from functools import partial

import pytest
from damaged import KINDS, Cannot, Read, Refused, at_line, crlf, line, mark, nothing, swap, without_last_line

from adaptrans.benchmarks import BenchmarkTask
from adaptrans.errors import DataError
from adaptrans.evaluation.layouts import LAYOUTS
from adaptrans.evaluation.scoring import score_file

NO_GZIP = Cannot("only plain files are scored; one ending in .gz is told as missing")
OFFSETS = Cannot("no offsets are read")
BY_LINE = Cannot("predictions and labels are told apart by their line")
FEWER = "holds 2 predictions for the 3 labels"

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
        "byte order mark": Refused(mark, "begins with a byte order mark", 1),
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
        **usual(2, none_of(3), Refused(partial(line, 2, "no\t0.9"), "'no\\t0.9' is no label of", 2)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": Refused(partial(line, 2, "on"), "'on' is no label of", 2),
        "unaligned": Refused(without_last_line, FEWER, None),
        "duplicate id": BY_LINE,
    },
    "tagging": {
        **usual(2, none_of(2), Refused(partial(line, 2, ""), "holds 3 predictions for the 2 labels", None)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": Cannot("a tag of another scheme can be right, for chunks count by their type"),
        "unaligned": Refused(partial(swap, "O\n\n", "\n"), "sentence 1 has 1 tags, its label has 2", 1),
        "duplicate id": BY_LINE,
    },
    "multiple_choice": {
        **usual(2, none_of(3), Refused(partial(line, 2, "[1]"), 'whose field "label"', 2)),
        "bad JSON": Refused(partial(line, 2, '{"label": 1'), "not valid JSON", 2),
        "unknown label": Refused(partial(line, 2, '{"label": 7}'), "7 is no label of", 2),
        "unaligned": Refused(without_last_line, FEWER, None),
        "duplicate id": BY_LINE,
    },
    "bitext_retrieval": {
        **usual(2, none_of(3), Refused(partial(line, 2, "0\t1"), "expected a line number", 2)),
        "bad JSON": Cannot("no JSON in it"),
        "unknown label": Refused(partial(line, 2, "3"), "3 is no label of", 2),
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
            Refused(partial(swap, '"p1"', "1"), "the ranking of 'q1' is no list of ids", 5),
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
        Refused(partial(at_line, 2, b"\xff"), "not UTF-8 text", 2),
        Refused(nothing, "", None),
    ],
    "tagging": [Refused(partial(at_line, 2, b"\0"), "holds a NUL character", 2), Refused(nothing, "", None)],
    "multiple_choice": [Refused(partial(line, 2, '{"label": "no"}'), 'whose field "label"', 2)],
    "bitext_retrieval": [Refused(partial(line, 3, "x"), "expected a line number", 3)],
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
        suffix = LAYOUTS[kind].suffix
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
    return score_file(task, "de", predictions, labels, ("yes", "no") if kind == "classification" else ())


def test_every_layout_says_what_each_kind_of_damage_does_to_it():
    assert sorted(DAMAGE) == sorted(LABEL_DAMAGE) == sorted(CONTENT) == LAYOUTS.names()
    for kind, outcomes in DAMAGE.items():
        assert sorted(outcomes) == sorted(KINDS), kind
        assert sum(isinstance(outcome, Cannot) for outcome in outcomes.values()) <= 7


@pytest.mark.parametrize("kind", LAYOUTS.names())
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


def test_predictions_that_belong_to_no_label_are_told(files):
    predictions, labels = files("span_qa", partial(swap, '"q1"', '"other"'))
    notes = score("span_qa", predictions, labels).notes
    assert "1 predictions belong to no label, the first is 'other'" in notes


def test_the_command_line_says_one_line_and_exits_with_2(tmp_path):
    for folder, content in (("predictions", "entailment\n1\n"), ("labels", "entailment\nneutral\n")):
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
    assert re.match(r"error: .*/predictions/xnli/test-de\.tsv:2: '1' is no label of ", told)
