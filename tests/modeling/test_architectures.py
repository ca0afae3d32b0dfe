"""Every architecture: what it computes is what transformers and adapters compute, and what fails is told."""

import importlib

import pytest
import torch
import transformers
from support.encoders import ARCHITECTURES, DEPTH, make_encoder

from adaptrans.errors import ConfigError, SetupError
from adaptrans.exporting.transformers import obstacle, save_plain
from adaptrans.modeling import adapters
from adaptrans.modeling.adapter_methods import ADAPTER_METHODS
from adaptrans.modeling.backbone import identify, load_tokenizer
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations
from adaptrans.modeling.efficiency.memory_case import Case, shape_of
from adaptrans.modeling.efficiency.memory_estimation import forecast, sizes
from adaptrans.modeling.efficiency.shared_layers import Common, stopped_after
from adaptrans.modeling.efficiency.vocab_trimming import NOTHING
from adaptrans.modeling.encoder import ENCODERS, FEATURES
from adaptrans.modeling.heads import HeadSpec, MaskedLMHead
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse

TEXTS = (
    ["The cat sits on the mat", "Yes"],
    ["Where is the library?", "No, never. I think that it does not."],
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def base(request, tmp_path_factory):
    folder = make_encoder(tmp_path_factory.mktemp("backbone") / request.param, request.param)
    return identify(folder)


@pytest.fixture(scope="module")
def pair(base):
    """Two pairs of texts of unequal length."""
    encoded = load_tokenizer(base)(*TEXTS, padding=True, return_tensors="pt")
    return {name: encoded[name] for name in base.spec.model_inputs}


def built(base, tools, text, kind, parents=None, method="seq_bn", name=None, **options):
    head = tools.spec(kind, name)
    return tools.shaken(
        SetupModel.from_setup(
            base, parse(text), target=head.name, head=head, method=method, parents=parents or {}, seed=1,
            **options,
        )
    )  # fmt: skip


def batch_of(pair, kind):
    if kind == "multiple_choice":
        return {name: value.unsqueeze(1).expand(-1, 2, -1).clone() for name, value in pair.items()}
    return {**pair, "hidden": pair["attention_mask"].bool()} if kind == "mlm" else pair


def bare(base):
    return SetupModel.from_setup(
        base, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )


def test_all_encoder_architectures_have_a_test():
    assert {*ARCHITECTURES, "xlm-roberta", "bert"} == set(ENCODERS)


def test_hidden_states_are_those_of_transformers(base, pair):
    theirs = transformers.AutoModel.from_pretrained(base.path, attn_implementation=base.spec.attention).eval()
    with torch.inference_mode():
        expected = theirs(**pair, output_hidden_states=True).hidden_states
        found = bare(base).hidden_states(**pair)
    assert len(found) == DEPTH + 1
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_layer_for_retrieval_is_that_of_the_whole_encoder(base, pair):
    model = bare(base)
    with torch.inference_mode():
        whole = model.hidden_states(**pair)
        for layer in range(DEPTH + 1):
            with stopped_after(model.model, layer):
                assert torch.equal(model.hidden_states(**pair)[layer], whole[layer]), layer


def test_the_pretrained_head_is_that_of_transformers(base, pair):
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(base.path).eval()
    hidden = pair["attention_mask"].bool()
    with torch.inference_mode():
        expected = theirs(**pair).logits[hidden]
        found = MaskedLMHead(base)(bare(base), {**pair, "hidden": hidden})
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "multiple_choice", "mlm"])
def test_a_saved_model_answers_as_before(base, tools, pair, tmp_path, kind):
    batch = batch_of(pair, kind)
    for text in ("full", "adapter"):
        model = built(base, tools, text, kind)
        model.save(tmp_path / text)
        assert tools.same(model, SetupModel.load(tmp_path / text), batch), text


SETUPS = (
    "full", "adapter", "one > target", "fuse(one, two)", "fuse(one, two) > target",
    "average(one, two) > target", "continue(one)",
)  # fmt: skip


@pytest.fixture(scope="module")
def parents(base, tools, tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("parents"), {}
    for seed, name in enumerate(("one", "two")):
        head = HeadSpec(name, "classification", ("a", "b"))
        own = SetupModel.from_setup(
            base, parse("adapter"), target=name, head=head, method="seq_bn", parents={}, seed=seed
        )
        tools.shaken(own, seed).save(folder / name)
        found[name] = folder / name
    return found


def by_hand(base, folder, layers):
    """States of a setup from the library's own calls alone.

    Args:
        base: The base.
        folder: The artifact; the encoder in it where the whole model was trained.
        layers: Adapters, lowest first, as folder; and `(members, fusion)` for a fusion.
    """
    import adapters as library

    own = folder / "backbone"
    model = transformers.AutoModel.from_pretrained(
        own if own.is_dir() else base.path, attn_implementation=base.spec.attention
    )
    unbiased = [name for name, part in model.named_modules() if getattr(part, "bias", 0) is None]
    library.init(model, interface=interface_of(base.spec))
    for name in unbiased:
        model.get_submodule(name).bias = None
    stack = []
    for layer in layers:
        if isinstance(layer, tuple):
            members, fusion = layer
            for member in members:
                model.load_adapter(str(member), with_head=False, use_safetensors=True)
            model.load_adapter_fusion(str(fusion), set_active=False, use_safetensors=True)
            stack.append(library.Fuse(*(member.name for member in members), name=fusion.name))
        else:
            model.load_adapter(str(layer), with_head=False, use_safetensors=True)
            stack.append(layer.name)
    if stack:
        model.set_active_adapters(library.Stack(*stack) if len(stack) > 1 else stack[0])
    return model.eval()


def interface_of(spec):
    import adapters as library

    return library.AdapterModelInterface(**spec.interface) if spec.interface else None


@pytest.mark.parametrize("text", SETUPS)
def test_a_setup_answers_as_plain_adapters_does(base, tools, pair, parents, tmp_path, text):
    model = built(base, tools, text, "classification", parents)
    model.save(tmp_path)
    assert tools.same(model, SetupModel.load(tmp_path, parents=parents), pair)
    if "average" in text:
        return
    stored = {name: path / "adapters" / name for name, path in parents.items()}
    target = tmp_path / "adapters" / "xnli"
    fused = ([stored["one"], stored["two"]], tmp_path / "fusions" / "xnli")
    layers = {
        "full": [], "adapter": [target], "one > target": [stored["one"], target], "fuse(one, two)": [fused],
        "fuse(one, two) > target": [fused, target], "continue(one)": [target],
    }[text]  # fmt: skip
    plain = by_hand(base, tmp_path, layers)
    head = model.model.heads["xnli"]
    with torch.inference_mode():
        states = plain(**pair).last_hidden_state
        # The head of the library: dropout, linear, tanh, dropout, linear, over the first token.
        output = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=states)
        expected = head(output, return_dict=True)
    found = tools.answers(model, pair)[0]
    assert torch.equal(found, expected.logits)


METHODS = ["seq_bn", "double_seq_bn_inv", "par_bn", "lora", "ia3", "prefix_tuning", "mam", "unipelt",
           "prompt_tuning",
                      "loreft[suffix_positions=5]"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_answers_do_not_depend_on_padding_or_the_method_is_refused(base, tools, pair, method):
    name = method.partition("[")[0]
    if name in base.spec.refused:
        with pytest.raises(SetupError, match=f"method {name} does not work on {base.architecture}; use"):
            built(base, tools, "adapter", "classification", method=method)
        return
    model = built(base, tools, "adapter", "classification", method=method)
    short = int(pair["attention_mask"].sum(1).min())
    one = int(pair["attention_mask"].sum(1).argmin())
    alone = {name: value[one : one + 1, :short] for name, value in pair.items()}
    together = tools.answers(model, pair)[0][one]
    assert torch.allclose(together, tools.answers(model, alone)[0][0], atol=1e-5)


def test_what_is_refused_is_a_method(base):
    assert base.spec.refused <= set(ADAPTER_METHODS.names())


def works(base, feature, action):
    """Whether a feature works; where it is said not to, it is refused in one line."""
    if base.spec.supports(feature):
        action()
        return True
    with pytest.raises((ConfigError, SetupError), match=f"does not work on {base.architecture}") as told:
        action()
    assert "\n" not in str(told.value)
    return False


def test_a_trimmed_vocabulary_answers_alike(base, tools, pair):
    found = []
    works(
        base, "vocab_trimming", lambda: found.append(built(base, tools, "adapter", "tagging", tokens=NOTHING))
    )
    whole = built(base, tools, "adapter", "tagging")
    for model in found:
        assert tools.same(model, whole, pair)


def test_checkpointed_activations_give_the_same_gradients(base, tools, pair):
    def gradients(checkpointed):
        model = built(base, tools, "adapter", "classification")
        if checkpointed:
            checkpoint_activations(model.model)
        model.model.train()
        torch.manual_seed(3)
        model(pair).sum().backward()
        own = dict(model.model.named_parameters())
        return {name: own[name].grad for name in model.trained if own[name].grad is not None}

    expected, found = gradients(False), []
    if works(base, "gradient_checkpointing", lambda: found.append(gradients(True))):
        assert found[0].keys() == expected.keys() != set()
        assert all(torch.allclose(found[0][name], value, atol=1e-6) for name, value in expected.items())


@pytest.mark.parametrize("how", ["4bit", "8bit"])
@pytest.mark.parametrize("method", ["seq_bn", "lora"])
def test_a_base_in_few_bits_answers_nearly_alike(base, tools, pair, how, method):
    pytest.importorskip("bitsandbytes")
    found = []

    def build():
        found.append(built(base, tools, "adapter", "classification", method=method, quantize=how))

    if works(base, "quantization", build):
        whole = built(base, tools, "adapter", "classification", method=method)
        with torch.inference_mode():
            one, other = (model.hidden_states(**pair)[1].flatten() for model in (found[0], whole))
        assert not torch.equal(one, other)
        assert torch.cosine_similarity(one, other, dim=0) > 0.9


def test_layers_in_common_are_computed_once_or_not_at_all(base, tools, pair):
    model = built(base, tools, "adapter", "classification", method="seq_bn[leave_out=[0, 1]]")
    common = Common([model, model])
    assert (common.place.layer == 2) == base.spec.supports("shared_layers")
    with common.given(model, common.states(pair)):
        assert torch.allclose(tools.answers(model, pair)[0], tools.answers(model, pair)[0])


@pytest.mark.parametrize("setup", ["adapter", "full"])
def test_memory_is_foretold(base, tools, setup):
    case = Case(shape_of(base), setup=setup, items=2, length=16)
    found = forecast(case)
    model = built(base, tools, setup, "classification")
    own = {id(p): p.numel() * p.element_size() for p in model.model.parameters()}
    buffers = sum(b.numel() * b.element_size() for b in model.model.buffers())
    assert found.weights == sum(own.values()) + buffers
    assert found.trained == sum(p.numel() for n, p in model.model.named_parameters() if n in model.trained)
    assert found.activations > 0


def test_sizes_are_counted_and_refused_methods_do_not_fit(base):
    found = {row.name: row for row in sizes(base)}
    encoder = adapters.encoder_tensors(adapters.bare_model(base))
    assert found["full"].trained == sum(value.numel() for value in encoder.values())
    assert all(found[name].trained is None for name in base.spec.refused)
    assert found["seq_bn"].trained
    assert found["lora"].trained


@pytest.mark.parametrize("kind", ["tagging", "span_qa", "mlm", "classification"])
def test_a_plain_export_answers_alike_or_has_a_reason(base, tools, pair, tmp_path, kind):
    model = built(base, tools, "adapter", kind, method="lora")
    if obstacle(model):
        assert kind not in base.spec.plain_heads
        return
    form = save_plain(model, tmp_path)
    plain = getattr(transformers, form.architecture).from_pretrained(tmp_path).eval()
    real = pair["attention_mask"].bool()
    with torch.inference_mode():
        found, output = model(batch_of(pair, kind)), plain(**pair)
        expected = output.start_logits if kind == "span_qa" else output.logits
        found = found[0] if kind == "span_qa" else found
        expected = expected[real] if kind == "mlm" else expected
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_what_does_not_work_is_refused_in_one_line(base, feature):
    if base.spec.supports(feature):
        base.spec.require(feature)
    else:
        with pytest.raises(ConfigError, match=f"does not work on {base.architecture}; leave it out"):
            base.spec.require(feature)


def test_the_classes_are_there(base):
    module = importlib.import_module("adapters")
    assert (base.spec.interface is None) == hasattr(module, base.spec.adapter_class)
