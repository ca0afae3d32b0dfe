"""The scores through `evaluate`, in a process of its own that may not open a connection."""

import os
import subprocess
import sys

import pytest

from adaptrans.errors import UnknownNameError

pytest.importorskip("evaluate")

OFFLINE = """
import socket

def refuse(*args, **kwargs):
    raise AssertionError("opened a connection")

socket.socket.connect = refuse
socket.create_connection = refuse
from adaptrans.evaluation.metrics.as_evaluate import metric
print(metric("accuracy").compute(predictions=[1, 0], references=[1, 1]))
print(metric("chunk_f1").compute(predictions=[["B-A", "O"], []], references=[["B-A", "O"], []]))
"""


def test_offline(tmp_path):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "{'accuracy': 50.0}",
        "{'f1': 100.0, 'precision': 100.0, 'recall': 100.0}",
    ]


@pytest.mark.parametrize(
    ("name", "references", "predictions"),
    [
        ("accuracy", ["yes", "no", "1"], ["yes", "yes", "1 "]),
        ("accuracy", [0, 1, 2], [0, 2, 2]),
        ("chunk_f1", [["SYM", "SYM"], []], [["SYM", "X"], []]),
        ("token_accuracy", [["SYM", "SYM"], ["X"]], [["SYM", "X"], ["X"]]),
        ("squad", [["the cat", "dogs"], ["北京大学"]], ["a cat", "北京"]),
        ("squad_characters", [["the cat", "dogs"], ["北京大学"]], ["a cat", "北京"]),
        ("mlqa", [["the cat", "dogs"], ["black cats"]], ["a cat", "cats"]),
        ("bucc_f1", [["en-1"], []], [["en-1", "en-2"], []]),
        ("map_at_20", [["a", "b"], ["c"]], [["a", "x", "b"], ["x", "c"]]),
        ("mrr_at_20", [["a"], ["c"]], [["x", "a"], ["x", "y"]]),
        ("masked_pieces", ["a b", "c"], [[1, 2], [0, 1]]),
    ],
)
def test_equals_the_score(name, references, predictions, tmp_path):
    import evaluate

    from adaptrans.evaluation.metrics import SCORES
    from adaptrans.evaluation.metrics.as_evaluate import metric

    made = metric(name, cache_dir=str(tmp_path))
    assert isinstance(made, evaluate.Metric)
    expected = SCORES[name].compute(references, predictions)
    assert made.compute(references=references, predictions=predictions) == expected
    # In batches, and a second time with the same object.
    for reference, prediction in zip(references, predictions, strict=True):
        made.add(reference=reference, prediction=prediction)
    assert made.compute() == expected


def test_a_score_with_rules_by_language():
    from adaptrans.evaluation.metrics.as_evaluate import metric

    found = metric("mlqa", language="zh").compute(references=[["北京大学"]], predictions=["北京"])
    assert found["f1"] == pytest.approx(200 / 3)


def test_every_score_is_offered():
    from adaptrans.evaluation.metrics import SCORES
    from adaptrans.evaluation.metrics.as_evaluate import FEATURES

    assert FEATURES.names() == SCORES.names()


def test_unknown_name():
    from adaptrans.evaluation.metrics.as_evaluate import metric

    with pytest.raises(UnknownNameError, match='did you mean "squad"'):
        metric("sqad")
