"""Experiments with factors: their setups, what runs these share, what a budget buys."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from adaptrans.errors import ConfigError
from adaptrans.experiments import budget
from adaptrans.experiments.budget import Costs, chosen_cells
from adaptrans.experiments.commands import plan_run, workspace
from adaptrans.experiments.config import load_experiment
from adaptrans.experiments.vary import Subsets, Vary, balanced, orders

BASE = {"name": "v", "setups": ["full"], "targets": ["sample_pos", "sample_ner"], "seeds": [1, 2]}
TASKS = ["sample_nli", "sample_qa", "sample_paraphrase"]


@pytest.fixture
def where(tmp_path):
    return workspace(backbone="mini", data="samples", store=tmp_path / "store")


def experiment(folder, **keys):
    path = folder / "v.yaml"
    path.write_text(json.dumps({**BASE, **keys}), encoding="utf-8")
    return load_experiment(path)


def test_combinations_of_factors_are_setups():
    vary = Vary(
        setups=["full({intermediates})", "fuse({intermediates}) > target"],
        intermediates=["a", "b"],
        languages=["en", "sw"],
        sizes=[10, "all"],
        subsets={"sizes": [1, 2]},
    )
    found = vary.variants()
    assert len(found) == 2 * 2 * 3 * 2
    assert [item.setup for item in found if item.told == "10 examples"][:6] == [
        "full(a[en])", "full(b[en])", "full(a[en] + b[en])",
        "a[en] > target", "b[en] > target", "fuse(a[en], b[en]) > target",
    ]  # fmt: skip
    assert found[0].sizes == {"a[en]": 10}
    assert dict(found[0].factors) == {"intermediates": "a[en]", "asked_size": 10, "source_language": "en"}


def test_provenance_is_a_factor_of_the_tasks_under_it():
    vary = Vary(setups=["{intermediate} > target"], provenance={"native": ["a"], "translated": ["b", "c"]})
    assert [(item.setup.split()[0], dict(item.factors)["provenance"]) for item in vary.variants()] == [
        ("a", "native"), ("b", "translated"), ("c", "translated"),
    ]  # fmt: skip


def test_draws_are_balanced_over_tasks_and_families():
    tasks = [f"t{at}[{code}]" for at, code in enumerate(["en", "de", "sw", "yo", "zh", "my"])]
    for seed in range(5):
        found = balanced(tasks, 3, 6, seed)
        assert len(set(found)) == 6
        counts = Counter(task for own in found for task in own)
        assert max(counts.values()) - min(counts.values()) <= 1
        first = balanced(tasks, 3, 2, seed)
        families = [{at // 2 for at, task in enumerate(tasks) if task in own} for own in first]
        assert families == [{0, 1, 2}] * 2
    assert len(balanced(["a", "b"], 2, 4, 1)) == 1


def test_orders_have_every_task_at_every_place_and_sets_are_nested():
    found = orders(["a", "b", "c"], 6, seed=2)
    for place in range(3):
        assert Counter(order[place] for order in found) == {"a": 2, "b": 2, "c": 2}
    sets = Subsets(orders=1).of(["a", "b", "c", "d"])
    assert all(set(small) < set(large) for small, large in pairwise(sets))


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"setups": ["full"]}, "has no wildcard"),
        ({"setups": ["full({intermediate})"], "sizes": [0]}, "greater than or equal to 1"),
        ({"setups": ["full({intermediate})"], "size": 3}, 'unknown key "size"; did you mean "sizes"'),
        (
            {"setups": ["full({intermediates})"], "subsets": {"draws": 1, "orders": 1}},
            "draws and orders are two ways",
        ),
        (
            {"setups": ["full({intermediate})"], "intermediates": ["a"], "provenance": {"n": ["b"]}},
            "not both",
        ),
    ],
)
def test_factors_that_cannot_be_are_refused(tmp_path, vary, message):
    with pytest.raises(ConfigError, match=message):
        experiment(tmp_path, vary=vary)


def test_combinations_share_their_runs_and_the_rest_keeps_its_keys(tmp_path, where):
    plain = plan_run(experiment(tmp_path), where=where)
    varied = experiment(
        tmp_path,
        vary={"setups": ["full({intermediate})"], "intermediates": TASKS[:2], "sizes": [100, "all"]},
    )
    found = plan_run(varied, where=where)
    keys = {spec.run.key for spec in found.specs}
    assert {spec.run.key for spec in plain.specs} <= keys
    intermediates = [spec for spec in found.specs if spec.phase == "intermediate"]
    # Two tasks, two sizes, two seeds; each serves both targets.
    assert len(intermediates) == 8
    assert sorted({spec.config.limit_train or 0 for spec in intermediates}) == [0, 100]
    assert len(found.cells) == 2 * 2 * (1 + 4)
    rows = {cell.row for cell in found.cells}
    assert {"full", "full(sample_qa)", "full(sample_qa) (100 examples)"} <= rows
    whole = plan_run(experiment(tmp_path, setups=["full", "full(sample_qa)"]), where=where)
    assert {spec.run.key for spec in whole.specs} <= keys


def test_a_budget_buys_a_balanced_part_and_says_what_is_left_out(tmp_path, where, monkeypatch):
    varied = experiment(
        tmp_path, vary={"setups": ["full({intermediate})"], "intermediates": TASKS, "sizes": [100, "all"]}
    )
    whole = plan_run(varied, where=where)
    with pytest.raises(ConfigError, match="no past run to judge by"):
        plan_run(varied, where=where, hours=1)
    runs = {spec.run.path: spec for spec in whole.specs}

    def costs(plan):
        needs = []
        for cell in plan.cells:
            own, todo = set(), [cell.evaluation.run.path]
            while todo:
                path = todo.pop()
                own.add(path)
                todo += [run.path for run in runs[path].needs]
            needs.append(frozenset(own))
        return Costs(dict.fromkeys(runs, 60.0), tuple(needs))

    monkeypatch.setattr(budget, "_costs", costs)
    part = plan_run(varied, where=where, hours=0.7)
    spent = 60.0 * len({spec.run.path for spec in part.specs})
    assert 0.85 * 0.7 * 3600 <= spent <= 0.7 * 3600
    assert {cell.row for cell in part.cells} >= {"full"}
    assert {spec.run.key for spec in part.training} < {spec.run.key for spec in whole.training}
    optional = [cell for cell in part.cells if cell.factors]
    sizes = Counter(dict(cell.factors)["asked_size"] for cell in optional)
    setups = Counter(cell.setup for cell in optional)
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert max(setups.values()) - min(setups.values()) <= 1
    assert f"{len(part.cells)} of {len(whole.cells)} cells fit into 0.7 hours" in part.left_out[-1]
    assert "by asked_size:" in part.left_out[-1]
    assert plan_run(varied, where=where, hours=100).cells == whole.cells
    with pytest.raises(ConfigError, match="without factors alone"):
        plan_run(varied, where=where, hours=0.01)


def test_an_expensive_cell_that_does_not_fit_leaves_room_for_cheap_ones(tmp_path, where):
    cells = plan_run(
        experiment(tmp_path, vary={"setups": ["full({intermediate})"], "intermediates": TASKS}), where=where
    ).cells
    optional = [at for at, cell in enumerate(cells) if cell.factors]
    paths = [Path(str(at)) for at in range(len(cells))]
    seconds = dict.fromkeys(paths, 1.0)
    dear = optional[0]
    seconds[paths[dear]] = 1000.0
    chosen = chosen_cells(cells, Costs(seconds, tuple(frozenset({path}) for path in paths)), 50.0)
    assert chosen == set(range(len(cells))) - {dear}
