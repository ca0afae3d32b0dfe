"""How often each language and each pair of languages is drawn [no torch]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaptrans.data.mixing import smoothed
from mini_pretraining.config import Sampling
from mini_pretraining.store import PairTable


def pair_shares(table: PairTable, sampling: Sampling) -> NDArray[np.float64]:
    """Probability of each language pair: smoothed size, and the share of pairs with the pivot."""
    weights = smoothed([len(rows) for rows in table.rows], sampling.smoothing)
    pivot = np.array([sampling.pivot in pair for pair in table.pairs])
    if pivot.any() and not pivot.all():
        weights = np.where(pivot, weights / weights[pivot].sum(), weights / weights[~pivot].sum())
        weights = weights * np.where(pivot, sampling.pivot_share, 1 - sampling.pivot_share)
    return weights / weights.sum()
