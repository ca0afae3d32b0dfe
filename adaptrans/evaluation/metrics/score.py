"""What a score is: additive counts per example, and a rule that reduces their sums. No torch.

A score of a test set is `reduce(statistics(golds, predictions).sum(axis=0))`. Because the
counts add up, a bootstrap resamples rows instead of scoring predictions again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.stats.edges import Weigh, alike

Statistics = Callable[[Sequence[Any], Sequence[Any]], np.ndarray]
"""Golds and predictions to additive counts, shape (examples, k), float64."""


@dataclass(frozen=True)
class Score:
    """One scoring rule.

    Attributes:
        name: Name in task files and results.
        parts: Names of the reported values; the first is the primary one.
        statistics: Golds and predictions to additive counts, shape (examples, k), float64.
        reduce: Sums of counts, shape (..., k), to values x 100, shape (..., parts).
        source: Where the rule comes from.
        in_language: The statistics under the rules of a language, where these differ; `statistics`
            are then those of English.
        whole: Whether the counts of an example depend on the others, so that all are counted at once.
        weigh: Counts, shape (examples, k), to the weight of each example in the primary value, which is the
            mean of the examples' own values by these weights; by default all alike.
        higher_is_better: Whether a larger primary value is the better one.

    Example:
        >>> from adaptrans.evaluation.metrics import SCORES
        >>> SCORES["accuracy"].compute(["a", "b"], ["a", "a"])
        {'accuracy': 50.0}
    """

    name: str
    parts: tuple[str, ...]
    statistics: Statistics
    reduce: Callable[[np.ndarray], np.ndarray]
    source: str
    in_language: Callable[[str], Statistics] | None = None
    whole: bool = False
    weigh: Weigh = alike
    higher_is_better: bool = True

    @property
    def primary(self) -> str:
        """Name of the first part, which selection and tables use."""
        return self.parts[0]

    def counts(
        self, golds: Sequence[Any], predictions: Sequence[Any], language: str | None = None
    ) -> np.ndarray:
        """Additive counts of examples in a language, shape (examples, k).

        Args:
            golds: References.
            predictions: One prediction each.
            language: Their language, for scores whose rules differ between languages.

        Raises:
            AdaptransError: If the score has no rules for the language.
        """
        if self.in_language is None or language is None:
            return self.statistics(golds, predictions)
        return self.in_language(language)(golds, predictions)

    def compute(
        self, golds: Sequence[Any], predictions: Sequence[Any], language: str | None = None
    ) -> dict[str, float]:
        """Values x 100 of all parts over one test set, unrounded; see `counts`.

        Raises:
            AdaptransError: If there is nothing to score, or the numbers of golds and
                predictions differ.
        """
        return self.values(self.counts(golds, predictions, language))

    def values(self, statistics: np.ndarray) -> dict[str, float]:
        """Values x 100 of all parts from counts of shape (examples, k).

        Raises:
            AdaptransError: If there are no examples.
        """
        if len(statistics) == 0:
            raise AdaptransError(
                f"{self.name} of no examples is undefined", remedy="check the split and limit"
            )
        reduced = self.reduce(statistics.sum(axis=0))
        return {part: float(value) for part, value in zip(self.parts, reduced, strict=True)}


class Threshold(NamedTuple):
    """A threshold of a score, and the F1 x 100 that it reaches where it was tuned."""

    value: float
    f1: float


def check_counts(golds: Sequence[Any], predictions: Sequence[Any]) -> None:
    """Refuse golds and predictions of different number.

    Raises:
        AdaptransError: With both numbers.
    """
    if len(golds) != len(predictions):
        raise AdaptransError(
            f"{len(predictions)} predictions for {len(golds)} examples",
            remedy="score the file of the same task, split and language, unshortened",
        )


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient that is 0 where the denominator is 0.

    Example:
        >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
        [0.5, 0.0]
    """
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def quotient(sums: np.ndarray) -> np.ndarray:
    """The first of two sums by the second, x 100, from sums of shape (..., 2), shape (..., 1)."""
    return 100 * ratio(sums[..., :1], sums[..., 1:])


def last_column(counts: np.ndarray) -> np.ndarray:
    """The denominator of a quotient of sums, as weights of the examples, shape (examples,)."""
    return np.asarray(counts[:, -1], dtype=np.float64)
