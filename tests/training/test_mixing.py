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
from adaptrans.experiments.commands import plan_intermediate
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import training_config
from adaptrans.training import train

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
    run = spec.execute()
    lines = [line for line in logged(run) if "loss" in line]
    tasks = Counter(line["task"] for line in lines)
    assert set(tasks) == {"nli", "qa"}
    assert run.path.name.startswith("nli+qa.full.full.s1-")
    model = SetupModel.load(run.artifact, planner.workspace.backbone)
    assert list(model.heads) == ["nli", "qa"]
    fresh = SetupModel.from_setup(
        planner.workspace.backbone, parse("full"), target="nli", head=model.heads["nli"],
        method="seq_bn", parents={}, seed=1, more_heads=[model.heads["qa"]],
    )  # fmt: skip
    before, after = fresh.trained_state(), model.trained_state()
    for part in ("heads.nli.", "heads.qa.", "roberta.encoder."):
        assert any(
            not torch.equal(before[name], value) for name, value in after.items() if name.startswith(part)
        ), part
    assert {path.name for path in (run.artifact / "heads").iterdir()} == {"nli", "qa"}
    assert model.with_head("qa").head.type == "span_qa"
    assert run.result()["source_languages"] == ["en"]


def test_a_mix_is_the_parent_of_a_target_and_of_retrieval(planner):
    config = training_config(OPTIONS)
    chosen = replace(planner, config_for=lambda name, whole: config)
    spec, before = chosen.target(parse("full(nli + qa)"), planner.workspace.task("xnli"))
    assert [(item.phase, item.reference) for item in before] == [("intermediate", "nli + qa")]
    assert spec.inputs["parents"] == {"nli + qa": before[0].run.key}
    before[0].execute()
    assembled = SetupModel.load(spec.execute().artifact, planner.workspace.backbone)
    assert str(assembled.setup) == "full(nli + qa)"
    retrieval, _ = chosen.evaluate(parse("full(nli + qa)"), planner.workspace.task("tatoeba"))
    assert retrieval.inputs["parents"] == {"nli + qa": before[0].run.key}


@pytest.mark.parametrize("options", [{"mixing_temperature": 2.0}, {"mixing_weights": {"nli": 3, "qa": 1}}])
def test_a_killed_mix_goes_on_to_the_last_bit(planner, elsewhere, kill, same_weights, options):
    options = {"epochs": 1.5, "evaluate_every": 3, "checkpoint_seconds": 0, **options}
    expected = mixed(planner, **options).execute()
    spec = mixed(replace(planner, workspace=elsewhere), **options)
    for last in (2, 5):
        kill(lambda: spec.execute(), last)
    resumed = spec.execute()
    assert same_weights(expected, resumed) == 3
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

    monkeypatch.setattr(train.TaskData, "dev_score", scripted)
    run = mixed(planner, evaluate_every=1, max_steps=3).execute()
    assert (run.result()["dev_step"], run.result()["dev"]) == (2, 40.0)


@pytest.mark.parametrize("setup", ["full(nli + qa)", "mix(nli + qa) > target", "full(nli + mlm)"])
def test_weights_of_the_best_step_are_kept_with_every_head(planner, monkeypatch, setup):
    snapshots = []
    scores = iter([10.0, 50.0, 20.0])

    def scripted(self, device, precision):
        def score(assembled):
            snapshots.append({name: value.clone() for name, value in assembled.trained_state().items()})
            return next(scores)

        # Each step is scored once, by the first task.
        return score if self.spec.task.name == "nli" else None

    monkeypatch.setattr(train.TaskData, "dev_score", scripted)
    options = {"evaluate_every": 1, "max_steps": 3, "learning_rate": 1e-2, "mixing": "uniform"}
    run = mixed(planner, setup, **options).execute()
    assert run.result()["dev_step"] == 2
    kept = SetupModel.load(run.artifact, planner.workspace.backbone).trained_state()
    assert kept.keys() == snapshots[1].keys()
    assert all(torch.equal(value, snapshots[1][name]) for name, value in kept.items())
    assert not all(torch.equal(value, snapshots[2][name]) for name, value in kept.items())


def test_tasks_with_the_same_labels_may_share_a_head(planner):
    from adaptrans.tasks import catalogue

    where = planner.workspace
    tasks = dict(where.tasks)
    tasks["turned"] = catalogue.resolve(
        {
            "extends": "nli",
            "labels": ["neutral", "contradiction", "entailment"],
            "splits": {"train": {"from": "nli.train"}, "dev": {"from": "nli.dev"}},
        },
        name="turned",
        known=tasks,
    )
    tasks["apart"] = catalogue.resolve({"extends": "turned", "head": None}, name="apart", known=tasks)
    planner = replace(planner, workspace=replace(where, tasks=tasks))
    shared = mixed(planner, "full(nli + turned)", epochs=4, learning_rate=1e-3, mixing="uniform")
    assert shared.heads == (0, 0)
    assert shared.inputs["heads"] == [0, 0]
    run = shared.execute()
    model = SetupModel.load(run.artifact, where.backbone)
    assert list(model.heads) == ["nli"]
    assert model.heads["nli"].labels == catalogue.get("mnli").labels
    # The same rows under another order of labels are the same to the head.
    data = [train.TaskData(part, shared.task.labels) for part in shared.parts]
    one, two = (item.split("train", None, training=True)[1]["label"][:] for item in data)
    assert one == two
    assert "heads" not in mixed(planner, "full(nli + apart)").inputs
    assert mixed(planner, "full(nli + qa)").heads == (0, 1)
    assert mixed(planner, "full(qa + nli + turned)").heads == (0, 1, 1)


def test_all_nine_are_one_word(planner):
    from adaptrans.modeling.setup.nodes import NINE
    from adaptrans.tasks import catalogue

    where = planner.workspace
    tasks = dict(where.tasks)
    for name in NINE:
        splits = {"train": {"from": "nli.train"}, "dev": {"from": "nli.dev"}}
        task = {"extends": "nli", "head": None, "splits": splits}
        tasks[name] = catalogue.resolve(task, name=name, known=where.tasks)
    planner = replace(planner, workspace=replace(where, tasks=tasks))
    run = mixed(planner, "full(nine)", max_steps=2).execute()
    assert run.path.name.startswith("nine.full.full.s1-")
    assert list(SetupModel.load(run.artifact, where.backbone).heads) == list(NINE)
    written = " + ".join(NINE)
    assert mixed(planner, f"full({written})", max_steps=2).run == run
    spec, before = planner.target(parse("nine > target"), where.task("xnli"))
    assert [item.reference for item in before] == ["nine"]
    assert list(spec.parents) == ["nine"]


def test_who_wrote_the_training_data_is_recorded(planner):
    from adaptrans.runs.train import provenance
    from adaptrans.tasks import catalogue

    run = mixed(planner, "full(nli + qa)", max_steps=1).execute()
    recorded = {"nli": {"en": ["native"]}, "qa": {"en": ["native"]}}
    assert run.config()["provenance"] == recorded
    manifest = json.loads((run.artifact / "artifact.json").read_text())
    assert manifest["training_data"]["provenance"] == recorded
    spec = mixed(planner, "full(nli)")
    for name, split, language, expected in (
        ("ocnli", "train", "zh", ("native",)),
        ("kornli", "train", "ko", ("machine",)),
        ("kornli", "dev", "ko", ("human",)),
        ("mnli", "train", "sw", ("machine",)),
        ("mnli", "train", "en", ("native",)),
        ("anli_plus", "train", "en", ("native",)),
        ("mlm", "train", "sw", ()),
    ):
        assert catalogue.get(name).provenance_of(split, language) == expected, (name, split, language)
    assert provenance([spec]) == {"nli": {"en": ["native"]}}


def test_what_is_mixed_and_how_is_in_the_key(planner):
    keys = [
        mixed(planner).run.key,
        mixed(planner, "full(qa + nli)").run.key,
        mixed(planner, "full(nli + qa + udpos)").run.key,
        mixed(planner, mixing="uniform").run.key,
        mixed(planner, mixing_temperature=2.0).run.key,
        mixed(planner, mixing_weights={"nli": 1, "qa": 2}).run.key,
        mixed(planner, mixing_shares={"qa": 0.25}).run.key,
    ]
    assert len(set(keys)) == len(keys)
    alone = mixed(planner, "full(nli)")
    assert alone.run.key == mixed(planner, "full(nli)", mixing="uniform").run.key
    assert not alone.differs_in_options(mixed(planner).inputs)
    assert not mixed(planner).differs_in_options(alone.inputs)
    assert mixed(planner, batch_size=4).differs_in_options(mixed(planner).inputs)


def test_one_adapter_learns_several_tasks_and_is_used_by_its_key(planner):

    where = planner.workspace
    spec = plan_intermediate("nli + qa", where=where, **OPTIONS)
    run = spec.execute()
    assert spec.reference == "nli + qa"
    model = SetupModel.load(run.artifact, where.backbone)
    assert (model.adapter, list(model.heads)) == ("nli", ["nli", "qa"])
    stacked, before = planner.target(parse(f"nli#{run.key} > target"), where.task("xnli"))
    assert before == []
    assert stacked.parents[f"nli#{run.key}"] == run
    with pytest.raises(ConfigError, match="is no task"):
        plan_intermediate("nli + qa#12", where=where)


def test_weights_must_fit_the_tasks(planner):
    with pytest.raises(UnknownNameError, match='unknown task in mixing_weights "nl"; did you mean "nli"'):
        mixed(planner, mixing_weights={"nl": 1, "qa": 1})
    with pytest.raises(ConfigError, match="mixing_weights has no weight for qa"):
        mixed(planner, mixing_weights={"nli": 1})
    with pytest.raises(UnknownNameError, match='unknown task in mixing_shares "ml"'):
        mixed(planner, mixing_shares={"ml": 0.5})
    with pytest.raises(ConfigError, match=r"mixing_shares add up to 1\.2; leave some steps for the others"):
        mixed(planner, "full(nli + qa + mlm)", mixing_shares={"mlm": 0.6, "qa": 0.6})
    with pytest.raises(ConfigError, match=r"mixing_shares of all tasks add up to 0\.5, not 1"):
        mixed(planner, mixing_shares={"nli": 0.25, "qa": 0.25})
    with pytest.raises(ConfigError, match="mixing_weights"):
        training_config({"mixing_weights": {"nli": 0}})
