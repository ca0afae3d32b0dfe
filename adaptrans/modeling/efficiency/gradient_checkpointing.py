"""Gradient checkpointing: activations recomputed in the backward pass; frozen weights as they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from adaptrans.modeling.adapters import ForwardContext, Model, adapter_name, fusion_of, spec_of, stack_of


def checkpoint_activations(model: Model) -> None:
    """Keep only the input of every encoder layer for the gradients, and compute the layer again from it.

    The gradients are the same, dropout included; a step takes about a third longer.

    The library's own switch also asks for gradients of the embeddings, which cost time and serve nothing.
    """

    spec_of(model).require("gradient_checkpointing")

    def again(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # The second pass happens outside of the model's forward, whose context adapters look for.
        context = ForwardContext.get_context()
        return checkpoint(
            function,
            *arguments,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), context or nullcontext()),
            **options,
        )

    model._set_gradient_checkpointing(enable=True, gradient_checkpointing_func=again)


def keep_frozen_in(model: Model, precision: str) -> None:
    """Keep the encoder's frozen matrices in the precision in which they are multiplied.

    Under autocast they are rounded before each product; rounded once, they give the same products bit by
    bit, take half the memory, and need not be rounded in every forward pass. Embeddings, layer norms,
    adapters and heads stay as they are.

    Args:
        model: The model, with what is trained set.
        precision: `fp32`, which changes nothing, or `bf16`.
    """
    if precision != "bf16":
        return
    for module in _frozen(model):
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(torch.bfloat16)


def _frozen(model: Model) -> Iterator[nn.Module]:
    """The linear layers of the encoder itself that are only multiplied with."""
    for name, module in stack_of(model).named_modules():
        own = adapter_name(f"{name}.weight") is None and fusion_of(f"{name}.weight") is None
        if own and isinstance(module, nn.Linear) and module.weight.dtype == torch.float32:
            frozen = not any(parameter.requires_grad for parameter in module.parameters(recurse=False))
            if frozen and not reads_weights(module):
                yield module


def reads_weights(module: nn.Module) -> bool:
    """Whether an adapter in a layer computes with its weights themselves: DoRA takes their norms."""
    return any(getattr(lora, "use_dora", False) for lora in getattr(module, "loras", {}).values())
