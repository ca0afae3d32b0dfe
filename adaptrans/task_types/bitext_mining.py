"""Find the pairs of sentences of two corpora that translate each other (BUCC 2018).

Nothing is trained: the setup is everything below `target`. One feature per sentence of the
language's corpus (`side` 0); the first example carries the English corpus, whose sentences follow
its own (`side` 1). `adaptrans.evaluation.mining` turns their vectors into pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaptrans.task_types.base import Feature, TaskType
from adaptrans.task_types.bitext_retrieval import collate
from adaptrans.task_types.examples import MiningExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


CHUNK = 10_000
"""Sentences of the English corpus that are tokenised together."""


def encode(
    examples: Sequence[MiningExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
    max_length: int,
    training: bool,  # noqa: ARG001
) -> list[Feature]:
    """Every sentence, pieces cut to the maximum length."""
    texts: list[tuple[int, int, str]] = []
    for index, example in enumerate(examples):
        texts += [(index, 0, example.text), *((index, 1, text) for _, text in example.pool)]
    features: list[Feature] = []
    for start in range(0, len(texts), CHUNK):
        part = texts[start : start + CHUNK]
        rows = tokenizer(
            [text for _, _, text in part], truncation=True, max_length=max_length, return_attention_mask=False
        )["input_ids"]
        features += [
            {"example": index, "length": len(ids), "input_ids": ids, "side": side}
            for (index, side, _), ids in zip(part, rows, strict=True)
        ]
    return features


KIND = TaskType("bitext_mining", 1, encode, collate, None)
