"""The paper's grid, its adapter twin and the small version, planned without weights or data."""

from dataclasses import replace

import pytest

from adaptrans import benchmarks
from adaptrans.errors import ArtifactError, MissingDataError
from adaptrans.experiments import commands
from adaptrans.experiments.config import bundled, explain_experiment, load_experiment
from adaptrans.experiments.plan import absent, jobs_of, partial_plan, without_key
from adaptrans.modeling.backbone import outlined
from adaptrans.modeling.setup.nodes import NINE
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check

PAPER = [name for name in bundled() if name.startswith("paper/")]


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Plans an experiment that is only shown, on a machine that has nothing."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def plan(name, *overrides, data=None):
        found = load_experiment(bundled()[name], overrides)
        where = commands.workspace(
            backbone=found.first_backbone, data=data, store=tmp_path / "store", shown=True
        )
        return found, commands.plan_run(found, where=where)

    return plan


@pytest.mark.parametrize("name", PAPER)
def test_every_one_is_valid_and_planned_without_weights_and_data(name, shown):
    experiment, plan = shown(name)
    for setup in experiment.setups:
        check(parse(setup), experiment.adapter_method)
    assert explain_experiment(experiment)
    assert experiment.targets == benchmarks.get("xtreme").targets
    assert {f"{task}" for task in NINE} <= {spec.task.name for spec in plan.training if not spec.others}
    assert any(spec.reference == "nine" for spec in plan.training if spec.phase == "intermediate")
    items = jobs_of(plan)
    assert not any(item.done for item in items)
    # Nothing has a key before the backbone is known.
    assert without_key(plan) == {item.run.path for item in items}
    lines = absent(plan)
    assert lines[0].startswith("FacebookAI/xlm-roberta-")
    assert any(
        line.startswith("nyu-mll/multi_nli of the Hugging Face Hub: mnli train [en]") for line in lines
    )
    assert any("LDC2005T13, to be put into the data folder: ccg train [en]" in line for line in lines)


def test_the_grid_is_the_papers_and_the_twin_differs_in_what_is_trained(shown):
    large, plan = shown("paper/stilts-large")
    twin, twins = shown("paper/stilts-large-adapters")
    assert large.setups[:11] == ("full", *(f"full({task})" for task in NINE), f"full({' + '.join(NINE)})")
    assert twin.setups[1:10] == tuple(f"{task} > target" for task in NINE)
    assert plan.training[0].workspace.backbone.depth == 24
    assert {cell.evaluation.layer for cell in plan.cells if cell.target == "tatoeba"} == {14}
    passes = {
        (spec.task.name, spec.phase): (spec.config.epochs, spec.config.batch_size, spec.max_length)
        for spec in plan.training
        if not spec.others
    }
    for spec in twins.training:
        if not spec.others:
            now = (spec.config.epochs, spec.config.batch_size, spec.max_length)
            assert now == passes[spec.task.name, spec.phase]
            assert spec.config.rate(False) == 1e-4
    assert passes["mnli", "intermediate"] == (2, 32, 256)
    assert passes["squad2", "intermediate"] == (2, 16, 384)
    assert passes["ccg", "intermediate"] == (3, 32, 256)
    assert passes["udpos", "target"] == (10, 32, 256)
    assert all(spec.config.rate(True) == 1e-5 for spec in plan.training)


def test_the_text_is_that_of_the_languages_of_the_benchmark(shown):
    experiment, _ = shown("paper/stilts-large", "targets=[xnli]")
    tasks = benchmarks.get("xtreme").tasks.values()
    spoken = {code for task in tasks for code in task.languages}
    assert len(spoken) == 40
    assert set(experiment.inline_tasks(())["wikipedia"].languages) == spoken


def test_without_ccg_the_rest_still_fits(shown):
    eight = ", ".join(task for task in NINE if task != "ccg")
    experiment, plan = shown("paper/stilts-large", f"intermediates=[{eight}]", "targets=[xnli]")
    assert not any("ccg" in setup for setup in experiment.setups)
    assert not any("ccg" in line for line in absent(plan))


def test_what_is_here_counts_and_the_rest_is_said(shown, small_data):
    _, plan = shown(
        "paper/stilts-base", "setups=[full, mnli > target]", "targets=[udpos, xnli]", data=small_data
    )
    assert absent(plan) == [
        "FacebookAI/xlm-roberta-base of the Hugging Face Hub: backbone",
        "nyu-mll/multi_nli of the Hugging Face Hub: mnli train [en]; mnli dev [en]",
    ]
    assert partial_plan(plan)[0].startswith("udpos test has data in 2 of 33 languages, without af, ar, bg")
    udpos = next(spec for spec in plan.training if spec.task.name == "udpos")
    assert len(udpos.inputs["train"]["en"]) == 20


def test_keys_are_known_where_only_other_runs_lack_data(small_workspace, planner):
    """A stand-in never becomes a key, and what does not depend on it keeps its own."""
    from adaptrans.experiments.plan import plan

    where = replace(small_workspace, absent={})
    planned = plan(replace(planner, workspace=where), ("full", "full(squad)"), ("udpos",))
    own = plan(planner, ("full",), ("udpos",))
    keyless = without_key(planned)
    assert {spec.run.path for spec in own.training}.isdisjoint(keyless)
    assert {str(spec.setup) for spec in planned.training if spec.run.path in keyless} == {
        "full",
        "full(squad)",
    }
    assert own.training[0].run.key == next(s.run.key for s in planned.training if s.run.path not in keyless)
    assert without_key(own) == frozenset()
    with pytest.raises(MissingDataError):
        plan(planner, ("full(squad)",), ("udpos",))


def test_an_outline_is_no_backbone_and_a_wrong_name_none_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = outlined("random(FacebookAI/xlm-roberta-base)")
    assert (found.depth, found.width, found.fetched) == (12, 768, False)
    assert found.fingerprint != outlined("FacebookAI/xlm-roberta-base").fingerprint
    assert outlined("mini").fetched
    for name, words in (
        ("./none", "no backbone folder"),
        ("someone/unknown", "nothing is known of its shape"),
    ):
        with pytest.raises(ArtifactError, match=words):
            outlined(name)
