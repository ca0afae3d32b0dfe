"""Models around one copy of a backbone, and weights in bf16: the same answers as models of their own."""

import pytest
import torch

from adaptrans.modeling.efficiency import frozen_weights
from adaptrans.modeling.efficiency.shared_layers import Common, LayerPosition, common_place
from adaptrans.utils.devices import autocast

METHODS = ["seq_bn", "par_bn", "lora", "ia3", "prefix_tuning", "seq_bn_inv", "mam"]
CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["classification", "span_qa"])
@pytest.mark.parametrize("method", METHODS)
def test_weights_in_bf16_answer_as_autocast_does(build, tools, method, kind):
    assembled = build("adapter", tools.spec(kind), method=method)
    batch = tools.batch_of(kind)
    with autocast(CPU, "bf16"):
        before = tools.answers(assembled, batch)
    frozen_weights.cast_once(assembled.model.requires_grad_(False))
    with autocast(CPU, "bf16"):
        after = tools.answers(assembled, batch)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    weights = [layer.attention.self.query.weight for layer in assembled.model.roberta.encoder.layer]
    assert all(weight.dtype == torch.bfloat16 for weight in weights)
    assert assembled.model.get_input_embeddings().weight.dtype == torch.float32


def test_twins_share_memory_and_answer_as_models_of_their_own(build, parents, tools):
    setups = [
        ("adapter", "seq_bn"),
        ("mnli > target", "seq_bn"),
        ("adapter", "lora"),
        ("full(whole)", "seq_bn"),
    ]
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    alone = [build(text, head, parents, method=method) for text, method in setups]
    prepared = []
    with frozen_weights.one_backbone(prepared.append):
        together = [build(text, head, parents, method=method) for text, method in setups]
    assert len(prepared) == 1
    for one, other in zip(alone, together, strict=True):
        assert tools.same(one, other, batch)
        assert one.trained == other.trained
    places = [model.model.get_input_embeddings().weight.data_ptr() for model in together]
    assert places[0] == places[1] == places[2] != places[3]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_shared_ends_below_the_first_difference(build, parents, tools, precision):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    with frozen_weights.one_backbone(lambda model: None):
        high = build("adapter", head, method="seq_bn[leave_out='first:3']")
        middle = build("adapter", head, method="lora[leave_out='first:2']")
        low = build("adapter", head)
        parallel = build("adapter", head, method="par_bn")
        both = build("adapter", head, method="double_seq_bn")
    other = build("adapter", head, method="seq_bn[leave_out='first:3']")
    assert common_place([high, middle]) == common_place([middle, high]) == LayerPosition(2)
    assert common_place([high, high]) == LayerPosition(3, inside=True)
    assert common_place([high, low]) == common_place([low, parallel]) == LayerPosition(0, inside=True)
    assert common_place([low, both]) == common_place([high]) == LayerPosition(0)
    # Equal numbers in other memory may be changed apart.
    assert common_place([high, other]) == LayerPosition(0)
    for pair in ([high, middle], [high, high], [high, low], [low, parallel], [low, both]):
        common = Common(pair)
        with torch.inference_mode(), autocast(CPU, precision):
            states = common.states(batch)
            for assembled in pair:
                with common.given(assembled, states):
                    given = tools.answers(assembled, batch)
                assert torch.equal(given[0], tools.answers(assembled, batch)[0])
