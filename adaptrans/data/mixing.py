"""Which task each step of a multi-task run trains, as a pure function of seed and sizes. Torch-free.

One task per step. Because the order depends on nothing else, a resumed run needs only the number of steps
taken to go on with exactly the same tasks and batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CAP = 2**17
"""Size beyond which a task is not drawn more often (the default that Phang et al. 2020 report for jiant)."""


def shares(sizes: Sequence[int], *, cap: int | None = CAP, temperature: float = 1.0) -> list[float]:
    """How often each task is drawn: min(size, cap) ** (1 / temperature), made to add up to 1.

    Source: the formula of jiant's `TemperatureMultiTaskSampler`; 1 is proportional to size, and the higher
    the temperature the more equal the shares.

    Args:
        sizes: Training inputs of each task.
        cap: Size beyond which no task counts as larger; None for no cap.
        temperature: Above 0.

    Example:
        >>> shares([300, 100])
        [0.75, 0.25]
        >>> shares([300, 100], cap=100)
        [0.5, 0.5]
        >>> [round(share, 3) for share in shares([400, 100], temperature=2)]
        [0.667, 0.333]
    """
    weights = [capped ** (1 / temperature) for capped in capped_sizes(sizes, cap)]
    return [weight / sum(weights) for weight in weights]


def capped_sizes(sizes: Sequence[int], cap: int | None) -> list[int]:
    """Sizes, none above the cap.

    Example:
        >>> capped_sizes([300, 100], 200)
        [200, 100]
    """
    return [size if cap is None else min(size, cap) for size in sizes]


def schedule(wanted: Sequence[float], steps: int, *, seed: int) -> list[int]:
    """The task of each step, drawn by share.

    Args:
        wanted: Shares of the tasks, which add up to 1.
        steps: Steps of the run.
        seed: Its seed.

    Example:
        >>> schedule([1.0], 3, seed=1)
        [0, 0, 0]
        >>> drawn = schedule([0.75, 0.25], 1000, seed=1)
        >>> abs(drawn.count(0) - 750) < 50
        True
    """
    if len(wanted) == 1:
        return [0] * steps
    # A stream of its own, apart from those that shuffle the tasks' examples.
    generator = np.random.default_rng([seed, len(wanted), steps])
    return generator.choice(len(wanted), size=steps, p=np.asarray(wanted) / sum(wanted)).tolist()
