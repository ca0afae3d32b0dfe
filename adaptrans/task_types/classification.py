"""Classification of one text or of a pair (NLI, paraphrase, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.task_types.base import Answers, Batch, Feature, TaskType
from adaptrans.task_types.examples import ClassificationExample
from adaptrans.task_types.tensors import IGNORED, padded_inputs, summed_cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


def encode(
    examples: Sequence[ClassificationExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
    max_length: int,
    training: bool,  # noqa: ARG001 - the same in training and evaluation
) -> list[Feature]:
    """One feature per example; the longer text of a pair is cut first, `cut` says so."""
    inputs = [example.text if example.pair is None else (example.text, example.pair) for example in examples]
    rows = tokenizer(inputs, return_attention_mask=False, verbose=False)["input_ids"]
    long = [index for index, ids in enumerate(rows) if len(ids) > max_length]
    if long:
        shortened = tokenizer(
            [inputs[index] for index in long],
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
        )
        for index, ids in zip(long, shortened["input_ids"], strict=True):
            rows[index] = ids
    cut = set(long)
    number = {label: index for index, label in enumerate(task.labels)}
    return [
        {
            "example": index,
            "length": len(ids),
            "input_ids": ids,
            "label": IGNORED if example.label is None else number[example.label],
            "cut": index in cut,
        }
        for index, (example, ids) in enumerate(zip(examples, rows, strict=True))
    ]


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Padded inputs and `labels`, shape (batch,)."""
    return {
        **padded_inputs([feature["input_ids"] for feature in features], padding_id),
        "labels": torch.tensor([feature["label"] for feature in features]),
    }


def loss(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
    """Cross-entropy of logits, shape (batch, classes)."""
    return summed_cross_entropy(logits, batch["labels"])


def decode(logits: torch.Tensor, features: Sequence[Feature]) -> list[int]:  # noqa: ARG001
    """Number of the class with the highest logit; the first of equal ones."""
    return logits.float().argmax(dim=-1).tolist()


def predict(example: ClassificationExample, outputs: Sequence[int], labels: Sequence[str]) -> str:  # noqa: ARG001
    """The label of the example's only feature."""
    return labels[outputs[0]]


def gold(example: ClassificationExample) -> Any:
    """The gold label, None if the data has none."""
    return example.label


KIND = TaskType("classification", 1, encode, collate, Answers("classification", loss, decode, predict, gold))
