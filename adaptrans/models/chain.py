"""A chain of adapters and fusions while it is built, lowest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adaptrans.models import fusing, library, merging
from adaptrans.models.library import Fused
from adaptrans.models.manifest import Manifest


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

    model: library.Model
    target: str | None
    taken: list[str]
    layers: list[str | Fused] = field(default_factory=list)
    below: list[Manifest | None] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """A free name for an adapter, taken from now on."""
        name = library.module_name(wanted, self.taken)
        self.taken.append(name)
        return name

    def load(self, manifest: Manifest) -> str:
        """Load a stored adapter; returns its name in the model."""
        name = self.name(manifest.target)
        library.load_adapter(self.model, name, manifest.adapter_folder)
        return name

    def fuse(self, members: Sequence[str], seed: int) -> None:
        """Add a fresh fusion over loaded adapters."""
        used = [layer.name for layer in self.layers if isinstance(layer, Fused)]
        fused = Fused(library.module_name(str(self.target), used), tuple(members))
        fusing.add_fusion(self.model, fused, seed + len(used))
        self.layers.append(fused)
        self.below.append(None)

    def merge(self, members: Sequence[Manifest], weights: Sequence[float]) -> None:
        """Add the weighted sum of stored adapters as one adapter."""
        name = self.name("merged")
        merging.add_merged(self.model, name, [item.adapter_folder for item in members], weights)
        self.layers.append(name)
        self.below.append(None)
