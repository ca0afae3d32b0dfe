"""Sentence vectors of every layer from one forward pass.

Rules of reference retrieval (XTREME `third_party/utils_retrieve.py`, jiant):
the mean is over all tokens the mask keeps, `<s>` and `</s>` included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptrans.data.fitting import FittingParts
from adaptrans.devices import autocast
from adaptrans.models.adapting import Assembled, hidden_states
from adaptrans.registry import Registry
from adaptrans.tasks.kinds import Kind
from adaptrans.tasks.kinds.tensors import collated

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


@torch.inference_mode()
def sentence_vectors(
    assembled: Assembled,
    kind: Kind,
    features: Sequence[dict[str, Any]],
    *,
    pooling: str,
    padding_id: int,
    tokens_per_batch: int,
    device: torch.device,
    precision: str,
    tick: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Vectors of all layers, float32, shape (layers + 1, sentences, width); index 0 = embeddings.

    Args:
        assembled: The model under its setup.
        kind: The retrieval kind, for its batches.
        features: One per sentence.
        pooling: `mean` or `cls`.
        padding_id: Id of the padding token.
        tokens_per_batch: Padded tokens per forward pass.
        device: Where it runs.
        precision: `fp32` or `bf16`.
        tick: Called with the number of sentences done.
    """
    pool = POOLINGS[pooling]
    assembled.model.eval()
    lengths = [feature["length"] for feature in features]
    vectors: np.ndarray | None = None
    done = 0
    parts = FittingParts(range(len(features)), lengths, tokens_per_batch, device)
    for part in parts:
        with parts.attempt(part):
            batch = collated(kind, [features[i] for i in part], padding_id, device)
            with autocast(device, precision):
                layers = hidden_states(assembled, batch["input_ids"], batch["attention_mask"])
            pooled = torch.stack([pool(layer.float(), batch["attention_mask"]) for layer in layers])
            if vectors is None:
                vectors = np.empty((len(layers), len(features), pooled.shape[-1]), dtype=np.float32)
            vectors[:, part] = pooled.cpu().numpy()
            done += len(part)
            tick(done)
    assert vectors is not None, "no sentences"
    return vectors
