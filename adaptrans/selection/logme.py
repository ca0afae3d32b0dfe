"""LogME: log evidence of the labels, given features, under Bayesian linear regression. No torch."""

from __future__ import annotations

import numpy as np

STEPS, TOLERANCE = 11, 1e-3
"""Of the fixed point, as in the authors' code (github.com/thuml/LogME, LogME.py)."""


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Maximized log evidence per example, mean over classes, each against the rest.

    Args:
        features: Shape (examples, width).
        labels: Numbers of the labels, shape (examples,).

    Returns:
        Higher is better.

    Source: You et al. 2021, LogME: Practical assessment of pre-trained models for transfer learning; the
        fixed point with the singular value decomposition of their later paper (2022).

    Example:
        >>> x = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 1.0], [1.1, 1.0]])
        >>> logme(x, np.array([0, 0, 1, 1])) > logme(x, np.array([0, 1, 0, 1]))
        True
    """
    x = np.asarray(features, dtype=np.float64)
    u, singular, _ = np.linalg.svd(x, full_matrices=False)
    kept = singular > 1e-10 * max(singular[0], 1e-300)
    found = [
        _evidence(u[:, kept], singular[kept], (labels == label).astype(float), x.shape)
        for label in np.unique(labels)
    ]
    return float(np.mean(found))


def _evidence(u: np.ndarray, singular: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> float:
    """The evidence of one class, maximized over the precisions of weights and noise."""
    number, width = shape[0], shape[1]
    sigma, z = singular**2, u.T @ y
    outside = max(0.0, float(y @ y - z @ z))
    alpha = beta = 1.0
    ratio = 1.0
    for _ in range(STEPS):
        ratio = alpha / beta
        gamma = float((sigma / (sigma + ratio)).sum())
        weights = float((sigma * z**2 / (ratio + sigma) ** 2).sum())
        rest = float((z**2 / (1 + sigma / ratio) ** 2).sum()) + outside
        alpha = gamma / (weights + 1e-5)
        beta = (number - gamma) / (rest + 1e-5)
        if abs(alpha / beta - ratio) / ratio <= TOLERANCE:
            break
    ratio = alpha / beta
    gamma = float((sigma / (sigma + ratio)).sum())
    weights = float((sigma * z**2 / (ratio + sigma) ** 2).sum())
    rest = float((z**2 / (1 + sigma / ratio) ** 2).sum()) + outside
    alpha = gamma / (weights + 1e-5)
    beta = (number - gamma) / (rest + 1e-5)
    evidence = (
        width / 2 * np.log(alpha)
        + number / 2 * np.log(beta)
        - 0.5 * float(np.log(alpha + beta * sigma).sum())
        - 0.5 * (width - len(sigma)) * np.log(alpha)
        - beta / 2 * rest
        - alpha / 2 * weights
        - number / 2 * np.log(2 * np.pi)
    )
    return float(evidence / number)
