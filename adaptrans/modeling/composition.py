"""Several adapters together: fusions, merges, and what does not stack.

AdapterFusion is attention over frozen adapters: Pfeiffer et al. 2021
(https://aclanthology.org/2021.eacl-main.39), with the library's configuration `dynamic`: query, key and value
matrices, the value matrix starting as the identity.

A merge is one adapter whose weights are a weighted sum of others', with nothing trained. Means of weights
trained apart: Wortsman et al. 2022 (https://arxiv.org/abs/2203.05482). Sums and differences: Ilharco et al.
2023 (https://arxiv.org/abs/2212.04089), for adapters Zhang et al. 2023 (https://arxiv.org/abs/2306.14870),
who negate only one of the two factors of a low-rank product: with both negated the product would stay as it
is.
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
from adaptrans.modeling.adapters import Fused, Model, canonical_name, fusion_of
from adaptrans.modeling.safetensors_io import copy_tensors, read_tensors, write_tensors
from adaptrans.modeling.setup.nodes import Setup

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

# Source: `average_adapter` of adapters 1.3.0, which ignores the same two.
FREE_OPTIONS = ("dropout", "init_weights")


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


def add_merged(model: Model, name: str, folders: Sequence[Path], weights: Sequence[float]) -> None:
    """Add an adapter whose weights are a weighted sum of stored ones.

    Sums are taken in float64 and rounded once, so that every machine gets the same weights.

    Args:
        model: The model that it is added to.
        name: Its name there.
        folders: The stored adapters.
        weights: One for each of them; negative to subtract.

    Raises:
        SetupError: If the adapters have different configurations.
        ArtifactError: If one is missing or damaged.
    """
    configs = [adapters.stored_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        different = sorted(key for key in {*config, *configs[0]} if config.get(key) != configs[0].get(key))
        if set(different) - set(FREE_OPTIONS):
            raise SetupError(
                f"the adapters in {folders[0]} and {folder} differ in {different[0]} and cannot be merged",
                remedy="train both with the same method and options",
            )
    adapters.load_adapter(model, name, folders[0])
    stored = [_tensors(folder) for folder in folders]
    merged = {key: _sum([values[key] for values in stored], _signed(key, weights)) for key in stored[0]}
    own = adapters.adapter_tensors(model, name)
    copy_tensors(
        own, {key: merged[canonical_name(key)] for key in own}, f"the merge of {len(folders)} adapters"
    )


def _signed(key: str, weights: Sequence[float]) -> list[float]:
    """The weights for one tensor: the first factor of a low-rank product is never negated."""
    return [abs(weight) for weight in weights] if "lora_A" in key else list(weights)


def _sum(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = torch.zeros_like(values[0], dtype=torch.float64)
    for value, weight in zip(values, weights, strict=True):
        total += weight * value.to(torch.float64)
    return total.to(values[0].dtype)


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a stored adapter, by names that do not hold its own."""
    stored = read_tensors(folder / adapters.ADAPTER_WEIGHTS)
    return {canonical_name(key): value for key, value in stored.items()}


def check_layers(setup: Setup, model: Model, layers: Sequence[str | Fused]) -> None:
    """Refuse what the library would compute without a word, or fail at in its first forward pass.

    Raises:
        SetupError: If an adapter of the chain would have no effect, or fail.
    """
    names = [layer for layer in layers if isinstance(layer, str)]
    for name in names:
        if name != layers[0] and adapters.inverts(model, name):
            raise SetupError(
                f"{setup}: the invertible part of '{name}' has no effect above another adapter",
                remedy="use a method without it, for instance seq_bn",
            )
    reason = clash(model, names)
    if reason:
        raise SetupError(f"{setup}: {reason}", remedy="train them with one method, in the attention alone")
    for fused in (layer for layer in layers if isinstance(layer, Fused)):
        places = places_of(model, fused.members[0])
        for name in names:
            if not places_of(model, name) <= places:
                raise SetupError(
                    f"{setup}: '{name}' is in layers that the fused adapters leave out",
                    remedy="give all of them the same method and the same leave_out",
                )


def clash(model: Model, names: Sequence[str]) -> str | None:
    """Why stacked adapters do not work inside the same linear layers, or None if they do.

    In a stack the library gives each low-rank adapter what the one below it made, not what the layer was
    given: one that scales then multiplies it, and a layer with other outputs than inputs fails.

    Args:
        model: The model.
        names: The adapters of the stack.
    """
    for layer in (module for module in model.modules() if hasattr(module, "loras")):
        own = [name for name in names if name in layer.loras]
        modes = {layer.loras[name].composition_mode for name in own}
        if len(modes) > 1:
            return f"'{own[0]}' and '{own[1]}' would multiply each other: one adds and one scales"
        if len(own) > 1 and modes == {"add"} and layer.in_features != layer.out_features:
            shape = f"{layer.in_features} x {layer.out_features}"
            return f"'{own[0]}' and '{own[1]}' are both in a layer of {shape}, where they do not stack"
    return None
