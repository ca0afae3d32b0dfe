"""Words of a text, also where a script has no spaces, and the letters of a word."""

from __future__ import annotations

import unicodedata

import regex

SINGLE = r"\p{Han}\p{Hiragana}\p{Katakana}"
"""Scripts in which a character is about as much as a short word is elsewhere."""

UNSPACED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces whose words have several letters."""

RUN = 5
"""Letters of a word of those, about: no dictionary is asked."""

_WORDS = regex.compile(
    rf"[{SINGLE}]|(?:[{UNSPACED}]\p{{M}}*){{1,{RUN}}}|[\p{{L}}\p{{M}}\p{{N}}--[{SINGLE}{UNSPACED}]]+",
    regex.V1,
)
_LETTERS = regex.compile(r"\X")


def words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end; punctuation and spaces belong to none.

    >>> [text[a:b] for text in ["the cat's", "三只猫"] for a, b in words(text)]
    ['the', 'cat', 's', '三', '只', '猫']
    """
    return [match.span() for match in _WORDS.finditer(text)]


def letters(word: str) -> list[str]:
    """What a reader takes for one letter each, with its marks."""
    return _LETTERS.findall(word)


def script(letter: str) -> str:
    """The script of a letter, by its name in Unicode.

    >>> script("ж"), script("a"), script("क")
    ('CYRILLIC', 'LATIN', 'DEVANAGARI')
    """
    return unicodedata.name(letter[0], "").partition(" ")[0]
