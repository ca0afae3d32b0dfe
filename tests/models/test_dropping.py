"""Swift dropout drops as often, scales as much and repeats as PyTorch's does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adaptrans.models.dropping import SwiftDropout, drop_swiftly


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_and_the_mean_are_as_asked_at_every_place(dtype, rate):
    torch.manual_seed(1)
    values = SwiftDropout(rate)(torch.ones(400_000, dtype=dtype)).float()
    # Four numbers share the bits of one draw; each of them is dropped as often.
    shares = (values.view(-1, 4) == 0).float().mean(0)
    assert shares.tolist() == pytest.approx([rate] * 4, abs=5 * (rate * (1 - rate) / 100_000) ** 0.5)
    pairs = torch.corrcoef((values.view(-1, 4) == 0).float().T)
    assert (pairs - torch.eye(4)).abs().max() < 5 / 100_000**0.5
    left = values[values != 0].unique()
    assert left.tolist() == pytest.approx([1 / (1 - rate)], rel=1e-4 if dtype is torch.float32 else 4e-3)


@given(st.lists(st.integers(1, 5), max_size=3), st.floats(0.001, 0.999), st.integers(0, 2**31))
def test_the_gradient_passes_where_the_values_do(shape, rate, seed):
    module = SwiftDropout(rate)
    values = torch.full(shape, 2.0, requires_grad=True)
    torch.manual_seed(seed)
    found = module(values)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach() / 2)
    torch.manual_seed(seed)
    assert torch.equal(module(values), found)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1.0])
def test_all_or_nothing_is_left_to_pytorch(rate):
    found = SwiftDropout(rate)(torch.ones(1000))
    assert torch.equal(found, torch.zeros(1000) if rate == 1 else torch.ones(1000))


def test_a_model_answers_as_before(build, tools):
    assembled = build("adapter", tools.spec("classification"), method="seq_bn[dropout=0.2]")
    batch, model = tools.batch_of("classification"), assembled.model
    before = tools.answers(assembled, batch)
    number = sum(type(module) is nn.Dropout for module in model.modules())
    drop_swiftly(model)
    assert sum(type(module) is SwiftDropout for module in model.modules()) == number > 10
    assert torch.equal(tools.answers(assembled, batch)[0], before[0])
    model.train()
    torch.manual_seed(1)
    assert not torch.equal(tools.answers(assembled, batch)[0], before[0])
    model.eval()
