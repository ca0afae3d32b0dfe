"""Batches that are halved when the memory ends, for forward passes whose results do not depend on the cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adaptrans.data.batches import micro_batches
from adaptrans.devices import let_go
from adaptrans.errors import is_out_of_memory

if TYPE_CHECKING:
    import torch


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
                let_go(self._device)
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
