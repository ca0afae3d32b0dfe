"""Scores of what is searched: F1 of extracted sentence pairs (BUCC 2018), ranked passages. No torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, Threshold, check_counts, quotient, ratio
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


BUCC_F1 = Score(
    name="bucc_f1",
    parts=("f1", "precision", "recall"),
    statistics=statistics,
    reduce=chunk_reduce,
    source="google-research/xtreme, evaluate.py: F1 over the sets of pairs",
    weigh=chunk_weights,
)


def best_margin_threshold(
    pairs: Sequence[tuple[str, str]], margins: Sequence[float], golds: Collection[tuple[str, str]]
) -> Threshold:
    """The margin from which on candidate pairs are extracted with the best F1.

    After each candidate, the best first, F1 is taken of all so far; a strictly better one sets the
    threshold midway between this margin and the next one. If that is after the last candidate, its own
    margin is the threshold; the reference fails there. Without a right candidate it is 0.

    Args:
        pairs: Candidate pairs of ids, in the order of their margins, the best first.
        margins: Their margins.
        golds: Reference pairs; repetitions count once.

    Source: google-research/xtreme third_party/utils_retrieve.py.

    Example:
        >>> best_margin_threshold([("a", "x"), ("b", "y")], [1.2, 1.0], {("a", "x")})
        Threshold(value=1.1, f1=100.0)
        >>> best_margin_threshold([("a", "x")], [1.2], {("a", "x"), ("b", "y")}).value
        1.2
    """
    wanted = set(golds)
    correct = np.cumsum([pair in wanted for pair in pairs])
    if not correct.any():
        return Threshold(0.0, 0.0)
    precision, recall = correct / np.arange(1, len(correct) + 1), correct / len(wanted)
    f1 = ratio(2 * precision * recall, precision + recall)
    best = int(np.argmax(f1))
    following = margins[best + 1] if best + 1 < len(margins) else margins[best]
    return Threshold((margins[best] + following) / 2, 100 * float(f1[best]))


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


def statistics_of(value: Callable[..., float], golds: Golds, predictions: Rankings) -> np.ndarray:
    """A value of each query's ranking, and 1, shape (queries, 2).

    Args:
        value: Of golds and ranking of a query.
        golds: What is looked for.
        predictions: What was found, the best first.

    Raises:
        AdaptransError: If the numbers differ, or a query has no gold.
    """
    check_counts(golds, predictions)
    values = [value(gold, ranking) for gold, ranking in zip(golds, predictions, strict=True)]
    return np.column_stack([values, np.ones(len(values))])


MAP_AT_20 = Score(
    name="map_at_20",
    parts=("map_at_20",),
    statistics=partial(statistics_of, average_precision),
    reduce=quotient,
    source="google-research/xtreme, LAReQA: average precision within 20 / min(golds, 20)",
)

MRR_AT_20 = Score(
    name="mrr_at_20",
    parts=("mrr_at_20",),
    statistics=partial(statistics_of, reciprocal_rank),
    reduce=quotient,
    source="google-research/xtreme, Mewsli-X: map@20 of one gold, which is its reciprocal rank",
)
