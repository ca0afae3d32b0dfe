"""Rank passages for a query by the product of their vectors (LAReQA, Mewsli-X): a dual encoder.

Queries and passages go through the same encoder; a linear layer on the first token makes the
vector, which is then divided by its length. In training every other passage of the batch is a wrong
answer. The scale of the products is 100; the reference learns it from there with Adam, whose steps at
a rate of 2e-5 hardly move it. Lengths and loss: google-research/xtreme `scripts/train_lareqa.sh`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from adaptrans.task_types.base import Answers, Batch, Feature, TaskType
from adaptrans.task_types.examples import RankingExample
from adaptrans.task_types.tensors import padded_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


QUERY_PIECES = 96
"""Pieces of a query; passages take the task's maximum length."""

SCALE = 100.0
"""What products of unit vectors are multiplied by in the loss."""


def encode(
    examples: Sequence[RankingExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
    max_length: int,
    training: bool,  # noqa: ARG001 - an example holds what is encoded
) -> list[Feature]:
    """One feature per example with a row of ids for its query, for its passage, or for both."""
    texts = [
        (index, side, text)
        for index, example in enumerate(examples)
        for side, text in enumerate((example.query, example.passage))
        if text is not None
    ]
    rows: list[list[int]] = [[] for _ in texts]
    for side, pieces in ((0, min(QUERY_PIECES, max_length)), (1, max_length)):
        own = [place for place, item in enumerate(texts) if item[1] == side]
        if own:
            ids = tokenizer(
                [texts[place][2] for place in own],
                truncation=True,
                max_length=pieces,
                return_attention_mask=False,
            )["input_ids"]
            for place, row in zip(own, ids, strict=True):
                rows[place] = row
    features: list[Feature] = [
        {"example": index, "length": 0, "input_ids": []} for index in range(len(examples))
    ]
    for (index, _, _), row in zip(texts, rows, strict=True):
        features[index]["input_ids"].append(row)
    for feature in features:
        feature["length"] = max(map(len, feature["input_ids"])) * len(feature["input_ids"])
    return features


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Inputs of shape (texts, tokens): all queries, then all passages."""
    numbers = {len(feature["input_ids"]) for feature in features}
    assert len(numbers) == 1, "a batch holds pairs, or single texts"
    rows = [feature["input_ids"][side] for side in range(numbers.pop()) for feature in features]
    return padded_inputs(rows, padding_id)


def loss(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:  # noqa: ARG001
    """In-batch softmax: cross-entropy of the own passage among all of the batch.

    Args:
        logits: Vectors of the queries, then of their passages, shape (2 x pairs, width).
        batch: Not needed.
    """
    pairs = len(logits) // 2
    vectors = functional.normalize(logits.float(), dim=-1)
    products = SCALE * vectors[:pairs] @ vectors[pairs:].T
    right = torch.arange(pairs, device=logits.device)
    return functional.cross_entropy(products, right, reduction="sum"), pairs


def decode(logits: torch.Tensor, features: Sequence[Feature]) -> list[Any]:  # noqa: ARG001
    """The unit vector of every text."""
    return list(functional.normalize(logits.float(), dim=-1).numpy())


def predict(example: RankingExample, outputs: Sequence[Any], labels: Sequence[str]) -> Any:  # noqa: ARG001
    """The vector of an example with one text, as numbers."""
    return outputs[0].tolist()


def gold(example: RankingExample) -> Any:
    """What the query looks for: keys, of which candidates have some."""
    return list(example.keys)


KIND = TaskType(
    "passage_ranking", 1, encode, collate, Answers("passage_ranking", loss, decode, predict, gold, whole=True)
)
