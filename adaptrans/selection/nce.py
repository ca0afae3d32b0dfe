"""NCE: negative conditional entropy of a target's labels, given a source's. No torch."""

from __future__ import annotations

import numpy as np


def nce(sources: np.ndarray, labels: np.ndarray) -> float:
    """-H(target label | source label), in nats.

    Args:
        sources: Number of the source label that is predicted for each target example, shape (examples,).
        labels: Numbers of the target's labels, of the same shape.

    Returns:
        At most 0; higher is better.

    Source: Tran, Nguyen and Hassner 2019, Transferability and hardness of supervised classification tasks.

    Example:
        >>> nce(np.array([0, 0, 1, 1]), np.array([5, 5, 7, 7]))
        0.0
    """
    rows, columns = (np.unique(own, return_inverse=True)[1] for own in (sources, labels))
    joint = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(joint, (rows, columns), 1 / len(rows))
    given = joint / joint.sum(axis=1, keepdims=True)
    used = joint > 0
    return float((joint[used] * np.log(given[used])).sum() + 0.0)
