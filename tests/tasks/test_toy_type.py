"""A type from one Python file in a `--tasks` folder goes through every command, as our own do."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.inprocess import InProcess

from adaptrans.errors import ConfigError, DataError
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples

TOY = Path(__file__).parents[1] / "support" / "toy_type" / "order.py"
FEW = ["--max-steps", "2", "--batch-size", "2", "--max-length", "32", "--precision", "fp32"]


def _forget(monkeypatch):
    """Types of folders that this process has read before, and will read, are of this test alone."""
    monkeypatch.setattr(TASK_TYPES, "_own", dict(TASK_TYPES._targets))
    monkeypatch.setattr(catalogue, "_LOADED", {})
    monkeypatch.setattr(catalogue, "_READ", {})


@pytest.fixture
def here(tmp_path, tiny_backbone, monkeypatch):
    """A folder with the type, a task of it, its rows, and the command line in this process."""
    for name in ("ADAPTRANS_DATA", "ADAPTRANS_BACKBONE", "ADAPTRANS_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    _forget(monkeypatch)
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(TOY, own)
    where = ["--backbone", str(tiny_backbone), "--data", "rows", "--store", "store", "--tasks", "own"]
    run = InProcess(tmp_path, where)
    # The type is known from the folder alone, also to `tasks new`.
    run.run("tasks", "new", "order", "--tasks", "own", "--out", "own/mine.yaml", "--example-data", "rows")
    shutil.copytree("rows/mine", "rows/other")
    other = Path("own/mine.yaml").read_text().replace("mine", "other")
    Path("own/other.yaml").write_text(other)
    return run


def test_tasks_new_check_preview_and_list(here):
    text = Path("own/mine.yaml").read_text()
    assert "\ntype: order\n" in text
    assert "order              Two sentences" in here.run("tasks", "new", "--tasks", "own")
    own = here.where[2:4] + here.where[6:]
    checked = here.json("tasks", "check", "mine", *own)
    assert {(item["split"], item["language"]) for item in checked if item["examples"] == 3} == {
        ("train", "en"),
        ("dev", "en"),
        ("test", "en"),
        ("test", "sw"),
    }
    told = here.run("tasks", "preview", "mine", *here.where[:4], *here.where[6:])
    assert "-> in order" in told
    assert "-> swapped" in told
    listed = here.json("tasks", "list", "--type", "order", "--tasks", "own")
    assert [item["name"] for item in listed] == ["mine", "other"]
    # The scores are those of the type, which the file does not name.
    assert catalogue.get("mine", [Path("own")]).scores == ("accuracy",)


def test_a_row_that_the_type_refuses_is_told_with_its_line(here):
    path = Path("rows/mine/test-sw.tsv")
    path.write_text(path.read_text() + "A.\tB.\tmaybe\n")
    task = catalogue.get("mine", [Path("own")])
    with pytest.raises(DataError, match=r'test-sw\.tsv:4: swapped is "maybe", not 0 or 1'):
        read_examples(task, "test", "sw", Path("rows"))


def test_target_evaluate_predict_and_score(here):
    here.run("target", "mine", "--setup", "adapter", *FEW, *here.where)
    found = here.json("evaluate", "mine", "--setup", "adapter", "--precision", "fp32", *here.where)
    assert [(item["language"], item["n"]) for item in found["languages"]] == [("en", 3), ("sw", 3)]
    assert found["languages"][0]["chance"] == 50
    rows = Path("texts.jsonl")
    rows.write_text(json.dumps({"left": "Anna came home.", "right": "She slept."}) + "\n")
    told = here.run("predict", "mine", "--setup", "adapter", "--input", str(rows), *here.where)
    assert json.loads(told)["prediction"] in ("as they stand", "swapped")
    folder = Path(found["folder"])
    benchmark = {
        "name": "toys",
        "version": 1,
        "title": "toys",
        "source": "none",
        "tasks": {"mine": {"type": "order", "score": "accuracy", "languages": ["en", "sw"]}},
        "groups": {},
        "citation": "none",
        "homepage": "none",
    }
    Path("toys.yaml").write_text(yaml.safe_dump(benchmark))
    scored = here.json(
        "score", "--benchmark", "toys.yaml", "--predictions", str(folder / "submission"),
        "--labels", str(folder / "labels"), "--tasks", "own",
    )  # fmt: skip
    values = {code: item["values"]["accuracy"] for code, item in scored["tasks"]["mine"]["languages"].items()}
    assert values == {item["language"]: item["values"]["accuracy"] for item in found["languages"]}


def test_an_experiment_with_a_fusion_and_a_report(here):
    experiment = {
        "name": "toys",
        "setups": ["adapter", "fuse(mine, other) > target"],
        "baseline": "adapter",
        "targets": ["mine"],
        "training": {"defaults": {"max_steps": 2, "batch_size": 2, "precision": "fp32", "max_length": 32}},
        "evaluation": {"precision": "fp32", "samples": 100},
    }
    Path("toys.yaml").write_text(yaml.safe_dump(experiment))
    found = here.json("run", "toys.yaml", "--report", "page.html", *here.where)
    assert found["computed"] > 0
    assert "fuse(mine, other) &gt; target" in Path("page.html").read_text()


def test_another_version_of_the_file_gives_other_runs(here):
    from adaptrans.runs.workspace import definition

    task = catalogue.get("mine", [Path("own")])
    before = definition(task)
    path = Path("own/order.py")
    path.write_text(path.read_text().replace('"as they stand"', '"kept"'))
    assert definition(catalogue.get("mine", [Path("own")])) != before
    assert TASK_TYPES["order"].head_labels(task, [], 0) == ("kept", "swapped")


def test_another_process_that_is_handed_a_workspace_knows_the_type(here):
    from adaptrans.modeling.backbone import identify
    from adaptrans.runs.store import Store
    from adaptrans.runs.workspace import Workspace

    where = Workspace(identify(here.where[1]), Path("rows"), Store(Path("store")), folders=(Path("own"),))
    Path("work.pickle").write_bytes(pickle.dumps((where, where.task("mine"))))
    code = (
        "import pickle; where, task = pickle.load(open('work.pickle', 'rb')); "
        "print(task.type.name, len(where.examples(task, 'test', 'sw', None, [])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "order 3"


def test_files_that_use_no_type_are_not_run(tmp_path):
    (tmp_path / "fetch.py").write_text("raise SystemExit('fetches the data')\n")
    catalogue.load_types(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"bad\.py:2: invalid syntax"),
        ("1 / 0\n", r"bad\.py:2: ZeroDivisionError: division by zero"),
        ('class Bad(TaskType):\n    name = "bad"\n', r"bad\.py: Can't instantiate abstract class Bad"),
        (
            "from adaptrans.task_types.classification import Classification\n"
            'class Own(Classification):\n    name = "tagging"\n',
            r'bad\.py: the type "tagging" is one of adaptrans',
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_told_in_a_line(tmp_path, text, message):
    (tmp_path / "bad.py").write_text("from adaptrans.task_types.base import TaskType\n" + text)
    with pytest.raises(ConfigError, match=message):
        catalogue.load_types(tmp_path)
