"""Experiments with a control: the same runs on shuffled weights, and the distance to them."""

import json

import numpy as np
import pytest
from support.smalldata import NLI, XNLI

from adaptrans import api
from adaptrans.experiments.commands import plan_run
from adaptrans.experiments.config import Experiment
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
