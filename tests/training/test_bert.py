"""A BERT is trained, resumed, evaluated and exported as XLM-R is."""

from dataclasses import replace

import pytest
from support.bert import make_bert
from support.smalldata import SENTENCES, make_planner, make_workspace

from adaptrans.evaluation.evaluator import evaluate
from adaptrans.exporting.transformers import export
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.training_args import training_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bert(tmp_path_factory.mktemp("backbone") / "bert")


@pytest.fixture
def planner(folder, small_data, tmp_path):
    return make_planner(make_workspace(folder, small_data, tmp_path / "store"))


def evaluated(planner, setup, task):
    spec, before = planner.evaluate(parse(setup), planner.workspace.task(task))
    for earlier in before:
        earlier.execute()
    return evaluate(spec), before


@pytest.mark.parametrize(
    ("setup", "task"),
    [
        ("full", "xnli"),
        ("adapter", "udpos"),
        ("nli > target", "xquad"),
        ("fuse(nli, qa)", "xnli"),
    ],
)
def test_bert_is_trained_evaluated_and_exported(planner, setup, task, tmp_path):
    scores, specs = evaluated(planner, setup, task)
    assert len(scores) >= 1
    made = export(
        specs[-1].run.artifact,
        out=tmp_path / "x",
        store=planner.workspace.store.root,
        backbone=planner.workspace.backbone.path,
    )
    assert made.format == ("transformers" if setup == "full" else "adapters")
    if made.format == "adapters":
        assert "from adapters import BertAdapterModel" in made.lines


def test_bert_finds_translations_at_every_layer(planner):
    scores, _ = evaluated(planner, "nli > target", "tatoeba")
    assert all(0 <= value <= 100 for found in scores.values() for value in found.values.values())


def test_a_language_adapter_of_bert_is_trained(planner, tmp_path):
    for language, text in SENTENCES.items():
        (tmp_path / f"{language}.txt").write_text("\n".join([text] * 20) + "\n", encoding="utf-8")
    options = {"epochs": 2, "batch_size": 4, "precision": "fp32", "max_length": 32, "log_every": 1}
    spec = LanguageSpec(planner.workspace, "sw", tmp_path, training_config(options), "seq_bn_inv")
    run = spec.execute()
    assert run.is_done


@pytest.mark.parametrize("setup", ["full", "nli > target"])
def test_training_goes_on_to_the_same_bits(planner, elsewhere, kill, same_weights, setup):
    def spec(where):
        own = replace(planner, workspace=where)
        found, before = own.target(parse(setup), where.task("xnli"))
        for earlier in before:
            earlier.execute()
        return found

    expected = spec(planner.workspace).execute()
    kill(lambda: spec(elsewhere).execute(), 2)
    assert same_weights(expected, spec(elsewhere).execute()) > 0
