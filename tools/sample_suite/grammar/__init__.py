"""One small grammar per language: events in, tagged tokens out. Torch-free."""

from __future__ import annotations

from functools import cache

from adaptrans.utils.registry import Registry
from sample_suite.grammar.base import Grammar
from sample_suite.lexicon import read_lexicon

#: Languages of the suite, English first.
LANGUAGES = ("en", "de", "es", "fr", "id", "ru", "sw", "tr", "zh")

_GRAMMARS: Registry[type[Grammar]] = Registry("sample language")
for _code, _name in zip(
    LANGUAGES,
    ("English", "German", "Spanish", "French", "Indonesian", "Russian", "Swahili", "Turkish", "Chinese"),
    strict=True,
):
    _GRAMMARS.add(_code, f"sample_suite.grammar.{_name.lower()}:{_name}")


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language with its lexicon, built once.

    Raises:
        UnknownNameError: If the suite has no such language.

    Example:
        >>> grammar("en").language
        'en'
    """
    return _GRAMMARS[language](read_lexicon(language))
