"""What a step makes smaller: guessing hidden pieces, and telling translations apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adaptrans.pretraining.batches import Batch
from adaptrans.pretraining.config import PretrainConfig
from adaptrans.pretraining.network import hidden_states, mean_pool, pooled_layer


def contrastive_loss(vectors: Tensor, ignored: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding each row's translation among the rows of the batch.

    Candidates of a row are its translation and every row that is not ignored, of
    both sides: a row of the same language with another meaning is a negative too,
    which keeps languages from forming islands.

    Args:
        vectors: Shape (2 * pairs, width); rows i and i + pairs are translations.
        ignored: Rows that are no negatives, shape (2 * pairs, 2 * pairs).
        temperature: Cosines are divided by it.

    Returns:
        Mean over the rows, a scalar.

    Source: the form of NT-Xent (Chen et al. 2020) on translation pairs, as InfoXLM
    (Chi et al. 2021) uses them.
    """
    pairs = len(vectors) // 2
    unit = functional.normalize(vectors.float(), dim=-1)
    cosines = unit @ unit.T / temperature
    positive = torch.arange(2 * pairs, device=vectors.device).roll(pairs)
    hidden = ignored.clone()
    hidden[torch.arange(2 * pairs, device=vectors.device), positive] = False
    return functional.cross_entropy(cosines.masked_fill(hidden, float("-inf")), positive)


def guessing_loss(model: Any, hidden: Tensor, chosen: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the hidden pieces; scores are computed at their positions only.

    Args:
        model: An XLM-R with its head.
        hidden: Output of the last layer, shape (sequences, tokens, width).
        chosen: Positions to guess, shape (sequences, tokens).
        targets: Ids there, shape (chosen,).

    Returns:
        Mean over the chosen positions, in nats, a scalar.
    """
    scores = model.lm_head(hidden[chosen])
    return functional.cross_entropy(scores.float(), targets)


def loss_of(model: Any, batch: Batch, config: PretrainConfig, device: torch.device) -> Tensor:
    """Loss of a batch under its objective, without the weight.

    Runs in bfloat16 where the operation allows it; the losses themselves are float32.
    """
    ids = torch.from_numpy(batch.ids).to(device)
    attention = torch.from_numpy(batch.attention).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        if batch.chosen is not None and batch.targets is not None:
            hidden = hidden_states(model, ids, attention, shift=batch.shift)
            chosen = torch.from_numpy(batch.chosen).to(device)
            return guessing_loss(model, hidden, chosen, torch.from_numpy(batch.targets).to(device))
        plan = getattr(config.objectives, batch.objective)
        layers = pooled_layer(plan.layer, model.config.num_hidden_layers)
        vectors = mean_pool(hidden_states(model, ids, attention, layers=layers), attention)
    ignored = torch.from_numpy(batch.ignored).to(device)
    return contrastive_loss(vectors, ignored, plan.temperature)
