"""Which task each step of a multi-task run trains, as a pure function of seed and sizes. Torch-free.

One task per step. Because the order depends on nothing else, a resumed run needs only the number of steps
taken to go on with exactly the same tasks and batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CAP = 2**17
"""Size beyond which a task is not drawn more often; a default of ours, not one of a paper."""

SMOOTHING = 0.3
"""Exponent on the sizes of languages when text is drawn (alpha of XLM-R, Conneau et al. 2020, 1911.02116)."""


def smoothed(sizes: Sequence[float] | NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """Sizes to the power of an exponent, made to sum to 1.

    Source: exponential smoothing of language frequencies, Conneau and Lample 2019.

    Example:
        >>> smoothed([1, 9], 0.5).tolist()
        [0.25, 0.75]
    """
    powers = np.asarray(sizes, dtype=np.float64) ** exponent
    return powers / powers.sum()


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
    return smoothed(capped_sizes(sizes, cap), 1 / temperature).tolist()


def with_own(found: Sequence[float], own: Sequence[float | None]) -> list[float]:
    """Shares in which some tasks have one of their own, and the others divide the rest as before.

    Args:
        found: Shares of all tasks.
        own: A task's own share, None where it has none. Together they are below 1, or 1 if all have one.

    Example:
        >>> with_own([0.5, 0.25, 0.25], [None, None, 0.25])
        [0.5, 0.25, 0.25]
    """
    rest = 1 - sum(share for share in own if share is not None)
    others = sum(share for share, mine in zip(found, own, strict=True) if mine is None)
    return [rest * share / others if mine is None else mine for share, mine in zip(found, own, strict=True)]


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


def smooth_epoch(groups: Sequence[int], exponent: float, *, seed: int, epoch: int) -> list[int]:
    """The items of an epoch in which each group's part is its smoothed size, as many as there are items.

    Every group goes through its items again and again, each time in another order, so that none is met twice
    before all have been met; an epoch takes the next part of that line.

    Args:
        groups: Number of the group of each item, from 0; none is empty.
        exponent: 1 keeps the parts as they are, 0 makes all groups equal.
        seed: Seed of the run.
        epoch: 0-based epoch.

    Example:
        >>> drawn = smooth_epoch([0, 0, 0, 0, 0, 0, 1, 1], 0.0, seed=1, epoch=0)
        >>> [sum(item < 6 for item in drawn), sum(item >= 6 for item in drawn)]
        [4, 4]
    """
    members = [np.flatnonzero(np.asarray(groups) == group) for group in range(max(groups) + 1)]
    sizes = [len(items) for items in members]
    exact = smoothed(sizes, exponent) * len(groups)
    takes = np.floor(exact).astype(int)
    # What rounding leaves over goes to the largest remainders, so that nothing is drawn here.
    order = np.argsort(takes - exact, kind="stable")
    takes[order[: len(groups) - takes.sum()]] += 1
    found: list[int] = []
    for group, (items, take) in enumerate(zip(members, takes.tolist(), strict=True)):
        first = epoch * take
        rounds = range(first // len(items), (first + take - 1) // len(items) + 1) if take else range(0)
        line = [np.random.default_rng([seed, group, turn]).permutation(items) for turn in rounds]
        begin = first % len(items)
        found += np.concatenate(line)[begin : begin + take].tolist() if take else []
    return found
