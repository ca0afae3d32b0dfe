"""Training on a CPU: dropout in a quarter of the time, and attention with it in a third to a half.

PyTorch draws 53 random bits for each number that may be dropped, one after the other, which took a fifth of
a training step of XLM-R base in bf16. Sixteen decide as well. And it has no kernel for attention with dropout
on a CPU: all attention weights of a batch are kept several times over, and pass through memory a dozen times.
Here a few inputs are done at a time, so that theirs stay in the cache, and one number is kept for a weight.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from adaptrans.modeling.adapters import attention_classes

# What PyTorch calls to differentiate a ReLU and a softmax.
threshold_backward = torch.ops.aten.threshold_backward
softmax_backward = torch.ops.aten._softmax_backward_data

STEPS = 2**16
"""Values of the random number that decides: a rate of 0.1 becomes 6,554 / 65,536."""

BLOCK = 2**21
"""Attention weights that are computed at once, at least those of one input.

Chosen by time, of attention forward and back in bf16 on two cores, XLM-R base: 59 ms for 32 x 128 pieces with
so many and 89 with an eighth of them; 165 ms for 12 x 384 pieces, and 356 where all are computed at once."""


class FastDropout(nn.Dropout):
    """Dropout at a rate rounded to 1/65,536; what is left is scaled by what that rate leaves."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, some of it dropped while training."""
        dropped = _steps(self.p)
        if not self.training or not dropped or input.device.type != "cpu":
            return super().forward(input)
        return _Dropped.apply(input, dropped)


class FastAttention(nn.Module):
    """Self-attention whose weights are dropped at a rate rounded to 1/65,536, in training on a CPU."""

    def forward(self, hidden_states: Tensor, *arguments: Any, **options: Any) -> Any:
        """As the library's."""
        if not self.training or hidden_states.device.type != "cpu":
            return super().forward(hidden_states, *arguments, **options)
        if torch.is_autocast_enabled("cpu"):
            # Rounded once, and not for queries, keys and values each.
            hidden_states = hidden_states.to(torch.get_autocast_dtype("cpu"))
        with _Attending():
            return super().forward(hidden_states, *arguments, **options)


@lru_cache
def _fast_classes() -> dict[type[nn.Module], type[nn.Module]]:
    """Classes of modules, and what takes their place, where there is something faster."""
    attentions = {
        kind: type(f"Fast{kind.__name__}", (FastAttention, kind), {}) for kind in attention_classes()
    }
    return {nn.Dropout: FastDropout, **attentions}


def use_fast_dropout(model: nn.Module) -> None:
    """Let the dropout of a model be fast; what else it computes stays as it is."""
    fast = _fast_classes()
    for module in model.modules():
        if type(module) in fast and not getattr(module, "inplace", False):
            module.__class__ = fast[type(module)]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    **options: Any,
) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`, with the random numbers of `FastDropout`.

    What nobody here asks for (no dropout, a mask of booleans, a causal one, a scale) is left to PyTorch.
    Scores and weights are rounded to the precision of the inputs, as in attention written out under autocast.
    """
    dropped = _steps(dropout_p)
    asked = any(options.values()) or (attn_mask is not None and not attn_mask.is_floating_point())
    if not dropped or asked:
        return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, **options)
    if torch.is_autocast_enabled("cpu"):
        precision = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(precision), key.to(precision), value.to(precision)
    if attn_mask is not None:
        # The least number of float32 is rounded to minus infinity, of which a softmax could make no numbers.
        attn_mask = attn_mask.to(query.dtype).clamp_min(torch.finfo(query.dtype).min)
        attn_mask = attn_mask.broadcast_to(*query.shape[:3], key.shape[2])
    return _Attended.apply(query, key, value, attn_mask, dropped)


class _Attending(TorchFunctionMode):
    """Where it is active, `attend` is called for PyTorch's attention."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        chosen = attend if func is scaled_dot_product_attention else func
        return chosen(*args, **(kwargs or {}))


class _Dropped(torch.autograd.Function):
    """Drops numbers, so many of `STEPS`."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, dropped: int) -> Tensor:
        kept = _kept(input, dropped).to(input.dtype)
        ctx.save_for_backward(kept)
        ctx.scale = _scale(dropped)
        return _scaled(input, kept, ctx.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _scaled(gradient, kept, ctx.scale), None


class _Attended(torch.autograd.Function):
    """Attention with dropout, some inputs at a time; all of shape (inputs, heads, pieces, size)."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropped: int
    ) -> Tensor:
        inputs, heads, pieces, size = query.shape
        found = _like(value, pieces)
        # Of what is dropped the weight is kept too, with the other sign.
        signed = query.new_empty(inputs, heads, pieces, key.shape[2])
        with torch.autocast("cpu", enabled=False):
            # Products of what lies otherwise in memory would copy it each time.
            query, key, value = _times(query, size**-0.5), key.contiguous(), value.contiguous()
            for some in _blocks(signed):
                scores = query[some] @ key[some].transpose(-1, -2)
                if mask is not None:
                    scores += mask[some]
                weights = scores.softmax(-1)
                torch.where(_kept(weights, dropped), weights, -weights, out=signed[some])
                torch.mul(signed[some].relu() @ value[some], _scale(dropped), out=found[some])
        ctx.save_for_backward(query, key, value, signed)
        ctx.scale = _scale(dropped)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, signed = ctx.saved_tensors
        own = [_like(one, one.shape[2]) for one in (query, key, value)]
        with torch.autocast("cpu", enabled=False):
            for some in _blocks(signed):
                kept, scaled = signed[some].relu(), _times(gradient[some], ctx.scale)
                own[2][some] = kept.transpose(-1, -2) @ scaled
                weights = scaled @ value[some].transpose(-1, -2)
                weights = threshold_backward(weights, signed[some], 0)
                scores = softmax_backward(weights, signed[some].abs(), -1, weights.dtype)
                torch.mul(scores @ key[some], query.shape[-1] ** -0.5, out=own[0][some])
                own[1][some] = scores.transpose(-1, -2) @ query[some]
        return *own, None, None


def _steps(rate: float) -> int:
    """How many of `STEPS` are dropped; 0 where that is all of them or none, which is left to PyTorch."""
    found = round(rate * STEPS)
    return found if found < STEPS else 0


def _scale(dropped: int) -> float:
    return STEPS / (STEPS - dropped)


def _kept(values: Tensor, dropped: int) -> Tensor:
    """Which of some numbers are kept, drawn anew."""
    number = values.numel()
    # Each of these has the bits of four numbers; without bounds the highest bit would never be set.
    bits = torch.empty(-(-number // 4), dtype=torch.int64).random_(-(2**63), None)
    return bits.view(torch.int16)[:number].view(values.shape) >= dropped - STEPS // 2


def _scaled(values: Tensor, kept: Tensor, scale: float) -> Tensor:
    """All three multiplied in one pass, the scale not rounded to the precision of the values."""
    return torch.addcmul(values.new_zeros(()), values, kept, value=scale)


def _times(values: Tensor, factor: float) -> Tensor:
    """Values times a factor, one after the other in memory."""
    return torch.mul(values, factor, out=values.new_empty(values.shape))


def _like(values: Tensor, pieces: int) -> Tensor:
    """Room for so many pieces of each head, the heads of a piece side by side as in a layer."""
    inputs, heads, _, size = values.shape
    return values.new_empty(inputs, pieces, heads, size).transpose(1, 2)


def _blocks(weights: Tensor) -> list[slice]:
    """The inputs whose weights are computed at once, by `BLOCK`."""
    number = max(1, BLOCK // weights.shape[1:].numel())
    return [slice(start, start + number) for start in range(0, len(weights), number)]
