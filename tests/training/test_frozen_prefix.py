"""Frozen states below the first adapter: the same training whether they are stored or computed each time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from adaptrans.errors import ConfigError
from adaptrans.modeling.efficiency import cpu_attention
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.store import Store
from adaptrans.runs.training_args import training_config
from adaptrans.training import frozen_prefix
from adaptrans.training.frozen_prefix import StatesFile

HALF = "seq_bn[leave_out='first:2']"


def run_of(planner, method=None, task="udpos", **options):
    values = {"max_steps": 6, "batch_size": 8, "precision": "fp32", "max_length": 64, "log_every": 1}
    config = training_config({**values, "limit_dev": 4, **options})
    own = replace(planner, method=method or planner.method, config_for=lambda name, whole: config)
    spec, _ = own.target(parse("adapter"), own.workspace.task(task))
    return spec.execute()


def losses(run):
    rows = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize(
    ("method", "stored", "near", "place"),
    [
        (HALF, "fp32", 1e-5, "the output of layer 2"),
        (HALF, "bf16", 1e-2, "the output of layer 2"),
        ("lora[leave_out='first:2']", "fp32", 1e-5, "layer 2"),
    ],
)
def test_stored_states_train_as_computed_ones(
    planner, tmp_path, monkeypatch, capsys, method, stored, near, place
):
    planner = replace(planner, method=method)
    run = run_of(planner, frozen_prefix_cache=stored)
    assert f"states below {place}, without dropout: made once now" in capsys.readouterr().err
    assert len(list((planner.workspace.store.cache / "trunks").iterdir())) == 1
    other = replace(planner, workspace=replace(planner.workspace, store=Store(tmp_path / "other")))
    # Disk has no part in the key: what is computed for each batch is the same run.
    computed = run_of(other, frozen_prefix_cache=stored, frozen_prefix_gib=0)
    assert "computed for each batch" in capsys.readouterr().err
    assert not (other.workspace.store.cache / "trunks").exists()
    assert computed.key == run.key
    assert losses(run) == pytest.approx(losses(computed), rel=near)
    # Another run on the same data takes the states as they are.
    monkeypatch.setattr(frozen_prefix, "compute", lambda *given: pytest.fail("computed again"))
    assert run_of(planner, frozen_prefix_cache=stored, learning_rate=3e-4).key != run.key
    assert "without dropout: from the cache" in capsys.readouterr().err


def test_without_dropout_the_states_change_nothing(planner, monkeypatch):
    monkeypatch.setattr(cpu_attention.FastDropout, "forward", lambda module, values: values)
    monkeypatch.setattr(
        cpu_attention,
        "attend",
        lambda *given, dropout_p=0.0, **more: scaled_dot_product_attention(*given, **more),
    )
    plain, above = run_of(planner, HALF), run_of(planner, HALF, frozen_prefix_cache="fp32")
    assert plain.key != above.key
    assert losses(plain) == pytest.approx(losses(above), rel=1e-5)


def test_what_has_no_frozen_prefix_is_refused(planner):
    with pytest.raises(ConfigError, match="no layer below an adapter; give the method leave_out"):
        run_of(planner, method="seq_bn", frozen_prefix_cache="fp32")
    with pytest.raises(ConfigError, match="does not work for multiple_choice"):
        run_of(planner, HALF, task="xcopa", frozen_prefix_cache="fp32")


def test_the_room_of_the_cache_is_in_no_key():
    plain = training_config({})
    assert plain.inputs(False)["frozen_prefix_cache"] == "off"
    assert plain.inputs(False) == training_config({"frozen_prefix_gib": 3}).inputs(False)
    assert training_config({"frozen_prefix_cache": "bf16"}).inputs(False)["frozen_prefix_cache"] == "bf16"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_rows_come_back_as_they_were_stored(tmp_path, precision):
    lengths = np.array([3, 1, 4])
    file = StatesFile(tmp_path / "x.states", lengths, 5, precision)
    assert not file.is_there
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(3, 4, 5, generator=generator)
    file.write([([2, 0], states[[2, 0]]), ([1], states[[1]])])
    assert file.is_there
    assert file.path.stat().st_size == file.size
    read = file.read([1, 2], 4)
    assert read.shape == (2, 4, 5)
    assert torch.equal(read[1], states[2].to(read.dtype))
    assert torch.equal(read[0, :1], states[1, :1].to(read.dtype))
    assert not read[0, 1:].any()
    assert not file.fits(0)
