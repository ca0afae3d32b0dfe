"""Counted parameters and bytes are those that training and saving give."""

import pytest
import torch

from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.efficiency.memory_estimation import sizes
from adaptrans.modeling.safetensors_io import read_tensors


@pytest.fixture(scope="module")
def counted(base):
    return {size.name: size for size in sizes(base)}


@pytest.mark.parametrize("method", ["seq_bn", "double_seq_bn", "seq_bn_inv", "lora", "vera", "prefix_tuning"])
def test_counts_are_those_of_a_real_adapter(build, tools, tmp_path, counted, method):
    assembled = build("adapter", tools.spec("classification"), method=method)
    own = dict(assembled.model.named_parameters())
    trained = sum(own[name].numel() for name in assembled.trained if not name.startswith("heads."))
    assembled.save(tmp_path / "a")
    stored = read_tensors(tmp_path / "a" / "adapters" / "xnli" / "adapter.safetensors")
    assert counted[method].trained == trained
    assert counted[method].stored == sum(value.numel() * value.element_size() for value in stored.values())


def test_a_fusion_and_the_whole_model(base, build, parents, tools, counted):
    assembled = build("fuse(mnli, squad, qqp)", tools.spec("classification"), parents)
    own = dict(assembled.model.named_parameters())
    trained = sum(own[name].numel() for name in assembled.trained if not name.startswith("heads."))
    width = base.width
    assert counted["fusion"].trained == trained == base.depth * (3 * width * width + 2 * width)
    whole = build("full", tools.spec("classification"), parents)
    own = dict(whole.model.named_parameters())
    names = [name for name in whole.trained if not name.startswith("heads.")]
    assert counted["full"].trained == sum(own[name].numel() for name in names)


@pytest.mark.parametrize(
    "method",
    [
        *(name for name in adapter_methods.names() if not name.startswith(("compacter", "prompt"))),
        "compacter[reduction_factor=4]", "loreft[r=2]", "loreft[suffix_positions=2]",
        "noreft[prefix_positions=0,suffix_positions=2]", "direft[tied_weights=True]", "lora[use_gating=True]",
        "seq_bn[use_gating=True]",
    ],
)  # fmt: skip
def test_every_counted_parameter_takes_part(build, tools, method):
    method = method if method == "loreft[r=2]" else str(adapter_methods.parse(method).quick)
    # A head that reads every token: a classifier reads the first alone.
    assembled = build("adapter", tools.spec("tagging"), method=method)
    assembled(tools.batch_of("tagging")).pow(2).sum().backward()
    own = dict(assembled.model.named_parameters())
    idle = [name for name in assembled.trained if own[name].grad is None or not own[name].grad.any()]
    assert idle == []


def test_reft_counts_the_tokens_that_it_changes(base, counted):
    one = base.depth * (2 * base.width + 1)
    assert counted["loreft"].trained == counted["noreft"].trained == counted["direft"].trained == one
    both, tied = (
        size.trained
        for size in sizes(base, ["loreft[suffix_positions=1]", "loreft[tied_weights=True]"])[-3:-1]
    )
    assert (both, tied) == (2 * one, one)
    assert counted["loreft"].stored == 2 * 4 * one


def test_what_does_not_fit_says_why(counted):
    # Compacter's default reduction of 32 leaves nothing of 32 units.
    assert counted["compacter"].trained is None
    assert "makes no adapter" in counted["compacter"].problem
    assert counted["loreft"].trained == counted["noreft"].trained


def test_published_sizes_of_xlm_r_base(backbone_maker, tmp_path, monkeypatch):
    from transformers import XLMRobertaConfig

    from adaptrans.modeling.backbone import identify

    small = identify(backbone_maker(tmp_path / "b"), tmp_path)
    config = XLMRobertaConfig(
        vocab_size=250002, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=514, type_vocab_size=1,
    )  # fmt: skip
    monkeypatch.setattr(adapters, "_config", lambda backbone: config)
    found = {size.name: size for size in sizes(small)}
    # Source: the parameter budgets of MAD-X and AdapterFusion for this encoder.
    assert found["seq_bn"].trained == 894_528
    assert round(found["fusion"].trained / 1e6, 1) == 21.3
    assert round(found["full"].trained / 1e6) == 277
    assert torch.get_default_device().type == "cpu"
