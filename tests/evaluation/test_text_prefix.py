"""What is put before every text: it moves vectors, is in the key where set, and is said with the score."""

import json
from dataclasses import replace

import pytest
from support.smalldata import make_planner, make_workspace

from adaptrans.evaluation.evaluator import evaluate
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import EvaluationConfig
from adaptrans.task_types.bitext_mining import MiningExample
from adaptrans.task_types.bitext_retrieval import BitextExample


@pytest.fixture
def planner(tiny_backbone, small_data, tmp_path):
    return make_planner(make_workspace(tiny_backbone, small_data, tmp_path / "store"))


def spec_with(planner, task, **options):
    own = replace(
        planner, evaluation_for=lambda name: EvaluationConfig(precision="fp32", samples=200, **options)
    )
    return own.evaluate(parse("full"), planner.workspace.task(task))[0]


def test_it_is_in_the_key_only_where_it_is_set(planner):
    plain, empty = spec_with(planner, "tatoeba"), spec_with(planner, "tatoeba", text_prefix="")
    other = spec_with(planner, "tatoeba", text_prefix="query: ")
    assert "text_prefix" not in plain.inputs
    assert plain.run.key == empty.run.key != other.run.key
    assert other.inputs["text_prefix"] == "query: "
    # A head reads texts as they stand.
    assert spec_with(planner, "xnli").run.key == spec_with(planner, "xnli", text_prefix="query: ").run.key


def test_it_is_read_by_the_encoder_and_said_below_the_table(planner):
    notes, ids = {}, {}
    for prefix in ("", "the cat: "):
        spec = spec_with(planner, "tatoeba", text_prefix=prefix)
        assert evaluate(spec)
        done = json.loads((spec.run.path / "done.json").read_text())
        notes[prefix] = next(note for note in done["notes"] if note.startswith("direction"))
        assert done["vectors"]["prefix"] == prefix
        ids[prefix] = spec.run.key
    assert notes[""].endswith("; no text prefix")
    assert notes["the cat: "].endswith("; 'the cat: ' text prefix")


def test_it_stands_before_every_text_of_an_example():
    pair = BitextExample("1", "Haus", "house").prefixed("query: ")
    assert (pair.text, pair.english) == ("query: Haus", "query: house")
    mined = MiningExample("1", "Haus", ("2",), (("2", "house"), ("3", "cat"))).prefixed("p: ")
    assert (mined.text, mined.pool) == ("p: Haus", (("2", "p: house"), ("3", "p: cat")))
    assert (pair.id, mined.references) == ("1", ("2",))


def test_the_same_data_are_encoded_anew_with_a_prefix(planner):
    from adaptrans.evaluation.inference import open_session

    sizes = {}
    for prefix in ("", "the cat: "):
        spec = spec_with(planner, "tatoeba", text_prefix=prefix)
        session = open_session(spec)
        examples = planner.workspace.examples(spec.task, "test", "de", None, [])
        features = session.encoded(examples, "de:data", planner.workspace.store.cache)
        sizes[prefix] = sum(features["length"])
    assert sizes["the cat: "] > sizes[""]
