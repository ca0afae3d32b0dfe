"""Pairs by ratio margin, matched one to one. No torch.

Source: google-research/xtreme third_party/utils_retrieve.py (BUCC), after Artetxe and Schwenk 2019,
arXiv 1811.01136.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptrans.evaluation.dense_retrieval import Neighbors, nearest_both_ways, search_kind

PAIRS = 1_000_000
"""Pairs that are matched together."""

NEIGHBOURS = 4
"""k of the margin (google-research/xtreme)."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of rows, the best score first.

    Attributes:
        sources: Rows of the source side, shape (pairs,), each row once.
        targets: Rows of the target side, shape (pairs,), each row once.
        scores: Ratio margins, shape (pairs,), float64, above 0.
        search: How neighbors were found: `exact` or `IVF`.
    """

    sources: np.ndarray
    targets: np.ndarray
    scores: np.ndarray
    search: str

    def __len__(self) -> int:
        return len(self.scores)


def mine(
    sources: np.ndarray,
    targets: np.ndarray,
    *,
    k: int = NEIGHBOURS,
    search: str | None = None,
    tick: Callable[[int], None] = lambda done: None,
    work: Path | None = None,
) -> Candidates:
    """All one-to-one pairs of two sets of vectors, the best first.

    Args:
        sources: Unit vectors, shape (sources, width), float32, each sentence once.
        targets: Unit vectors, shape (targets, width).
        k: Neighbors that make the margin.
        search: `exact` or `IVF`; by default by size.
        tick: Called with the number of vectors of both sides that are searched.
        work: IVF: folder that keeps what was found, so that a killed search goes on there.

    Example:
        >>> found = mine(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[::-1].copy())
        >>> found.sources.tolist(), found.targets.tolist()
        ([0, 1, 2], [2, 1, 0])
    """
    kind = search or search_kind(len(sources), len(targets))
    forward, backward = nearest_both_ways(sources, targets, k, kind=kind, tick=tick, work=work)
    return matched(forward, backward, kind)


def margins(own: Neighbors, own_means: np.ndarray, other_means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of the best neighbor of every vector by ratio margin, and its margin.

    The margin of a pair is its similarity divided by the mean of the two means of the k nearest
    similarities. Among equal margins the nearer neighbor wins.
    """
    means = (own_means[:, None] + other_means[own.rows]) / 2
    ratios = own.similarities.astype(np.float64) / means
    best = ratios.argmax(axis=1)[:, None]
    return np.take_along_axis(own.rows, best, axis=1)[:, 0], np.take_along_axis(ratios, best, axis=1)[:, 0]


def matched(forward: Neighbors, backward: Neighbors, search: str = "exact") -> Candidates:
    """Pairs from neighbors in both directions.

    The best target of each source and the best source of each target are joined, sorted by margin, and
    a pair is taken if neither side is used yet. Of equal margins the one found first comes first:
    sources before targets, then by row.
    """
    forward_means = forward.similarities.mean(axis=1, dtype=np.float64)
    backward_means = backward.similarities.mean(axis=1, dtype=np.float64)
    best_target, forward_scores = margins(forward, forward_means, backward_means)
    best_source, backward_scores = margins(backward, backward_means, forward_means)
    sources = np.concatenate([np.arange(len(best_target)), best_source])
    targets = np.concatenate([best_target, np.arange(len(best_source))])
    scores = np.concatenate([forward_scores, backward_scores])
    # A pair of a mean of 0 has no margin.
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    order = np.argsort(-scores, kind="stable")
    kept = order[_one_to_one(sources[order], targets[order])]
    kept = kept[scores[kept] > 0]
    return Candidates(sources[kept], targets[kept], scores[kept], search)


def _one_to_one(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Places of the pairs neither side of which stood in a pair taken before.

    Example:
        >>> _one_to_one(np.array([0, 0, 1]), np.array([1, 0, 0])).tolist()
        [0, 2]
    """
    # A byte per vector: in sets of millions of numbers each takes a hundred.
    used_sources, used_targets = (bytearray(int(side.max(initial=-1)) + 1) for side in (sources, targets))
    taken = np.zeros(len(sources), dtype=bool)
    for first in range(0, len(sources), PAIRS):
        part = slice(first, first + PAIRS)
        for place, source, target in zip(
            range(first, len(sources)), sources[part].tolist(), targets[part].tolist(), strict=False
        ):
            if not used_sources[source] and not used_targets[target]:
                used_sources[source] = used_targets[target] = 1
                taken[place] = True
    return np.flatnonzero(taken)


def first_and_last(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where each text stands first and last, in the order of first occurrence.

    The reference shows a repeated sentence by its first occurrence and takes the vector of the last.

    Example:
        >>> [places.tolist() for places in first_and_last(["a", "b", "a"])]
        [[0, 1], [2, 1]]
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
        last[text] = row
    return np.array(list(first.values()), dtype=np.int64), np.array(
        [last[text] for text in first], dtype=np.int64
    )


def without_repeated(
    pairs: Sequence[tuple[int, int]], sources: Sequence[str], targets: Sequence[str]
) -> list[int]:
    """Places of the pairs whose sentences each occur once in their corpus, white space around them aside.

    The reference drops a sentence that occurs twice or more, for it cannot tell which id is meant.

    Example:
        >>> without_repeated([(0, 0), (1, 1)], ["a", "b", " a"], ["x", "y"])
        [1]
    """
    known = [_repeated(sources), _repeated(targets)]
    return [
        place
        for place, (source, target) in enumerate(pairs)
        if sources[source].strip() not in known[0] and targets[target].strip() not in known[1]
    ]


def _repeated(texts: Sequence[str]) -> set[str]:
    once, twice = set[str](), set[str]()
    for text in map(str.strip, texts):
        (twice if text in once else once).add(text)
    return twice
