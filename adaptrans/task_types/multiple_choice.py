"""Choose the best of a few continuations (COPA, CommonsenseQA, HellaSwag, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from adaptrans.task_types.base import Answers, Batch, Feature, TaskType
from adaptrans.task_types.examples import MultipleChoiceExample
from adaptrans.task_types.tensors import IGNORED, padded_inputs, summed_cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


def encode(
    examples: Sequence[MultipleChoiceExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
    max_length: int,
    training: bool,  # noqa: ARG001 - the same in training and evaluation
) -> list[Feature]:
    """One feature per example with a row of ids per choice; the longer of prompt and choice is cut first."""
    prompts = [example.prompt for example in examples for _ in example.choices]
    choices = [choice for example in examples for choice in example.choices]
    rows = tokenizer(prompts, choices, truncation=True, max_length=max_length, return_attention_mask=False)[
        "input_ids"
    ]
    features, start = [], 0
    for index, example in enumerate(examples):
        ids = rows[start : start + len(example.choices)]
        start += len(example.choices)
        features.append(
            {
                "example": index,
                "length": max(len(row) for row in ids) * len(ids),
                "input_ids": ids,
                "label": IGNORED if example.label is None else example.label,
            }
        )
    return features


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Inputs of shape (batch, choices, tokens), `labels` and `choice_mask` (batch, choices).

    Examples with fewer choices get rows of padding that the mask takes out of loss and choice.
    """
    width = max(len(feature["input_ids"]) for feature in features)
    rows, real = [], []
    for feature in features:
        missing = width - len(feature["input_ids"])
        # An empty row would have no token to attend to, hence a copy of the first one.
        rows.extend([*feature["input_ids"], *[feature["input_ids"][0]] * missing])
        real.append([True] * len(feature["input_ids"]) + [False] * missing)
    inputs = padded_inputs(rows, padding_id)
    return {
        **{name: value.view(len(features), width, -1) for name, value in inputs.items()},
        "labels": torch.tensor([feature["label"] for feature in features]),
        "choice_mask": torch.tensor(real),
    }


def loss(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
    """Cross-entropy over the choices; logits have shape (batch, choices)."""
    masked = logits.float().masked_fill(~batch["choice_mask"], float("-inf"))
    return summed_cross_entropy(masked, batch["labels"])


def decode(logits: torch.Tensor, features: Sequence[Feature]) -> list[int]:
    """Index of the choice with the highest logit; the first of equal ones."""
    values = logits.float()
    return [
        int(row[: len(feature["input_ids"])].argmax()) for feature, row in zip(features, values, strict=True)
    ]


def predict(
    example: MultipleChoiceExample,  # noqa: ARG001
    outputs: Sequence[int],
    labels: Sequence[str],  # noqa: ARG001
) -> int:
    """The 0-based choice."""
    return outputs[0]


def gold(example: MultipleChoiceExample) -> int | None:
    """The 0-based right choice, None if the data has none."""
    return example.label


KIND = TaskType(
    "multiple_choice", 1, encode, collate, Answers("multiple_choice", loss, decode, predict, gold)
)
