import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from mini_pretraining.__main__ import pretrain
from typer.testing import CliRunner

from adaptrans.errors import ConfigError, MissingDataError

app = typer.Typer()
app.command()(pretrain)


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"ADAPTRANS_DATA": ""})


def test_dry_run_lists_lines_per_language_and_source(config_file, text_folder, tmp_path):
    result = invoke(config_file, "--data", text_folder, "--dry-run", "--json", "--out", tmp_path / "out")
    rows = json.loads(result.stdout)
    assert {row["lines"] for row in rows if row["part"] == "mono"} == {60}
    assert not (tmp_path / "out").exists()
    shown = invoke(config_file, "--text", text_folder, "--dry-run")
    assert "tales" in shown.stdout


def test_whole_command(config_file, text_folder, tmp_path):
    result = invoke(
        config_file, "--data", text_folder, "--out", tmp_path / "out", "--steps", 3, "--seed", 5, "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["step"] == 3
    assert Path(found["model"], "config.json").is_file()
    again = invoke(config_file, "--data", text_folder, "--out", tmp_path / "out", "--steps", 3, "--seed", 5)
    assert "step 3 of 3" in again.stdout


def test_expected_failures(config_file, text_folder, tmp_path):
    assert isinstance(invoke(config_file).exception, MissingDataError)
    result = invoke(config_file, "--data", text_folder, "--out", tmp_path / "out", "--device", "abacus")
    assert isinstance(result.exception, ConfigError)
    assert '--device "abacus"' in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("module", ["mini_pretraining.__main__", "mini_pretraining.text"])
def test_import_is_light(module):
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[3] / "tools")
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
