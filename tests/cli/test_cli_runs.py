"""The commands end to end, as processes, on a tiny model."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

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
    several = ["--setup", "adapter", "--setup", "nli > target", "--precision", "fp32", "--limit-eval", "6"]
    both = cli.json("evaluate", "xnli", *several, *cli.where, "--tasks", str(cli.folder / "tasks"))
    assert [(one["computed"], len(one["languages"])) for one in both] == [(2, 3)] * 2
    assert both[0]["run"].startswith("xnli.adapter")
    assert both[1]["run"].startswith("xnli.nli_target")


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


class Killable:
    """Commands in processes of `killable.py`, which has imported already what they need."""

    def __init__(self, environment):
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "support" / "killable.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, asked):
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def run(self, folder, *arguments, code=0):
        """Carry out a command to its end; returns its standard output and its standard error."""
        self.ask({"folder": str(folder), "arguments": arguments})
        ended = self.ask(None)
        out, error = ((folder / name).read_text() for name in ("out", "err"))
        assert ended == code, error
        return out, error

    def killed(self, delay, folder, arguments, store, since):
        """Kill a command and all its processes so many seconds after it begins.

        Or after a run of its store was written to, where that is to come `since` a moment. Returns whether
        it was killed: it may have come to its end before.
        """
        leader = self.ask({"folder": str(folder), "arguments": arguments})
        while since is not None and _alive(leader) and _last_written(store) <= since:
            time.sleep(0.005)
        time.sleep(delay)
        os.killpg(leader, signal.SIGKILL)
        return self.ask(None) == -signal.SIGKILL


@pytest.fixture(scope="module")
def killable(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    found = Killable({**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"})
    yield found
    found.server.stdin.close()
    found.server.wait()


def _alive(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _last_written(store):
    """The last moment at which a run of a store got a file."""
    last = 0.0
    for path in [*(store / "runs").glob("*/*"), *(store / "runs").glob("*/*/*")]:
        with contextlib.suppress(FileNotFoundError):
            last = max(last, path.stat().st_mtime)
    return last


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes in /proc")
def test_an_experiment_killed_ten_times_at_random_ends_as_an_undisturbed_one(cli, killable):
    """Whole groups of processes, one run at a time and two; at its start, in training, in scoring."""
    rng = random.Random(int(os.environ.get("ADAPTRANS_KILL_SEED", "3")))
    options = ["training.defaults.checkpoint_seconds=0", "training.defaults.evaluate_every=5"]
    options += ["training.defaults.epochs=6", "targets=[xnli]", "setups=[full, nli > target]", "--json"]
    command = ["run", "experiment.yaml", *options, *cli.where[:4], "--store"]
    stores = [cli.folder / "store"]
    began = time.monotonic()
    tables = json.loads(killable.run(cli.folder, *command, str(cli.folder / "undisturbed"))[0])["tables"]
    duration = time.monotonic() - began
    kills = 0
    while kills < 10:
        store = stores[-1]
        # Every third may fall into the start, the others come when a run has written something.
        since = _last_written(store) if kills % 3 else None
        jobs = "2" if kills in (4, 8) else "1"
        # Ten of them are one duration, on average.
        delay = rng.uniform(0, duration / 5)
        if killable.killed(delay, cli.folder, [*command, str(store), "--jobs", jobs], store, since):
            kills += 1
        else:
            # It came to its end; what is to be killed next begins anew.
            stores.append(cli.folder / f"store{len(stores)}")
    out, _ = killable.run(cli.folder, *command, str(stores[-1]))
    assert json.loads(out)["tables"] == tables
    expected = weights_and_scores(cli.folder / "undisturbed")
    assert len(expected) > 10
    for store in stores:
        assert weights_and_scores(store) == expected


def test_what_fails_is_told_with_its_log_and_the_rest_goes_on(cli, killable):
    data = shutil.copytree(cli.data, cli.folder / "data")
    train = data / "udpos/train-en.tsv"
    good = train.read_text()
    train.write_text(good.replace("\tNOUN", "\tNUON", 1))
    command = ["run", "experiment.yaml", "targets=[udpos, xnli]", "setups=[full]"]
    command += [*cli.where[:2], "--data", str(data), *cli.where[4:]]
    out, error = killable.run(cli.folder, *command, "--json", code=2)
    assert "error: 1 run failed, 1 that build on it not begun; mend what" in error.splitlines()[-1]
    found = json.loads(out)
    assert [table["target"] for table in found["tables"]] == ["xnli@1"]
    assert (found["computed"], found["unscored"]) == (2, [])
    (failed,) = found["failed"]
    assert failed["what"] == "target: train full on udpos"
    assert "train-en.tsv:" in failed["error"]
    log = cli.folder / failed["log"]
    assert failed["error"] in log.read_text()
    assert "Traceback" in log.read_text()
    (waiting,) = found["waiting"]
    assert waiting["what"].startswith("evaluate: full on udpos")
    assert waiting["because"] == [failed["run"]]
    # People see a table of it; and when the data is mended, what is missing is computed.
    out, _ = killable.run(cli.folder, *command, code=2)
    assert "not begun: evaluate: full on udpos" in out
    assert "train full on udpos" in out
    assert "Mean over languages" in out
    train.write_text(good)
    again = json.loads(killable.run(cli.folder, *command, "--json")[0])
    assert (again["computed"], again["failed"], again["waiting"]) == (2, [], [])
    assert [table["target"] for table in again["tables"]] == ["udpos@1", "xnli@1"]
    # Other data is another run, so the log of the failed one stays with it.
    assert [path.parent.name for path in (cli.folder / "store/runs").glob("*/*/error.log")] == [failed["run"]]


def test_doctor_tells_what_is_there(cli):
    found = {item["subject"]: item for item in cli.json("doctor", *cli.where)}
    assert found["torch"]["level"] == "ok"
    assert found["backbone"]["level"] == "ok"
    assert found["hub"]["level"] == "note"
    missing = cli.start("doctor", "--data", "nowhere", "--json")
    out, _ = missing.communicate()
    assert missing.returncode == 1
    assert any(item["level"] == "missing" for item in json.loads(out))
