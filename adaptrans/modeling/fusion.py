"""AdapterFusion: attention over frozen adapters, its regularization, and what it attends to.

Pfeiffer et al. 2021 (https://aclanthology.org/2021.eacl-main.39), with the library's configuration `dynamic`:
query, key and value matrices, the value matrix starting as the identity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling import adapters
from adaptrans.modeling.adapters import Fused, Model, fusion_of
from adaptrans.modeling.safetensors_io import copy_tensors, read_tensors, write_tensors

FUSION_CONFIG = "adapter_fusion_config.json"
FUSION_WEIGHTS = "model_adapter_fusion.safetensors"
CONFIGURATION = "dynamic"
# Options of a bottleneck that decide what a fusion reads and adds to. The library takes those of the last
# member for all of them.
SHARED_OPTIONS = (
    "is_parallel",
    "original_ln_before",
    "original_ln_after",
    "residual_before_ln",
    "adapter_residual_before_ln",
)


def add_fusion(model: Model, fused: Fused, seed: int) -> None:
    """Add a fresh fusion over adapters of the model; its weights depend on `seed` alone.

    Raises:
        SetupError: If the adapters cannot be fused: a method without bottleneck, other layers, an invertible
            part, or another place of the layer norm.
    """
    _check_members(model, fused)
    with adapters.seeded(seed, "fusion"):
        model.add_adapter_fusion(list(fused.members), CONFIGURATION, name=fused.name)
    for _, layer in _places(model):
        # The library also adds it to layers that the adapters leave out, where it has no effect.
        if fused.members[0] not in layer.adapters:
            layer.delete_fusion_layer(fused.name)
            continue
        # The library hands them a transposed view, on which bfloat16 is 200 times slower on a CPU.
        block = layer.adapter_fusion_layer[fused.name]
        for linear in (block.key, block.value):
            linear.register_forward_pre_hook(_contiguous)


def _contiguous(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inputs of a module, each in one piece of memory."""
    return tuple(tensor.contiguous() for tensor in inputs)


def _check_members(model: Model, fused: Fused) -> None:
    first = fused.members[0]
    options = [_shared_options(model, name) for name in fused.members]
    for name, own in zip(fused.members, options, strict=True):
        if adapters.inverts(model, name):
            raise SetupError(
                f"'{name}' has an invertible part, of which a fusion would use only the first adapter's",
                remedy="train it with a method without one, for instance seq_bn",
            )
        if not places_of(model, name):
            raise SetupError(
                f"'{name}' has no bottleneck, which is what a fusion weighs", remedy="train it with seq_bn"
            )
        if places_of(model, name) != places_of(model, first) or own != options[0]:
            raise SetupError(
                f"'{first}' and '{name}' are of different forms or in different layers and cannot be fused",
                remedy="train both with the same method and the same leave_out",
            )


def _shared_options(model: Model, name: str) -> list[object]:
    config = model.adapters_config.get(name)
    return [getattr(config, option, None) for option in SHARED_OPTIONS]


def _places(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a model that can hold bottlenecks and fusions, by name."""
    for name, module in model.named_modules():
        if hasattr(module, "adapter_fusion_layer"):
            yield name, module


def places_of(model: Model, adapter: str) -> frozenset[str]:
    """Where an adapter has bottlenecks."""
    return frozenset(name for name, module in _places(model) if adapter in module.adapters)


def fusion_tensors(model: Model, name: str) -> dict[str, Tensor]:
    """All tensors of a fusion, by their names in the model."""
    return {key: value for key, value in adapters.tensors(model).items() if fusion_of(key) == name}


def save_fusion(model: Model, name: str, folder: Path) -> None:
    """Write a fusion in the library's own format."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(adapters.fusion_description(model, name), indent=2, sort_keys=True)
    (folder / FUSION_CONFIG).write_text(text + "\n", encoding="utf-8")
    # The library's own writer also takes the tensors of any fusion whose name begins alike.
    write_tensors(folder / FUSION_WEIGHTS, fusion_tensors(model, name))


def load_fusion(model: Model, name: str, folder: Path) -> None:
    """Replace a fusion's weights by stored ones.

    Raises:
        ArtifactError: If the file is missing, damaged, or of another model or other adapters.
    """
    try:
        members = json.loads((folder / FUSION_CONFIG).read_text(encoding="utf-8"))["adapter_names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"the fusion in {folder} cannot be read: {error}", remedy="train or fetch it again"
        ) from error
    own = adapters.fusion_description(model, name)["adapter_names"]
    if members != own:
        raise ArtifactError(
            f"the fusion in {folder} is over {members}, not over {own}",
            remedy="use it with the setup it was saved from",
        )
    stored = read_tensors(folder / FUSION_WEIGHTS)
    copy_tensors(fusion_tensors(model, name), stored, f"the fusion in {folder}")


def regularization(model: Model, fusions: Sequence[str], weight: float) -> Tensor:
    """How far the value matrices are from the identity: `weight` x sum of squared differences, a scalar.

    The library's trainer adds the gradient of this term to that of the *next* step; here it belongs to the
    step itself, so that nothing is pending when training is interrupted.
    """
    terms = []
    for _, layer in _places(model):
        for name in fusions:
            if name in layer.adapter_fusion_layer:
                value = layer.adapter_fusion_layer[name].value.weight
                identity = torch.eye(len(value), device=value.device, dtype=value.dtype)
                terms.append((identity - value).pow(2).sum())
    return weight * torch.stack(terms).sum()


def is_value(parameter: str) -> bool:
    """Whether a parameter is a value matrix, which is drawn to the identity and so not to zero.

    Example:
        >>> is_value("roberta.encoder.layer.0.output.adapter_fusion_layer.xnli.value.weight")
        True
    """
    return fusion_of(parameter) is not None and parameter.endswith(".value.weight")


class Attention:
    """Sums of what every fusion of a model gives to each of its adapters, over tokens.

    Args:
        fusions: The fusions to watch, in the order of the setup.
    """

    def __init__(self, fusions: Sequence[Fused]) -> None:
        self.fusions = tuple(fusions)
        self.tokens = 0
        self._sums: dict[tuple[str, int, str], Tensor] = {}
        self._mask: Tensor | None = None
        self._pending: list[tuple[tuple[str, int, str], Tensor]] = []

    @contextmanager
    def watching(self, model: Model) -> Iterator[Attention]:
        """Add up the shares of all forward passes inside; the model must be in evaluation mode."""
        handles = []
        for place, layer in _places(model):
            for fused in self.fusions:
                if fused.name in layer.adapter_fusion_layer:
                    block = layer.adapter_fusion_layer[fused.name]
                    hook = self._hook((fused.name, *_place(place)), block)
                    handles.append(block.dropout.register_forward_hook(hook))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def batch(self, attention_mask: Tensor) -> None:
        """Say which tokens of the next forward pass are real, 1 = real; shape (..., tokens)."""
        self._settle()
        self._mask = attention_mask.reshape(-1, attention_mask.shape[-1])
        self.tokens += int(self._mask.sum())

    def _hook(self, key: tuple[str, int, str], block: nn.Module) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(_module: nn.Module, _inputs: Any, scores: Tensor) -> None:
            # Dropout does nothing in evaluation, so these are the scores whose softmax weighs the adapters.
            assert self._mask is not None, "batch() says which tokens count"
            shares = torch.softmax(scores.to(torch.float32) / block.T, dim=-1)
            self._pending.append((key, (shares * self._mask.unsqueeze(-1)).sum((0, 1))))

        return add

    def _settle(self) -> None:
        """Fetch the sums of the last batch at its end, so that no layer waits for the device."""
        for key, total in self._pending:
            fetched = total.cpu().to(torch.float64)
            self._sums[key] = self._sums[key] + fetched if key in self._sums else fetched
        self._pending.clear()

    def shares(self) -> list[dict[str, Any]]:
        """Mean shares: one entry per fusion, layer (0-based) and part of it, adapters in their order."""
        self._settle()
        return [
            {
                "fusion": fused.name,
                "layer": number,
                "part": part,
                "shares": (self._sums[name, number, part] / self.tokens).tolist(),
            }
            for fused in self.fusions
            for name, number, part in sorted(self._sums)
            if name == fused.name
        ]


def _place(module: str) -> tuple[int, str]:
    """Layer and part of a module that holds fusions.

    Example:
        >>> _place("roberta.encoder.layer.3.attention.output"), _place("roberta.encoder.layer.3.output")
        ((3, 'attention'), (3, 'output'))
        >>> _place("model.layers.3.attention_adapters"), _place("model.layers.3.output_adapters")
        ((3, 'attention'), (3, 'output'))
    """
    match = re.search(r"\.layers?\.(\d+)\.", module)
    assert match is not None, module
    return int(match[1]), "attention" if re.search(r"\.attention[._]", module) else "output"
