"""A chain of adapters and fusions while it is built, lowest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from adaptrans.errors import SetupError
from adaptrans.modeling import adapters, fusion, merging
from adaptrans.modeling.adapters import Fused, module_name
from adaptrans.modeling.manifest import Manifest
from adaptrans.modeling.setup.nodes import Setup


@dataclass(frozen=True)
class Chain:
    """A chain of adapters and fusions while it is built.

    Args:
        model: The model that they are loaded into.
        target: The target, after which fusions are named.
        taken: Names of adapters in the model.
        layers: The chain, lowest first.
        below: What may stand below a stored adapter that was trained on top of others; None for a layer that
            none was trained on.
    """

    model: adapters.Model
    target: str | None
    taken: list[str]
    layers: list[str | Fused] = field(default_factory=list)
    below: list[Manifest | None] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """A free name for an adapter, taken from now on."""
        name = module_name(wanted, self.taken)
        self.taken.append(name)
        return name

    def load(self, manifest: Manifest) -> str:
        """Load a stored adapter; returns its name in the model."""
        name = self.name(manifest.target)
        adapters.load_adapter(self.model, name, manifest.adapter_folder)
        return name

    def fuse(self, members: Sequence[str], seed: int) -> None:
        """Add a fresh fusion over loaded adapters."""
        used = [layer.name for layer in self.layers if isinstance(layer, Fused)]
        fused = Fused(module_name(str(self.target), used), tuple(members))
        fusion.add_fusion(self.model, fused, seed + len(used))
        self.layers.append(fused)
        self.below.append(None)

    def merge(self, members: Sequence[Manifest], weights: Sequence[float]) -> None:
        """Add the weighted sum of stored adapters as one adapter."""
        name = self.name("merged")
        merging.add_merged(self.model, name, [item.adapter_folder for item in members], weights)
        self.layers.append(name)
        self.below.append(None)


@dataclass(frozen=True, order=True)
class LayerPosition:
    """A place in an encoder; of two the lower one is the smaller.

    Args:
        layer: Number of the encoder layer.
        inside: Whether it lies inside of the layer, right below what acts on the layer's output, and not at
            its bottom.
    """

    layer: int
    inside: bool = False

    def __str__(self) -> str:
        return f"{'the output of ' if self.inside else ''}layer {self.layer}"


def first_place(model: adapters.Model, layers: Sequence[str | Fused]) -> LayerPosition:
    """Where the lowest adapter of a chain acts; at layer 0 also for one that acts at the embeddings.

    What reaches this place is the bare backbone's.

    Args:
        model: The model.
        layers: The chain, with one adapter at least.
    """
    names = [name for layer in layers for name in (layer.members if isinstance(layer, Fused) else (layer,))]
    keys = [key for name in names for key in adapters.adapter_tensors(model, name)]
    return min(_place(key) for key in keys if "shared_parameters" not in key)


def _place(key: str) -> LayerPosition:
    """Where a tensor of an adapter acts."""
    # The pool of prefixes serves all layers, wherever its tensors are named.
    found = None if ".pool." in key else re.search(r"\.layers?\.(\d+)\.(output\.adapters\.)?", key)
    return LayerPosition(int(found[1]), inside=found[2] is not None) if found else LayerPosition(0)


def check_layers(setup: Setup, stack: Chain) -> None:
    """Refuse what the library would compute without a word, or fail at in its first forward pass.

    Raises:
        SetupError: If an adapter of the chain would have no effect, or fail.
    """
    names = [layer for layer in stack.layers if isinstance(layer, str)]
    for name in names:
        if name != stack.layers[0] and adapters.inverts(stack.model, name):
            raise SetupError(
                f"{setup}: the invertible part of '{name}' has no effect above another adapter",
                remedy="use a method without it, for instance seq_bn",
            )
    reason = clash(stack.model, names)
    if reason:
        raise SetupError(f"{setup}: {reason}", remedy="train them with one method, in the attention alone")
    for fused in (layer for layer in stack.layers if isinstance(layer, Fused)):
        places = fusion.places_of(stack.model, fused.members[0])
        for name in names:
            if not fusion.places_of(stack.model, name) <= places:
                raise SetupError(
                    f"{setup}: '{name}' is in layers that the fused adapters leave out",
                    remedy="give all of them the same method and the same leave_out",
                )


def clash(model: adapters.Model, names: Sequence[str]) -> str | None:
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
