"""Architectures: a BERT goes the whole way that XLM-R goes, and what an encoder cannot do is refused."""

import json
from dataclasses import replace

import pytest
import torch
import transformers
from conftest import make_tokenizer
from safetensors.torch import load_file, save_file
from support.bert import make_bert

from adaptrans.errors import ConfigError
from adaptrans.exporting.transformers import save_plain
from adaptrans.modeling import adapters
from adaptrans.modeling.backbone import identify, load_tokenizer
from adaptrans.modeling.efficiency.cpu_attention import FastAttention, use_fast_dropout
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations
from adaptrans.modeling.efficiency.memory_case import Case, shape_of
from adaptrans.modeling.efficiency.memory_estimation import forecast, sizes
from adaptrans.modeling.efficiency.shared_layers import Common, LayerPosition, resumed_at
from adaptrans.modeling.efficiency.vocab_trimming import NOTHING
from adaptrans.modeling.encoder import ENCODERS, FEATURES
from adaptrans.modeling.heads import MaskedLMHead
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse

METHODS = [
    "seq_bn", "double_seq_bn_inv", "par_bn", "lora", "prefix_tuning", "unipelt",
    "loreft[suffix_positions=5]",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bert(tmp_path_factory.mktemp("backbone") / "bert")


@pytest.fixture(scope="module")
def bert(folder):
    return identify(folder)


@pytest.fixture(scope="module")
def pair(bert):
    """Two pairs of texts of unequal length, as the tokenizer gives them."""
    tokenizer = load_tokenizer(bert)
    texts = (["The cat sits on the mat", "Yes"], ["Where is the library?", "No, never"])
    return dict(tokenizer(*texts, padding=True, return_tensors="pt"))


def build(backbone, tools, text, kind, parents=None, method="seq_bn", **options):
    head = tools.spec(kind)
    found = SetupModel.from_setup(
        backbone,
        parse(text),
        target=head.name,
        head=head,
        method=method,
        parents=parents or {},
        seed=1,
        **options,
    )
    return tools.shaken(found)


def batch_of(tools, kind):
    """The batch of the other tests, with BERT's padding."""
    batch = tools.batch_of(kind)
    batch["input_ids"] = batch["input_ids"].clamp(max=300).masked_fill(batch["attention_mask"] == 0, 0)
    return batch


def test_the_types_of_a_pair_are_those_of_the_tokenizer(bert, pair):
    assert pair["token_type_ids"].sum() > 0
    model = adapters.bare_model(bert)
    own = {name: pair[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(adapters.model_inputs(model, own)["token_type_ids"], pair["token_type_ids"])
    # Running text has end signs between its lines, and is one text.
    text = adapters.model_inputs(model, {**own, "hidden": own["input_ids"] > 5})
    assert not text["token_type_ids"].any()


@pytest.mark.parametrize("former", [False, True])
def test_hidden_states_are_those_of_transformers(bert, pair, tmp_path, former):
    base = identify(make_bert(tmp_path / "other", former=True)) if former else bert
    theirs = transformers.BertModel.from_pretrained(bert.path).eval()
    ours = SetupModel.from_setup(
        base, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    with torch.inference_mode():
        expected = theirs(**pair, output_hidden_states=True).hidden_states
        found = ours.hidden_states(pair["input_ids"], pair["attention_mask"])
    assert len(found) == bert.depth + 1
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_pretrained_head_is_that_of_transformers(bert, pair):
    theirs = transformers.BertForMaskedLM.from_pretrained(bert.path).eval()
    ours = SetupModel.from_setup(
        bert, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    batch = {name: pair[name] for name in ("input_ids", "attention_mask")}
    hidden = batch["attention_mask"].bool()
    with torch.inference_mode():
        expected = theirs(**batch).logits[hidden]
        found = MaskedLMHead(bert)(ours, {**batch, "hidden": hidden})
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "multiple_choice", "mlm"])
def test_a_saved_model_answers_as_before(bert, tools, tmp_path, kind):
    batch = batch_of(tools, kind)
    for text in ("full", "adapter"):
        model = build(bert, tools, text, kind)
        model.save(tmp_path / kind / text)
        assert tools.same(model, SetupModel.load(tmp_path / kind / text), batch)


def test_stacks_fusions_merges_and_continued_adapters_answer_as_before_they_were_saved(bert, tools, tmp_path):
    parents = {}
    for seed, name in enumerate(("one", "two")):
        head = tools.spec("classification", name)
        own = SetupModel.from_setup(
            bert, parse("adapter"), target=name, head=head, method="seq_bn", parents={}, seed=seed
        )
        tools.shaken(own, seed).save(tmp_path / name)
        parents[name] = tmp_path / name
    batch = batch_of(tools, "classification")
    setups = ("one > target", "fuse(one, two)", "fuse(one, two) > target", "average(one, two) > target")
    for number, text in enumerate((*setups, "continue(one)")):
        model = build(bert, tools, text, "classification", parents)
        model.save(tmp_path / str(number))
        assert tools.same(model, SetupModel.load(tmp_path / str(number)), batch), text


@pytest.mark.parametrize("method", METHODS)
def test_answers_do_not_depend_on_padding(bert, tools, method):
    model = build(bert, tools, "adapter", "tagging", method=method)
    batch = batch_of(tools, "tagging")
    together = tools.answers(model, batch)[0]
    alone = tools.answers(model, {name: value[-1:, :8] for name, value in batch.items() if name != "labels"})[
        0
    ]
    assert torch.allclose(together[-1, :8], alone[0], atol=1e-5)


def test_prompts_do_not_see_padding(bert, tools):
    model = build(bert, tools, "adapter", "classification", method="prompt_tuning")
    batch = batch_of(tools, "classification")
    alone = {name: batch[name][-1:, :8] for name in ("input_ids", "attention_mask")}
    assert torch.allclose(tools.answers(model, batch)[0][-1:], tools.answers(model, alone)[0], atol=1e-5)


def test_every_feature_works(bert, tools):
    batch = batch_of(tools, "classification")
    own = build(bert, tools, "adapter", "classification", method="seq_bn[leave_out=[0, 1]]")
    whole = tools.answers(own, batch)[0]
    trimmed = build(
        bert, tools, "adapter", "classification", method="seq_bn[leave_out=[0, 1]]", tokens=NOTHING
    )
    assert torch.equal(tools.answers(trimmed, batch)[0], whole)
    common = Common([own, own])
    assert common.place.layer == 2
    states = common.states(batch)
    with common.given(own, states):
        assert torch.allclose(tools.answers(own, batch)[0], whole, atol=1e-6)
    use_fast_dropout(own.model)
    assert sum(isinstance(module, FastAttention) for module in own.model.modules()) == bert.depth
    checkpoint_activations(own.model)
    own.model.train()
    own(batch).sum().backward()
    assert all(p.grad is not None for name, p in own.model.named_parameters() if name in own.trained[:-4])


def test_memory_is_foretold_and_sizes_are_counted(bert, tools):
    case = Case(shape_of(bert), items=4, length=32)
    model = build(bert, tools, "adapter", "classification")
    own = {id(p): p.numel() * p.element_size() for p in model.model.parameters()}
    buffers = sum(b.numel() * b.element_size() for b in model.model.buffers())
    assert forecast(case).weights == sum(own.values()) + buffers
    found = {row.name: row for row in sizes(bert)}
    encoder = adapters.encoder_tensors(adapters.bare_model(bert))
    assert found["full"].trained == sum(value.numel() for value in encoder.values())
    assert found["seq_bn"].trained == sum(
        p.numel() for n, p in model.model.named_parameters() if n in own_of(model)
    )


def own_of(model):
    return adapters.adapter_tensors(model.model, model.adapter)


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_what_an_encoder_cannot_do_is_refused_in_one_line(feature):
    less = replace(ENCODERS["bert"], features=frozenset(FEATURES) - {feature})
    with pytest.raises(ConfigError, match="does not work on bert; leave it out") as caught:
        less.require(feature)
    assert "\n" not in str(caught.value)
    ENCODERS["bert"].require(feature)


def test_features_ask_before_they_act(bert, tools, monkeypatch):
    bare = replace(ENCODERS["bert"], features=frozenset())
    monkeypatch.setitem(ENCODERS._targets, "bert", bare)
    model = build(bert, tools, "adapter", "classification")
    with pytest.raises(ConfigError, match="gradient checkpointing does not work on bert"):
        checkpoint_activations(model.model)
    with pytest.raises(ConfigError, match="a base in few bits does not work on bert"):
        build(bert, tools, "adapter", "classification", quantize="4bit")
    with pytest.raises(ConfigError, match="embeddings of the tokens in the data alone"):
        build(bert, tools, "adapter", "classification", tokens=NOTHING)
    given = resumed_at(model.model, LayerPosition(1), (torch.zeros(1, 1, 32),))
    with pytest.raises(ConfigError, match="layers that several setups share"), given:
        pass
    assert Common([model, model]).place.layer == 0


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "mlm"])
def test_a_plain_export_answers_alike(bert, tools, pair, tmp_path, kind):
    model = build(bert, tools, "adapter", kind, method="lora")
    form = save_plain(model, tmp_path)
    plain = getattr(transformers, form.architecture).from_pretrained(tmp_path).eval()
    given = {name: pair[name] for name in ("input_ids", "attention_mask")}
    real = given["attention_mask"].bool()
    with torch.inference_mode():
        if kind == "mlm":
            expected, found = plain(**given).logits[real], model({**given, "hidden": real})
        else:
            found, output = model(given), plain(**pair)
            expected = output.start_logits if kind == "span_qa" else output.logits
            found = found[0] if kind == "span_qa" else found
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def with_other_tokenizer(tmp_path_factory):
    """A BERT with XLM-R's tokenizer, as multilingual MiniLM and e5 are: pad_token_id is its `<s>`."""
    folder = make_bert(tmp_path_factory.mktemp("backbone") / "minilm")
    for path in folder.glob("*token*"):
        path.unlink()
    make_tokenizer().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = make_tokenizer()
    weights = load_file(folder / "model.safetensors")
    words = torch.randn(len(tokenizer), config["hidden_size"], generator=torch.Generator().manual_seed(1))
    weights["bert.embeddings.word_embeddings.weight"] = words
    weights["cls.predictions.bias"] = torch.zeros(len(tokenizer))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(tokenizer)}))
    return identify(folder)


def test_the_padding_is_that_of_the_tokenizer_and_the_first_piece_is_trained(with_other_tokenizer, tools):
    model = build(with_other_tokenizer, tools, "full", "classification")
    words = model.model.get_input_embeddings()
    assert words.padding_idx == load_tokenizer(with_other_tokenizer).pad_token_id == 1
    batch = tools.batch_of("classification")
    model(batch).sum().backward()
    assert words.weight.grad[0].abs().sum() > 0
    assert not words.weight.grad[1].any()
    trimmed = build(with_other_tokenizer, tools, "adapter", "classification", tokens=NOTHING)
    assert trimmed.model.get_input_embeddings().padding_idx == 1


def test_all_pieces_are_of_the_type_that_the_tokenizer_gives(with_other_tokenizer, tools):
    encoded = load_tokenizer(with_other_tokenizer)("The cat", "Yes", return_tensors="pt")
    theirs = transformers.BertModel.from_pretrained(with_other_tokenizer.path).eval()
    ours = SetupModel.from_setup(
        with_other_tokenizer, parse("adapter"), target=None, head=None, method="seq_bn", parents={}, seed=1
    )
    with torch.inference_mode():
        expected = theirs(**encoded).last_hidden_state
        found = ours.hidden_states(encoded["input_ids"], encoded["attention_mask"])[-1]
    assert torch.equal(found, expected)
