"""LEEP: how well a source's predictions tell the labels of a target. No torch."""

from __future__ import annotations

import numpy as np


def leep(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean log-likelihood of the target's labels, given what a source model predicts for its inputs.

    Args:
        predictions: Probabilities of the source's labels for each target example, shape (examples, sources).
        labels: Numbers of the target's labels, shape (examples,).

    Returns:
        At most 0; higher is better.

    Source: Nguyen et al. 2020, LEEP: A new measure to evaluate transferability of learned representations.

    Example:
        >>> leep(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
        0.0
    """
    places = np.unique(labels, return_inverse=True)[1]
    joint = np.zeros((places.max() + 1, predictions.shape[1]))
    np.add.at(joint, places, predictions / len(predictions))
    shares = joint.sum(axis=0)
    given = np.divide(joint, shares, out=np.zeros_like(joint), where=shares > 0)
    expected = (predictions @ given.T)[np.arange(len(places)), places]
    return float(np.log(np.maximum(expected, np.finfo(float).tiny)).mean())
