"""Merging adapters: one adapter whose weights are a weighted sum of others', with nothing trained.

Means of weights trained apart: Wortsman et al. 2022 (https://arxiv.org/abs/2203.05482). Sums and
differences: Ilharco et al. 2023 (https://arxiv.org/abs/2212.04089), for adapters Zhang et al. 2023
(https://arxiv.org/abs/2306.14870), who negate only one of the two factors of a low-rank product: with
both negated the product would stay as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling import adapters
from adaptrans.modeling.adapters import Model, canonical_name
from adaptrans.modeling.safetensors_io import copy_tensors, read_tensors

# Source: `average_adapter` of adapters 1.3.0, which ignores the same two.
FREE_OPTIONS = ("dropout", "init_weights")


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
    configs = [_config(folder) for folder in folders]
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


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / adapters.ADAPTER_CONFIG).read_text(encoding="utf-8"))["config"]
        return dict(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"the adapter in {folder} cannot be read: {error}", remedy="train or fetch it again"
        ) from error


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a stored adapter, by names that do not hold its own."""
    stored = read_tensors(folder / adapters.ADAPTER_WEIGHTS)
    return {canonical_name(key): value for key, value in stored.items()}
