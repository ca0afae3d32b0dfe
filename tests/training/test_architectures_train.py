"""Encoders of every architecture are trained, resumed, evaluated, exported and shared as XLM-R is."""

from dataclasses import replace

import pytest
from support.encoders import ARCHITECTURES, make_encoder
from support.smalldata import SENTENCES, make_planner, make_workspace

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.exporting.transformers import export
from adaptrans.hub import push
from adaptrans.hub.pull import pull, verify
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.store import Store
from adaptrans.runs.training_args import training_config

TRAINED = [name for name in ("bert", *ARCHITECTURES) if name != "electra"]
"""ELECTRA's layers are BERT's; what it computes is held by tests/modeling/test_architectures.py."""


@pytest.fixture(scope="module", params=TRAINED)
def folder(request, tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("backbone") / request.param, request.param)


@pytest.fixture
def planner(folder, small_data, tmp_path):
    return make_planner(make_workspace(folder, small_data, tmp_path / "store"))


def evaluated(planner, setup, task):
    spec, before = planner.evaluate(parse(setup), planner.workspace.task(task))
    for earlier in before:
        earlier.execute()
    return evaluate(spec), before


@pytest.mark.parametrize(
    ("setup", "task"), [("full", "xnli"), ("nli > target", "xquad"), ("fuse(nli, qa)", "udpos")]
)
def test_it_is_trained_evaluated_and_exported(planner, setup, task, tmp_path):
    scores, specs = evaluated(planner, setup, task)
    assert scores
    assert all(0 <= value <= 100 for found in scores.values() for value in found.values.values())
    base, store = planner.workspace.backbone, planner.workspace.store.root
    plain = setup == "full" and "classification" in base.spec.plain_heads

    def exported():
        return export(specs[-1].run.artifact, out=tmp_path / "x", store=store, backbone=base.path)

    if plain or base.spec.supports("adapters_export"):
        made = exported()
        assert made.format == ("transformers" if plain else "adapters")
        assert plain or f"from adapters import {base.spec.classes}AdapterModel" in made.lines
        return
    with pytest.raises(AdaptransError, match="an export for the adapters library does not work") as told:
        exported()
    assert "\n" not in str(told.value)


def test_it_finds_translations(planner):
    scores, _ = evaluated(planner, "nli > target", "tatoeba")
    assert all(0 <= value <= 100 for found in scores.values() for value in found.values.values())


def test_a_language_adapter_is_trained(planner, tmp_path):
    for language, text in SENTENCES.items():
        (tmp_path / f"{language}.txt").write_text("\n".join([text] * 20) + "\n", encoding="utf-8")
    options = {"epochs": 2, "batch_size": 4, "precision": "fp32", "max_length": 32, "log_every": 1}
    spec = LanguageSpec(planner.workspace, "sw", tmp_path, training_config(options), "seq_bn_inv")
    assert spec.execute().is_done


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


@pytest.mark.parametrize("setup", ["full", "adapter"])
def test_it_is_shared_and_answers_as_before(planner, folder, same_weights, tmp_path, setup):
    where = planner.workspace
    spec, _ = planner.target(parse(setup), where.task("xnli"))
    run = spec.execute()
    push.push(run, where.store, f"{tmp_path}/shared/one", license="apache-2.0")
    assert verify(f"{tmp_path}/shared/one", backbone=where.backbone) == []
    pulled = pull(f"{tmp_path}/shared/one", Store(tmp_path / "fresh"), backbone=where.backbone)
    assert same_weights(run, pulled.run) > 0
    assert SetupModel.load(pulled.run.artifact, where.backbone).method == SetupModel.load(run.artifact).method
