"""What a step makes smaller: predicting masked tokens, and telling translations apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mini_pretraining.batches import Batch
from mini_pretraining.config import Alignment, PretrainConfig
from mini_pretraining.network import hidden_states, mean_pool, pooled_layer


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
    """Cross-entropy of the hidden tokens; scores are computed at their positions only.

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


def aligned_pieces(
    rows: Tensor, ids: Tensor, usable: Tensor, *, threshold: float, most: int
) -> tuple[Tensor, Tensor]:
    """Tokens of sentences and of their translations that are each other's nearest.

    Tokens that are written alike are left out: names and punctuation, which are many
    and already the same.

    Args:
        rows: Unit vector of each token, shape (2 * pairs, tokens, width).
        ids: Piece ids, shape (2 * pairs, tokens); rows i and i + pairs are translations.
        usable: Where there is text, same shape.
        threshold: Least cosine.
        most: Most pairs of tokens; beyond, every so many is taken.

    Returns:
        Places in the flattened batch of one side and of the other, shape (found,) each.
    """
    half, tokens = len(ids) // 2, ids.shape[1]
    cosines = (rows[:half] @ rows[half:].transpose(1, 2)).float()
    both = usable[:half, :, None] & usable[half:, None, :]
    cosines = cosines.masked_fill(~both, -2.0)
    value, forth = cosines.max(dim=2)
    back = cosines.argmax(dim=1)
    place = torch.arange(tokens, device=ids.device)
    mutual = (back.gather(1, forth) == place) & (value > threshold)
    mutual &= ids[:half] != ids[half:].gather(1, forth)
    left = mutual.flatten().nonzero().squeeze(1)
    left = left[:: max(1, -(-len(left) // most))]
    right = (left // tokens + half) * tokens + forth.flatten()[left]
    return left, right


def alignment_loss(model: Any, hidden: Tensor, ids: Tensor, usable: Tensor, plan: Alignment) -> Tensor:
    """Contrastive loss of aligned tokens in their contexts; which are aligned the embeddings say.

    Args:
        model: An XLM-R, whose embeddings are read.
        hidden: Output of a layer, shape (2 * pairs, tokens, width).
        ids: Piece ids, shape (2 * pairs, tokens).
        usable: Where there is text, same shape.
        plan: Temperature, threshold, number of pairs.

    Returns:
        A scalar; 0 where fewer than two pairs are found.
    """
    with torch.no_grad():
        rows = model.roberta.embeddings.word_embeddings(ids)
        rows = functional.normalize(functional.layer_norm(rows, rows.shape[-1:]), dim=-1)
        left, right = aligned_pieces(rows, ids, usable, threshold=plan.threshold, most=plan.pairs)
    if len(left) < 2:
        return hidden.sum() * 0.0
    places = torch.cat([left, right])
    keys = ids.flatten()[places]
    alike = keys[:, None] == keys[None, :]
    ignored = alike | alike.roll(len(left), dims=0)
    return contrastive_loss(hidden.flatten(0, 1)[places], ignored, plan.temperature)


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
        hidden = hidden_states(model, ids, attention, layers=layers)
        ignored = torch.from_numpy(batch.ignored).to(device)
        loss = contrastive_loss(mean_pool(hidden, attention), ignored, plan.temperature)
        if plan.alignment.weight:
            # The first token and the last are special tokens, and so is nothing else in these batches.
            usable = attention & attention.roll(-1, dims=1)
            usable[:, 0] = usable[:, -1] = False
            loss = loss + plan.alignment.weight * alignment_loss(model, hidden, ids, usable, plan.alignment)
    return loss
