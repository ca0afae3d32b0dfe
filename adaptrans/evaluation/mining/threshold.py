"""The margin above which a candidate pair counts as a translation, tuned on gold pairs. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]


@dataclass(frozen=True)
class Threshold:
    """A margin and what it reaches on the gold it was tuned on.

    Attributes:
        value: Candidates that score this or more are extracted.
        f1: F1 x 100 at the best place, 0 if no candidate is right.
        precision: Precision x 100 there.
        recall: Recall x 100 there.
    """

    value: float
    f1: float
    precision: float
    recall: float


def best_threshold(pairs: Sequence[Pair], scores: Sequence[float], golds: Collection[Pair]) -> Threshold:
    """The threshold with the best F1.

    After each candidate, the best first, F1 is taken of all so far; a strictly better one sets the
    threshold midway between this score and the next one. If that is after the last candidate, its own
    score is the threshold; the reference fails there. Without a right candidate it is 0.

    Args:
        pairs: Candidate pairs of ids, in the order of their scores, the best first.
        scores: Their margins.
        golds: Gold pairs; repetitions count once.

    Source: google-research/xtreme third_party/utils_retrieve.py.

    Example:
        >>> best_threshold([("a", "x"), ("b", "y")], [1.2, 1.0], {("a", "x")})
        Threshold(value=1.1, f1=100.0, precision=100.0, recall=100.0)
        >>> best_threshold([("a", "x")], [1.2], {("a", "x"), ("b", "y")}).value
        1.2
    """
    wanted = set(golds)
    correct = 0
    value = best = best_precision = best_recall = 0.0
    for place, pair in enumerate(pairs):
        correct += pair in wanted
        if not correct:
            continue
        precision, recall = correct / (place + 1), correct / len(wanted)
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best:
            following = scores[place + 1] if place + 1 < len(scores) else scores[place]
            value = (scores[place] + following) / 2
            best, best_precision, best_recall = f1, precision, recall
    return Threshold(value, 100 * best, 100 * best_precision, 100 * best_recall)


def extracted(pairs: Sequence[Pair], scores: Sequence[float], threshold: float) -> list[Pair]:
    """The candidates that score the threshold or more.

    Example:
        >>> extracted([("a", "x"), ("b", "y")], [1.2, 1.0], 1.2)
        [('a', 'x')]
    """
    return [pair for pair, score in zip(pairs, scores, strict=True) if score >= threshold]
