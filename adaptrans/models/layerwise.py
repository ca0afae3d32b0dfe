"""Run some layers of an encoder only: up to one, or from one on with what the layers below gave.

Both leave the model as it was. What they compute equals, bit by bit, what the whole encoder computes
there. A place can also lie inside of a layer, right below the adapter at its output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from adaptrans.models.adapting import Assembled, hidden_states
from adaptrans.models.chain import Place
from adaptrans.models.library import Model


@contextmanager
def stopped_after(model: Model, layers: int) -> Iterator[None]:
    """Leave out the encoder layers from number `layers` (0-based) on.

    The last hidden state inside is `hidden_states[layers]` of the whole encoder.

    Args:
        model: The model.
        layers: How many of the lowest layers run; 0 for the embeddings alone.
    """
    encoder = model.roberta.encoder
    whole = encoder.layer
    encoder.layer = nn.ModuleList(list(whole)[:layers])
    try:
        yield
    finally:
        encoder.layer = whole


def states_below(assembled: Assembled, place: Place, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """What reaches a place of the encoder for a batch.

    Args:
        assembled: The model.
        place: The place.
        batch: `input_ids` and `attention_mask`; several choices of an input count as inputs.

    Returns:
        At the bottom of a layer one float32 tensor of shape (inputs, tokens, width). Inside of a layer two of
        that shape: what its last linear layer gives, before dropout, and what its attention gives.
    """
    inputs = (batch[name].flatten(0, -2) for name in ("input_ids", "attention_mask"))
    model = assembled.model
    if not place.inside:
        with stopped_after(model, place.layer):
            return (hidden_states(assembled, *inputs)[-1],)
    layer = model.roberta.encoder.layer[place.layer]
    caught: list[tuple[Tensor, ...]] = []

    def up_to_the_adapter(attended: Tensor) -> Tensor:
        caught.append((layer.output.dense(layer.intermediate(attended)), attended))
        return attended

    layer.feed_forward_chunk = up_to_the_adapter
    try:
        with stopped_after(model, place.layer + 1):
            hidden_states(assembled, *inputs)
    finally:
        del layer.feed_forward_chunk
    return caught[0]


@contextmanager
def resumed_at(model: Model, place: Place, states: tuple[Tensor, ...]) -> Iterator[None]:
    """Let a forward pass begin at a place of the encoder, with what reaches it.

    Nothing that acts at the embeddings or below the place has an effect inside.

    Args:
        model: The model.
        place: Where the pass begins.
        states: What `states_below` gives there for the batch of the forward pass.
    """
    encoder = model.roberta
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
