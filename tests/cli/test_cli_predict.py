"""What `adaptrans predict` says before it answers."""

import json
import subprocess
import sys

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
