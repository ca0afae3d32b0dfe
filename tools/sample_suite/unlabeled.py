"""Fresh parallel sentences of the suite's kinds, without labels, as text to pretrain on. Torch-free.

No sentence of a development or test file of the suite is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

from adaptrans.errors import ConfigError
from sample_suite import suite
from sample_suite.generate import causes
from sample_suite.generate.draw import Draw
from sample_suite.grammar import LANGUAGES, grammar

_TRIES = 40
"""Items drawn per sentence asked for, before the world counts as too small."""


def _choices(item: causes.Choice, language: str) -> list[str]:
    row = causes.put(item, language)
    return [str(row[name]) for name in ("premise", "choice1", "choice2")]


def _passage(item: Any, language: str) -> list[str]:
    told = [suite.say((event,), language) for event in item.events]
    words = grammar(language)
    return told + [words.ask(item.events[asked.index], asked.slot) for asked in item.questions]


_SENTENCES: dict[str, Callable[[Any, str], list[str]]] = {
    "nli": lambda item, language: [
        suite.say((event,), language) for pair in item for event in (pair.premise, pair.hypothesis)
    ],
    "paraphrase": lambda item, language: [
        suite.say(side, language) for pair in item for side in (pair.first, pair.second)
    ],
    "pos": lambda item, language: [suite.say(item, language)],
    "ner": lambda item, language: [suite.say(item, language)],
    "retrieval": lambda item, language: [suite.say(item, language)],
    "qa": _passage,
    "copa": _choices,
}
"""Sentences of an item of each task; the same number in every language."""


def normal(sentence: str) -> str:
    """Letters and digits of a sentence in lower case.

    Example:
        >>> normal("L'eau, 2 fois!")
        'leau2fois'
    """
    return "".join(letter for letter in sentence.casefold() if letter.isalnum())


def held_out(languages: Sequence[str] = LANGUAGES) -> set[tuple[str, str]]:
    """Language and normal form of every sentence of the development and test items."""
    return {
        (language, normal(sentence))
        for name, sentences in _SENTENCES.items()
        for split in ("dev", "test")
        for item in suite.items(name)[split]
        for language in languages
        for sentence in sentences(item, language)
    }


def parallel(count: int, *, seed: int, languages: Sequence[str] = LANGUAGES) -> dict[str, tuple[str, ...]]:
    """Draw sentences and write each in every language.

    Items of all tasks take turns, drawn like test items but from other seeds. A sentence
    that is in the suite's development or test data in any language is left out, and so
    is one that an earlier line already says.

    Args:
        count: Sentences.
        seed: Seed of the draws.
        languages: Languages of the suite.

    Returns:
        Per language, `count` lines; line i says the same in each.

    Raises:
        ConfigError: If there are not so many different sentences.
    """
    forbidden, seen = held_out(languages), set()
    draws = {name: Draw.seeded(suite.SEED + 1 + seed, name, "test") for name in _SENTENCES}
    lines: list[tuple[str, ...]] = []
    turns = cycle(_SENTENCES.items())
    for _ in range(_TRIES * count):
        name, sentences = next(turns)
        item = suite.PARTS[name].make(draws[name])
        columns = [sentences(item, language) for language in languages] if item is not None else []
        for line in zip(*columns, strict=True):
            forms = tuple(zip(languages, map(normal, line), strict=True))
            if forms[0] in seen or any(form in forbidden for form in forms):
                continue
            seen.add(forms[0])
            lines.append(line)
        if len(lines) >= count:
            return dict(zip(languages, zip(*lines[:count], strict=True), strict=True))
    raise ConfigError(
        f"only {len(lines)} different sample sentences can be drawn", remedy=f"ask for {len(lines)}"
    )
