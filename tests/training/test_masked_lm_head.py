"""A masked language model head for an encoder that has none: trained alone, and then a backbone like any."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import make_backbone
from support.encoders import ARCHITECTURES, make_encoder
from support.smalldata import make_planner, make_workspace
from transformers import AutoModel, AutoModelForMaskedLM
from typer.testing import CliRunner

from adaptrans.api import add_head
from adaptrans.errors import ArtifactError, ConfigError, UnknownNameError
from adaptrans.experiments.cost_forecast import forecasts
from adaptrans.experiments.plan import Plan
from adaptrans.modeling.added_head import HEAD_FILE, write_backbone
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.efficiency.memory_estimation import forecast
from adaptrans.modeling.heads import MaskedLMHead, pretrained_head
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.masked_lm_head import head_spec
from adaptrans.runs.training_args import training_config
from adaptrans.task_types.masked_lm import MaskedLM
from adaptrans.training.masked_lm_head import HeadModel
from adaptrans_cli.main import app

OPTIONS = {"epochs": 4, "batch_size": 4, "precision": "fp32", "max_length": 32, "log_every": 1}
SMALL = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 32}


@pytest.fixture(scope="module")
def headless(tmp_path_factory):
    """The folder of a tiny encoder without a head."""
    return make_backbone(tmp_path_factory.mktemp("headless"), mlm=False)


@pytest.fixture(scope="module")
def where(headless, small_data, tmp_path_factory):
    """Where it is trained."""
    return make_workspace(headless, small_data, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def made(where, tmp_path_factory):
    """What adding a head to it gave, with the folder."""
    return add_head(tmp_path_factory.mktemp("made") / "new", where=where, **OPTIONS)


def test_a_head_is_learned_and_the_encoder_is_the_same(where, made, headless):
    assert set(made["held_out"]) == {"de", "en", "sw"}
    for code, found in made["held_out"].items():
        assert found["loss"] < made["untrained"][code]["loss"]
        assert found["tokens"] == made["untrained"][code]["tokens"] > 0
    new = identify(made["folder"])
    old, stored = read_tensors(headless / "model.safetensors"), read_tensors(new.path / "model.safetensors")
    for name, value in stored.items():
        if name.startswith("roberta."):
            assert torch.equal(value, old[name.removeprefix("roberta.")])
    assert new.fingerprint != where.backbone.fingerprint
    with pytest.raises(ArtifactError, match=r"has no masked .* train one: adaptrans backbones add-head"):
        pretrained_head(where.backbone)
    run = where.store.find(made["run"].rpartition("-")[2])
    trained = read_tensors(run.artifact / HEAD_FILE)
    for own, name in new.spec.lm_head.items():
        assert torch.equal(pretrained_head(new)[own], trained[name])
    about = json.loads((new.path / "adaptrans_head.json").read_text())
    assert about["trained_by"] == run.key
    assert about["encoder"]["fingerprint"] == where.backbone.fingerprint
    assert about["training_data"]["languages"] == ["de", "en", "sw"]


def test_it_works_as_a_pretrained_one(where, made):
    new = replace(where, backbone=identify(made["folder"]))
    theirs, told = AutoModelForMaskedLM.from_pretrained(made["folder"], output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    ids = torch.tensor([[0, 5, 999, 7, 2]])
    hidden = ids == 999
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "hidden": hidden}
    bare = SetupModel.from_setup(
        new.backbone, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    with torch.inference_mode():
        expected = theirs.eval()(ids).logits[hidden]
        assert torch.allclose(MaskedLMHead(new.backbone)(bare, batch), expected, atol=1e-4)
    text = new.data / "text" / "mono"
    LanguageSpec(new, "sw", text, training_config(SMALL), "seq_bn_inv[reduction_factor=4]").execute()
    config = training_config(SMALL)
    chosen = replace(make_planner(new), config_for=lambda name, whole: config)
    (mix,) = chosen.parents(parse("full(nli + mlm)"))[1]
    assert mix.execute().is_done


def test_another_head_makes_another_backbone(where, made, tmp_path):
    other = add_head(tmp_path / "other", where=where, seed=2, **{**OPTIONS, "max_steps": 2})
    assert other["run"] != made["run"]
    assert identify(other["folder"]).fingerprint != identify(made["folder"]).fingerprint
    again = add_head(made["folder"], where=where, **OPTIONS)
    assert not again["written"]
    assert again["held_out"] == made["held_out"]


def test_a_killed_run_goes_on_to_the_last_bit(where, made, kill, same_weights, tmp_path):
    expected = where.store.find(made["run"].rpartition("-")[2])
    elsewhere = replace(where, store=replace(where.store, root=tmp_path / "elsewhere"))
    spec = head_spec(elsewhere, "mlm", options={**OPTIONS, "checkpoint_seconds": 0})
    assert spec.run.key == expected.key
    kill(lambda: spec.execute(), 5)
    assert same_weights(expected, spec.execute()) == 1
    assert spec.run.result()["held_out"] == expected.result()["held_out"]


def test_its_cost_is_foretold(where, made):
    spec = head_spec(where, "mlm", options=OPTIONS)
    assert forecast(spec.memory_case()).trained > spec.run.result()["trained_parameters"]
    longer = head_spec(where, "mlm", options={**OPTIONS, "epochs": 8})
    found = forecasts(Plan((longer,), ()))[longer.run.path]
    # Other tests have trained heads in the same store, each of which is scaled by its number of inputs.
    assert found.seconds
    assert "of head on mlm" in found.basis
    assert "number of inputs not known" not in found.basis


def test_only_the_head_is_in_the_graph(where):
    model = HeadModel(where.backbone, 1, torch.zeros(where.backbone.vocabulary))
    assert {name.rpartition("mlm.")[2] for name in model.trained} == set(where.backbone.spec.lm_head)
    batch = MaskedLM().batch([{"input_ids": [0, 5, 6, 7, 8, 2], "mask": 999, "first_piece": 4}], 1, "cpu")
    model.model.train()
    once, twice = model(batch), model(batch)
    # The encoder answers without dropout, and only hidden tokens have logits.
    assert torch.equal(once, twice)
    assert once.shape == (int(batch["hidden"].sum()), where.backbone.vocabulary)
    once.sum().backward()
    found = {name for name, value in model.model.named_parameters() if value.grad is not None}
    assert found == set(model.trained)


@pytest.mark.parametrize("architecture", ["bert", *ARCHITECTURES])
def test_every_architecture_takes_a_head(architecture, tmp_path):
    base = identify(make_encoder(tmp_path / "base", architecture))
    model = HeadModel(base, 1, torch.arange(base.vocabulary))
    assert {name.rpartition("mlm.")[2] for name in model.trained} == set(
        base.spec.lm_head
    ) - base.spec.lm_bare
    with torch.no_grad():
        for name, value in model.trained_parameters().items():
            if not name.endswith("3.bias"):
                value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    model.save(tmp_path / "artifact")
    assert write_backbone(base, tmp_path / "artifact", tmp_path / "new", "key", {})
    new = identify(tmp_path / "new")
    parts = pretrained_head(new)
    for part, value in model.head_parts().items():
        assert torch.equal(parts[part], value)
    shares = parts["3.bias"].exp()
    assert float(shares.sum()) == pytest.approx(1, abs=1e-4)
    assert float(shares[9] / shares[0]) == pytest.approx(10, rel=1e-4)
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "attention_mask": torch.ones(1, 4).long()}
    batch["hidden"] = torch.tensor([[False, True, False, True]])
    loaded = SetupModel.from_setup(
        new, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    with torch.inference_mode():
        expected = model(batch)
        assert torch.allclose(MaskedLMHead(new)(loaded, batch), expected, atol=1e-5)
    # And transformers reads the same.
    theirs, told = AutoModelForMaskedLM.from_pretrained(new.path, output_loading_info=True)
    assert not told["unexpected_keys"]
    with torch.inference_mode():
        logits = theirs.eval()(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert torch.allclose(logits[batch["hidden"]], expected, atol=1e-4)


def test_embeddings_of_another_width_are_refused_in_one_line(tmp_path):
    narrow = identify(make_encoder(tmp_path / "narrow", "electra", embedding_size=16))
    for action in (pretrained_head, lambda base: HeadModel(base, 1, torch.zeros(base.vocabulary))):
        with pytest.raises(ArtifactError, match="word embeddings of width 16 below states of 32") as told:
            action(narrow)
        assert "\n" not in str(told.value)
    # All that needs no head works.
    ids = torch.tensor([[2, 5, 6, 3]])
    model = SetupModel.from_setup(
        narrow, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    theirs = AutoModel.from_pretrained(narrow.path).eval()
    with torch.inference_mode():
        found = model.hidden_states(ids, torch.ones_like(ids))[-1]
        assert torch.equal(found, theirs(ids).last_hidden_state)


def test_what_cannot_be_is_one_line(where, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(ArtifactError, match="holds something else; choose another folder"):
        add_head(tmp_path / "full", where=where, **OPTIONS)
    with pytest.raises(ConfigError, match="nli is no text"):
        head_spec(where, "nli")
    with pytest.raises(UnknownNameError, match="training language of mlm"):
        add_head(tmp_path / "new", where=where, languages=("xx",), **OPTIONS)
    with pytest.raises(ConfigError, match="quantize"):
        head_spec(where, "mlm", options={"quantize": "8bit"})


def test_the_command(where, headless, tmp_path):
    given = [
        "backbones", "add-head", str(headless), "--out", str(tmp_path / "new"),
        "--store", str(tmp_path / "store"), "--batch-size", "8", "--max-length", "32", "--precision", "fp32",
    ]  # fmt: skip
    single = where.data / "text" / "mono" / "sw.txt"
    shown = CliRunner().invoke(app, [*given, "--text", str(single), "--dry-run"])
    assert "1 of 1 runs to compute" in shown.output
    done = CliRunner().invoke(
        app, [*given, "--text", str(single), "--license", "CC0 1.0", "--max-steps", "2"]
    )
    assert done.exit_code == 0, done.exception
    assert "new: written (mlm.head.s1-" in done.output
    assert "sw" in done.output
    assert json.loads((tmp_path / "new" / "adaptrans_head.json").read_text())["license_of_text"] == "CC0 1.0"
    wrong = CliRunner().invoke(app, [*given, "--text", str(headless / "config.json")])
    assert "the name of a single file says its language" in str(wrong.exception)
