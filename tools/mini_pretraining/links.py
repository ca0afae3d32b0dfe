"""Which tokens translate which, counted in parallel text by IBM model 1 [no torch].

Sentences as bags say little about words that stand in every sentence, and dictionaries
list them once like all others; what they translate to shows where words compete for
each other, sentence by sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mini_pretraining.store import Ids, PairTable, Tuples, pair_table, ragged

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LONGEST = 40
"""Tokens of a sentence that is counted; longer ones are left out."""
MOST = 12_000
"""Most sentence pairs of a pair of languages."""
ROUNDS = 5
"""Rounds of expectation and maximisation."""
SURE = 0.1
"""Least product of the two probabilities, one per direction, of a link."""
LEAST = 3
"""Links that two tokens must have to count as translations."""
OFTEN = 1000
"""Most rows of a pair of pieces."""
NONE = 0
"""Stands on both sides for what has no counterpart."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Every token of a sentence beside every token of its translation, over all sentences.

    Args:
        kinds: Which two tokens a cell is of, shape (cells,).
        left: Where the token of one side stands, counted over all sentences, same shape.
        right: Likewise for the other side.
        pieces: The two tokens of each kind, shape (kinds, 2).
    """

    kinds: Ints
    left: Ints
    right: Ints
    pieces: Ints


def cells(pairs: Sequence[tuple[Ids, Ids]], vocabulary: int) -> Cells:
    """Lay sentence pairs out as cells, with `NONE` before each sentence."""
    codes, left, right = [], [], []
    lefts = rights = 0
    for a, b in pairs:
        one = np.concatenate([[NONE], a]).astype(np.int64)
        two = np.concatenate([[NONE], b]).astype(np.int64)
        codes.append((one[:, None] * vocabulary + two[None, :]).ravel())
        left.append(np.repeat(np.arange(lefts, lefts + len(one)), len(two)))
        right.append(np.tile(np.arange(rights, rights + len(two)), len(one)))
        lefts, rights = lefts + len(one), rights + len(two)
    found, kinds = np.unique(np.concatenate(codes), return_inverse=True)
    pieces = np.stack([found // vocabulary, found % vocabulary], axis=1)
    return Cells(kinds.ravel(), np.concatenate(left), np.concatenate(right), pieces)


def posterior(held: Cells, given: int) -> Floats:
    """Probability of each cell's link, where the other side's token chooses one of the given side.

    Args:
        held: The cells.
        given: 0 = tokens of the right side choose among those of the left, 1 = the reverse.

    Returns:
        Shape (cells,); the cells of one choosing token sum to 1.

    Source: model 1 of Brown et al. 1993, from even probabilities.
    """
    choosing = held.left if given else held.right
    sources = held.pieces[:, given]
    probability = np.ones(len(held.pieces))
    shares: Floats = np.empty(0)
    for _ in range(ROUNDS):
        weights = probability[held.kinds]
        shares = weights / np.bincount(choosing, weights=weights)[choosing]
        counts = np.bincount(held.kinds, weights=shares, minlength=len(held.pieces))
        probability = counts / np.bincount(sources, weights=counts)[sources]
    return shares


def linked(pairs: Sequence[tuple[Ids, Ids]], vocabulary: int) -> tuple[Ints, Ints]:
    """Tokens that choose each other, and how often.

    Args:
        pairs: Sentences and their translations.
        vocabulary: Number of ids.

    Returns:
        Different tokens of both sides, shape (found, 2), and their links, shape (found,).
    """
    if not pairs:
        return np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.int64)
    held = cells(pairs, vocabulary)
    sure = posterior(held, 0) * posterior(held, 1) > SURE
    counts = np.bincount(held.kinds[sure], minlength=len(held.pieces))
    usable = (counts >= LEAST) & (held.pieces != NONE).all(axis=1)
    usable &= held.pieces[:, 0] != held.pieces[:, 1]
    return held.pieces[usable], counts[usable]


def link_table(sentences: PairTable, languages: Sequence[str], pivot: str, vocabulary: int) -> PairTable:
    """Pairs of tokens of the pivot language and of each other one.

    A pair stands in as many rows as it has links, at most `OFTEN`: frequent words often.

    Args:
        sentences: Parallel text.
        languages: All languages.
        pivot: The language on one side.
        vocabulary: Number of ids.
    """
    tuples = []
    for pair, rows in zip(sentences.pairs, sentences.rows, strict=True):
        if pivot not in pair:
            continue
        other = pair[0] if pair[1] == pivot else pair[1]
        chosen = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)].tolist()
        texts = [
            tuple(sentences.tuples[corpus].sentences[name][row] for name in (pivot, other))
            for corpus, row in chosen
        ]
        short = [(a, b) for a, b in texts if max(len(a), len(b)) <= LONGEST]
        pieces, counts = linked(short, vocabulary)
        columns = np.repeat(pieces, np.minimum(counts, OFTEN), axis=0)
        sides = {name: ragged(columns[:, [place]].tolist()) for place, name in enumerate((pivot, other))}
        tuples.append(Tuples(f"links {pivot}-{other}", sides, columns[:, 0].copy()))
    return pair_table(tuples, languages, [np.ones(len(found.groups), dtype=bool) for found in tuples])
