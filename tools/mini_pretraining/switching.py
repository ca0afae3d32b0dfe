"""Code-switching: words of a sequence put in another language, by dictionary [no torch]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mini_pretraining import tokenizer as pieces
from mini_pretraining.text import Dictionary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


Pieces = tuple[int, ...]
Table = dict[Pieces, list[Pieces]]
Switch = dict[str, dict[str, Table]]
"""Language of the word, language of its translation, tokens of the word: tokens of its translations."""

LONGEST_TRANSLATION = 3
"""Words of a translation; longer ones are explanations rather than translations."""


def capital(word: str) -> str:
    """The word with a capital letter.

    Example:
        >>> capital("éclair"), capital("")
        ('Éclair', '')
    """
    return word[:1].upper() + word[1:]


def build_switch(dictionaries: Sequence[Dictionary], tokenizer: Tokenizer) -> Switch:
    """Tables of single words to their translations, in both directions, small and capital.

    Args:
        dictionaries: Word pairs.
        tokenizer: Whose tokens the tables hold.
    """
    wanted: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for found in dictionaries:
        forward = wanted.setdefault((found.source, found.target), set())
        backward = wanted.setdefault((found.target, found.source), set())
        for word, translation in found.pairs:
            forward.add((word, translation))
            backward.add((translation, word))
    words = sorted({word for pairs in wanted.values() for pair in pairs for word in pair})
    forms = list(dict.fromkeys([*words, *map(capital, words)]))
    encoded = dict(zip(forms, map(tuple, pieces.encode_lines(tokenizer, forms)), strict=True))
    switch: Switch = {}
    for (source, target), pairs in sorted(wanted.items()):
        usable = [(a, b) for a, b in sorted(pairs) if " " not in a and len(b.split()) <= LONGEST_TRANSLATION]
        cases = [*usable, *((capital(a), capital(b)) for a, b in usable if capital(a) != a)]
        table: Table = {}
        for word, translation in cases:
            if encoded[word] and encoded[translation]:
                table.setdefault(encoded[word], []).append(encoded[translation])
        if table:
            switch.setdefault(source, {})[target] = table
    return switch


def switch_words(
    ids: NDArray[np.int32],
    starts: NDArray[np.bool_],
    table: Table,
    share: float,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Replace some words that have a translation by one of their translations.

    A word is found with or without its last token, which is often punctuation.

    Args:
        ids: A sequence, shape (tokens,).
        starts: For every id of the vocabulary, whether it begins a word.
        table: Words to translations, as pieces.
        share: Probability that a word with a translation is replaced.
        rng: Source of the choices.

    Returns:
        The new sequence, usually of another length.

    Example:
        >>> starts = np.array([False, True, True, True])
        >>> rng = np.random.default_rng(0)
        >>> switch_words(np.array([1, 0, 2]), starts, {(1,): [(3, 3)]}, 1.0, rng).tolist()
        [3, 3, 0, 2]
    """
    bounds = [*np.flatnonzero(starts[ids]).tolist(), len(ids)]
    values = ids.tolist()
    result = values[: bounds[0]]
    for begin, end in pairwise(bounds):
        word = tuple(values[begin:end])
        tail: Pieces = ()
        found = table.get(word)
        if found is None and len(word) > 1:
            found, tail = table.get(word[:-1]), word[-1:]
        if found is None or rng.random() >= share:
            result += word
            continue
        result += found[int(rng.integers(len(found)))]
        result += tail
    return np.array(result, dtype=np.int32)
