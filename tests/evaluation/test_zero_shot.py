"""Evaluation from spec to files: streamed, scored, resumed, and equal to plain computation."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.layouts import read_predictions

from adaptrans.errors import UnknownNameError
from adaptrans.evaluation import evaluator, results
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.results import (
    CONSTANT_GOLD,
    NO_GOLD,
    counted,
    load_results,
    load_statistics,
    save_language,
)
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import EvaluationConfig
from adaptrans.utils.io import read_json, write_json


def evaluation_of(planner, setup, task):
    spec, before = planner.evaluate(parse(setup), planner.workspace.task(task))
    for earlier in before:
        earlier.execute()
    return spec


@pytest.mark.parametrize("task", ["xnli", "udpos", "xquad"])
def test_every_kind_is_scored_from_what_was_written(planner, task):
    spec = evaluation_of(planner, "adapter", task)
    results = evaluate(spec)
    assert list(results) == list(spec.wanted_languages)
    for language, result in results.items():
        path = spec.run.path / "predictions" / f"{language}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert result.n == len(rows)
        rule = SCORES[spec.task.scores[0]]
        golds, predictions = [row["gold"] for row in rows], [row["prediction"] for row in rows]
        assert result.value == pytest.approx(rule.compute(golds, predictions)[rule.primary])
        assert result.low <= result.value <= result.high
        statistics = load_statistics(spec.run, language, rule.name)
        assert rule.values(statistics)[rule.primary] == pytest.approx(result.value)
        written = read_predictions(spec.run.path / "submission", spec.task.name, spec.task.kind, language)
        expected = (
            dict(zip([row["id"] for row in rows], predictions, strict=True))
            if task == "xquad"
            else predictions
        )
        assert written == expected


def test_only_missing_or_changed_languages_are_computed(planner, tmp_path, monkeypatch):
    import shutil

    data = shutil.copytree(planner.workspace.data, tmp_path / "data")
    here = replace(planner, workspace=replace(planner.workspace, data=data), languages=("de",))
    spec = evaluation_of(here, "full", "tatoeba")
    assert not spec.is_done
    assert list(evaluate(spec)) == ["de"]
    every = evaluation_of(replace(here, languages=()), "full", "tatoeba")
    assert every.run == spec.run
    computed = []
    original = save_language
    monkeypatch.setattr(
        evaluator,
        "save_language",
        lambda run, result, counts: (computed.append(result.language), original(run, result, counts)),
    )
    assert tuple(evaluate(every)) == every.wanted_languages
    assert computed == ["sw"]
    lines = (data / "tatoeba/v1/tatoeba.deu-eng.deu").read_text().splitlines()
    (data / "tatoeba/v1/tatoeba.deu-eng.deu").write_text("\n".join(["neu", *lines[1:]]) + "\n")
    changed = evaluation_of(replace(here, languages=()), "full", "tatoeba")
    assert not changed.is_done
    evaluate(changed)
    assert computed == ["sw", "de"]


def test_a_language_that_was_cut_off_is_computed_again(planner, monkeypatch):
    spec = evaluation_of(planner, "full", "tatoeba")
    original = save_language

    def cut(run, result, scored):
        if result.language == spec.wanted_languages[1]:
            raise KeyboardInterrupt
        original(run, result, scored)

    monkeypatch.setattr(evaluator, "save_language", cut)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec)
    assert list(load_results(spec.run)) == [spec.wanted_languages[0]]
    monkeypatch.setattr(evaluator, "save_language", original)
    assert set(evaluate(spec)) == set(spec.wanted_languages)


def test_retrieval_equals_plain_nearest_neighbors_at_every_layer(planner):
    from transformers import AutoModel, AutoTokenizer

    from adaptrans.tasks import loading

    task = planner.workspace.task("tatoeba")
    folder = planner.workspace.backbone.path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    examples = loading.read_examples(task, "test", "de", planner.workspace.data)

    def vectors(texts):
        rows = []
        for text in texts:
            batch = tokenizer(text, return_tensors="pt")
            with torch.no_grad():
                states = model(**batch, output_hidden_states=True).hidden_states
            rows.append(torch.stack([state[0].mean(dim=0) for state in states]))
        return torch.nn.functional.normalize(torch.stack(rows, dim=1), dim=-1).numpy()

    own, english = (vectors(texts) for texts in ([e.text for e in examples], [e.english for e in examples]))
    expected = []
    for layer in range(len(own)):
        distances = ((english[layer][:, None] - own[layer][None]) ** 2).sum(-1)
        expected.append(100 * float((distances.argmin(axis=1) == np.arange(len(examples))).mean()))
    config = EvaluationConfig(precision="fp32", layer=3, samples=200)
    spec = evaluation_of(
        replace(planner, evaluation_for=lambda name: config, languages=("de",)), "full", "tatoeba"
    )
    result = evaluate(spec)["de"]
    assert list(result.layers) == pytest.approx(expected)
    assert result.value == pytest.approx(expected[3])
    # XTREME sorts the English side, so line i of its labels belongs to the i-th sentence in that order.
    written = read_predictions(spec.run.path / "submission", "tatoeba", "bitext_retrieval", "de")
    labels = sorted(range(len(examples)), key=lambda place: examples[place].english)
    assert 100 * np.mean(np.array(written) == labels) == pytest.approx(expected[3])
    assert "vectors: hidden_states[3], mean pooling" in spec.run.result()["notes"]


def test_an_adapter_moves_the_vectors_above_it(planner):
    from adaptrans.evaluation.inference import open_session

    ids = torch.tensor([[0, 10, 20, 30, 2]])
    base, moved = (
        open_session(evaluation_of(planner, setup, "tatoeba")).assembled.hidden_states(
            ids, torch.ones_like(ids)
        )
        for setup in ("full", "nli > target")
    )
    assert torch.equal(base[0], moved[0])
    assert all(not torch.equal(a, b) for a, b in zip(base[1:], moved[1:], strict=True))


def test_absent_and_blanked_labels_are_told():
    assert counted(["accuracy"], [([None, None], ["a", "b"])]).notes == (NO_GOLD,)
    assert counted(["accuracy"], [([None, None], ["a", "b"])]).statistics == {}
    assert counted(["accuracy"], [(["a"] * 12, ["a"] * 12)]).notes == (CONSTANT_GOLD,)
    assert counted(["accuracy"], [(["a", "b"] * 6, ["a"] * 12)]).notes == ()


def test_chunks_do_not_change_predictions(planner, monkeypatch):
    from adaptrans.evaluation import inference

    spec = evaluation_of(planner, "adapter", "xquad")
    evaluate(spec)
    whole = {path.name: path.read_bytes() for path in (spec.run.path / "predictions").iterdir()}
    for path in (spec.run.path / "scores").iterdir():
        path.unlink()
    monkeypatch.setattr(inference, "CHUNK", 3)
    evaluate(spec)
    assert {path.name: path.read_bytes() for path in (spec.run.path / "predictions").iterdir()} == whole


def test_an_evaluation_that_was_cut_off_can_be_reported(planner, monkeypatch):
    spec = evaluation_of(planner, "full", "tatoeba")

    def cut(self, result):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(spec.run), "finish", cut)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec)
    monkeypatch.undo()
    assert not spec.is_done
    few = replace(spec, languages=("de",))
    assert list(evaluate(few)) == ["de"]
    assert few.run.result()["score"] == "accuracy"
    assert few.is_done


def test_languages_of_one_evaluation_have_one_precision(planner):
    from adaptrans.errors import ArtifactError
    from adaptrans.utils.io import write_json

    spec = evaluation_of(planner, "full", "tatoeba")
    evaluate(spec)
    path = spec.run.path / "scores/de.json"
    write_json(path, {**json.loads(path.read_text()), "precision": "bf16"})
    (spec.run.path / "scores/sw.json").unlink()
    with pytest.raises(
        ArtifactError, match="was begun in bf16, here it would go on in fp32; say --precision bf16"
    ):
        evaluate(spec)


def best_layer(planner, half="first"):
    config = EvaluationConfig(
        precision="fp32", layer="best", select={"language": "de", "half": half}, samples=200
    )
    return replace(planner, evaluation_for=lambda name: config)


@pytest.mark.parametrize("half", ["first", "second"])
def test_the_best_layer_is_chosen_on_one_half_and_scored_on_the_other(planner, half):
    spec = evaluation_of(best_layer(planner, half), "full", "tatoeba")
    results = evaluate(spec)
    every = {}
    for layer in range(spec.workspace.backbone.depth + 1):
        config = EvaluationConfig(precision="fp32", layer=layer, samples=200)
        one = evaluation_of(replace(planner, evaluation_for=lambda name, c=config: c), "full", "tatoeba")
        evaluate(one)
        every[layer] = load_statistics(one.run, "de", "accuracy")[:, 0]
    number = len(every[0])
    chosen, scored = spec.config.select.chosen(number), spec.config.select.scored(number)
    assert sorted([*chosen, *scored]) == list(range(number))
    best = max(every, key=lambda layer: every[layer][chosen].sum())
    assert load_statistics(spec.run, "de", "accuracy")[:, 0].tolist() == every[best][scored].tolist()
    assert (results["de"].n, results["de"].whole) == (len(scored), False)
    assert results["sw"].whole
    assert any(f"hidden_states[{best}], the best of 4" in note for note in spec.run.result()["notes"])


def test_a_layer_is_chosen_once_and_only_by_a_language_of_the_task(planner, monkeypatch):
    here = replace(best_layer(planner), languages=("de",))
    evaluate(evaluation_of(here, "full", "tatoeba"))
    monkeypatch.setattr(results, "accuracies", lambda *given: pytest.fail("chosen again"))
    assert "sw" in evaluate(evaluation_of(replace(here, languages=()), "full", "tatoeba"))
    strange = EvaluationConfig(layer="best", select={"language": "xx"})
    with pytest.raises(UnknownNameError, match='language of tatoeba "xx"'):
        _ = evaluation_of(replace(here, evaluation_for=lambda name: strange), "full", "tatoeba").run


def test_every_result_knows_its_chance_level(planner):
    for task in ("xnli", "udpos", "xquad", "tatoeba"):
        for result in evaluate(evaluation_of(planner, "full", task)).values():
            assert 0 <= result.chance < 100
            assert result.above_chance is (result.low > result.chance)
            assert load_results(evaluation_of(planner, "full", task).run)[result.language] == result


def test_an_interval_stored_by_an_older_rule_is_brought_up_when_it_is_read(planner):
    spec = evaluation_of(planner, "full", "tatoeba")
    (code, found), *_ = evaluate(spec).items()
    path = spec.run.path / "scores" / f"{code}.json"
    stored = read_json(path)
    assert stored["intervals"] == results.INTERVALS
    old = {name: value for name, value in stored.items() if name != "intervals"}
    write_json(path, {**old, "low": found.value, "high": found.value})
    assert results.load_language(spec.run, code) == found
    # The few sentences of the test are too few for the bootstrap.
    assert found.low < found.value or found.value == 0
    assert found.high > found.value or found.value == 100


def test_retrieval_says_its_direction_and_another_layer_that_is_better(planner, capsys):
    from adaptrans_cli.evaluate import report

    spec = evaluation_of(planner, "full", "tatoeba")
    found = list(evaluate(spec).values())
    facts = spec.run.result()
    assert facts["vectors"] == {
        "layer": spec.layer,
        "chosen": False,
        "pooling": "mean",
        "direction": "english_to_language",
        "prefix": "",
    }
    said = "direction: each English sentence looks for its translation in the language; no text prefix"
    assert said in facts["notes"]
    for result in found:
        assert len(result.half) == len(result.layers)
        path = spec.run.path / "predictions" / f"{result.language}.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        first = [row["gold"] == row["prediction"] for row in rows[: len(rows) // 2]]
        assert result.half[spec.layer] == pytest.approx(100 * np.mean(first))
    # As if the last layer were far better.
    for result in found:
        path = spec.run.path / "scores" / f"{result.language}.json"
        better = [0.0] * (len(result.half) - 1) + [90.0]
        write_json(path, {**read_json(path), "half": better})
    report(spec, 0, as_json=False)
    last = len(found[0].half) - 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"layer {last} is better than layer {spec.layer} on the first half" in shown
    assert any(f"--layer {last} takes it" in note for note in report(spec, 0, as_json=True)["notes"])
