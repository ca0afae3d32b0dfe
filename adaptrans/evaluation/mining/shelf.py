"""Vectors of a corpus on disk, made chunk by chunk, so that a killed run goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adaptrans.evaluation.mining.corpus import Corpus
from adaptrans.evaluation.mining.vectors import SentenceEncoder
from adaptrans.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 8_192
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
                texts = corpus.texts(done, min(done + CHUNK, corpus.sentences))
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
