"""Several seeds, few-shot rows, selection on target dev sets: what runs, and which table it stands in."""

import json
import time

import numpy as np
import pytest
from support.smalldata import NLI

from adaptrans import api
from adaptrans.analysis.entries import store_entries
from adaptrans.experiments.commands import plan_run
from adaptrans.experiments.config import Experiment
from adaptrans.experiments.plan import jobs_of

# Its dev sets are in English and German, its test sets in Swahili too.
XNLI = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        name="regimes",
        setups=("full", "adapter"),
        targets=("xnli", "tatoeba"),
        tasks={"nli": NLI, "xnli": XNLI},
        seeds=(1, 2, 3),
        training={"defaults": {"max_steps": 2, "precision": "fp32", "max_length": 64}},
        evaluation={"precision": "fp32", "samples": 200},
    )


def right(run, language):
    rows = [json.loads(line) for line in (run / f"predictions/{language}.jsonl").read_text().splitlines()]
    return 100 * np.mean([row["gold"] == row["prediction"] for row in rows])


def test_tables_show_the_median_over_seeds_and_the_json_has_each(experiment, small_workspace):
    where = small_workspace
    outcome = api.run(experiment, where=where)
    # Retrieval leaves the bare backbone, one run for all setups and seeds.
    assert outcome.computed == 2 * 3 + 2 * 3 + 1
    table, retrieval = outcome.tables
    plan = plan_run(experiment, where=where)
    runs = {
        (cell.setup, cell.evaluation.seed): cell.evaluation.run.path
        for cell in plan.cells
        if cell.target == "xnli"
    }
    for row in table.rows:
        assert [seed.seed for seed in row.seeds] == [1, 2, 3]
        for seed in row.seeds:
            own = [right(runs[row.setup, seed.seed], code) for code in table.scored]
            assert seed.mean == pytest.approx(np.mean(own))
            assert seed.languages == pytest.approx(dict(zip(table.scored, own, strict=True)))
        assert row.mean.value == pytest.approx(np.median([seed.mean for seed in row.seeds]))
        assert row.mean.low <= row.mean.value <= row.mean.high
        for code in table.scored:
            values = [seed.languages[code] for seed in row.seeds]
            assert row.languages[code].value == pytest.approx(np.median(values))
    base, other = table.rows
    assert other.difference.value == pytest.approx(other.mean.value - base.mean.value)
    assert len(retrieval.rows[0].seeds) == 1
    # What a store holds is told apart and put together the same way.
    store = where.store
    groups = store_entries(store.runs("evaluate"), store.runs())
    assert {len(entry.runs) for entries in groups.values() for entry in entries} == {1, 3}
    found = {table.target: table for table in api.compare(store.root)}["xnli@1"]
    assert [row.mean for row in found.rows] == [row.mean for row in table.rows]
    one = api.run(experiment, where=where, seed=2)
    assert one.computed == 0
    assert one.tables[0].rows[0].mean.value == pytest.approx(base.seeds[1].mean)


def test_few_shot_rows_go_on_from_the_target_run_and_stand_apart(experiment, small_workspace):
    where = small_workspace
    few = experiment.model_copy(update={"seeds": (1,), "shots": (2,), "targets": ("xnli", "tatoeba")})
    plan = plan_run(few, where=where)
    shots = [spec for spec in plan.training if spec.phase == "shots"]
    # Only German has a dev set and is no training language; Swahili has nothing to draw from.
    assert [(spec.language, spec.split, spec.shots) for spec in shots] == [("de", "dev", 2)] * 2
    assert any("only zero-shot rows" in line for line in plan.left_out)
    whats = [item.what for item in jobs_of(plan)]
    assert "shots: train full +2-shot on xnli de" in whats
    outcome = api.run(few, where=where)
    assert api.run(few, where=where).computed == 0
    zero, _, own = outcome.tables
    assert (zero.regime, own.regime) == (
        "",
        "not zero-shot: went on training on 2 examples per label of each target language",
    )
    assert [row.setup for row in own.rows] == ["full +2-shot", "adapter +2-shot"]
    assert own.scored == ("de",)
    assert own.rows[0].zero_shot is None
    # Differences are taken to the baseline of the same kind, never to zero-shot rows.
    assert own.rows[0].difference is None
    assert own.rows[1].difference.value == pytest.approx(own.rows[1].mean.value - own.rows[0].mean.value)
    result = shots[0].run.result()
    drawn = {example.split(":")[-1] for example in result["example_ids"]}
    assert result["examples"] == len(drawn) == 6
    assert any("+2-shot rows go on training" in note for note in own.notes)
    before = json.loads((shots[0].run.path / "artifact/artifact.json").read_text())
    assert before["shots"] == 2
    tables = api.compare(where.store.root)
    assert sorted(table.regime for table in tables) == sorted([own.regime, "", ""])


def test_examples_drawn_from_the_scored_split_are_not_scored(experiment, small_workspace):
    few = experiment.model_copy(
        update={
            "seeds": (1,),
            "shots": (2,),
            "targets": ("xnli",),
            "setups": ("full",),
            "languages": ("de",),
            "evaluation": experiment.evaluation.model_copy(update={"split": "dev"}),
        }
    )
    zero, own = api.run(few, where=small_workspace).tables
    assert zero.rows[0].languages["de"].n == 24
    assert own.rows[0].languages["de"].n == 24 - 6


def test_selection_on_target_dev_is_named_and_stands_apart(experiment, small_workspace):
    both = experiment.model_copy(
        update={"seeds": (1,), "select": ("source_dev", "target_dev"), "setups": ("full",)}
    )
    plan = plan_run(both, where=small_workspace)
    first, second = (spec for spec in plan.training if spec.phase == "target")
    assert set(first.inputs["dev"]) == {"en"}
    assert set(second.inputs["dev"]) == {"en", "de"}
    assert first.inputs["config"]["select"] != second.inputs["config"]["select"]
    outcome = api.run(both, where=small_workspace)
    assert [table.regime for table in outcome.tables] == [
        "",
        "",
        "not zero-shot: weights selected on the target languages' dev sets",
    ]
    (row,) = outcome.tables[2].rows
    assert row.setup == "full +target-dev"
    assert row.zero_shot is None
    assert any("not zero-shot" in note for note in outcome.tables[2].notes)


def test_further_training_starts_from_the_trained_weights(experiment, small_workspace):
    """At a rate of nothing, the few-shot model answers as the one it goes on from."""
    training = experiment.training.model_copy(update={"shots": {"learning_rate": 1e-12}})
    still = experiment.model_copy(
        update={"seeds": (1,), "shots": (1,), "targets": ("xnli",), "training": training}
    )
    outcome = api.run(still, where=small_workspace)
    zero, own = outcome.tables
    for before, after in zip(zero.rows, own.rows, strict=True):
        assert after.languages["de"].values == before.languages["de"].values
    planned = plan_run(still, where=small_workspace)
    target, few = (spec.run for spec in planned.training if spec.run.label.startswith("xnli.adapter"))
    names = {path.name for path in (few.artifact / "adapters").iterdir()}
    assert names == {path.name for path in (target.artifact / "adapters").iterdir()}


def test_nine_by_nine_by_three_is_planned_in_three_seconds(small_workspace):
    tasks = {f"i{n}": NLI for n in range(9)}
    for n in range(9):
        own = {"train": {"from": [f"i{n}.train"]}, "dev": {"from": [f"i{n}.dev"]}}
        tasks[f"t{n}"] = {"extends": "xnli", "splits": own}
    grid = Experiment(
        name="grid",
        setups=("full", "full({intermediate})"),
        intermediates=tuple(f"i{n}" for n in range(9)),
        targets=tuple(f"t{n}" for n in range(9)),
        tasks=tasks,
        seeds=(1, 2, 3),
    )
    began = time.process_time()
    found = plan_run(grid, where=small_workspace)
    items = jobs_of(found)
    assert time.process_time() - began < 3
    assert len(found.cells) == 10 * 9 * 3
    assert len(items) == (9 + 10 * 9 * 2) * 3


def test_backbones_have_tables_of_their_own(experiment, small_workspace, backbone_maker, tmp_path):
    second = str(backbone_maker(tmp_path / "second", depth=2, width=16, seed=3))
    names = (str(small_workspace.backbone.path), second)
    two = experiment.model_copy(
        update={"seeds": (1,), "targets": ("tatoeba",), "setups": ("full",), "backbones": names}
    )
    outcome = api.run(two, where=small_workspace)
    assert outcome.computed == 2
    first, other = outcome.tables
    assert first.backbone != other.backbone
    assert [len(table.rows) for table in outcome.tables] == [1, 1]
    assert first.rows[0].run != other.rows[0].run
