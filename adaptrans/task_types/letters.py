"""Where the pieces of a text begin and end, as whole letters without blanks: what an answer is cut out by.

The offsets of a tokenizer are not that. A normalizer that joins a letter and
its marks to one character reports the first character alone, some tokenizers
begin a piece with the space before it, and pieces may part a letter from its
marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


Offsets = Sequence[tuple[int, int]]

# Letters by category that continue the one before them: Thai and Lao AM, half-width (semi-)voiced sound
# marks. Source: Unicode Standard Annex 29, Grapheme_Cluster_Break SpacingMark and Extend.
_CONTINUING = frozenset("\u0e33\u0eb3\uff9e\uff9f")
_JOINERS = frozenset("\u200c\u200d")
_VIRAMA = 9
"""Canonical combining class of signs that suppress a vowel; a joiner behind one decides its form."""

# First and last code points of what is written without spaces: Thai, Lao, Burmese, Khmer,
# CJK punctuation with kana, CJK ideographs, full- and half-width forms.
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff00-\uffef\U00020000-\U000323af"
    "]"
)


class Blanks(dict[str, bool]):
    """Which characters a tokenizer sees as white space, or not at all; each is found out once.

    XLM-R's normalizer makes U+200B to U+200F, U+FEFF and others a space, and drops control characters.

    Example:
        >>> from types import SimpleNamespace
        >>> from tokenizers import normalizers
        >>> blanks = Blanks(normalizers.Replace("\\ufeff", " "))
        >>> blanks["\\ufeff"], blanks["\\u200b"], blanks["\\u3000"], blanks["a"]
        (True, False, True, False)
    """

    def __init__(self, normalizer: object) -> None:
        super().__init__()
        self._normalized: Callable[[str], str] = getattr(normalizer, "normalize_str", str)
        self._blank = {self._normalized("ab"), self._normalized("a b")}

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> Blanks:
        """Those of a tokenizer."""
        return cls(tokenizer.backend_tokenizer.normalizer)

    def __missing__(self, character: str) -> bool:
        found = character.isspace() or (
            not character.isalnum() and self._normalized(f"a{character}b") in self._blank
        )
        self[character] = found
        return found


def continues(text: str, place: int) -> bool:
    """Whether the character at a place belongs to the letter before it.

    Combining marks and the vowels and final consonants of conjoining Jamo do, and joiners behind a
    virama. Other joiners do not: in Persian they part a word from its ending.

    Source: extended grapheme clusters of Unicode Standard Annex 29.

    Example:
        >>> [continues(text, 1) for text in ("e\\u0301", "\\u1112\\u1161", "\\u0645\\u200c", "ab")]
        [True, True, False, False]
    """
    character = text[place]
    if character in _JOINERS:
        return place > 0 and unicodedata.combining(text[place - 1]) == _VIRAMA
    return (
        unicodedata.category(character)[0] == "M"
        or "\u1160" <= character <= "\u11ff"
        or "\ud7b0" <= character <= "\ud7ff"
        or character in _CONTINUING
    )


def whole_letters(text: str, offsets: Offsets, blanks: Blanks) -> list[tuple[int, int]]:
    """Character offsets of pieces that begin and end with whole letters, blanks cut off.

    The marks that follow a piece are its own, whether they are of no piece or of the next one, which
    then begins after them. A piece of nothing else begins where the next one does and ends where the
    one before it does, so that an answer that begins or ends with it takes in nothing of it.

    Args:
        text: The text.
        offsets: First and one past last character of each piece, as the tokenizer says.
        blanks: What the tokenizer sees as white space.

    Example:
        >>> text = " Jose\\u0301 !"
        >>> whole_letters(text, [(0, 5), (6, 8)], Blanks(None))
        [(1, 6), (7, 8)]
    """
    starts: list[int] = []
    ends: list[int] = []
    taken, empty = 0, []
    for start, end in offsets:
        while start < end and blanks[text[start]]:
            start += 1
        while start < end and blanks[text[end - 1]]:
            end -= 1
        # Pieces may share a character, such as those of one half: only marks are taken from a piece.
        while start < min(end, taken) and continues(text, start):
            start += 1
        if start < end:
            while end < len(text) and continues(text, end):
                end += 1
            taken = max(taken, end)
        else:
            empty.append(len(starts))
        starts.append(start)
        ends.append(end if start < end else taken)
    for place in reversed(empty):
        starts[place] = starts[place + 1] if place + 1 < len(starts) else len(text)
    return list(zip(starts, ends, strict=True))


def characters(text: str) -> list[str]:
    """Tokens of a normalized text, with one per character of scripts written without spaces.

    Example:
        >>> characters("北京 2008年 beijing")
        ['北', '京', '2008', '年', 'beijing']
    """
    return _UNSPACED.sub(r" \g<0> ", text).split()
