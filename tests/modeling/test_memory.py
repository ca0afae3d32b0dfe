"""Forecasts of memory: exact where arithmetic tells, and true to what tensors really take."""

from dataclasses import replace

import pytest

from adaptrans.errors import ConfigError
from adaptrans.modeling.efficiency.cpu_attention import use_fast_dropout
from adaptrans.modeling.efficiency.memory_case import Case, Shape, bytes_of, shape_of
from adaptrans.modeling.efficiency.memory_estimation import forecast, most_items

SMALL = Shape(2, 32, 2, 64, 1000)
CASE = Case(SMALL, items=3, length=11)


def test_weights_gradients_and_moments_are_those_of_the_parameters(build, tools):
    import torch

    for text, method in (("adapter", "lora"), ("full", "seq_bn")):
        assembled = build(text, tools.spec("classification"), method=method)
        own = dict(assembled.model.named_parameters())
        found = forecast(replace(CASE, setup=text, method=method, shape=shape_of(assembled.backbone)))
        assert found.trained == sum(own[name].numel() for name in assembled.trained)
        assert found.gradients == 4 * found.trained
        assert found.optimizer == 2 * found.gradients
        buffers = [value for value in assembled.model.buffers() if value.is_floating_point()]
        expected = sum(value.numel() for value in (*own.values(), *buffers)) * 4
        assert expected <= found.weights <= expected + 2 * 514 * 8
    assert torch.get_default_dtype() == torch.float32


def test_what_is_kept_for_the_gradients_is_counted_to_the_byte(build, tools):
    """The same operations on real tensors, each storage counted while it is held."""
    from adaptrans.modeling.efficiency.memory_estimation import Alive, _step

    assembled = build("adapter", tools.spec("classification"))
    found = forecast(replace(CASE, shape=shape_of(assembled.backbone)))
    use_fast_dropout(assembled.train())
    with Alive(assembled) as alive:
        _step(assembled, CASE)
    assert abs(alive.peak - found.gradients - found.activations) < 0.02 * alive.peak


def test_deep_encoders_follow_from_shallow_ones():
    from adaptrans.modeling.efficiency.memory_estimation import _counted

    method = "seq_bn[leave_out='first:3']"
    case = replace(CASE, shape=replace(SMALL, depth=6), method=method, items=8, length=64)
    assert forecast(case) == _counted(case)


def test_options_save_what_they_are_for():
    case = replace(CASE, items=16, length=64)
    whole = forecast(case)
    assert forecast(replace(case, vocabulary=400)).weights == whole.weights - 600 * 32 * 4
    assert forecast(replace(case, precision="bf16")).activations < whole.activations
    assert forecast(replace(case, method="seq_bn[leave_out='first:1']")).activations < whole.activations
    assert forecast(replace(case, training=False)).activations < 0.5 * whole.activations
    assert forecast(replace(case, setup="full")).optimizer > whole.optimizer
    assert forecast(replace(case, setup="fuse(a, b) > target")).trained > whole.trained
    deep = replace(case, shape=replace(SMALL, depth=5))
    again = forecast(replace(deep, checkpointing=True))
    assert again.activations < 0.6 * forecast(deep).activations


@pytest.mark.parametrize("head", ["span_qa", "multiple_choice", "mlm"])
def test_every_head_can_be_forecast(head):
    labels = 2 if head == "multiple_choice" else 3
    assert forecast(replace(CASE, head=head, labels=labels)).activations > 0


def test_as_many_inputs_as_a_budget_takes():
    case = replace(CASE, items=64, length=64)
    peak = forecast(replace(case, items=20)).peak
    found = most_items(case, peak)
    assert 19 <= found <= 20
    assert forecast(replace(case, items=found)).peak <= peak
    assert most_items(case, 10**12) == 64
    assert most_items(case, 10**6) == 0


def test_the_tokens_of_a_prompt_have_no_content_either():
    assert forecast(replace(CASE, method="prompt_tuning")).trained > 0


def test_sizes_are_read_as_they_are_written():
    assert bytes_of("8GB") == bytes_of("8000 mb") == 8 * 10**9
    for wrong in ("8", "8.5", "", "GB", "-1GB", "much"):
        with pytest.raises(ConfigError, match="no amount of memory"):
            bytes_of(wrong)
