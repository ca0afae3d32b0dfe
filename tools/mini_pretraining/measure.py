"""Measurements on held-out text: loss per language, and translations found, of sentences and words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adaptrans.task_types.masked_lm import mask_tokens
from mini_pretraining.batches import framed, padded, window
from mini_pretraining.config import PretrainConfig
from mini_pretraining.network import hidden_states, layer_states, mean_pool, pooled_layer
from mini_pretraining.objectives import guessing_loss
from mini_pretraining.store import Ids, PairTable, Store

SEQUENCES = 16
"""Held-out sequences per language."""
LINES = 200
"""Most held-out pairs per language when translations are looked for."""
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
    """Loss of guessing tokens of held-out text, per language, in nats per token."""
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
    model: Any, texts: list[Ids], store: Store, config: PretrainConfig, device: torch.device
) -> list[Tensor]:
    """Unit vectors of texts after the embeddings and after each layer, shape (texts, width) each."""
    parts: list[list[Tensor]] = []
    for begin in range(0, len(texts), 50):
        length = config.objectives.contrastive.length
        rows = [framed(text, store.special, length) for text in texts[begin : begin + 50]]
        ids, attention = padded(rows, store.special.pad)
        mask = torch.from_numpy(attention).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            states = layer_states(model, torch.from_numpy(ids).to(device), mask)
            parts.append([functional.normalize(mean_pool(state, mask), dim=-1) for state in states])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def found(
    model: Any, table: PairTable, store: Store, config: PretrainConfig, device: torch.device
) -> dict[str, list[float]]:
    """Accuracy of finding the pivot language's translation, per language and layer.

    A probe to compare moments of one run with: the candidates are at most `LINES`
    texts of the same sources, which is far easier than a public benchmark. A translation
    written like the one looked for counts as found.

    Args:
        model: The encoder.
        table: Held-out sentences or words.
        store: Special tokens.
        config: Pivot language, longest sentence.
        device: Of the model.

    Returns:
        For each language with at least two held-out pairs the fraction found with the
        embeddings' output and with each layer's.
    """
    pivot, result = config.sampling.pivot, {}
    for pair, rows in zip(table.pairs, table.rows, strict=True):
        if pivot not in pair or len(rows) < 2:
            continue
        other = pair[0] if pair[1] == pivot else pair[1]
        chosen = rows[np.linspace(0, len(rows) - 1, min(LINES, len(rows))).astype(int)].tolist()
        texts = {name: [table.tuples[c].sentences[name][r] for c, r in chosen] for name in pair}
        forms = [text.tobytes() for text in texts[pivot]]
        sides = [_vectors(model, texts[name], store, config, device) for name in (other, pivot)]
        nearest = [(a @ b.T).argmax(dim=1).tolist() for a, b in zip(*sides, strict=True)]
        result[other] = [
            round(sum(forms[i] == own for i, own in zip(layer, forms, strict=True)) / len(forms), 4)
            for layer in nearest
        ]
    return result


def measures(model: Any, store: Store, config: PretrainConfig, device: torch.device) -> dict[str, Any]:
    """All measurements: "loss" and "retrieval" per language, "layers" and "words" also per layer."""
    layers = found(model, store.held_sentences, store, config, device)
    pooled = pooled_layer(config.objectives.contrastive.layer, model.config.num_hidden_layers)
    return {
        "loss": held_out_loss(model, store, config, device),
        "retrieval": {language: values[pooled] for language, values in layers.items()},
        "layers": layers,
        "words": found(model, store.held_words, store, config, device),
    }
