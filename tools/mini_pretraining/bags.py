"""Batches of short texts as bags of tokens, drawn and gathered without loops [no torch].

The static stage sees thousands of sentences, words and contexts a step, so everything
here works on flat arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptrans.data.mixing import smoothed
from mini_pretraining.config import Sampling
from mini_pretraining.sampling import pair_shares
from mini_pretraining.store import Ids, PairTable, Ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bags:
    """Texts in two halves that belong together: row i and row i + half.

    Args:
        ids: Tokens of all texts, end to end, without special tokens.
        offsets: Where each text begins, and the end of the last, shape (texts + 1,).
        ignored: Which rows are no negatives of which, shape (texts, texts).
    """

    ids: Ints
    offsets: Ints
    ignored: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pool:
    """All pairs of a table in flat arrays.

    Args:
        texts: Every text once per corpus and language.
        keys: Same number = same text, shape (texts,).
        left: Text of one side per pair, language pair after language pair.
        right: Text of the other side.
        groups: Pairs with the same number say the same.
        begins: First pair of each language pair, and the end of the last.
        shares: Probability of each language pair.
    """

    texts: Ragged
    keys: Ints
    left: Ints
    right: Ints
    groups: Ints
    begins: Ints
    shares: NDArray[np.float64]


def pool(table: PairTable, sampling: Sampling) -> Pool:
    """Lay a table of pairs out flat.

    Args:
        table: At least one pair of languages.
        sampling: How language pairs are drawn.
    """
    parts: list[Ragged] = []
    first: list[dict[str, int]] = []
    count = 0
    for corpus in table.tuples:
        first.append({})
        for language, sentences in corpus.sentences.items():
            first[-1][language] = count
            parts.append(sentences)
            count += len(sentences)
    lengths = np.concatenate([part.lengths() for part in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    texts = Ragged(np.concatenate([part.ids for part in parts]), offsets)
    sides: list[list[Ints]] = [[], []]
    groups = []
    for pair, rows in zip(table.pairs, table.rows, strict=True):
        for side, language in zip(sides, pair, strict=True):
            starts = np.array([found.get(language, 0) for found in first], dtype=np.int64)
            side.append(starts[rows[:, 0]] + rows[:, 1])
        for corpus, row in (
            (table.tuples[index], rows[rows[:, 0] == index, 1]) for index in range(len(first))
        ):
            groups.append(corpus.groups[row])
    begins = np.concatenate([[0], np.cumsum([len(rows) for rows in table.rows])]).astype(np.int64)
    left, right = (np.concatenate(side) for side in sides)
    return Pool(
        texts, _keys(texts), left, right, np.concatenate(groups), begins, pair_shares(table, sampling)
    )


def _keys(texts: Ragged) -> Ints:
    numbers: dict[bytes, int] = {}
    found = (numbers.setdefault(texts[index].tobytes(), len(numbers)) for index in range(len(texts)))
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def gathered(texts: Ragged, rows: Ints, longest: int) -> tuple[Ints, Ints]:
    """Ids of some texts end to end, each cut to a length, and their offsets.

    Example:
        >>> held = Ragged(np.array([5, 6, 7, 8], dtype=np.int32), np.array([0, 3, 4]))
        >>> [part.tolist() for part in gathered(held, np.array([1, 0]), 2)]
        [[8, 5, 6], [0, 1, 3]]
    """
    lengths = np.minimum(texts.offsets[rows + 1] - texts.offsets[rows], longest)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return texts.ids[np.repeat(texts.offsets[rows], lengths) + inside].astype(np.int64), offsets


def not_negatives(keys: Ints, groups: Ints) -> NDArray[np.bool_]:
    """Rows of the same group, or with the text of the row or of its partner.

    Args:
        keys: Number of each row's text, shape (rows,).
        groups: Group of each row, same shape.
    """
    alike = keys[:, None] == keys[None, :]
    return (groups[:, None] == groups[None, :]) | alike | np.roll(alike, len(keys) // 2, axis=0)


def draw_bags(held: Pool, count: int, longest: int, rng: np.random.Generator) -> Bags:
    """Draw pairs: the language pair by its share, then a pair of it.

    Args:
        held: Result of `pool`.
        count: Pairs.
        longest: Tokens of a text, cut beyond.
        rng: Source of the choices.
    """
    which = rng.choice(len(held.shares), size=count, p=held.shares)
    sizes = held.begins[which + 1] - held.begins[which]
    drawn = held.begins[which] + (rng.random(count) * sizes).astype(np.int64)
    rows = np.concatenate([held.left[drawn], held.right[drawn]])
    ids, offsets = gathered(held.texts, rows, longest)
    groups = np.tile(held.groups[drawn], 2)
    return Bags(ids, offsets, not_negatives(held.keys[rows], groups))


@dataclass(frozen=True, slots=True)
class Contexts:
    """Running text of all languages, for words and what stands around them.

    Args:
        ids: All streams end to end.
        lines: Number of each token's line, shape of `ids`.
        begins: Where each language begins, and the end of the last.
        shares: Probability of each language.
    """

    ids: Ids
    lines: NDArray[np.int32]
    begins: Ints
    shares: NDArray[np.float64]


def contexts(streams: dict[str, Ragged], smoothing: float) -> Contexts:
    """Lay running text out flat."""
    held = list(streams.values())
    sizes = np.array([len(stream.ids) for stream in held], dtype=np.int64)
    lengths = np.concatenate([stream.lengths() for stream in held])
    return Contexts(
        ids=np.concatenate([stream.ids for stream in held]),
        lines=np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        begins=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        shares=smoothed(sizes, smoothing),
    )


def draw_contexts(held: Contexts, count: int, reach: int, first_piece: int, rng: np.random.Generator) -> Bags:
    """Draw words of running text, and the tokens around each in its line.

    Args:
        held: Result of `contexts`.
        count: Words; fewer come back where special tokens or lonely words are drawn.
        reach: Tokens on either side.
        first_piece: Lower ids are special tokens.
        rng: Source of the choices.
    """
    which = rng.choice(len(held.shares), size=count, p=held.shares)
    sizes = held.begins[which + 1] - held.begins[which]
    place = held.begins[which] + (rng.random(count) * sizes).astype(np.int64)
    span = rng.integers(1, 3, size=count)
    around = np.arange(-reach, reach + 2)
    where = place[:, None] + around
    inside = (where >= 0) & (where < len(held.ids))
    where = np.where(inside, where, 0)
    pieces = held.ids[where].astype(np.int64)
    inside &= (held.lines[where] == held.lines[place][:, None]) & (pieces >= first_piece)
    centre = inside & (around >= 0) & (around < span[:, None])
    outside = inside & ~centre
    usable = centre.any(axis=1) & (outside.sum(axis=1) >= 2)
    pieces, centre, outside = pieces[usable], centre[usable], outside[usable]
    both, marks = np.concatenate([pieces, pieces]), np.concatenate([centre, outside])
    offsets = np.concatenate([[0], np.cumsum(marks.sum(axis=1))]).astype(np.int64)
    half = len(pieces)
    names = np.where(centre, pieces * (np.cumsum(centre, axis=1) * 31 + 1), 0).sum(axis=1)
    keys = np.concatenate([names, -1 - np.arange(half)])
    return Bags(both[marks], offsets, not_negatives(keys, np.tile(np.arange(half), 2)))
