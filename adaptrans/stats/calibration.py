"""Whether a model is as sure as it is right. No torch, no models.

Each measure is a matrix of additive counts and a function of their sums, as in
`adaptrans.stats.agreement`, so that examples are resampled in the same way.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from adaptrans.errors import AdaptransError
from adaptrans.stats.agreement import Measure

BINS = 10
"""Bins of equal width of the confidence. Source: Ahuja et al. 2022 (arXiv 2210.12265) and most
others."""

COLDEST, HOTTEST = 0.01, 100.0
"""Between which a temperature is sought: beyond them answers are all or nothing, or all alike."""


def expected_calibration_error(log_probabilities: np.ndarray, right: np.ndarray, bins: int = BINS) -> Measure:
    """Mean distance between confidence and accuracy over bins of the confidence, weighted by their
    items.

    The confidence is the probability of the answer given. Bins are (0, 1/bins], (1/bins, 2/bins], ...
    Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.

    Args:
        log_probabilities: Of each label, shape (items, labels), rows sum to 1 in probability.
        right: The place of the right label of each item, shape (items,).
        bins: How many bins.

    Raises:
        AdaptransError: If there is not one right label for each item.

    >>> sure = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]))
    >>> round(expected_calibration_error(sure, np.array([0, 1])).value, 3)
    0.4
    """
    _check(log_probabilities, right)
    confidence = np.exp(log_probabilities.max(axis=1))
    hit = log_probabilities.argmax(axis=1) == right
    # A confidence just above an edge by rounding alone, as of 0.9 in logarithms, stays below it.
    places = np.clip(np.ceil(confidence * bins - 1e-9).astype(int) - 1, 0, bins - 1)
    counts = np.zeros((len(right), bins + 1))
    counts[np.arange(len(right)), places] = hit - confidence
    counts[:, bins] = 1

    def reduce(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.abs(sums[..., :bins]).sum(axis=-1, keepdims=True) / sums[..., bins:]

    return Measure(counts, reduce)


def brier_score(log_probabilities: np.ndarray, right: np.ndarray) -> Measure:
    """Mean squared distance between the probabilities and the right answer, from 0 to 2.

    Source: Brier 1950, over all labels, hence the 2.

    Args:
        log_probabilities: Of each label, shape (items, labels).
        right: The place of the right label of each item, shape (items,).

    Raises:
        AdaptransError: If there is not one right label for each item.

    >>> round(brier_score(np.log(np.array([[0.9, 0.1]])), np.array([0])).value, 3)
    0.02
    """
    _check(log_probabilities, right)
    distance = np.exp(log_probabilities)
    distance[np.arange(len(right)), right] -= 1

    def reduce(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :1] / sums[..., 1:]

    return Measure(np.stack([(distance**2).sum(axis=1), np.ones(len(right))], axis=1), reduce)


def fitted_temperature(log_probabilities: np.ndarray, right: np.ndarray) -> float:
    """The temperature with which the right labels of held-out items become most likely.

    Logits are divided by it; answers stay what they are. Source: Guo et al. 2017, section 4.2; fitted
    on English as Ahuja et al. 2022 do, it needs no data of a target language.

    Args:
        log_probabilities: Of each label on the held-out items, shape (items, labels).
        right: The place of the right label of each item, shape (items,).

    Returns:
        Between 0.01 and 100.

    Raises:
        AdaptransError: If there are no items, or not one right label for each.

    >>> sure = np.log(np.array([[0.99, 0.01]] * 4))
    >>> fitted_temperature(sure, np.array([0, 0, 0, 1])) > 2
    True
    """
    _check(log_probabilities, right)
    if not len(right):
        raise AdaptransError(
            "no held-out item to fit a temperature on", remedy="give the task an English dev set"
        )
    rows = np.arange(len(right))

    def loss(logarithm: float) -> float:
        return -float(tempered(log_probabilities, float(np.exp(logarithm)))[rows, right].mean())

    found = minimize_scalar(
        loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


def tempered(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities with their logits divided by a temperature, shape (items, labels)."""
    found: np.ndarray = log_softmax(log_probabilities / temperature, axis=1)
    return found


def _check(log_probabilities: np.ndarray, right: np.ndarray) -> None:
    if len(log_probabilities) != len(right):
        raise AdaptransError(
            f"{len(log_probabilities)} answers and {len(right)} right labels", remedy="give one for each item"
        )
