"""Tables by group of languages, and long tables, against the stored scores."""

import csv

import numpy as np
import pytest

from adaptrans import api, languages
from adaptrans.errors import AdaptransError
from adaptrans.evaluation.results import load_results
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import plan


@pytest.fixture
def filled(planner):
    """A store with two setups on xnli."""
    found = plan(planner, ("full", "adapter"), ("xnli",))
    execute(found)
    return planner.workspace.store, found


def test_means_of_groups_are_those_of_their_languages(filled):
    store, found = filled
    groups = {group.group: group for group in api.compare_by("family", store.root)}
    assert {name: group.languages for name, group in groups.items()} == {
        "Indo-European": ("de", "en"),
        "Niger-Congo": ("sw",),
    }
    for group in groups.values():
        for row, cell in zip(group.table.rows, found.cells, strict=True):
            results = load_results(cell.evaluation.run)
            own = [results[code].value for code in group.languages]
            assert row.mean.value == pytest.approx(np.mean(own))
    assert groups["Niger-Congo"].table.rows[1].difference is not None
    classes = api.compare_by("resource", store.root)
    assert [group.group for group in classes] == [f"class {c}" for c in (2, 5)]
    with pytest.raises(AdaptransError, match='unknown grouping "script"'):
        api.compare_by("script", store.root)


def test_p_values_are_corrected_over_all_groups(filled):
    store, _ = filled
    cells = [row.difference for g in api.compare_by("family", store.root) for row in g.table.rows]
    raw = [cell for cell in cells if cell is not None]
    assert len(raw) == 2
    assert min(cell.corrected for cell in raw) == pytest.approx(min(1, 2 * min(c.p_value for c in raw)))


@pytest.mark.parametrize("name", ["results.csv", "results.parquet"])
def test_a_long_table_has_every_score_once(filled, tmp_path, name):
    store, found = filled
    path = api.export_results(tmp_path / "new" / name, store.root)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
    columns = "backbone setup method regime formulation perturbation target version split language"
    columns += " family resource_class seed"
    columns += " score value low high n chance training_language layer pooling direction prefix data run"
    assert list(rows[0]) == columns.split()
    assert len(rows) == 2 * 3
    values = {(row["setup"], row["language"]): float(row["value"]) for row in rows}
    for cell in found.cells:
        for code, result in load_results(cell.evaluation.run).items():
            assert values[cell.setup, code] == result.value
    for row in rows:
        assert row["target"] == "xnli"
        assert row["family"] == languages.get(row["language"]).family
        assert int(row["seed"]) == 1


def test_another_kind_of_file_is_refused(filled, tmp_path):
    with pytest.raises(AdaptransError, match=r"results.xls is neither .csv nor .parquet"):
        api.export_results(tmp_path / "results.xls", filled[0].root)
