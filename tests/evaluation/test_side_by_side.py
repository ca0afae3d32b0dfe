"""Languages pooled and setups side by side: the same results as each alone, and nothing computed twice."""

import json
import math
from dataclasses import replace

import pytest

from adaptrans.evaluation import evaluator, inference, metrics
from adaptrans.evaluation import results as scoring_results
from adaptrans.evaluation.evaluator import evaluate, evaluate_all, side_by_side
from adaptrans.evaluation.results import PredictionFile, load_results, save_language
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import Cell, Plan, jobs_of
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.store import Store
from adaptrans.runs.training_args import EvaluationConfig, training_config


@pytest.fixture
def quick(planner):
    """A planner whose runs are two steps long."""
    options = {"max_steps": 2, "batch_size": 8, "precision": "fp32", "max_length": 64, "limit_dev": 6}
    return replace(planner, config_for=lambda name, whole: training_config(options))


def planned(planner, setup, task, **options):
    own = replace(planner, evaluation_for=lambda name: EvaluationConfig(samples=200, **options))
    return own.evaluate(parse(setup), own.workspace.task(task))


def spec_of(planner, setup, task, **options):
    spec, before = planned(planner, setup, task, **options)
    for earlier in before:
        earlier.execute()
    return spec


def files_of(spec):
    parts = ("predictions", "submission", "labels", "scores", "statistics")
    found = [path for part in parts for path in sorted((spec.run.path / part).rglob("*")) if path.is_file()]
    return {path.relative_to(spec.run.path).as_posix(): path.read_bytes() for path in found}


def elsewhere(spec, folder):
    """The same evaluation in a store of its own, with the runs it builds on where they are."""
    return replace(spec, workspace=replace(spec.workspace, store=Store(folder)))


def test_setups_side_by_side_give_what_each_gives_alone(quick, tmp_path):
    methods = ("seq_bn[leave_out='first:3']", "lora[leave_out='first:2']")
    for precision in ("fp32", "bf16"):
        specs = [
            spec_of(replace(quick, method=method), "adapter", "xnli", precision=precision)
            for method in methods
        ]
        assert [len(group) for group in side_by_side(specs)] == [2]
        found = evaluate_all(specs)
        assert not side_by_side(specs)
        for number, (spec, results) in enumerate(zip(specs, found, strict=True)):
            alone = elsewhere(spec, tmp_path / f"{precision}{number}")
            assert evaluate(alone) == results
            assert files_of(alone) == files_of(spec)


def test_the_engine_computes_in_one_pass_what_can_share(quick):
    specs = [spec_of(replace(quick, method=method), "adapter", "xnli") for method in ("seq_bn", "lora")]
    specs.append(spec_of(quick, "full", "xnli"))
    cells = tuple(Cell(str(spec.setup), "xnli", spec) for spec in specs)
    first, full = jobs_of(Plan((), cells), together=True)
    assert [item.run for item in (first, *first.beside, full)] == [specs[i].run for i in (0, 1, 2)]
    assert len(jobs_of(Plan((), cells))) == 3
    told = []
    announce = lambda item, place, total: told.append((item.run, place, total))  # noqa: E731
    assert execute(Plan((), cells), announce, together=True) == 3
    assert told == [(spec.run, place, 3) for place, spec in enumerate(specs, 1)]
    assert all(spec.is_done for spec in specs)
    assert execute(Plan((), cells), announce, together=True) == 0


def test_what_cannot_share_is_computed_alone(quick):
    adapter, full = planned(quick, "adapter", "xnli")[0], planned(quick, "full", "xnli")[0]
    words = planned(quick, "adapter", "udpos")[0]
    other = replace(adapter, config=EvaluationConfig(samples=300))
    assert [len(group) for group in side_by_side([adapter, full, words, other, adapter])] == [1, 1, 1, 1]
    stacked = planned(quick, "nli > target", "xnli")[0]
    assert [len(group) for group in side_by_side([adapter, stacked])] == [2]


@pytest.mark.parametrize("task", ["udpos", "xquad"])
def test_pooled_languages_and_small_chunks_give_the_same_files(quick, tmp_path, monkeypatch, task):
    # One input at a time: others in its batch may change the last digit of a logit, and so a label.
    spec = spec_of(quick, "adapter", task, tokens_per_batch=16)
    evaluate(spec)
    asked = []
    original = inference.outputs_of
    monkeypatch.setattr(
        inference,
        "outputs_of",
        lambda own, features: (asked.append(len(features)), original(own, features))[1],
    )
    one_by_one = elsewhere(spec, tmp_path / "a")
    for language in spec.wanted_languages:
        evaluate(replace(one_by_one, languages=(language,)))
    assert len(asked) == len(spec.wanted_languages)
    assert files_of(one_by_one) == files_of(spec)
    for module in (inference, metrics, scoring_results):
        monkeypatch.setattr(module, "CHUNK", 5)
    asked.clear()
    small = elsewhere(spec, tmp_path / "b")
    evaluate(small)
    assert len(asked) > len(spec.wanted_languages)
    assert files_of(small) == files_of(spec)


def test_a_kill_loses_no_language_that_was_answered(quick, tmp_path, monkeypatch):
    spec = spec_of(quick, "adapter", "xnli")
    monkeypatch.setattr(inference, "CHUNK", 4)
    original, calls = inference.outputs_of, []

    def dies(predictors, features):
        calls.append(len(features))
        if sum(calls) > 45:
            raise KeyboardInterrupt
        return original(predictors, features)

    monkeypatch.setattr(inference, "outputs_of", dies)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec)
    # Three languages of 18: two are answered whole by 40, and the third is begun.
    assert list(load_results(spec.run)) == sorted(spec.wanted_languages[:2])
    assert not list((spec.run.path / "predictions").glob(".*"))
    monkeypatch.setattr(inference, "outputs_of", original)
    computed = []
    save = save_language
    monkeypatch.setattr(
        evaluator,
        "save_language",
        lambda run, result, more: (computed.append(result.language), save(run, result, more)),
    )
    assert set(evaluate(spec)) == set(spec.wanted_languages)
    assert computed == [spec.wanted_languages[2]]


def test_each_row_keeps_how_likely_each_label_was(quick):
    spec = spec_of(quick, "adapter", "xnli", limit=6)
    evaluate(spec)
    rows = list(PredictionFile(spec.run, "de").read())
    for row in rows:
        assert math.isclose(sum(map(math.exp, row.log_probabilities)), 1, abs_tol=1e-5)
        best = max(range(3), key=row.log_probabilities.__getitem__)
        assert row.prediction == spec.task.labels[best]
    assert len({tuple(row.log_probabilities) for row in rows}) == 6
    tags = spec_of(quick, "adapter", "udpos", limit=3)
    evaluate(tags)
    assert {row.log_probabilities for row in PredictionFile(tags.run, "de").read()} == {None}


def test_limits_and_token_ids_are_told(quick, capsys):
    spec = spec_of(quick, "adapter", "xnli", limit=7)
    capsys.readouterr()
    assert {result.n for result in evaluate(spec).values()} == {7}
    said = "[cache] token ids of xnli: de, en, sw made now, the cache has none of these data\n"
    assert capsys.readouterr().err == said
    rows = (spec.run.path / "predictions/de.jsonl").read_text().splitlines()
    workspace = spec.workspace
    examples = workspace.examples(spec.task, "test", "de", 7, [])
    assert [json.loads(row)["id"] for row in rows] == [example.id for example in examples]
    assert list(inference.Examples(spec, "de")) == examples
    again = replace(spec, config=spec.config.model_copy(update={"samples": 300}))
    evaluate(again)
    assert "token ids of xnli: from the cache, 3 languages" in capsys.readouterr().err
