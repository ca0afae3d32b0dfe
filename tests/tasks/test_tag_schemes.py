"""Tag sets that a score does not tell apart are named, those that it does are not."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from adaptrans.runs.workspace import definition
from adaptrans.tasks import catalogue
from adaptrans.tasks.tag_schemes import label_notes, last_part, taken_apart
from adaptrans.tasks.templates import templates
from adaptrans_cli.tasks import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("tags", "notes"),
    [
        ("O B-PER I-PER B-LOC I-LOC", {}),
        ("NOUN VERB SYM X _", {}),
        ("O B-person-other I-person-other", {}),
        (
            "O B-person-other I-person-other B-location-other",
            {"chunk_f1": "B-location-other and B-person-other"},
        ),
        ("NOUN-Sing VERB-Sing", {"chunk_f1": "NOUN-Sing and VERB-Sing count as the same"}),
        ("O PER B-PER", {"chunk_f1": None}),
        ("O PER-B PER-I LOC-B LOC-I", {"chunk_f1": "write B-LOC", "entity_f1": "label_map: {LOC-B: B-LOC}"}),
        ("O B_PER I_PER", {"chunk_f1": "B_PER and I_PER count as two types", "entity_f1": "write B-PER"}),
        ("O E-PER S-PER B-PER", {}),
        ("O B-PER L-PER U-PER", {"chunk_f1": "not that of L-PER"}),
        ("I_don't S_bar", {}),
        ("-LRB- -RRB- , .", {"chunk_f1": "-LRB- and -RRB- count as the same"}),
    ],
)
def test_label_notes(tags, notes):
    for score in ("chunk_f1", "entity_f1", "token_accuracy"):
        found = label_notes([score], tags.split())
        expected = notes.get(score, "")
        if expected == "":
            assert not found
        elif expected is not None:
            assert len(found) == 1
            assert found[0].startswith(score)
            assert expected in found[0]


def test_parts():
    assert taken_apart("B-") == ("B", "")
    assert taken_apart("-") == ("", "-")
    assert taken_apart("") == ("", "")
    assert taken_apart("X-PER") == ("", "X-PER")
    assert last_part("I-A-B") == "B"


def test_no_task_of_the_catalogue_has_tags_that_its_scores_confuse():
    tasks = [catalogue.get(name) for name in catalogue.names()]
    tagged = [task for task in tasks if task.kind == "tagging" and task.labels]
    assert len(tagged) >= 5
    assert not [note for task in tagged for note in label_notes(task.scores, task.labels)]


def test_the_template_scores_entities_by_whole_types():
    settings = yaml.safe_load(templates()["tagging"].settings)
    assert settings["scores"][0] == "entity_f1"


@pytest.fixture
def folders(tmp_path):
    """A task with types that have a hyphen, and two splits of data."""
    labels = ["O", "B-person-other", "I-person-other", "B-location-other", "I-location-other"]
    task = {
        "name": "fine",
        "version": 1,
        "title": "t",
        "kind": "tagging",
        "roles": ["target"],
        "languages": ["en", "sw"],
        "labels": labels,
        "scores": ["chunk_f1"],
        "fields": {"words": "words", "tags": "tags", "lines": "lines"},
        "sources": {"files": {"format": "columns"}},
        "splits": {
            "train": {"files": "train-{lang}.txt", "languages": ["en"]},
            "test": {"files": "test-{lang}.txt"},
        },
        "license": "l",
        "citation": "c",
        "homepage": "h",
    }
    (tmp_path / "tasks").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("train-en", "test-en", "test-sw"):
        (tmp_path / f"data/{name}.txt").write_text("Ana\tB-location-other\nruns\tO\n", encoding="utf-8")

    def arguments(**changes):
        text = yaml.safe_dump(
            {key: value for key, value in (task | changes).items() if value is not None}, sort_keys=False
        )
        (tmp_path / "tasks/fine.yaml").write_text(text, encoding="utf-8")
        return ["--tasks", str(tmp_path / "tasks"), "--data", str(tmp_path / "data")]

    return arguments


def checked(*arguments):
    result = RUNNER.invoke(app, ["check", "fine", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_check_notes_types_that_fall_together(folders):
    told = [line for line in checked(*folders()).splitlines() if line.startswith("note:")]
    assert len(told) == 1
    assert told[0].startswith(
        "note: fine@1 train [en], test [en sw]: chunk_f1 takes what follows the last hyphen"
    )
    assert "note:" not in checked(*folders(scores=["entity_f1"]))
    found = json.loads(checked(*folders(), "--json"))
    assert {len(split["notes"]) for split in found} == {1}


def test_check_notes_them_among_labels_found_in_the_data(folders, tmp_path):
    (tmp_path / "data/train-en.txt").write_text(
        "Ana\tB-location-other\nBo\tB-person-other\nruns\tO\n", encoding="utf-8"
    )
    told = checked(*folders(labels=None, labels_from={"split": "train"}))
    assert "B-location-other and B-person-other count as the same" in told


def test_the_key_of_a_run_knows_the_rule_of_ends_where_it_matters():
    task = catalogue.get("panx")
    same = task.model_copy(update={"labels": ("O", "B-PER")})
    ends = task.model_copy(update={"labels": ("O", "E-PER")})
    other = ends.model_copy(update={"scores": ("token_accuracy",)})
    from adaptrans.utils.io import digest

    keep = {"kind", "labels", "label_map", "tag_on", "scores", "parallel", "languages", "max_length"}
    plain = [digest(one.model_dump(mode="json", include=keep)) for one in (same, ends, other)]
    assert [definition(one) == before for one, before in zip((same, ends, other), plain, strict=True)] == [
        True,
        False,
        True,
    ]
