"""A base in 8 or 4 bits: which layers are so, what learns, how near answers are to the float base's."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install 'adaptrans[quant]'")

from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.modeling import adapters
from adaptrans.modeling.adapters import adapter_name
from adaptrans.modeling.efficiency import frozen_weights
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations, keep_frozen_in
from adaptrans.modeling.efficiency.memory_case import Case, Shape
from adaptrans.modeling.efficiency.memory_estimation import forecast
from adaptrans.modeling.efficiency.quantization import QuantizedLinear, quantize
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.utils.devices import autocast
from adaptrans.utils.io import read_json, write_json

WAYS = ["8bit", "4bit"]
METHODS = ["seq_bn", "double_seq_bn", "par_bn", "prefix_tuning", "lora", "ia3", "mam", "loreft", "seq_bn_inv"]
CPU = torch.device("cpu")
# Largest difference of a product, as a share of the largest entry of row or block.
STEP = {"8bit": 1 / 127, "4bit": 0.16}


@pytest.fixture
def made(build, tools):
    def make(how, method="seq_bn", kind="classification", text="adapter", parents=None, shake=True):
        return build(text, tools.spec(kind), parents, method=method, shake=shake, quantize=how)

    return make


def loss_of(assembled, batch):
    return assembled(batch).float().square().sum()


@pytest.mark.parametrize("how", WAYS)
def test_only_linear_layers_of_the_encoder_itself_are_in_few_bits(made, how):
    model = made(how).model
    quantized = {name for name, module in model.named_modules() if isinstance(module, QuantizedLinear)}
    depth = model.config.num_hidden_layers
    assert len(quantized) == 6 * depth
    assert all(name.startswith("roberta.encoder.layer.") for name in quantized)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
            kept = torch.int8 if how == "8bit" else torch.uint8
            assert module.weight.dtype == (kept if name in quantized else torch.float32), name
    assert model.roberta.encoder.layer[0].attention.self.query.bias.dtype == torch.float32


@pytest.mark.parametrize("how", WAYS)
def test_weights_are_near_those_of_the_file_and_take_the_bytes_that_are_forecast(base, how):
    exact, rounded = adapters.bare_model(base), frozen_weights.bare_model(base, quantize=how)
    for layer, other in zip(exact.roberta.encoder.layer, rounded.roberta.encoder.layer, strict=True):
        linear, module = layer.output.dense, other.output.dense
        largest = linear.weight.abs().max().item()
        assert (module.matrix(torch.float32) - linear.weight).abs().max() <= STEP[how] * largest
        rows, numbers = linear.weight.shape[0], linear.weight.numel()
        scales = rows if how == "8bit" else -(-numbers // 64)
        size = numbers + 4 * scales if how == "8bit" else numbers // 2 + 4 * scales
        assert module.weight.nbytes + module.scales.nbytes == size
        assert torch.equal(layer.output.LayerNorm.weight, other.output.LayerNorm.weight)
        assert torch.equal(linear.bias, module.bias)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", WAYS)
def test_every_method_learns_and_the_base_does_not(made, tools, how, method):
    assembled, batch = made(how, method), tools.batch_of("classification")
    before = {name: value.clone() for name, value in assembled.model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in assembled.model.parameters() if p.requires_grad], lr=0.01)
    assembled.model.train()
    loss_of(assembled, batch).backward()
    gradients = {name for name, p in assembled.model.named_parameters() if p.grad is not None}
    assert gradients <= set(assembled.trained)
    optimizer.step()
    moved = {n for n, value in assembled.model.state_dict().items() if not torch.equal(value, before[n])}
    # Layers of one prefix tuning share their tensors, which have several names.
    assert set(gradients) & moved
    assert all(adapter_name(name) or name.startswith("heads.") for name in moved)


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "multiple_choice"])
@pytest.mark.parametrize("how", WAYS)
def test_answers_are_near_those_of_the_float_base(made, tools, how, kind):
    batch = tools.batch_of(kind)
    exact, near = (tools.answers(made(way, kind=kind), batch) for way in ("none", how))
    for one, other in zip(exact, near, strict=True):
        assert not torch.equal(one, other)
        # Random weights in four layers; unlike answers would be at 1.4.
        assert (one - other).norm() / one.norm() < (0.1 if how == "8bit" else 1.0)


@pytest.mark.parametrize("method", ["seq_bn", "lora"])
@pytest.mark.parametrize("how", WAYS)
def test_answers_and_gradients_are_those_of_a_float_base_with_the_rounded_weights(made, tools, how, method):
    batch = tools.batch_of("classification")
    rounded, plain = made(how, method), made("none", method)
    names = {n for n, m in rounded.model.named_modules() if isinstance(m, QuantizedLinear)}
    for name in names:
        rounded_layer, layer = (item.model.get_submodule(name) for item in (rounded, plain))
        layer.weight.data = rounded_layer.matrix(torch.float32)
    for precision in ("fp32", "bf16"):
        grads = []
        for assembled in (rounded, plain):
            assembled.model.zero_grad()
            with autocast(CPU, precision):
                loss = loss_of(assembled, batch)
            loss.backward()
            own = dict(assembled.model.named_parameters())
            grads.append({name: own[name].grad for name in assembled.trained})
        for name, value in grads[0].items():
            bound = {"fp32": 1e-4, "bf16": 0.05}[precision]
            if value is not None:
                assert torch.allclose(value, grads[1][name], rtol=bound, atol=bound * value.abs().max())


@pytest.mark.parametrize("how", WAYS)
def test_products_are_those_of_the_packages_own_layers_in_training(how):
    import bitsandbytes as bnb

    torch.manual_seed(0)
    linear, inputs = nn.Linear(64, 96), torch.randn(2, 7, 64, requires_grad=True)
    if how == "8bit":
        theirs = bnb.nn.Linear8bitLt(64, 96, has_fp16_weights=False)
    else:
        theirs = bnb.nn.Linear4bit(64, 96, quant_type="nf4", compress_statistics=False)
    theirs.load_state_dict(linear.state_dict())
    theirs = theirs.to("cpu").train()
    ours = nn.ModuleList([linear])
    quantize(ours, how)
    expected = theirs(inputs)
    (wanted,) = torch.autograd.grad(expected.square().sum(), inputs)
    found = ours[0](inputs)
    (gradient,) = torch.autograd.grad(found.square().sum(), inputs)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("how", WAYS)
def test_training_modes_and_further_ways_to_save_change_nothing(made, tools, how):
    batch = tools.batch_of("classification")
    first, again = made(how, "lora"), made(how, "lora")
    assert tools.same(first, again, batch)
    checkpoint_activations(again.model)
    keep_frozen_in(again.model, "bf16")
    frozen_weights.cast_once(first.model)
    gradients = []
    for assembled in (first, again):
        # Without dropout, training and answering are one computation.
        for module in assembled.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        for layer in assembled.model.roberta.encoder.layer:
            layer.attention.self.dropout_prob = 0.0
        assembled.model.train()
        with autocast(CPU, "bf16"):
            loss = loss_of(assembled, batch)
        loss.backward()
        own = dict(assembled.model.named_parameters())
        gradients.append([own[name].grad for name in assembled.trained])
        assembled.model.eval()
        with autocast(CPU, "bf16"):
            assert torch.equal(loss, loss_of(assembled, batch))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None)


@pytest.mark.parametrize("how", WAYS)
def test_an_artifact_holds_no_base_and_answers_as_it_was_trained(made, base, tools, tmp_path, how):
    assembled, batch = made(how), tools.batch_of("classification")
    assembled.save(tmp_path / "a")
    assert read_manifest(tmp_path / "a").quantize == how
    loaded = SetupModel.load(tmp_path / "a", base)
    assert loaded.quantize == how
    assert tools.same(loaded, assembled, batch)
    plain = SetupModel.load(tmp_path / "a", base, quantize="none")
    assert not tools.same(plain, assembled, batch)
    assert all(torch.equal(value, plain.trained_state()[n]) for n, value in assembled.trained_state().items())
    plain.save(tmp_path / "b")
    assert "quantize" not in read_json(tmp_path / "b" / "artifact.json")
    assert read_manifest(tmp_path / "a").content() == read_manifest(tmp_path / "b").content()
    # A stack on it, and the other way of keeping the base.
    below = {"xnli": tmp_path / "a"}
    other = WAYS[how == "8bit"]
    stacked = made(other, text="xnli > target", parents=below)
    assert stacked.quantize == other
    stacked.save(tmp_path / "c")
    assert tools.same(SetupModel.load(tmp_path / "c", base), stacked, batch)
    written = read_json(tmp_path / "a" / "artifact.json")
    write_json(tmp_path / "a" / "artifact.json", {**written, "quantize": "3bit"})
    with pytest.raises(ArtifactError, match="quantize is missing or wrong"):
        read_manifest(tmp_path / "a")


@pytest.mark.parametrize("how", WAYS)
def test_several_setups_hold_one_base_in_few_bits_and_answer_as_alone(made, tools, how):
    batch = tools.batch_of("classification")
    ways = [(how, "seq_bn"), (how, "lora"), ("none", "seq_bn")]
    alone = [made(*way) for way in ways]
    prepared = []
    with frozen_weights.one_backbone(prepared.append):
        together = [made(*way) for way in ways]
    assert len(prepared) == 2
    assert all(tools.same(one, other, batch) for one, other in zip(alone, together, strict=True))
    layers = [item.model.roberta.encoder.layer[0].output.dense for item in together]
    assert layers[0].weight.data_ptr() == layers[1].weight.data_ptr() != layers[2].weight.data_ptr()
    assert layers[0].scales.data_ptr() == layers[1].scales.data_ptr()


def test_a_whole_model_answers_in_few_bits_and_is_not_trained_so(made, base, parents, tools):
    batch = tools.batch_of("classification")
    near = SetupModel.load(parents["whole"], base, quantize="8bit")
    exact = SetupModel.load(parents["whole"], base)
    assert isinstance(near.model.roberta.encoder.layer[0].output.dense, QuantizedLinear)
    one, other = tools.answers(exact, batch)[0], tools.answers(near, batch)[0]
    assert 0 < (one - other).norm() / one.norm() < 0.1
    with pytest.raises(ConfigError, match="trains the encoder, which stays as it is in 8bit; train"):
        made("8bit", text="full")


@pytest.mark.parametrize("method", ["dora", "lora[r=4]"])
def test_methods_that_read_the_weights_are_refused(made, base, tools, tmp_path, method):
    if method != "dora":
        assert made("4bit", method).quantize == "4bit"
        return
    with pytest.raises(SetupError, match="dora computes with the encoder's weights themselves") as caught:
        made("4bit", method)
    assert "\n" not in str(caught.value)
    head = replace(tools.spec("classification"), name="mnli")
    below = SetupModel.from_setup(
        base, parse("adapter"), target="mnli", head=head, method=method, parents={}, seed=1
    )
    below.save(tmp_path / "mnli")
    with pytest.raises(SetupError, match="'mnli': dora computes"):
        made("4bit", text="mnli > target", parents={"mnli": tmp_path / "mnli"})


def test_forecasts_know_the_bytes_of_a_base_in_few_bits():
    shape = Shape(4, 64, 4, 256, 1000, 130)
    cases = {how: Case(shape, items=2, length=16, quantize=how) for how in ("none", *WAYS)}
    found = {how: forecast(case) for how, case in cases.items()}
    matrices = 4 * (4 * 64 * 64 + 2 * 64 * 256)
    rows = 4 * (5 * 64 + 256)
    assert found["none"].weights - found["8bit"].weights == 3 * matrices - 4 * rows
    assert found["none"].weights - found["4bit"].weights == 4 * matrices - matrices // 2 - matrices // 16
    assert found["none"].trained == found["8bit"].trained == found["4bit"].trained
    # The forecast's layers are those of a model that is loaded.
    assert forecast(replace(cases["4bit"], training=False)).weights == found["4bit"].weights


def test_layers_are_converted_as_they_are_read(base):
    seen = []

    def convert(layer, how):
        seen.append(layer.output.dense.weight.abs().sum().item())
        quantize(layer, how)

    model = adapters.bare_model(base, convert=partial(convert, how="4bit"))
    exact = adapters.bare_model(base)
    assert seen == [layer.output.dense.weight.abs().sum().item() for layer in exact.roberta.encoder.layer]
    assert isinstance(model.roberta.encoder.layer[-1].attention.self.query, QuantizedLinear)
