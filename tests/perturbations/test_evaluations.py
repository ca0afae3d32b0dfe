"""Perturbed test sets through evaluation, tables and the command line."""

import json
import shutil

import pytest
from support.inprocess import InProcess

import adaptrans
from adaptrans.errors import ConfigError
from adaptrans.evaluation import evaluator
from adaptrans.evaluation.results import PredictionFile, load_results
from adaptrans.experiments.commands import plan_evaluate
from adaptrans.perturbations.choice_order import ChoiceOrder
from adaptrans.task_types.base import Answer

OPTIONS = {"max_steps": 3, "batch_size": 8, "precision": "fp32", "max_length": 64}
NAMES = ("empty_premise", "typos:50", "drop_words:50")


@pytest.fixture
def where(small_workspace):
    adaptrans.target("xnli", where=small_workspace, setup="adapter", **OPTIONS)
    return small_workspace


def planned(where, name=None, task="xnli", **more):
    return plan_evaluate(task, where=where, setup="adapter", precision="fp32", perturb=name, **more)


def predictions(spec, language="de"):
    return list(PredictionFile(spec.run, language).read())


def test_one_load_answers_all_and_rows_stand_beside_the_plain_one(where, monkeypatch):
    loads = []
    monkeypatch.setattr(
        evaluator, "open_sessions", lambda specs: (loads.append(specs), open_sessions(specs))[1]
    )
    from adaptrans.evaluation.inference import open_sessions

    specs = [planned(where), *(planned(where, name) for name in NAMES)]
    assert len({spec.run.key for spec in specs}) == 4
    adaptrans.api.evaluate_all(specs)
    assert len(loads) == 1
    plain, *others = specs
    for spec in others:
        assert [row.id for row in predictions(spec)] == [row.id for row in predictions(plain)]
        assert [row.gold for row in predictions(spec)] == [row.gold for row in predictions(plain)]
        chances = [row.log_probabilities for row in predictions(spec)]
        assert chances != [row.log_probabilities for row in predictions(plain)]
    (table,) = adaptrans.compare(where.store.root, baseline="adapter (seq_bn)")
    rows = {row.setup: row for row in table.rows}
    assert set(rows) == {"adapter (seq_bn)", *(f"adapter (seq_bn) ~{name}" for name in NAMES)}
    assert rows["adapter (seq_bn)"].difference is None
    assert all(row.difference is not None for label, row in rows.items() if "~" in label)
    assert any("differs from the row without" in note for note in table.notes)
    assert "typos:50: a slip of typing in a share of the words" in table.notes
    # The same as each alone: what is loaded, and which pieces of the vocabulary, changes nothing.
    alone = specs[2]
    before = [row.log_probabilities for row in predictions(alone)]
    shutil.rmtree(alone.run.path)
    adaptrans.api.evaluate_all([planned(where, NAMES[1])])
    assert [row.log_probabilities for row in predictions(alone)] == before


def test_the_order_of_choices_changes_no_score(small_workspace):
    adaptrans.target("copa", where=small_workspace, setup="adapter", **OPTIONS)
    plain, other = (planned(small_workspace, name, "copa", split="dev") for name in (None, "choice_order"))
    adaptrans.api.evaluate_all([plain, other])
    assert load_results(plain.run)["en"].values == load_results(other.run)["en"].values
    # Files number the choices as the data do, whatever order they stood in.
    for row, moved in zip(predictions(plain, "en"), predictions(other, "en"), strict=True):
        assert (row.id, row.gold, row.prediction) == (moved.id, moved.gold, moved.prediction)
        assert row.log_probabilities == pytest.approx(moved.log_probabilities, abs=1e-5)
    (table,) = adaptrans.compare(small_workspace.store.root, baseline="adapter (seq_bn)")
    assert not [note for note in table.notes if "only rounding may" in note]


def test_a_score_that_moves_with_the_order_is_said(small_workspace, monkeypatch):
    adaptrans.target("copa", where=small_workspace, setup="adapter", **OPTIONS)
    # A fault: what is written for the other order is wrong.
    monkeypatch.setattr(ChoiceOrder, "restored", lambda own, id, gold, answer: (0, Answer(1, (0.0, 0.0))))
    specs = [planned(small_workspace, name, "copa", split="dev") for name in (None, "choice_order")]
    adaptrans.api.evaluate_all(specs)
    (table,) = adaptrans.compare(small_workspace.store.root, baseline="adapter (seq_bn)")
    (said,) = [note for note in table.notes if "only rounding may" in note]
    assert said.startswith("adapter (seq_bn) ~choice_order: choice_order changed the score by -")


def test_without_one_the_key_is_what_it_was(where):
    spec = planned(where)
    assert "perturbation" not in spec.own_inputs
    assert "perturb" not in spec.own_inputs
    assert planned(where, "typos:5").own_inputs["perturbation"] == {
        "name": "typos:5",
        "version": 1,
        "seed": 0,
    }


def test_what_does_not_fit_is_refused_before_anything_is_computed(where):
    with pytest.raises(ConfigError, match=r"choice_order.* changes a choice, which classification"):
        _ = planned(where, "choice_order").run


def test_the_command(where, monkeypatch):
    cli = InProcess(
        where.store.root.parent,
        ["--backbone", str(where.backbone.path), "--data", str(where.data), "--store", str(where.store.root)],
    )
    words = ["evaluate", "xnli", "--setup", "adapter", "--precision", "fp32", *cli.where]
    found = cli.json(*words, "--perturb", "empty_premise", "--perturb", "typos")
    assert len(found) == 3
    assert len({item["run"] for item in found}) == 3
    text = cli.run("compare", "--store", str(where.store.root))
    assert "~empty_premise" in text
    assert "~typos:10" in text
    assert "changes a choice" in cli.refused(*words, "--perturb", "choice_order")
    shown = cli.run("tasks", "preview", "xnli", "--perturb", "empty_premise", *cli.where[2:4], "--lang", "de")
    assert json.dumps(shown)
    plain = cli.run("tasks", "preview", "xnli", *cli.where[2:4], "--lang", "de")
    assert shown != plain
