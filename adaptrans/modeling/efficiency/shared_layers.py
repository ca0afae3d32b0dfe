"""Several setups on one backbone: what lies below their first difference is computed once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from adaptrans.modeling.adapters import Fused, Model, adapter_tensors, model_inputs, spec_of
from adaptrans.modeling.model import SetupModel


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


def first_place(model: Model, layers: Sequence[str | Fused]) -> LayerPosition:
    """Where the lowest adapter of a chain acts; at layer 0 also for one that acts at the embeddings.

    What reaches this place is the bare backbone's.

    Args:
        model: The model.
        layers: The chain, with one adapter at least.
    """
    names = [name for layer in layers for name in (layer.members if isinstance(layer, Fused) else (layer,))]
    keys = [key for name in names for key in adapter_tensors(model, name)]
    return min(_place(key) for key in keys if "shared_parameters" not in key)


def _place(key: str) -> LayerPosition:
    """Where a tensor of an adapter acts."""
    # The pool of prefixes serves all layers, wherever its tensors are named.
    found = None if ".pool." in key else re.search(r"\.layers?\.(\d+)\.(output\.adapters\.)?", key)
    return LayerPosition(int(found[1]), inside=found[2] is not None) if found else LayerPosition(0)


@contextmanager
def stopped_after(model: Model, layers: int) -> Iterator[None]:
    """Leave out encoder layers that number `layers` of the hidden states (0-based) does not need.

    `hidden_states[layers]` inside is that of the whole encoder.

    Args:
        model: The model.
        layers: How many of the lowest layers run at least; 0 for the embeddings alone.
    """
    spec = spec_of(model)
    parent, _, name = spec.layers.rpartition(".")
    holder = model.base_model.get_submodule(parent)
    whole = getattr(holder, name)
    # A norm behind the last layer would be part of the state that is asked for; some stacks need one layer.
    setattr(holder, name, nn.ModuleList(list(whole)[: max(1, layers + spec.last_norm)]))
    try:
        yield
    finally:
        setattr(holder, name, whole)


def states_below(
    assembled: SetupModel, place: LayerPosition, batch: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """What reaches a place of the encoder for a batch.

    Args:
        assembled: The model.
        place: The place.
        batch: `input_ids` and `attention_mask`; several choices of an input count as inputs.

    Returns:
        At the bottom of a layer one float32 tensor of shape (inputs, tokens, width). Inside of a layer two of
        that shape: what its last linear layer gives, before dropout, and what its attention gives.
    """
    # Several choices of an input count as inputs.
    inputs = {name: value.flatten(0, -2) for name, value in model_inputs(assembled.model, batch).items()}
    model = assembled.model
    if not place.inside:
        with stopped_after(model, place.layer):
            return (assembled.hidden_states(**inputs)[-1],)
    layer = model.base_model.encoder.layer[place.layer]
    caught: list[tuple[Tensor, ...]] = []

    def up_to_the_adapter(attended: Tensor) -> Tensor:
        caught.append((layer.output.dense(layer.intermediate(attended)), attended))
        return attended

    layer.feed_forward_chunk = up_to_the_adapter
    try:
        with stopped_after(model, place.layer + 1):
            assembled.hidden_states(**inputs)
    finally:
        del layer.feed_forward_chunk
    return caught[0]


@contextmanager
def resumed_at(model: Model, place: LayerPosition, states: tuple[Tensor, ...]) -> Iterator[None]:
    """Let a forward pass begin at a place of the encoder, with what reaches it.

    Nothing that acts at the embeddings or below the place has an effect inside.

    Args:
        model: The model.
        place: Where the pass begins.
        states: What `states_below` gives there for the batch of the forward pass.
    """
    spec_of(model).require("shared_layers")
    encoder = model.base_model
    embeddings, whole = encoder.embeddings, encoder.encoder.layer
    above = list(whole)[place.layer :]
    if place.inside:
        above[0] = _FromItsOutput(above[0], *states)
    encoder.embeddings = _Given(states[-1])
    encoder.encoder.layer = nn.ModuleList(above)
    try:
        yield
    finally:
        encoder.embeddings, encoder.encoder.layer = embeddings, whole


class _Given(nn.Module):
    """States in the place of what computes them."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self._states = states

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """The states, whatever the input."""
        return self._states


class _FromItsOutput(nn.Module):
    """What is left of a layer from the adapter at its output on."""

    def __init__(self, layer: nn.Module, dense: Tensor, attended: Tensor) -> None:
        super().__init__()
        self._output = layer.output
        self._dense, self._attended = dense, attended

    def forward(self, *_: Any, **__: Any) -> tuple[Tensor]:
        """What the whole layer gives, whatever the input."""
        output = self._output
        found = output.bottleneck_layer_forward(output.dropout(self._dense), self._attended, output.LayerNorm)
        return (found,)


class Common:
    """What some models have in common at the bottom.

    Args:
        assembled: The models under their setups.
    """

    def __init__(self, assembled: Sequence[SetupModel]) -> None:
        self._first = assembled[0]
        self.place = common_place(assembled)

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What the common part makes of a batch, as `states_below` gives it; empty if there is none."""
        return () if self.place == NOWHERE else states_below(self._first, self.place, batch)

    def given(self, assembled: SetupModel, states: tuple[Tensor, ...]) -> AbstractContextManager[None]:
        """Let a model go on from these states in its next forward passes."""
        return resumed_at(assembled.model, self.place, states) if states else nullcontext()


NOWHERE = LayerPosition(0)
"""Where nothing is shared but the embeddings, which cost nothing."""


def common_place(assembled: Sequence[SetupModel]) -> LayerPosition:
    """Up to where some models compute the same: their tensors are the same memory, without an adapter."""
    if len(assembled) < 2 or not all(item.backbone.spec.supports("shared_layers") for item in assembled):
        return NOWHERE
    places = [
        first_place(item.model, item.layers) if item.layers else LayerPosition(item.backbone.depth)
        for item in assembled
    ]
    free = min(places)
    encoders = [item.model.base_model for item in assembled]
    if not _same([encoder.embeddings for encoder in encoders]):
        return NOWHERE
    stacks = [encoder.encoder.layer for encoder in encoders]
    for number in range(free.layer):
        if not _same([stack[number] for stack in stacks]):
            return LayerPosition(number)
    # Below the adapter at a layer's output lie its attention and its feed-forward part.
    inside = free.inside and all(
        _same([part(stack[free.layer]) for stack in stacks])
        for part in (lambda own: own.attention, lambda own: own.intermediate, lambda own: own.output.dense)
    )
    return LayerPosition(free.layer, inside)


def _same(modules: Sequence[nn.Module]) -> bool:
    """Whether modules hold the very same memory."""
    places = [[tensor.data_ptr() for tensor in module.parameters()] for module in modules]
    return all(own == places[0] for own in places[1:])
