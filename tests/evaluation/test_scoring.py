"""Scores of a folder: against a slow scorer written from the rules, and what is said of what is missing."""

import gzip
import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from support.layouts import write_labels, write_one

from adaptrans import benchmarks
from adaptrans.benchmarks import Benchmark
from adaptrans.errors import DataError, MissingDataError
from adaptrans.evaluation.scoring import score_folder
from adaptrans.evaluation.xtreme_format import prediction_path
from adaptrans.stats.aggregate import task_score

LABELS = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "SYM"]
WORDS = ("the", "cat", "北京", "大学", "der", "Hund", "a", "1973")


def rows(rng, kind, number):
    """Random golds and predictions as they stand in files."""
    pick = rng.choice
    if kind == "classification":
        return [pick(LABELS) for _ in range(number)], [pick(LABELS) for _ in range(number)]
    if kind in ("multiple_choice", "bitext_retrieval"):
        return [rng.randrange(3) for _ in range(number)], [rng.randrange(3) for _ in range(number)]
    if kind == "tagging":
        sizes = [rng.randrange(5) for _ in range(number)]
        return tuple([[pick(TAGS) for _ in range(size)] for size in sizes] for _ in range(2))
    if kind == "span_qa":
        answer = lambda: " ".join(pick(WORDS) for _ in range(rng.randrange(4)))  # noqa: E731
        golds = {f"q{i}": [answer() for _ in range(1 + i % 2)] for i in range(number)}
        return golds, {key: answer() for key in golds}
    if kind == "bitext_mining":
        return tuple(
            [(f"de-{i}", f"en-{rng.randrange(3)}") for i in rng.sample(range(number), number // 2)]
            for _ in range(2)
        )
    ids = [f"p{i}" for i in range(6)]
    golds = {f"q{i}": rng.sample(ids, 1) for i in range(number)}
    return golds, {key: rng.sample(ids, 3) for key in golds}


@pytest.fixture(scope="module")
def small() -> Benchmark:
    """A benchmark with a task of every kind of file and two languages each."""
    tasks = {
        "xnli": ("classification", "accuracy", ["de", "en"]),
        "xcopa": ("multiple_choice", "accuracy", ["it", "sw"]),
        "panx": ("tagging", "chunk_f1", ["de", "zh"]),
        "xquad": ("span_qa", "squad", ["de", "zh"]),
        "mlqa": ("span_qa", "mlqa", ["de", "zh"]),
        "tatoeba": ("bitext_retrieval", "accuracy", ["de", "th"]),
        "bucc2018": ("bitext_mining", "bucc_f1", ["de", "zh"]),
        "mewslix": ("passage_ranking", "mrr_at_20", ["de", "ta"]),
    }
    return Benchmark.model_validate(
        {
            "name": "small",
            "version": 1,
            "title": "t",
            "source": "s",
            "tasks": {
                name: {"kind": kind, "score": score, "languages": codes}
                for name, (kind, score, codes) in tasks.items()
            },
            "groups": {"qa": ["xquad", "mlqa"], "pairs": ["tatoeba", "bucc2018"]},
            "citation": "c",
            "homepage": "h",
        }
    )


@pytest.fixture
def folders(small, tmp_path):
    """Random predictions and labels of the small benchmark in XTREME's layout."""
    rng = random.Random(3)
    for name, task in small.tasks.items():
        for language in task.languages:
            golds, found = rows(rng, task.kind, 12)
            write_labels(tmp_path / "labels", name, task.kind, language, golds)
            write_one(tmp_path / "predictions", name, task.kind, language, found)
    return tmp_path / "predictions", tmp_path / "labels"


def lines(path):
    with path.open(encoding="utf-8") as file:
        return [line.strip() for line in file]


def slow_accuracy(predicted, gold):
    a, b = lines(predicted), lines(gold)
    if predicted.suffix == ".jsonl":
        a, b = [json.loads(x)["label"] for x in a], [json.loads(x)["label"] for x in b]
    return Fraction(sum(x == y for x, y in zip(a, b, strict=True)), len(a)) * 100


def slow_pairs(predicted, gold):
    a, b = ({tuple(line.split("\t")) for line in lines(path)} for path in (predicted, gold))
    return Fraction(2 * len(a & b), len(a) + len(b)) * 100


def slow_reciprocal(predicted, gold):
    found = json.loads(predicted.read_text())
    ranks = []
    for key, (entity,) in json.loads(gold.read_text()).items():
        place = found[key].index(entity) + 1 if entity in found[key] else None
        ranks.append(Fraction(1, place) if place else Fraction(0))
    return sum(ranks) / len(ranks) * 100


SLOW = {
    "xnli": slow_accuracy,
    "xcopa": slow_accuracy,
    "tatoeba": slow_accuracy,
    "bucc2018": slow_pairs,
    "mewslix": slow_reciprocal,
}


def test_languages_tasks_groups_and_overall(small, folders):
    found = score_folder(small, *folders)
    for name, slow in SLOW.items():
        task, codes = found.tasks[name], small.tasks[name].languages
        kind = small.tasks[name].kind
        exact = [slow(*(prediction_path(folder, name, kind, code) for folder in folders)) for code in codes]
        values = [next(iter(task.languages[code].values.values())) for code in codes]
        assert values == pytest.approx([float(value) for value in exact], abs=1e-10)
        assert task.mean.value == pytest.approx(float(sum(exact) / 2), abs=1e-10)
    for name in ("xquad", "mlqa"):
        averages = found.tasks[name].mean.averages
        assert found.tasks[name].mean.value == (averages["exact_match"] + averages["f1"]) / 2
    scores = {name: task.mean.value for name, task in found.tasks.items()}
    assert found.groups["qa"].value == (scores["xquad"] + scores["mlqa"]) / 2
    assert found.overall.value == pytest.approx(sum(scores.values()) / len(scores), abs=1e-12)
    assert found.notes == ()


def test_what_is_missing_is_named_and_empties_its_means(small, folders):
    predictions, labels = folders
    (predictions / "xquad/test-zh.json").unlink()
    (labels / "bucc2018/test-de.tsv").unlink()
    for path in (predictions / "panx").iterdir():
        path.unlink()
    found = score_folder(small, predictions, labels)
    assert found.tasks["xquad"].missing == {"zh": "no predictions"}
    assert found.tasks["bucc2018"].missing == {"de": "no labels"}
    assert found.tasks["panx"].mean is None
    assert list(found.tasks["xquad"].languages) == ["de"]
    assert str(found.tasks["xquad"].mean).endswith("(mean of 1 of 2; missing zh)")
    assert found.groups["qa"].value is None
    assert found.groups["qa"].lacking == ("xquad",)
    assert found.overall.value is None
    assert found.overall.lacking == ("panx", "xquad", "bucc2018")


def test_what_belongs_to_nothing_is_named(small, folders):
    predictions, labels = folders
    write_one(predictions, "xnil", "classification", "de", ["neutral"])
    write_one(predictions, "xnli", "classification", "fr", ["neutral"])
    notes = score_folder(small, predictions, labels).notes
    assert any("test-fr.tsv" in note for note in notes)
    assert any('unknown task folder "xnil"; did you mean "xnli"?' in note for note in notes)


def test_unanswered_questions_score_0_and_are_counted(small, folders):
    predictions, labels = folders
    path = predictions / "xquad/test-de.json"
    path.write_text("{}")
    found = score_folder(small, predictions, labels)
    assert found.tasks["xquad"].languages["de"].values["score"] == 0
    assert "xquad de: 12 of 12 questions are unanswered and score 0" in found.notes


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("xnli/test-de.tsv", lambda text: text + "neutral\n", "test-de.tsv: holds 13 predictions for the 12"),
        ("panx/test-de.tsv", lambda text: text + "O\n\n", "holds 13 predictions for the 12 labels"),
        ("tatoeba/test-de.tsv", lambda text: text.replace("\n", "\nx", 1), "test-de.tsv:2: expected a line"),
        ("bucc2018/test-de.tsv", lambda text: "de-1 en-1\n" + text, "test-de.tsv:1: expected two ids"),
        ("xcopa/test-it.jsonl", lambda text: text.replace("label", "labl", 1), "test-it.jsonl:1: "),
        ("mlqa/test-de.json", lambda text: text[:-3], "test-de.json:"),
        ("mewslix/test-de.json", lambda text: text.replace("[", "[[", 1), "test-de.json:"),
    ],
)
def test_files_that_do_not_fit_are_named(small, folders, name, change, message):
    path = folders[0] / name
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        score_folder(small, *folders)


def test_a_sentence_with_other_tags_is_named_by_its_line(small, folders):
    write_labels(folders[1], "panx", "tagging", "de", [["O", "O"], ["O"], ["O", "O"]])
    write_one(folders[0], "panx", "tagging", "de", [["O", "O"], ["O"], ["O"]])
    with pytest.raises(DataError, match=r"test-de.tsv:6: sentence 3 has 1 tags, its label has 2"):
        score_folder(small, *folders)


def test_other_suffixes_are_read_too(small, folders):
    path = folders[0] / "xcopa/test-it.jsonl"
    before = score_folder(small, *folders)
    path.rename(path.with_suffix(".tsv"))
    assert score_folder(small, *folders) == before


def test_packed_files_are_found_and_hidden_ones_passed_over(small, folders):
    predictions = folders[0]
    before = score_folder(small, *folders)
    for folder in folders:
        path = folder / "xnli/test-de.tsv"
        path.with_name("test-de.tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    (predictions / "xnli/.DS_Store").write_bytes(b"\0")
    assert score_folder(small, *folders) == before


def test_a_part_of_a_file_is_scored_and_what_cannot_be_right_is_noted(small, folders):
    write_labels(folders[1], "tatoeba", "bitext_retrieval", "de", [367, 258, 374, 529, 528, 283, 348, 344])
    write_one(folders[0], "tatoeba", "bitext_retrieval", "de", [367, 258, 374, 529, 266, 283, 267, 900])
    write_labels(folders[1], "xnli", "classification", "de", ["neutral", "entailment"])
    write_one(folders[0], "xnli", "classification", "de", ["neutral", "contradictory"])
    found = score_folder(small, *folders)
    assert found.tasks["tatoeba"].languages["de"].values == {"accuracy": 62.5}
    assert found.tasks["xnli"].languages["de"].values == {"accuracy": 50}
    (note,) = found.notes
    assert note.startswith(
        "xnli de: 1 of 2 predictions can never be right: the first, 'contradictory' in line 2, is no label of"
    )


def test_sentences_are_found_across_doubled_blank_lines(small, folders):
    write_labels(folders[1], "panx", "tagging", "de", [["B-PER"], [], ["O", "B-LOC"]])
    write_one(folders[0], "panx", "tagging", "de", [["B-PER"], ["O", "B-LOC"], [], []])
    assert score_folder(small, *folders).tasks["panx"].languages["de"].values["f1"] == 100
    write_one(folders[0], "panx", "tagging", "de", [[], ["B-PER"], ["O", "B-LOC"]])
    assert score_folder(small, *folders).tasks["panx"].languages["de"].values["f1"] == 100


def test_tags_that_the_score_confuses_are_noted(small, folders):
    tags = [["B-person-other", "B-location-other"]]
    write_labels(folders[1], "panx", "tagging", "de", tags)
    write_one(folders[0], "panx", "tagging", "de", tags)
    (note,) = score_folder(small, *folders).notes
    assert note.startswith("panx de: chunk_f1 takes what follows the last hyphen for the type")


def test_nothing_to_score(small, tmp_path):
    with pytest.raises(MissingDataError, match="is not a folder"):
        score_folder(small, tmp_path / "no", tmp_path)
    with pytest.raises(MissingDataError, match="have no file of small in common"):
        score_folder(small, tmp_path, tmp_path)


@pytest.mark.parametrize("name", benchmarks.names())
def test_a_shipped_benchmark_scores_100_against_itself(name, tmp_path):
    rng = random.Random(1)
    found = benchmarks.get(name)
    for task, rule in found.tasks.items():
        for language in rule.languages:
            golds, _ = rows(rng, rule.kind, 4)
            if rule.kind == "span_qa":
                golds = {key: ["Beijing 1973"] for key in golds}
            if rule.kind == "tagging":
                golds = [["B-PER"], *golds]
            answers = {key: values[0] for key, values in golds.items()} if rule.kind == "span_qa" else golds
            write_labels(tmp_path / "labels", task, rule.kind, language, golds)
            write_one(tmp_path / "predictions", task, rule.kind, language, answers)
    scores = score_folder(found, tmp_path / "predictions", tmp_path / "labels")
    assert scores.overall.value == 100
    assert {mean.value for mean in scores.groups.values()} == {100}
    assert len(list(Path(tmp_path / "labels").rglob("test-*"))) == sum(
        len(rule.languages) for rule in found.tasks.values()
    )


@pytest.mark.parametrize("name", ["xnli", "udpos", "xquad", "tatoeba"])
def test_what_evaluate_writes_scores_the_same_to_the_last_digit(name, planner):
    from adaptrans.evaluation.evaluator import evaluate
    from adaptrans.experiments.execution.base import execute
    from adaptrans.experiments.plan import Plan
    from adaptrans.modeling.setup.parser import parse

    task = planner.workspace.task(name)
    spec, before = planner.evaluate(parse("adapter"), task)
    execute(Plan(tuple(before), ()), lambda item, place, total: None)
    results = evaluate(spec)
    folders = (spec.run.path / "submission", spec.run.path / "labels")
    scored = score_folder(benchmarks.get("xtreme"), *folders).tasks[name]
    assert set(scored.languages) == set(results)
    for language, result in results.items():
        own = {
            part.rpartition(".")[2]: value
            for part, value in result.values.items()
            if "characters" not in part
        }
        values = scored.languages[language].values
        assert values == {part: own[part] for part in values}
    mean = task_score(
        {code: result.values for code, result in results.items()}, task.languages, primary=task.scores[0]
    )
    assert scored.mean.value == mean.value


def test_evaluate_notes_tags_that_the_score_confuses(planner):
    from adaptrans.evaluation.evaluator import evaluate, facts
    from adaptrans.experiments.execution.base import execute
    from adaptrans.experiments.plan import Plan
    from adaptrans.modeling.setup.parser import parse

    task = planner.workspace.task("udpos")
    more = task.model_copy(update={"name": "fine", "labels": (*task.labels, "OTHER-X")})
    spec, before = planner.evaluate(parse("adapter"), more)
    execute(Plan(tuple(before), ()), lambda item, place, total: None)
    evaluate(spec)
    (note,) = [note for note in facts(spec)["notes"] if "hyphen" in note]
    assert note.startswith("fine: chunk_f1 takes what follows the last hyphen for the type: OTHER-X and X")
    assert note in spec.run.result()["notes"]
