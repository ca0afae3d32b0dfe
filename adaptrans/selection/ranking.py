"""How good a ranking of candidates is, against what they were worth. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def ranked(values: Mapping[str, float]) -> list[str]:
    """Candidates, the highest value first; equal ones by name.

    Example:
        >>> ranked({"a": 1.0, "b": 3.0, "c": 2.0})
        ['b', 'c', 'a']
    """
    return sorted(values, key=lambda name: (-values[name], name))


def regret(order: Sequence[str], worth: Mapping[str, float], k: int) -> float:
    """Regret@k: what the best of the first k falls short of the best, as a share of the best.

    Args:
        order: Candidates, the recommended one first.
        worth: What each is worth, such as the score after it; the best is above 0.
        k: How many are tried.

    Source: Poth et al. 2021, What to pre-train on? Efficient intermediate task selection.

    Example:
        >>> regret(["a", "b", "c"], {"a": 60.0, "b": 75.0, "c": 80.0}, 1)
        0.25
    """
    best = max(worth.values())
    return float((best - max(worth[name] for name in order[:k])) / best)


def ndcg(order: Sequence[str], worth: Mapping[str, float]) -> float:
    """NDCG of a ranking, gains above the worst candidate as relevance; 1 where all are worth the same.

    Source: Järvelin and Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques.

    Example:
        >>> ndcg(["b", "a"], {"a": 1.0, "b": 2.0}), round(ndcg(["a", "b"], {"a": 1.0, "b": 2.0}), 3)
        (1.0, 0.631)
    """
    least = min(worth.values())
    discounts = 1 / np.log2(np.arange(2, len(order) + 2))
    gains = np.array([worth[name] - least for name in order])
    ideal = float((np.sort(gains)[::-1] * discounts).sum())
    return 1.0 if ideal <= 0 else float((gains * discounts).sum()) / ideal
