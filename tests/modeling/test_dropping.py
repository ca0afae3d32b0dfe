"""Swift dropout and attention drop as often, scale as much and repeat as PyTorch's do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from adaptrans.modeling.adapters import attention_classes
from adaptrans.modeling.efficiency import cpu_attention
from adaptrans.modeling.efficiency.cpu_attention import FastAttention, FastDropout, attend, use_fast_dropout

LEAST = torch.finfo(torch.float32).min


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_and_the_mean_are_as_asked_at_every_place(dtype, rate):
    torch.manual_seed(1)
    values = FastDropout(rate)(torch.ones(400_000, dtype=dtype)).float()
    # Four numbers share the bits of one draw; each of them is dropped as often.
    shares = (values.view(-1, 4) == 0).float().mean(0)
    assert shares.tolist() == pytest.approx([rate] * 4, abs=5 * (rate * (1 - rate) / 100_000) ** 0.5)
    pairs = torch.corrcoef((values.view(-1, 4) == 0).float().T)
    assert (pairs - torch.eye(4)).abs().max() < 5 / 100_000**0.5
    left = values[values != 0].unique()
    assert left.tolist() == pytest.approx([1 / (1 - rate)], rel=1e-4 if dtype is torch.float32 else 4e-3)


@given(st.lists(st.integers(1, 5), max_size=3), st.floats(0.001, 0.999), st.integers(0, 2**31))
def test_the_gradient_passes_where_the_values_do(shape, rate, seed):
    module = FastDropout(rate)
    values = torch.full(shape, 2.0, requires_grad=True)
    torch.manual_seed(seed)
    found = module(values)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach() / 2)
    torch.manual_seed(seed)
    assert torch.equal(module(values), found)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1.0])
def test_all_or_nothing_is_left_to_pytorch(rate):
    found = FastDropout(rate)(torch.ones(1000))
    assert torch.equal(found, torch.zeros(1000) if rate == 1 else torch.ones(1000))


def drawn(shape, keys=None, dtype=torch.float64, seed=0):
    """Queries, keys and values with gradients, and a mask that hides each input's last key."""
    generator = torch.Generator().manual_seed(seed)
    inputs, heads, pieces, size = shape
    keys = keys or pieces
    found = [
        torch.randn(inputs, heads, number, size, generator=generator, dtype=torch.float64).to(dtype)
        for number in (pieces, keys, keys)
    ]
    mask = torch.zeros(inputs, 1, 1, keys).index_fill_(3, torch.tensor([keys - 1]), LEAST)
    return [one.requires_grad_() for one in found], mask.expand(inputs, 1, pieces, keys)


def written_out(queries, keys, values, mask, rate):
    """Attention as its formula has it, and its own share of dropped weights."""
    scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5 + mask
    return FastDropout(rate)(scores.softmax(-1)) @ values


@pytest.mark.parametrize("block", [1, 40, cpu_attention.BLOCK])
def test_attention_and_its_gradients_are_those_of_the_formula(monkeypatch, block):
    # One input's weights are a whole number of draws, so that blocks of any size draw the same numbers.
    monkeypatch.setattr(cpu_attention, "BLOCK", block)
    found = []
    for function in (attend, written_out):
        own, mask = drawn((5, 2, 4, 8), keys=6)
        torch.manual_seed(3)
        answer = function(*own, mask.double(), 0.3)
        (answer * torch.arange(8.0)).sum().backward()
        found.append([answer.detach(), *(one.grad for one in own)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_attention_is_differentiated_exactly():
    own, mask = drawn((2, 2, 3, 4))

    def repeated(*tensors):
        torch.manual_seed(1)
        return attend(*tensors, mask, 0.5)

    assert torch.autograd.gradcheck(repeated, own)


def test_attention_drops_so_many_weights_and_keeps_their_mean():
    values = torch.eye(50).expand(400, 1, 50, 50)
    queries = torch.zeros(400, 1, 50, 50)
    torch.manual_seed(1)
    weights = attend(queries, queries, values, None, 0.1)
    assert (weights == 0).float().mean().item() == pytest.approx(0.1, abs=0.001)
    assert weights.sum(-1).mean().item() == pytest.approx(1, abs=0.001)


def test_attention_in_bf16_is_close_and_no_input_is_lost_to_its_mask():
    own, mask = drawn((3, 2, 6, 8), dtype=torch.float32)
    exact, _ = drawn((3, 2, 6, 8))
    mask = mask.clone()
    mask[0] = LEAST  # padding alone: minus infinity in bf16
    answers = []
    for tensors, precise in ((own, False), (exact, True)):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not precise):
            answers.append(attend(*tensors, mask, 0.2))
        answers[-1].float().sum().backward()
    assert answers[0].dtype == torch.bfloat16
    assert torch.isfinite(answers[0]).all()
    torch.testing.assert_close(answers[0][1:].double(), answers[1][1:], rtol=0.05, atol=0.05)
    for one, other in zip(own, exact, strict=True):
        torch.testing.assert_close(one.grad[1:].double(), other.grad[1:], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout_p": 0.3, "is_causal": True},
        {"dropout_p": 0.3, "scale": 2.0},
        {"dropout_p": 0.3, "attn_mask": torch.tensor([True, True, False])},
    ],
)
def test_what_is_not_asked_for_is_left_to_pytorch(options):
    tensors = drawn((2, 2, 3, 4))[0]
    torch.manual_seed(1)
    found = attend(*tensors, **options)
    torch.manual_seed(1)
    assert torch.equal(found, scaled_dot_product_attention(*tensors, **options))


def test_a_model_answers_as_before(build, tools, monkeypatch):
    assembled = build("adapter", tools.spec("classification"), method="seq_bn[dropout=0.2]")
    batch, model = tools.batch_of("classification"), assembled.model
    before = tools.answers(assembled, batch)
    modules = list(model.modules())
    use_fast_dropout(model)
    for plain, swift in (([nn.Dropout], FastDropout), (attention_classes(), FastAttention)):
        assert sum(isinstance(module, swift) for module in modules) > 0
        assert not any(type(module) in plain for module in modules)
    asked = []
    monkeypatch.setattr(
        cpu_attention, "attend", lambda *own, **more: asked.append(own) or attend(*own, **more)
    )
    assert torch.equal(tools.answers(assembled, batch)[0], before[0])
    assert not asked
    model.train()
    torch.manual_seed(1)
    assert not torch.equal(tools.answers(assembled, batch)[0], before[0])
    assert len(asked) == sum(isinstance(module, FastAttention) for module in modules)
    model.eval()


@pytest.mark.parametrize("method", ["seq_bn", "par_bn", "lora", "prefix_tuning", "prompt_tuning"])
def test_a_model_learns_as_with_attention_written_out(build, tools, monkeypatch, method):
    def plain(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False):
        return written_out(query, key, value, 0 if attn_mask is None else attn_mask, dropout_p)

    gradients = []
    for function in (attend, plain):
        monkeypatch.setattr(cpu_attention, "attend", function)
        assembled = build("adapter", tools.spec("classification"), method=method)
        use_fast_dropout(assembled.model.train())
        torch.manual_seed(1)
        assembled(tools.batch_of("classification")).square().sum().backward()
        own = assembled.model.named_parameters()
        gradients.append({name: one.grad for name, one in own if one.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() != set()
    for name, one in gradients[0].items():
        torch.testing.assert_close(one, gradients[1][name], rtol=1e-3, atol=1e-5)
