"""Task scores by XTREME's rule, and missing languages by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.stats.aggregate import task_score

XNLI = "ar bg de el en es fr hi ru sw th tr ur vi zh"
VALUES = st.floats(0, 100)


def test_english_counts_in_the_task_score_and_not_in_the_zero_shot_mean():
    values = {"en": {"accuracy": 90.0}, "de": {"accuracy": 80.0}, "sw": {"accuracy": 61.0}}
    score = task_score(values, ["de", "en", "sw"])
    assert score.value == (80 + 90 + 61) / 3
    assert score.zero_shot == 70.5
    assert score.languages == ("de", "en", "sw")
    assert score.complete
    assert str(score) == "77.0"


def test_question_answering_is_the_mean_of_the_two_averages():
    values = {
        "en": {"score": 70.0, "f1": 80.0, "exact_match": 60.0},
        "th": {"score": 35.0, "f1": 40.0, "exact_match": 30.0},
    }
    score = task_score(values, ["en", "th"])
    assert score.averages == {"score": 52.5, "f1": 60, "exact_match": 45}
    assert score.value == 52.5
    assert score.zero_shot == 35


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=11))
def test_question_answering_formula(pairs):
    values = {
        f"l{i}": {"score": (em + f1) / 2, "f1": f1, "exact_match": em} for i, (em, f1) in enumerate(pairs)
    }
    expected = (sum(em for em, _ in pairs) / len(pairs) + sum(f1 for _, f1 in pairs) / len(pairs)) / 2
    assert task_score(values, list(values)).value == pytest.approx(expected, abs=1e-9)


def test_tagging_is_the_mean_f1_and_not_the_f1_of_means():
    values = {
        "en": {"f1": 50.0, "precision": 100.0, "recall": 33.3},
        "de": {"f1": 90.0, "precision": 90.0, "recall": 90.0},
    }
    score = task_score(values, ["en", "de"])
    assert score.value == 70
    assert score.averages["precision"] == 95


def test_missing_languages_are_named():
    values = {name: {"accuracy": 50.0} for name in XNLI.split() if name not in ("sw", "ur")}
    score = task_score(values, XNLI.split())
    assert score.missing == ("sw", "ur")
    assert not score.complete
    assert str(score) == "50.0 (mean of 13 of 15; missing sw, ur)"


def test_languages_outside_the_task_are_named_and_not_averaged():
    score = task_score({"de": {"accuracy": 50.0}, "xx": {"accuracy": 0.0}}, ["de"])
    assert score.value == 50
    assert score.extra == ("xx",)


def test_no_zero_shot_mean_of_english_alone():
    assert task_score({"en": {"accuracy": 50.0}}, ["en"]).zero_shot is None


def test_other_sources():
    values = {"en": {"accuracy": 90.0}, "ja": {"accuracy": 80.0}, "ko": {"accuracy": 70.0}}
    assert task_score(values, list(values), source=("en", "ja")).zero_shot == 70


def test_another_primary_part():
    values = {"de": {"f1": 1.0, "precision": 2.0}}
    assert task_score(values, ["de"], primary="precision").value == 2
    with pytest.raises(AdaptransError, match='no part "recall" in the values; choose'):
        task_score(values, ["de"], primary="recall")


def test_refusals():
    with pytest.raises(AdaptransError, match="no value in any of the 2 languages"):
        task_score({}, ["de", "en"])
    with pytest.raises(AdaptransError, match="listed twice: de"):
        task_score({"de": {"f1": 1.0}}, ["de", "de"])
    with pytest.raises(AdaptransError, match="sw has the values f1, de has accuracy"):
        task_score({"de": {"accuracy": 1.0}, "sw": {"f1": 1.0}}, ["de", "sw"])


QA = {
    "en": {"squad.score": 70.0, "squad.f1": 80.0, "squad.exact_match": 60.0},
    "th": {"squad.score": 35.0, "squad.f1": 40.0, "squad.exact_match": 30.0},
}
CHARACTERS = {"squad_characters.score": 1.0, "squad_characters.f1": 2.0, "squad_characters.exact_match": 0.0}


@pytest.mark.parametrize("primary", [None, "squad", "squad.score"])
def test_values_as_an_evaluation_names_them(primary):
    values = {language: {**parts, **CHARACTERS} for language, parts in QA.items()}
    score = task_score(values, ["en", "th"], primary=primary)
    assert (score.value, score.zero_shot) == (52.5, 35)
    assert score.averages["squad.f1"] == 60
    assert task_score(values, ["en", "th"], primary="squad_characters").value == 1
    assert task_score(values, ["en", "th"], primary="squad.f1").value == 60


def test_question_answering_without_the_combined_part():
    values = {
        language: {part: value for part, value in parts.items() if part != "squad.score"}
        for language, parts in QA.items()
    }
    assert task_score(values, ["en", "th"]).value == 52.5


def test_a_score_counts_by_its_first_part():
    parts = {"chunk_f1.f1": 50.0, "chunk_f1.precision": 60.0, "chunk_f1.recall": 40.0, "token_accuracy": 90.0}
    assert task_score({"de": parts}, ["de"]).value == 50
    assert task_score({"de": parts}, ["de"], primary="chunk_f1").value == 50
    assert task_score({"de": parts}, ["de"], primary="chunk_f1.recall").value == 40
    assert task_score({"de": parts}, ["de"], primary="token_accuracy").value == 90
    with pytest.raises(
        AdaptransError, match=r'no part "f2" in the values; choose from chunk_f1, chunk_f1\.f1'
    ):
        task_score({"de": parts}, ["de"], primary="f2")


def test_a_language_without_gold_is_missing():
    score = task_score({"de": {"accuracy": 50.0}, "sw": {}}, ["de", "sw"])
    assert (score.value, score.missing) == (50, ("sw",))
