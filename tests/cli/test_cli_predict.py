"""What `adaptrans predict` says before it answers."""

import json
import subprocess
import sys

import pytest

LIGHT = """
import sys
from adaptrans_cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert "torch" not in sys.modules, "torch was loaded"
"""


def test_a_dry_run_names_the_run_without_loading_it(cli):
    text = ["--text", "the cat", *cli.where]
    told = cli.refused("predict", "udpos", "--dry-run", *text)
    assert "'full' has not been trained on udpos; run: adaptrans target udpos" in told
    options = ["--max-steps", "1", "--precision", "fp32"]
    run = cli.json("target", "udpos", *options, *cli.where)["run"]
    found = cli.json("predict", "udpos", "--dry-run", *text)
    assert (found["run"], found["inputs"]) == (run, 1)
    rows = cli.folder / "rows.jsonl"
    rows.write_text('{"words": ["a"]}\n\n{"words": ["b", "c"]}\n')
    command = ["predict", "udpos", "--dry-run", "--input", str(rows), *cli.where]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *command],
        capture_output=True,
        text=True,
        env=cli.environment,
        cwd=cli.folder,
    )
    assert (done.returncode, done.stdout) == (0, f"run {run} would answer; inputs: 2\n"), done.stderr
    answer = json.loads(cli.run("predict", "udpos", "--json", *text))
    assert answer["words"] == "the cat"
    assert len(answer["prediction"]) == 2


@pytest.mark.parametrize(
    "content", [b'{"words": ["caf\xe9"]}', b'{"words": ["\\ud800"]}', b'{"words": ["a\0"]}', b""]
)
def test_standard_input_is_refused_as_files_are(cli, content):
    rows = cli.folder / "bad.jsonl"
    rows.write_bytes(content)
    of_file = cli.refused("predict", "udpos", "--input", str(rows), *cli.where)
    command = [sys.executable, "-m", "adaptrans_cli.main", "predict", "udpos", "--input", "-", *cli.where]
    done = subprocess.run(command, input=content, capture_output=True, env=cli.environment, cwd=cli.folder)
    assert done.returncode == 2
    assert done.stderr.decode().strip() == of_file.replace(str(rows), "-")


def test_the_answers_never_take_the_place_of_a_folder(cli):
    folder = cli.folder / "results"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    told = cli.refused("predict", "xnli", "--text", "a", "--out", str(folder), *cli.where)
    assert f"--out {folder} is a folder; name a file" in told
    assert (folder / "precious").read_text() == "precious"


def test_retrieval_has_nothing_to_answer_with(cli):
    told = cli.refused("predict", "tatoeba", "--text", "a", "--dry-run", *cli.where)
    assert "tatoeba compares sentences and has no head" in told


def test_a_limit_above_the_data_is_noted_as_the_data(cli):
    options = ["--max-steps", "1", "--precision", "fp32", "--limit-train", "5000"]
    found = cli.json("target", "udpos", *options, *cli.where)
    done = json.loads((cli.folder / "store" / "runs" / "target" / found["run"] / "done.json").read_text())
    assert f"udpos: trained on {done['examples']:,} examples only" in done["notes"]
    assert 0 < done["examples"] < 5000
