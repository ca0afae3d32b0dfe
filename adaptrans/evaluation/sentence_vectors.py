"""Vectors of sentences, pooled from the states of an encoder under its setup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptrans.data.batching import FittingParts
from adaptrans.evaluation.dense_retrieval import unit
from adaptrans.modeling.efficiency.shared_layers import stopped_after
from adaptrans.modeling.model import SetupModel
from adaptrans.task_types.inputs import padded_inputs
from adaptrans.utils.devices import autocast
from adaptrans.utils.registry import Registry

POOLINGS: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("pooling")


@POOLINGS.register("mean")
def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average token vectors of each sentence, special tokens included.

    Args:
        hidden: Layer output, shape (batch, tokens, width).
        mask: Attention mask, shape (batch, tokens), 1 = real token.

    Returns:
        Sentence vectors, shape (batch, width).

    Example:
        >>> mean_pool(torch.ones(1, 2, 3), torch.tensor([[1, 0]])).tolist()
        [[1.0, 1.0, 1.0]]
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


@POOLINGS.register("cls")
def first_token(hidden: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001 - the signature of a pooling
    """Vector of each sentence's first token, shape (batch, width)."""
    return hidden[:, 0]


CHUNK = 8_192
"""Sentences that are sorted by length together where one layer is wanted."""


@dataclass(frozen=True)
class SentenceEncoder:
    """A model under its setup that makes vectors.

    Args:
        layer: The layer whose states are pooled, 0 = embeddings; None for all.
        pooling: `mean` or `cls`.
        tokens_per_batch: Padded tokens per forward pass.
        precision: `fp32` or `bf16`.
    """

    assembled: SetupModel
    layer: int | None
    pooling: str
    padding_id: int
    tokens_per_batch: int
    device: torch.device
    precision: str

    def vectors(
        self,
        rows: Sequence[Sequence[int]],
        tick: Callable[[int], None] = lambda done: None,
        before: int = 0,
    ) -> np.ndarray:
        """Unit vectors of sentences at the layer, float32, shape (sentences, width), in their order.

        Args:
            rows: Token ids of each sentence, special tokens included.
            tick: Called with the number of sentences done.
            before: How many were done before these.

        Raises:
            AdaptransError: If a vector is zero or not finite.
        """
        if not rows:
            return np.empty((0, self.assembled.backbone.width), dtype=np.float32)
        return unit(self.pooled(rows, tick, before)[0], "sentence")

    @torch.inference_mode()
    def pooled(
        self,
        rows: Sequence[Sequence[int]],
        tick: Callable[[int], None] = lambda done: None,
        before: int = 0,
    ) -> np.ndarray:
        """Vectors of sentences as they are, float32, shape (layers, sentences, width); see `vectors`."""
        self.assembled.eval()
        found: np.ndarray | None = None
        done, step = 0, len(rows) if self.layer is None else CHUNK
        for start in range(0, len(rows), step):
            chunk = range(start, min(start + step, len(rows)))
            lengths = {place: len(rows[place]) for place in chunk}
            parts = FittingParts(chunk, lengths, self.tokens_per_batch, self.device)
            for part in parts:
                with parts.attempt(part):
                    pooled = self._pooled([rows[place] for place in part])
                    if found is None:
                        found = np.empty((len(pooled), len(rows), pooled.shape[-1]), dtype=np.float32)
                    found[:, part] = pooled
                    done += len(part)
                    tick(before + done)
        assert found is not None, "no sentences"
        return found

    def _pooled(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        pool = POOLINGS[self.pooling]
        batch = {name: value.to(self.device) for name, value in padded_inputs(rows, self.padding_id).items()}
        ids, mask = batch["input_ids"], batch["attention_mask"]
        # No layer above the one that is compared has an effect.
        below = nullcontext() if self.layer is None else stopped_after(self.assembled.model, self.layer)
        with autocast(self.device, self.precision), below:
            states = self.assembled.hidden_states(ids, mask)
        wanted = states if self.layer is None else [states[self.layer]]
        return torch.stack([pool(state.float(), mask) for state in wanted]).cpu().numpy()
