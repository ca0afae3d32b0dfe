"""Padding, masks and summed losses, shared by the types. torch is imported where tensors are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaptrans.task_types.base import Batch, Feature, TaskType

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Label of a position that enters neither loss nor score (PyTorch's own convention)."""


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Integer rows of unequal length as one tensor, shape (rows, longest), padded on the right.

    Example:
        >>> pad([[1, 2], [3]], 0).tolist()
        [[1, 2], [3, 0]]
    """
    import torch

    width = max((len(row) for row in rows), default=0)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)


def padded_inputs(rows: Sequence[Sequence[int]], padding_id: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` of rows of token ids, shape (rows, longest).

    The mask comes from the lengths, so that a padding id inside a text stays a real token.
    """
    mask = pad([[1] * len(row) for row in rows], 0)
    return {"input_ids": pad(rows, padding_id), "attention_mask": mask}


def collated(kind: TaskType, features: Sequence[Feature], padding_id: int, device: torch.device) -> Batch:
    """A batch of these features on a device."""
    return {name: value.to(device) for name, value in kind.collate(features, padding_id).items()}


def summed_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross-entropy summed over the labels that are not `IGNORED`, and their number, in float32.

    Args:
        logits: Shape (..., classes).
        labels: Shape (...), class numbers or `IGNORED`.

    Example:
        >>> import torch
        >>> loss, terms = summed_cross_entropy(torch.zeros(2, 4), torch.tensor([1, IGNORED]))
        >>> round(loss.item(), 4), terms
        (1.3863, 1)
    """
    from torch.nn import functional

    flat = labels.reshape(-1)
    loss = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), flat, ignore_index=IGNORED, reduction="sum"
    )
    return loss, int((flat != IGNORED).sum())
