"""Setups that share no scored language: each is shown, and the tables say why they are not one."""

import json

import pytest

from adaptrans import api
from adaptrans.analysis.comparison import Entry
from adaptrans.analysis.entries import tables_of
from adaptrans.errors import ArtifactError
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import plan
from adaptrans.report.content import content
from adaptrans.report.html import render
from adaptrans.utils.io import write_json
from adaptrans_cli import tables as printed


@pytest.fixture
def filled(planner):
    """A store with two setups on two targets."""
    found = plan(planner, ("full", "adapter"), ("xnli", "udpos"))
    execute(found)
    return planner.workspace.store, found


def runs(found, target):
    return [cell.evaluation.run for cell in found.cells if cell.target == target]


def keep(run, *codes):
    """Leave scores of some languages alone."""
    for path in (run.path / "scores").iterdir():
        if path.stem not in codes:
            path.unlink()


def rows(tables, target="xnli@1"):
    return {row.setup for table in tables if table.target == target for row in table.rows}


def test_setups_without_a_common_language_are_both_shown(filled, capsys):
    store, found = filled
    first, second = runs(found, "xnli")
    keep(first, "en", "de")
    keep(second, "sw")
    tables = [table for table in api.compare(store.root) if table.target == "xnli@1"]
    assert [(table.scored, table.which) for table in tables] == [
        (("de", "en"), "in de, en"),
        (("sw",), "in sw"),
    ]
    assert rows(tables) == {"full", "adapter (seq_bn)"}
    for table in tables:
        assert any(
            "full (in de, en) and adapter (seq_bn) (in sw) share no language" in n for n in table.notes
        )
        # What one of them has is not missing.
        assert not {"de", "en", "sw"} & set(table.missing)
        printed.by_language(table, "full")
    shown = capsys.readouterr().out
    assert "in de, en" in shown
    assert shown.count("adapter (seq_bn)") >= 2
    page = render(content(api.compare(store.root), store, None))
    assert "in de, en" in page
    assert "share no language" in page
    groups = api.compare_by("family", store.root, target="xnli")
    assert {row.setup for group in groups for row in group.table.rows} == {"full", "adapter (seq_bn)"}


def test_a_third_setup_joins_the_one_that_it_shares_a_language_with(filled):
    store, found = filled
    first, second = runs(found, "xnli")
    keep(first, "sw")
    entries = [Entry("b", (second,), ("de",)), Entry("full", (first,)), Entry("c", (second,), ("de", "en"))]
    tables = tables_of(entries, "full", store.cache)
    assert [[row.setup for row in table.rows] for table in tables] == [["full"], ["b", "c"]]


def test_the_same_language_on_other_data_is_not_shared(filled):
    store, found = filled
    for path in (runs(found, "xnli")[0].path / "scores").iterdir():
        write_json(path, {**json.loads(path.read_text()), "data": "an older copy"})
    tables = api.compare(store.root, target="xnli")
    assert rows(tables) == {"full", "adapter (seq_bn)"}
    assert len(tables) == 2


def test_a_setup_without_gold_labels_is_named_and_hides_no_other(filled):
    store, found = filled
    for path in (runs(found, "xnli")[1].path / "scores").iterdir():
        write_json(path, {**json.loads(path.read_text()), "values": {}, "low": None, "high": None})
    (table,) = api.compare(store.root, target="xnli")
    assert [row.setup for row in table.rows] == ["full"]
    assert "adapter (seq_bn) has no score: its data have no reference labels" in table.notes
    for path in (runs(found, "xnli")[0].path / "scores").iterdir():
        write_json(path, {**json.loads(path.read_text()), "values": {}, "low": None, "high": None})
    with pytest.raises(ArtifactError, match="no reference labels"):
        api.compare(store.root, target="xnli")


def test_seeds_without_a_common_language_stand_in_rows_of_their_own(filled):
    store, found = filled
    first, second = runs(found, "xnli")
    keep(first, "en")
    keep(second, "sw", "en")
    (second.path / "scores/en.json").unlink()
    tables = tables_of([Entry("x", (first, second))], "full", store.cache)
    assert [row.setup for table in tables for row in table.rows] == ["x seed 1", "x seed 1"]
    assert all(any("seeds of x share no scored language" in note for note in table.notes) for table in tables)


def test_tables_of_one_target_say_what_sets_them_apart(planner):
    from dataclasses import replace

    for limit in (4, 6):
        part = replace(planner, evaluation_for=lambda name, limit=limit: limited(planner, name, limit))
        execute(plan(part, ("full",), ("xnli",)))
    tables = api.compare(planner.workspace.store.root)
    assert sorted(table.which for table in tables) == ["limit 4", "limit 6"]


def limited(planner, name, limit):
    return planner.evaluation_for(name).model_copy(update={"limit": limit})
