"""What `adaptrans tasks` and `adaptrans doctor` do with the places they are given."""

import subprocess
import sys

import pytest

WITHOUT_RICH = "import sys; sys.modules['rich'] = None; from adaptrans_cli.main import main; main()"


@pytest.mark.parametrize("command", [["list"], ["show", "xnli"], ["check", "xnli"], ["list", "--json"]])
def test_a_data_folder_that_is_none_is_one_line(cli, command):
    told = cli.refused("tasks", *command, "--data", "nowhere")
    assert "nowhere is not a folder; add --data DIR or set ADAPTRANS_DATA" in told


def test_check_needs_a_data_folder(cli):
    assert "no data folder given" in cli.refused("tasks", "check", "xnli")


def test_what_is_at_hand(cli):
    listed = {task["name"]: task for task in cli.json("tasks", "list", "--data", str(cli.data))}
    assert listed["udpos"]["available"] == {"train": 1, "dev": 1, "test": 2}
    assert cli.json("tasks", "show", "xnli")["available"] is None
    assert cli.json("tasks", "show", "sample_nli", "--data", "samples")["available"]["test"]


def test_doctor_on_the_sample_suite(cli):
    found = {item["subject"]: item for item in cli.json("doctor", "--data", "samples", *cli.where[:2])}
    assert found["data: sample_nli"]["level"] == "ok"
    assert found["file hashes"]["found"].startswith(str(cli.folder / "cache"))


def test_doctor_prints_plain_lines_where_rich_is_missing(cli):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RICH, "doctor"],
        capture_output=True,
        text=True,
        env=cli.environment,
        cwd=cli.folder,
    )
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("ok  torch") for line in done.stdout.splitlines())
