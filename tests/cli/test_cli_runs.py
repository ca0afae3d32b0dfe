"""The commands end to end, as processes, on a tiny model."""

import json
import os
import random
import signal
import time

import numpy as np
import pytest

SETUPS = ["full", "full(nli)", "adapter", "continue(nli)", "nli > target"]


def test_phase_by_phase(cli):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    options = ["--epochs", "1", "--batch-size", "8", "--max-length", "64", "--precision", "fp32"]
    trained = cli.json("intermediate", "nli", *options, *cli.where, *tasks)
    assert trained["computed"] == 1
    assert cli.json("intermediate", "nli", *options, *cli.where, *tasks)["computed"] == 0
    # The adapter is taken although the target command knows nothing of its options.
    planned = cli.json("target", "xnli", "--setup", "nli > target", "--dry-run", *options, *cli.where, *tasks)
    assert [(item["what"], item["done"]) for item in planned] == [
        ("target: train nli > target on xnli", False)
    ]
    target = cli.json("target", "xnli", "--setup", "nli > target", *options, *cli.where, *tasks)
    found = cli.json("evaluate", "xnli", "--setup", "nli > target", "--precision", "fp32", *cli.where, *tasks)
    assert [result["language"] for result in found["languages"]] == ["de", "en", "sw"]
    for result in found["languages"]:
        assert result["n"] == 18
        assert result["low"] <= result["values"]["accuracy"] <= result["high"]
    by_key = cli.json(
        "evaluate", "xnli", "--run", target["run"].rpartition("-")[2], "--precision", "fp32", *cli.where
    )
    assert by_key["run"] == found["run"]
    assert by_key["computed"] == 0
    text = ["--text", "the cat sits", "--pair", "die Katze sitzt"]
    answer = json.loads(cli.run("predict", "xnli", *text, "--setup", "nli > target", *cli.where, *tasks))
    assert answer["prediction"] in ("entailment", "neutral", "contradiction")
    assert "xnli@1" in cli.run("compare", *cli.where[4:])


def test_an_experiment_and_its_table(cli):
    arguments = ["run", "experiment.yaml", *cli.where]
    first = cli.json(*arguments)
    assert first["computed"] == 2 + 2 * 5 + 2 * 5 + 3
    second = cli.json(*arguments)
    assert second["computed"] == 0
    assert second["tables"] == first["tables"]
    by_target = {table["target"]: table for table in first["tables"]}
    assert list(by_target) == ["xnli@1", "udpos@1", "tatoeba@1"]
    table = by_target["xnli@1"]
    assert [row["setup"] for row in table["rows"]] == SETUPS
    for row in table["rows"]:
        values = [result["values"]["accuracy"] for result in row["languages"].values()]
        assert row["mean"]["value"] == pytest.approx(np.mean(values))
        assert (row["difference"] is None) == (row["setup"] == "full")
    base, other = table["rows"][0], table["rows"][-1]
    expected = other["mean"]["value"] - base["mean"]["value"]
    assert other["difference"]["value"] == pytest.approx(expected)
    text = cli.run(*arguments)
    assert "Mean over languages" in text
    assert all(setup in text for setup in SETUPS)


def test_scores_can_be_computed_again_from_the_submission_files(cli):
    cli.run("run", "experiment.yaml", *cli.where)
    (folder,) = (cli.folder / "store/runs/evaluate").glob("udpos.full.*")
    stored = json.loads((folder / "scores/de.json").read_text())["values"]
    tags = (folder / "submission/udpos/test-de.tsv").read_text().split()
    gold = [line.split("\t")[1] for line in (cli.data / "udpos/test-de.tsv").read_text().splitlines() if line]
    right = sum(a == b for a, b in zip(gold, tags, strict=True))
    assert stored["token_accuracy"] == pytest.approx(100 * right / len(gold))
    lines = [json.loads(line) for line in (folder / "predictions/de.jsonl").read_text().splitlines()]
    assert [tag for line in lines for tag in line["prediction"]] == tags
    assert [tag for line in lines for tag in line["gold"]] == gold


def weights_and_scores(store):
    found = {}
    for path in sorted((store / "runs").rglob("*")):
        wanted = {"scores", "predictions", "submission"}
        if path.is_file() and (path.suffix == ".safetensors" or wanted & set(path.parts)):
            found[str(path.relative_to(store))] = path.read_bytes()
    return found


def run_killed(cli, command, phase, kills):
    """Run a command that is killed at random so many times after its first steps, then to its end."""
    rng = random.Random(int(os.environ.get("ADAPTRANS_KILL_SEED", "3")))
    steps = f"store/runs/{phase}/*/checkpoints/step-*"
    for number in range(1, kills + 1):
        process = cli.start(*command)
        started = set(cli.folder.glob(steps))
        while process.poll() is None and set(cli.folder.glob(steps)) == started:
            time.sleep(0.005)
        assert process.poll() is None, f"finished before kill {number}: {process.communicate()}"
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    cli.run(*command)


def test_a_killed_mix_with_text_is_bit_identical(cli):
    options = {"checkpoint_seconds": 0, "evaluate_every": 5, "mixing_temperature": 2}
    shares = "mixing_shares={mlm: 0.4}"
    settings = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    command = ["intermediate", "nli + mlm[en,sw]", "--method", "full", *settings, "--set", shares]
    command += ["--max-steps", "60", "--batch-size", "4", "--precision", "fp32", "--max-length", "32"]
    command += ["--epochs", "50", "--tasks", str(cli.folder / "tasks")]
    cli.run(*command, *cli.where[:4], "--store", str(cli.folder / "undisturbed"))
    run_killed(cli, [*command, *cli.where], "intermediate", kills=1)
    disturbed, undisturbed = (weights_and_scores(cli.folder / name) for name in ("store", "undisturbed"))
    assert len(undisturbed) > 2
    assert disturbed == undisturbed


def test_killed_three_times_at_random_the_result_is_bit_identical(cli):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    options = [
        "--set",
        "checkpoint_seconds=0",
        "--set",
        "evaluate_every=5",
        "--epochs",
        "25",
        "--batch-size",
        "8",
    ]
    options += ["--precision", "fp32", "--max-length", "64"]
    command = ["target", "xnli", "--setup", "adapter", *options]
    elsewhere = [*cli.where[:4], "--store", str(cli.folder / "undisturbed")]
    cli.run(*command, *elsewhere, *tasks)
    run_killed(cli, [*command, *cli.where, *tasks], "target", kills=3)
    for where in (cli.where, elsewhere):
        cli.run("evaluate", "xnli", "--setup", "adapter", "--precision", "fp32", *where, *tasks)
    disturbed, undisturbed = (weights_and_scores(cli.folder / name) for name in ("store", "undisturbed"))
    assert len(undisturbed) > 5
    assert disturbed == undisturbed


def test_doctor_tells_what_is_there(cli):
    found = {item["subject"]: item for item in cli.json("doctor", *cli.where)}
    assert found["torch"]["level"] == "ok"
    assert found["backbone"]["level"] == "ok"
    assert found["hub"]["level"] == "note"
    missing = cli.start("doctor", "--data", "nowhere", "--json")
    out, _ = missing.communicate()
    assert missing.returncode == 1
    assert any(item["level"] == "missing" for item in json.loads(out))
