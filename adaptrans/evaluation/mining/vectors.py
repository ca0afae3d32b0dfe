"""Unit vectors of sentences at one layer, for as many sentences as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from adaptrans.data.fitting import FittingParts
from adaptrans.devices import autocast
from adaptrans.evaluation.retrieval import unit
from adaptrans.evaluation.vectors import POOLINGS
from adaptrans.models.adapting import Assembled, hidden_states
from adaptrans.models.layerwise import stopped_after
from adaptrans.tasks.kinds.tensors import padded_inputs

CHUNK = 8_192
"""Sentences that are sorted by length together."""


@dataclass(frozen=True)
class SentenceEncoder:
    """A model under its setup that makes vectors.

    Args:
        assembled: The model.
        layer: The layer whose states are pooled, 0 = embeddings.
        pooling: `mean` or `cls`.
        padding_id: Id of the padding token.
        tokens_per_batch: Padded tokens per forward pass.
        device: Where it runs.
        precision: `fp32` or `bf16`.
    """

    assembled: Assembled
    layer: int
    pooling: str
    padding_id: int
    tokens_per_batch: int
    device: torch.device
    precision: str

    @torch.inference_mode()
    def vectors(
        self, rows: Sequence[Sequence[int]], tick: Callable[[int], None] = lambda done: None
    ) -> np.ndarray:
        """Unit vectors of sentences, float32, shape (sentences, width), in their order.

        Args:
            rows: Token ids of each sentence, special tokens included.
            tick: Called with the number of sentences done.

        Raises:
            AdaptransError: If a vector is zero or not finite.
        """
        pool = POOLINGS[self.pooling]
        self.assembled.model.eval()
        found: np.ndarray | None = None
        done = 0
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(start + CHUNK, len(rows)))
            lengths = {place: len(rows[place]) for place in chunk}
            parts = FittingParts(chunk, lengths, self.tokens_per_batch, self.device)
            for part in parts:
                with parts.attempt(part):
                    pooled = self._pooled([rows[place] for place in part], pool)
                    if found is None:
                        found = np.empty((len(rows), pooled.shape[1]), dtype=np.float32)
                    found[part] = pooled
                    done += len(part)
                    tick(done)
        if found is None:
            return np.empty((0, self.assembled.backbone.width), dtype=np.float32)
        return unit(found, "sentence")

    def _pooled(self, rows: Sequence[Sequence[int]], pool: Callable[..., torch.Tensor]) -> np.ndarray:
        batch: dict[str, Any] = padded_inputs(rows, self.padding_id)
        batch = {name: value.to(self.device) for name, value in batch.items()}
        # No layer above the one that is compared has an effect.
        with autocast(self.device, self.precision), stopped_after(self.assembled.model, self.layer):
            states = hidden_states(self.assembled, batch["input_ids"], batch["attention_mask"])
        return pool(states[-1].float(), batch["attention_mask"]).cpu().numpy()
