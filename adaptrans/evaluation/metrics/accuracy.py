"""Accuracy of labels (XNLI, PAWS-X, XCOPA, Tatoeba) and of masked tokens. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, check_counts, last_column, quotient


def statistics(golds: Sequence[str | int], predictions: Sequence[str | int]) -> np.ndarray:
    """Right (0 or 1) and 1 for each example, shape (examples, 2).

    Text labels are compared without surrounding whitespace, numbers by value.

    Raises:
        AdaptransError: If the numbers differ, or a text label meets a number,
            which would otherwise count as wrong in silence.

    Example:
        >>> statistics(["yes", "no"], ["yes ", "yes"]).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    check_counts(golds, predictions)
    counts = np.ones((len(golds), 2), dtype=np.float64)
    for row, (gold, prediction) in enumerate(zip(golds, predictions, strict=True)):
        if isinstance(gold, str) != isinstance(prediction, str):
            raise AdaptransError(
                f"example {row}: gold label {gold!r} and prediction {prediction!r} are of different types",
                remedy="give label names on both sides, or numbers on both sides",
            )
        gold, prediction = (each.strip() if isinstance(each, str) else each for each in (gold, prediction))
        counts[row, 0] = gold == prediction
    return counts


ACCURACY = Score(
    name="accuracy",
    parts=("accuracy",),
    statistics=statistics,
    reduce=quotient,
    source="google-research/xtreme, evaluate.py: equal pairs / predictions",
)


def masked_statistics(golds: Sequence[Any], predictions: Sequence[Sequence[int]]) -> np.ndarray:
    """Tokens predicted right and tokens masked in each example, shape (examples, 2).

    A prediction counts its own tokens, because which of them are masked depends on the tokenizer.

    Example:
        >>> masked_statistics(["a b", "c"], [[1, 2], [0, 1]]).tolist()
        [[1.0, 2.0], [0.0, 1.0]]
    """
    check_counts(golds, predictions)
    return np.asarray(predictions, dtype=np.float64).reshape(len(golds), 2)


MASKED_SUBWORDS = Score(
    name="masked_pieces",
    parts=("masked_pieces",),
    statistics=masked_statistics,
    reduce=quotient,
    source="pieces guessed right / pieces hidden, by the masks of adaptrans.task_types.masked_lm",
    weigh=last_column,
)
