import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import commands
from support.smalldata import NLI, QA, XNLI, XQUAD

EXPERIMENT = {
    "name": "small",
    "setups": ["full", "full(nli)", "adapter", "continue(nli)", "nli > target"],
    "targets": ["xnli", "udpos", "tatoeba"],
    "tasks": {"nli": NLI, "qa": QA, "xnli": XNLI, "xquad": XQUAD},
    "training": {"defaults": {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64}},
    "evaluation": {"precision": "fp32", "samples": 200},
}


class CommandLine:
    """Runs commands in processes forked off one that has imported all; `start` starts anew."""

    def __init__(self, folder: Path, backbone: Path, data: Path) -> None:
        self.folder = folder
        self.data = data
        self.where = ["--backbone", str(backbone), "--data", str(data), "--store", str(folder / "store")]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ADAPTRANS_")},
            "HF_HUB_OFFLINE": "1",
            "ADAPTRANS_CACHE": str(folder / "cache"),
            "COLUMNS": "200",
        }

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "adaptrans_cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        found, out, error = commands.server().run(list(arguments), self.environment, self.folder)
        assert found == code, f"{arguments}: {found}\n{out}\n{error}"
        return out if code == 0 else error

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json"))

    def refused(self, *arguments: str) -> str:
        """The one line of an expected failure."""
        text = self.run(*arguments, code=2)
        lines = [line for line in text.splitlines() if not line.startswith("[")]
        assert len(lines) == 1, text
        assert lines[0].startswith("error: ")
        return lines[0]


@pytest.fixture
def cli(tmp_path, tiny_backbone, small_data) -> CommandLine:
    """The command line over the small data with a fresh store, and `experiment.yaml` in its folder."""
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name, values in (("nli", NLI), ("qa", QA), ("xnli", XNLI), ("xquad", XQUAD)):
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **values}, sort_keys=False))
    return CommandLine(tmp_path, tiny_backbone, small_data)
