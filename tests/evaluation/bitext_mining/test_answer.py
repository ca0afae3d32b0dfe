"""BUCC under a setup: the threshold comes from dev, never from test unless asked."""

from dataclasses import replace

import numpy as np
import pytest

from adaptrans import benchmarks
from adaptrans.errors import ConfigError, MissingDataError
from adaptrans.evaluation.bitext_mining import answer as answering
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.evaluation.metrics.retrieval import best_margin_threshold
from adaptrans.evaluation.scoring import score_folder
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import EvaluationConfig, Select

WORDS = ("the", "cat", "sits", "on", "mat", "library", "was", "opened", "in", "London", "Anna", "seven")


@pytest.fixture
def mining(planner, tmp_path):
    """A planner over BUCC-like data: pairs are equal sentences, so that any encoder finds them."""
    rng = np.random.default_rng(2)

    def sentence():
        return " ".join(rng.choice(WORDS, size=rng.integers(3, 9)))

    for split, pairs in (("dev", 6), ("test", 8)):
        shared = [sentence() for _ in range(pairs)]
        # A sentence that is there twice on one side is no pair, whatever its score.
        own, other = [*shared, *(sentence() for _ in range(9))], [*shared, *(sentence() for _ in range(12))]
        other.append(shared[0])
        folder = tmp_path / "data/bucc2018"
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, texts in (("de", own), ("en", other)):
            lines = [f"{suffix}-{i}\t{text}\n" for i, text in enumerate(texts)]
            (folder / f"de-en.{split}.{suffix}").write_text("".join(lines))
        gold = "".join(f"de-{i}\ten-{i}\n" for i in range(1, pairs))
        (folder / f"de-en.{split}.gold").write_text(gold)
    return replace(planner, workspace=replace(planner.workspace, data=tmp_path / "data"))


def spec_of(planner, setup="full", **options):
    config = EvaluationConfig(precision="fp32", samples=200, **options)
    own = replace(planner, evaluation_for=lambda name: config)
    spec, before = own.evaluate(parse(setup), own.workspace.task("bucc2018"))
    assert not before
    return spec


def test_equal_sentences_are_found_with_the_threshold_of_dev(mining):
    spec = spec_of(mining)
    result = evaluate(spec)["de"]
    assert result.values["bucc_f1.recall"] > 80
    assert result.values["bucc_f1.f1"] > 80
    assert result.n == 17
    assert any("tuned on dev [de]" in note and "exact search" in note for note in result.notes)
    assert "vectors: hidden_states[2], mean pooling" in spec.run.result()["notes"]


def test_scores_from_the_submission_are_the_same_to_the_last_digit(mining):
    spec = spec_of(mining)
    result = evaluate(spec)["de"]
    xtreme = benchmarks.get("xtreme")
    scored = score_folder(xtreme, spec.run.path / "submission", spec.run.path / "labels").tasks["bucc2018"]
    values = {f"bucc_f1.{part}": value for part, value in scored.languages["de"].values.items()}
    assert values == result.values
    lines = (spec.run.path / "submission/bucc2018/test-de.tsv").read_text().splitlines()
    assert all(
        line.split("\t")[0] != "de-0" and line.split("\t")[1] not in ("en-0", "en-20") for line in lines
    )


def test_the_scored_gold_is_used_only_if_asked(mining, monkeypatch):
    tuned = []
    original = best_margin_threshold
    monkeypatch.setattr(
        answering, "best_margin_threshold", lambda *given: tuned.append(len(given[2])) or original(*given)
    )
    evaluate(spec_of(mining))
    assert tuned == [5], "dev has 5 gold pairs, test 7"
    own = evaluate(spec_of(mining, threshold="own"))["de"]
    assert tuned == [5, 7]
    assert any("the gold of test itself" in note for note in own.notes)
    given = evaluate(spec_of(mining, threshold=9.0))["de"]
    assert given.value == 0
    assert any("margin 9.0000 or more, as given" in note for note in given.notes)
    assert len({spec_of(mining, **options).run.key for options in ({}, {"threshold": "own"})}) == 2


def test_other_dev_data_make_another_run(mining):
    before = spec_of(mining).run.key
    gold = mining.workspace.data / "bucc2018/de-en.dev.gold"
    gold.write_text(gold.read_text().replace("de-2\ten-2\n", ""))
    assert spec_of(mining).run.key != before


def test_without_dev_data_the_remedy_is_told(mining):
    for path in (mining.workspace.data / "bucc2018").glob("*.dev.*"):
        path.unlink()
    with pytest.raises(MissingDataError, match=r"no dev set to tune the threshold on.*--threshold own"):
        evaluate(spec_of(mining))


def test_the_layer_is_not_chosen_on_mining(mining):
    with pytest.raises(ConfigError, match="bucc2018 has no choice of a layer"):
        evaluate(spec_of(mining, layer="best", select=Select(language="de")))
