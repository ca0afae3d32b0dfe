"""Counted parameters and bytes are those that training and saving give."""

import pytest
import torch

from adaptrans.modeling import adapters
from adaptrans.modeling.artifact import save_artifact
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
    save_artifact(assembled, tmp_path / "a")
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
