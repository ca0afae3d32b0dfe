"""Question answering score of MLQA, with rules of its own in each of its seven languages. No torch."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from adaptrans.evaluation.metrics import squad
from adaptrans.evaluation.metrics.score import Score, Statistics
from adaptrans.utils.registry import Registry

Articles = Callable[[str], str]
"""Replaces the articles of a lower-case text without punctuation by spaces."""

# The range that the reference takes for Chinese characters.
_HAN = re.compile("[\u4e00-\u9fa5]")

RULES: Registry[Articles] = Registry("language of the MLQA score")
"""How articles go, by language. Other languages have no rules."""


@cache
def _punctuation() -> dict[int, None]:
    """All of Unicode's categories P*, by the tables of the running Python, and ASCII's own punctuation."""
    named = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*map(ord, string.punctuation), *named])


def _without(words: str) -> Articles:
    return partial(re.compile(rf"\b(?:{'|'.join(words.split())})\b").sub, " ")


def _unchanged(text: str) -> str:
    return text


RULES.add("en", _without("a an the"))
RULES.add("es", _without("un una unos unas el la los las"))
RULES.add("de", _without("ein eine einen einem eines einer der die das den dem des"))
RULES.add("vi", _without("của là cái chiếc những"))
# Anywhere in a word, for that is what the reference's pattern comes to.
RULES.add("ar", partial(re.compile("ال").sub, " "))
RULES.add("hi", _unchanged)
RULES.add("zh", _unchanged)


def normalize_mlqa(text: str, language: str) -> str:
    """Answer text in the form in which MLQA compares answers.

    In this order: lower-case, delete punctuation, replace articles by a space, cut into tokens
    (in Chinese every character), join them by one space.

    Raises:
        UnknownNameError: If MLQA has no such language.

    Source: google-research/xtreme, third_party/evaluate_mlqa.py.

    Example:
        >>> normalize_mlqa("Das Haus des Mannes", "de"), normalize_mlqa("北京 2008，abc", "zh")
        ('haus mannes', '北 京 2008abc')
    """
    bare = RULES[language](text.lower().translate(_punctuation()))
    if language == "zh":
        bare = _HAN.sub(r" \g<0> ", bare)
    return " ".join(bare.split())


def exact_match(gold: str, prediction: str, language: str) -> float:
    """1 if both answers are equal once normalized, else 0.

    Example:
        >>> exact_match("el perro", "¡Perro!", "es")
        1.0
    """
    return squad.exact_match(gold, prediction, partial(normalize_mlqa, language=language))


def f1(gold: str, prediction: str, language: str) -> float:
    """Harmonic mean of token precision and recall, 0 without a common token.

    Example:
        >>> f1("北京大学", "北京", "zh")
        0.6666666666666666
    """
    return squad.f1(gold, prediction, normalize=partial(normalize_mlqa, language=language))


def in_language(language: str) -> Statistics:
    """The counts of MLQA in a language; see `adaptrans.evaluation.metrics.squad.statistics`.

    Args:
        language: Language of the context; of a pair such as `de-es` (German contexts, Spanish
            questions) the first.

    Raises:
        UnknownNameError: If MLQA has no such language.
    """
    context = language.partition("-")[0]
    RULES[context]
    return partial(squad.statistics, normalize=partial(normalize_mlqa, language=context))


def statistics(golds: Sequence[Sequence[str]], predictions: Sequence[str | None]) -> np.ndarray:
    """Best F1, best exact match and 1 for each English question, shape (questions, 3)."""
    return in_language("en")(golds, predictions)


SCORE = Score(
    name="mlqa",
    parts=squad.PARTS,
    higher_is_better=True,
    statistics=statistics,
    reduce=squad.reduce,
    source="google-research/xtreme, third_party/evaluate_mlqa.py; by the language of the context",
    in_language=in_language,
)
