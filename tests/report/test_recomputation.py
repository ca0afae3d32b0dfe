"""Tables and page of a real small experiment of four kinds and several seeds, against its predictions."""

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from support.smalldata import NLI, QA, XNLI, XQUAD, make_workspace

from adaptrans import api
from adaptrans.experiments.config import Experiment

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import recompute


@pytest.fixture(scope="module")
def shown(tiny_backbone, small_data, tmp_path_factory):
    """The store of an experiment, its tables as `compare --json` prints them, and its page."""
    store = tmp_path_factory.mktemp("recomputed") / "store"
    where = make_workspace(tiny_backbone, small_data, store)
    experiment = Experiment(
        name="recomputed",
        setups=("full", "adapter"),
        targets=("xnli", "udpos", "xquad", "tatoeba"),
        tasks={"nli": NLI, "qa": QA, "xnli": XNLI, "xquad": XQUAD},
        only={"adapter": ("xnli", "tatoeba")},
        seeds=(1, 2, 3),
        training={"defaults": {"max_steps": 1, "batch_size": 4, "precision": "fp32", "max_length": 48}},
        evaluation={"precision": "fp32", "samples": 100, "limit": 16},
    )
    api.run(experiment, where=where)
    tables = api.compare(store)
    page = api.report(tables, out=store.parent / "page.html", store=store)
    return store, [asdict(table) for table in tables], page.read_text(encoding="utf-8")


def test_tables_and_page_equal_recomputation_from_the_predictions(shown):
    store, tables, page = shown
    assert {table["target"].partition("@")[0] for table in tables} == {"xnli", "udpos", "xquad", "tatoeba"}
    assert {len(row["seeds"]) for table in tables for row in table["rows"]} == {1, 3}
    assert recompute.check(store, tables, page) > 80


def test_the_recomputation_finds_a_wrong_value(shown):
    store, tables, page = shown
    value = tables[0]["rows"][0]["mean"]["value"]
    with pytest.raises(AssertionError, match="from the predictions"):
        recompute.check(store, tables, page.replace(f"<b>{value:.1f}</b>", f"<b>{value + 0.2:.1f}</b>"))
    row = tables[0]["rows"][0]
    other = {**row, "mean": {**row["mean"], "value": value + 0.001}}
    with pytest.raises(AssertionError, match="from the predictions"):
        recompute.check(store, [{**tables[0], "rows": [other, *tables[0]["rows"][1:]]}], page)
