"""H-score: how far class means lie apart, in units of the features' spread. No torch."""

from __future__ import annotations

import numpy as np


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """tr(cov(f)^-1 cov(E[f|y])); higher is better, at most the number of classes less one.

    Args:
        features: Shape (examples, width).
        labels: Numbers of the labels, shape (examples,).

    Source: Bao et al. 2019, An information-theoretic approach to transferability in task transfer learning.

    Example:
        >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> round(h_score(x, np.array([0, 0, 1, 1])), 3)
        0.99
    """
    centered = features - features.mean(axis=0)
    means = np.zeros_like(centered, dtype=np.float64)
    for label in np.unique(labels):
        means[labels == label] = centered[labels == label].mean(axis=0)
    spread = centered.T @ centered / len(centered)
    between = means.T @ means / len(centered)
    return float(np.trace(np.linalg.pinv(spread, rcond=1e-10, hermitian=True) @ between))
