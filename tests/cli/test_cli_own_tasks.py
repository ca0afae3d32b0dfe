"""A task of one's own from nothing to scores, and the pages that tell how."""

import json
import re
from pathlib import Path

import pytest
from support.inprocess import InProcess

DOCS = Path(__file__).parents[2] / "docs"
OPTIONS = ["--epochs", "1", "--batch-size", "2", "--max-length", "64", "--precision", "fp32"]


@pytest.fixture
def here(cli, monkeypatch):
    monkeypatch.chdir(cli.folder)
    for name in ("ADAPTRANS_DATA", "ADAPTRANS_BACKBONE", "ADAPTRANS_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return InProcess(cli.folder, cli.where)


def own(cli, kind):
    """Write a template and its rows; what further commands need to find them."""
    told = cli.run("tasks", "new", kind, "--out", "own/mine.yaml", "--example-data", "rows")
    assert told == ""
    return ["--tasks", "own", "--data", "rows"]


@pytest.mark.parametrize("kind", ["span_qa_null", "classification"])
def test_from_a_template_to_scores(here, kind):
    where = own(here, kind)
    checked = here.json("tasks", "check", "mine", *where)
    assert {(item["split"], item["language"]) for item in checked if item["examples"]} == {
        ("train", "en"),
        ("dev", "en"),
        ("test", "en"),
        ("test", "sw"),
    }
    model = [*here.where[:2], *where, *here.where[4:]]
    here.run("target", "mine", "--setup", "adapter", *OPTIONS, *model)
    found = here.json("evaluate", "mine", "--setup", "adapter", "--precision", "fp32", *model)
    assert [result["language"] for result in found["languages"]] == ["en", "sw"]
    if kind == "classification":
        return
    swahili = found["languages"][1]
    assert set(swahili["values"]) >= {"squad2.f1", "squad2.no_answer_accuracy", "squad2_best.f1"}
    assert swahili["values"]["squad2_best.f1"] >= swahili["values"]["squad2.f1"]
    assert any(
        re.match(r"no answer above -?\d+\.\d+, tuned on dev \[en\]", note) for note in swahili["notes"]
    )
    folder = Path(found["folder"])
    lines = [json.loads(line) for line in (folder / "predictions/sw.jsonl").read_text().splitlines()]
    assert [line["gold"] for line in lines] == [["1906"], [""]]
    submitted = json.loads((folder / "submission/mine/test-sw.json").read_text())
    assert submitted == {
        line["id"]: "" if line["prediction"]["no_answer"] > 0 else line["prediction"]["text"]
        for line in lines
    }


@pytest.mark.parametrize("kind", ["tagging", "span_qa", "multiple_choice", "passage_ranking"])
def test_a_template_of_every_kind_can_be_trained(here, kind):
    where = own(here, kind)
    model = [*here.where[:2], *where, *here.where[4:]]
    here.run("target", "mine", "--setup", "adapter", "--max-steps", "1", *OPTIONS, *model)
    found = here.json("evaluate", "mine", "--setup", "adapter", "--precision", "fp32", *model)
    assert [result["language"] for result in found["languages"]] == ["en", "sw"]


@pytest.mark.parametrize("kind", ["bitext_retrieval", "bitext_mining"])
def test_a_template_without_training_can_be_evaluated(here, kind):
    where = own(here, kind)
    model = [*here.where[:2], *where, *here.where[4:]]
    found = here.json("evaluate", "mine", "--setup", "full", "--precision", "fp32", *model)
    assert [result["language"] for result in found["languages"]] == ["sw"]


def test_the_real_command_line(cli):
    where = own(cli, "tagging")
    told = cli.run("tasks", "preview", "mine", "--lang", "sw", *cli.where[:2], *where)
    assert "Nairobi" in told
    assert 'did you mean "tagging"' in cli.refused("tasks", "new", "taging")


def test_new_lists_kinds_prints_and_refuses(here):
    assert re.search(r"^tagging +A sentence", here.run("tasks", "new"), re.MULTILINE)
    assert "type: tagging\n" in here.run("tasks", "new", "tagging")
    assert 'did you mean "tagging"' in here.refused("tasks", "new", "taging")
    (here.folder / "mine.yaml").write_text("mine", encoding="utf-8")
    assert "mine.yaml is already there" in here.refused("tasks", "new", "tagging", "--out", "mine.yaml")


def test_preview(here):
    where = own(here, "tagging")
    told = here.run("tasks", "preview", "mine", "--lang", "sw", *here.where[:2], *where)
    assert told.startswith("mine@1 test [sw]: 1 examples")
    assert "Nairobi" in told
    assert "/B-LOC" in told
    assert "0 (0.0 %) are longer than max_length 128" in told
    shown = here.json(
        "tasks", "preview", "mine", "--number", "1", "--max-length", "8", *here.where[:2], *where
    )
    assert (shown["split"], shown["language"], len(shown["shown"])) == ("train", "en", 1)
    assert len(shown["shown"][0]["inputs"]) > 1
    assert shown["lengths"]["longer"] == 2
    assert "no data for xnli" in here.refused("tasks", "preview", "xnli", *here.where[:2], "--data", "rows")


def test_the_task_of_the_guide_is_short_and_runs(here):
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "how-to/own-task.md").read_text("utf-8"), re.DOTALL)
    assert text.count("\n") < 25
    folder = here.folder / "tasks"
    # The small data have their English rows under another name.
    (folder / "my_nli.yaml").write_text(text.replace("mnli.train", "nli.train"), encoding="utf-8")
    rows = "premise\thypothesis\tlabel\n" + "allinmi chay\tmana\tneutral\nama\tari\tentailment\n" * 4
    for code in ("qu", "ay", "gn"):
        path = here.data / f"my_nli/{code}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(rows, encoding="utf-8")
    tasks = ["--tasks", str(folder)]
    try:
        checked = here.json("tasks", "check", "my_nli", "--data", str(here.data), *tasks)
        assert sum(item["examples"] or 0 for item in checked if item["split"] == "test") == 24
        here.run("target", "my_nli", "--setup", "adapter", *OPTIONS, "--max-steps", "2", *here.where, *tasks)
        found = here.json(
            "evaluate", "my_nli", "--setup", "adapter", "--precision", "fp32", *here.where, *tasks
        )
        assert [result["n"] for result in found["languages"]] == [8, 8, 8]
    finally:
        for path in (here.data / "my_nli").glob("*.tsv"):
            path.unlink()
        (here.data / "my_nli").rmdir()


def test_the_reference_page_is_that_of_the_catalogue():
    from task_docs import page

    written = (DOCS / "reference/tasks.md").read_text(encoding="utf-8")
    assert written == page(), "python tools/task_docs.py > docs/reference/tasks.md"
