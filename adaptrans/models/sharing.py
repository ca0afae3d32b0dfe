"""Several setups on one backbone: what lies below their first difference is computed once.

Equal results are what decides: layers are shared where the models hold the very same tensors and no adapter
acts, so that each model would compute the same states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn

from adaptrans.models.adapting import Assembled
from adaptrans.models.chain import Place, first_place
from adaptrans.models.layerwise import resumed_at, states_below


class Common:
    """What some models have in common at the bottom.

    Args:
        assembled: The models under their setups.
    """

    def __init__(self, assembled: Sequence[Assembled]) -> None:
        self._first = assembled[0]
        self.place = common_place(assembled)

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What the common part makes of a batch, as `states_below` gives it; empty if there is none."""
        return () if self.place == NOWHERE else states_below(self._first, self.place, batch)

    def given(self, assembled: Assembled, states: tuple[Tensor, ...]) -> AbstractContextManager[None]:
        """Let a model go on from these states in its next forward passes."""
        return resumed_at(assembled.model, self.place, states) if states else nullcontext()


NOWHERE = Place(0)
"""Where nothing is shared but the embeddings, which cost nothing."""


def common_place(assembled: Sequence[Assembled]) -> Place:
    """Up to where some models compute the same: their tensors are the same memory, without an adapter."""
    if len(assembled) < 2:
        return NOWHERE
    places = [
        first_place(item.model, item.layers) if item.layers else Place(item.backbone.depth)
        for item in assembled
    ]
    free = min(places)
    encoders = [item.model.roberta for item in assembled]
    if not _same([encoder.embeddings for encoder in encoders]):
        return NOWHERE
    stacks = [encoder.encoder.layer for encoder in encoders]
    for number in range(free.layer):
        if not _same([stack[number] for stack in stacks]):
            return Place(number)
    # Below the adapter at a layer's output lie its attention and its feed-forward part.
    inside = free.inside and all(
        _same([part(stack[free.layer]) for stack in stacks])
        for part in (lambda own: own.attention, lambda own: own.intermediate, lambda own: own.output.dense)
    )
    return Place(free.layer, inside)


def _same(modules: Sequence[nn.Module]) -> bool:
    """Whether modules hold the very same memory."""
    places = [[tensor.data_ptr() for tensor in module.parameters()] for module in modules]
    return all(own == places[0] for own in places[1:])
