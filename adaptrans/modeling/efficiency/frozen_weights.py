"""What frozen weights save: one copy for several setups, half the bytes, activations computed again.

Gradient checkpointing stands here, too: what it keeps of a frozen layer is its input alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from adaptrans.modeling import adapters
from adaptrans.modeling.adapters import ForwardContext, Model, adapter_name, fusion_of, spec_of, stack_of
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.efficiency.quantization import quantize as in_few_bits
from adaptrans.modeling.setup.validation import UNQUANTIZED, require_bitsandbytes


@dataclass(frozen=True)
class _Shelf:
    """Bare models that others are made of."""

    prepare: Callable[[Model], None]
    models: dict[tuple[str, bytes | None, str], Model] = field(default_factory=dict)


_shelf: ContextVar[_Shelf | None] = ContextVar("shelf of bare models", default=None)


@contextmanager
def one_backbone(prepare: Callable[[Model], None]) -> Iterator[None]:
    """While the block runs, models of adapter setups are built around the same weights of their backbone.

    They answer as models of their own would; nothing may change those weights.

    Args:
        prepare: Called once with a backbone's bare model, to move or convert its weights.
    """
    token = _shelf.set(_Shelf(prepare))
    try:
        yield
    finally:
        _shelf.reset(token)


def bare_model(backbone: Backbone, tokens: np.ndarray | None = None, quantize: str = UNQUANTIZED) -> Model:
    """A bare model whose weights stay frozen, see `adapters.bare_model`; loaded once in `one_backbone`.

    Args:
        backbone: The base.
        tokens: Ids of the pieces whose embeddings are loaded, the others by need; None for all.
        quantize: `8bit` or `4bit` for linear layers kept so, each from when it has been read; or `none`.

    Raises:
        ConfigError: If bitsandbytes is needed and missing.
    """
    shelf = _shelf.get()
    if shelf is None:
        return _loaded(backbone, tokens, quantize)
    key = (backbone.fingerprint, None if tokens is None else tokens.tobytes(), quantize)
    if key not in shelf.models:
        first = _loaded(backbone, tokens, quantize).requires_grad_(False)
        shelf.prepare(first)
        shelf.models[key] = first
    return _twin(shelf.models[key])


def _loaded(backbone: Backbone, tokens: np.ndarray | None, quantize: str) -> Model:
    if quantize == UNQUANTIZED:
        return adapters.bare_model(backbone, tokens)
    backbone.spec.require("quantization")
    require_bitsandbytes(quantize)
    return adapters.bare_model(backbone, tokens, partial(in_few_bits, how=quantize))


def _twin(model: Model) -> Model:
    """A model of the same weights in the same memory, to which adapters can be added."""
    # Embeddings that are read as pieces are met are one module, so that they are read once.
    words = model.get_input_embeddings()
    shared = {id(words): words}
    for tensor in [*model.parameters(), *model.buffers()]:
        shared[id(tensor)] = (
            nn.Parameter(tensor.detach(), requires_grad=False) if isinstance(tensor, nn.Parameter) else tensor
        )
    return copy.deepcopy(model, shared)


def cast_once(model: nn.Module) -> None:
    """Convert the linear layers of a frozen model to bf16, which autocast would do at every call.

    The results are the same to the last bit: a linear layer under autocast rounds its weights so, and keeps
    no copy of what it rounded where they are frozen.
    """
    tied = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for module in model.modules():
        if isinstance(module, nn.Linear) and id(module.weight) not in tied:
            _cast(module)


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
    for name, module in stack_of(model).named_modules():
        own = adapter_name(f"{name}.weight") is None and fusion_of(f"{name}.weight") is None
        exact = own and isinstance(module, nn.Linear) and module.weight.dtype == torch.float32
        if exact and not any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            _cast(module)


def _cast(layer: nn.Linear) -> None:
    """Keep a linear layer in bf16, unless an adapter in it computes with its weights."""
    for parameter in () if reads_weights(layer) else (layer.weight, layer.bias):
        if parameter is not None and parameter.dtype == torch.float32:
            parameter.data = parameter.data.to(torch.bfloat16)


def reads_weights(module: nn.Module) -> bool:
    """Whether an adapter in a layer computes with its weights themselves: DoRA takes their norms."""
    return any(getattr(lora, "use_dora", False) for lora in getattr(module, "loras", {}).values())


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
