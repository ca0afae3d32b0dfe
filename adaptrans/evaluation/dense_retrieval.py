"""Nearest sentences by vector, as XTREME counts them for Tatoeba. No torch; faiss only when searching."""

from __future__ import annotations

import numpy as np

from adaptrans.errors import AdaptransError


def nearest(index_vectors: np.ndarray, query_vectors: np.ndarray) -> np.ndarray:
    """Row of the nearest index vector of each query, by exact L2 search over unit vectors.

    For Tatoeba the index holds the other language and the queries are the English sentences.
    Among equal index vectors the first row wins.

    Args:
        index_vectors: Shape (sentences, width).
        query_vectors: Shape (queries, width).

    Returns:
        Row numbers from 0, shape (queries,), int64.

    Raises:
        AdaptransError: If the index is empty, the widths differ, or a vector is zero or holds
            a value that is not a finite number.

    Source: google-research/xtreme, third_party/utils_retrieve.py (Tatoeba).

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
    import faiss

    search = faiss.IndexFlatL2(index.shape[1])
    search.add(index)
    found = search.search(queries, 1)[1][:, 0]
    return _first_equal_row(index)[found]


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


def _first_equal_row(vectors: np.ndarray) -> np.ndarray:
    """For each row the first row with the same values, shape (rows,).

    The search computes distances blockwise, so equal rows can come out unequal by rounding.
    """
    _, first, inverse = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    return first[np.ravel(inverse)].astype(np.int64)
