"""Which pieces a masked language model has to guess; for pretraining and for the kind `mlm`. Torch-free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST_WORD = 5
"""Pieces masked together; longer runs (scripts without spaces) are cut into such groups."""


def groups(ids: NDArray[np.int64], starts: NDArray[np.bool_], *, whole_words: bool) -> NDArray[np.int64]:
    """Number the groups of pieces that are masked together, along the flattened batch.

    Args:
        ids: Token ids, shape (sequences, tokens).
        starts: For every id of the vocabulary, whether it begins a word.
        whole_words: Words are groups; otherwise every piece is its own.

    Returns:
        Group of each position, shape (sequences * tokens,).

    Example:
        >>> starts = np.array([True, False])
        >>> groups(np.array([[0, 1, 1, 0]]), starts, whole_words=True).tolist()
        [0, 0, 0, 1]
    """
    count = ids.size
    if not whole_words:
        return np.arange(count)
    begins = starts[ids].copy()
    begins[:, 0] = True
    flat = begins.ravel()
    position = np.arange(count)
    inside = position - np.maximum.accumulate(np.where(flat, position, 0))
    return np.cumsum(inside % LONGEST_WORD == 0) - 1


def mask_tokens(
    ids: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    starts: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rate: float,
    mask: int,
    first_piece: int,
    whole_words: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose positions to guess and hide them.

    Args:
        ids: Token ids, shape (sequences, tokens).
        eligible: Where there is text, as opposed to special tokens and padding.
        starts: For every id of the vocabulary, whether it begins a word.
        rng: Source of the choices.
        rate: Fraction of the eligible positions.
        mask: Id of the mask token, the last of the vocabulary.
        first_piece: First id that is not a special token.
        whole_words: Choose all pieces of a word or none.

    Returns:
        The ids with 80 % of the chosen positions masked, 10 % replaced by a random
        piece and 10 % left, and the chosen positions; both of the shape of `ids`.

    Source: 15 % and 80/10/10 are those of BERT (Devlin et al. 2019), kept by XLM-R.
    """
    group = groups(ids, starts, whole_words=whole_words)
    chosen = (rng.random(int(group[-1]) + 1) < rate)[group].reshape(ids.shape) & eligible
    how = rng.random(ids.shape)
    pieces = rng.integers(first_piece, mask, ids.shape)
    hidden = np.where(how < 0.8, mask, np.where(how < 0.9, pieces, ids))
    return np.where(chosen, hidden, ids), chosen
