"""Share of hidden pieces that are guessed right, on which text is selected. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adaptrans.evaluation.metrics.score import Score, check_counts, last_column, ratio


def statistics(golds: Sequence[Any], predictions: Sequence[Sequence[int]]) -> np.ndarray:
    """Pieces guessed right and pieces hidden in each example, shape (examples, 2).

    A prediction counts its own pieces, because which of them are hidden depends on the tokenizer.

    Example:
        >>> statistics(["a b", "c"], [[1, 2], [0, 1]]).tolist()
        [[1.0, 2.0], [0.0, 1.0]]
    """
    check_counts(golds, predictions)
    return np.asarray(predictions, dtype=np.float64).reshape(len(golds), 2)


def reduce(sums: np.ndarray) -> np.ndarray:
    """Percentage right from sums of shape (..., 2), shape (..., 1)."""
    return 100 * ratio(sums[..., :1], sums[..., 1:])


SCORE = Score(
    name="masked_pieces",
    parts=("masked_pieces",),
    higher_is_better=True,
    statistics=statistics,
    reduce=reduce,
    source="pieces guessed right / pieces hidden, by the masks of adaptrans.tasks.kinds.mlm",
    weigh=last_column,
)
