"""Approximate nearest neighbours by faiss, shard by shard, kept on disk: a kill loses little. No torch.

The vectors of a shard are put in lists around centres, of which the nearest few are searched for each
query. In memory are one shard's vectors and a chunk of queries; what was found lies on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from adaptrans.files import read_json, write_json, written_whole

SHARD = 1_000_000
"""Vectors in an index at once: 3 GiB at width 768."""

PROBES = 32
"""Lists that are searched for each vector."""

QUERIES = 16_384
"""Queries that are searched together: what a kill can lose."""

ADDED = 65_536
"""Vectors that are put in an index together."""

Tick = Callable[[int], None]


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

    def run(self, tick: Tick) -> tuple[np.ndarray, np.ndarray]:
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

    def _search(self, shard: int, tick: Tick) -> None:
        """Find the neighbours in one shard, from where an earlier run stopped."""
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
            with written_whole(path) as temporary, temporary.open("wb") as file:
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
    sources: np.ndarray, targets: np.ndarray, k: int, work: Path | None, tick: Tick
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
