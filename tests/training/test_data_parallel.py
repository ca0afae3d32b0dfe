"""One run divided among two processes: the command as `torchrun` starts it, killed once on the way."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file
from support.smalldata import NLI, QA, XNLI

from adaptrans import api
from adaptrans.modeling.backbone import identify
from adaptrans.runs.store import Store
from adaptrans.utils import distributed

EXPERIMENT = {
    "name": "divided",
    "setups": ["full", "fuse(nli, qa) > target", "mix(nli + qa) > target"],
    "targets": ["xnli"],
    "tasks": {"nli": NLI, "qa": QA, "xnli": XNLI},
    "training": {
        "defaults": {
            # An odd number of inputs, in parts: the processes get unequal shares.
            "batch_size": 7,
            "tokens_per_batch": 64,
            "max_steps": 3,
            "evaluate_every": 2,
            "limit_train": 30,
            "limit_dev": 4,
            "max_length": 64,
            "learning_rate": 1e-3,
            "warmup": 0,
            # Adam makes large steps of the smallest rounding errors where gradients are near zero.
            "adam_epsilon": 1e-3,
            "precision": "fp32",
            "checkpoint_seconds": 0,
            "log_every": 1,
        }
    },
    "evaluation": {"precision": "fp32", "samples": 100, "limit": 6},
}


@pytest.fixture
def without_dropout(tiny_backbone, tmp_path):
    """The tiny backbone without dropout, which every process draws anew."""
    folder = tmp_path / "backbone"
    shutil.copytree(tiny_backbone, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def started(folder, *arguments):
    """The command line as `torchrun` starts it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTRANS_")}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
            *("-m", "adaptrans_cli.main", *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**environment, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )


def in_two_processes(folder, *arguments):
    """Run the command line in two processes; returns what it prints."""
    process = started(folder, *arguments)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    return out


def weights(store):
    """All tensors of all artifacts of a store, by run and name."""
    return {
        (path.relative_to(store.root).as_posix(), name): value
        for path in sorted(store.root.glob("runs/*/*/artifact/**/*.safetensors"))
        for name, value in load_file(path).items()
    }


def test_two_processes_train_what_one_does(without_dropout, small_workspace, tmp_path, kill):
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    divided, alone = Store(tmp_path / "divided"), Store(tmp_path / "alone")
    workspace = replace(small_workspace, backbone=identify(without_dropout), tasks=())
    # The first run is begun by one process, which is killed, and goes on in two.
    kill(lambda: api.run(experiment, where=replace(workspace, store=divided)), 2)
    assert list(divided.root.glob("runs/*/*/checkpoints/step-2"))
    where = ["--backbone", str(without_dropout), "--data", str(small_workspace.data), "--store", "divided"]
    out = in_two_processes(tmp_path, "run", "experiment.yaml", *where)
    assert out.count("[1/") == 1, "the second process talks as well"

    api.run(experiment, where=replace(workspace, store=alone))
    expected, found = weights(alone), weights(divided)
    assert found.keys() == expected.keys()
    assert len({run for run, _ in expected}) >= 8
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=str(name))
    for path in alone.root.glob("runs/evaluate/*/predictions/*.jsonl"):
        both = [file.read_text().splitlines() for file in (divided.root / path.relative_to(alone.root), path)]
        for found, expected in zip(*(map(json.loads, lines) for lines in both), strict=True):
            chances = [row.pop("log_probabilities", []) for row in (found, expected)]
            assert found == expected
            assert chances[0] == pytest.approx(chances[1], abs=1e-3)
    for log in divided.root.glob("runs/*/*/log.jsonl"):
        steps = [json.loads(line)["step"] for line in log.read_text().splitlines() if "loss" in line]
        assert steps == [1, 2, 3]
    assert not list(divided.root.glob("runs/*/*/checkpoints"))


def test_two_processes_that_are_killed_go_on_as_if_they_were_not(tiny_backbone, small_workspace, tmp_path):
    """Each process drops out other neurons, and has to go on with the numbers that it would have drawn."""
    defaults = {**EXPERIMENT["training"]["defaults"], "max_steps": 40, "evaluate_every": 100}
    experiment = {
        **EXPERIMENT,
        "setups": ["adapter"],
        "baseline": "adapter",
        "training": {"defaults": defaults},
    }
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    where = ["--backbone", str(tiny_backbone), "--data", str(small_workspace.data)]
    stores = [Store(tmp_path / name) for name in ("killed", "whole")]
    process = started(tmp_path, "run", "experiment.yaml", *where, "--store", "killed")
    while not list(stores[0].root.glob("runs/*/*/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    process.communicate()
    reached = [path.name.removeprefix("step-") for path in stores[0].root.glob("runs/*/*/checkpoints/step-*")]
    assert 0 < max(map(int, reached)) < 40, "it was not killed on the way"
    for store in stores:
        in_two_processes(tmp_path, "run", "experiment.yaml", *where, "--store", store.root.name)
    found, expected = map(weights, stores)
    assert found.keys() == expected.keys() != set()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_process_that_is_alone_waits_for_nobody(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert distributed.count() == 1
    with distributed.main_process_first():
        assert distributed.broadcast("own") == "own"
    assert distributed.all_gather(3) == [3]
    assert distributed.all_reduce(torch.ones(2)).tolist() == [1, 1]
