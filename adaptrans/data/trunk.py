"""Hidden states of a data set below the first adapter, made once and read from disk. Torch only in use.

One file holds the states of all inputs one after the other, without padding: shape (tokens, width). Reading
a batch touches its own rows alone, so that the file may be larger than the memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adaptrans.files import written_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GIB = 2**30

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of one number by precision."""


def torch_type(precision: str) -> torch.dtype:
    """The type of stored numbers in torch."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


@dataclass(frozen=True)
class TrunkFile:
    """The states of all inputs of a data set.

    Args:
        path: The file; it may not exist yet.
        lengths: Tokens of each input.
        width: Numbers per token.
        precision: `fp32`, `bf16` or `fp16`.
    """

    path: Path
    lengths: np.ndarray
    width: int
    precision: str

    @property
    def size(self) -> int:
        """Bytes of the file, known before it is made.

        Example:
            >>> TrunkFile(Path("states"), np.array([3, 5]), 768, "bf16").size
            12288
        """
        return int(self.lengths.sum()) * self.width * BYTES[self.precision]

    @property
    def is_there(self) -> bool:
        """Whether it is made, and whole."""
        return self.path.is_file() and self.path.stat().st_size == self.size

    def fits(self, limit: float) -> bool:
        """Whether the file may be made: it stays below a limit in GiB, and leaves as much disk free again."""
        folder = next(parent for parent in self.path.parents if parent.is_dir())
        return self.size <= limit * GIB and 2 * self.size <= shutil.disk_usage(folder).free

    def write(self, found: Iterable[tuple[Sequence[int], Tensor]]) -> None:
        """Make the file.

        Args:
            found: Numbers of some inputs and their states, shape (inputs, tokens, width), padding behind,
                until every input was there.
        """
        starts = self._starts
        with written_whole(self.path) as temporary:
            shape = (int(starts[-1]), self.width * BYTES[self.precision])
            rows = np.memmap(temporary, np.uint8, "w+", shape=shape)
            for items, states in found:
                for item, own in zip(items, _raw(states.to(torch_type(self.precision))), strict=True):
                    rows[starts[item] : starts[item + 1]] = own[: self.lengths[item]]
            rows.flush()
            del rows

    def read(self, items: Sequence[int], tokens: int) -> Tensor:
        """States of some inputs, shape (inputs, tokens, width), zero behind the end of each."""
        import torch

        rows, starts = self._rows, self._starts
        found = np.zeros((len(items), tokens, rows.shape[1]), dtype=np.uint8)
        for place, item in enumerate(items):
            found[place, : self.lengths[item]] = rows[starts[item] : starts[item + 1]]
        return torch.from_numpy(found).view(torch_type(self.precision))

    @property
    def _rows(self) -> np.ndarray:
        return np.memmap(self.path, np.uint8, "r").reshape(-1, self.width * BYTES[self.precision])

    @property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


def _raw(states: Tensor) -> np.ndarray:
    """The bytes of states, shape (inputs, tokens, bytes)."""
    import torch

    return states.detach().cpu().contiguous().view(torch.uint8).numpy()
