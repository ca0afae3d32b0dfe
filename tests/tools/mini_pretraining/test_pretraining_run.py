import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mini_pretraining import checkpoint, export, journal, optimizer, run
from mini_pretraining.config import Optimizer, changed, parse
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

from adaptrans.errors import ArtifactError, ConfigError, TrainingError


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    folder = checkpoint.latest(out)
    assert folder is not None
    return load_file(str(folder / "state.safetensors"))


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_resumed_run_equals_the_undisturbed_one(tmp_path, text_folder, values):
    plan = parse({**values, "dropout": 0.1, "steps": 24, "optimizer": {"warmup": 2, "average": 0.9}}, "tiny")
    straight = run.prepare(plan, text_folder, tmp_path / "a")
    run.train(straight, quiet=True)
    # Training a tokenizer twice may give scores that differ in the last digits.
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / run.TOKENIZER, tmp_path / "b")
    first = run.prepare(plan, text_folder, tmp_path / "b")
    ticks = iter(range(10_000))
    run.train(first, hours=11 / 3600, quiet=True, clock=lambda: next(ticks) / 4)
    assert 0 < first.position.step < 24
    run.train(run.prepare(plan, text_folder, tmp_path / "b"), quiet=True)
    assert same(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))


# The child is killed in the middle of a step; fork saves importing everything three times.
SCRIPT = """
import os, shutil, signal, sys
from pathlib import Path
from mini_pretraining import checkpoint, run
from mini_pretraining.config import load_config
config, text, folder = map(Path, sys.argv[1:])
plan = load_config(config).model_copy(update={"save_every": 60, "steps": 60})
def train(out):
    ticks = iter(range(10**6))
    run.train(run.prepare(plan, text, folder / out), quiet=True, clock=lambda: float(next(ticks)))
child = os.fork()
if not child:
    original = run.loss_of
    def loss_of(*arguments):
        if going.position.step == 52:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    run.loss_of = loss_of
    going = run.prepare(plan, text, folder / "killed")
    ticks = iter(range(10**6))
    run.train(going, quiet=True, clock=lambda: float(next(ticks)))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
print(checkpoint.read_position(checkpoint.latest(folder / "killed")).step)
train("killed")
(folder / "straight").mkdir()
shutil.copy(folder / "killed" / run.TOKENIZER, folder / "straight")
train("straight")
"""


def test_kill_nine_loses_nothing(tmp_path, text_folder, config_file):
    path = os.pathsep.join([str(Path(run.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(config_file), str(text_folder), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < 52
    assert same(weights_of(tmp_path / "killed"), weights_of(tmp_path / "straight"))
    assert [r["step"] for r in journal.read(tmp_path / "killed") if "losses" in r] == [50]


def test_result_loads_as_xlmr(tmp_path, text_folder, values):
    plan = parse({**values, "notes": "## Tried\n\nthis and that\n"}, "tiny")
    going = run.prepare(plan, text_folder, tmp_path / "out")
    run.train(going, quiet=True)
    folder = str(tmp_path / "out" / "model")
    modes = {path.stat().st_mode for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "out" / "log.jsonl").stat().st_mode}, "some can be read by their owner alone"
    model = AutoModelForMaskedLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "xlm-roberta"
    assert model.config.hidden_dropout_prob == 0.1
    assert {value.dtype for value in load_file(folder + "/model.safetensors").values()} == {torch.float16}
    assert json.loads(Path(folder, "config.json").read_text())["dtype"] == "float16"
    for name, weight in model.named_parameters():
        assert torch.allclose(weight.float(), going.average[name], atol=1e-2), name
    assert torch.isfinite(model(**tokenizer("house <mask>", return_tensors="pt")).logits).all()
    text = (tmp_path / "out" / "model" / "README.md").read_text()
    assert "| tales | 359 | not stated in the configuration |" in text
    assert "adaptrans pretrain pretrain.yaml" in text
    assert text.endswith("## Tried\n\nthis and that\n")
    assert set(going.measures["retrieval"]) == {"de", "sw"}
    assert {len(values) for values in going.measures["layers"].values()} == {3}
    assert going.measures["layers"]["de"][2] == going.measures["retrieval"]["de"]
    assert set(going.measures["words"]) <= {"de", "sw"}
    # and it can be gone on from
    further = {key: value for key, value in values.items() if key not in ("model", "tokenizer")}
    going = run.prepare(parse({**further, "from": folder}, "tiny"), text_folder, tmp_path / "further")
    assert going.config.model.layers == 2
    run.step_once(going)


def test_card_has_the_losses_of_the_run(values):
    plan = parse({**values, "static": {"steps": 300}}, "tiny")
    records = [{"step": 0, "static": n, "losses": {"sentences": 5 / n}} for n in (100, 200, 300)]
    records += [
        {"step": n, "tokens": n * 1000, "seconds": 36.0 * n, "losses": {"masked": 9 - n / 1000}}
        for n in range(50, 2001, 50)
    ]
    measures = {"loss": {"en": 6.5}, "layers": {"de": [0.5, 0.75, 0.25]}, "words": {"de": [0.1, 0, 0]}}
    text = export.card(plan, checkpoint.Position(2000, 10, 7200.0, 3, "", ""), [], measures, records)
    assert "| 200 | 0.03 |" in text
    rows = [line for line in text.splitlines() if line.endswith("|") and line.count("|") == 5]
    assert "| 2000 | 2.0 | 20.00 | 7.00 |" in rows
    assert sum(row.split("|")[1].strip().isdigit() for row in rows) == export.CURVE
    assert "| de |  | 75.0 (1) | 10.0 (0) |" in text
    assert "| en | 6.50 |  |  |" in text
    assert "before them, 300 steps on the embeddings alone" in text


def test_changed_configuration_is_refused_unless_accepted(tmp_path, text_folder, values):
    plan = parse({**values, "steps": 2}, "tiny")
    run.train(run.prepare(plan, text_folder, tmp_path), quiet=True)
    other = changed(plan, tokens=128)
    with pytest.raises(ConfigError, match="the configuration differs from that of the run in"):
        run.prepare(other, text_folder, tmp_path)
    assert run.prepare(other, text_folder, tmp_path, accept_changes=True).position.step == 2
    deeper = parse({**values, "model": {**values["model"], "layers": 3}}, "tiny")
    with pytest.raises(ConfigError, match="the model differs"):
        run.prepare(deeper, text_folder, tmp_path, accept_changes=True)
    assert run.prepare(changed(plan, steps=5), text_folder, tmp_path).position.step == 2


def test_damaged_checkpoint(tmp_path, text_folder, values):
    plan = parse({**values, "steps": 1}, "tiny")
    run.train(run.prepare(plan, text_folder, tmp_path), quiet=True)
    path = checkpoint.latest(tmp_path) / "state.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="damaged"):
        run.prepare(plan, text_folder, tmp_path)


def test_half_written_checkpoint_is_not_taken(tmp_path):
    (tmp_path / ".checkpoint-000000009.tmp").mkdir()
    assert checkpoint.latest(tmp_path) is None


def test_loss_that_is_not_a_number(tmp_path, text_folder, values):
    going = run.prepare(parse(values, "tiny"), text_folder, tmp_path)
    going.model.roberta.embeddings.word_embeddings.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0: the \w+ loss is nan; lower optimizer.rate"):
        run.step_once(going)


def test_unfit_objective_names_the_field(tmp_path, text_folder, values):
    values["text"] = {}
    with pytest.raises(ConfigError, match=r"objectives.translation has a share but no data"):
        run.prepare(parse(values, "tiny"), text_folder, tmp_path)


def test_interrupt_keeps_what_was_done(tmp_path, text_folder, values, monkeypatch):
    going = run.prepare(parse(values, "tiny"), text_folder, tmp_path)
    original = run.step_once

    def interrupted(state):
        if state.position.step == 3:
            raise KeyboardInterrupt
        return original(state)

    monkeypatch.setattr(run, "step_once", interrupted)
    run.train(going, quiet=True)
    assert checkpoint.read_position(checkpoint.latest(tmp_path)).step == 3


def test_training_makes_the_loss_smaller(tmp_path, text_folder, values):
    plan = parse({**values, "steps": 150, "optimizer": {"rate": 0.005, "warmup": 5}}, "tiny")
    run.train(run.prepare(plan, text_folder, tmp_path), quiet=True)
    records = [record["losses"] for record in journal.read(tmp_path) if "losses" in record]
    assert records[-1]["masked"] < records[0]["masked"]
    assert records[-1]["contrastive"] < 0.8 * records[0]["contrastive"]


def test_average_follows_the_weights():
    layer = torch.nn.Linear(2, 2)
    plan = Optimizer(average=0.9)
    average = optimizer.start_average(layer, plan)
    before = average["weight"].clone()
    with torch.no_grad():
        layer.weight.add_(1.0)
    optimizer.update_average(average, layer, plan, 3)
    assert torch.equal(average["weight"], before)
    optimizer.update_average(average, layer, plan, 7)
    assert torch.allclose(average["weight"], before + 10 / 11, atol=1e-6)
