"""Several setups on one backbone: the layers below their first difference are computed once.

Equal results are what decides: layers are shared where the models hold the very same tensors and no adapter
acts, so that each model would compute the same states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn

from adaptrans.models.adapting import Assembled, hidden_states
from adaptrans.models.chain import first_layer
from adaptrans.models.layerwise import resumed_after, stopped_after


class Common:
    """What some models have in common at the bottom.

    Args:
        assembled: The models under their setups.
    """

    def __init__(self, assembled: Sequence[Assembled]) -> None:
        self._first = assembled[0]
        self.layers = common_layers(assembled)

    def states(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """What the common layers make of a batch, shape (inputs, tokens, width); None if there are none."""
        if not self.layers:
            return None
        inputs = (batch[name].flatten(0, -2) for name in ("input_ids", "attention_mask"))
        with stopped_after(self._first.model, self.layers):
            return hidden_states(self._first, *inputs)[-1]

    def given(self, assembled: Assembled, states: Tensor | None) -> AbstractContextManager[None]:
        """Let a model go on from these states in its next forward passes."""
        return nullcontext() if states is None else resumed_after(assembled.model, self.layers, states)


def common_layers(assembled: Sequence[Assembled]) -> int:
    """How many of the lowest encoder layers are the same in all of some models, and without adapters."""
    if len(assembled) < 2:
        return 0
    free = [
        first_layer(item.model, item.layers) if item.layers else item.backbone.depth for item in assembled
    ]
    stacks = [
        [item.model.roberta.embeddings, *item.model.roberta.encoder.layer[: min(free)]] for item in assembled
    ]
    same = 0
    for modules in zip(*stacks, strict=True):
        if any(not _same_tensors(modules[0], other) for other in modules[1:]):
            break
        same += 1
    return max(same - 1, 0)


def _same_tensors(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules hold the very same memory."""
    places = [[tensor.data_ptr() for tensor in module.parameters()] for module in (one, other)]
    return places[0] == places[1]
