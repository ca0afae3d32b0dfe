"""The k nearest neighbours of every vector on the other side, in both directions. No torch.

Two searches, which `search_kind` picks by size and every result states:

- `exact`: each block of similarities is computed once and serves both directions. Where the
  processor multiplies bfloat16 in hardware, the blocks are computed in it and only decide which
  pairs are looked at again: what may still be among the k nearest, by a bound on the rounding, is
  computed in float32, so that the result is exact.
- `IVF`: faiss, vectors in lists around centres of which a few are searched; approximate, see `approximate`.

Neither holds more than a block or a shard of either side in memory, so vectors may be memory-mapped.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.mining.approximate import approximate_both_ways
from adaptrans.evaluation.mining.blocks import Block, Bounds, Multiply, pick_product

ROWS = 512
"""Vectors of one side per block of similarities."""

COLUMNS = 65_536
"""Vectors of the other side per block: 128 MiB of float32 similarities, and two blocks are held."""

EXACT_LIMIT = 4e10
"""Pairs of sentences up to which the search is exact: about 5 minutes on two cores at width 768."""

Tick = Callable[[int], None]


def _silent(done: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest vectors of the other side, nearest first.

    Attributes:
        similarities: Inner products, shape (vectors, k), float32.
        rows: Rows on the other side, shape (vectors, k), int64.
    """

    similarities: np.ndarray
    rows: np.ndarray


def search_kind(sources: int, targets: int) -> str:
    """`exact`, or `IVF` where that would take too long.

    Example:
        >>> search_kind(20_000, 20_000), search_kind(1_000_000, 1_000_000)
        ('exact', 'IVF')
    """
    return "exact" if sources * targets <= EXACT_LIMIT else "IVF"


def nearest_both_ways(
    sources: np.ndarray,
    targets: np.ndarray,
    k: int,
    *,
    kind: str | None = None,
    multiply: Multiply | None = None,
    tick: Tick = _silent,
    work: Path | None = None,
) -> tuple[Neighbours, Neighbours]:
    """The k nearest targets of every source, and the k nearest sources of every target.

    Args:
        sources: Unit vectors, shape (sources, width), float32, in memory or memory-mapped.
        targets: Unit vectors, shape (targets, width).
        k: How many, at most the number of vectors on the other side.
        kind: `exact` or `IVF`; by default what `search_kind` says.
        multiply: How blocks of similarities are computed; by default the fastest way here.
        tick: Called with the number of sources searched (IVF: of both sides).
        work: IVF: folder that keeps what was found, so that a killed search goes on there; its name must
            tell both sides apart from others.

    Returns:
        Neighbours of the sources, neighbours of the targets.

    Raises:
        AdaptransError: If a side is empty or the widths differ.
    """
    if not len(sources) or not len(targets):
        raise AdaptransError("one side has no sentence", remedy="check both files")
    if sources.shape[1] != targets.shape[1]:
        raise AdaptransError(
            f"vectors are {sources.shape[1]} and {targets.shape[1]} wide", remedy="encode both with one model"
        )
    if (kind or search_kind(len(sources), len(targets))) == "IVF":
        forward, backward = approximate_both_ways(sources, targets, k, work, tick)
        return Neighbours(*forward), Neighbours(*backward)
    return _exact(sources, targets, k, multiply or pick_product(sources, targets), tick)


def _exact(
    sources: np.ndarray, targets: np.ndarray, k: int, multiply: Multiply, tick: Tick
) -> tuple[Neighbours, Neighbours]:
    """One pass over all blocks; what may be near is collected and settled in float32."""
    forward = Bounds(len(sources), min(k, len(targets)))
    backward = Bounds(len(targets), min(k, len(sources)))
    # The next block is multiplied while this one is looked through; neither needs Python's lock.
    with ThreadPoolExecutor(2) as pool:
        for first_column in range(0, len(targets), COLUMNS):
            columns = slice(first_column, min(first_column + COLUMNS, len(targets)))
            product = multiply(np.asarray(targets[columns], dtype=np.float32))
            parts = [slice(row, min(row + ROWS, len(sources))) for row in range(0, len(sources), ROWS)]
            following = pool.submit(_block, product, sources, parts[0])
            for rows, after in zip(parts, [*parts[1:], None], strict=True):
                block = following.result()
                if after is not None:
                    following = pool.submit(_block, product, sources, after)
                _collect(block, rows, columns, forward, backward)
                before, width = first_column * len(sources), columns.stop - first_column
                tick((before + width * rows.stop) // len(targets))
        own = pool.submit(forward.settle, sources, targets)
        other = backward.settle(targets, sources)
        return Neighbours(*own.result()), Neighbours(*other)


def _block(product: Callable[[np.ndarray], Block], sources: np.ndarray, rows: slice) -> Block:
    return product(np.asarray(sources[rows], dtype=np.float32))


def _collect(block: Block, rows: slice, columns: slice, forward: Bounds, backward: Bounds) -> None:
    """Hand the similarities that matter to either direction over to it."""
    forward.raise_to(rows, block.row_floor(forward.k))
    row, column, value = block.above(forward.floor(rows, block.slack), axis=0)
    forward.add(rows, row, column + columns.start, value)
    if not rows.start:
        backward.raise_to(columns, block.column_floor(backward.k))
    row, column, value = block.above(backward.floor(columns, block.slack), axis=1)
    backward.add(columns, column, row + rows.start, value)
