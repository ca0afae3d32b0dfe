"""How far two or more sets of answers to the same items agree. No torch, no models.

Each measure is a matrix of additive counts, one row per item, and a function from sums of rows to a
value. So what resamples examples (`adaptrans.stats.bootstrap`) resamples these as it does scores: the
same draws for all.

Answers are whole numbers, such as the places of labels; rankings are the places of an item's choices,
best first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrans.errors import AdaptransError

Reduce = Callable[[np.ndarray], np.ndarray]
"""Sums of counts, shape (..., k), to values, shape (..., 1)."""


@dataclass(frozen=True)
class Measure:
    """A measure on some items.

    Attributes:
        counts: One row per item (or bundle of items), shape (items, k).
        reduce: Sums of rows, shape (..., k), to values, shape (..., 1), shares and not points.
    """

    counts: np.ndarray
    reduce: Reduce

    @property
    def value(self) -> float:
        """On all items; not a number where it is undefined."""
        return float(self.reduce(self.counts.sum(axis=0))[0])


def agreement(a: np.ndarray, b: np.ndarray) -> Measure:
    """Share of items with equal answers.

    Args:
        a: Answers, shape (items,).
        b: Other answers to the same items, in the same order.

    Raises:
        AdaptransError: If they are not of the same items.

    >>> agreement(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])).value
    0.75
    """
    _check_same(a, b)
    return _mean(a == b)


def cohens_kappa(a: np.ndarray, b: np.ndarray, labels: int) -> Measure:
    """Agreement beyond what the two distributions of answers give by chance.

    Undefined where both always give the same one answer. Source: Cohen 1960, "A coefficient of
    agreement for nominal scales".

    Args:
        a: Answers below `labels`, shape (items,).
        b: Other answers to the same items.
        labels: How many answers there are.

    Raises:
        AdaptransError: If they are not of the same items.

    >>> cohens_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).value
    0.5
    """
    _check_same(a, b)

    def reduce(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(*sums.shape[:-1], labels, labels)
        number = table.sum(axis=(-2, -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = np.trace(table, axis1=-2, axis2=-1) / number
            chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / number**2
            return ((seen - chance) / (1 - chance))[..., None]

    return Measure(np.eye(labels * labels)[a * labels + b], reduce)


def expected_agreement(a: float, b: float, choices: int) -> float:
    """Agreement of two sets of answers that know nothing of each other but how often each is right.

    Wrong answers are taken to fall on each wrong choice alike.

    Args:
        a: Share of right answers.
        b: That of the other.
        choices: Of each item.

    >>> expected_agreement(0.8, 0.7, 2)
    0.62
    """
    return round(a * b + (1 - a) * (1 - b) / (choices - 1), 12)


def rank_consistency(a: np.ndarray, b: np.ndarray) -> Measure:
    """RankC: how alike two rankings of the same choices are, with most weight on their heads.

    For each item the sum over j of w_j times the share that the two best j choices have in common, with
    w the softmax over (N, N-1, ..., 1) of N choices. Source: Qi et al. 2023 (arXiv 2310.10378),
    equation 2, as in their code. With two choices it is 0.269 + 0.731 times the agreement.

    Args:
        a: Places of the choices, best first, shape (items, choices).
        b: Those of the other, of the same items.

    Raises:
        AdaptransError: If they are not of the same items and choices.

    >>> round(rank_consistency(np.array([[0, 1], [1, 0]]), np.array([[0, 1], [0, 1]])).value, 4)
    0.6345
    """
    _check_same(a, b)
    choices = a.shape[1]
    weights = np.exp(np.arange(choices, 0, -1) - choices)
    weights /= weights.sum()
    shared = np.empty(a.shape)
    for depth in range(1, choices + 1):
        alike = a[:, :depth, None] == b[:, None, :depth]
        shared[:, depth - 1] = alike.any(axis=2).sum(axis=1) / depth
    return _mean(shared @ weights)


def consistency_rate(answers: np.ndarray) -> Measure:
    """Share of equal pairs among all pairs of answers to the same item, put in several ways.

    Pairs of all items count alike. Source: lm-evaluation-harness, `lm_eval/tasks/score/utils.py`, whose
    code counts each pair once (the formula in its README counts ordered pairs).

    Args:
        answers: Shape (items, ways).

    Raises:
        AdaptransError: With less than two ways.

    >>> consistency_rate(np.array([[1, 1, 1], [0, 1, 1]])).value
    0.6666666666666666
    """
    ways = answers.shape[1]
    if ways < 2:
        raise AdaptransError("one way to put an item has no pair", remedy="give answers to two ways or more")
    first, second = np.triu_indices(ways, 1)
    return _mean((answers[:, first] == answers[:, second]).mean(axis=1))


def bundle_accuracy(right: np.ndarray, bundles: Sequence[str]) -> Measure:
    """Share of bundles of items of which all are answered right.

    A bundle is an item with its minimal changes, such as a sentence pair with its counterfactual
    revisions. Source: Gardner et al. 2020 (arXiv 2004.02709), contrast consistency.

    Args:
        right: Whether each item is answered right, shape (items,).
        bundles: The bundle of each item. Rows of the result stand in the order of their first items.

    Raises:
        AdaptransError: If there is not one bundle for each item.

    >>> bundle_accuracy(np.array([True, True, True, False]), ["a", "a", "b", "b"]).value
    0.5
    """
    if len(right) != len(bundles):
        raise AdaptransError(
            f"{len(right)} answers and {len(bundles)} names of bundles", remedy="name the bundle of each item"
        )
    places = {name: place for place, name in enumerate(dict.fromkeys(bundles))}
    whole = np.ones(len(places), dtype=bool)
    for name, value in zip(bundles, right, strict=True):
        whole[places[name]] &= bool(value)
    return _mean(whole)


def _mean(values: np.ndarray) -> Measure:
    def reduce(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :1] / sums[..., 1:]

    values = np.asarray(values, dtype=float)
    return Measure(np.stack([values, np.ones(len(values))], axis=1), reduce)


def _check_same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise AdaptransError(
            f"answers to {a.shape} and {b.shape} cannot be compared", remedy="give answers to the same items"
        )
