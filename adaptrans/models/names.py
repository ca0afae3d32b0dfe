"""Names of modules and tensors in a model of the `adapters` library."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

# Containers of the library whose next name is that of an adapter. Source: AdapterLoader.filter_func.
_OWNER = re.compile(
    r"(?:^|\.)(?:[A-Za-z_]*adapters|prefix_tunings|prefix_gates|loras|refts|prompt_tunings"
    r"|shared_parameters)\.([^.]+)\."
)
# The library's container of fusions; the next name is the fusion's.
_FUSION = re.compile(r"\.adapter_fusion_layer\.([^.]+)\.")

# Attributes by which this package, the library and transformers tell modules apart: a container that held a
# module of such a name would be taken for another kind.
_TOLD_BY = (
    *("loras", "adapter_fusion_layer", "use_dora", "loaded_embeddings", "gradient_checkpointing"),
    *("gradient_checkpointing_func", "_gradient_checkpointing_func"),
)


def module_name(name: str, taken: Sequence[str] = ()) -> str:
    """A name that a torch module can have, different from those taken.

    Example:
        >>> module_name("tydiqa.gold"), module_name("items"), module_name("mnli", ["mnli"])
        ('tydiqa_gold', 'items_', 'mnli_2')
        >>> module_name("loras")
        'loras_'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
    if plain in _TOLD_BY or hasattr(nn.ModuleDict(), plain):
        plain += "_"
    free, number = plain, 1
    while free in taken:
        number += 1
        free = f"{plain}_{number}"
    return free


def owner(key: str) -> str | None:
    """The adapter that a tensor of the model belongs to, None for backbone and heads.

    Example:
        >>> owner("roberta.encoder.layer.0.output.adapters.mnli.adapter_up.bias")
        'mnli'
    """
    match = None if key.startswith("heads.") else _OWNER.search(key)
    return match[1] if match else None


def fusion_of(key: str) -> str | None:
    """The fusion that a tensor of the model belongs to, None for all others.

    Example:
        >>> fusion_of("roberta.encoder.layer.0.output.adapter_fusion_layer.xnli.query.weight")
        'xnli'
    """
    match = _FUSION.search(key)
    return match[1] if match else None


def anonymous(key: str) -> str:
    """The name of an adapter's tensor without the adapter's own.

    Example:
        >>> anonymous("roberta.encoder.layer.0.output.adapters.mnli.adapter_up.bias")
        'roberta.encoder.layer.0.output.adapters.*.adapter_up.bias'
    """
    return renamed(key, "*")


def renamed(key: str, name: str) -> str:
    """The name of an adapter's tensor in an adapter of another name."""
    match = _OWNER.search(key)
    return f"{key[: match.start(1)]}{name}{key[match.end(1) :]}" if match else key
