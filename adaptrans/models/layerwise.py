"""Run some layers of an encoder only: up to one, or from one on with what the layers below gave.

Both leave the model as it was. What they compute equals, bit by bit, what the whole encoder computes
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

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


@contextmanager
def resumed_after(model: Model, layers: int, states: Tensor) -> Iterator[None]:
    """Let a forward pass begin above the lowest layers, whose output is given.

    Nothing that acts at the embeddings or in those layers has an effect inside.

    Args:
        model: The model.
        layers: How many of the lowest layers are left out.
        states: Their output for the batch of the forward pass, shape (batch, tokens, width).
    """
    encoder = model.roberta
    embeddings, whole = encoder.embeddings, encoder.encoder.layer
    encoder.embeddings = _Given(states)
    encoder.encoder.layer = nn.ModuleList(list(whole)[layers:])
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
