"""Measurements on held-out text: loss per language, and retrieval of translations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adaptrans.pretraining.batches import framed, padded, window
from adaptrans.pretraining.config import PretrainConfig
from adaptrans.pretraining.masking import mask_tokens
from adaptrans.pretraining.network import hidden_states, mean_pool, pooled_layer
from adaptrans.pretraining.objectives import guessing_loss
from adaptrans.pretraining.store import Ids, Store

SEQUENCES = 16
"""Held-out sequences per language."""
LINES = 200
"""Most held-out pairs per language in the retrieval probe."""
SEED = 20231
"""Fixed, so that the same text with the same holes is measured every time."""


@contextmanager
def with_weights(model: Any, values: dict[str, Tensor]) -> Iterator[None]:
    """Run a block with other weights in the model; the model's own come back afterwards."""
    current = dict(model.named_parameters())
    own = {name: weight.data for name, weight in current.items()} if values else {}
    training = model.training
    model.eval()
    try:
        for name, value in values.items():
            current[name].data = value
        yield
    finally:
        for name, value in own.items():
            current[name].data = value
        model.train(training)


@torch.no_grad()
def held_out_loss(model: Any, store: Store, config: PretrainConfig, device: torch.device) -> dict[str, float]:
    """Loss of guessing pieces of held-out text, per language, in nats per piece."""
    special, length = store.special, min(64, max(stage.length for stage in config.lengths))
    found = {}
    for language, stream in store.held_streams.items():
        rng = np.random.default_rng(SEED)
        rows = [
            np.array([special.start, *window(stream, length - 2, rng), special.end], dtype=np.int64)
            for _ in range(SEQUENCES)
        ]
        ids, attention = padded(rows, special.pad)
        hidden_ids, chosen = mask_tokens(
            ids,
            ids >= special.first_piece,
            special.word_starts,
            rng,
            rate=0.15,
            mask=special.mask,
            first_piece=special.first_piece,
        )
        if not chosen.any():
            continue
        mask = torch.from_numpy(attention).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            states = hidden_states(model, torch.from_numpy(hidden_ids).to(device), mask)
            where = torch.from_numpy(chosen).to(device)
            loss = guessing_loss(model, states, where, torch.from_numpy(ids[chosen]).to(device))
        found[language] = float(loss)
    return found


@torch.no_grad()
def _vectors(
    model: Any, sentences: list[Ids], store: Store, config: PretrainConfig, device: torch.device
) -> Tensor:
    plan = config.objectives.contrastive
    layers = pooled_layer(plan.layer, model.config.num_hidden_layers)
    parts = []
    for begin in range(0, len(sentences), 50):
        rows = [framed(sentence, store.special, plan.length) for sentence in sentences[begin : begin + 50]]
        ids, attention = padded(rows, store.special.pad)
        mask = torch.from_numpy(attention).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            states = hidden_states(model, torch.from_numpy(ids).to(device), mask, layers=layers)
        parts.append(functional.normalize(mean_pool(states, mask), dim=-1))
    return torch.cat(parts)


def retrieval(model: Any, store: Store, config: PretrainConfig, device: torch.device) -> dict[str, float]:
    """Accuracy of finding held-out sentences' translations in the pivot language, per language.

    A probe to compare moments of one run with: the candidates are at most `LINES`
    sentences of the same corpora, which is far easier than a public benchmark.

    Returns:
        Fraction found, per language with at least two held-out pairs.
    """
    table, pivot, found = store.held_sentences, config.sampling.pivot, {}
    for pair, rows in zip(table.pairs, table.rows, strict=True):
        if pivot not in pair or len(rows) < 2:
            continue
        other = pair[0] if pair[1] == pivot else pair[1]
        chosen = rows[np.linspace(0, len(rows) - 1, min(LINES, len(rows))).astype(int)].tolist()
        sides = [
            _vectors(model, [table.tuples[c].sentences[name][r] for c, r in chosen], store, config, device)
            for name in (other, pivot)
        ]
        nearest = (sides[0] @ sides[1].T).argmax(dim=1)
        found[other] = float((nearest == torch.arange(len(chosen), device=device)).float().mean())
    return found
