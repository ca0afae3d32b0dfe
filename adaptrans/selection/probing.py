"""A linear classifier on frozen features: what a source task reads from an encoder. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Probe:
    """A fitted classifier.

    Args:
        center: Mean of the features it was fitted on, shape (width,).
        scale: Their spread, of the same shape.
        weights: Shape (width + 1, classes); the last row is the bias.
    """

    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Scores of its classes, shape (examples, classes)."""
        scaled = (features - self.center) / self.scale
        return np.asarray(scaled @ self.weights[:-1] + self.weights[-1])

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probabilities of its classes, shape (examples, classes)."""
        return softmax(self.logits(features))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis.

    Example:
        >>> softmax(np.array([0.0, 0.0])).tolist()
        [0.5, 0.5]
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def fitted(features: np.ndarray, labels: np.ndarray, strength: float = 1.0) -> Probe:
    """Fit multinomial logistic regression on standardized features, by L-BFGS.

    Args:
        features: Shape (examples, width).
        labels: Numbers of the labels, shape (examples,).
        strength: Weight of the squared weights beside the summed loss.

    Example:
        >>> x = np.array([[0.0], [0.2], [3.0], [3.2]])
        >>> fitted(x, np.array([0, 0, 1, 1])).probabilities(x).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """
    from scipy.optimize import minimize

    center, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-8 * max(1e-300, float(scale.max())), scale, 1.0)
    x = np.column_stack([(features - center) / scale, np.ones(len(features))])
    places = np.unique(labels, return_inverse=True)[1]
    wanted = np.eye(int(places.max()) + 1)[places]
    shape = x.shape[1], wanted.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        probabilities = softmax(x @ weights)
        held = weights.copy()
        held[-1] = 0
        value = -np.log(np.maximum((probabilities * wanted).sum(axis=1), 1e-300)).sum()
        slope = x.T @ (probabilities - wanted) + strength * held
        return float(value + strength / 2 * (held**2).sum()), slope.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return Probe(center, scale, found.x.reshape(shape))
