"""The nearest vectors of each query, by faiss: for sentence retrieval, passage ranking and bitext mining.

One rule everywhere: the larger inner product of unit vectors is nearer, and of equal ones the first row. The
search is exact, or approximate (`IVF`: vectors in lists around centers of which a few are searched) where
`search_kind` finds too many pairs. No more than a block or a shard of either side is held in memory, so
vectors may be memory-mapped. No torch; faiss only when searching.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.utils.io import atomic_write, read_json, write_json

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Neighbors:
    """The nearest vectors of the other side, nearest first, of equal ones the first row first.

    Attributes:
        similarities: Inner products, shape (vectors, k), float32.
        rows: Rows on the other side, shape (vectors, k), int64.
    """

    similarities: np.ndarray
    rows: np.ndarray


def nearest(index_vectors: np.ndarray, query_vectors: np.ndarray) -> np.ndarray:
    """Row of the nearest index vector of each query, whatever the lengths of the vectors.

    For Tatoeba the index holds the other language and the queries are the English sentences.

    Args:
        index_vectors: Shape (sentences, width).
        query_vectors: Shape (queries, width).

    Returns:
        Row numbers from 0, shape (queries,), int64.

    Raises:
        AdaptransError: If the index is empty, the widths differ, or a vector is zero or holds
            a value that is not a finite number.

    Source: google-research/xtreme, third_party/utils_retrieve.py (Tatoeba): exact, by the L2 distance of unit
    vectors, which orders as their inner product does.

    Example:
        >>> nearest(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[0.1, 0.2]])).tolist()
        [1]
    """
    index, queries = unit(index_vectors, "index"), unit(query_vectors, "query")
    if len(index) == 0:
        raise AdaptransError("no index vectors to search", remedy="check the data of the other language")
    if index.shape[1] != queries.shape[1]:
        raise AdaptransError(
            f"index vectors are {index.shape[1]} wide and query vectors {queries.shape[1]}",
            remedy="encode both sides with the same model and layer",
        )
    return exact_neighbors(queries, index, 1).rows[:, 0]


def unit(vectors: np.ndarray, side: str) -> np.ndarray:
    """Vectors divided by their length, in a float32 copy.

    Raises:
        AdaptransError: With the side and row of a vector that has no direction.
    """
    given = np.asarray(vectors)
    if given.ndim != 2:
        raise ValueError(f"{side} vectors have shape {given.shape}, expected (sentences, width)")
    with np.errstate(over="ignore"):
        copy = np.array(given, dtype=np.float32, order="C")
    _refuse(np.any(~np.isfinite(copy), axis=1), side, "holds a value that is not a finite number")
    import faiss

    faiss.normalize_L2(copy)
    # Lengths that underflow or overflow in float32 are left as they were, so look afterwards.
    lengths = np.linalg.norm(copy.astype(np.float64), axis=1)
    _refuse(~(np.abs(lengths - 1) < 1e-3), side, "is zero, or too short or long to be normalized")
    return copy


def _refuse(bad: np.ndarray, side: str, problem: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        others = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        raise AdaptransError(
            f"{side} vector of row {rows[0]} {problem}{others}",
            remedy="check that the sentence is not empty and that the model computes finite values",
        )


BLOCK = 65_536
"""Vectors that are searched at once: 192 MiB of width 768."""

QUERIES = 16_384
"""Queries that are searched together; of an approximate search, what a kill can lose."""

SPARE = 12
"""Neighbors that faiss finds beyond those that are asked for, as rounding may change their order."""

ROUNDING = 2e-5
"""Bound on what float32 products of unit vectors in another order of summation differ by."""


def _silent(done: int) -> None:
    """Tell nobody."""


def exact_neighbors(queries: np.ndarray, vectors: np.ndarray, k: int, tick: Tick = _silent) -> Neighbors:
    """The k nearest vectors of every query.

    faiss multiplies blocks of both sides, in which the product of the same two vectors depends on where they
    stand. So it finds a few more than are asked for; their products are computed again, each by itself,
    and decide.

    Args:
        queries: Unit vectors, shape (queries, width), float32, in memory or memory-mapped.
        vectors: Unit vectors, shape (vectors, width).
        k: How many, at most the number of vectors.
        tick: Called with the number of queries done.

    Example:
        >>> vectors = np.array([[0, 1], [1, 0], [1, 0]], dtype=np.float32)
        >>> exact_neighbors(np.array([[1, 0]], dtype=np.float32), vectors, 2).rows.tolist()
        [[1, 2]]
    """
    import faiss

    k = min(k, len(vectors))
    found = Neighbors(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
    for first in range(0, len(queries), QUERIES):
        chunk = slice(first, min(first + QUERIES, len(queries)))
        asked = np.ascontiguousarray(queries[chunk], dtype=np.float32)
        values, rows = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
        for start in range(0, len(vectors), BLOCK):
            block = np.ascontiguousarray(vectors[start : start + BLOCK], dtype=np.float32)
            kept = min(k + SPARE, len(block))
            products, places = faiss.knn(asked, block, kept, metric=faiss.METRIC_INNER_PRODUCT)
            values = np.concatenate([values, products], axis=1)
            rows = np.concatenate([rows, places + start], axis=1)
            values, rows = _in_order(values, rows, k + SPARE)
            tick(first + len(asked) * min(start + BLOCK, len(vectors)) // len(vectors))
        found.similarities[chunk], found.rows[chunk] = _settled(asked, vectors, k, values, rows)
    return found


def _in_order(values: np.ndarray, rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest values of each line first, of equal ones the lowest row, `most` of them."""
    order = np.lexsort((rows, -values))[:, :most]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _settled(
    queries: np.ndarray, vectors: np.ndarray, k: int, values: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of what faiss found; all vectors are compared where others may be as near."""
    at = np.repeat(np.arange(len(queries)), rows.shape[1])
    exact = paired_products(queries, vectors, at, rows.ravel()).reshape(rows.shape)
    best, found = _in_order(exact, rows, k)
    if rows.shape[1] < len(vectors):
        for query in np.flatnonzero(best[:, -1] <= values[:, -1] + ROUNDING):
            products = np.concatenate(
                [
                    np.einsum("ij,j->i", np.asarray(vectors[start : start + BLOCK]), queries[query])
                    for start in range(0, len(vectors), BLOCK)
                ]
            )
            best[query], found[query] = _in_order(products[None], np.arange(len(vectors))[None], k)
    return best, found


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


EXACT_LIMIT = 4e10
"""Pairs of sentences up to which the search of both directions is exact: some minutes on a few cores."""


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
    tick: Tick = _silent,
    work: Path | None = None,
) -> tuple[Neighbors, Neighbors]:
    """The k nearest targets of every source, and the k nearest sources of every target.

    Args:
        sources: Unit vectors, shape (sources, width), float32, in memory or memory-mapped.
        targets: Unit vectors, shape (targets, width).
        k: How many, at most the number of vectors on the other side.
        kind: `exact` or `IVF`; by default what `search_kind` says.
        tick: Called with the number of vectors of both sides that are searched.
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
    ways = ((sources, targets, tick), (targets, sources, lambda done: tick(len(sources) + done)))
    if (kind or search_kind(len(sources), len(targets))) == "exact":
        forward, backward = (exact_neighbors(own, other, k, told) for own, other, told in ways)
        return forward, backward
    if work is None:
        with TemporaryDirectory(prefix="adaptrans-") as folder:
            return nearest_both_ways(sources, targets, k, kind="IVF", tick=tick, work=Path(folder))
    forward, backward = (
        ApproximateSearch(own, other, min(k, len(other)), work / name).run(told)
        for (own, other, told), name in zip(ways, ("forward", "backward"), strict=True)
    )
    return forward, backward


SHARD = 1_000_000
"""Vectors in an approximate index at once: 3 GiB at width 768."""

PROBES = 32
"""Lists that are searched for each vector."""


@dataclass(frozen=True)
class ApproximateSearch:
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

    def run(self, tick: Tick) -> Neighbors:
        """The k nearest.

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

    def _search(self, shard: int, tick: Tick) -> None:
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
        """The index of a shard; its centers are kept, so that a resumed run has the same lists."""
        import faiss

        own = self.index[shard * SHARD : (shard + 1) * SHARD]
        lists = max(1, min(int(4 * math.sqrt(len(own))), len(own) // 39))
        coarse = faiss.IndexFlatIP(own.shape[1])
        made = faiss.IndexIVFFlat(coarse, own.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        path = self.folder / f"{shard}.centers.npy"
        if path.is_file():
            coarse.add(np.load(path))
            made.is_trained = True
        else:
            made.cp.min_points_per_centroid = 1
            sample = own[:: max(1, len(own) // (lists * 64))]
            made.train(np.ascontiguousarray(sample, dtype=np.float32))
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, coarse.reconstruct_n(0, lists), allow_pickle=False)
        for first in range(0, len(own), BLOCK):
            made.add(np.ascontiguousarray(own[first : first + BLOCK], dtype=np.float32))
        made.nprobe = min(PROBES, lists)
        return made

    def _merged(self) -> Neighbors:
        """The k nearest over all shards."""
        shape = (len(self.queries), self.k)
        best = Neighbors(np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64))
        parts = [self._files(shard, "r") for shard in range(self.shards)]
        for first in range(0, len(self.queries), QUERIES):
            chunk = slice(first, first + QUERIES)
            values = np.concatenate([similarities[chunk] for similarities, _ in parts], axis=1)
            rows = np.concatenate([rows[chunk] for _, rows in parts], axis=1)
            best.similarities[chunk], best.rows[chunk] = _in_order(values, rows, self.k)
        return best
