"""Runs around a base in 8 or 4 bits: keys, resumption, what evaluation takes, what is refused and when."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from adaptrans.errors import ConfigError, SetupError
from adaptrans.evaluation.evaluator import evaluate, side_by_side
from adaptrans.evaluation.inference import open_session, open_sessions
from adaptrans.evaluation.results import load_results
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.setup import validation
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.store import Store
from adaptrans.runs.training_args import evaluation_config, training_config
from adaptrans.tasks import catalogue

needs_it = pytest.mark.skipif(
    validation.find_spec("bitsandbytes") is None, reason="needs bitsandbytes: pip install 'adaptrans[quant]'"
)


def planner_of(planner, method="seq_bn", evaluation=None, where=None, **options):
    values = {"max_steps": 4, "batch_size": 8, "precision": "fp32", "max_length": 64, "log_every": 1}
    config = training_config({**values, "limit_dev": 4, "evaluate_every": 2, **options})
    asked = evaluation_config({"precision": "fp32", "limit": 6, "samples": 100, **(evaluation or {})})
    return replace(
        planner,
        method=method,
        workspace=where or planner.workspace,
        config_for=lambda name, whole: config,
        evaluation_for=lambda name: asked,
    )


def target(planner, setup="adapter", task="udpos"):
    return planner.target(parse(setup), planner.workspace.task(task))[0]


def losses_of(run):
    rows = map(json.loads, (run.path / "log.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


def in_bits(planner, how, precision="fp32"):
    return planner_of(planner, quantize=how, precision=precision)


@needs_it
@pytest.mark.parametrize(("how", "precision"), [("4bit", "fp32"), ("8bit", "bf16")])
def test_a_killed_run_goes_on_to_the_same_weights(planner, elsewhere, kill, same_weights, how, precision):
    straight = target(in_bits(planner, how, precision)).execute()
    broken = target(replace(in_bits(planner, how, precision), workspace=elsewhere))
    broken = replace(broken, config=broken.config.model_copy(update={"checkpoint_seconds": 0}))
    kill(lambda: broken.execute(), 3)
    again = broken.execute()
    assert again.key == straight.key
    assert same_weights(straight, again) == 2
    assert read_manifest(again.artifact).quantize == how
    assert f"udpos: trained around a base in {how}" in again.result()["notes"]
    plain = target(planner_of(planner, precision=precision)).execute()
    losses = [losses_of(run) for run in (straight, plain)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.3)


def test_keys_know_the_base_only_where_it_is_in_few_bits(planner):
    plain = target(planner_of(planner))
    assert plain.inputs["config"]["quantize"] == "none"
    keys = {target(in_bits(planner, how)).run.key for how in ("none", "8bit", "4bit")}
    assert len(keys) == 3
    assert plain.run.key in keys
    specs = [
        planner_of(planner, evaluation={"quantize": how}).evaluate(parse("adapter"), plain.task)[0]
        for how in (None, "none", "4bit")
    ]
    assert "quantize" not in specs[0].inputs
    assert [spec.inputs["quantize"] for spec in specs[1:]] == ["none", "4bit"]


@needs_it
def test_evaluation_takes_the_base_of_the_training_unless_another_is_asked_for(planner):
    target(in_bits(planner, "4bit")).execute()

    def spec_of(**asked):
        own = planner_of(planner, quantize="4bit", evaluation=asked)
        return own.evaluate(parse("adapter"), own.workspace.task("udpos"))[0]

    follows, same, without = spec_of(), spec_of(quantize="4bit"), spec_of(quantize="none")
    assert [open_session(spec).assembled.quantize for spec in (follows, same, without)] == [
        "4bit",
        "4bit",
        "none",
    ]
    for spec in (follows, same, without):
        evaluate(spec)
    values = [[result.values for result in load_results(spec.run).values()] for spec in (follows, same)]
    assert values[0] == values[1]
    notes = [spec.run.result()["notes"] for spec in (follows, same, without)]
    trained = "udpos: trained around a base in 4bit"
    other = "answered around a base as it is in its file"
    assert [other in found for found in notes] == [False, False, True]
    assert all(trained in found for found in notes)


@needs_it
def test_setups_around_different_bases_are_answered_side_by_side_as_alone(planner):
    specs = []
    for how, method in (("4bit", "seq_bn"), ("4bit", "lora"), ("none", "seq_bn"), ("8bit", "seq_bn")):
        own = planner_of(planner, method, quantize=how)
        target(own).execute()
        specs.append(own.evaluate(parse("adapter"), own.workspace.task("udpos"))[0])
    assert side_by_side(specs) == [specs]
    sessions = open_sessions(specs)
    layers = [item.assembled.model.roberta.encoder.layer[0].output.dense.weight for item in sessions]
    assert layers[0].data_ptr() == layers[1].data_ptr()
    assert len({layer.data_ptr() for layer in layers}) == 3
    ids = torch.arange(5, 45).view(2, 20)
    for session, spec in zip(sessions, specs, strict=True):
        alone = open_session(spec).assembled
        states = [
            item.model.roberta(input_ids=ids, return_dict=True).last_hidden_state
            for item in (session.assembled, alone)
        ]
        assert torch.equal(*states)


@needs_it
def test_few_shots_go_on_around_the_base_of_their_start(planner):
    known = planner.workspace.tasks
    values = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}
    task = catalogue.resolve(values, name="xnli", known={"nli": known["nli"]})
    few = training_config({"max_steps": 2, "precision": "fp32"})
    own = replace(in_bits(planner, "8bit"), shots_for=lambda name, whole: few)
    _, before = own.few_shot(parse("adapter"), task, 2)
    start, *_, last = before
    start.execute()
    assert last.inputs["config"]["quantize"] == "none"
    run = last.execute()
    assert read_manifest(run.artifact).quantize == "8bit"


def test_what_trains_or_reads_the_base_is_refused_before_anything_is_planned(planner):
    for setup in ("full", "full(mnli)"):
        with pytest.raises(ConfigError, match="trains the encoder, which stays as it is in 4bit"):
            target(in_bits(planner, "4bit"), setup)
    with pytest.raises(SetupError, match="dora computes with the encoder's weights themselves"):
        target(planner_of(planner, "dora", quantize="8bit"))
    with pytest.raises(ConfigError, match="quantize = '3bit'"):
        training_config({"quantize": "3bit"})


def test_without_the_package_a_command_says_so_in_one_line(
    planner, tmp_path, small_data, tiny_backbone, monkeypatch, capsys
):
    from adaptrans_cli.main import main

    monkeypatch.setattr(validation, "find_spec", lambda name: None)
    where = ["--backbone", str(tiny_backbone), "--data", str(small_data), "--store", str(tmp_path / "s")]
    command = ["adaptrans", "target", "udpos", "--setup", "adapter", "--quantize", "4bit", *where]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = (text for text in capsys.readouterr().err.splitlines() if not text.startswith("["))
    said = 'error: a base in 4bit needs bitsandbytes; pip install "adaptrans[quant]", or say --quantize none'
    assert line == said
    # Nothing was read or encoded for it.
    assert not list(Store(tmp_path / "s").cache.rglob("*.arrow"))


@needs_it
def test_frozen_states_of_another_base_are_others(planner):
    losses = {}
    for how in ("none", "8bit"):
        for stored in ("fp32", "off"):
            own = planner_of(planner, "seq_bn[leave_out='first:2']", quantize=how, frozen_prefix_cache=stored)
            losses[how, stored] = losses_of(target(own).execute())
    assert len(list((planner.workspace.store.cache / "trunks").iterdir())) == 2
    assert losses["none", "fp32"] != losses["8bit", "fp32"]
    # Dropout below the first adapter is all that the stored states lack.
    assert losses["8bit", "fp32"] == pytest.approx(losses["8bit", "off"], rel=0.2)
