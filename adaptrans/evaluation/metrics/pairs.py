"""F1 of extracted sentence pairs: BUCC 2018. No torch."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np

from adaptrans.evaluation.metrics.score import Score, check_counts
from adaptrans.evaluation.metrics.tagging import chunk_reduce, chunk_weights

Partners = Sequence[Collection[Hashable]]
"""For each sentence of one side the ids of its partners on the other; most have none."""


def statistics(golds: Partners, predictions: Partners) -> np.ndarray:
    """Right, extracted and gold pairs of each sentence, shape (sentences, 3); repetitions count once.

    Raises:
        AdaptransError: If the numbers of sentences differ.

    Example:
        >>> statistics([["en-1"], []], [["en-1", "en-2"], []]).tolist()
        [[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]]
    """
    check_counts(golds, predictions)
    counts = np.zeros((len(golds), 3), dtype=np.float64)
    for row, (gold, found) in enumerate(zip(golds, predictions, strict=True)):
        if gold or found:
            wanted, extracted = set(gold), set(found)
            counts[row] = len(wanted & extracted), len(extracted), len(wanted)
    return counts


def by_source(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Partners of each sentence that has one, in the order of the pairs.

    Example:
        >>> by_source([("de-1", "en-7"), ("de-2", "en-3"), ("de-1", "en-9")])
        {'de-1': ['en-7', 'en-9'], 'de-2': ['en-3']}
    """
    found: dict[str, list[str]] = {}
    for source, target in pairs:
        found.setdefault(source, []).append(target)
    return found


def aligned(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, Sequence[str]]
) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """Partners by gold and by prediction of every sentence that has any, the gold's sentences first."""
    names = list(dict.fromkeys([*golds, *predictions]))
    return [golds.get(name, ()) for name in names], [predictions.get(name, ()) for name in names]


def pair_f1(golds: Iterable[tuple[str, str]], predictions: Iterable[tuple[str, str]]) -> dict[str, float]:
    """F1, precision and recall x 100 of extracted pairs of ids.

    Source: google-research/xtreme, evaluate.py: over the sets of pairs; 0 if none is right.

    Example:
        >>> pair_f1([("de-1", "en-1"), ("de-2", "en-2")], [("de-1", "en-1")])["recall"]
        50.0
    """
    rows = aligned(by_source(golds), by_source(predictions))
    if not rows[0]:
        return dict.fromkeys(SCORE.parts, 0.0)
    return SCORE.compute(*rows)


SCORE = Score(
    name="bucc_f1",
    parts=("f1", "precision", "recall"),
    higher_is_better=True,
    statistics=statistics,
    reduce=chunk_reduce,
    source="google-research/xtreme, evaluate.py: F1 over the sets of pairs",
    weigh=chunk_weights,
)
