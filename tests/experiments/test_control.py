"""Experiments with a control: the same runs on shuffled weights, and the distance to them."""

import json

import numpy as np
import pytest
from support.smalldata import NLI, XNLI

from adaptrans import api
from adaptrans.errors import AdaptransError
from adaptrans.experiments.commands import plan_run
from adaptrans.experiments.config import Control, Experiment, load_experiment
from adaptrans.experiments.plan import jobs_of


@pytest.fixture
def experiment():
    return Experiment(
        name="controlled",
        setups=("full", "adapter"),
        targets=("xnli", "tatoeba"),
        only={"adapter": ("xnli",)},
        tasks={"nli": NLI, "xnli": XNLI},
        control="random",
        training={"defaults": {"max_steps": 2, "precision": "fp32", "max_length": 64}},
        evaluation={"precision": "fp32", "samples": 200},
    )


def right(run, language):
    rows = [json.loads(line) for line in (run / f"predictions/{language}.jsonl").read_text().splitlines()]
    return np.mean([row["gold"] == row["prediction"] for row in rows]) * 100


def test_every_run_has_its_control_and_tables_say_the_distance(experiment, small_workspace):
    where = small_workspace
    plan = plan_run(experiment, where=where)
    names = [cell.evaluation.workspace.backbone.name for cell in plan.cells]
    control = f"random({where.backbone.name})"
    assert names == [where.backbone.name] * 3 + [control] * 3
    assert [(cell.setup, cell.target) for cell in plan.cells[:3]] == [
        ("full", "xnli"),
        ("full", "tatoeba"),
        ("adapter", "xnli"),
    ]
    assert sum(f"[{control}]" in item.what for item in jobs_of(plan)) == 5
    outcome = api.run(experiment, where=where)
    assert outcome.computed == 10
    assert api.run(experiment, where=where).computed == 0
    runs = {
        (cell.setup, cell.target, name): cell.evaluation.run.path
        for cell, name in zip(plan.cells, names, strict=True)
    }
    for table in outcome.tables:
        target = table.target.partition("@")[0]
        for row in table.rows:
            values = {}
            for language in table.scored:
                mine = right(runs[row.setup, target, where.backbone.name], language)
                other = right(runs[row.setup, target, control], language)
                assert row.control[language] == pytest.approx(other)
                assert row.above_controls[language].value == pytest.approx(mine - other)
                values[language] = mine - other
            assert row.above_control.value == pytest.approx(np.mean(list(values.values())))
            assert row.chance(table.scored) == pytest.approx(
                np.mean([row.languages[code].chance for code in table.scored])
            )


def test_without_a_control_nothing_changes(experiment, small_workspace):
    plain = experiment.model_copy(update={"control": None, "targets": ("tatoeba",), "only": {}})
    outcome = api.run(plain, where=small_workspace)
    (table,) = outcome.tables
    assert all(row.above_control is None and row.control == {} for row in table.rows)
    asked = api.run(plain, where=small_workspace, control="random")
    assert asked.computed == 1
    assert all(row.above_control is not None for row in asked.tables[0].rows)
    # What a store holds is compared backbone by backbone.
    assert len(api.compare(small_workspace.store.root)) == 2


def test_a_control_of_some_setups_is_planned_and_shown_for_them_alone(experiment, small_workspace, tmp_path):
    where = small_workspace
    some = experiment.model_copy(update={"control": Control(random=("adapter",)), "targets": ("xnli",)})
    control = f"random({where.backbone.name})"
    cells = [
        (cell.evaluation.workspace.backbone.name, cell.setup) for cell in plan_run(some, where=where).cells
    ]
    own = where.backbone.name
    assert cells == [(own, "full"), (own, "adapter"), (control, "adapter")]
    # The runs are those of the whole control, so that what was computed is found again.
    every = plan_run(experiment, where=where)
    assert {spec.run.key for spec in plan_run(some, where=where).specs} < {
        spec.run.key for spec in every.specs
    }
    # The command line asks for all of them.
    asked = plan_run(some, where=where, control="random")
    assert len(asked.cells) == 4
    (table,) = api.run(some, where=where).tables
    full, adapter = table.rows
    assert full.above_control is None
    assert full.control == {}
    assert adapter.above_control is not None
    assert set(adapter.control) == set(table.scored)
    page = api.report([table], out=tmp_path / "page.html", store=where.store.root, experiment=some)
    assert "Above the shuffled-weights baseline" in page.read_text(encoding="utf-8")


SOME = "name: a\nsetups: [full, adapter, '{intermediate} > target']\nintermediates: [mnli]\ntargets: [xnli]\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("random", ("full", "adapter", "mnli > target")),
        ("{random: full}", ("full",)),
        ("{random: [adapter, '{intermediate} > target']}", ("adapter", "mnli > target")),
        ("null", ()),
    ],
)
def test_the_setups_of_a_control_are_read(tmp_path, said, expected):
    file = tmp_path / "some.yaml"
    file.write_text(f"{SOME}control: {said}\n")
    assert load_experiment(file).controlled == expected


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("rndm", "some.yaml:5: control: write random, or"),
        ("{random: []}", "some.yaml:5: control: write random, or"),
        ("{rndom: [full]}", 'some.yaml:5: unknown key "rndom"; did you mean "random"'),
        ("{random: [full(qnli)]}", r'setup under control in .*some.yaml "full\(qnli\)"'),
        ("{}", 'some.yaml:5: the key "control.random" is missing'),
    ],
)
def test_a_control_that_cannot_be_is_one_line(tmp_path, said, told):
    file = tmp_path / "some.yaml"
    file.write_text(f"{SOME}control: {said}\n")
    with pytest.raises(AdaptransError, match=told):
        load_experiment(file)
