"""Experiments with factors: their setups, what runs these share, what a budget buys."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adaptrans.errors import AdaptransError, ConfigError
from adaptrans.experiments import budget
from adaptrans.experiments.budget import Costs, chosen_cells
from adaptrans.experiments.commands import plan_run, workspace
from adaptrans.experiments.config import bundled, load_experiment
from adaptrans.experiments.scores import score_table
from adaptrans.experiments.vary import Subsets, Vary, balanced, orders
from adaptrans.modeling.setup.parser import parse
from adaptrans.utils.io import write_json
from adaptrans_cli.main import app

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


def test_finished_cells_become_a_table_with_their_factors(tmp_path, where):
    varied = experiment(
        tmp_path,
        seeds=[1],
        targets=["sample_pos"],
        languages=["de", "sw"],
        vary={
            "setups": ["full({intermediate})"],
            "provenance": {"native": ["sample_nli"]},
            "sizes": [50, "all"],
        },
        analysis=[
            {"kind": "difference", "factor": "row", "baseline": "full"},
            {"kind": "slope", "on": "log10(size)", "where": {"number": 1}},
        ],
    )
    plan = plan_run(varied, where=where)
    with pytest.raises(AdaptransError, match="none of the 3 cells has a score yet"):
        score_table(plan.cells)
    examples = {50: 50, None: 900}
    for spec in plan.specs:
        write_json(spec.run.path / "config.json", spec.record)
        facts = {"source_languages": ["en"]}
        if spec.phase == "intermediate":
            facts["examples"] = examples[spec.config.limit_train]
        if spec.phase == "evaluate":
            for at, code in enumerate(spec.wanted_languages):
                one = {"language": code, "n": 9, "values": {"token_accuracy": 40.0 + at}, "low": 36.08}
                one |= {"high": 43.92, "precision": "fp32", "intervals": 99}
                one["data"] = where.data_key(spec.task, "test", code)
                write_json(spec.run.path / f"scores/{code}.json", one)
        spec.run.finish(facts)
    again = plan_run(varied, where=where)
    frame = score_table(again.cells).frame
    assert len(frame) == 6
    own = frame[frame["row"] == "full(sample_nli) (50 examples)"].iloc[0]
    assert (own["size"], own["asked_size"], own["provenance"], own["number"]) == (50, 50, "native", 1)
    assert (own["intermediates"], own["task"], own["seed"]) == ("sample_nli", "sample_pos", 1)
    assert own["phase"] == 2
    assert own["item_error"] == pytest.approx(2.0, abs=1e-3)
    assert sorted(frame["size"].unique()) == [0, 50, 900]
    plain = frame[frame["row"] == "full"].iloc[0]
    assert (plain["phase"], plain["size"]) == (1, 0)
    assert (plain["intermediates"], plain["provenance"], plain["asked_size"]) == ("-", "-", "-")
    # A part of it: one cell less is said, and what is there is analyzed.
    (again.cells[-1].evaluation.run.path / "done.json").unlink()
    given = ["analyze", str(tmp_path / "v.yaml"), "--backbone", "mini", "--data", "samples"]
    given += ["--store", str(where.store.root), "--json"]
    page = json.loads(CliRunner().invoke(app, given).stdout)
    assert page["notes"][0] == "1 of 3 cells are not done and not in these numbers"
    assert [finding["term"] for finding in page["parts"][0]["findings"]] == ["full(sample_nli) (50 examples)"]


@pytest.mark.parametrize("name", ["studies/corpus-size", "studies/number-of-tasks"])
def test_studies_that_ship_have_factors_and_balanced_sets(name):
    found = load_experiment(bundled()[name])
    assert found.analysis
    variants = found.variants
    assert len({(item.setup, item.told) for item in variants}) == len(variants)
    if name.endswith("tasks"):
        sets = {parse(item.setup).references() for item in variants if item.setup.startswith("full")}
        # Four orders of eight tasks: each task begins half an order, and all eight are one set.
        assert sorted(Counter(map(len, sets)).items()) == [(1, 4), (2, 4), (4, 4), (8, 1)]
    else:
        assert {dict(item.factors)["provenance"] for item in variants} == {"native", "machine"}
        assert {dict(item.factors)["asked_size"] for item in variants} == {250, 1000, 4000, "all"}
