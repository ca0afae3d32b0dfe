"""Unit vectors of sentences at one layer, for as many sentences as there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adaptrans.data.batching import FittingParts
from adaptrans.evaluation.bitext_mining.corpus import Corpus
from adaptrans.evaluation.dense_retrieval import unit
from adaptrans.evaluation.inference import POOLINGS
from adaptrans.modeling.efficiency.shared_layers import stopped_after
from adaptrans.modeling.model import SetupModel
from adaptrans.task_types.inputs import padded_inputs
from adaptrans.utils.devices import autocast
from adaptrans.utils.io import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


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

    assembled: SetupModel
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
            states = self.assembled.hidden_states(batch["input_ids"], batch["attention_mask"])
        return pool(states[self.layer].float(), batch["attention_mask"]).cpu().numpy()


READ_CHUNK = 8_192
"""Sentences that are encoded and written together: what a kill can lose."""


@dataclass(frozen=True)
class Shelf:
    """A folder with `vectors.f32`, rows of float32 one after the other, and `done.json`, how many.

    Args:
        folder: The folder; its name must tell corpus, model and settings apart.
        width: Numbers per vector.
    """

    folder: Path
    width: int

    @property
    def done(self) -> int:
        """Vectors that are whole on disk."""
        path = self.folder / "done.json"
        return int(read_json(path)["vectors"]) if path.is_file() else 0

    def fill(
        self,
        corpus: Corpus,
        encoder: SentenceEncoder,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        tick: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """All vectors of a corpus, memory-mapped; those that are there are not made again.

        Args:
            corpus: The sentences.
            encoder: What makes vectors of token ids.
            tokenizer: What makes token ids.
            max_length: Pieces per sentence.
            tick: Called with the number of vectors done.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "vectors.f32"
        done = self.done
        with path.open("r+b" if path.is_file() else "w+b") as file:
            # What was written after the last note of it may be incomplete.
            file.truncate(done * self.width * 4)
            file.seek(0, os.SEEK_END)
            while done < corpus.sentences:
                texts = corpus.texts(done, min(done + READ_CHUNK, corpus.sentences))
                rows = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)[
                    "input_ids"
                ]
                file.write(encoder.vectors(rows, lambda n, done=done: tick(done + n)).tobytes())
                file.flush()
                os.fsync(file.fileno())
                done += len(texts)
                write_json(self.folder / "done.json", {"vectors": done})
                tick(done)
        return np.memmap(path, dtype=np.float32, mode="r", shape=(corpus.sentences, self.width))
