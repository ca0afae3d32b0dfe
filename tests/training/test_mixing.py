"""Several tasks in one run: which task each step trains, and that the run is exact and whole."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.data.mixing import schedule, shares
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.models.adapting import trained_state, with_head
from adaptrans.models.artefact import load_artefact
from adaptrans.models.setup import parse
from adaptrans.runs.config import training_config
from adaptrans.training import loop, phases
from adaptrans.training.phases import run_training

OPTIONS = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64, "log_every": 1}


def mixed(planner, setup="full(nli + qa)", **options):
    """The multi-task run of a setup."""
    config = training_config({**OPTIONS, **options})
    chosen = replace(planner, config_for=lambda name, whole: config)
    (spec,) = chosen.parents(parse(setup))[1]
    return spec


def logged(run):
    return [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]


@given(
    sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=9),
    cap=st.none() | st.integers(1, 10**6),
    temperature=st.floats(0.2, 10),
)
def test_shares_add_up_and_larger_tasks_come_more_often(sizes, cap, temperature):
    found = shares(sizes, cap=cap, temperature=temperature)
    assert sum(found) == pytest.approx(1)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    assert all(found[a] <= found[b] + 1e-12 for a, b in pairwise(order))


@given(seed=st.integers(0, 10**6), steps=st.integers(1, 50))
def test_the_order_of_tasks_depends_on_the_seed_alone(seed, steps):
    assert schedule([0.5, 0.5], steps, seed=seed) == schedule([0.5, 0.5], steps, seed=seed)


def test_both_tasks_are_trained_each_with_its_head(planner):
    spec = mixed(planner, epochs=3, mixing="uniform")
    run = run_training(spec)
    lines = [line for line in logged(run) if "loss" in line]
    tasks = Counter(line["task"] for line in lines)
    assert set(tasks) == {"nli", "qa"}
    assert run.path.name.startswith("nli+qa.full.full.s1-")
    model = load_artefact(run.artefact, planner.workspace.backbone)
    assert list(model.heads) == ["nli", "qa"]
    fresh = phases.assemble(
        planner.workspace.backbone, parse("full"), target="nli", head=model.heads["nli"],
        method="seq_bn", parents={}, seed=1, more_heads=[model.heads["qa"]],
    )  # fmt: skip
    before, after = trained_state(fresh), trained_state(model)
    for part in ("heads.nli.", "heads.qa.", "roberta.encoder."):
        assert any(
            not torch.equal(before[name], value) for name, value in after.items() if name.startswith(part)
        ), part
    assert {path.name for path in (run.artefact / "heads").iterdir()} == {"nli", "qa"}
    assert with_head(model, "qa").head.type == "span_qa"
    assert run.result()["source_languages"] == ["en"]


def test_a_mix_is_the_parent_of_a_target_and_of_retrieval(planner):
    config = training_config(OPTIONS)
    chosen = replace(planner, config_for=lambda name, whole: config)
    spec, before = chosen.target(parse("full(nli + qa)"), planner.workspace.task("xnli"))
    assert [(item.phase, item.reference) for item in before] == [("intermediate", "nli + qa")]
    assert spec.inputs["parents"] == {"nli + qa": before[0].run.key}
    run_training(before[0])
    assembled = load_artefact(run_training(spec).artefact, planner.workspace.backbone)
    assert str(assembled.setup) == "full(nli + qa)"
    retrieval, _ = chosen.evaluate(parse("full(nli + qa)"), planner.workspace.task("tatoeba"))
    assert retrieval.inputs["parents"] == {"nli + qa": before[0].run.key}


@pytest.mark.parametrize("options", [{"mixing_temperature": 2.0}, {"mixing_weights": {"nli": 3, "qa": 1}}])
def test_a_killed_mix_goes_on_to_the_last_bit(planner, tmp_path, monkeypatch, options):
    class Killed(BaseException):
        pass

    options = {"epochs": 1.5, "evaluate_every": 3, "checkpoint_seconds": 0, **options}
    expected = run_training(mixed(planner, **options))
    other = replace(planner.workspace, store=replace(planner.workspace.store, root=tmp_path / "other"))
    spec = mixed(replace(planner, workspace=other), **options)
    original = loop._Training.one_step
    for last in (2, 5):

        def until(self, task, batch, log, meter, last=last):
            if self.place.step == last:
                raise Killed
            original(self, task, batch, log, meter)

        monkeypatch.setattr(loop._Training, "one_step", until)
        with pytest.raises(Killed):
            run_training(spec)
    monkeypatch.setattr(loop._Training, "one_step", original)
    resumed = run_training(spec)
    files = list(expected.artefact.rglob("*.safetensors"))
    assert len(files) == 3
    for path in files:
        assert path.read_bytes() == (resumed.artefact / path.relative_to(expected.artefact)).read_bytes()
    drop = {"tokens_per_second"}
    one, two = (
        [{k: v for k, v in line.items() if k not in drop} for line in logged(run)]
        for run in (expected, resumed)
    )
    assert one == two


def test_the_best_step_is_that_of_the_mean_over_tasks(planner, monkeypatch):
    scores = {"nli": iter([10.0, 20.0, 30.0]), "qa": iter([10.0, 60.0, 20.0])}

    def scripted(self, device, precision):
        return lambda assembled: next(scores[assembled.head.name])

    monkeypatch.setattr(phases._Data, "dev_score", scripted)
    run = run_training(mixed(planner, evaluate_every=1, max_steps=3))
    assert (run.result()["dev_step"], run.result()["dev"]) == (2, 40.0)


def test_what_is_mixed_and_how_is_in_the_key(planner):
    keys = [
        mixed(planner).run.key,
        mixed(planner, "full(qa + nli)").run.key,
        mixed(planner, "full(nli + qa + udpos)").run.key,
        mixed(planner, mixing="uniform").run.key,
        mixed(planner, mixing_temperature=2.0).run.key,
        mixed(planner, mixing_weights={"nli": 1, "qa": 2}).run.key,
    ]
    assert len(set(keys)) == len(keys)
    alone = mixed(planner, "full(nli)")
    assert alone.run.key == mixed(planner, "full(nli)", mixing="uniform").run.key
    assert not alone.differs_in_options(mixed(planner).inputs)
    assert not mixed(planner).differs_in_options(alone.inputs)
    assert mixed(planner, batch_size=4).differs_in_options(mixed(planner).inputs)


def test_one_adapter_learns_several_tasks_and_is_used_by_its_key(planner):
    from adaptrans import api

    where = planner.workspace
    spec = api.plan_intermediate("nli + qa", where=where, **OPTIONS)
    run = run_training(spec)
    assert spec.reference == "nli + qa"
    model = load_artefact(run.artefact, where.backbone)
    assert (model.adapter, list(model.heads)) == ("nli", ["nli", "qa"])
    stacked, before = planner.target(parse(f"nli#{run.key} > target"), where.task("xnli"))
    assert before == []
    assert stacked.parents[f"nli#{run.key}"] == run
    with pytest.raises(ConfigError, match="is no task"):
        api.plan_intermediate("nli + qa#12", where=where)


def test_weights_must_fit_the_tasks(planner):
    with pytest.raises(UnknownNameError, match='unknown task in mixing_weights "nl"; did you mean "nli"'):
        mixed(planner, mixing_weights={"nl": 1, "qa": 1})
    with pytest.raises(ConfigError, match="mixing_weights has no weight for qa"):
        mixed(planner, mixing_weights={"nli": 1})
    with pytest.raises(ConfigError, match="mixing_weights"):
        training_config({"mixing_weights": {"nli": 0}})
