"""Where each option came from, and the schema for editors."""

import json

import pytest
import yaml

from adaptrans.experiments.config import (
    experiment_schema,
    explain_experiment,
    explain_preset,
    load_experiment,
)
from adaptrans.runs import presets

FILE = """
name: small
preset: jiant-stilts
setups: [full, full(mnli), mnli > target]
targets: [xnli, xquad, tatoeba]
training:
  defaults: {batch_size: 8}
  tasks: {xquad: {epochs: 1}}
evaluation: {limit: 100}
"""


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(FILE)
    experiment = load_experiment(path, ["training.full.warmup=0.2", "seeds=[4,5]"])
    return {item.what: item for item in explain_experiment(experiment)}


def test_every_value_has_its_place(found):
    rows = {name: (value, origin) for name, value, origin in found["target: xquad, full"].rows}
    assert rows["batch_size"] == (8, "file: training.defaults")
    assert rows["epochs"] == (1, "file: training.tasks.xquad")
    assert rows["warmup"] == (0.2, "command line")
    assert rows["max_length"] == (384, "preset jiant-stilts, span_qa")
    assert rows["learning_rate"] == (1e-5, "preset jiant-stilts, full")
    assert rows["fusion_learning_rate"] == (1e-5, "preset jiant-stilts, full")
    assert rows["lr_scheduler"] == ("linear", "default")
    adapter = {name: origin for name, _, origin in found["intermediate: mnli, seq_bn"].rows}
    assert adapter["learning_rate"] == "default"
    assert adapter["epochs"] == "preset jiant-stilts, mnli"
    evaluation = {name: origin for name, _, origin in found["evaluate: xnli"].rows}
    assert evaluation["limit"] == "file: evaluation"
    assert evaluation["max_length"] == "preset jiant-stilts"


def test_what_runs_is_listed_and_retrieval_is_not_trained(found):
    assert set(found) == {
        "experiment small", "intermediate: mnli, full", "intermediate: mnli, seq_bn",
        "target: xnli, full", "target: xnli, seq_bn", "target: xquad, full", "target: xquad, seq_bn",
        "evaluate: xnli", "evaluate: xquad", "evaluate: tatoeba",
    }  # fmt: skip
    setting = {name: (value, origin) for name, value, origin in found["experiment small"].rows}
    assert setting["seeds"] == ((4, 5), "command line")
    assert setting["preset"] == ("jiant-stilts", "file")
    assert setting["baseline"] == ("full", "default")


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_can_be_shown(name):
    items = explain_preset(name, depth=24)
    assert any(item.given() for item in items)
    for item in items:
        for option, _, origin in item.given():
            assert origin.startswith(f"preset {name}"), option


def test_the_schema_takes_what_is_valid_and_knows_every_key():
    schema = experiment_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(yaml.safe_load(FILE)) <= set(schema["properties"])
    options = schema["$defs"]["TrainingOptions"]["properties"]
    assert options["warmup_steps"]["description"]
    assert schema["additionalProperties"] is False
    for name, values in schema["properties"].items():
        assert "description" in values or name in ("name", "description", "training", "evaluation"), name
