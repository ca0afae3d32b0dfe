"""F1 of extracted sentence pairs: BUCC 2018. No torch."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, check_counts, ratio
from adaptrans.evaluation.metrics.tagging import chunk_reduce, chunk_weights

Partners = Sequence[Collection[Hashable]]
"""For each sentence of one side the ids of its partners on the other; most have none."""


def statistics(golds: Partners, predictions: Partners) -> np.ndarray:
    """Right, extracted and reference pairs of each sentence, shape (sentences, 3); repetitions count once.

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


DEPTH = 20
"""Ranks that count. Source: google-research/xtreme, third_party/evaluate_retrieval.py (both tasks)."""


def average_precision(golds: Collection[Hashable], ranking: Sequence[Hashable], depth: int = DEPTH) -> float:
    """Average precision of one ranked list, between 0 and 1.

    The sum, over the ranks that hold a gold not met before, of golds met so far / rank, divided by
    the smaller of the number of golds and `depth`.

    Args:
        golds: What is looked for.
        ranking: What was found, the best first; what follows the first `depth` does not count.
        depth: Ranks that count.

    Raises:
        AdaptransError: If there is no gold.

    Source: google-research/xtreme, the scorer of LAReQA: mAP@20.

    Example:
        >>> average_precision({"a", "b"}, ["a", "x", "b"]), average_precision({"a"}, ["x", "a", "a"])
        (0.8333333333333333, 0.5)
    """
    wanted = set(golds)
    if not wanted:
        raise AdaptransError("a question has no gold to rank", remedy="leave it out")
    found, total = 0, 0.0
    for rank, item in enumerate(ranking[:depth], start=1):
        if item in wanted:
            wanted.discard(item)
            found += 1
            total += found / rank
    return total / min(found + len(wanted), depth)


def reciprocal_rank(golds: Collection[Hashable], ranking: Sequence[Hashable], depth: int = DEPTH) -> float:
    """1 / rank of the first gold, 0 if there is none within `depth`.

    With one gold this is the average precision, and what XTREME-R calls map@20 for Mewsli-X.

    Raises:
        AdaptransError: If there is no gold.

    Source: google-research/xtreme, the scorer of Mewsli-X.

    Example:
        >>> reciprocal_rank({"a", "b"}, ["x", "b", "a"]), reciprocal_rank({"a"}, ["x"] * 20 + ["a"])
        (0.5, 0.0)
    """
    if not golds:
        raise AdaptransError("a question has no gold to rank", remedy="leave it out")
    for rank, item in enumerate(ranking[:depth], start=1):
        if item in golds:
            return 1 / rank
    return 0.0


Golds = Sequence[Collection[Hashable]]
Rankings = Sequence[Sequence[Hashable]]


def map_statistics(golds: Golds, predictions: Rankings) -> np.ndarray:
    """Average precision and 1 of each query, shape (queries, 2).

    Raises:
        AdaptransError: If the numbers differ, or a query has no gold.
    """
    check_counts(golds, predictions)
    values = [average_precision(gold, ranking) for gold, ranking in zip(golds, predictions, strict=True)]
    return np.column_stack([values, np.ones(len(values))])


def mrr_statistics(golds: Golds, predictions: Rankings) -> np.ndarray:
    """Reciprocal rank and 1 of each query, shape (queries, 2).

    Raises:
        AdaptransError: If the numbers differ, or a query has no gold.
    """
    check_counts(golds, predictions)
    values = [reciprocal_rank(gold, ranking) for gold, ranking in zip(golds, predictions, strict=True)]
    return np.column_stack([values, np.ones(len(values))])


def reduce(sums: np.ndarray) -> np.ndarray:
    """Mean x 100 from sums of shape (..., 2), shape (..., 1)."""
    return 100 * ratio(sums[..., :1], sums[..., 1:])


def map_at_20(golds: Golds, predictions: Rankings) -> float:
    """Mean average precision x 100 over queries.

    Example:
        >>> map_at_20([["a"], ["b"]], [["a", "b"], ["a", "b"]])
        75.0
    """
    return MAP_AT_20.compute(golds, predictions)["map_at_20"]


def mrr_at_20(golds: Golds, predictions: Rankings) -> float:
    """Mean reciprocal rank x 100 over queries.

    Example:
        >>> mrr_at_20([["a", "b"], ["b"]], [["b", "a"], ["a", "b"]])
        75.0
    """
    return MRR_AT_20.compute(golds, predictions)["mrr_at_20"]


MAP_AT_20 = Score(
    name="map_at_20",
    parts=("map_at_20",),
    higher_is_better=True,
    statistics=map_statistics,
    reduce=reduce,
    source="google-research/xtreme, LAReQA: average precision within 20 / min(golds, 20)",
)

MRR_AT_20 = Score(
    name="mrr_at_20",
    parts=("mrr_at_20",),
    higher_is_better=True,
    statistics=mrr_statistics,
    reduce=reduce,
    source="google-research/xtreme, Mewsli-X: map@20 of one gold, which is its reciprocal rank",
)
