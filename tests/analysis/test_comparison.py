"""Tables against recomputation from the stored predictions."""

import json

import numpy as np
import pytest

from adaptrans.analysis.comparison import Entry, compared, target_table
from adaptrans.analysis.entries import baseline_of, store_entries
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import plan
from adaptrans.utils.io import write_json


@pytest.fixture
def filled(planner):
    """A store with two setups on xnli and udpos, and the plan behind it."""
    found = plan(planner, ("full", "adapter"), ("xnli", "udpos"))
    execute(found)
    return planner.workspace.store, found


def entries(found, target):
    return [Entry(cell.setup, (cell.evaluation.run,)) for cell in found.cells if cell.target == target]


def accuracies(run):
    values = {}
    for path in (run.path / "predictions").glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        values[path.stem] = 100 * np.mean([row["gold"] == row["prediction"] for row in rows])
    return values


def test_means_and_differences_equal_recomputation(filled):
    _, found = filled
    table = target_table(entries(found, "xnli"), "full")
    first, second = (accuracies(entry.run) for entry in entries(found, "xnli"))
    base, other = table.rows
    assert base.mean.value == pytest.approx(np.mean(list(first.values())))
    assert other.mean.value == pytest.approx(np.mean(list(second.values())))
    assert other.zero_shot == pytest.approx(np.mean([second["de"], second["sw"]]))
    assert base.difference is None
    assert base.differences == {}
    assert other.difference.value == pytest.approx(other.mean.value - base.mean.value)
    assert other.difference.low <= other.difference.value <= other.difference.high
    for language, difference in other.differences.items():
        assert difference.value == pytest.approx(second[language] - first[language])
    assert table.scored == ("de", "en", "sw")
    assert "ar" in table.missing


def test_languages_that_one_setup_lacks_enter_no_mean(filled):
    _, found = filled
    (entries(found, "xnli")[1].run.path / "scores/sw.json").unlink()
    table = target_table(entries(found, "xnli"), "full")
    assert table.scored == ("de", "en")
    assert table.partial == ("sw",)
    assert table.rows[0].mean.n < 54


def test_a_table_is_kept_until_a_score_changes(filled, monkeypatch):
    store, found = filled
    table = compared(entries(found, "udpos"), "full", store.cache)
    rows = entries(found, "udpos")
    assert compared(rows, "full", store.cache) == table
    from adaptrans.analysis import comparison

    monkeypatch.setattr(comparison, "target_table", lambda entries, baseline: pytest.fail("computed again"))
    assert compared(rows, "full", store.cache) == table
    path = rows[0].run.path / "scores/de.json"
    write_json(path, {**json.loads(path.read_text()), "data": "other"})
    with pytest.raises(pytest.fail.Exception):
        compared(entries(found, "udpos"), "full", store.cache)


def test_the_store_is_grouped_by_target(filled):
    store, _ = filled
    groups = store_entries(store.runs("evaluate"))
    assert {name.split()[0] for name in groups} == {"xnli@1", "udpos@1"}
    for found in groups.values():
        assert {entry.setup for entry in found} == {"full", "adapter (seq_bn)"}


def test_a_language_scored_on_other_data_enters_no_mean(filled):
    _, found = filled
    path = entries(found, "xnli")[0].run.path / "scores/sw.json"
    write_json(path, {**json.loads(path.read_text()), "data": "an older copy"})
    table = target_table(entries(found, "xnli"), "full")
    assert table.scored == ("de", "en")
    assert table.partial == ("sw",)


def test_only_the_languages_asked_for_take_part(filled):
    _, found = filled
    few = [Entry(entry.setup, entry.runs, ("de",)) for entry in entries(found, "xnli")]
    table = target_table(few, "full")
    assert table.scored == ("de",)
    assert set(table.rows[0].languages) == {"de"}


def test_the_baseline_of_retrieval_is_what_answers_of_it(planner):
    execute(plan(planner, ("full", "nli > target"), ("tatoeba",)))
    (found,) = store_entries(planner.workspace.store.runs("evaluate")).values()
    assert {entry.setup for entry in found} == {"backbone", "nli (seq_bn)"}
    assert baseline_of(found, "full") == "backbone"
    assert baseline_of(found, "nli > target") == "nli (seq_bn)"
    assert baseline_of(found, "full(nli)") is None


def test_rows_of_two_runs_with_one_name_are_told_apart(planner):
    from dataclasses import replace

    from adaptrans.runs.training_args import training_config

    for steps in (1, 2):
        options = {"max_steps": steps, "precision": "fp32", "max_length": 64}
        other = replace(planner, config_for=lambda name, whole, options=options: training_config(options))
        execute(plan(other, ("full",), ("udpos",)))
    (found,) = store_entries(planner.workspace.store.runs("evaluate")).values()
    assert len({entry.setup for entry in found}) == 2
    assert all(entry.setup.startswith("full #") for entry in found)
    assert baseline_of(found, "full") is None
