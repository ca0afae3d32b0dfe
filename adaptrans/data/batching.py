"""Batches of like lengths under a token budget, as a pure function of seed and epoch.

Torch-free. Because the order depends on nothing else, a resumed run needs only
its epoch and its place in it to go on with exactly the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from adaptrans.errors import is_out_of_memory
from adaptrans.utils.devices import release_memory

if TYPE_CHECKING:
    import torch


POOL_BATCHES = 50
"""Batches that are sorted by length together: long enough to save padding, short enough to stay random."""


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each optimizer step of an epoch, like lengths together, each index once.

    The examples are shuffled, cut into pools of `POOL_BATCHES` batches, sorted
    by length within a pool, cut into batches, and the batches shuffled. What is
    left over makes one smaller batch, of examples of any length: each counts for
    more in it, so that chance has to choose them, and not their length.

    Args:
        lengths: Tokens of each item.
        batch_size: Items per optimizer step.
        seed: Seed of the run.
        epoch: 0-based epoch.

    Example:
        >>> batches = epoch_batches([5, 9, 5, 9], 2, seed=0, epoch=0)
        >>> sorted(sorted(batch) for batch in batches)
        [[0, 2], [1, 3]]
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    sizes = np.asarray(lengths)
    pool = batch_size * POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        left, part = np.split(part, [len(part) % batch_size])
        part = part[np.argsort(sizes[part], kind="stable")]
        batches.extend(part[i : i + batch_size].tolist() for i in range(0, len(part), batch_size))
        if len(left):
            batches.append(left.tolist())
    return [batches[i] for i in generator.permutation(len(batches))]


def own_share(items: Sequence[int], lengths: Sequence[int], process: int, processes: int) -> list[int]:
    """What of the items of a step one of several processes computes: as many of like length as the others.

    Args:
        items: Indices into `lengths`.
        lengths: Tokens of each item.
        process: The process, from 0.
        processes: How many there are.

    Example:
        >>> [own_share([0, 1, 2], [9, 2, 5], process, 2) for process in (0, 1)]
        [[1, 0], [2]]
    """
    if processes == 1:
        return list(items)
    return sorted(items, key=lambda index: lengths[index])[process::processes]


def micro_batches(items: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Cut items, sorted by length, so that each part padded to its longest fits the budget.

    An item longer than the budget makes a part of its own.

    Args:
        items: Indices into `lengths`.
        lengths: Tokens of each item.
        token_budget: Padded tokens per part.

    Example:
        >>> micro_batches([0, 1, 2], [4, 2, 2], token_budget=4)
        [[1, 2], [0]]
    """
    parts: list[list[int]] = []
    current: list[int] = []
    for item in sorted(items, key=lambda index: lengths[index]):
        if current and lengths[item] * (len(current) + 1) > token_budget:
            parts.append(current)
            current = []
        current.append(item)
    return [*parts, current] if current else parts


def padding_share(parts: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of the padded tokens of these parts that are padding.

    Example:
        >>> padding_share([[0, 1]], [4, 2])
        0.25
    """
    padded = sum(max(lengths[i] for i in part) * len(part) for part in parts if part)
    real = sum(lengths[i] for part in parts for i in part)
    return 1 - real / padded if padded else 0.0


class FittingParts:
    """Items in parts of like length under a token budget; see `micro_batches`.

    A part for which the memory ended comes again, in halves, and so do those after it.

    Args:
        items: Indices into `lengths`.
        lengths: Tokens of each item.
        token_budget: Padded tokens per part.
        device: Where they are computed.

    Example:
        >>> parts = FittingParts(range(4), [2, 2, 2, 2], 8, None)
        >>> for part in parts:
        ...     with parts.attempt(part):
        ...         if len(part) > 2:
        ...             raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        ...         print(part)
        [0, 1]
        [2, 3]
    """

    def __init__(
        self,
        items: Sequence[int],
        lengths: Sequence[int] | Mapping[int, int],
        token_budget: int,
        device: torch.device | None,
    ) -> None:
        self._lengths = lengths
        self._budget = token_budget
        self._device = device
        self._left = self._cut(items)
        self._failed = False

    def _cut(self, items: Sequence[int]) -> list[list[int]]:
        return micro_batches(items, self._lengths, self._budget)[::-1]  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        while self._left:
            if self._failed:
                # Here no handler holds the failed tensors any more.
                release_memory(self._device)
                self._failed = False
            yield self._left.pop()

    @contextmanager
    def attempt(self, part: Sequence[int]) -> Iterator[None]:
        """Compute a part in the block, which is left when the memory ends.

        Raises:
            RuntimeError: If the memory is too short for a single item.
        """
        try:
            yield
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(part) == 1:
                raise
            self._failed = True
            widest = len(part) * max(self._lengths[item] for item in part)
            self._budget = min(self._budget, widest) // 2
            self._left = self._cut([*part, *(item for other in reversed(self._left) for item in other)])
