"""The k nearest neighbors of every vector on the other side, in both directions. No torch.

Two searches, which `search_kind` picks by size and every result states:

- `exact`: each block of similarities is computed once and serves both directions. Where the
  processor multiplies bfloat16 in hardware, the blocks are computed in it and only decide which
  pairs are looked at again: what may still be among the k nearest, by a bound on the rounding, is
  computed in float32, so that the result is exact.
- `IVF`: faiss, vectors in lists around centres of which a few are searched; approximate, see `approximate`.

Neither holds more than a block or a shard of either side in memory, so vectors may be memory-mapped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.utils.io import atomic_write, read_json, write_json

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
class Neighbors:
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
) -> tuple[Neighbors, Neighbors]:
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
        Neighbors of the sources, neighbors of the targets.

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
        return Neighbors(*forward), Neighbors(*backward)
    return _exact(sources, targets, k, multiply or pick_product(sources, targets), tick)


def _exact(
    sources: np.ndarray, targets: np.ndarray, k: int, multiply: Multiply, tick: Tick
) -> tuple[Neighbors, Neighbors]:
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
        return Neighbors(*own.result()), Neighbors(*other)


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


SHARD = 1_000_000
"""Vectors in an index at once: 3 GiB at width 768."""

PROBES = 32
"""Lists that are searched for each vector."""

QUERIES = 16_384
"""Queries that are searched together: what a kill can lose."""

ADDED = 65_536
"""Vectors that are put in an index together."""

SearchTick = Callable[[int], None]


@dataclass(frozen=True)
class Search:
    """The k nearest of one side for every vector of the other, found and kept in a folder.

    Args:
        queries: Unit vectors, shape (queries, width), in memory or memory-mapped.
        index: Unit vectors of the other side.
        k: How many, at most the number of vectors on the other side.
        folder: Where what was found is kept; its name must tell both sides and k apart from others.
    """

    queries: np.ndarray
    index: np.ndarray
    k: int
    folder: Path

    @property
    def shards(self) -> int:
        """Number of indexes, one after the other."""
        return math.ceil(len(self.index) / SHARD)

    def run(self, tick: SearchTick) -> tuple[np.ndarray, np.ndarray]:
        """Similarities and rows of the k nearest, nearest first, shape (queries, k) each.

        Args:
            tick: Called with the number of queries done, in proportion over the shards.
        """
        for shard in range(self.shards):
            self._search(shard, tick)
        return self._merged()

    def _files(self, shard: int, mode: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(self.queries), self.k)
        names = [self.folder / f"{shard}.{name}" for name in ("similarities", "rows")]
        return (
            np.memmap(names[0], np.float32, mode, shape=shape),
            np.memmap(names[1], np.int64, mode, shape=shape),
        )

    def _search(self, shard: int, tick: SearchTick) -> None:
        """Find the neighbors in one shard, from where an earlier run stopped."""
        note = self.folder / f"{shard}.json"
        done = int(read_json(note)["queries"]) if note.is_file() else 0
        if done == len(self.queries):
            tick(self._share(shard, done))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        similarities, rows = self._files(shard, "r+" if note.is_file() else "w+")
        index = self._index(shard)
        while done < len(self.queries):
            part = slice(done, min(done + QUERIES, len(self.queries)))
            found, places = index.search(np.ascontiguousarray(self.queries[part], dtype=np.float32), self.k)
            similarities[part] = np.where(places < 0, -np.inf, found)
            rows[part] = np.where(places < 0, 0, places + shard * SHARD)
            similarities.flush()  # type: ignore[attr-defined]
            rows.flush()  # type: ignore[attr-defined]
            done = part.stop
            write_json(note, {"queries": done})
            tick(self._share(shard, done))

    def _share(self, shard: int, done: int) -> int:
        return (shard * len(self.queries) + done) // self.shards

    def _index(self, shard: int) -> Any:
        """The index of a shard; its centres are kept, so that a resumed run has the same lists."""
        import faiss

        own = self.index[shard * SHARD : (shard + 1) * SHARD]
        lists = max(1, min(int(4 * math.sqrt(len(own))), len(own) // 39))
        coarse = faiss.IndexFlatIP(own.shape[1])
        made = faiss.IndexIVFFlat(coarse, own.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        path = self.folder / f"{shard}.centres.npy"
        if path.is_file():
            coarse.add(np.load(path))
            made.is_trained = True
        else:
            made.cp.min_points_per_centroid = 1
            sample = own[:: max(1, len(own) // (lists * 64))]
            made.train(np.ascontiguousarray(sample, dtype=np.float32))
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, coarse.reconstruct_n(0, lists), allow_pickle=False)
        for first in range(0, len(own), ADDED):
            made.add(np.ascontiguousarray(own[first : first + ADDED], dtype=np.float32))
        made.nprobe = min(PROBES, lists)
        return made

    def _merged(self) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest over all shards, the first row of equal ones first."""
        best = np.empty((len(self.queries), self.k), dtype=np.float32)
        found = np.empty((len(self.queries), self.k), dtype=np.int64)
        parts = [self._files(shard, "r") for shard in range(self.shards)]
        for first in range(0, len(self.queries), QUERIES):
            chunk = slice(first, first + QUERIES)
            values = np.concatenate([similarities[chunk] for similarities, _ in parts], axis=1)
            rows = np.concatenate([rows[chunk] for _, rows in parts], axis=1)
            order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
            best[chunk] = np.take_along_axis(values, order, axis=1)
            found[chunk] = np.take_along_axis(rows, order, axis=1)
        return best, found


def approximate_both_ways(
    sources: np.ndarray, targets: np.ndarray, k: int, work: Path | None, tick: SearchTick
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Similarities and rows of the k nearest targets of every source, then of sources of every target.

    Args:
        sources: Unit vectors, shape (sources, width).
        targets: Unit vectors of the other side.
        k: How many.
        work: Folder that keeps what was found; None for one that is deleted.
        tick: Called with the number of vectors of both sides that are done.
    """
    if work is None:
        with TemporaryDirectory(prefix="adaptrans-") as folder:
            return approximate_both_ways(sources, targets, k, Path(folder), tick)
    forward = Search(sources, targets, min(k, len(targets)), work / "forward")
    backward = Search(targets, sources, min(k, len(sources)), work / "backward")
    return [forward.run(tick), backward.run(lambda done: tick(len(sources) + done))]


HALF_UNIT = 2.0**-8
"""Largest relative error of rounding to bfloat16, which keeps 8 significant bits."""

FLOAT32_ERROR = 2e-5
"""Bound on what float32 products of unit vectors in another order of summation differ by."""

SAMPLED_COLUMNS = 4_096
"""Columns of a block that give the first bound of a row."""

GROUPS = 64
"""Groups whose largest values give a bound: the k-th largest is no larger than that of all."""

SMALL = 1e7
"""Pairs below which nothing is gained by rounding."""

TILE = 32
"""The processor multiplies bfloat16 fast where the width is a multiple of this: 64 bytes, a row of a tile."""

COMPACT = 4_000_000
"""Candidates after which those that fell below the bound are dropped."""


@dataclass(frozen=True)
class Slack:
    """How far a similarity in a block may be from the true one: absolute, and relative to itself."""

    absolute: float
    relative: float

    def below(self, floors: np.ndarray) -> np.ndarray:
        """What a block shows at least of a vector that is truly no farther than one shown at `floors`."""
        least = np.float32(np.finfo(np.float32).min / 2)
        near = np.maximum(floors, least)
        for step in (2 * self.absolute, 0.0):
            near = near - self.relative * np.abs(near) - step
        return near


@dataclass(frozen=True)
class Block:
    """Similarities of some rows and columns.

    Attributes:
        values: float32, or the bits of bfloat16 as int16, shape (rows, columns).
        slack: How far they may be from the true ones.
        room: Where comparisons of the values may be written, to spare memory that is new each time.
    """

    values: np.ndarray
    slack: Slack
    room: np.ndarray | None = None

    def row_floor(self, k: int) -> np.ndarray:
        """A value that k similarities of each row reach, shape (rows,)."""
        return _floor(self.values[:, :SAMPLED_COLUMNS].T, k)

    def column_floor(self, k: int) -> np.ndarray:
        """A value that k similarities of each column reach, shape (columns,)."""
        return _floor(self.values, k)

    @cached_property
    def ordered(self) -> np.ndarray:
        """Whole numbers in the order of values given by their bits."""
        return _ordered(self.values)

    def above(self, floors: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values that reach the floor of their row (axis 0) or column (axis 1)."""
        values, limits = self.values, floors
        if values.dtype == np.int16:
            # Bits of positive values are ordered as the values are, and above those of all negative ones.
            limits = (np.asarray(floors, dtype=np.float32).view(np.int32) >> 16).astype(np.int16)
            if limits.min() <= 0:
                values, limits = self.ordered, _ordered(limits - (limits < 0))
        limits = limits[:, None] if axis == 0 else limits[None, :]
        reached = np.greater_equal(values, limits, out=self.room)
        rows, columns = np.divmod(np.flatnonzero(reached), values.shape[1])
        return rows, columns, _float(self.values[rows, columns])


def _float(values: np.ndarray) -> np.ndarray:
    """Values of float32, or of bfloat16 given by its bits, as float32."""
    if values.dtype == np.int16:
        return (values.astype(np.int32) << 16).view(np.float32)
    return values


def _ordered(bits: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of the values whose bits are given.

    Example:
        >>> values = np.array([-np.inf, -2.0, -1.0, 0.0, 1.0], dtype=np.float32)
        >>> keys = _ordered((values.view(np.int32) >> 16).astype(np.int16))
        >>> bool(np.all(np.diff(keys.astype(int)) > 0))
        True
    """
    return bits ^ ((bits >> 15) & 0x7FFF)


def _floor(values: np.ndarray, k: int) -> np.ndarray:
    """For each column of `values` a value that k of its entries reach."""
    group = max(1, len(values) // GROUPS)
    groups = len(values) // group
    if groups < k:
        return np.full(values.shape[1], -np.inf, dtype=np.float32)
    # Of bits, the maximum of negative values may be another of them: still an entry, so still a bound.
    largest = values[: groups * group].reshape(groups, group, -1).max(axis=1)
    return np.partition(_float(largest), groups - k, axis=0)[groups - k]


@dataclass
class Bounds:
    """Candidates for the k nearest of every vector of one side.

    Attributes:
        size: Number of vectors.
        k: How many are looked for.
    """

    size: int
    k: int
    _best: np.ndarray = field(init=False)
    _floor: np.ndarray = field(init=False)
    _slack: Slack = field(init=False, default=Slack(0.0, 0.0))
    _candidates: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(init=False, default_factory=list)
    _held: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._best = np.full((self.size, self.k), -np.inf, dtype=np.float32)
        self._floor = np.full(self.size, -np.inf, dtype=np.float32)

    def raise_to(self, part: slice, floors: np.ndarray) -> None:
        """Take note that k similarities of each vector of a part reach these values."""
        self._floor[part] = np.maximum(self._floor[part], floors)

    def floor(self, part: slice, slack: Slack) -> np.ndarray:
        """What a similarity must reach to be a candidate, shape (vectors of the part,)."""
        self._slack = Slack(
            max(self._slack.absolute, slack.absolute), max(self._slack.relative, slack.relative)
        )
        return self._slack.below(self._floor[part])

    def add(self, part: slice, own: np.ndarray, others: np.ndarray, values: np.ndarray) -> None:
        """Take candidates: own vectors counted from the beginning of the part, others, similarities."""
        if not len(own):
            return
        self._candidates.append((own + part.start, others, values))
        self._held += len(own)
        order = np.lexsort((-values, own))
        rank, own = _ranks(own[order]), own[order]
        kept = rank < self.k
        touched, place = np.unique(own[kept], return_inverse=True)
        fresh = np.full((len(touched), self.k), -np.inf, dtype=np.float32)
        fresh[place, rank[kept]] = values[order][kept]
        touched = touched + part.start
        joined = np.concatenate([self._best[touched], fresh], axis=1)
        best = np.partition(joined, self.k, axis=1)[:, self.k :]
        self._best[touched] = best
        self._floor[touched] = np.maximum(self._floor[touched], best.min(axis=1))
        if self._held > COMPACT:
            self._compact()

    def _compact(self) -> None:
        own, others, values = (np.concatenate(parts) for parts in zip(*self._candidates, strict=True))
        kept = values >= self._slack.below(self._floor)[own]
        self._candidates = [(own[kept], others[kept], values[kept])]
        self._held = int(kept.sum())

    def settle(self, own: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest by float32 similarity, the first of equal ones first.

        Args:
            own: Vectors of this side, shape (size, width).
            others: Vectors of the other side.

        Returns:
            Similarities and rows, shape (size, k) each.
        """
        self._compact()
        mine, theirs, _ = self._candidates[0]
        order = np.lexsort((theirs, mine))
        mine, theirs = mine[order], theirs[order]
        exact = paired_products(own, others, mine, theirs)
        order = np.lexsort((theirs, -exact, mine))
        mine, theirs, exact = mine[order], theirs[order], exact[order]
        nearest = _ranks(mine) < self.k
        shape = (self.size, self.k)
        return exact[nearest].reshape(shape), theirs[nearest].astype(np.int64).reshape(shape)


def _ranks(sorted_values: np.ndarray) -> np.ndarray:
    """Place of each value among its equals, which stand together.

    Example:
        >>> _ranks(np.array([3, 3, 5])).tolist()
        [0, 1, 0]
    """
    places = np.arange(len(sorted_values))
    first = np.flatnonzero(np.diff(sorted_values, prepend=sorted_values[0] - 1))
    return places - np.repeat(first, np.diff(np.append(first, len(sorted_values))))


def paired_products(
    left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray
) -> np.ndarray:
    """Inner product of row `left_rows[i]` of one side and `right_rows[i]` of the other, float32.

    Example:
        >>> paired_products(np.eye(2), np.eye(2), np.array([0, 1]), np.array([0, 0])).tolist()
        [1.0, 0.0]
    """
    found = np.empty(len(left_rows), dtype=np.float32)
    for start in range(0, len(found), 4_096):
        part = slice(start, start + 4_096)
        found[part] = np.einsum("ij,ij->i", left[left_rows[part]], right[right_rows[part]])
    return found


Multiply = Callable[[np.ndarray], Callable[[np.ndarray], Block]]
"""From the columns' vectors to a function from rows' vectors to their block.

What a block shows may be less than the similarity by an amount that is the same for all blocks. A block
may be overwritten by the next but one.
"""


def float32_product(columns: np.ndarray) -> Callable[[np.ndarray], Block]:
    """Blocks in float32."""
    slack = Slack(FLOAT32_ERROR, 0.0)
    return lambda rows: Block(rows @ columns.T, slack)


def bfloat16_product(mean: np.ndarray) -> Multiply:
    """Blocks in bfloat16 of vectors that are moved by a mean, which makes them shorter; torch multiplies.

    With x' = x - m and y' = y - m the block holds x y - m m = x' y' + m x' + m y', the last two by a
    few extra dimensions. The rounding of two vectors moves their product by no more than
    |dx| |y'| + |x''| |dy|, where x'' is the rounded x' and dx = x' - x''.

    Args:
        mean: About the mean of the vectors, shape (width,).
    """
    import torch

    width = len(mean)
    padded = math.ceil((width + 6) / TILE) * TILE

    def rounded(vectors: np.ndarray, first: bool) -> tuple[torch.Tensor, float, float]:
        moved = vectors - mean
        share = torch.from_numpy(_in_three(moved @ mean))
        ones = torch.ones_like(share)
        whole = torch.zeros((len(vectors), padded), dtype=torch.bfloat16)
        whole[:, :width] = torch.from_numpy(moved)
        whole[:, width : width + 6] = torch.cat([share, ones] if first else [ones, share], dim=1)
        short = whole[:, :width].float().numpy()
        return whole, _longest(moved - short), _longest(short)

    def of_columns(columns: np.ndarray) -> Callable[[np.ndarray], Block]:
        parts = [rounded(columns[start : start + 1_024], False) for start in range(0, len(columns), 1_024)]
        right = torch.cat([part[0] for part in parts])
        right_error, right_length = (max(part[i] for part in parts) for i in (1, 2))
        # Two blocks, and room to compare each, in turn.
        rooms = itertools.cycle([Room(), Room()])

        def product(rows: np.ndarray) -> Block:
            left, left_error, left_length = rounded(rows, True)
            absolute = left_error * (right_length + right_error) + left_length * right_error + FLOAT32_ERROR
            values, reached = next(rooms).of(len(left), len(right))
            torch.mm(left, right.T, out=torch.from_numpy(values).view(torch.bfloat16))
            return Block(values, Slack(absolute, 1.01 * HALF_UNIT), reached)

        return product

    return of_columns


class Room:
    """Memory of one block, made at its first use."""

    def __init__(self) -> None:
        self._held: tuple[np.ndarray, np.ndarray] | None = None

    def of(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Bits of a block and the outcome of a comparison, shape (rows, columns) each."""
        if self._held is None or self._held[0].shape[1] != columns or len(self._held[0]) < rows:
            self._held = np.empty((rows, columns), np.int16), np.empty((rows, columns), np.bool_)
        values, reached = self._held
        return values[:rows], reached[:rows]


def _to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Bits of the nearest bfloat16 of each value, of two equally near ones the even one, as int16.

    Example:
        >>> _float(_to_bfloat16(np.array([1.0, 1.003, -2.5], dtype=np.float32))).tolist()
        [1.0, 1.0, -2.5]
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16).view(np.int16)


def _in_three(values: np.ndarray) -> np.ndarray:
    """Each value as three that bfloat16 holds exactly and that sum up to it, shape (values, 3)."""
    rest, parts = values.astype(np.float32), []
    for _ in range(3):
        parts.append(_float(_to_bfloat16(rest)))
        rest = rest - parts[-1]
    return np.stack(parts, axis=1)


def _longest(vectors: np.ndarray) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max()))


def pick_product(sources: np.ndarray, targets: np.ndarray) -> Multiply:
    """The fastest way to multiply these on this processor."""
    if len(sources) * len(targets) < SMALL:
        return float32_product
    import torch

    from adaptrans.utils.devices import has_fast_bf16

    if not has_fast_bf16(torch.device("cpu")):
        return float32_product
    return bfloat16_product(np.asarray(targets[:SAMPLED_COLUMNS], dtype=np.float32).mean(axis=0))
