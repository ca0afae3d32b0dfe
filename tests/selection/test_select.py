"""Intermediates ranked for a target on the bundled encoder, and judged by the scores of a store."""

import shutil

import pytest
from typer.testing import CliRunner

from adaptrans.errors import AdaptransError
from adaptrans.experiments.commands import workspace
from adaptrans.runs.store import Store
from adaptrans.selection import vectors
from adaptrans.selection.select import FROZEN, select, stored_worth
from adaptrans.utils.io import write_json
from adaptrans_cli.main import app
from adaptrans_cli.select import references

TASKS = ["sample_nli", "sample_qa", "sample_pos"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    where = workspace(backbone="mini", data="samples", store=tmp_path_factory.mktemp("select") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "PROBE_STEPS", 3)
        frozen = select("sample_paraphrase", TASKS, where=where, limit=8, measures=FROZEN)
    few = select("sample_paraphrase", TASKS[::2], where=where, limit=8, steps=1, measures=["few_steps"])
    return where, frozen, few


def test_every_measure_ranks_the_tasks_that_it_fits(found):
    _, selection, few = found
    assert set(selection.rankings) == set(FROZEN)
    assert set(few.rankings["few_steps"]) == {"sample_nli", "sample_pos"}
    assert all(0 <= value <= 100 for value in few.values["few_steps"].values())
    labelled = {"sample_nli", "sample_pos"}
    for name, order in selection.rankings.items():
        wanted = labelled if name in ("leep", "nce", "logme", "h_score") else set(TASKS)
        assert set(order) == wanted
        values = [selection.values[name][task] for task in order]
        assert values == sorted(values, reverse=True)
    assert "sample_qa has no label per example or word" in selection.notes[0]
    assert 0 < selection.values["text_embedding"]["sample_nli"] <= 1
    assert not selection.judged


def test_the_same_task_is_nearest_to_itself_and_the_same_is_found_again(found, monkeypatch):
    where, selection, _ = found
    names = ["text_embedding", "task_embedding"]
    monkeypatch.setattr(vectors, "PROBE_STEPS", 3)
    again = select(
        "sample_paraphrase", ["sample_paraphrase", "sample_nli"], where=where, limit=8, measures=names
    )
    for name in names:
        assert again.values[name]["sample_paraphrase"] == pytest.approx(1)
        assert again.rankings[name][0] == "sample_paraphrase"
        assert again.values[name]["sample_nli"] == pytest.approx(selection.values[name]["sample_nli"])


def test_measures_are_judged_by_the_scores_of_the_store(found, tmp_path):
    where, selection, _ = found
    store = tmp_path / "store"
    shutil.copytree(where.store.root, store)
    scores = {"sample_nli": (60.0, 80.0), "sample_pos": (50.0, 40.0), "sample_qa": (30.0, 20.0)}
    for task, own in scores.items():
        inputs = {
            "task": "sample_paraphrase@1",
            "setup": f"full({task})",
            "method": "full",
            "backbone": where.backbone.fingerprint,
            "seed": 1,
        }
        run = Store(store).run("evaluate", task, inputs)
        write_json(run.path / "config.json", inputs)
        for code, value in zip(("de", "sw"), own, strict=True):
            one = {"language": code, "n": 9, "values": {"accuracy": value}, "low": None, "high": None}
            write_json(
                run.path / f"scores/{code}.json", {**one, "data": "", "precision": "fp32", "intervals": 99}
            )
        run.finish({})
    there = workspace(backbone="mini", data="samples", store=store)
    worth = stored_worth(there, "sample_paraphrase", TASKS)
    assert worth == {"full(A), full": {"sample_nli": 70.0, "sample_pos": 45.0, "sample_qa": 25.0}}
    given = ["select", "sample_paraphrase", "--from", ",".join(TASKS), "--backbone", "mini"]
    given += ["--data", "samples", "--store", str(store), "--limit", "8", "--measures", "text_embedding"]
    result = CliRunner().invoke(app, given)
    output = " ".join(result.stdout.split())
    assert "judged by full(A), full: sample_nli 70.0, sample_pos 45.0, sample_qa 25.0" in output
    order = selection.rankings["text_embedding"]
    means = {"sample_nli": 70.0, "sample_pos": 45.0, "sample_qa": 25.0}
    assert f"{100 * (70 - means[order[0]]) / 70:.1f} %" in output


def test_what_cannot_be_ranked_is_refused(found):
    where, *_ = found
    with pytest.raises(AdaptransError, match="1 candidate cannot be ranked"):
        select("sample_pos", ["sample_nli"], where=where)
    with pytest.raises(AdaptransError, match='did you mean "leep"'):
        select("sample_pos", TASKS, where=where, measures=["lep"])
    with pytest.raises(AdaptransError, match='did you mean "sample_nli"'):
        select("sample_pos", ["sample_nly", "sample_qa"], where=where)
    assert references("mnli[de,ru],squad") == ["mnli[de,ru]", "squad"]
