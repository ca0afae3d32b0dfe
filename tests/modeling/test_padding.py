"""Every method answers the same for an input, whatever lies beside it in its batch."""

import pytest
import torch

from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.adapters import EncoderOfPrompts, GateOfText, ReftOfText

TOLERANCE = 2e-5
"""Largest difference of two logits, in float32; those of the tiny model are about 1."""
KINDS = ["classification", "tagging", "span_qa", "multiple_choice", "passage_ranking", "mlm"]
PER_TOKEN = ("tagging", "span_qa")
# The bottlenecks of the tiny model are too narrow for compacter's defaults.
OPTIONS = {"compacter": "[reduction_factor=4]", "compacter++": "[reduction_factor=4]"}
EVERY = [f"{name}{OPTIONS.get(name, '')}" for name in adapter_methods.names()] + [
    "seq_bn[use_gating=True]",
    "par_bn[use_gating=True]",
    "lora[use_gating=True]",
    "ia3[use_gating=True]",
    "vera[use_gating=True]",
    "prefix_tuning[use_gating=True,shared_gating=False]",
    "prefix_tuning[flat=True]",
    "prompt_tuning[combine='prefix_after_bos']",
    "loreft[suffix_positions=3]",
    "loreft[suffix_positions=3,tied_weights=True]",
    "noreft[prefix_positions=20,suffix_positions=20]",
]
LENGTHS = (11, 5, 3, 8)


def inputs(kind):
    """Four inputs of other lengths than each other, in one batch."""
    shape = (4, 2, 11) if kind == "multiple_choice" else (4, 11)
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(4, 990, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.long)
    ids[..., 0] = 0
    for place, length in enumerate(LENGTHS):
        ids[place, ..., length:] = 1
        mask[place, ..., length:] = 0
    batch = {"input_ids": ids, "attention_mask": mask}
    return {**batch, "hidden": (ids % 3 == 0) & (mask == 1)} if kind == "mlm" else batch


def answered(tools, assembled, batch, kind, places):
    """What a model answers to some inputs, without what it says about padding."""
    some = {name: value[list(places)] for name, value in batch.items()}
    found = tools.answers(assembled, some)
    if kind == "mlm":
        return found[0].split(some["hidden"].sum(-1).tolist())
    rows = [torch.stack([value[row] for value in found]) for row in range(len(places))]
    return [
        row[:, : LENGTHS[place]] if kind in PER_TOKEN else row
        for row, place in zip(rows, places, strict=True)
    ]


def cut(batch, length):
    return {name: value[..., :length] for name, value in batch.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", EVERY)
def test_answers_do_not_depend_on_the_batch(build, tools, method, kind):
    if adapter_methods.parse(method).lengthens and kind in PER_TOKEN:
        pytest.skip("refused: it puts tokens of its own into the text")
    assembled, batch = build("adapter", tools.spec(kind), method=method), inputs(kind)
    whole = answered(tools, assembled, batch, kind, range(4))
    wider = {
        name: torch.nn.functional.pad(value, (0, 6), value=name == "input_ids")
        for name, value in batch.items()
    }
    others = {
        "alone": [answered(tools, assembled, cut(batch, LENGTHS[i]), kind, [i])[0] for i in range(4)],
        "in pairs": [
            row
            for pair in ((0, 1), (2, 3))
            for row in answered(tools, assembled, cut(batch, max(LENGTHS[i] for i in pair)), kind, pair)
        ],
        "in another order": answered(tools, assembled, batch, kind, (3, 1, 0, 2)),
        "with more padding": answered(tools, assembled, wider, kind, range(4)),
    }
    order = others["in another order"]
    others["in another order"] = [order[2], order[1], order[3], order[0]]
    for what, found in others.items():
        for one, other in zip(whole, found, strict=True):
            assert (one - other).abs().max() <= TOLERANCE, what


@pytest.mark.parametrize("method", EVERY)
def test_answers_do_not_depend_on_the_attention_or_the_threads(build, tools, method, monkeypatch):
    kind = "classification" if adapter_methods.parse(method).lengthens else "tagging"
    batch = inputs(kind)
    first = answered(tools, build("adapter", tools.spec(kind), method=method), batch, kind, range(4))
    made = adapters.library.XLMRobertaAdapterModel._from_config

    def eager(config, **options):
        return made(config, **{**options, "attn_implementation": "eager"})

    monkeypatch.setattr(adapters.library.XLMRobertaAdapterModel, "_from_config", eager)
    other = build("adapter", tools.spec(kind), method=method)
    attention = other.model.roberta.encoder.layer[0].attention.self
    assert type(attention) not in adapters.attention_classes(), "the attention is that of sdpa still"
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        found = answered(tools, other, batch, kind, range(4))
    finally:
        torch.set_num_threads(threads)
    for one, another in zip(first, found, strict=True):
        assert (one - another).abs().max() <= TOLERANCE


def test_a_fusion_of_gated_adapters_does_not_depend_on_the_batch(build, tools, tmp_path):

    parents = {}
    for seed, name in enumerate(("a", "b")):
        gated = build("adapter", tools.spec("tagging", name), method="seq_bn[use_gating=True]", seed=seed)
        gated.save(tmp_path / name)
        parents[name] = tmp_path / name
    batch = inputs("tagging")
    fused = build("fuse(a, b)", tools.spec("tagging"), parents, method="seq_bn[use_gating=True]")
    whole = answered(tools, fused, batch, "tagging", range(4))
    for place, row in enumerate(whole):
        alone = answered(tools, fused, cut(batch, LENGTHS[place]), "tagging", [place])[0]
        assert (alone - row).abs().max() <= TOLERANCE


@pytest.mark.parametrize(
    ("method", "kind", "mended"),
    [
        ("unipelt", "tagging", GateOfText),
        ("prompt_tuning", "classification", EncoderOfPrompts),
        ("loreft[suffix_positions=5]", "tagging", ReftOfText),
    ],
)
def test_mended_parts_answer_to_texts_without_padding_as_those_of_the_library(
    build, tools, method, kind, mended
):
    assembled = build("adapter", tools.spec(kind), method=method)
    batch = {name: value[:1] for name, value in inputs(kind).items()}
    ours = answered(tools, assembled, batch, kind, [0])[0]
    parts = [module for module in assembled.model.modules() if isinstance(module, mended)]
    assert parts
    for module in parts:
        module.__class__ = type(module).__bases__[-1]
    theirs = answered(tools, assembled, batch, kind, [0])[0]
    assert (ours - theirs).abs().max() <= TOLERANCE
    padded = inputs(kind)
    alone = answered(tools, assembled, cut(padded, LENGTHS[2]), kind, [2])[0]
    try:
        beside = answered(tools, assembled, padded, kind, range(4))[2]
    except RuntimeError:
        return
    assert (alone - beside).abs().max() > TOLERANCE, "the library is mended; so can this be"


def test_gates_learn_as_those_of_the_library(build, tools):
    batch = {name: value[:1] for name, value in inputs("tagging").items()}
    found = []
    for library_own in (False, True):
        assembled = build("adapter", tools.spec("tagging"), method="unipelt")
        for module in assembled.model.modules():
            if library_own and isinstance(module, GateOfText):
                module.__class__ = torch.nn.Linear

        assembled(batch).square().sum().backward()
        own = dict(assembled.model.named_parameters())
        found.append({name: own[name].grad for name in assembled.trained if "gate" in name})
    assert found[0]
    for name, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][name], rtol=1e-3, atol=1e-4), name


def test_a_saturated_gate_has_finite_gradients():
    gate = GateOfText(2, 1)
    with torch.no_grad():
        gate.weight.fill_(1e4)
    for value in (1.0, -1.0):
        with adapters.ForwardContext(torch.nn.Module()) as context:
            context.offsets, context.seqlens = torch.zeros(1, dtype=torch.long), torch.tensor([2])
            mean = torch.sigmoid(gate(torch.full((1, 3, 2), value)))
            mean.sum().backward()
        assert mean.item() == pytest.approx(float(value > 0), abs=1e-6)
        assert torch.isfinite(gate.weight.grad).all()
