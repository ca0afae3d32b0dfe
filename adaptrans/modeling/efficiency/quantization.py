"""The frozen linear layers of an encoder in 8 or 4 bits, by bitsandbytes.

Weights alone are rounded, and once: a layer makes its matrix again in the precision of its input, forward
and backward, and lets it go. So training, dev scores and answers see the same numbers, on every device, while
the package's own layers also round what comes in, or repack themselves, when they answer and not when they
train. Embeddings, layer norms, biases, adapters and heads stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptrans.modeling.adapters import LoRALinear, adapter_name, fusion_of
from adaptrans.modeling.setup.validation import UNQUANTIZED, require_bitsandbytes

BLOCK = 64
"""Weights that share a scale in 4 bits. Source: QLoRA's block size (arXiv 2305.14314, section 3)."""


@dataclass(frozen=True)
class Scheme:
    """A way to keep a matrix in few bits.

    Args:
        pack: From a matrix, shape (outputs, inputs), float32, to integers and scales.
        unpack: From integers, scales, shape and precision back to a matrix.
    """

    pack: Callable[[Tensor], tuple[Tensor, Tensor]]
    unpack: Callable[[Tensor, Tensor, tuple[int, ...], torch.dtype], Tensor]


class QuantizedLinear(nn.Linear):
    """A linear layer whose frozen matrix is kept in few bits; made by `quantize`, not by its constructor.

    Args of an instance: `weight` holds integers, `scales` what they are multiplied with.
    """

    scales: Tensor
    scheme: Scheme

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """The matrix that the layer multiplies with, shape (outputs, inputs)."""
        shape = (self.out_features, self.in_features)
        return self.scheme.unpack(self.weight.detach(), self.scales, shape, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The product, as autocast would have it; only the input gets a gradient."""
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        return _Product.apply(input.to(dtype), self)


class QuantizedLoRALinear(LoRALinear, QuantizedLinear):
    """Such a layer that holds low-rank adapters, in float32, above its product."""


class _Product(torch.autograd.Function):
    """Multiplies with a matrix that is made for it, once forward and once backward."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.detach().to(input.dtype)
        return functional.linear(input, layer.matrix(input.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.matrix(gradient.dtype), None


def quantize(encoder: nn.Module, how: str, schemes: dict[str, Scheme] | None = None) -> None:
    """Keep the linear layers of an encoder, or of a part of it, in few bits; adapters in it are left alone.

    Args:
        encoder: The layers; their matrices are never trained from now on.
        how: `none`, `8bit` or `4bit`.
        schemes: Ways by name, for tensors without content.

    Raises:
        ConfigError: If bitsandbytes is missing.
    """
    if how == UNQUANTIZED:
        return
    if schemes is None:
        require_bitsandbytes(how)
    scheme = (schemes or SCHEMES)[how]
    for module in list(_linears(encoder)):
        values, scales = scheme.pack(module.weight.detach())
        module.__class__ = QuantizedLoRALinear if isinstance(module, LoRALinear) else QuantizedLinear
        module.weight = nn.Parameter(values, requires_grad=False)
        if module.bias is not None:
            module.bias.requires_grad_(False)
        module.register_buffer("scales", scales, persistent=False)
        module.scheme = scheme


def _linears(encoder: nn.Module) -> Iterator[Any]:
    """The linear layers of the encoder itself that are not yet in few bits."""
    for name, module in encoder.named_modules():
        own = adapter_name(f"{name}.weight") is None and fusion_of(f"{name}.weight") is None
        if own and isinstance(module, nn.Linear) and not isinstance(module, QuantizedLinear):
            yield module


def _functions() -> Any:
    from bitsandbytes import functional as found

    return found


def _to_8bit(matrix: Tensor) -> tuple[Tensor, Tensor]:
    # The package takes rows in half precision alone.
    values, scales, _ = _functions().int8_vectorwise_quant(matrix.half())
    return values, scales


def _from_8bit(values: Tensor, scales: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    # As the package's own product does on a CPU; its function would make a float32 copy in between.
    return values.view(shape).to(dtype).mul_(scales.mul(1 / 127).unsqueeze(1))


def _to_4bit(matrix: Tensor) -> tuple[Tensor, Tensor]:
    values, state = _functions().quantize_4bit(
        matrix.float().contiguous(), blocksize=BLOCK, compress_statistics=False, quant_type="nf4"
    )
    return values, state.absmax


def _from_4bit(values: Tensor, scales: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    state = _functions().QuantState(
        absmax=scales, shape=torch.Size(shape), dtype=dtype, blocksize=BLOCK, quant_type="nf4"
    )
    return _functions().dequantize_4bit(values, quant_state=state)


SCHEMES = {"8bit": Scheme(_to_8bit, _from_8bit), "4bit": Scheme(_to_4bit, _from_4bit)}


def _outline(values: Tensor, _scales: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=values.device)


def _outline_8bit(matrix: Tensor) -> tuple[Tensor, Tensor]:
    return matrix.new_empty(matrix.shape, dtype=torch.int8), matrix.new_empty(len(matrix))


def _outline_4bit(matrix: Tensor) -> tuple[Tensor, Tensor]:
    values = matrix.new_empty(-(-matrix.numel() // 2), 1, dtype=torch.uint8)
    return values, matrix.new_empty(-(-matrix.numel() // BLOCK))


OUTLINES = {"8bit": Scheme(_outline_8bit, _outline), "4bit": Scheme(_outline_4bit, _outline)}
"""The same for tensors with a shape and no content, for which bitsandbytes need not be there."""
